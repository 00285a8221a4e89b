# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attnc as an attention implementation of Hugging Face transformers.

    import attnc.transformers
    model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="attnc")

Importing this module registers it. The masks of models are functions of positions, which are traced into specs: causal,
sliding windows, chunks, padding, packed sequences, caches of any kind. See docs/PyTorch.md.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask as TorchBlockMask
from transformers import AttentionInterface
from transformers.masking_utils import (AttentionMaskInterface, add_offsets_to_mask_function, and_masks,
                                        causal_mask_function, padding_mask_function, prepare_padding_mask)

from .errors import ArgumentError
from .flex import BlockMask
from .flex._attention import attend
from .flex._trace import Traced, trace

NAME = "attnc"


class Mask(BlockMask, TorchBlockMask):
    """A mask of a model, traced once for all of its layers. It has nothing of PyTorch's class but the type, by which transformers
    knows a mask that is ready."""

    def __init__(self, mask_mod: Callable[..., Any], *shape: int) -> None:
        super().__init__(mask_mod, *shape)
        self._traced: dict[object, Traced] = {}

    def traced(self, score_mod: Callable[..., Any] | None, key: object, device: torch.device) -> Traced:
        """The mask with a score; `key` is what the score depends on, None for one that captures tensors of a layer."""
        if key is None:
            return trace(self.mask_mod, score_mod, device)
        if (key, device) not in self._traced:
            self._traced[key, device] = trace(self.mask_mod, score_mod, device)
        return self._traced[key, device]


def mask(batch_size: int, q_length: int, kv_length: int, q_offset: int | torch.Tensor = 0, kv_offset: int = 0,
         mask_function: Callable[..., Any] = causal_mask_function, attention_mask: torch.Tensor | None = None, **_: Any) -> Mask:
    """What transformers asks for once in a forward pass: the mask function at the positions of its queries and keys, and the
    padding that attention_mask [batch, keys] says."""
    if isinstance(q_offset, torch.Tensor):
        q_offset = q_offset.clone()  # a static cache counts on in its own tensor before the layers read the mask
    padding = prepare_padding_mask(attention_mask, kv_length, kv_offset)
    if padding is not None:
        mask_function = and_masks(mask_function, padding_mask_function(padding.bool()))
    return Mask(add_offsets_to_mask_function(mask_function, q_offset, kv_offset), batch_size, 1, q_length, kv_length)


@torch.compiler.disable(reason="masks of transformers are traced by attnc")
def attention(module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
              attention_mask: Mask | torch.Tensor | None, dropout: float = 0.0, scaling: float | None = None,
              softcap: float | None = None, is_causal: bool | None = None, s_aux: torch.Tensor | None = None,
              position_bias: torch.Tensor | None = None, **_: Any) -> tuple[torch.Tensor, None]:
    """The attention of a layer: query [b, h, q, d], key [b, g, kv, d], value [b, g, kv, e] to [b, q, h, e].

    attention_mask: of `mask`; a tensor [b or 1, h or 1, q, kv or more] of conditions or of what is added to scores; or None:
        all keys, and for causal layers those up to the query
    softcap: scores become softcap * tanh(score / softcap); s_aux: a sink for each head [h]; position_bias: added to scores
    A window is in the mask. Raises ArgumentError for dropout, which is not computed.
    """
    if dropout and module.training:
        raise ArgumentError(f"{type(module).__name__} has dropout {dropout} on its weights, which is not computed: set attention_dropout=0 in "
                            "the configuration, or call model.eval()")
    tables = [] if position_bias is None else [position_bias]
    if isinstance(attention_mask, Mask):
        made = attention_mask
    else:
        table, mask_mod = attention_mask, all_keys
        if table is None and query.shape[2] > 1 and (getattr(module, "is_causal", True) if is_causal is None else is_causal):
            mask_mod = causal_mask_function
        elif table is not None and table.dtype == torch.bool:
            mask_mod = functools.partial(at, table)
        elif table is not None:
            tables.append(table)
        made = Mask(mask_mod, 1, 1, query.shape[2], key.shape[2])

    def score(s: Any, b: Any, h: Any, q: Any, kv: Any) -> Any:
        if softcap is not None:
            s = softcap * torch.tanh(s / softcap)
        for bias in tables:
            s = s + at(bias, b, h, q, kv)
        return s

    has_score = softcap is not None or len(tables) > 0
    traced = made.traced(score if has_score else None, None if tables else ("softcap", softcap), query.device)
    out = attend(traced, query, key, value, scale=scaling, sink=s_aux)
    return out.transpose(1, 2).contiguous(), None


def at(table: torch.Tensor, b: Any, h: Any, q: Any, kv: Any) -> Any:
    """The element of a table whose dimensions of size 1 stand for all indices."""
    return table[tuple(0 if size == 1 else index for size, index in zip(table.shape, (b, h, q, kv)))]


def all_keys(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return kv.new_ones((), dtype=torch.bool)


def register(name: str = NAME) -> None:
    """Makes `attn_implementation=name` mean this module. Importing it does so for "attnc"."""
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask)


register()
