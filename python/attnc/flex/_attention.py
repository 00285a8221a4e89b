# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""FlexAttention's functions on specs."""
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.attention.flex_attention import AuxOutput, AuxRequest, and_masks, noop_mask, or_masks

from .._spec import Spec
from ..errors import ArgumentError
from ..torch import Operator
from ._trace import Mod, Traced, trace

__all__ = ["AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "flex_attention", "noop_mask", "or_masks"]


class BlockMask:
    """A mask function and the sizes that it was made for. No blocks are computed: the compiler derives which keys a row has.

    mask_mod: (b, h, q_idx, kv_idx) -> condition
    """

    def __init__(self, mask_mod: Mod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int) -> None:
        self.mask_mod, self._shape = mask_mod, (B or 1, H or 1, Q_LEN, KV_LEN)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, H, Q_LEN, KV_LEN), with 1 for None."""
        return self._shape

    @property
    def seq_lengths(self) -> tuple[int, int]:
        """(Q_LEN, KV_LEN)."""
        return self._shape[2:]

    def to(self, device: torch.device | str) -> BlockMask:
        """The mask itself: tensors that its function captures stay where they are."""
        return self

    def __repr__(self) -> str:
        return f"BlockMask(mask_mod={getattr(self.mask_mod, '__name__', self.mask_mod)}, shape={self.shape})"


def create_block_mask(mask_mod: Mod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None, BLOCK_SIZE: Any = None,
                      _compile: bool = False) -> BlockMask:
    """As PyTorch's, but it stores the function: nothing is computed, and the mask serves any device. `device`, `BLOCK_SIZE` and
    `_compile` are taken and have no effect."""
    return BlockMask(mask_mod, B, H, Q_LEN, KV_LEN)


@functools.lru_cache(maxsize=4096)
def operator(text: str) -> Operator:
    return Operator(Spec(text, name="flex.attn"))


@torch.compiler.disable(reason="the mask and score functions are traced by attnc; compile attnc.torch.op(attnc.Spec(attnc.from_flex(...))) instead")
def flex_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, score_mod: Mod | None = None,
                   block_mask: BlockMask | None = None, scale: float | None = None, enable_gqa: bool = False, return_lse: bool = False,
                   kernel_options: Mapping[str, Any] | None = None, *, return_aux: AuxRequest | None = None,
                   mask_mod: Mod | None = None) -> Any:
    """Attention with a score and a mask written in Python, as torch.nn.attention.flex_attention.flex_attention has it.

    query: [B, Hq, L, E]; key: [B or 1, Hkv, S, E]; value: [B or 1, Hkv, S, Ev], of float32, float16 or bfloat16, on the CPU or a GPU
    score_mod: (score, b, h, q_idx, kv_idx) -> score, of the scaled product
    block_mask: of `attnc.create_block_mask`; or mask_mod: the function itself
    scale: 1 / sqrt(E) if None
    enable_gqa: whether Hq may be a multiple of Hkv
    return_lse, return_aux=AuxRequest(lse=True): the natural logarithm of each row's sum, float32 [B, Hq, L], beside the result
    kernel_options: taken, with no effect: they are for the kernels of PyTorch

    Returns [B, Hq, L, Ev] in query's dtype; rows without a key are 0, their lse is -inf. Differentiable, captured tensors included,
    as attnc.torch's operators are. A number that a function captures is a parameter: another value compiles nothing.
    Raises TraceError for a function that a spec cannot say, and ArgumentError.
    """
    check(query, key, enable_gqa, block_mask, mask_mod)
    if return_aux is not None and return_aux.max_scores:
        raise ArgumentError("return_aux: max_scores is not computed; lse is")
    if block_mask is not None:
        mask_mod = block_mask.mask_mod
    wants_lse = return_lse or (return_aux is not None and return_aux.lse)
    found = attend(trace(mask_mod, score_mod, query.device), query, key, value, scale=scale, return_lse=wants_lse)
    out, lse = found if wants_lse else (found, None)
    if return_aux is not None:
        return out, AuxOutput(lse=lse)
    return (out, lse) if return_lse else out


def attend(traced: Traced, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None = None,
           sink: torch.Tensor | None = None, return_lse: bool = False) -> Any:
    """Attention with functions that are traced, and a logit for each head ([H]) that joins the denominator."""
    params: dict[str, int | float] = dict(traced.params)
    # A number that a function has made itself is on the CPU.
    inputs = {name: x.to(query.device) if x.dim() == 0 else x for name, x in traced.operands().items()}
    more_params, statements = {}, []
    if scale is not None:
        more_params["softmax_scale"] = params["softmax_scale"] = float(scale)
        statements.append("scale softmax_scale")
    if sink is not None:
        inputs["sink_logit"] = sink.float()
        statements += ["input sink_logit: f32[h]", "sink sink_logit"]
    if return_lse:
        statements.append("output lse")
    batch = query.shape[0]
    key, value = (x.expand(batch, *x.shape[1:]) if x.shape[0] == 1 != batch else x for x in (key, value))
    text = traced.text("flex", statements, more_params, with_values=False)
    return operator(text)(query, key, value, named={**inputs, **params}, return_lse=return_lse)


def check(query: torch.Tensor, key: torch.Tensor, enable_gqa: bool, block_mask: Any, mask_mod: Mod | None) -> None:
    """What the spec itself does not check."""
    if query.dim() != 4 or key.dim() != 4:
        raise ArgumentError(f"query and key have 4 dimensions [B, H, L, E], found shapes {list(query.shape)} and {list(key.shape)}")
    if query.shape[1] != key.shape[1] and not enable_gqa:
        raise ArgumentError(f"query has {query.shape[1]} heads and key {key.shape[1]}: pass enable_gqa=True")
    if block_mask is not None and mask_mod is not None:
        raise ArgumentError("block_mask and mask_mod are given: expected one of them")
    if block_mask is None:
        return
    if not isinstance(block_mask, BlockMask):
        raise ArgumentError(f"block_mask is a {type(block_mask).__module__}.{type(block_mask).__name__}: expected one of attnc.create_block_mask. "
                            "A mask that is a table of blocks is no function; write it as a mask_mod that reads the table")
    b, h, rows, keys = block_mask.shape
    for name, size, found in (("B", b, query.shape[0]), ("H", h, query.shape[1])):
        if size not in (1, found):
            raise ArgumentError(f"block_mask was made for {name}={size}, query has {found}")
    if query.shape[2] > rows or key.shape[2] > keys:
        raise ArgumentError(f"block_mask was made for lengths {rows} and {keys}, query and key have {query.shape[2]} and {key.shape[2]}")
