# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Evaluates a function on symbols: applies functions of torch, lifts what they meet, and keeps what the function captures."""
from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ._expression import Expr, Graph
from ._functions import ELEMENTWISE, as_cond, as_int, as_real
from ._names import Names
from ._values import FloatParameter, IntParameter, Rows, Symbol, Traced, flattened

REDUCTIONS = {"any": "any", "all": "all", "sum": "sum", "mean": "mean", "amax": "max", "amin": "min", "prod": "prod"}
CONSTANTS = {"new_ones": 1, "new_zeros": 0, "ones_like": 1, "zeros_like": 0}


class Tracer:
    """What a mask and a score function of one attention have in common: nodes, inputs, parameters and their names."""

    def __init__(self, device: torch.device, captured: Mapping[int, str]) -> None:
        self.device, self.graph, self.names = device, Graph(), Names()
        self.inputs: dict[str, torch.Tensor] = {}  # by name, in the order in which they are met
        self.params: dict[str, int | float] = {}
        self._captured = captured  # names of tensors in the functions' scopes, by id
        self._inputs_by_id: dict[int, tuple[torch.Tensor, str]] = {}  # keeps the tensors: an id is of what lives
        self._params_by_value: dict[tuple[str, int | float], str] = {}

    # Calls

    def knows(self, name: str) -> bool:
        return name in ELEMENTWISE or name in REDUCTIONS or name in CONSTANTS or name in (
            "__getitem__", "dot", "max", "min", "to", "type", "new_full", "full_like", "type_as", "select")

    def apply(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The result of a function of torch, or of an operator or method of that name."""
        if name == "__getitem__":
            return self.index(args[0], args[1])
        if name == "select":
            return self.index(args[0], (slice(None),) * args[1] + (args[2],))
        if name in ("max", "min") and len(args) == 2 and not isinstance(args[1], int):
            name = {"max": "maximum", "min": "minimum"}[name]
        elif name in ("max", "min"):
            name = "a" + name
        if name in CONSTANTS or name in ("new_full", "full_like"):
            return self.constant(name, args, kwargs)
        if name in ("to", "type", "type_as"):
            return self.convert(args[0], [*args[1:], *kwargs.values()])
        if name == "dot":
            return self.reduce("sum", self.apply("mul", *args))
        if name in REDUCTIONS:
            return self.reduce(REDUCTIONS[name], *args, **{k: v for k, v in kwargs.items() if k in ("dim", "axis", "keepdim")})
        if name not in ELEMENTWISE:
            raise TypeError(f"there is no translation of torch's `{name}`")
        return self.elementwise(name, args, kwargs)

    def elementwise(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        function = ELEMENTWISE[name]
        takes = [p for p in inspect.signature(function).parameters.values()][1:]
        words = {"min", "max", "other", "exponent", "input", "value", "mask"}  # arguments that are tensors or numbers
        plain = {"alpha", "rounding_mode", "inplace", "approximate"}

        def lifted(key: str, value: Any) -> Any:
            return value if key in plain or value is None else self.lift(value)

        named = {k: lifted(k, v) for k, v in kwargs.items() if k in words | plain and k not in ("input", "other", "exponent")}
        given = [*args, *(kwargs[k] for k in ("input", "other", "exponent") if k in kwargs)]
        if any(p.kind is p.VAR_POSITIONAL for p in takes):  # what gives the number itself takes shapes too
            given, named = given[:1], {}
        found = [lifted(p.name, x) for p, x in zip(takes, given)]
        if len(given) > len(takes):
            raise TypeError(f"`{name}` takes {len(takes)} arguments in a traced function, found {len(given)}")
        if not any(isinstance(x, Rows) for x in [*found, *named.values()]):
            return Symbol(self, function(self.graph, *map(unwrapped, found), **{k: unwrapped(v) for k, v in named.items()}))
        if name == "unsqueeze":
            raise TypeError("a new dimension of a captured tensor has no translation; index it instead")
        rows = [x for x in [*found, *named.values()] if isinstance(x, Rows)]
        longest = max(rows, key=lambda x: len(x.sizes))
        for x in rows:
            if x.sizes != longest.sizes[len(longest.sizes) - len(x.sizes):]:
                raise TypeError(f"tensors of shapes {x.sizes} and {longest.sizes} meet; broadcasting is translated for equal sizes only")

        def make(indices: Sequence[Expr]) -> Expr:
            def at(x: Any) -> Any:
                return x.make(indices[len(indices) - len(x.sizes):]) if isinstance(x, Rows) else unwrapped(x)
            return function(self.graph, *map(at, found), **{k: at(v) for k, v in named.items()})
        return Rows(self, longest.spaces, longest.sizes, make)

    def reduce(self, kind: str, x: Any, dim: Any = None, keepdim: bool = False, axis: Any = None) -> Any:
        x, dim = self.lift(x), axis if dim is None else dim
        if isinstance(x, Symbol):
            return x
        if keepdim:
            raise TypeError("keepdim=True has no translation; broadcasting needs no dimension of size 1 here")
        dims = range(len(x.sizes)) if dim is None else [d % len(x.sizes) for d in (dim if isinstance(dim, (tuple, list)) else [dim])]
        for d in sorted(dims, reverse=True):
            x = self.reduced(kind, x, d)
        return x if x.sizes else Symbol(self, x.make([]))

    def reduced(self, kind: str, x: Rows, dim: int) -> Rows:
        space = x.spaces[dim]

        def make(indices: Sequence[Expr]) -> Expr:
            index = self.graph.name(space, "int", is_local=True, is_natural=True)
            body = x.make([*indices[:dim], index, *indices[dim:]])
            body = as_cond(self.graph, body) if kind in ("any", "all") else as_real(self.graph, body) if kind == "mean" else as_int(self.graph, body)
            # It depends on what else its body depends on, but for its own index.
            is_local = depends(body, index)
            return self.graph.node("reduce", f"{kind} {space}", (body,), "cond" if kind in ("any", "all") else body.type, is_local=is_local,
                                   is_natural=body.is_natural)
        return Rows(self, x.spaces[:dim] + x.spaces[dim + 1:], x.sizes[:dim] + x.sizes[dim + 1:], make)

    def constant(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Symbol:
        value: Any = CONSTANTS.get(name, args[-1] if len(args) > 1 else kwargs.get("fill_value"))
        dtype = kwargs.get("dtype") or (args[0].dtype if isinstance(args[0], Symbol) else torch.float32)
        shape = kwargs.get("size", args[1] if name.startswith("new_") and len(args) > 1 else ())
        if flattened([shape]) and not isinstance(shape, Traced):
            raise TypeError(f"`{name}` of shape {tuple(flattened([shape]))} has no translation: a traced function computes one number")
        plain = bool(value) if dtype == torch.bool else float(value) if dtype.is_floating_point else int(value)
        return Symbol(self, self.graph.number(plain))

    def convert(self, x: Any, to: Sequence[Any]) -> Any:
        """`.to(dtype)`, `.to(device)`, `.to(other)`, `.type_as(other)`."""
        dtype = next((y if isinstance(y, torch.dtype) else y.dtype for y in to if isinstance(y, (torch.dtype, torch.Tensor, Symbol))), None)
        if dtype is None or (dtype.is_floating_point and isinstance(x, Symbol) and x.expr.type == "real"):
            return x
        return self.elementwise("to_cond" if dtype == torch.bool else "to_real" if dtype.is_floating_point else "to_int", [x], {})

    # Operands

    def lift(self, value: Any) -> Symbol | Rows:
        """A symbol for what a function has computed, captured or written."""
        if isinstance(value, (Symbol, Rows)):
            return value
        if isinstance(value, (IntParameter, FloatParameter)):
            return Symbol(self, self.parameter(value))
        if isinstance(value, torch.Tensor):
            rows = self.rows(value)
            return rows if rows.sizes else Symbol(self, rows.make([]))
        if isinstance(value, bool):
            return Symbol(self, self.graph.number(value))
        if isinstance(value, numbers.Integral):
            if not -2 ** 31 < int(value) < 2 ** 31:
                raise TypeError(f"{value} is no int of 32 bits, which is what a spec has")
            return Symbol(self, self.graph.number(int(value)))
        if isinstance(value, numbers.Real):
            return Symbol(self, self.graph.number(float(value)))
        raise TypeError(f"a {type(value).__name__} has no translation: expected a number or a tensor")

    def parameter(self, value: IntParameter | FloatParameter) -> Expr:
        kind = "int" if isinstance(value, int) else "real"
        plain = int(value) if kind == "int" else float(value)
        if kind == "int" and not -2 ** 31 <= plain < 2 ** 31:
            raise TypeError(f"`{value.name}` is {plain}, which is no int of 32 bits")
        key = (value.name, plain)
        if key not in self._params_by_value:
            name = self._params_by_value[key] = self.names.new(value.name)
            self.params[name] = plain
        return self.graph.name(self._params_by_value[key], kind, is_natural=kind == "int" and plain >= 0)

    def rows(self, tensor: torch.Tensor) -> Rows:
        """A captured tensor, which becomes an input."""
        if tensor.is_complex() or tensor.is_quantized or tensor.layout is not torch.strided:
            raise TypeError(f"a captured tensor of {tensor.dtype} with layout {tensor.layout} cannot be an input of a spec")
        if id(tensor) not in self._inputs_by_id:
            name = self.names.new(self._captured.get(id(tensor), "table"))
            self.inputs[name] = tensor
            self._inputs_by_id[id(tensor)] = (tensor, name)
        name = self._inputs_by_id[id(tensor)][1]
        kind = "cond" if tensor.dtype == torch.bool else "real" if tensor.is_floating_point() else "int"
        spaces = self.spaces(name)
        return Rows(self, spaces, list(tensor.shape), lambda indices: self.graph.node(
            "read", name, tuple(indices), kind, is_natural=tensor.dtype == torch.uint8))

    def spaces(self, name: str) -> list[str]:
        """The index spaces of an input: each of its dimensions is one."""
        return [self.names.fixed(f"{name}_{i}") for i in range(self.inputs[name].dim())]

    def index(self, x: Any, index: Any) -> Any:
        """x[index]: numbers, symbols, `:` and `...`; a negative index counts from the end, as PyTorch has it."""
        rows = self.lift(x)
        if isinstance(rows, Symbol):
            raise TypeError("a single number has no elements to index")
        given = list(index) if isinstance(index, tuple) else [index]
        if any(x is Ellipsis for x in given):
            at = next(i for i, x in enumerate(given) if x is Ellipsis)
            given[at:at + 1] = [slice(None)] * (len(rows.sizes) - len(given) + 1)
        if len(given) > len(rows.sizes):
            raise TypeError(f"{len(given)} indices for a tensor of {len(rows.sizes)} dimensions")
        fixed: list[Expr | None] = []
        for one, size, space in zip(given, rows.sizes, rows.spaces):
            fixed.append(None if isinstance(one, slice) and one == slice(None) else self.position(one, size, space))
        fixed += [None] * (len(rows.sizes) - len(fixed))
        free = [i for i, one in enumerate(fixed) if one is None]

        def make(indices: Sequence[Expr]) -> Expr:
            rest = iter(indices)
            return rows.make([next(rest) if one is None else one for one in fixed])
        if not free:
            return Symbol(self, make([]))
        return Rows(self, [rows.spaces[i] for i in free], [rows.sizes[i] for i in free], make)

    def position(self, index: Any, size: int, space: str) -> Expr:
        if isinstance(index, (slice, type(None), list, bool)):
            raise TypeError(f"an index {index!r} has no translation: expected numbers, indices or `:`")
        found = self.lift(index)
        if isinstance(found, Rows):
            raise TypeError("a captured tensor of several elements as an index has no translation; index it first")
        expr = as_int(self.graph, found.expr)
        if expr.type != "int":
            raise TypeError("an index is an int, found a real number; use .long()")
        if isinstance(expr.value, int):
            if not -size <= expr.value < size:
                raise TypeError(f"index {expr.value} is out of range for a dimension of {size}")
            return self.graph.number(expr.value % size)
        if expr.is_natural:
            return expr
        zero, length = self.graph.number(0), self.graph.name(f"size({space})", "int", is_natural=True)
        return self.graph.choose(self.graph.infix(expr, "<", zero, "cond"), self.graph.infix(expr, "+", length, "int"), expr)


def unwrapped(x: Any) -> Any:
    return x.expr if isinstance(x, Symbol) else x


def depends(body: Expr, own: Expr) -> bool:
    """Whether an expression depends on something local besides an index."""
    if body is own or not body.is_local:
        return False
    return not body.args or any(depends(arg, own) for arg in body.args)
