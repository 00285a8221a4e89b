# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Selection at decode time: D1 to D5, D8 and D10.

One query row that stands on the last key: Q [b,h,1,d], K [b,g,n,d], V [b,g,n,e], out [b,h,1,e], lse [b,h,1]; scale
s = 1/sqrt(d) in the attention, the scores of the selection have none unless said. `keep` says which tokens [b,h,n],
pages [b,h,pages] or blocks shared by a group [b,g,blocks] are attended.
"""
import numpy as np

from .core import (Case, attend, blocks, clear, f64, normal, oracle, per_query_head, qkv, ranked, shape, softmax,
                   softmax_attention, top_k)


def decode_shape(size):
    s = shape(size)
    return type(s)(s.b, s.h, s.g, 1, s.n, s.d, s.e)


def min_max(k, page):
    """Running minimum and maximum of each page: [b,g,n,d] -> two [b,g,pages,d]."""
    parts = [k[:, :, a:b] for a, b in blocks(k.shape[2], page)]
    return np.stack([p.min(2) for p in parts], 2), np.stack([p.max(2) for p in parts], 2)


def bound_score(q, low, high):
    """sum_d max(q_d kmin_d, q_d kmax_d): q [b,h,d], low, high [b,h,pages,d] -> [b,h,pages]."""
    return np.maximum(q[:, :, None] * low, q[:, :, None] * high).sum(-1)


def token_mask(keep, block, n):
    return np.repeat(keep, block, -1)[..., :n]


def attend_tokens(q, k, v, keep):
    """keep [b,h,n]."""
    return softmax_attention(q, k, v, keep[:, :, None])


@oracle("D1", kind="formula", source="Quest, arXiv 2406.10774; evaluation/quest_attention.py")
def quest(rng, size):
    """Pages of 8: score_p = sum_d max(q_d kmin_d, q_d kmax_d), per query head the top max(3, budget/page) pages; the page

    of the newest token competes like the others. KMin, KMax [b,g,pages,d] are outputs as well.
    """
    s, page, budget = decode_shape(size), 8, 32 if size != "tiny" else 24
    q, k, v = qkv(rng, s)
    low, high = min_max(f64(k), page)
    score = bound_score(f64(q)[:, :, 0], per_query_head(low, s.h), per_query_head(high, s.h))
    keep = top_k(score, max(3, budget // page))
    out, lse = attend_tokens(q, k, v, token_mask(keep, page, s.n))
    return Case({"Q": q, "K": k, "V": v}, {"page": page, "budget": budget},
                {"keep": keep, "out": out, "lse": lse, "KMin": low, "KMax": high})


def four_bit(x):
    """15 steps between the minimum and the maximum of each row: codes rint((x - min)/scale), scale = (max - min)/15."""
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    scale = (high - low) / 15
    clear(np.abs((x - low) / scale % 1 - 0.5), 1e-7)
    return np.rint((x - low) / scale) * scale + low


@oracle("D2", kind="formula", source="DoubleSparsity, arXiv 2408.07092; evaluation/modify_llama.py")
def double_sparsity(rng, size):
    """Channels [h,r] int64 (calibrated elsewhere), r = d/2. Labels = K[:, Channels] in 4 bit per token (four_bit), q on these

    channels in 4 bit as well; score_j = q_C . label_j / sqrt(r), the top `heavy` tokens per query head, exact attention.
    """
    s, heavy = decode_shape(size), 12
    q, k, v = qkv(rng, s)
    r = s.d // 2
    channels = np.stack([np.sort(rng.choice(s.d, r, replace=False)) for _ in range(s.h)]).astype(np.int64)
    label = np.take_along_axis(per_query_head(f64(k), s.h), channels[None, :, None, :], -1)
    picked = np.take_along_axis(f64(q)[:, :, 0], channels[None], -1)
    score = np.einsum("bhr,bhnr->bhn", four_bit(picked), four_bit(label)) / np.sqrt(r)
    keep = top_k(score, heavy)
    out, lse = attend_tokens(q, k, v, keep)
    return Case({"Q": q, "K": k, "V": v, "Channels": channels}, {"heavy": heavy},
                {"keep": keep, "out": out, "lse": lse})


@oracle("D3", kind="formula", source="ReSA, arXiv 2506.04108; context_manager.py, flash_sparse_decoding.py")
def resa(rng, size):
    """Blocks of 8: qbar = s * mean of the group's q; score = sum_d max(qbar kmin, qbar kmax); last block forced;

    n_sel = max(ceil(0.1 nb), min(nb, 4)) blocks (forced included) shared by the group -> keep [b,g,nb].
    Rectification: QNew, KNew, VNew [b,.,f,.] replace the last f rows of the cache; out_rectify [b,h,f,e] is dense
    attention of these f queries (the last on the last key, j <= i); KMin, KMax are the blocks of the rewritten cache.
    """
    s, block, f = decode_shape(size), 8, 6
    q, k, v = qkv(rng, s)
    q_new, k_new, v_new = qkv(rng, type(s)(s.b, s.h, s.g, f, f, s.d, s.e))
    low, high = min_max(f64(k), block)
    mean = f64(q)[:, :, 0].reshape(s.b, s.g, -1, s.d).mean(2) / np.sqrt(s.d)
    score = bound_score(mean, low, high)
    score[..., -1] = np.inf
    count = score.shape[-1]
    keep = top_k(score, max(int(np.ceil(0.1 * count)), min(count, 4)))
    out, lse = attend_tokens(q, k, v, per_query_head(token_mask(keep, block, s.n), s.h))
    k_all, v_all = np.concatenate([k[:, :, :-f], k_new], 2), np.concatenate([v[:, :, :-f], v_new], 2)
    mask = np.arange(s.n) <= np.arange(s.n - f, s.n)[:, None]
    low, high = min_max(f64(k_all), block)
    return Case({"Q": q, "K": k, "V": v, "QNew": q_new, "KNew": k_new, "VNew": v_new}, {"block": block, "f": f},
                {"keep": keep, "out": out, "lse": lse, "out_rectify": softmax_attention(q_new, k_all, v_all, mask)[0],
                 "KMin": low, "KMax": high})


def merge(parts):
    """(o, lse) pairs of disjoint key sets -> (o, lse) of their union."""
    top = np.max([l for _, l in parts], 0)
    weight = [np.exp(l - top) for _, l in parts]
    total = sum(weight)
    return sum(w[..., None] * o for w, (o, _) in zip(weight, parts)) / total[..., None], top + np.log(total)


@oracle("D4", kind="formula", source="RetrievalAttention, arXiv 2409.10516, and RetroInfer, arXiv 2505.02922")
def retrieval(rng, size):
    """out: merge by lse of the static part (first `sink`, last `recent` tokens) and of the tokens of Index [b,h,m] int64,

    which an index elsewhere returned (distinct, from the middle). Both parts are outputs, with their lse.
    out_retro, lse_retro: the middle tokens are in clusters, Assign [b,g,middle] int64; centroid mu_c, size n_c and value
    sum per cluster are means and sums over it; static part exact, the `probe` clusters with the largest q.mu_c exact, the
    others each as n_c e^{s q.mu_c} with the mean value (an empty cluster counts nothing) -> keep [b,h,clusters].
    """
    s, sink, recent, picks, clusters, probe = decode_shape(size), 3, 7, 9, 5, 2
    q, k, v = qkv(rng, s)
    middle = np.arange(sink, s.n - recent)
    index = np.stack([[np.sort(rng.choice(middle, picks, replace=False)) for _ in range(s.h)] for _ in range(s.b)])
    assign = rng.integers(0, clusters, (s.b, s.g, middle.size)).astype(np.int64)
    static = np.ones((s.b, s.h, s.n), bool)
    static[..., middle] = False
    chosen = np.zeros_like(static)
    np.put_along_axis(chosen, index, True, -1)
    parts = [attend_tokens(q, k, v, static), attend_tokens(q, k, v, chosen)]
    out, lse = merge(parts)

    member = (assign[..., None, :] == np.arange(clusters)[:, None]).astype(np.float64)
    size_of = member.sum(-1)
    divide = np.maximum(size_of, 1)[..., None]
    mu, mean_v = (np.einsum("bgcm,bgmd->bgcd", member, f64(x)[:, :, middle]) / divide for x in (k, v))
    mu, mean_v, size_of, member = (per_query_head(x, s.h) for x in (mu, mean_v, size_of, member))
    score = np.einsum("bhd,bhcd->bhc", f64(q)[:, :, 0], mu)
    keep = top_k(np.where(size_of > 0, score, -np.inf), probe)
    exact = static.copy()
    exact[..., middle] = (member * keep[..., None]).sum(2) > 0
    with np.errstate(divide="ignore"):
        x = np.where(keep | (size_of == 0), -np.inf, score / np.sqrt(s.d) + np.log(size_of))
    estimate = attend(x[:, :, None], mean_v)
    retro, lse_retro = merge([attend_tokens(q, k, v, exact), estimate])
    return Case({"Q": q, "K": k, "V": v, "Index": index.astype(np.int64), "Assign": assign},
                {"sink": sink, "recent": recent, "clusters": clusters, "probe": probe},
                {"out": out, "lse": lse, "out_static": parts[0][0], "lse_static": parts[0][1], "out_index": parts[1][0],
                 "lse_index": parts[1][1], "keep": keep, "out_retro": retro, "lse_retro": lse_retro})


@oracle("D5", kind="formula", source="ClusterKV, arXiv 2412.03213; accuracy/cluster_attention.py")
def cluster_kv(rng, size):
    """k-means of the prefill keys without the first `sink`, per key head: `steps` times assign each key to the centroid of

    largest cosine, then centroids <- means of their keys (an empty one stays); Centroids0 [b,g,c,d]; then a last
    assignment -> Assign [b,g,m] int64. Decode: clusters by falling q.mu_c, until their sizes reach budget - sink, the last
    one cut to its first tokens -> keep [b,h,n], which always has the sink and the `generated` newest tokens.
    """
    s, sink, generated, clusters, steps, budget = decode_shape(size), 3, 5, 6, 2, 20
    q, k, v = qkv(rng, s)
    m = s.n - sink - generated
    keys = f64(k)[:, :, sink:sink + m]
    start = np.take_along_axis(k[:, :, sink:sink + m], rng.permuted(np.broadcast_to(
        np.arange(m), (s.b, s.g, m)), axis=-1)[..., :clusters, None], 2)

    def assign_to(centroids):
        cosine = np.einsum("bgmd,bgcd->bgmc", keys, centroids) / np.linalg.norm(centroids, axis=-1)[:, :, None]
        best = np.sort(cosine, -1)
        clear(best[..., -1] - best[..., -2])
        return cosine.argmax(-1)

    centroids = f64(start)
    for _ in range(steps):
        member = (assign_to(centroids)[..., None, :] == np.arange(clusters)[:, None]).astype(np.float64)
        count = member.sum(-1)[..., None]
        centroids = np.where(count > 0, np.einsum("bgcm,bgmd->bgcd", member, keys) / np.maximum(count, 1), centroids)
    assign = assign_to(centroids)
    score = np.einsum("bhd,bhcd->bhc", f64(q)[:, :, 0], per_query_head(centroids, s.h))
    clear(np.diff(np.sort(score, -1)))
    keep = np.zeros((s.b, s.h, s.n), bool)
    keep[..., :sink] = keep[..., s.n - generated:] = True
    for b, h in np.ndindex(s.b, s.h):
        left = budget - sink
        for c in ranked(score[b, h]):
            tokens = np.flatnonzero(assign[b, h // (s.h // s.g)] == c)[:left]
            keep[b, h, sink + tokens] = True
            left -= tokens.size
            if left == 0:
                break
    out, lse = attend_tokens(q, k, v, keep)
    return Case({"Q": q, "K": k, "V": v, "Centroids0": start},
                {"sink": sink, "generated": generated, "steps": steps, "budget": budget},
                {"Centroids": centroids, "Assign": assign, "keep": keep, "out": out, "lse": lse})


@oracle("D8", kind="formula", source="Twilight, arXiv 2502.02770; twilight/pyimpl")
def twilight(rng, size):
    """1. Quest with a loose budget -> keep_base [b,h,n]. 2. w = softmax over it of s q.K4, K4 = K in 4 bit per token (four_bit).

    3. keep = {w >= l} with the largest l whose kept sum reaches p (the limit of the bisection). 4. exact attention over keep.
    """
    s, page, pages, p = decode_shape(size), 8, 4, 0.85
    q, k, v = qkv(rng, s)
    q = (2 * q).astype(np.float32)
    kd = f64(k)
    low, high = min_max(kd, page)
    base = top_k(bound_score(f64(q)[:, :, 0], per_query_head(low, s.h), per_query_head(high, s.h)), pages)
    base = token_mask(base, page, s.n)
    k4 = per_query_head(four_bit(kd), s.h)
    w = softmax(np.where(base, np.einsum("bhd,bhnd->bhn", f64(q)[:, :, 0], k4) / np.sqrt(s.d), -np.inf))
    falling = np.take_along_axis(w, ranked(w), -1)
    before = np.cumsum(falling, -1) - falling
    clear(before - p)
    keep = top_k(np.where(base, w, -np.inf), (before < p).sum(-1))
    out, lse = attend_tokens(q, k, v, keep)
    return Case({"Q": q, "K": k, "V": v}, {"page": page, "pages": pages, "p": p},
                {"keep_base": base, "keep": keep, "out": out, "lse": lse})


@oracle("D10", kind="formula", source="HashAttention, arXiv 2412.14468; sparse-attention-hub hashattention_top_k.py")
def hash_attention(rng, size):
    """bits(x) = [relu(x W1 + b1) W2 + b2 > 0], 32 of them; score_j = number of bits that agree, the top `tokens` per query

    head, equal scores to the smaller index. W1 [.,d,m], B1 [.,m], W2 [.,m,32], B2 [.,32] for q per query head (prefix Q)
    and for k per key head (prefix K). The hub's activation may differ; the weights are learned.
    """
    s, tokens, m, bits = decode_shape(size), 12, 10, 32
    q, k, v = qkv(rng, s)
    inputs = {"Q": q, "K": k, "V": v}
    for name, heads in (("Q", s.h), ("K", s.g)):
        inputs.update({name + "W1": normal(rng, heads, s.d, m), name + "B1": normal(rng, heads, m),
                       name + "W2": normal(rng, heads, m, bits), name + "B2": normal(rng, heads, bits)})

    def code(name):
        w1, b1, w2, b2 = (f64(inputs[name + x]) for x in ("W1", "B1", "W2", "B2"))
        hidden = np.maximum(np.einsum("bhnd,hdm->bhnm", f64(inputs[name]), w1) + b1[:, None], 0)
        raw = np.einsum("bhnm,hmz->bhnz", hidden, w2) + b2[:, None]
        clear(raw)
        return raw > 0

    score = (code("Q") == per_query_head(code("K"), s.h)).sum(-1).astype(np.float64)
    keep = top_k(score, tokens, exact_ties=True)
    out, lse = attend_tokens(q, k, v, keep)
    return Case(inputs, {"tokens": tokens, "bits": bits}, {"score": score, "keep": keep, "out": out, "lse": lse})
