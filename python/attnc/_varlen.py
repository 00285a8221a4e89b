# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention over sequences of different lengths, packed one behind the other."""
from __future__ import annotations

from typing import Any

import torch

from ._spec import Spec
from .errors import ArgumentError
from .torch import Operator

# A row has the keys from its first to its last one, which are computed outside: windows, causality and the ends of sequences are
# all of this form, so that one kernel serves them.
TEXT = """
attention varlen({params}softmax_scale: f32 = 1.0) {{
  input first_key: i32[q], last_key: i32[q]{input}
  scale softmax_scale
  mask kv >= first_key[q] and kv <= last_key[q]
  {statements}
  output lse
}}
"""
CAP, SINK = "score softcap * tanh(s / softcap)", "sink sink_logit"
OPERATORS = {(cap, sink): Operator(Spec(TEXT.format(
    params="softcap: f32 = 1.0, " if cap else "", input=", sink_logit: f32[h]" if sink else "",
    statements="\n  ".join([CAP] * cap + [SINK] * sink)), name="varlen.attn")) for cap in (False, True) for sink in (False, True)}


def varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens_q: torch.Tensor, cu_seqlens_k: torch.Tensor,
           max_seqlen_q: int | None = None, max_seqlen_k: int | None = None, *, scale: float | None = None, causal: bool = False,
           window_size: tuple[int, int] = (-1, -1), softcap: float = 0.0, sink: torch.Tensor | None = None,
           return_lse: bool = False) -> Any:
    """Attention within each of several sequences that are packed along the first dimension.

    q: [total_q, h, d], k: [total_k, g, d], v: [total_k, g, e]: of one dtype, float32, float16 or bfloat16; h is a multiple of g
    cu_seqlens_q, cu_seqlens_k: [sequences + 1] ints on the same device, ascending from 0: sequence i has the rows from element i
        up to element i + 1. Rows behind the last one are 0
    max_seqlen_q, max_seqlen_k: taken, as other packages have them; not needed
    scale: 1 / sqrt(d) if None
    causal: queries see keys up to their own; the last query of a sequence is at its last key
    window_size: keys before and behind the query that are seen, beside its own; -1 for all
    softcap: scores become softcap * tanh(score / softcap); 0 for none
    sink: [h]; a logit for each head that joins the denominator
    return_lse: return (out, lse); lse is [h, total_q], float32, natural logarithm, with the sink

    Returns [total_q, h, e]. Works in torch.compile(fullgraph=True), and is differentiable as attnc.torch's operators are.
    Does not wait for a GPU. Raises ArgumentError.
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dim() != 3:
            raise ArgumentError(f"`{name}` must have 3 dimensions [total, heads, dim], found shape {list(x.shape)}")
    if cu_seqlens_q.dim() != 1 or cu_seqlens_q.shape != cu_seqlens_k.shape or cu_seqlens_q.shape[0] < 2:
        raise ArgumentError("cu_seqlens_q and cu_seqlens_k have one entry for each sequence and one more, found shapes "
                            f"{list(cu_seqlens_q.shape)} and {list(cu_seqlens_k.shape)}")
    first, last = intervals(q.shape[0], cu_seqlens_q, cu_seqlens_k, window_size[0], 0 if causal else window_size[1])
    named: dict[str, Any] = {"first_key": first, "last_key": last, "softmax_scale": q.shape[-1] ** -0.5 if scale is None else scale}
    if softcap:
        named["softcap"] = softcap
    if sink is not None:
        named["sink_logit"] = sink.float()
    # [total, heads, dim] read as [1, heads, total, dim], without a copy
    out, lse = OPERATORS[bool(softcap), sink is not None](*(x.transpose(0, 1).unsqueeze(0) for x in (q, k, v)), named=named, return_lse=True)
    out = out.squeeze(0).transpose(0, 1)
    return (out, lse.squeeze(0)) if return_lse else out


def intervals(total: int, cu_seqlens_q: torch.Tensor, cu_seqlens_k: torch.Tensor, left: int, right: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first and the last key that each row sees; the last is before the first where it sees none."""
    ends_q = cu_seqlens_q[1:].long()
    starts_k, ends_k = cu_seqlens_k[:-1].long(), cu_seqlens_k[1:].long()
    rows = torch.arange(total, device=cu_seqlens_q.device)
    sequence = torch.searchsorted(ends_q, rows, right=True)
    is_padding = sequence >= ends_q.shape[0]
    sequence = sequence.clamp(max=ends_q.shape[0] - 1)
    first, last = starts_k[sequence], ends_k[sequence] - 1
    place = rows - ends_q[sequence] + ends_k[sequence]  # ends of queries and keys are at one place
    if left >= 0:
        first = torch.maximum(first, place - left)
    if right >= 0:
        last = torch.minimum(last, place + right)
    return first.int(), torch.where(is_padding, -1, last).int()
