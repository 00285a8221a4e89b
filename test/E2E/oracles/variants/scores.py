# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scores: softmax attention whose logits are other than scaled products, or products of something else than rows of Q and K."""
import numpy as np

from . import variant
from ..core import Case, attend, f64, l2_norm, normal, per_query_head, positions, qkv, shape, softmax_attention, uniform


def causal(s):
    i, j = positions(s.q, s.n)
    return j <= i


def products(q, k):
    """q . k of all pairs, in float64, with grouped heads: [b, h, q, n]."""
    q, k = f64(q, k)
    return np.einsum("bhid,bhjd->bhij", q, per_query_head(k, q.shape[1]))


def between(g, q):
    """sum(g[.., m] for j < m <= i) of g [.., n] for the last q positions i and all j <= i: [.., q, n]."""
    n = g.shape[-1]
    total = np.zeros(g.shape[:-1] + (q, n))
    for row, i in enumerate(range(n - q, n)):
        for j in range(i):
            total[..., row, j] = g[..., j + 1:i + 1].sum(-1)
    return total


@variant("variants/scaled_cosine")
def scaled_cosine(rng, size):
    s = shape(size, q=0)
    q, k, v = qkv(rng, s)
    tau, bias = normal(rng, s.h, scale=3), normal(rng, s.h, s.q, s.n)
    temperature = np.minimum(np.exp(f64(tau)), 100)[:, None, None]
    x = products(l2_norm(f64(q), 1e-12), l2_norm(f64(k), 1e-12)) * temperature + f64(bias)
    out, _ = attend(x, per_query_head(f64(v), s.h))
    return Case({"Q": q, "K": k, "V": v, "Tau": tau, "Bias": bias}, {"eps": 1e-12}, {"out": out})


@variant("variants/forgetting")
def forgetting(rng, size):
    s, window = shape(size), 19
    q, k, v = qkv(rng, s)
    g = uniform(rng, -0.3, 0, s.b, s.h, s.n)
    i, j = positions(s.q, s.n)
    out, lse = softmax_attention(q, k, v, (j <= i) & (i - j < window), bias=between(f64(g), s.q))
    return Case({"Q": q, "K": k, "V": v, "G": g}, {"window": window}, {"out": out, "lse": lse})


@variant("variants/forgetting_sums")
def forgetting_sums(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    c = uniform(rng, -3, 0, s.b, s.h, s.n)
    bias = f64(c)[:, :, s.n - s.q:, None] - f64(c)[:, :, None, :]
    out, lse = softmax_attention(q, k, v, causal(s), bias=bias)
    return Case({"Q": q, "K": k, "V": v, "C": c}, {}, {"out": out, "lse": lse})


@variant("variants/graph_bias")
def graph_bias(rng, size):
    s, distances, hops, types = shape(size, q=0), 6, 3, 4
    q, k, v = qkv(rng, s)
    spatial, edge = normal(rng, s.h, distances), normal(rng, s.h, hops, types)
    distance = rng.integers(0, distances, (s.b, s.q, s.n)).astype(np.int32)
    kinds = rng.integers(0, types, (s.b, s.q, s.n, hops)).astype(np.int32)
    steps = rng.integers(0, hops + 1, (s.b, s.q, s.n)).astype(np.int32)
    bias = np.zeros((s.b, s.h, s.q, s.n))
    for b, i, j in np.ndindex(s.b, s.q, s.n):
        path = sum((f64(edge)[:, hop, kinds[b, i, j, hop]] for hop in range(steps[b, i, j])), np.zeros(s.h))
        bias[b, :, i, j] = f64(spatial)[:, distance[b, i, j]] + path / max(steps[b, i, j], 1)
    out, _ = softmax_attention(q, k, v, bias=bias)
    inputs = {"Q": q, "K": k, "V": v, "Spatial": spatial, "Edge": edge, "Distance": distance, "Types": kinds, "Steps": steps}
    return Case(inputs, {}, {"out": out})


@variant("variants/relative_keys")
def relative_keys(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    u, w, r = normal(rng, s.h, s.d), normal(rng, s.h, s.d), normal(rng, s.h, s.n, s.d)
    i, j = positions(s.q, s.n)
    content = products(f64(q) + f64(u)[:, None], k)
    by_distance = np.einsum("bhid,hrd->bhir", f64(q) + f64(w)[:, None], f64(r))
    place = np.take_along_axis(by_distance, np.broadcast_to(np.maximum(i - j, 0), by_distance.shape), -1)
    x = np.where(causal(s), (content + place) / np.sqrt(s.d), -np.inf)
    out, _ = attend(x, per_query_head(f64(v), s.h))
    return Case({"Q": q, "K": k, "V": v, "U": u, "W": w, "R": r}, {}, {"out": out})


@variant("variants/sandwich")
def sandwich(rng, size):
    """The bias as the product of two sinusoidal embeddings: cos(a - b) = cos a cos b + sin a sin b."""
    s, width = shape(size), 16
    q, k, v = qkv(rng, s)
    angle = np.arange(s.n)[:, None] * 10000.0 ** (-np.arange(width // 2) / (width // 2))
    embedding = np.concatenate([np.cos(angle), np.sin(angle)], -1)
    slope = 8 * np.arange(1, s.h + 1) / s.h
    bias = (embedding @ embedding.T)[s.n - s.q:] / slope[:, None, None]
    out, _ = softmax_attention(q, k, v, causal(s), bias=bias)
    return Case({"Q": q, "K": k, "V": v}, {"width": width}, {"out": out})


@variant("variants/selective")
def selective(rng, size):
    s = shape(size, q=0)
    q, k, v = qkv(rng, s)
    first = np.maximum(f64(q)[:, 0] @ f64(k)[:, 0].transpose(0, 2, 1) / np.sqrt(s.d), 0)
    masked = np.zeros((s.b, s.q, s.n))
    for i in range(s.q):  # what rows before i said of keys before them, not of the first
        for row in range(i):
            masked[:, i, 1:row] += first[:, row, 1:row]
    out, lse = softmax_attention(q, k, v, causal(s), bias=-masked[:, None])
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": out, "lse": lse})


@variant("variants/channel_decay")
def channel_decay(rng, size):
    """A sink is a key with the value 0 and its own logit."""
    s, window = shape(size), 19
    q, k, v = qkv(rng, s)
    g, scalar = uniform(rng, -0.1, 0, s.b, s.h, s.n, s.d), uniform(rng, -0.1, 0, s.b, s.h, s.n)
    sink = normal(rng, s.h)
    decay = np.exp(between(f64(g).transpose(0, 1, 3, 2), s.q))  # [b, h, d, q, n]
    x = np.einsum("bhid,bhjd,bhdij->bhij", f64(q), per_query_head(f64(k), s.h), decay) / np.sqrt(s.d) + between(f64(scalar), s.q)
    i, j = positions(s.q, s.n)
    x = np.where((j <= i) & (i - j < window), x, -np.inf)
    x = np.concatenate([x, np.broadcast_to(f64(sink)[:, None, None], x.shape[:3] + (1,))], -1)
    values = np.concatenate([per_query_head(f64(v), s.h), np.zeros((s.b, s.h, 1, s.e))], 2)
    out, _ = attend(x, values)
    return Case({"Q": q, "K": k, "V": v, "G": g, "GScalar": scalar, "Sink": sink}, {"window": window}, {"out": out})


@variant("low_rank/latent_rope_score")
def latent_rope_score(rng, size):
    """Both parts side by side in one head of d + r channels."""
    s, r = shape(size), 6
    q, k, v = qkv(rng, s)
    q_rope, k_rope = normal(rng, s.b, s.h, s.q, r), normal(rng, s.b, s.n, r)
    keys = np.concatenate([f64(k), np.broadcast_to(f64(k_rope)[:, None], (s.b, s.g, s.n, r))], -1)
    out, lse = softmax_attention(np.concatenate([f64(q), f64(q_rope)], -1), keys, v, causal(s))
    return Case({"Q": q, "K": k, "V": v, "QRope": q_rope, "KRope": k_rope}, {}, {"out": out, "lse": lse})


@variant("low_rank/latent_absorbed")
def latent_absorbed(rng, size):
    """Not absorbed: keys and values are projected up for each head, and attended to."""
    s, latent, r, n = shape(size), 12, 4, 6
    q_nope, q_rope = normal(rng, s.b, s.h, s.q, n), normal(rng, s.b, s.h, s.q, r)
    cache = normal(rng, s.b, s.n, latent + r)
    w_uk, w_uv = normal(rng, s.h, n, latent, scale=0.3), normal(rng, s.h, latent, s.e, scale=0.3)
    c, rope = f64(cache)[..., :latent], f64(cache)[..., latent:]
    keys = np.einsum("bjc,hnc->bhjn", c, f64(w_uk))
    keys = np.concatenate([keys, np.broadcast_to(rope[:, None], (s.b, s.h, s.n, r))], -1)
    values = np.einsum("bjc,hce->bhje", c, f64(w_uv))
    out, _ = softmax_attention(np.concatenate([f64(q_nope), f64(q_rope)], -1), keys, values, causal(s))
    inputs = {"QNope": q_nope, "QRope": q_rope, "Latent": cache, "WUK": w_uk, "WUV": w_uv}
    return Case(inputs, {"latent": latent}, {"out": out})
