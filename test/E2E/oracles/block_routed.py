# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Blocks chosen per query token: C10 to C13, and L10.

Q [b,h,n,d], K [b,g,n,d], V [b,g,n,e], q = n unless said otherwise, scale s = 1/sqrt(d), j <= i inside the kept blocks.
"""
import numpy as np

from .block_prefill import pooled_keys
from .core import (Case, clear, f64, normal, oracle, per_query_head, pool_mean, positions, qkv, rms_norm, rope,
                   shape, sigmoid, softmax, softmax_attention, top_k)


def block_of(n, block):
    """Own block of each token as a column, and the block numbers as a row."""
    return (np.arange(n) // block)[:, None], np.arange(-(-n // block))[None, :]


def token_mask(keep, block, n):
    """keep [..., n, blocks] -> [..., n, n] with j <= i."""
    return np.repeat(keep, block, -1)[..., :n] & np.tri(n, dtype=bool)


@oracle("C10", kind="formula", source="SeerAttention-R, arXiv 2506.08889; decode_sparse/attn_gate_inf.py")
def seer_decode(rng, size):
    """Decode, one query row (q = 1, on the last key). Per key head: q' = concat of the group's QPre times WQ [g,(h/g)d,m];

    k' = RMSNorm(concat(max, min, mean) of a *filled* block of KPre times WK [g,3d,m]) (KNorm [m], eps 1e-6); RoPE (halves)
    at n-1 and at the first token of the block; G = softmax over the filled blocks of q'.k'/sqrt(m).
    keep [b,g,blocks]: G > threshold, plus the last block (filled or not); keep_top: the top_k of G plus the last block.
    All heads of the group share it. Q [b,h,1,d], QPre [b,h,1,d], KPre [b,g,n,d].
    """
    s, block, m, threshold, top = shape(size), 8, 8, 0.15, 2
    s = type(s)(s.b, s.h, s.g, 1, s.n, s.d, s.e)
    q, k, v = qkv(rng, s)
    q_pre, k_pre, _ = qkv(rng, s)
    group = s.h // s.g
    wq = normal(rng, s.g, group * s.d, m, scale=(group * s.d) ** -0.5)
    wk, weight = normal(rng, s.g, 3 * s.d, m), (1 + normal(rng, m, scale=0.2)).astype(np.float32)
    filled, count = s.n // block, -(-s.n // block)
    gate_q = rope(np.einsum("bgx,gxm->bgm", f64(q_pre).reshape(s.b, s.g, -1), f64(wq))[:, :, None], np.array([s.n - 1]))
    gate_k = np.einsum("bgnd,gdm->bgnm", pooled_keys(f64(k_pre), block, filled), f64(wk))
    gate_k = rope(rms_norm(gate_k, 1e-6, f64(weight)), np.arange(filled) * block)
    g = softmax(np.einsum("bgim,bgjm->bgij", gate_q, gate_k)[:, :, 0] / np.sqrt(m))
    clear(g - threshold)
    keep, keep_top = np.ones((2, s.b, s.g, count), bool)
    keep[..., :filled], keep_top[..., :filled] = g > threshold, top_k(g, top)
    keep[..., -1] = keep_top[..., -1] = True
    outputs = {}
    for suffix, selected in (("", keep), ("_top", keep_top)):
        mask = per_query_head(np.repeat(selected, block, -1)[..., :s.n], s.h)[:, :, None]
        out, lse = softmax_attention(q, k, v, mask)
        outputs.update({"keep" + suffix: selected, "out" + suffix: out, "lse" + suffix: lse})
    return Case({"Q": q, "K": k, "V": v, "QPre": q_pre, "KPre": k_pre, "WQ": wq, "WK": wk, "KNorm": weight},
                {"block": block, "threshold": threshold, "top_k": top, "rope_base": 10000.0, "eps": 1e-6}, outputs)


@oracle("C11", kind="formula", source="MoBA, arXiv 2502.13189; moba/moba_naive.py")
def moba(rng, size):
    """gate(i,n) = q_i . mean of K's block n (no scale), per query token and head; later blocks -inf, own block +inf;

    keep [b,h,n,blocks] = the top_k of them (own included); softmax over the union, j <= i.
    """
    s, block, top = shape(size, q=0), 8, 3
    q, k, v = qkv(rng, s)
    own, n = block_of(s.n, block)
    gate = np.einsum("bhid,bhnd->bhin", f64(q), per_query_head(pool_mean(f64(k), block), s.h))
    keep = top_k(np.where(n > own, -np.inf, np.where(n == own, np.inf, gate)), top)
    out, lse = softmax_attention(q, k, v, token_mask(keep, block, s.n))
    return Case({"Q": q, "K": k, "V": v}, {"block": block, "top_k": top}, {"keep": keep, "out": out, "lse": lse})


def compress(x, window, stride, w1, b1, w2, b2, position):
    """phi(X[c stride : c stride + window] + position) = relu(flatten . W1 + b1) W2 + b2: [b,g,n,d] -> [b,g,blocks,d]."""
    count = (x.shape[2] - window) // stride + 1
    parts = np.stack([x[:, :, c * stride:c * stride + window] + position for c in range(count)], 2)
    flat = parts.reshape(parts.shape[:3] + (-1,))
    return np.maximum(flat @ w1 + b1, 0) @ w2 + b2


@oracle("C12", kind="formula", source="NSA, arXiv 2502.11089; learned compression, overlap rule of the catalogue")
def nsa(rng, size):
    """o = sigmoid(GCmp) o_cmp + sigmoid(GSlc) o_slc + sigmoid(GSwa) o_swa, gates [b,h,n].

    cmp: k~, v~ = compress(K), compress(V), windows of l tokens every d_c; query i sees window c iff c d_c + l - 1 <= i;
         softmax over the seen windows, o_cmp = 0 where there is none.
    slc: importance of a selection block (l' tokens) = sum of p_cmp over the windows that overlap it, summed over the heads
         of the group; blocks 0, own and own - 1 forced, later ones excluded; top_n (forced included) -> keep [b,g,n,blocks].
    swa: 0 <= i - j < window.
    KW1, VW1 [l d, m], KB1, VB1 [m], KW2, VW2 [m, d], KB2, VB2 [d], KPos, VPos [l, d]; d = e. lse_cmp [b,h,n].
    """
    s, window_c, stride, block, top, window, m = shape(size, q=0), 4, 2, 8, 5, 10, 12
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    q, k, v = qkv(rng, s)
    inputs = {"Q": q, "K": k, "V": v}
    for name in "KV":
        inputs.update({name + "W1": normal(rng, window_c * s.d, m, scale=(window_c * s.d) ** -0.5),
                       name + "B1": normal(rng, m, scale=0.1), name + "W2": normal(rng, m, s.d, scale=2 * m ** -0.5),
                       name + "B2": normal(rng, s.d, scale=0.1), name + "Pos": normal(rng, window_c, s.d, scale=0.3)})
    gates = {name: normal(rng, s.b, s.h, s.n) for name in ("GCmp", "GSlc", "GSwa")}
    inputs.update(gates)
    kc, vc = (compress(f64(inputs[x]), window_c, stride, *(f64(inputs[x + y]) for y in ("W1", "B1", "W2", "B2", "Pos")))
              for x in "KV")
    starts = np.arange(kc.shape[2]) * stride
    seen = starts + window_c - 1 <= np.arange(s.n)[:, None]
    o_cmp, lse_cmp = softmax_attention(q, kc, vc, seen)
    x = np.einsum("bhid,bhcd->bhic", f64(q), per_query_head(kc, s.h)) / np.sqrt(s.d)
    p = softmax(np.where(seen, x, -np.inf))
    own, n = block_of(s.n, block)
    overlap = (starts[:, None] < (n + 1) * block) & (starts[:, None] + window_c > n * block)
    importance = (p @ overlap.astype(float)).reshape(s.b, s.g, s.h // s.g, s.n, -1).sum(2)
    forced = (n == 0) | (n == own) | (n == own - 1)
    keep = top_k(np.where(n > own, -np.inf, np.where(forced, np.inf, importance)), top)
    o_slc, _ = softmax_attention(q, k, v, per_query_head(token_mask(keep, block, s.n), s.h))
    i, j = positions(s.n, s.n)
    o_swa, _ = softmax_attention(q, k, v, (j <= i) & (i - j < window))
    weights = [sigmoid(f64(g))[..., None] for g in gates.values()]
    out = weights[0] * o_cmp + weights[1] * o_slc + weights[2] * o_swa
    return Case(inputs, {"l": window_c, "stride": stride, "block": block, "top_n": top, "window": window},
                {"keep": keep, "out": out, "o_cmp": o_cmp, "lse_cmp": lse_cmp, "o_slc": o_slc, "o_swa": o_swa})


def infllm_case(rng, size, block, top, window):
    """InfLLM-v2. stride = block/4, kernel = block/2: k~_c = mean(K[c stride : c stride + kernel]); a four times coarser set

    k2 (kernel 2 block, stride block) serves only for the normaliser: p_c = exp(s q.k~_c - lse(s q.k2)) with the kernels
    that lie fully in the past (end <= i), summed over the heads of the group. A query that sees no k2 kernel has p = 0;
    its blocks are all forced. Score of block b: max of p over c in [4b-1, 4b+3]. Block 0 and 0 <= own - b <= window/block
    (inclusive) := +inf, later blocks excluded, top_k (forced included) -> keep [b,g,n,blocks]; exact attention, j <= i.
    """
    s, stride, kernel = shape(size, q=0), block // 4, block // 2
    q, k, v = qkv(rng, s)

    def logits(window_k, step):
        count = (s.n - window_k) // step + 1
        means = np.stack([f64(k)[:, :, c * step:c * step + window_k].mean(2) for c in range(count)], 2)
        x = np.einsum("bhid,bhcd->bhic", f64(q), per_query_head(means, s.h)) / np.sqrt(s.d)
        return np.where(np.arange(count) * step + window_k - 1 <= np.arange(s.n)[:, None], x, -np.inf)

    fine, coarse = logits(kernel, stride), logits(4 * kernel, 4 * stride)
    with np.errstate(divide="ignore"):
        lse = np.log(np.exp(coarse).sum(-1, keepdims=True))
    p = np.where(np.isfinite(lse), np.exp(fine - np.where(np.isfinite(lse), lse, 0.0)), 0.0)
    p = p.reshape(s.b, s.g, s.h // s.g, s.n, -1).sum(2)
    own, n = block_of(s.n, block)
    score = np.stack([p[..., max(0, 4 * b - 1):4 * b + 4].max(-1) if 4 * b - 1 < p.shape[-1] else np.zeros(p.shape[:-1])
                      for b in range(n.size)], -1)
    forced = (n == 0) | (own - n >= 0) & (own - n <= window // block)
    # Neighbouring blocks share a kernel in their windows, so their scores may be the same number.
    keep = top_k(np.where(n > own, -np.inf, np.where(forced, np.inf, score)), top, exact_ties=True)
    out, norm = softmax_attention(q, k, v, per_query_head(token_mask(keep, block, s.n), s.h))
    return Case({"Q": q, "K": k, "V": v},
                {"block": block, "stride": stride, "kernel": kernel, "window": window, "top_k": top, "init_blocks": 1},
                {"keep": keep, "out": out, "lse": norm})


@oracle("C13", kind="formula", source="InfLLM-v2, arXiv 2506.07900; infllmv2_cuda_impl tests/stage1/naive_softmax.py")
def infllm(rng, size):
    """See infllm_case."""
    return infllm_case(rng, size, block=8, top=6, window=16)
