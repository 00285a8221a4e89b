# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""torch.vmap over an operator: a dimension of calls becomes part of the batch where that means the same."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .._program import Op, Region, walk
from .._signature import Signature


def uses_batch(program: tuple[Op, ...]) -> bool:
    """Whether the batch is more than an axis that tensors are read along: its index enters arithmetic, its size is asked for,
    or something runs over it. Then a larger batch means something else."""
    tensors = {result.id: result.axes for op in walk(program) for result in op.results if result.axes is not None}
    indices = {value.id for op in walk(program) for value in batch_arguments(op, tensors)}
    for op in walk(program):
        if op.name in ("attn.size", "attn.reduce", "attn.softmax", "attn.cumsum", "attn.rank", "attn.order") and \
                op.attributes.get("space") == "b" or op.name == "attn.space" and op.attributes.get("parent") == "b":
            return True
        if op.name in ("attn.recur", "attn.quantize", "attn.select", "attn.scan", "attn.choose"):
            return True  # their own ways to use an index are not looked at
        for i, operand in enumerate(op.operands):
            is_coordinate = op.name == "attn.read" and i > 0 and tensors[op.operands[0]][i - 1] == "b"
            if operand in indices and not is_coordinate:
                return True
    return False


def batch_arguments(op: Op, tensors: dict[int, tuple[str | int, ...]]) -> list[Any]:
    """The arguments of an op's regions that are indices of the batch."""
    if op.name == "attn.compute":
        axes = [op.results[0].axes]
    elif op.name == "attn.attend":
        query, key = (tensors[op.segments()[i][0]] for i in (0, 1))
        coordinates = (*query[:-1], key[-2])
        axes = [("", *coordinates), coordinates, coordinates[:-1], coordinates]
    else:
        return []
    regions: Sequence[Region | None] = op.regions
    return [value for region, names in zip(regions, axes) if region is not None
            for value, name in zip(region.arguments, names or ()) if name == "b"]


def rule(op: Callable[..., Any], signature: Signature, is_foldable: Callable[[], bool]) -> Callable[..., Any]:
    """The vmap rule of `op`, which takes the tensors of a signature and then its parameters."""
    decls = list(signature.inputs.values())
    over_batch = ["b" in decl.axes for decl in decls]
    results_over_batch = ["b" in decl.axes for decl in signature.outputs.values()]

    def vmap(info: Any, in_dims: Sequence[int | None], *args: Any) -> tuple[Any, Any]:
        tensors, params = args[:len(decls)], args[len(decls):]
        calls = info.batch_size
        can_fold = is_foldable() and all(results_over_batch) and all(
            dim is None or has_batch for dim, has_batch in zip(in_dims, over_batch))
        if not can_fold:
            results = [op(*[x if dim is None else x.select(dim, i) for x, dim in zip(tensors, in_dims)], *params) for i in range(calls)]
            if len(signature.outputs) == 1:
                return torch.stack(results), 0
            return tuple(map(torch.stack, zip(*results))), (0,) * len(signature.outputs)
        folded = []
        for x, dim, decl, has_batch in zip(tensors, in_dims, decls, over_batch):
            if has_batch:
                x = x.unsqueeze(0).expand(calls, *x.shape) if dim is None else x.movedim(dim, 0)
                at = decl.axes.index("b")
                x = x.movedim(0, at).flatten(at, at + 1)
            folded.append(x)
        found = op(*folded, *params)
        outputs = (found,) if len(signature.outputs) == 1 else found
        results, dims = [], []
        for x, decl in zip(outputs, signature.outputs.values()):
            at = decl.axes.index("b")
            results.append(x.unflatten(at, (calls, -1)))
            dims.append(at)
        return (results[0], dims[0]) if len(results) == 1 else (tuple(results), tuple(dims))

    return vmap
