# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kernel pieces of pretrained models: family L.

Softmax layers: Q [b,h,q,d], K [b,g,n,d], V [b,g,n,e], the last query on the last key, scale 1/sqrt(d) unless said
otherwise. State-space layers: [b,t,c]. A model that alternates two kinds of layer has an output for each.
"""
import statistics

import numpy as np

from .block_routed import infllm_case
from .core import (Case, clear, f64, logsigmoid, normal, oracle, per_query_head, positions, qkv, rms_norm, rope,
                   shape, sigmoid, silu, softmax, softmax_attention, softplus)
from .recurrence import decay_recurrence
from .state_space import mamba2_case, selective_case


def rope_pairs(x, position, base=10000.0):
    """RoPE on neighbouring channels (x_2c, x_2c+1), as Llama 4 and Cohere do."""
    half = x.shape[-1] // 2
    angle = np.asarray(position, np.float64)[..., None] * base ** (-np.arange(half) / half)
    even, odd = x[..., 0::2], x[..., 1::2]
    out = np.empty_like(x)
    out[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
    out[..., 1::2] = odd * np.cos(angle) + even * np.sin(angle)
    return out


@oracle("L1", kind="formula", source="Gemma 3, arXiv 2503.19786; softcap is Gemma 2's")
def gemma3(rng, size):
    """A local layer: RMS norm of q and k with weight (1 + w), RoPE base 10000, 0 <= i-j < window.

    scale = query_pre_attn_scalar^-1/2. QNorm, KNorm [d]. out_softcap has x <- cap tanh(x / cap) before the mask.
    """
    s, window, scalar, cap = shape(size), 12, 24.0, 2.0
    q, k, v = qkv(rng, s)
    wq, wk = normal(rng, s.d, scale=0.3), normal(rng, s.d, scale=0.3)
    i, j = positions(s.q, s.n)
    qd = rope(rms_norm(f64(q), 1e-6, 1.0 + f64(wq)), i[:, 0])
    kd = rope(rms_norm(f64(k), 1e-6, 1.0 + f64(wk)), j[0])
    mask = (j <= i) & (i - j < window)
    out, lse = softmax_attention(qd, kd, v, mask, scale=scalar ** -0.5)
    capped, _ = softmax_attention(qd, kd, v, mask, scale=scalar ** -0.5, modify=lambda x: cap * np.tanh(x / cap))
    params = {"window": window, "query_pre_attn_scalar": scalar, "softcap": cap, "rope_base": 10000.0, "eps": 1e-6}
    return Case({"Q": q, "K": k, "V": v, "QNorm": wq, "KNorm": wk}, params,
                {"out": out, "lse": lse, "out_softcap": capped})


@oracle("L2", kind="formula", source="Command A, arXiv 2504.00698; Hugging Face cohere2")
def command_a(rng, size):
    """out: sliding window with RoPE (pairs of neighbours, base 10000). out_global: causal without any position."""
    s, window = shape(size), 10
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    qd, kd = rope_pairs(f64(q), i[:, 0]), rope_pairs(f64(k), j[0])
    out, lse = softmax_attention(qd, kd, v, (j <= i) & (i - j < window))
    full, _ = softmax_attention(q, k, v, j <= i)
    return Case({"Q": q, "K": k, "V": v}, {"window": window, "rope_base": 10000.0},
                {"out": out, "lse": lse, "out_global": full})


@oracle("L3", kind="formula", source="Llama 4; Hugging Face llama4")
def llama4(rng, size):
    """out: RoPE (pairs of neighbours), then q, k <- x / sqrt(mean x^2 + eps), mask i div chunk = j div chunk, j <= i.

    out_global: no RoPE, no norm, q_i *= 1 + 0.1 ln(1 + floor((i+1)/floor_scale)), causal.
    """
    s, chunk, floor_scale = shape(size), 16, 16
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    qd = rms_norm(rope_pairs(f64(q), i[:, 0]), 1e-6)
    kd = rms_norm(rope_pairs(f64(k), j[0]), 1e-6)
    out, lse = softmax_attention(qd, kd, v, (j <= i) & (i // chunk == j // chunk))
    temperature = 1.0 + 0.1 * np.log1p(np.floor((i + 1) / floor_scale))
    full, _ = softmax_attention(f64(q) * temperature, k, v, j <= i)
    return Case({"Q": q, "K": k, "V": v},
                {"chunk": chunk, "floor_scale": floor_scale, "rope_base": 10000.0, "eps": 1e-6},
                {"out": out, "lse": lse, "out_global": full})


@oracle("L4", kind="formula", source="Character.AI blog, 2024; the scale layout is ours")
def character_ai(rng, size):
    """One key/value head for all queries (g = 1), window, K and V stored as int8 with a float scale per token.

    k_j = K8[j] KScale[j], v_j = V8[j] VScale[j]; K8, V8 int8 [b,1,n,.], KScale, VScale float32 [b,1,n]. The cache is
    another layer's: nothing is written.
    """
    s, window = shape(size), 14
    s = type(s)(s.b, s.h, 1, s.q, s.n, s.d, s.e)
    q, k, v = qkv(rng, s)
    ks = (np.abs(k).max(-1) / 127).astype(np.float32)
    vs = (np.abs(v).max(-1) / 127).astype(np.float32)
    k8 = np.rint(k / ks[..., None]).clip(-127, 127).astype(np.int8)
    v8 = np.rint(v / vs[..., None]).clip(-127, 127).astype(np.int8)
    i, j = positions(s.q, s.n)
    out, lse = softmax_attention(q, f64(k8) * f64(ks)[..., None], f64(v8) * f64(vs)[..., None],
                                 (j <= i) & (i - j < window))
    return Case({"Q": q, "K8": k8, "V8": v8, "KScale": ks, "VScale": vs}, {"window": window},
                {"out": out, "lse": lse})


@oracle("L5", kind="formula", source="GPT-3, arXiv 2005.14165")
def gpt3(rng, size):
    """out: the locally banded layer, 0 <= i-j < band (width not published). out_dense: the dense causal layer."""
    s, band = shape(size), 17
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    out, lse = softmax_attention(q, k, v, (j <= i) & (i - j < band))
    dense, dense_lse = softmax_attention(q, k, v, j <= i)
    return Case({"Q": q, "K": k, "V": v}, {"band": band},
                {"out": out, "lse": lse, "out_dense": dense, "lse_dense": dense_lse})


@oracle("L6", kind="formula", source="Jamba, arXiv 2403.19887; Hugging Face jamba")
def jamba(rng, size):
    """The Mamba layer of I6 with weighted RMS norms on dt, B and C; its attention layer is A1. See selective_case."""
    return selective_case(rng, size, normed="weighted")


@oracle("L7", kind="formula", source="MiniMax-01, arXiv 2501.08313; Hugging Face minimax")
def minimax(rng, size):
    """out: lightning attention, q, k, v <- silu, S_t = e^{-slope_h} S + k v^T, o = S^T q without scale, then

    RMS norm over all heads together ([b,t,h*e], weight NormWeight [h*e], eps 1e-6) times sigmoid(Gate [b,t,h*e]).
    out_attention: causal softmax attention of the raw inputs with RoPE (halves, base 10000) on the first d/2 channels.
    Slope [h] = 2^{-8(h+1)/H} (1 - l/(L-1+1e-5) + 1e-5), here layer 1 of 4. h = g; out is [b,t,h*e].
    """
    s = shape(size, q=0)
    s = type(s)(s.b, s.h, s.h, s.q, s.n, 8 if size == "tiny" else 16, s.e)
    q, k, v = qkv(rng, s)
    gate, weight = normal(rng, s.b, s.n, s.h * s.e), (1 + normal(rng, s.h * s.e, scale=0.2)).astype(np.float32)
    slope = (2.0 ** (-8 * np.arange(1, s.h + 1) / s.h) * (1 - 1 / (3 + 1e-5) + 1e-5)).astype(np.float32)
    decay = np.broadcast_to(-f64(slope)[None, :, None, None], (s.b, s.h, s.n, 1))
    o, state = decay_recurrence(silu(f64(q)), silu(f64(k)), silu(f64(v)), decay)
    o = o.transpose(0, 2, 1, 3).reshape(s.b, s.n, -1)
    out = rms_norm(o, 1e-6, f64(weight)) * sigmoid(f64(gate))
    half = s.d // 2
    i, j = positions(s.q, s.n)
    qr = np.concatenate([rope(f64(q)[..., :half], i[:, 0]), f64(q)[..., half:]], -1)
    kr = np.concatenate([rope(f64(k)[..., :half], j[0]), f64(k)[..., half:]], -1)
    attention, _ = softmax_attention(qr, kr, v, j <= i)
    return Case({"Q": q, "K": k, "V": v, "Slope": slope, "Gate": gate, "NormWeight": weight},
                {"eps": 1e-6, "rope_base": 10000.0, "rope_dims": half},
                {"out": out, "S": state, "out_attention": attention})


@oracle("L8", kind="formula", source="YOCO, arXiv 2405.05254")
def yoco(rng, size):
    """out: gated retention, S_t = gamma_t S_{t-1} + k v^T, o = S^T q / sqrt(d), gamma_t = sigmoid(G_t)^{1/16}; G [b,h,t].

    RetK, RetV [b,h,t,.] feed the retention. out_cross: causal attention of Q over the one shared cache K, V [b,g,n,.].
    """
    s, tau = shape(size, q=0), 16.0
    q, k, v = qkv(rng, s)
    rk, rv, g = normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.e), normal(rng, s.b, s.h, s.n)
    decay = logsigmoid(f64(g))[..., None] / tau
    out, state = decay_recurrence(f64(q) / np.sqrt(s.d), f64(rk), f64(rv), decay)
    i, j = positions(s.q, s.n)
    cross, lse = softmax_attention(q, k, v, j <= i)
    return Case({"Q": q, "K": k, "V": v, "RetK": rk, "RetV": rv, "G": g}, {"tau": tau},
                {"out": out, "S": state, "out_cross": cross, "lse_cross": lse})


@oracle("L9", kind="formula", source="Phi-4-mini-flash, arXiv 2507.06607; ArchScale diff_attn.py")
def sambay(rng, size):
    """Differential attention under a window, and the gated memory unit.

    out: o = RMSNorm(A1 V - lambda A2 V) (1 - lambda_init), A1 = softmax(s Q1 K1^T), A2 = softmax(s Q2 K2^T),
    lambda = e^{Lq1.Lk1} - e^{Lq2.Lk2} + lambda_init; Q1, Q2 [b,h,q,d], K1, K2 [b,g,n,d], V [b,g,n,2d], the norm is over
    the 2d channels of a head with NormWeight [2d], eps 1e-5. lambda_init = 0.8 - 0.6 e^{-0.3 depth}.
    out_gmu: Mem * silu(GateIn), both [b,n,e]; the projections around it are plain matrix products.
    """
    s, window, depth = shape(size), 12, 3
    q1, k1, _ = qkv(rng, s)
    q2, k2, _ = qkv(rng, s)
    v = normal(rng, s.b, s.g, s.n, 2 * s.d)
    lq1, lk1, lq2, lk2 = (normal(rng, s.d, scale=0.3) for _ in range(4))
    weight = (1 + normal(rng, 2 * s.d, scale=0.2)).astype(np.float32)
    mem, gate = normal(rng, s.b, s.n, s.e), normal(rng, s.b, s.n, s.e)
    initial = 0.8 - 0.6 * np.exp(-0.3 * depth)
    lam = np.exp(f64(lq1) @ f64(lk1)) - np.exp(f64(lq2) @ f64(lk2)) + initial
    i, j = positions(s.q, s.n)
    mask = (j <= i) & (i - j < window)
    difference = softmax_attention(q1, k1, v, mask)[0] - lam * softmax_attention(q2, k2, v, mask)[0]
    out = rms_norm(difference, 1e-5, f64(weight)) * (1 - initial)
    return Case({"Q1": q1, "K1": k1, "Q2": q2, "K2": k2, "V": v, "Lq1": lq1, "Lk1": lk1, "Lq2": lq2, "Lk2": lk2,
                 "NormWeight": weight, "Mem": mem, "GateIn": gate},
                {"window": window, "depth": depth, "eps": 1e-5},
                {"out": out, "out_gmu": f64(mem) * silu(f64(gate))})


@oracle("L10", kind="formula", source="MiniCPM-4, arXiv 2506.07900")
def minicpm4(rng, size):
    """C13 in every layer (out), and dense causal attention for a call that is shorter than dense_len (out_dense)."""
    case = infllm_case(rng, size, block=8, top=5, window=16)
    s = shape(size, q=0)
    i, j = positions(s.q, s.n)
    case.outputs["out_dense"] = softmax_attention(case.inputs["Q"], case.inputs["K"], case.inputs["V"], j <= i)[0]
    return case


@oracle("L11", kind="formula", source="Falcon Mamba, arXiv 2410.05355; Hugging Face falcon_mamba")
def falcon_mamba(rng, size):
    """The Mamba layer of I6 with RMS norms without weight on dt, B and C. See selective_case."""
    return selective_case(rng, size, normed="plain")


@oracle("L12", kind="formula", source="Codestral Mamba, 2024")
def codestral_mamba(rng, size):
    """I7 with several groups of B and C."""
    return mamba2_case(rng, size, groups=2)


@oracle("L13", kind="formula", source="BERT-style encoders; the recurrent families are I2, I13, K7, I6")
def encoder(rng, size):
    """Not causal, keys j < Length[b] only (Length [b] int64); q = n."""
    s = shape(size, q=0)
    q, k, v = qkv(rng, s)
    length = (s.n - 5 * (1 + np.arange(s.b))).astype(np.int64)
    out, lse = softmax_attention(q, k, v, np.arange(s.n) < length[:, None, None, None])
    return Case({"Q": q, "K": k, "V": v, "Length": length}, {"causal": False}, {"out": out, "lse": lse})


@oracle("L14", kind="formula", source="Spark Transformer, arXiv 2506.06644, as remembered in the catalogue (uncertain)")
def spark(rng, size):
    """o_i = sum_j p_ij softplus(q2_i.k2_j) v_j, p_i = softmax over the j <= i with x_ij = q1_i.k1_j >= threshold_i.

    threshold = mean + std * Phi^-1(1 - top/count) over the count = i+1 visible keys, std with divisor count; a row with
    count <= top keeps all. q1 = Q[..., :r], q2 = Q[..., r:], K alike. No scale. keep [b,h,q,n] is the selection.
    """
    s, top = shape(size), 9
    r = s.d // 2
    q, k, v = qkv(rng, s)
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    x = np.einsum("bhid,bhjd->bhij", qd[..., :r], kd[..., :r])
    gate = softplus(np.einsum("bhid,bhjd->bhij", qd[..., r:], kd[..., r:]))
    keep = np.zeros(x.shape, bool)
    for row in range(s.q):
        count = s.n - s.q + row + 1
        seen = x[:, :, row, :count]
        if count <= top:
            keep[:, :, row, :count] = True
            continue
        quantile = statistics.NormalDist().inv_cdf(1 - top / count)
        gap = seen - (seen.mean(-1) + seen.std(-1) * quantile)[..., None]
        clear(gap)
        keep[:, :, row, :count] = gap >= 0
    out = softmax(np.where(keep, x, -np.inf)) * gate @ vd
    return Case({"Q": q, "K": k, "V": v}, {"r": r, "top": top}, {"out": out, "keep": keep})
