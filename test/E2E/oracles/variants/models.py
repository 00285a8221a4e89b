# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers of models: what each does around its attention (norms, rotations, convolutions, pooled keys), after the models' code."""
import numpy as np

from . import variant
from .delta import delta_rule
from .scores import causal
from .sparse import best, block_mask, index_scores
from ..core import Case, attend, f64, l2_norm, normal, per_query_head, positions, qkv, rms_norm, rope, shape, sigmoid, silu
from ..core import softmax, softmax_attention, softplus


@variant("model/gpt_oss")
def gpt_oss(rng, size):
    s, window = shape(size), 13
    q, k, v = qkv(rng, s)
    sinks = normal(rng, s.h)
    i, j = positions(s.q, s.n)
    x = np.einsum("bhid,bhjd->bhij", f64(q), per_query_head(f64(k), s.h)) / np.sqrt(s.d)
    x = np.where((j <= i) & (i - j < window), x, -np.inf)
    x = np.concatenate([x, np.broadcast_to(f64(sinks)[:, None, None], x.shape[:3] + (1,))], -1)
    p = softmax(x)[..., :-1]  # the sink's column is dropped, as the model's code does
    lse = np.log(np.exp(x).sum(-1))
    out = p @ per_query_head(f64(v), s.h)
    return Case({"Q": q, "K": k, "V": v, "Sinks": sinks}, {"layer": 2, "window": window}, {"out": out, "lse": lse})


@variant("model/qwen3_next")
def qwen3_next(rng, size):
    s, n = shape(size), 4
    q, k, v = qkv(rng, s)
    q_norm, k_norm, gate = normal(rng, s.d, scale=0.3), normal(rng, s.d, scale=0.3), normal(rng, s.b, s.h, s.q, s.e)
    def turned(x, place):
        return np.concatenate([rope(x[..., :n], place, 1e7), x[..., n:]], -1)
    queries = turned(rms_norm(f64(q), 1e-6, 1 + f64(q_norm)), np.arange(s.n - s.q, s.n))
    keys = turned(rms_norm(f64(k), 1e-6, 1 + f64(k_norm)), np.arange(s.n))
    out, _ = softmax_attention(queries, keys, v, causal(s))
    inputs = {"Q": q, "K": k, "V": v, "QNorm": q_norm, "KNorm": k_norm, "Gate": gate}
    return Case(inputs, {"rope_dims": n, "base": 1e7, "eps": 1e-6}, {"out": out * sigmoid(f64(gate))})


@variant("model/gemma4")
def gemma4(rng, size):
    """The rotation as transformers' "proportional" kind: frequencies of the whole head, of which the last are set to zero."""
    s = shape(size)
    q, k, _ = qkv(rng, s)
    q_norm, k_norm = normal(rng, s.d), normal(rng, s.d)
    half = s.d // 2
    frequency = 1e6 ** (-np.arange(half) / half)
    frequency[int(np.ceil(0.25 * half)):] = 0

    def turned(x, place):
        angle = place[:, None] * frequency
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)

    queries = turned(rms_norm(f64(q), 1e-6, f64(q_norm)), np.arange(s.n - s.q, s.n))
    keys = turned(rms_norm(f64(k), 1e-6, f64(k_norm)), np.arange(s.n))
    out, _ = softmax_attention(queries, keys, rms_norm(f64(k), 1e-6), causal(s), scale=1)
    inputs = {"Q": q, "K": k, "QNorm": q_norm, "KNorm": k_norm}
    return Case(inputs, {"theta": 1e6, "share": 0.25, "eps": 1e-6}, {"out": out})


@variant("model/minimax_m3")
def minimax_m3(rng, size):
    s, block, top_blocks, local = shape(size), 8, 3, 2
    q, k, v = qkv(rng, s)
    qi, ki = normal(rng, s.b, s.g, s.q, 5), normal(rng, s.b, s.n, 5)
    score = np.where(causal(s), np.einsum("bgqi,bni->bgqn", f64(qi), f64(ki)), -np.inf)
    num = -(-s.n // block)
    padded = np.concatenate([score, np.full(score.shape[:3] + (num * block - s.n,), -np.inf)], -1)
    score = padded.reshape(s.b, s.g, s.q, num, block).max(-1)
    keep = np.zeros(score.shape, bool)
    for b, g, row in np.ndindex(s.b, s.g, s.q):
        own = (row + s.n - s.q) // block
        forced = np.isin(np.arange(num), range(own - local + 1, own + 1))
        keep[b, g, row, best(np.where(forced, np.inf, score[b, g, row]), np.arange(num) <= own, top_blocks)] = True
    out, lse = softmax_attention(q, k, v, per_query_head(block_mask(keep, block, s.n), s.h) & causal(s))
    params = {"block": block, "top_blocks": top_blocks, "local": local}
    return Case({"Q": q, "K": k, "V": v, "QI": qi, "KI": ki}, params, {"out": out, "lse": lse, "keep": keep})


def overlapped(c, gate, bias, ratio):
    """Gated pooling of complete blocks with the one before: c, gate [b, n, 2, d], bias [ratio, 2, d] -> normed [b, blocks, d]."""
    pooled = []
    for n in range(c.shape[1] // ratio):
        own, before = slice(n * ratio, (n + 1) * ratio), slice((n - 1) * ratio, n * ratio)
        entries, logits = [c[:, own, 1]], [gate[:, own, 1] + bias[:, 1]]
        if n:
            entries.append(c[:, before, 0])
            logits.append(gate[:, before, 0] + bias[:, 0])
        pooled.append((softmax(np.concatenate(logits, 1), 1) * np.concatenate(entries, 1)).sum(1))
    return rms_norm(np.stack(pooled, 1), 1e-6)


def pair_rope(x, place, turned):
    """Rotates the last `turned` channels of x [.., rows, d], neighbours paired, as complex numbers."""
    head, tail = x[..., :-turned], x[..., -turned:]
    z = tail[..., 0::2] + 1j * tail[..., 1::2]
    z = z * np.exp(1j * place[:, None] * 10000.0 ** (-2 * np.arange(turned // 2) / turned))
    return np.concatenate([head, np.stack([z.real, z.imag], -1).reshape(tail.shape)], -1)


def window_and_pooled(s, q, k, pooled, window, seen, sinks):
    """One softmax over the keys of a window, pooled entries [b, blocks, d] where `seen` [b, q, blocks], and a sink; keys are
    values. Keys and entries stand in one long row."""
    i, j = positions(s.q, s.n)
    keys = np.concatenate([per_query_head(k, s.h), np.repeat(pooled[:, None], s.h, 1)], 2)
    near = np.broadcast_to((j <= i) & (i - j < window), (s.b, s.q, s.n))
    mask = np.concatenate([near, seen], -1)[:, None]
    x = np.where(mask, q @ keys.transpose(0, 1, 3, 2) / np.sqrt(s.d), -np.inf)
    x = np.concatenate([x, np.broadcast_to(sinks[:, None, None], x.shape[:3] + (1,))], -1)
    return attend(x, np.concatenate([keys, np.zeros((s.b, s.h, 1, s.d))], 2))[0]


@variant("model/deepseek_v4_csa")
def deepseek_v4_csa(rng, size):
    s, ratio, window, top_k, turned, heads, channels = shape(size), 4, 6, 3, 4, 3, 5
    q, k, _ = qkv(rng, s)
    c, gate, bias = normal(rng, s.b, s.n, 2, s.d), normal(rng, s.b, s.n, 2, s.d), normal(rng, ratio, 2, s.d)
    ic, igate = normal(rng, s.b, s.n, 2, channels), normal(rng, s.b, s.n, 2, channels)
    ibias, qi, wi = normal(rng, ratio, 2, channels), normal(rng, s.b, s.q, heads, channels), normal(rng, s.b, s.q, heads)
    sinks = normal(rng, s.h)
    pooled = overlapped(f64(c), f64(gate), f64(bias), ratio)
    index = index_scores(f64(qi), overlapped(f64(ic), f64(igate), f64(ibias), ratio), f64(wi)) / np.sqrt(channels * heads)
    last = np.arange(pooled.shape[1]) * ratio + ratio - 1
    keep = np.zeros(index.shape, bool)
    for b, row in np.ndindex(s.b, s.q):
        keep[b, row, best(index[b, row], last <= row + s.n - s.q, top_k)] = True
    place = np.arange(s.n)
    out = window_and_pooled(s, pair_rope(f64(q), place[s.n - s.q:], turned), pair_rope(f64(k), place, turned),
                            pair_rope(pooled, last - ratio + 1, turned), window, keep, f64(sinks))
    out = pair_rope(out, -place[s.n - s.q:], turned)
    inputs = {"Q": q, "K": k, "C": c, "Gate": gate, "Bias": bias, "Sink": sinks, "IC": ic, "IGate": igate, "IBias": ibias,
              "QI": qi, "WI": wi}
    params = {"ratio": ratio, "window": window, "top_k": top_k, "turned": turned, "theta": 1e4, "eps": 1e-6}
    return Case(inputs, params, {"out": out, "keep": keep})


@variant("model/deepseek_v4_hca")
def deepseek_v4_hca(rng, size):
    s, ratio, window = shape(size), 8, 6
    q, k, _ = qkv(rng, s)
    c, gate, bias, sinks = normal(rng, s.b, s.n, s.d), normal(rng, s.b, s.n, s.d), normal(rng, ratio, s.d), normal(rng, s.h)
    num = s.n // ratio
    entries, logits = (f64(x)[:, :num * ratio].reshape(s.b, num, ratio, s.d) for x in (c, gate))
    pooled = rms_norm((softmax(logits + f64(bias), 2) * entries).sum(2), 1e-6)
    seen = np.arange(1, num + 1) * ratio - 1 <= np.arange(s.n - s.q, s.n)[:, None]
    out = window_and_pooled(s, f64(q), f64(k), pooled, window, np.broadcast_to(seen, (s.b, s.q, num)), f64(sinks))
    inputs = {"Q": q, "K": k, "C": c, "Gate": gate, "Bias": bias, "Sink": sinks}
    return Case(inputs, {"ratio": ratio, "window": window, "eps": 1e-6}, {"out": out})


def shifted(x, by=1):
    """x [.., n, d] of `by` tokens before; zero where there is none."""
    return np.concatenate([np.zeros_like(x[..., :by, :]), x[..., :x.shape[-2] - by, :]], -2)


@variant("model/zaya1")
def zaya1(rng, size):
    s = shape(size, q=0)
    q, k, v = qkv(rng, s)
    late, temp = normal(rng, s.b, s.g, s.n, s.e), normal(rng, s.g)
    dq, dk = normal(rng, s.h, s.d, 2), normal(rng, s.g, s.d, 2)
    mq, mk = normal(rng, s.h, s.d, s.d, 2, scale=0.3), normal(rng, s.g, s.d, s.d, 2, scale=0.3)

    def mixed(x, depthwise, mix):
        x = depthwise[:, None, :, 0] * shifted(x) + depthwise[:, None, :, 1] * x
        return sum(np.einsum("bhtx,hdx->bhtd", y, mix[..., i]) for i, y in enumerate((shifted(x), x)))

    both = (f64(q) + per_query_head(f64(k), s.h)) / 2
    queries = mixed(f64(q), f64(dq), f64(mq)) + both
    keys = mixed(f64(k), f64(dk), f64(mk)) + both.reshape(s.b, s.g, s.h // s.g, s.n, s.d).mean(2)
    queries = queries / np.linalg.norm(queries, axis=-1, keepdims=True) * np.sqrt(s.d)
    keys = keys / np.linalg.norm(keys, axis=-1, keepdims=True) * np.sqrt(s.d) * f64(temp)[:, None, None]
    values = np.concatenate([f64(v)[..., :s.e // 2], shifted(f64(late))[..., s.e // 2:]], -1)
    out, _ = softmax_attention(queries, keys, values, causal(s))
    return Case({"Q": q, "K": k, "V": v, "DQ": dq, "DK": dk, "MQ": mq, "MK": mk, "Temp": temp, "Late": late}, {}, {"out": out})


def short_conv(x, weight):
    """Causal convolution over 4 tokens and silu: x [b, h, t, c], weight [h, c, 4] whose last entry is the token's own."""
    return silu(sum(f64(weight)[:, None, :, 3 - i] * (shifted(f64(x), i) if i else f64(x)) for i in range(4)))


def kda_inputs(rng, s):
    """Inputs of a layer of Kimi Delta Attention over [b, h, n, ..]."""
    heads = (s.b, s.h, s.n)
    return {"ConvQ": normal(rng, s.h, s.d, 4), "ConvK": normal(rng, s.h, s.d, 4), "ConvV": normal(rng, s.h, s.e, 4),
            "F": normal(rng, *heads, s.d), "DtBias": normal(rng, s.h, s.d), "ALog": normal(rng, s.h), "Beta": normal(rng, *heads),
            "Gate": normal(rng, *heads, s.e), "NormWeight": normal(rng, s.e)}


def kda(q, k, v, x, log_decay):
    """The layer's output and the last state, given the logarithms of the decays [b, h, n, d]."""
    queries, keys = l2_norm(short_conv(q, x["ConvQ"])), l2_norm(short_conv(k, x["ConvK"]))
    raw, state = delta_rule(queries / np.sqrt(q.shape[-1]), keys, short_conv(v, x["ConvV"]), sigmoid(f64(x["Beta"])), log_decay)
    return rms_norm(raw, 1e-5, f64(x["NormWeight"])) * sigmoid(f64(x["Gate"])), state


@variant("model/kimi_k3")
def kimi_k3(rng, size):
    s = shape(size, q=0)
    q, k, v = normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.e)
    x = kda_inputs(rng, s)
    rate = np.exp(f64(x["ALog"]))[:, None, None]
    out, state = kda(q, k, v, x, -5 * sigmoid(rate * (f64(x["F"]) + f64(x["DtBias"])[:, None])))
    return Case({"Q": q, "K": k, "V": v, **x}, {"bound": -5.0, "eps": 1e-5, "l2_eps": 1e-6}, {"out": out, "S": state})


@variant("model/kimi_linear")
def kimi_linear(rng, size):
    s, latent, channels = shape(size, q=0), 7, 9
    q, k, v = qkv(rng, s)
    x = kda_inputs(rng, s)
    x["ConvK"], x["ConvV"] = normal(rng, s.h, s.d, 4), normal(rng, s.h, s.e, 4)
    rate = np.exp(f64(x["ALog"]))[:, None, None]
    decay = -rate * softplus(f64(x["F"]) + f64(x["DtBias"])[:, None])
    out_kda, _ = kda(q, per_query_head(k, s.h), per_query_head(v, s.h), x, decay)
    qx, cache, w_uv = normal(rng, s.b, s.h, s.q, channels), normal(rng, s.b, s.n, channels), normal(rng, s.h, latent, s.e)
    values = np.einsum("bjc,hce->bhje", f64(cache)[..., :latent], f64(w_uv))
    out, _ = softmax_attention(qx, np.repeat(f64(cache)[:, None], s.h, 1), values, causal(s))
    inputs = {"Q": q, "K": k, "V": v, **x, "QX": qx, "Latent": cache, "WUV": w_uv}
    return Case(inputs, {"latent": latent, "eps": 1e-5, "l2_eps": 1e-6}, {"out": out, "out_kda": out_kda})
