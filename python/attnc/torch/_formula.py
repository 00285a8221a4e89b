# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The definition of a spec in PyTorch operations, which PyTorch differentiates.

A region is evaluated for all of its indices at once: an index is a dimension, the last index the last dimension, and the
index of a reduction is a dimension before those around it. What cannot be differentiated, or has no formula here yet, is a
GradientError: nothing is left out.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from .._definition import Definition
from .._program import Op, Region, Value
from ..errors import GradientError
from ._scalars import Scalar, evaluate, is_tensor, select
from ._sizes import Blocks, Sizes, from_shapes, parameter


@dataclass(slots=True)
class Index:
    """All values of an index, in the dimension that has `place` dimensions behind it."""

    place: int
    size: int
    device: torch.device
    first: Scalar = 0  # of the block of a member

    def values(self) -> torch.Tensor:
        shape = (-1,) + (1,) * self.place
        return self.first + torch.arange(self.size, dtype=torch.int32, device=self.device).reshape(shape)

    def is_plain(self) -> bool:
        return not is_tensor(self.first) and isinstance(self.first, int) and self.first == 0


@dataclass(slots=True)
class Tensor:
    """Elements over axes; reals have the dtype of the evaluation."""

    data: torch.Tensor
    axes: tuple[str | int, ...]


def formula(definition: Definition, tensors: Mapping[str, torch.Tensor], params: Mapping[str, Scalar]) -> dict[str, torch.Tensor]:
    """Every output of a spec, in float64 if the tensors are, else in float32. They are differentiable.

    Raises GradientError for a spec with a stage that has no formula here.
    """
    found = [tensors[name] for name in definition.signature.inputs]
    real = torch.float64 if any(x.dtype == torch.float64 for x in found) else torch.float32
    sizes = from_shapes(definition.signature, {name: x.shape for name, x in tensors.items()})
    return _Evaluation(sizes, real, found[0].device, tensors, params).outputs(definition.program)


class _Evaluation:
    def __init__(self, sizes: Sizes, real: torch.dtype, device: torch.device, tensors: Mapping[str, torch.Tensor],
                 params: Mapping[str, Scalar]) -> None:
        self.sizes, self.real, self.device, self.tensors, self.params = sizes, real, device, tensors, params
        self.values: dict[int, Tensor | Index | Scalar] = {}

    def outputs(self, program: tuple[Op, ...]) -> dict[str, torch.Tensor]:
        for op in program:
            if op.name == "attn.return":
                return {name: self.tensor(value).data for name, value in zip(op.attributes["names"], op.operands)}
            self.stage(op)
        raise AssertionError("a variant ends with attn.return")

    def stage(self, op: Op) -> None:
        """An op of the body of a variant."""
        if op.name == "attn.input":
            name = op.attributes["name"]
            data = self.tensors[name]
            self.define(op, Tensor(self.plain(data), op.results[0].axes or ()))
        elif op.name == "attn.param":
            self.define(op, parameter(op, self.params))
        elif op.name == "attn.space":
            extent, stride = (self.scalar(group[0]) if group else None for group in op.segments())
            self.sizes.declare(op, extent, stride)
        elif op.name == "attn.compute":
            self.define(op, self.compute(op))
        elif op.name == "attn.attend":
            self.attend(op)
        elif op.name == "attn.softmax":
            self.define(op, self.softmax(op))
        elif op.name == "attn.merge":
            self.merge(op)
        elif op.name.startswith("attn.") and op.name != "attn.size":
            raise GradientError(f"line {op.line}: no gradient through {op.name} yet")
        else:
            self.define(op, self.scalar_op(op, 0))

    # Scalars

    def plain(self, data: torch.Tensor) -> torch.Tensor:
        """Elements as they read: reals of the evaluation's dtype, 32-bit ints, conditions."""
        if data.is_floating_point():
            return data.to(self.real)
        return data.bool() if data.dtype in (torch.bool, torch.uint8) else data.to(torch.int32)

    def define(self, op: Op, value: Tensor | Scalar) -> None:
        self.values[op.results[0].id] = value

    def tensor(self, value: int) -> Tensor:
        return self.values[value]  # type: ignore[return-value]

    def scalar(self, value: int) -> Scalar:
        found = self.values[value]
        return found.values() if isinstance(found, Index) else found

    def run(self, region: Region, rank: int) -> list[Scalar]:
        """What a region yields; its arguments are defined, and it stands within `rank` indices."""
        for op in region.ops[:-1]:
            self.define(op, self.scalar_op(op, rank))
        return [self.scalar(value) for value in region.ops[-1].operands]

    def scalar_op(self, op: Op, rank: int) -> Scalar:
        if op.name == "attn.read":
            return self.read(self.tensor(op.operands[0]), [self.values[i] for i in op.operands[1:]], rank)
        if op.name == "attn.size":
            return self.sizes.of[op.attributes["space"]]
        if op.name == "attn.position":
            row = self.values[op.operands[0]]
            if op.attributes["align"] != "bottom_right":
                return row
            return self.scalar(op.operands[0]) + (self.sizes.of["kv"] - self.sizes.of["q"])
        if op.name == "attn.reduce":
            return self.reduce(op, rank)
        if op.name.startswith("attn."):
            raise GradientError(f"line {op.line}: no gradient through {op.name} yet")
        return evaluate(op, [self.scalar(operand) for operand in op.operands], self.real)

    def read(self, tensor: Tensor, indices: Sequence[Index | Scalar], rank: int) -> Scalar:
        """Elements at indices, each clamped to its axis."""
        data = tensor.data
        if data.numel() == 0:
            return False if data.dtype == torch.bool else 0 if data.dtype == torch.int32 else 0.0
        places = [index.place for index in indices if isinstance(index, Index) and index.is_plain()]
        if len(places) == len(indices) == len(set(places)) and all(
                index.size is size or index.size == size for index, size in zip(indices, data.shape)):
            # Its own coordinates: the tensor itself, with its dimensions where the indices are.
            order = sorted(range(len(places)), key=lambda i: -places[i])
            shape = [1] * (max(places) + 1) if places else []
            for i in order:
                shape[len(shape) - 1 - places[i]] = data.shape[i]
            return data.permute(order).reshape(shape)
        where = []
        for index, size in zip(indices, data.shape):
            index = index.values() if isinstance(index, Index) else index
            index = index if is_tensor(index) else torch.tensor(index, device=self.device)
            where.append(index.clamp(0, size - 1).long())
        return data[tuple(where)]

    def reduce(self, op: Op, rank: int) -> Scalar:
        """A reduction over an index, in the dimension before those of the indices around it."""
        region, kind, space = op.regions[0], op.attributes["kind"], op.attributes["space"]
        assert region is not None
        index, condition = self.members(op, rank, space)
        self.values[region.arguments[0].id] = index
        if kind == "sum" and condition is None and (found := self.dot(region, rank, index.size)) is not None:
            return found
        value, *conditions = self.run(region, rank + 1)
        for more in conditions:
            condition = more if condition is None else condition & more
        whole = op.results[0].type == "i32"
        fills = {"sum": 0, "mean": 0.0, "prod": 1, "max": -2 ** 31 if whole else -torch.inf,
                 "min": 2 ** 31 - 1 if whole else torch.inf, "any": False, "all": True}
        if kind not in fills:
            raise GradientError(f"line {op.line}: no gradient through {kind} yet")
        along = self.expanded(value, rank, index.size)
        if condition is not None:
            condition = self.expanded(condition, rank, index.size)
            along = select(condition, along, torch.full((), fills[kind], dtype=along.dtype, device=self.device), self.real)
        if isinstance(index.size, int) and index.size == 0:
            along = torch.full((1,) + tuple(along.shape[1:]), fills[kind], dtype=along.dtype, device=self.device)
        if kind == "sum":
            return along.sum(0, dtype=torch.int32) if whole else along.sum(0)
        if kind == "mean":
            count = index.size if condition is None else condition.expand(along.shape).sum(0).clamp(min=1)
            return along.sum(0) / count
        if kind == "prod":
            return along.prod(0)
        if kind in ("any", "all"):
            return along.any(0) if kind == "any" else along.all(0)
        return along.amax(0) if kind == "max" else along.amin(0)

    def members(self, op: Op, rank: int, space: str) -> tuple[Index, Scalar | None]:
        """The index of a reduction, and which of its values are there."""
        block, condition = op.attributes.get("block"), None
        at, lower, upper = (self.scalar(group[0]) if group else None for group in self.reduce_operands(op))
        index = Index(rank, self.sizes.of[space], self.device)
        if block is not None:
            blocks = Blocks("h", self.sizes.share(), self.sizes.share()) if block == "g" else self.sizes.blocks[block]
            index = Index(rank, blocks.extent, self.device, first=at * blocks.stride)
            condition = index.values() < self.sizes.of[space]
        for bound, holds in ((lower, torch.ge), (upper, torch.lt)):
            if bound is not None:
                more = holds(index.values(), bound)
                condition = more if condition is None else condition & more
        return index, condition

    @staticmethod
    def reduce_operands(op: Op) -> list[tuple[int, ...]]:
        if "operandSegmentSizes" in op.attributes:
            return op.segments()
        return [op.operands, (), ()]

    def expanded(self, value: Scalar, rank: int, size: int) -> torch.Tensor:
        """A value with all of its dimensions, of which the reduction's comes first."""
        if not is_tensor(value):
            kind = torch.bool if isinstance(value, bool) else self.real if isinstance(value, float) else torch.int32
            value = torch.as_tensor(value, dtype=kind, device=self.device)
        value = value.reshape((1,) * (rank + 1 - value.dim()) + tuple(value.shape))
        return value.expand((size,) + tuple(value.shape[1:]))

    def dot(self, region: Region, rank: int, size: int) -> Scalar | None:
        """The sum of a product without the memory of its terms; None if the region yields something else."""
        product = region.ops[-2] if len(region.ops) > 1 else None
        if product is None or product.name != "arith.mulf" or region.ops[-1].operands != (product.results[0].id,):
            return None
        for op in region.ops[:-2]:
            self.define(op, self.scalar_op(op, rank + 1))
        x, y = (self.expanded(self.scalar(operand), rank, size) for operand in product.operands)
        return torch.einsum("z...,z...->...", x, y)

    # Stages

    def arguments(self, values: Sequence[Value], axes: Sequence[str | int]) -> None:
        """Defines indices: the last one is the last dimension."""
        for i, (value, axis) in enumerate(zip(values, axes)):
            size = axis if isinstance(axis, int) else self.sizes.of[axis]
            self.values[value.id] = Index(len(axes) - 1 - i, size, self.device)

    def compute(self, op: Op) -> Tensor:
        region, axes = op.regions[0], op.results[0].axes
        assert region is not None and axes is not None
        self.arguments(region.arguments, axes)
        value = self.run(region, len(axes))[0]
        if not is_tensor(value):
            kind = torch.bool if isinstance(value, bool) else self.real if isinstance(value, float) else torch.int32
            value = torch.as_tensor(value, dtype=kind, device=self.device)
        return Tensor(value.expand([axis if isinstance(axis, int) else self.sizes.of[axis] for axis in axes]), axes)

    def softmax(self, op: Op) -> Tensor:
        tensor = self.tensor(op.operands[0])
        dim = tensor.axes.index(op.attributes["space"])
        return Tensor(_weights(tensor.data.transpose(dim, -1), None)[0].transpose(dim, -1), tensor.axes)

    def merge(self, op: Op) -> None:
        half = len(op.operands) // 2
        outs = [self.tensor(value).data for value in op.operands[:half]]
        lses = torch.stack([self.tensor(value).data for value in op.operands[half:]], -1)
        weights, lse = _weights(lses, None)
        out = torch.stack([weights[..., i, None] * x for i, x in enumerate(outs)]).sum(0)
        for result, data in zip(op.results, (out, lse)):
            self.values[result.id] = Tensor(data, result.axes or ())

    def attend(self, op: Op) -> None:
        (query,), (key,), (value,), scale, chosen, tile, group, visits = op.segments()
        if op.regions[3] is not None or tile or group or visits or "weight_format" in op.attributes or "parts" in op.attributes:
            raise GradientError(f"line {op.line}: no gradient through `skip`, `tile` and `quantize P`, which say how rows are taken")
        q, k, v = self.tensor(query), self.tensor(key), self.tensor(value)
        outer, rows, keys = q.axes[:-2], q.axes[-2], k.axes[-2]
        coordinates = (*outer, rows, keys)
        scale_by = self.scalar(scale[0]) if scale else self.sizes.of[q.axes[-1]] ** -0.5
        scores = self.product(q.data * scale_by, k, q.axes, transposed=True)
        score, mask, sink, _ = op.regions
        if score is not None:
            self.values[score.arguments[0].id] = scores
            self.arguments(score.arguments[1:], coordinates)
            scores = self.broadcast(self.run(score, len(coordinates))[0], scores)
        if mask is not None:
            self.arguments(mask.arguments, coordinates)
            scores = torch.where(self.broadcast(self.run(mask, len(coordinates))[0], None), scores, -torch.inf)
        if chosen:
            scores = torch.where(self.members_of_set(self.tensor(chosen[0]), coordinates), scores, -torch.inf)
        logit = None
        if sink is not None:
            self.arguments(sink.arguments, coordinates[:-1])
            logit = self.broadcast(self.run(sink, len(coordinates) - 1)[0], None).to(self.real)
        weights, lse = _weights(scores, logit)
        results = [self.product(weights, v, q.axes), lse, weights]
        for result, data in zip(op.results, results):
            self.values[result.id] = Tensor(data, result.axes or ())

    def broadcast(self, value: Scalar, like: torch.Tensor | None) -> torch.Tensor:
        if not is_tensor(value):
            kind = torch.bool if isinstance(value, bool) else self.real
            value = torch.as_tensor(value, dtype=kind, device=self.device)
        return value if like is None else value.to(self.real).expand(like.shape)

    def product(self, rows: torch.Tensor, matrix: Tensor, axes: Sequence[str | int], transposed: bool = False) -> torch.Tensor:
        """Rows over `axes` times keys or values, which may differ for each row."""
        if axes[-2] in matrix.axes[:-2]:
            data = self.aligned(matrix, axes[:-1])
            return torch.matmul(rows.unsqueeze(-2), data.transpose(-1, -2) if transposed else data).squeeze(-2)
        data = self.aligned(matrix, axes[:-2])
        return torch.matmul(rows, data.transpose(-1, -2) if transposed else data)

    def aligned(self, tensor: Tensor, outer: Sequence[str | int]) -> torch.Tensor:
        """Keys or values with a dimension for each outer axis of the queries; query heads have those of their kv head."""
        data, axes = tensor.data, list(tensor.axes)
        for i, axis in enumerate(outer):
            if i < len(axes) - 2 and axes[i] == axis:
                continue
            if axis == "h" and i < len(axes) - 2 and axes[i] == "g":
                data = data.repeat_interleave(self.sizes.share(), i)
                axes[i] = "h"
            else:
                data, axes = data.unsqueeze(i), axes[:i] + [axis] + axes[i:]
        return data

    def members_of_set(self, chosen: Tensor, coordinates: Sequence[str | int]) -> torch.Tensor:
        """Which keys a set has, read at the coordinates; its last axis is the key space or blocks of it."""
        rank = len(coordinates)
        indices: list[Index | Scalar] = []
        for axis in chosen.axes:
            at = axis if axis in coordinates else "h" if axis == "g" else self.sizes.blocks[axis].parent
            index = Index(rank - 1 - list(coordinates).index(at), self.sizes.of[at], self.device)
            if axis == at:
                indices.append(index)
            elif axis == "g":
                indices.append(index.values() // self.sizes.share())
            else:
                blocks = self.sizes.blocks[axis]
                if not (blocks.extent == blocks.stride):
                    raise GradientError(f"no gradient through a set of blocks `{axis}` that overlap or leave keys out")
                indices.append(index.values() // blocks.stride)
        return self.broadcast(self.read(chosen, indices, rank), None)


def _weights(scores: torch.Tensor, sink: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax over the last dimension and its log-sum-exp. A row of nothing but -inf has weights of 0; a sink joins the sum."""
    largest = scores.detach().amax(-1) if scores.shape[-1] else scores.detach().sum(-1) - torch.inf
    if sink is not None:
        largest = torch.maximum(largest, sink.detach())
    largest = torch.where(largest == -torch.inf, 0.0, largest)
    exponentials = torch.exp(scores - largest[..., None])
    total = exponentials.sum(-1)
    if sink is not None:
        # A sink of inf takes all of its row's weight.
        takes_all = sink == torch.inf
        total = total + torch.where(takes_all, 1.0, torch.exp(torch.where(takes_all, 0.0, sink - largest)))
    is_empty = total == 0
    safe = torch.where(is_empty, 1.0, total)
    return exponentials / safe[..., None], torch.where(is_empty, -torch.inf, largest + torch.log(safe))
