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
    of [b, h, q, kv]. Where gradients are on (create_graph=True), the result can be differentiated once more.
    """
    further = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that only the way to these is taken, and what they were computed from stays in reach for a further gradient.
        leaves = {name: tensors[name].view_as(tensors[name]) if further else tensors[name].detach().requires_grad_()
                  for name in needed}
        found = formula(definition, {**tensors, **leaves}, params)
        pairs = [(found[name], gradient.to(found[name].dtype)) for name, gradient in outputs.items()
                 if found[name].requires_grad]
        if not pairs:
            return {name: torch.zeros_like(tensors[name]) for name in needed}
        results = torch.autograd.grad([x for x, _ in pairs], list(leaves.values()), [g for _, g in pairs], create_graph=further,
                                      allow_unused=True)
    return {name: torch.zeros_like(tensors[name]) if x is None else x for name, x in zip(needed, results)}
