# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Selections: which blocks or tokens a query attends to. Each is decided row by row with sorted lists, and attended to with a dense
mask."""
import numpy as np

from . import variant
from .scores import causal, products
from ..core import Case, blocks, f64, normal, per_query_head, pool_mean, positions, qkv, shape, sigmoid, softmax, softmax_attention
from ..core import uniform


def best(score, allowed, count):
    """The indices of the `count` largest scores among the allowed ones; ties to the smaller index."""
    order = [i for i in np.argsort(-score, kind="stable") if allowed[i]]
    return order[:count]


def block_mask(keep, size, n):
    """Kept blocks [.., blocks] as a mask of keys [.., n]."""
    return np.repeat(keep, size, -1)[..., :n]


def indexer(rng, s, heads, channels):
    """Queries [b, q, heads, channels], keys [b, n, channels] and weights [b, q, heads] of a lightning indexer."""
    return normal(rng, s.b, s.q, heads, channels), normal(rng, s.b, s.n, channels), normal(rng, s.b, s.q, heads)


def index_scores(qi, ki, wi):
    """sum(w relu(q k) for heads): [b, q, keys]."""
    return np.einsum("bqj,bqjk->bqk", wi, np.maximum(np.einsum("bqji,bki->bqjk", qi, ki), 0))


@variant("block_sparse/hisa")
def hisa(rng, size):
    s, block, top_blocks, top_k, sinks, window = shape(size), 8, 3, 6, 2, 4
    q, k, v = qkv(rng, s)
    qi, ki, wi = indexer(rng, s, 3, 5)
    coarse = index_scores(f64(qi), pool_mean(f64(ki), block), f64(wi))
    fine = index_scores(f64(qi), f64(ki), f64(wi))
    keep = np.zeros((s.b, s.q, s.n), bool)
    for b, row in np.ndindex(s.b, s.q):
        i = row + s.n - s.q
        places = np.arange(coarse.shape[-1])
        score = np.where((places == 0) | (places == i // block), np.inf, coarse[b, row])
        chosen = best(score, places * block <= i, top_blocks)
        allowed = np.isin(np.arange(s.n) // block, chosen) & (np.arange(s.n) <= i)
        keep[b, row, best(fine[b, row], allowed, top_k)] = True
        keep[b, row, :sinks] = True
        # As a set: what is beyond the query is left to the mask.
        keep[b, row, max(i - window + 1, 0):] = True
    out, lse = softmax_attention(q, k, v, (keep & causal(s))[:, None])
    inputs = {"Q": q, "K": k, "V": v, "QI": qi, "KI": ki, "WI": wi}
    params = {"block": block, "top_blocks": top_blocks, "top_k": top_k, "sinks": sinks, "window": window}
    return Case(inputs, params, {"out": out, "lse": lse, "keep": keep})


@variant("block_sparse/mean_pooled_nsa")
def mean_pooled_nsa(rng, size):
    s, block, top_n, window = shape(size), 8, 3, 11
    q, k, v = qkv(rng, s)
    gates = {name: uniform(rng, 0, 1, s.b, s.h, s.q) for name in ("GCmp", "GSlc", "GSwa")}
    i, j = positions(s.q, s.n)
    kc, vc = pool_mean(f64(k), block), pool_mean(f64(v), block)
    complete = np.arange(1, kc.shape[2] + 1) * block - 1 <= i
    x = np.where(complete, products(q, kc) / np.sqrt(s.d), -np.inf)
    compressed, _ = softmax_attention(q, kc, vc, complete)
    importance = softmax(x).reshape(s.b, s.g, s.h // s.g, s.q, -1).mean(2)
    keep = np.zeros(importance.shape, bool)
    for b, g, row in np.ndindex(s.b, s.g, s.q):
        own = (row + s.n - s.q) // block
        forced = np.isin(np.arange(kc.shape[2]), [0, own - 1, own])
        keep[b, g, row, best(np.where(forced, 1, importance[b, g, row]), forced | complete[row], top_n)] = True
    selected, _ = softmax_attention(q, k, v, per_query_head(block_mask(keep, block, s.n), s.h) & (j <= i))
    near, _ = softmax_attention(q, k, v, (j <= i) & (i - j < window))
    g = {name: f64(x)[..., None] for name, x in gates.items()}
    out = g["GCmp"] * compressed + g["GSlc"] * selected + g["GSwa"] * near
    params = {"block": block, "top_n": top_n, "window": window}
    return Case({"Q": q, "K": k, "V": v, **gates}, params, {"out": out, "keep": keep})


@variant("block_sparse/sparse_linear")
def sparse_linear(rng, size):
    s, rows, cols, top_k = shape(size, q=0), 8, 8, 2
    q, k, v = qkv(rng, s)
    row_blocks = len(blocks(s.q, rows))
    alpha = normal(rng, s.h, row_blocks)
    pq = pool_mean(f64(q), rows)
    pk = pool_mean(f64(k) - f64(k).mean(2, keepdims=True), cols)
    route = products(pq, pk)
    keep = np.zeros(route.shape, bool)
    for at in np.ndindex(*route.shape[:3]):
        keep[at][best(route[at], np.ones(route.shape[3], bool), top_k)] = True
    mask = np.repeat(block_mask(keep, cols, s.n), rows, 2)[:, :, :s.q]
    sparse, _ = softmax_attention(q, k, v, mask)
    p = np.where(mask, 0, products(softmax(f64(q)), softmax(f64(k))))
    linear = p @ per_query_head(f64(v), s.h) / (p.sum(-1, keepdims=True) + 1e-5)
    share = sigmoid(np.repeat(f64(alpha), rows, 1)[:, :s.q, None])
    params = {"rows": rows, "cols": cols, "top_k": top_k}
    return Case({"Q": q, "K": k, "V": v, "Alpha": alpha}, params, {"out": share * sparse + (1 - share) * linear, "keep": keep})


@variant("block_sparse/video_sparse")
def video_sparse(rng, size):
    s, tile, top_k = shape(size, q=0), 8, 3
    q, k, v = qkv(rng, s)
    gate = normal(rng, s.b, s.h, s.q, s.e)
    qc, kc, vc = (pool_mean(f64(x), tile) for x in (q, k, v))
    coarse, _ = softmax_attention(qc, kc, vc)
    x = products(qc, kc)
    keep = np.zeros(x.shape, bool)
    for at in np.ndindex(*x.shape[:3]):
        keep[at][best(x[at], np.ones(x.shape[3], bool), top_k)] = True
    mask = np.repeat(block_mask(keep, tile, s.n), tile, 2)[:, :, :s.q]
    fine, _ = softmax_attention(q, k, v, mask)
    out = fine + np.repeat(coarse, tile, 2)[:, :, :s.q] * f64(gate)
    return Case({"Q": q, "K": k, "V": v, "Gate": gate}, {"tile_numel": tile, "top_k": top_k}, {"out": out, "keep": keep})


def index_lists(rng, s, count):
    """For each query, `count` places of which some are -1, and some beyond the query."""
    index = rng.integers(-1, s.n, (s.b, s.q, count)).astype(np.int32)
    index[:, ::3, count // 2:] = -1
    index[0, 1] = -1  # a row without a key
    return index


@variant("decode/index_share")
def index_share(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    index = index_lists(rng, s, 9)
    mask = np.zeros((s.b, s.q, s.n), bool)
    for b, row in np.ndindex(s.b, s.q):
        mask[b, row, [i for i in index[b, row] if 0 <= i <= row + s.n - s.q]] = True
    out, lse = softmax_attention(q, k, v, mask[:, None])
    return Case({"Q": q, "K": k, "V": v, "Index": index}, {}, {"out": out, "lse": lse})


@variant("decode/index_gather")
def index_gather(rng, size):
    s = shape(size)
    q, k, v = qkv(rng, s)
    index = index_lists(rng, s, 9)
    out = np.zeros((s.b, s.h, s.q, s.e))
    for b, h, row in np.ndindex(s.b, s.h, s.q):
        listed = index[b, row][index[b, row] >= 0]
        keys, values = f64(k)[b, h // (s.h // s.g), listed], f64(v)[b, h // (s.h // s.g), listed]
        if len(listed):
            out[b, h, row] = softmax(keys @ f64(q)[b, h, row] / np.sqrt(s.d)) @ values
    return Case({"Q": q, "K": k, "V": v, "Index": index}, {}, {"out": out})
