# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients of a spec. There are no backward kernels yet: the definition is recomputed in PyTorch operations.

A backward kernel will take the place of `gradients` for the specs that it exists for.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from .._definition import Definition
from ._formula import formula
from ._scalars import Scalar


def gradients(definition: Definition, tensors: Mapping[str, torch.Tensor], params: Mapping[str, Scalar],
              outputs: Mapping[str, torch.Tensor], needed: Sequence[str]) -> dict[str, torch.Tensor]:
    """The gradient of each tensor in `needed`, for the gradients of outputs.

    It is computed in float32, float64 if the tensors are, and has the dtype of the tensor. Takes memory for several tensors
    of [b, h, q, kv]. It can be differentiated once more, and batched.
    """
    def function(*leaves: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = formula(definition, {**tensors, **dict(zip(needed, leaves))}, params)
        return tuple(found[name] for name in outputs)

    # torch.func and not torch.autograd.grad: this may be within a transform of torch.func, where there are no leaves.
    found, pullback = torch.func.vjp(function, *(tensors[name] for name in needed))
    return dict(zip(needed, pullback(tuple(g.to(x.dtype) for x, g in zip(found, outputs.values())))))
