# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a mask or score function gets in place of tensors: indices and scores as symbols.

A `Symbol` is one number; `Rows` are the elements of a captured tensor along dimensions that no index was given for. Python's
operators, methods of tensors and functions of torch all go to `Tracer.apply`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ._expression import Expr

if TYPE_CHECKING:
    from ._tracer import Tracer


class IntParameter(int):
    """A captured int, which becomes a parameter of the spec where it meets a symbol, and is an int everywhere else."""

    name: str


class FloatParameter(float):
    """A captured float, alike."""

    name: str


class Traced:
    """Base of what stands for tensors of a traced function."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer

    __hash__ = object.__hash__

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
        name = getattr(function, "__name__", None) or str(function)
        tracer = next(x.tracer for x in flattened([*args, *(kwargs or {}).values()]) if isinstance(x, Traced))
        return tracer.apply(str(name).split(".")[-1], *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self.tracer.knows(name):
            raise TypeError(f"there is no translation of `.{name}`")
        return lambda *args, **kwargs: self.tracer.apply(name, self, *args, **kwargs)

    def __bool__(self) -> bool:
        raise TypeError("a condition that depends on indices or scores decides what Python does; write torch.where(condition, x, y), or & and | "
                        "in place of `and`, `or` and chained comparisons, and torch.maximum in place of max")

    def __int__(self) -> int:
        raise TypeError("an index or a score is no number while the function is traced; keep it a tensor (no int(), .item() or range())")

    __index__ = __float__ = item = tolist = __int__

    def __iter__(self) -> Any:
        raise TypeError("the elements of a captured tensor cannot be unpacked; write x[0], x[1]")

    def __getitem__(self, index: Any) -> Any:
        return self.tracer.apply("__getitem__", self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("a traced function cannot write to a tensor")


def _binary(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return (lambda self, other: self.tracer.apply(name, self, other), lambda self, other: self.tracer.apply(name, other, self))


for _operator, _name in {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
                         "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
                         "rshift": "bitwise_right_shift"}.items():
    _plain, _reflected = _binary(_name)
    setattr(Traced, f"__{_operator}__", _plain)
    setattr(Traced, f"__r{_operator}__", _reflected)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Traced, f"__{_name}__", _binary(_name)[0])
for _operator, _name in {"neg": "neg", "pos": "positive", "abs": "abs", "invert": "bitwise_not"}.items():
    setattr(Traced, f"__{_operator}__", lambda self, name=_name: self.tracer.apply(name, self))


class Symbol(Traced):
    """One number: an index, a score, or what is computed from them."""

    def __init__(self, tracer: Tracer, expr: Expr) -> None:
        super().__init__(tracer)
        self.expr = expr

    @property
    def dtype(self) -> torch.dtype:
        return {"int": torch.int32, "real": torch.float32, "cond": torch.bool}[self.expr.type]

    @property
    def device(self) -> torch.device:
        return self.tracer.device

    @property
    def shape(self) -> torch.Size:
        return torch.Size([])

    ndim = 0

    def dim(self) -> int:
        return 0


class Rows(Traced):
    """Numbers along dimensions of a captured tensor: `make` yields the one at indices, one index for each dimension."""

    def __init__(self, tracer: Tracer, spaces: Sequence[str], sizes: Sequence[int], make: Callable[[Sequence[Expr]], Expr]) -> None:
        super().__init__(tracer)
        self.spaces, self.sizes, self.make = list(spaces), list(sizes), make

    @property
    def shape(self) -> torch.Size:
        return torch.Size(self.sizes)

    @property
    def device(self) -> torch.device:
        return self.tracer.device

    @property
    def ndim(self) -> int:
        return len(self.sizes)

    def dim(self) -> int:
        return len(self.sizes)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def __len__(self) -> int:
        return self.sizes[0]


def flattened(values: Sequence[Any]) -> list[Any]:
    """All values, those of tuples and lists too."""
    found: list[Any] = []
    for value in values:
        found += flattened(value) if isinstance(value, (tuple, list)) else [value]
    return found
