# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights that are no plain softmax of a row: differences of softmaxes, other normalisations, pairs of keys, segments."""
import numpy as np

from . import variant
from .scores import causal, products
from ..core import Case, f64, normal, per_query_head, qkv, rms_norm, shape, sigmoid, softmax, softmax_attention, uniform


def logits(q, k):
    return products(q, k) / np.sqrt(q.shape[-1])


def weighted(p, v):
    """p V with grouped heads."""
    return p @ per_query_head(f64(v), p.shape[1])


@variant("variants/attention_residuals")
def attention_residuals(rng, size):
    s, layers = shape(size), 5
    query, x, weight = normal(rng, s.d), normal(rng, layers, s.b, s.n, s.d), normal(rng, s.d)
    p = softmax(rms_norm(f64(x), 1e-6, f64(weight)) @ f64(query), axis=0)
    out = np.einsum("lbi,lbic->bic", p, f64(x))
    return Case({"Query": query, "X": x, "Weight": weight}, {"eps": 1e-6}, {"out": out})


@variant("variants/differential")
def differential(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    q2, k2 = normal(rng, s.b, s.h, s.q, s.d), normal(rng, s.b, s.g, s.n, s.d)
    vectors = {name: normal(rng, s.d, scale=0.1) for name in ("LQ1", "LK1", "LQ2", "LK2")}
    norm = normal(rng, s.e)
    l = {name: f64(x) for name, x in vectors.items()}
    weight = np.exp(l["LQ1"] @ l["LK1"]) - np.exp(l["LQ2"] @ l["LK2"]) + 0.8
    mask = causal(s)
    p = softmax(np.where(mask, logits(q, k), -np.inf)) - weight * softmax(np.where(mask, logits(q2, k2), -np.inf))
    out = rms_norm(weighted(p, v), 1e-5, f64(norm)) * (1 - 0.8)
    inputs = {"Q": q, "K": k, "V": v, "Q2": q2, "K2": k2, "NormWeight": norm, **vectors}
    return Case(inputs, {"lambda_init": 0.8, "eps": 1e-5}, {"out": out})


@variant("variants/differential_heads")
def differential_heads(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    gate = normal(rng, s.b, s.h // 2, s.q)
    y, _ = softmax_attention(q, k, v, causal(s))
    out = y[:, 0::2] - sigmoid(f64(gate))[..., None] * y[:, 1::2]
    return Case({"Q": q, "K": k, "V": v, "Lambda": gate}, {}, {"out": out})


@variant("variants/elastic_softmax")
def elastic_softmax(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    tau = uniform(rng, -1, 0, s.h)
    p = softmax(np.where(causal(s), logits(q, k), -np.inf))
    count = np.arange(s.n - s.q + 1, s.n + 1)[:, None]  # keys of a row
    p = np.where(causal(s), np.maximum(p + f64(tau)[:, None, None] / count, 0), 0)
    return Case({"Q": q, "K": k, "V": v, "Tau": tau}, {}, {"out": weighted(p, v)})


@variant("variants/entmax15")
def entmax15(rng, size):
    """The threshold by bisection: sum(relu(x - tau)^2) falls with tau."""
    s = shape(size)
    q, k, v = qkv(rng, s)
    x = np.where(causal(s), logits(q, k) / 2, -np.inf)
    high = x.max(-1, keepdims=True)
    low = high - 1
    for _ in range(100):
        tau = (low + high) / 2
        enough = (np.maximum(x - tau, 0) ** 2).sum(-1, keepdims=True) >= 1
        low, high = np.where(enough, tau, low), np.where(enough, high, tau)
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": weighted(np.maximum(x - low, 0) ** 2, v)})


@variant("variants/relu")
def relu(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": weighted(np.tril(np.maximum(logits(q, k), 0), s.n - s.q) / s.n, v)})


@variant("variants/sigmoid")
def sigmoid_attention(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": weighted(np.tril(sigmoid(logits(q, k) - np.log(s.n)), s.n - s.q), v)})


@variant("variants/softpick")
def softpick(rng, size):
    """As the paper has it, without taking off the maximum."""
    s = shape(size)
    q, k, v = qkv(rng, s)
    x = logits(q, k)
    r = np.where(causal(s), np.expm1(x), 0)
    # eps counts relative to the exponential of the maximum.
    eps = 1e-6 * np.exp(np.where(causal(s), x, -np.inf).max(-1, keepdims=True))
    p = np.maximum(r, 0) / (np.abs(r).sum(-1, keepdims=True) + eps)
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, {"out": weighted(p, v)})


@variant("variants/two_simplicial")
def two_simplicial(rng, size):
    """Over all pairs of keys, with the windows as a mask."""
    s, w1, w2 = shape(size), 6, 3
    q, k, v = qkv(rng, s)
    k2, v2 = normal(rng, s.b, s.g, s.n, s.d), normal(rng, s.b, s.g, s.n, s.e)
    K, K2, V, V2 = (per_query_head(f64(x), s.h) for x in (k, k2, v, v2))
    out = np.zeros((s.b, s.h, s.q, s.e))
    for row, i in enumerate(range(s.n - s.q, s.n)):
        first, second = slice(max(i - w1 + 1, 0), i + 1), slice(max(i - w2 + 1, 0), i + 1)
        x = np.einsum("bhd,bhjd,bhrd->bhjr", f64(q)[:, :, row], K[:, :, first], K2[:, :, second]) / np.sqrt(s.d)
        p = np.exp(x)
        out[:, :, row] = np.einsum("bhjr,bhje,bhre->bhe", p / p.sum((-1, -2), keepdims=True), V[:, :, first], V2[:, :, second])
    return Case({"Q": q, "K": k, "V": v, "K2": k2, "V2": v2}, {"w1": w1, "w2": w2}, {"out": out})


@variant("variants/exclusive_self")
def exclusive_self(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    y, _ = softmax_attention(q, k, v, causal(s))
    own = per_query_head(f64(v), s.h)[:, :, s.n - s.q:]
    out = y - (y * own).sum(-1, keepdims=True) / (own * own).sum(-1, keepdims=True) * own
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, {"out": out})


def segment(i, j):
    """Of the binary digits of i: what lies before i is cut into pieces of the sizes of its set bits, the smallest next to i. The
    piece of size 2^(l - 1) is segment l; i itself is segment 0."""
    end, level = i, 1
    while j < end:
        if i >> (level - 1) & 1:
            end -= 1 << (level - 1)
            if j >= end:
                return level
        level += 1
    return 0


@variant("variants/log_linear")
def log_linear(rng, size):
    s = shape(size, q=0)
    q, k, v = qkv(rng, s)
    g, level_weight = uniform(rng, -0.2, 0, s.b, s.h, s.n), uniform(rng, 0, 1, s.b, s.h, s.q, 8)
    decay = np.cumsum(f64(g), -1)
    p = np.zeros((s.b, s.h, s.q, s.n))
    for i in range(s.q):
        for j in range(i + 1):
            p[:, :, i, j] = np.exp(decay[:, :, i] - decay[:, :, j]) * f64(level_weight)[:, :, i, segment(i, j)]
    out = weighted(p * products(q, k), v)
    return Case({"Q": q, "K": k, "V": v, "G": g, "L": level_weight}, {}, {"out": out})


@variant("feature_map/based")
def based(rng, size):
    """One weight for each pair, 1 + s + s^2 / 2, over their sum."""
    s = shape(size)
    q, k, v = qkv(rng, s)
    x = logits(q, k)
    p = np.tril(1 + x + x * x / 2, s.n - s.q)
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, {"out": weighted(p / (p.sum(-1, keepdims=True) + 1e-6), v)})


@variant("feature_map/rebased")
def rebased(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    p = np.tril(logits(q, k) ** 2, s.n - s.q)
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, {"out": weighted(p / (p.sum(-1, keepdims=True) + 1e-6), v)})
