# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Block selection shared by heads, and the mutation of the cache: D11 to D19.

Layout as in decode.py; q rows stand on the last keys. `keep` [b,blocks] is one set of blocks for all heads of a request.
"""
import numpy as np

from .core import (Case, attend, blocks, clear, f64, normal, oracle, per_query_head, pool_mean, positions, qkv, rope,
                   shape, softmax, softmax_attention, top_k, uniform)
from .decode import decode_shape, token_mask


def attend_blocks(q, k, v, keep, block):
    """keep [b,blocks] for all heads; the last query on the last key, j <= i."""
    i, j = positions(q.shape[2], k.shape[2])
    return softmax_attention(q, k, v, token_mask(keep, block, k.shape[2])[:, None, None] & (j <= i))


def group_mean(q, g):
    """[b,h,1,d] -> [b,g,d], the mean over the query heads of a group."""
    return q[:, :, 0].reshape(q.shape[0], g, -1, q.shape[-1]).mean(2)


def force(score, first, last):
    """+inf at the first and last blocks."""
    score = score.copy()
    score[..., :first] = np.inf
    score[..., score.shape[-1] - last:] = np.inf
    return score


@oracle("D11", kind="formula", source="KV eviction as a class; top-k by score with a recent window (our reading)")
def eviction(rng, size):
    """Keep the `budget` tokens of largest Score [b,g,n], the `recent` newest forced, per key head; compact in rising order:

    KOut, VOut [b,g,budget,.], Pos [b,g,budget] int64 (the old positions).
    """
    s, budget, recent = decode_shape(size), 16, 4
    _, k, v = qkv(rng, s)
    score = uniform(rng, 0, 1, s.b, s.g, s.n)
    keep = top_k(force(f64(score), 0, recent), budget)
    pos = np.stack([[np.flatnonzero(row) for row in batch] for batch in keep]).astype(np.int64)
    return Case({"K": k, "V": v, "Score": score}, {"budget": budget, "recent": recent},
                {"KOut": np.take_along_axis(f64(k), pos[..., None], 2),
                 "VOut": np.take_along_axis(f64(v), pos[..., None], 2), "Pos": pos, "keep": keep})


@oracle("D12", kind="formula", source="UCM ESA; ucm/sparse/esa/retrieval/retrieval_worker.py")
def esa(rng, size):
    """repre_n = mean of K over block n, per key head; score_n = sum over key heads of (mean of the group's q).repre_n.

    keep: first block, last two, and the top int(0.3 (nb - 3)) (at least 1) of those between.
    """
    s, block = decode_shape(size), 8
    q, k, v = qkv(rng, s)
    score = np.einsum("bgd,bgnd->bn", group_mean(f64(q), s.g), pool_mean(f64(k), block))
    count = score.shape[-1]
    keep = top_k(force(score, 1, 2), 3 + max(1, int(0.3 * (count - 3))))
    out, lse = attend_blocks(q, k, v, keep, block)
    return Case({"Q": q, "K": k, "V": v}, {"block": block, "ratio": 0.3, "init": 1, "local": 2},
                {"keep": keep, "out": out, "lse": lse})


@oracle("D13", kind="formula", source="UCM GSA; ucm/sparse/gsa/gsa.py TopkCal")
def gsa_offload(rng, size):
    """Each block has two representatives per key head, the means of its halves (one if the last block is that short).

    keep:     score = sum over key heads of max over representatives of (mean of the group's q).rep   (host path)
    keep_gpu: score = mean over query heads of max over representatives of q_h.rep                    (device path)
    first block and last two forced, clamp(ceil(0.3 nb), 4, 6) blocks in all.
    """
    s, block = decode_shape(size), 8
    q, k, v = qkv(rng, s)
    count = -(-s.n // block)
    halves = pool_mean(f64(k), block // 2)

    def best(rows):
        """max over the representatives of a block: [b,x,d] with halves of x's key head -> [b,x,nb]."""
        dots = np.einsum("bxd,bxnd->bxn", rows, per_query_head(halves, rows.shape[1]))
        return np.stack([dots[..., 2 * n:2 * n + 2].max(-1) for n in range(count)], -1)

    total = int(np.clip(np.ceil(0.3 * count), 4, 6))
    outputs = {}
    for suffix, score in (("", best(group_mean(f64(q), s.g)).sum(1)), ("_gpu", best(f64(q)[:, :, 0]).mean(1))):
        keep = top_k(force(score, 1, 2), total)
        out, lse = attend_blocks(q, k, v, keep, block)
        outputs.update({"keep" + suffix: keep, "out" + suffix: out, "lse" + suffix: lse})
    return Case({"Q": q, "K": k, "V": v}, {"block": block, "ratio": 0.3, "min": 4, "max": 6, "init": 1, "local": 2}, outputs)


@oracle("D14", kind="formula", source="UCM GSA on device (HATA); hash_encoder.py, hamming_topk.py")
def hata(rng, size):
    """bits(x) = (x W > 0), W [d,32], packed lowest bit first -> QHash [b,h,1,4], KHash [b,g,n,4] uint8. Distance of a token

    = popcount(q xor k) summed over all query heads; of a block = minimum over its tokens; block 0 and the last two forced
    (smallest distance); keep = the `top` blocks of smallest distance, equal ones to the smaller index.
    """
    s, block, bits, top = decode_shape(size), 8, 32, 5 if size != "tiny" else 4
    q, k, v = qkv(rng, s)
    k = (k + normal(rng, s.b, s.g, 1, s.d)).astype(np.float32)
    w = np.concatenate([np.linalg.qr(rng.standard_normal((s.d, s.d)))[0] for _ in range(-(-bits // s.d))], 1)
    w = w[:, :bits].astype(np.float32)
    raw = f64(q) @ f64(w), f64(k) @ f64(w)
    clear(raw[0])
    clear(raw[1], 1e-6)
    code_q, code_k = raw[0] > 0, raw[1] > 0
    distance = (code_q != per_query_head(code_k, s.h)).sum((1, 3)).astype(np.float64)
    nearest = np.stack([distance[:, a:b].min(-1) for a, b in blocks(s.n, block)], -1)
    keep = top_k(force(-nearest, 1, 2), top, exact_ties=True)
    out, lse = attend_blocks(q, k, v, keep, block)
    return Case({"Q": q, "K": k, "V": v, "W": w}, {"block": block, "bits": bits, "top": top},
                {"QHash": np.packbits(code_q, -1, "little"), "KHash": np.packbits(code_k, -1, "little"),
                 "distance": distance, "keep": keep, "out": out, "lse": lse})


@oracle("D15", kind="formula", source="UCM KVStar; ucm/sparse/kvstar simd_compute_kernel.cpp scalar_impl")
def kvstar(rng, size):
    """channels [b,g,r] int64 = the r = d/4 largest means of |K| over the tokens, in rising order; representatives = K on

    these channels, averaged over pairs of tokens, of the filled blocks. For the 8 newest queries, all heads: softmax over
    all (block, pair) of q'.r (no scale); score of a block = sum over queries, heads, pairs. keep: first block, last two
    (of all blocks), and the max(1, int(nb/4)) best filled blocks between. out [b,h,8,e], j <= i.
    """
    s, block, steps = shape(size), 8, 8
    s = type(s)(s.b, s.h, s.g, steps, s.n, s.d, s.e)
    q, k, v = qkv(rng, s)
    q = (2 * q).astype(np.float32)
    r, filled, count = s.d // 4, s.n // block, -(-s.n // block)
    chosen = top_k(np.abs(f64(k)).mean(2), r)
    channels = np.stack([[np.flatnonzero(row) for row in batch] for batch in chosen]).astype(np.int64)
    small = np.take_along_axis(f64(k), channels[:, :, None], -1)[:, :, :filled * block]
    rep = per_query_head(small.reshape(s.b, s.g, -1, 2, r).mean(3), s.h)
    small_q = np.take_along_axis(f64(q), per_query_head(channels, s.h)[:, :, None], -1)
    p = softmax(np.einsum("bhir,bhnr->bhin", small_q, rep))
    score = np.full((s.b, count), -np.inf)
    score[:, :filled] = p.reshape(s.b, s.h, steps, filled, block // 2).sum((1, 2, 4))
    keep = top_k(force(score, 1, 2), 3 + max(1, count // 4))
    out, lse = attend_blocks(q, k, v, keep, block)
    return Case({"Q": q, "K": k, "V": v}, {"block": block, "ratio": 0.25, "init": 1, "local": 2},
                {"channels": channels, "score": np.where(np.isfinite(score), score, 0.0), "keep": keep, "out": out,
                 "lse": lse})


@oracle("D16", kind="formula", source="UCM block representations; first and weighted have no public code (our reading)")
def representations(rng, size):
    """Three pool functions with one selection, per key head: score_n = (mean of the group's q).repre_n, last block forced,

    `top` blocks (forced included) -> keep_* [b,g,nb], out_* [b,h,1,e]:
    mean: mean of the block's keys; first: its first key; weighted: sum w_j k_j / sum w_j with Weight [b,g,n] > 0.
    """
    s, block, top = decode_shape(size), 8, 3
    q, k, v = qkv(rng, s)
    weight = uniform(rng, 0.01, 1, s.b, s.g, s.n)
    kd, w = f64(k), f64(weight)[..., None]
    weighted = np.stack([(w * kd)[:, :, a:b].sum(2) / w[:, :, a:b].sum(2) for a, b in blocks(s.n, block)], 2)
    outputs = {}
    for name, rep in (("mean", pool_mean(kd, block)), ("first", kd[:, :, ::block]), ("weighted", weighted)):
        score = np.einsum("bgd,bgnd->bgn", group_mean(f64(q), s.g), rep)
        keep = top_k(force(score, 0, 1), top)
        mask = per_query_head(token_mask(keep, block, s.n), s.h)[:, :, None]
        outputs["keep_" + name], outputs["out_" + name] = keep, softmax_attention(q, k, v, mask)[0]
    return Case({"Q": q, "K": k, "V": v, "Weight": weight}, {"block": block, "top": top}, outputs)


@oracle("D17", kind="formula", source="UCM Blend, CacheBlend arXiv 2405.16444; blend.py, blockwise_rope.py")
def blend(rng, size):
    """1. KShift: the cached K of block n is rotated by Shift[n] positions (int64; halves, base 10000).

    2. deviation_t = sum over heads and channels of |KShift - KFresh| (deviation_v: (V - VFresh)^2, CacheBlend's). Recompute
    the `top` tokens of largest deviation, the cache misses (Miss [n] bool) and the last `suffix` tokens -> Pos [b,m], rising.
    3. Rows Pos of K, V are replaced by the fresh ones -> KCache, VCache; the rows Pos of Q [b,h,n,d] attend the whole cache
    with j <= Pos: out [b,h,m,e]. q = n.
    """
    s, block, top, suffix = shape(size, q=0), 8, 7, 4
    q, k, v = qkv(rng, s)
    k_fresh, v_fresh = (x + 0.3 * rng.standard_normal(x.shape) * rng.random((s.b, 1, s.n, 1)) for x in (k, v))
    shift = rng.integers(1, 60, -(-s.n // block)).astype(np.int64)
    k_fresh = rope(k_fresh, np.repeat(shift, block)[:s.n]).astype(np.float32)
    v_fresh = v_fresh.astype(np.float32)
    miss = np.zeros(s.n, bool)
    miss[[5, 6, 17]] = True
    k_shift = rope(f64(k), np.repeat(shift, block)[:s.n])
    deviation = np.abs(k_shift - f64(k_fresh)).sum((1, 3))
    deviation_v = ((f64(v) - f64(v_fresh)) ** 2).sum((1, 3))
    forced = miss | (np.arange(s.n) >= s.n - suffix)
    chosen = forced | top_k(np.where(forced, -np.inf, deviation), top)
    pos = np.stack([np.flatnonzero(row) for row in chosen]).astype(np.int64)
    k_new = np.where(chosen[:, None, :, None], f64(k_fresh), k_shift)
    v_new = np.where(chosen[:, None, :, None], f64(v_fresh), f64(v))
    rows = np.take_along_axis(f64(q), pos[:, None, :, None], 2)
    out, lse = softmax_attention(rows, k_new, v_new, (np.arange(s.n) <= pos[..., None])[:, None])
    return Case({"Q": q, "K": k, "V": v, "KFresh": k_fresh, "VFresh": v_fresh, "Shift": shift, "Miss": miss},
                {"block": block, "top": top, "suffix": suffix, "rope_base": 10000.0},
                {"KShift": k_shift, "deviation": deviation, "deviation_v": deviation_v, "Pos": pos, "KCache": k_new,
                 "VCache": v_new, "out": out, "lse": lse})


@oracle("D18", kind="formula", source="ReRoPE, bojone/rerope rerope_patch.py")
def rerope(rng, size):
    """x_ij = s rope(q, i).rope(k, j) if i - j < w, else s rope(q, w).k, causal; q_i is first multiplied by

    max(1, ln(i+1) / ln(train)). Rope in halves, base 10000. out_leaky: beyond w the distance grows with slope 1/leak:
    s rope(q, w + (i - w)/leak).rope(k, j/leak), i.e. distance w + (i - j - w)/leak.
    """
    s, w, train, leak = shape(size), 9, 24, 8.0
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    qd = f64(q) * np.maximum(1.0, np.log(i + 1) / np.log(train))
    kd, vd = per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)

    def dot(a, b):
        return np.einsum("bhid,bhjd->bhij", a, b) / np.sqrt(s.d)

    near = dot(rope(qd, i[:, 0]), rope(kd, j[0]))
    far = dot(rope(qd, np.full(s.q, w)), kd)
    leaky = dot(rope(qd, w + (i[:, 0] - w) / leak), rope(kd, j[0] / leak))
    outputs = {}
    for suffix, beyond in (("", far), ("_leaky", leaky)):
        x = np.where(i - j < w, near, beyond)
        outputs["out" + suffix], outputs["lse" + suffix] = attend(np.where(j <= i, x, -np.inf), vd)
    return Case({"Q": q, "K": k, "V": v}, {"window": w, "train": train, "leak": leak, "rope_base": 10000.0}, outputs)


@oracle("D19", kind="formula", source="UCM prefetch: no kernel but the copy of blocks by a list (our reading)")
def block_gather(rng, size):
    """KOut, VOut [b,g,m block,.]: block t of the result is block Table[b,t] (int64) of the pool; n is a multiple of 8."""
    s, block, m = shape(size), 8, 3
    n = s.n // block * block
    k, v = normal(rng, s.b, s.g, n, s.d), normal(rng, s.b, s.g, n, s.e)
    table = np.stack([rng.permutation(n // block)[:m] for _ in range(s.b)]).astype(np.int64)
    rows = (table[..., None] * block + np.arange(block)).reshape(s.b, 1, -1, 1)
    return Case({"K": k, "V": v, "Table": table}, {"block": block},
                {"KOut": np.take_along_axis(f64(k), rows, 2), "VOut": np.take_along_axis(f64(v), rows, 2)})
