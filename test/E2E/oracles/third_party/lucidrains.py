# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The implementations of lucidrains: Performer, Linformer, Routing Transformer, Reformer, GateLoop, Efficient Attention.

Some of them need values of the same size as keys, hence sizes=("tiny", "gqa").
"""
import torch
import torch.nn.functional as F
from torch import nn

from ..core import oracle
from .adapt import Given, double_precision, flat_heads, split_heads, tensors

SAME = ("tiny", "gqa")


@oracle("H2", kind="third-party", source="performer-pytorch 1.1.4 softmax_kernel, linear_attention, causal (non-CUDA)")
def performer(case):
    from performer_pytorch import performer_pytorch as lib
    q, k, v, omega = tensors(case, "Q", "K", "V", "Omega")
    with double_precision():
        q = lib.softmax_kernel(q, projection_matrix=omega, is_query=True)
        k = lib.softmax_kernel(k, projection_matrix=omega, is_query=False)
        return {"out": lib.causal_linear_attention_noncuda(q, k, v, chunk_size=4, eps=1e-6),
                "out_global": lib.linear_attention(q, k, v)}


@oracle("G1", kind="third-party", source="linformer 0.2.3 LinformerSelfAttention", sizes=SAME)
def linformer(case):
    from linformer.linformer import LinformerSelfAttention
    q, k, v, e, f = tensors(case, "Q", "K", "V", "E", "F")
    b, h, n, d = q.shape
    with double_precision():
        layer = LinformerSelfAttention(h * d, n, k=case.params["k"], heads=h)
        layer.to_q, layer.to_k, layer.to_v = (Given(flat_heads(x)) for x in (q, k, v))
        layer.proj_k, layer.proj_v, layer.to_out = nn.Parameter(e), nn.Parameter(f), nn.Identity()
        return {"out": split_heads(layer(torch.zeros(b, n, h * d)), h)}


@oracle("F2", kind="third-party", source="routing-transformer 1.6.1 KmeansAttention", sizes=SAME)
def routing(case):
    from routing_transformer.routing_transformer import KmeansAttention
    q, k, v, centroids, mem_k, mem_v = tensors(case, "Q", "K", "V", "Centroids", "MemK", "MemV")
    with double_precision():
        layer = KmeansAttention(case.params["clusters"], case.params["w"], q.shape[1], q.shape[3], causal=True,
                                num_mem_kv=mem_k.shape[2]).eval()
        layer.kmeans.means.copy_(centroids)
        layer.kmeans.initted.fill_(True)
        layer.mem_key, layer.mem_value = nn.Parameter(mem_k), nn.Parameter(mem_v)
        return {"out": layer(q, k, v)[0]}


@oracle("F1", kind="third-party", source="reformer-pytorch 1.4.4 LSHAttention", sizes=SAME)
def reformer(case):
    """The library draws its rotations with torch.randn; here that call returns the case's."""
    from reformer_pytorch.reformer_pytorch import LSHAttention
    qk, v, rotations = tensors(case, "QK", "V", "Rotations")
    b, h, n, d = qk.shape
    randn = torch.randn
    with double_precision():
        layer = LSHAttention(bucket_size=case.params["block"], n_hashes=case.params["rounds"], causal=True,
                             allow_duplicate_attention=False, attend_across_buckets=False).eval()
        try:
            torch.randn = lambda shape, **_: rotations[None]
            out, _, buckets = layer(qk.flatten(0, 1), v.flatten(0, 1))
        finally:
            torch.randn = randn
    count = n // case.params["block"]
    buckets = buckets.reshape(b, h, -1, n) - count * torch.arange(case.params["rounds"])[:, None]
    return {"out": out.reshape(b, h, n, -1), "buckets": buckets}


@oracle("I10", kind="third-party", source="gateloop-transformer 0.2.5 gate_loop_operator")
def gateloop(case):
    from gateloop_transformer import gateloop_transformer as lib
    q, k, v, re, im, gate = tensors(case, "Q", "K", "V", "ARe", "AIm", "Gate")
    b, h, t, d = q.shape
    with double_precision():
        a = torch.stack([re, im], -1).reshape(b * h, t, 1, 1, 2)
        magnitude, phase = a.norm(dim=-1), torch.atan2(a[..., 1], a[..., 0])
        a = torch.polar(magnitude.sigmoid(), phase)
        x = [y.reshape(b * h, t, -1) for y in (q, k, v)]
        raw = lib.gate_loop_operator(*x, a).reshape(b, h, t, -1)
        return {"raw": raw, "out": raw * F.silu(gate)}


@oracle("A2", kind="third-party", source="linear-attention-transformer 0.19.1 linear_attn (bidirectional)",
        sizes=SAME)
def efficient_attention(case):
    """The library multiplies q by d^-1/2 after its softmax; undone here."""
    from linear_attention_transformer.linear_attention_transformer import linear_attn
    q, k, v = tensors(case, "Q", "K", "V")
    with double_precision():
        return {"out": linear_attn(q, k, v) * q.shape[-1] ** 0.5}
