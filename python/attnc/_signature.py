# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a spec takes and yields, and the arguments of a call sorted and checked by it.

Names, ranks, sizes, dtypes and devices are checked here, before anything is compiled; strides, alignment and
values are the library's to check.
"""
from __future__ import annotations

import json
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ._tensors import CONVERTED, CPU, View, to_i32, view
from .errors import ArgumentError


QKV = ("Q", "K", "V")
# What a call may say for them, where the spec has no such names of its own.
ALIASES = {"q": "Q", "k": "K", "v": "V"}


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a spec. A const one is fixed when a kernel is compiled; the others are arguments of a call."""

    name: str
    type: str  # "int" (32 bits) or "f32"
    const: bool
    default: int | float


@dataclass(frozen=True, slots=True)
class TensorDecl:
    """A tensor that a spec takes or yields. `dtype` is None for the dtype that Q, K and V share; an axis is the name
    of an index space (b, h, g, q, kv, d, e) or a size."""

    name: str
    dtype: str | None
    axes: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.axes))}]: {self.dtype or 'dtype of Q'}"


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything that a spec takes and yields, by name, in the order of declaration."""

    name: str
    params: Mapping[str, Param]
    inputs: Mapping[str, TensorDecl]
    outputs: Mapping[str, TensorDecl]
    steps: tuple[str, ...]  # index spaces that recurrences go along
    usual_chunk: int  # steps at a time that suit sequences of at least as many

    @staticmethod
    def parse(text: str) -> Signature:
        data = json.loads(text)

        def tensors(key: str) -> Mapping[str, TensorDecl]:
            return MappingProxyType({t["name"]: TensorDecl(t["name"], t["dtype"], tuple(t["axes"])) for t in data[key]})

        params = {p["name"]: Param(**p) for p in data["params"]}
        return Signature(data["name"], MappingProxyType(params), tensors("inputs"), tensors("outputs"), tuple(data["steps"]),
                         data["chunk"])

    def chunk_for(self, sizes: Mapping[str, int]) -> int:
        """Steps that a recurrence takes at a time in a kernel for index spaces of these sizes; 0: one by one."""
        return self.usual_chunk if any(sizes.get(space, 0) >= self.usual_chunk for space in self.steps) else 0


def number(value: Any) -> float:
    """A parameter as the C API takes it; what no float can hold is an infinity, which no int parameter takes."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def parameter(name: str, value: Any) -> float:
    """The number that is given for a parameter: an int or a float of any kind, or a tensor without axes."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # of a tensor on a GPU: waits for it
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ArgumentError(f"parameter `{name}` is a number, found {type(value).__name__}")
    return number(value)


def split(signature: Signature, given: Sequence[Any], named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The tensors and the parameters of a call, by name; every tensor that the spec takes is there. Those given by position
    are the first ones that it declares: Q, K and V where it has them."""
    if len(given) > len(signature.inputs):
        raise ArgumentError(f"`{signature.name}` takes {len(signature.inputs)} tensors ({', '.join(signature.inputs)}), found "
                            f"{len(given)} by position")
    tensors: dict[str, Any] = dict(zip(signature.inputs, given))
    params: dict[str, float] = {}
    for given_name, value in named.items():
        name = given_name
        if name not in signature.inputs and name not in signature.params:
            name = ALIASES.get(name, name)
        if name in tensors:
            raise ArgumentError(f"`{given_name}` is given by position already" if len(given) else f"`{name}` is given twice")
        if name in signature.inputs:
            tensors[name] = value
        elif name in signature.params:
            params[name] = parameter(name, value)
        else:
            known = [n for n in signature.inputs if n not in QKV] + list(signature.params)
            raise ArgumentError(f"`{name}` is neither an input nor a parameter of `{signature.name}`; it has " +
                                (", ".join(known) if known else "none besides Q, K and V"))
    for name, decl in signature.inputs.items():
        if tensors.get(name) is None:
            raise ArgumentError(f"input `{decl}` is not bound")
    return tensors, params


def views_of(signature: Signature, tensors: Mapping[str, Any], stream: int | None) -> dict[str, View]:
    """The memory of every input; dtypes and devices fit."""
    views: dict[str, View] = {}
    operand: str | None = None  # the first tensor of the dtype that Q, K and V share
    for name, decl in signature.inputs.items():
        found = view(name, tensors[name], decl.dtype, stream)
        if decl.dtype == "i32" and found.dtype in CONVERTED:
            found = view(name, to_i32(name, found), decl.dtype, stream)
        views[name] = found
        first = next(iter(views))
        if decl.dtype is None and operand is None:
            operand = name
            if found.dtype not in ("f32", "f16", "bf16"):
                raise ArgumentError(f"`{name}` must be f32, f16 or bf16, found {found.dtype}")
        expected = decl.dtype or views[operand].dtype
        # One byte for a bool: arrays of bytes are not rejected for their name.
        if found.dtype != expected and not (expected == "bool" and found.dtype == "uint8"):
            how = "the dtype of " + f"`{operand}`, {expected}" if decl.dtype is None else f"dtype {expected}"
            raise ArgumentError(f"`{name}` must have {how}, found {found.dtype}; convert it (nothing is copied silently)")
        if found.dtype == "uint8":
            found.dtype = "bool"
        if found.device != views[first].device:
            raise ArgumentError(f"`{name}` is on {device_text(found)}, but `{first}` on {device_text(views[first])}")
    return broadcast(signature, views)


def broadcast(signature: Signature, views: dict[str, View]) -> dict[str, View]:
    """Dimensions of size 1 stand for all indices of an axis that another tensor has more of. Not the last one of Q, K and V,
    whose rows are read as a whole; nothing is copied."""
    sizes: dict[str, int] = {}
    for name, axis, size in ((name, axis, size) for name, decl in signature.inputs.items()
                             for axis, size in zip(decl.axes, views[name].shape) if not isinstance(axis, int)):
        if size != 1:
            sizes.setdefault(axis, size)
    for name, found in views.items():
        axes = signature.inputs[name].axes
        if 1 not in found.shape or len(axes) != len(found.shape):
            continue
        wanted = tuple(sizes.get(axis, 1) if size == 1 and isinstance(axis, str) else size for axis, size in zip(axes, found.shape))
        if name in QKV:
            wanted = (*wanted[:-1], found.shape[-1])
        if wanted != found.shape:
            strides = tuple(stride if a == b else 0 for stride, a, b in zip(found.strides, wanted, found.shape))
            views[name] = replace(found, shape=wanted, strides=strides)
    return views


def operand_dtype(signature: Signature, views: Mapping[str, View]) -> str:
    """The dtype that Q, K and V share, or what else is declared `dtype`; f32 if nothing is."""
    return next((views[name].dtype for name, decl in signature.inputs.items() if decl.dtype is None), "f32")


def device_text(found: View) -> str:
    """The C API's name of the device that the memory is on."""
    return "host" if found.device[0] == CPU else f"cuda:{found.device[1]}"


def sizes_of(signature: Signature, views: Mapping[str, View]) -> dict[str, int]:
    """The size of each index space, as the first tensor over it has it."""
    sizes: dict[str, int] = {}
    for name, decl in signature.inputs.items():
        for axis, size in zip(decl.axes, views[name].shape):
            if not isinstance(axis, int):
                sizes.setdefault(axis, size)
    return sizes


def plainly_fit(signature: Signature, views: Mapping[str, View], sizes: Mapping[str, int]) -> bool:
    """Whether shapes are beyond doubt those that the signature and `sizes` say, without an empty one among them. What is
    wrong otherwise, if anything is, the library says, which checks all of it."""
    if min(sizes.values(), default=1) < 1 or sizes.get("h", 0) % sizes.get("g", 1) != 0:
        return False
    # A space that a tensor of too few axes has not said is None, which no axis is.
    return all(views[name].shape == tuple(axis if isinstance(axis, int) else sizes.get(axis) for axis in decl.axes)
               for name, decl in signature.inputs.items())


def shape_of(decl: TensorDecl, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(axis if isinstance(axis, int) else sizes[axis] for axis in decl.axes)
