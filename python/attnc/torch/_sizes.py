# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sizes of index spaces, from the shapes of tensors. They may be SymInts, so that shapes can be traced."""
from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .._program import Op
from .._signature import Signature
from ..errors import ArgumentError, GradientError
from ._scalars import Scalar, evaluate


@dataclass(slots=True)
class Blocks:
    """A space whose index i stands for those of `parent` from i * stride up to i * stride + extent."""

    parent: str
    extent: Any
    stride: Any


@dataclass(slots=True)
class Sizes:
    """How many indices each space has, and which spaces are blocks of others."""

    of: dict[str | int, Any]
    blocks: dict[str | int, Blocks] = field(default_factory=dict)

    def declare(self, op: Op, extent: Scalar | None, stride: Scalar | None) -> None:
        """Adds what an attn.space says."""
        name, parent = op.attributes["name"], op.attributes.get("parent")
        if parent is None:
            if extent is not None:
                self.of[name] = extent
            elif name not in self.of:
                raise ArgumentError(f"no input says how many indices `{name}` has")
            return
        stride = extent if stride is None else stride
        self.blocks[name] = Blocks(parent, extent, stride)
        whole = self.of[parent]
        if op.attributes.get("full"):
            self.of[name] = torch.sym_max((whole - extent) // stride + 1, 0)
        else:
            self.of[name] = (whole + stride - 1) // stride

    def share(self) -> Any:
        """Query heads for each kv head."""
        return self.of["h"] // self.of["g"]


def from_shapes(signature: Signature, shapes: Mapping[str, Sequence[Any]]) -> Sizes:
    """The sizes that inputs have, of the spaces that the language has and of those without an extent."""
    sizes: dict[str | int, Any] = {}
    for name, decl in signature.inputs.items():
        if len(shapes[name]) != len(decl.axes):
            raise ArgumentError(f"`{name}` has axes [{', '.join(map(str, decl.axes))}], but a tensor of shape {list(shapes[name])} is bound")
        for axis, size in zip(decl.axes, shapes[name]):
            if not isinstance(axis, int):
                sizes.setdefault(axis, size)
    return Sizes(sizes)


def to_f32(value: float) -> float:
    """The nearest number of 32 bits, an infinity beyond them."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def parameter(op: Op, params: Mapping[str, Scalar]) -> Scalar:
    """The value of an attn.param: reals are rounded to f32, as they are on every executor."""
    value = params.get(op.attributes["name"], op.attributes["default_value"])
    if op.results[0].type == "f32" and not isinstance(value, torch.SymFloat):
        return to_f32(float(value))
    return value


def declared(program: tuple[Op, ...], sizes: Sizes, params: Mapping[str, Scalar]) -> Sizes:
    """The same with the spaces that the spec declares: their extents are arithmetic on sizes and parameters."""
    values: dict[int, Scalar] = {}
    for op in program:
        known = all(operand in values for operand in op.operands)
        if op.name == "attn.space":
            if not known:
                raise GradientError(f"line {op.line}: the extent of `{op.attributes['name']}` is no arithmetic on sizes and parameters")
            extent, stride = (values[group[0]] if group else None for group in op.segments())
            sizes.declare(op, extent, stride)
        elif op.name == "attn.param":
            values[op.results[0].id] = parameter(op, params)
        elif op.name == "attn.size":
            values[op.results[0].id] = sizes.of[op.attributes["space"]]
        elif known and op.name.startswith(("arith.", "math.")):
            values[op.results[0].id] = evaluate(op, [values[operand] for operand in op.operands], torch.float64)
    return sizes


def shape_of(axes: Sequence[str | int], sizes: Sizes) -> list[Any]:
    """The shape of a tensor over these axes."""
    return [axis if isinstance(axis, int) else sizes.of[axis] for axis in axes]
