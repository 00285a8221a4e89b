# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Low-bit attention: family B, and the pieces that C1 shares with it.

Q [b,h,q,d], K [b,g,n,d], V [b,g,n,e], causal with the last query on the last key, scale s = 1/sqrt(d); out [b,h,q,e],
lse [b,h,q] (natural). Codes are rounded as the source rounds them; everything else is exact (float64) arithmetic on the
de-quantized values, so scales are not rounded to float32 unless the format says so (the e4m3 scales of B3).

P is rounded inside the online softmax and therefore depends on the order of the tiles: tiles of `tile` keys in rising
order, for each row m <- max(m, max x), acc and l scaled by 2^(m_old - m); l sums the p that are not rounded.

Roundings go from float64 to the format in one step. Going through float32, as a kernel does, gives the other neighbour in
about one of 8000 roundings to float16; the cases of B1 and C1 therefore have the bound F16_BOUND and not 1e-9.
"""
import numpy as np

from .core import Case, blocks, f64, normal, oracle, per_query_head, positions, qkv, shape
from .numerics import round_half_away, round_to, round_to_f16

LOG2E = np.log2(np.e)
F16_BOUND = 2e-5


def online_softmax(x, v, tile, round_p, offset=0.0):
    """Base-2 logits x [..., q, n] (masked: -inf) in tiles: out = acc / l and log2 of the sum of exponentials.

    p = 2^(x - m + offset) goes through round_p before it meets v; the offset cancels in acc / l.
    """
    m, l, acc = np.full(x.shape[:-1], -np.inf), np.zeros(x.shape[:-1]), np.zeros(x.shape[:-1] + (v.shape[-1],))
    for a, b in blocks(x.shape[-1], tile):
        m_new = np.maximum(m, x[..., a:b].max(-1))
        base = np.where(np.isfinite(m_new), m_new, 0.0)
        shrink = np.exp2(np.where(np.isfinite(m), m - base, -np.inf))
        p = np.exp2(x[..., a:b] - base[..., None] + offset)
        l = l * shrink + p.sum(-1)
        acc = acc * shrink[..., None] + round_p(p) @ v[..., a:b, :]
        m = m_new
    with np.errstate(divide="ignore"):
        lse2 = np.where(np.isfinite(m), m, 0.0) + np.log2(l) - offset
    return acc / np.where(l == 0, 1.0, l)[..., None], lse2


def quantize_groups(x, group, top, eps=0.0):
    """Integer codes of rows that share a scale: rows r with equal group[r]. scale = max|x| / top + eps; half away from 0.

    Returns the de-quantized rows. x [..., n, d], group [n].
    """
    out = np.empty_like(x)
    for name in np.unique(group):
        rows = group == name
        scale = np.abs(x[..., rows, :]).max((-1, -2), keepdims=True) / top + eps
        out[..., rows, :] = round_half_away(x[..., rows, :] / scale) * scale
    return out


def causal_logits(q, k, mask, bias=0.0):
    """[b,h,q,d] . [b,h,n,d] + bias, -inf where masked."""
    return np.where(mask, np.einsum("bhid,bhjd->bhij", q, k) + bias, -np.inf)


@oracle("B1", kind="formula", source="SageAttention, arXiv 2410.02367; triton/quant_per_block.py, attn_qk_int8_per_block.py")
def sage1(rng, size):
    """km = mean_j K (per batch and key head), K <- K - km; int8 codes per block_q rows of q s log2(e) and block_k rows of k,

    scale max/127, rounded half away from zero; P and V rounded to float16; lse = ln(2) lse2 + s q.km.
    """
    s, block_q, block_k = shape(size), 16, 8
    q, k, v = qkv(rng, s)
    q = (q + normal(rng, 1, s.h, 1, s.d)).astype(np.float32)
    k = (k + 3 * normal(rng, 1, s.g, 1, s.d)).astype(np.float32)  # a common part, which smoothing takes away
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    mean = kd.mean(2, keepdims=True)
    q8 = quantize_groups(qd * (LOG2E / np.sqrt(s.d)), np.arange(s.q) // block_q, 127)
    k8 = quantize_groups(kd - mean, np.arange(s.n) // block_k, 127)
    i, j = positions(s.q, s.n)
    out, lse2 = online_softmax(causal_logits(q8, k8, j <= i), round_to_f16(vd), block_k, round_to_f16)
    lse = lse2 / LOG2E + (qd * mean).sum(-1) / np.sqrt(s.d)
    return Case({"Q": q, "K": k, "V": v}, {"block_q": block_q, "block_k": block_k, "tile": block_k},
                {"out": out, "lse": lse}, bound=F16_BOUND)


def thread_groups(n, slab, row_of):
    r = np.arange(n)
    return r // slab * 8 + row_of(r % slab)


@oracle("B2", kind="formula", source="SageAttention2, arXiv 2411.10958; triton/quant_per_thread.py, qattn/attn_utils.cuh")
def sage2(rng, size):
    """Scales per MMA thread, FP8 values, static P scale.

    Q: rows of a slab_q slab with equal row mod 8 share a scale; K (mean removed): rows {8n+2t, 8n+2t+1} of a slab_k slab.
    scale = max/top + 1e-7, top = 127 (int8) or 7 (int4), half away from zero.
    V: vm = mean_j V, dV[c] = max_j |V - vm| / 448, codes e4m3 of (V - vm)/dV; o += vm at the end.
    P: offset log2(448), e4m3 codes; l sums the unrounded p.
    out, lse:          int8, as shipped (no smoothing of q)
    out_int4, lse_int4: int4 with smooth-Q: q <- q - qm of its block_q block, logits + s qm.(k - km), as in the paper
    lse has the correction s q.km.
    """
    s, slab, block_q, tile = shape(size), 16, 16, 16
    q, k, v = qkv(rng, s)
    q = (q + 2 * normal(rng, 1, s.h, 1, s.d)).astype(np.float32)
    k = (k + 3 * normal(rng, 1, s.g, 1, s.d)).astype(np.float32)
    v = (v + normal(rng, 1, s.g, 1, s.e)).astype(np.float32)
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    scale = LOG2E / np.sqrt(s.d)
    k_mean, v_mean = kd.mean(2, keepdims=True), vd.mean(2, keepdims=True)
    smooth_k, smooth_v = kd - k_mean, vd - v_mean
    q_groups = thread_groups(s.q, slab, lambda r: r % 8)
    k_groups = thread_groups(s.n, slab, lambda r: r % 8 // 2)
    dv = np.abs(smooth_v).max(2, keepdims=True) / 448
    v8 = round_to(smooth_v / dv, "e4m3") * dv
    i, j = positions(s.q, s.n)
    correction = (qd * k_mean).sum(-1) / np.sqrt(s.d)
    outputs = {}
    for suffix, top, smooth_q in (("", 127, False), ("_int4", 7, True)):
        q_mean = np.zeros_like(qd)
        for a, b in blocks(s.q, block_q):
            q_mean[:, :, a:b] = qd[:, :, a:b].mean(2, keepdims=True) if smooth_q else 0.0
        q_codes = quantize_groups(qd - q_mean, q_groups, top, 1e-7)
        k_codes = quantize_groups(smooth_k, k_groups, top, 1e-7)
        bias = np.einsum("bhid,bhjd->bhij", q_mean, smooth_k)
        x = causal_logits(q_codes * scale, k_codes, j <= i, bias * scale)
        out, lse2 = online_softmax(x, v8, tile, lambda p: round_to(p, "e4m3"), np.log2(448))
        outputs["out" + suffix], outputs["lse" + suffix] = out + v_mean, lse2 / LOG2E + correction
    return Case({"Q": q, "K": k, "V": v}, {"slab_q": slab, "slab_k": slab, "block_q": block_q, "tile": tile}, outputs)


def quantize_fp4(x, axis):
    """NVFP4: groups of 16 along the axis, scale e4m3(max|x|/6), codes e2m1(x/scale). The last group may be short."""
    x = np.moveaxis(x, axis, -1)
    out = np.empty_like(x)
    for a, b in blocks(x.shape[-1], 16):
        scale = round_to(np.abs(x[..., a:b]).max(-1, keepdims=True) / 6, "e4m3")
        out[..., a:b] = np.where(scale > 0, round_to(x[..., a:b] / np.where(scale > 0, scale, 1), "e2m1") * scale, 0.0)
    return np.moveaxis(out, -1, axis)


@oracle("B3", kind="formula", source="SageAttention3, arXiv 2505.11594; sageattn3/api.py, blackwell/softmax_fused.h")
def sage3(rng, size):
    """k <- k - mean_j k; q <- q - qm (mean of its block_q rows), dS = qm.k in full precision; Q, K in NVFP4 along d, V in

    NVFP4 along the tokens. x = s log2(e) (q4.k4 + dS). Two-level P: offset log2(448*6), so p in [0, 2688]; per row and
    16 keys scale e4m3(max/6), codes e2m1; l sums the unrounded p. Tiles of `tile` keys, a multiple of 16. d is a
    multiple of 16 here. lse has no correction for the mean of k: it is not an output.
    """
    s, block_q, tile = shape(size), 16, 32
    s = type(s)(s.b, s.h, s.g, s.q, s.n, 32 if size == "odd" else 16, s.e)
    q, k, v = qkv(rng, s)
    q = (q + 2 * normal(rng, 1, s.h, 1, s.d)).astype(np.float32)
    k = (k + 3 * normal(rng, 1, s.g, 1, s.d)).astype(np.float32)
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    kd = kd - kd.mean(2, keepdims=True)
    q_mean = np.zeros_like(qd)
    for a, b in blocks(s.q, block_q):
        q_mean[:, :, a:b] = qd[:, :, a:b].mean(2, keepdims=True)
    bias = np.einsum("bhid,bhjd->bhij", q_mean, kd)
    scale = LOG2E / np.sqrt(s.d)
    i, j = positions(s.q, s.n)
    x = causal_logits(quantize_fp4(qd - q_mean, -1) * scale, quantize_fp4(kd, -1), j <= i, bias * scale)
    out, _ = online_softmax(x, quantize_fp4(vd, 2), tile, lambda p: quantize_fp4(p, -1), np.log2(448 * 6))
    return Case({"Q": q, "K": k, "V": v}, {"block_q": block_q, "tile": tile, "group": 16}, {"out": out})
