# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Derivatives of an operator: what stands at PyTorch's dispatch key Autograd.

torch.library.register_autograd would do for backward, but its functions refuse torch.func, and leave tangents of forward mode
out without a word.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch._functorch.utils import unwrap_dead_wrappers
from torch.autograd import forward_ad

Backward = Callable[[Sequence[torch.Tensor], Sequence[Any], Sequence["torch.Tensor | None"], Sequence[bool]], "list[torch.Tensor | None]"]


def differentiable(overload: Callable[..., Any], count: int, backward_of: Backward, reference: Callable[[Sequence[Any]], Any]) -> Callable[..., Any]:
    """The operator with derivatives; its first `count` arguments are tensors, the others numbers.

    backward_of: gradients of the tensors, from tensors, numbers, gradients of the outputs, and which are needed
    reference: the outputs in PyTorch operations, for tangents
    """

    def forward(*args: Any) -> Any:
        # A function's forward has gradients and tangents turned off, which levels of torch.func below this one have a say in.
        with torch._C._AutoDispatchBelowAutograd(), torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return overload(*args)

    def setup_context(ctx: Any, inputs: Sequence[Any], output: Any) -> None:
        ctx.save_for_backward(*inputs[:count])
        ctx.numbers = inputs[count:]
        results = output if isinstance(output, tuple) else (output,)
        ctx.mark_non_differentiable(*[x for x in results if not x.is_floating_point()])

    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        # A transform of torch.func whose level is over leaves its wrappers behind.
        tensors = unwrap_dead_wrappers(ctx.saved_tensors)
        found = backward_of(tensors, ctx.numbers, grads, ctx.needs_input_grad[:count])
        return (*found, *(None for _ in ctx.numbers))

    function = type(f"{overload}Function", (torch.autograd.function._SingleLevelFunction,), {
        "forward": staticmethod(forward), "setup_context": staticmethod(setup_context), "backward": staticmethod(backward)})

    def apply(*args: Any) -> Any:
        tensors = args[:count]
        if forward_ad._current_level >= 0 and any(forward_ad.unpack_dual(x).tangent is not None for x in tensors):
            return reference(args)
        if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
            # Under torch.func this call is of one of its levels; Function.apply would hand it over to all of them once more.
            with enable_single_level_autograd_function():
                return function.apply(*args)
        with torch._C._AutoDispatchBelowAutograd():
            return overload(*args)

    return apply
