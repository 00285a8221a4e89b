# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Block-sparse prefill that approximates or skips within the softmax: C1 (SpargeAttn), C2 (PSA), C3 (Rectified SpaAttn).

Q [b,h,n,d], K [b,g,n,d], V [b,g,n,e], q = n, scale 1/sqrt(d). `keep` is the selection of blocks [b,h,query block, key
block]. The inputs have a common part per block, so that blocks differ in importance and in self-similarity.
"""
import numpy as np

from .core import (Case, blocks, clear, expand_blocks, f64, normal, oracle, per_query_head, pool_mean, ranked, shape,
                   softmax, softmax_attention, top_k)
from .numerics import round_to_f16
from .quantized import F16_BOUND, LOG2E, quantize_groups


def clustered(rng, b, h, n, d, block, strength):
    """Normal rows plus a center per block, strong in some blocks and absent in others."""
    count = -(-n // block)
    center = rng.standard_normal((b, h, count, d)) * strength * (rng.random((b, h, count, 1)) < 0.6)
    return (rng.standard_normal((b, h, n, d)) + np.repeat(center, block, 2)[:, :, :n]).astype(np.float32)


def block_causal(nq, nk, block_q, block_k):
    """True where the key block starts no later than the query block ends."""
    return np.arange(nk)[None, :] * block_k <= np.arange(nq)[:, None] * block_q + block_q - 1


def self_similarity(x, block):
    """Mean over the Gram matrix of the L2-normalised rows of each block."""
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([np.einsum("bhid,bhjd->bhij", unit[:, :, a:b], unit[:, :, a:b]).mean((-1, -2))
                     for a, b in blocks(x.shape[2], block)], -1)


def skipping_attention(x, v, keep, tile, warp, threshold):
    """Base-2 logits of one head [n, n] in tiles; a tile is skipped by a warp of rows where no row can gain from it:

    max over the warp's rows of (rowmax(tile) - m_before) + threshold <= 0 skips exponentials, row sum and product, so the
    denominator omits the tile as well. keep [query row, tile] says which tiles are loaded. Returns out and the
    skipped tiles [warps, tiles].
    """
    n = x.shape[0]
    tiles = blocks(n, tile)
    out, skipped = np.zeros((n, v.shape[-1])), np.zeros((len(blocks(n, warp)), len(tiles)), bool)
    for w, (start, end) in enumerate(blocks(n, warp)):
        m, l, acc = np.full(end - start, -np.inf), np.zeros(end - start), np.zeros((end - start, v.shape[-1]))
        for t, (a, b) in enumerate(tiles):
            if not keep[start, t]:
                continue
            top = x[start:end, a:b].max(-1)
            reach = np.where(np.isfinite(top), top - np.where(np.isfinite(m), m, 0), -np.inf)
            gain = np.where(np.isfinite(top) & ~np.isfinite(m), np.inf, reach).max()
            clear(gain + threshold)
            if gain + threshold <= 0:
                skipped[w, t] = True
                continue
            m_new = np.maximum(m, top)
            base = np.where(np.isfinite(m_new), m_new, 0.0)
            shrink = np.exp2(np.where(np.isfinite(m), m - base, -np.inf))
            p = np.exp2(x[start:end, a:b] - base[:, None])
            l, acc, m = l * shrink + p.sum(-1), acc * shrink[:, None] + round_to_f16(p) @ v[a:b], m_new
        out[start:end] = acc / l[:, None]
    return out, skipped


@oracle("C1", kind="formula", source="SpargeAttn, arXiv 2502.18137; spas_sage_attn/utils.py, qattn update_mo")
def sparge(rng, size):
    """Causal. 1. pool: means of blocks of Q and of K - km, and self-similarity flags sim > simthreshd1.

    2. P = softmax_b(s qp_a.kp_b), K blocks without flag at -inf, block-causal. 3. by falling P, keep
    max(1, #{inclusive cumsum <= cdfthreshd}) blocks (the crossing block is not kept). 4. plus: K blocks without flag,
    all of a row whose Q block has no flag, block 0; AND block-causal -> keep. 5. B1's int8 attention over the kept
    blocks. 6. the tile skip of skipping_attention with pvthreshd, per warp of `warp` rows -> skip [b,h,warps,tiles].
    """
    s, block_q, block_k, warp = shape(size, q=0), 16, 8, 8
    sim_threshold, cdf, pv = 0.35, 0.8, 4.0
    q, k = (clustered(rng, s.b, h, s.n, s.d, 8, 2.0) for h in (s.h, s.g))
    v = normal(rng, s.b, s.g, s.n, s.e)
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    kd = kd - kd.mean(2, keepdims=True)
    nq, nk = -(-s.n // block_q), -(-s.n // block_k)
    flag_q, flag_k = self_similarity(qd, block_q) - sim_threshold, self_similarity(kd, block_k) - sim_threshold
    clear(np.concatenate([flag_q.ravel(), flag_k.ravel()]))
    visible = block_causal(nq, nk, block_q, block_k)
    x = np.einsum("bhid,bhjd->bhij", pool_mean(qd, block_q), pool_mean(kd, block_k)) / np.sqrt(s.d)
    p = softmax(np.where(visible & (flag_k > 0)[:, :, None], x, -np.inf))
    total = np.cumsum(np.take_along_axis(p, ranked(p), -1), -1)
    clear(total - cdf)
    keep = top_k(np.where(p > 0, p, -np.inf), np.maximum((total <= cdf).sum(-1), 1))
    keep |= (flag_k <= 0)[:, :, None] | (flag_q <= 0)[..., None]
    keep[..., 0] = True
    keep &= visible
    q8 = quantize_groups(qd * (LOG2E / np.sqrt(s.d)), np.arange(s.n) // block_q, 127)
    k8 = quantize_groups(kd, np.arange(s.n) // block_k, 127)
    logits = np.where(np.tri(s.n, dtype=bool), np.einsum("bhid,bhjd->bhij", q8, k8), -np.inf)
    rows = np.repeat(keep, block_q, 2)[:, :, :s.n]
    out, skip = np.zeros((s.b, s.h, s.n, s.e)), np.zeros((s.b, s.h, len(blocks(s.n, warp)), nk), bool)
    for b in range(s.b):
        for h in range(s.h):
            out[b, h], skip[b, h] = skipping_attention(logits[b, h], round_to_f16(vd[b, h]), rows[b, h], block_k, warp, pv)
    return Case({"Q": q, "K": k, "V": v},
                {"block_q": block_q, "block_k": block_k, "warp": warp, "simthreshd1": sim_threshold, "cdfthreshd": cdf,
                 "pvthreshd": pv}, {"keep": keep, "skip": skip, "out": out}, bound=F16_BOUND)


def pyramid(x, level):
    """Mean of each run of `level` rows (a power of two): repeated means of adjacent pairs."""
    while level > 1:
        x, level = (x[..., 0::2, :] + x[..., 1::2, :]) / 2, level // 2
    return x


def pyramid_attention(q, k, v, levels, block):
    """Block pair (a, b) at level L: logits s q.k^(L)_c + ln L over the B/L pooled keys, values v^(L); L = 0 is skipped."""
    out = np.zeros(q.shape[:-1] + (v.shape[-1],))
    for index in np.ndindex(levels.shape[:3]):
        b, h, a = index
        rows, logits, values = slice(a * block, (a + 1) * block), [], []
        for c, level in enumerate(levels[index]):
            if level:
                keys = pyramid(k[b, h, c * block:(c + 1) * block], level)
                logits.append(q[b, h, rows] @ keys.T / np.sqrt(q.shape[-1]) + np.log(level))
                values.append(pyramid(v[b, h, c * block:(c + 1) * block], level))
        out[b, h, rows] = softmax(np.concatenate(logits, -1)) @ np.concatenate(values)
    return out


@oracle("C2", kind="formula", source="PSA, arXiv 2512.04025; src/psa_triton/utils/transfer_attn_to_mask.py")
def psa(rng, size):
    """Not causal. Sampled tokens of a block (SampleQ, SampleK [h, block/4] int64, offsets in the block, the same for all

    blocks of a head): P = softmax over all sampled keys of s q.k, score[a,b] = max of P over the sampled pairs.
    levels (quota mode): by falling score, ranks [0, .4) nk get level 1, then up to .5, .6, .8 levels 2, 4, 8, the rest 0
    (boundaries int(ratio nk)). levels_energy: boundaries #{cumsum of score / sum <= end} + 1 for ends .3 .45 .6 .8, the
    first at least int(.06 nk) + 1. The last block is text: level 1 as a key block. out, out_energy: pyramid_attention.
    The similarity cap is left out, and the tile (block/8) makes the rounding of quotas to whole tiles void.
    """
    block, count = 8, {"tiny": 5, "odd": 9, "gqa": 10}[size]
    s = shape(size)
    s = type(s)(s.b, s.h, s.g, block * count, block * count, s.d, s.e)
    q, k = (clustered(rng, s.b, h, s.n, s.d, block, 1.0) for h in (s.h, s.g))
    v = normal(rng, s.b, s.g, s.n, s.e)
    samples = [np.stack([np.sort(rng.choice(block, block // 4, replace=False)) for _ in range(s.h)]).astype(np.int64)
               for _ in range(2)]
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    picked = []
    for x, sample in zip((qd, kd), samples):
        rows = (np.arange(count)[None, :, None] * block + sample[:, None, :]).reshape(s.h, -1)
        picked.append(np.take_along_axis(x, rows[None, :, :, None], 2))
    p = softmax(np.einsum("bhid,bhjd->bhij", *picked) / np.sqrt(s.d))
    score = p.reshape(s.b, s.h, count, block // 4, count, block // 4).max((3, 5))
    ratios, ends = (0.4, 0.5, 0.6, 0.8), (0.3, 0.45, 0.6, 0.8)
    order = ranked(score)
    falling = np.take_along_axis(score, order, -1)
    clear(np.diff(falling), 1e-6)
    energy = np.cumsum(falling / falling.sum(-1, keepdims=True), -1)
    clear(energy[..., None] - np.array(ends))
    rank = np.argsort(order, -1)
    quota = [np.full(score.shape[:-1], int(r * count)) for r in ratios]
    bounds = [(energy <= end).sum(-1) + 1 for end in ends]
    bounds[0] = np.maximum(bounds[0], int(0.06 * count) + 1)
    levels = []
    for cuts in (quota, bounds):
        level = np.zeros(score.shape, np.int64)
        for cut, value in zip(reversed(cuts), (8, 4, 2, 1)):
            level[rank < cut[..., None]] = value
        level[..., -1] = 1
        levels.append(level)
    return Case({"Q": q, "K": k, "V": v, "SampleQ": samples[0], "SampleK": samples[1]},
                {"block": block, "ratios": ratios, "energy_ends": ends, "min_level1": 0.06, "text_blocks": 1},
                {"levels": levels[0], "levels_energy": levels[1], "out": pyramid_attention(qd, kd, vd, levels[0], block),
                 "out_energy": pyramid_attention(qd, kd, vd, levels[1], block)})


@oracle("C3", kind="formula", source="Rectified SpaAttn, arXiv 2511.19835; rectified_hunyuan_attn.py, gapr_mask.py")
def rectified(rng, size):
    """Not causal; the first n_vis tokens are visual (whole blocks of B), the last n_text text.

    p = softmax over [pooled visual keys; single text keys] of s q_pool.k for each visual query block;
    p~_b = B p_b / (B sum_vis p + sum_text p), p~_text = sum_text p / (the same).
    keep: by falling p~, max(top_k, #{inclusive cumsum <= prob_threshold} + 1) blocks, plus Neighbours [nb,nb] bool (input).
    rectify: not kept and gain > error, gain = |q_pool.k_pool|, error = |mean|dq|.k_pool| + |q_pool.mean|dk|| with
    dq = q - q_pool, dk = k - k_pool (raw dot products, no s; the factor B^2 of both sides cancels).
    o_i = R SparseAttention(keep and all text) + sum_{b rectified} p~_b vbar_b, R = p~_text + sum_{b not rectified} p~_b.
    Text queries attend everything.
    """
    s, block, top, threshold = shape(size), 8, 2, 0.45
    count, n_text = {"tiny": (4, 6), "odd": (7, 9), "gqa": (8, 11)}[size]
    n_vis = block * count
    n = n_vis + n_text
    q, k = (np.concatenate([0.25 * normal(rng, s.b, h, n_vis, s.d) + np.repeat(normal(rng, s.b, h, count, s.d), block, 2),
                            normal(rng, s.b, h, n_text, s.d)], 2).astype(np.float32) for h in (s.h, s.g))
    v = normal(rng, s.b, s.g, n, s.e)
    neighbours = np.abs(np.arange(count)[:, None] - np.arange(count)) == 0
    qd, kd, vd = f64(q), per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    qv, kv = qd[:, :, :n_vis], kd[:, :, :n_vis]
    q_pool, k_pool, v_pool = pool_mean(qv, block), pool_mean(kv, block), pool_mean(vd[:, :, :n_vis], block)
    p = softmax(np.einsum("bhid,bhjd->bhij", q_pool, np.concatenate([k_pool, kd[:, :, n_vis:]], 2)) / np.sqrt(s.d))
    whole = block * p[..., :count].sum(-1, keepdims=True) + p[..., count:].sum(-1, keepdims=True)
    p_vis, p_text = block * p[..., :count] / whole, p[..., count:].sum(-1, keepdims=True) / whole
    total = np.cumsum(np.take_along_axis(p_vis, ranked(p_vis), -1), -1)
    clear(total - threshold)
    keep = top_k(p_vis, np.maximum(top, (total <= threshold).sum(-1) + 1)) | neighbours
    spread_q = pool_mean(np.abs(qv - np.repeat(q_pool, block, 2)), block)
    spread_k = pool_mean(np.abs(kv - np.repeat(k_pool, block, 2)), block)
    gain = np.abs(np.einsum("bhid,bhjd->bhij", q_pool, k_pool))
    error = (np.abs(np.einsum("bhid,bhjd->bhij", spread_q, k_pool))
             + np.abs(np.einsum("bhid,bhjd->bhij", q_pool, spread_k)))
    clear(gain - error)
    fixed = ~keep & (gain > error)
    mask = np.concatenate([expand_blocks(keep, block, block, n_vis, n_vis), np.ones((s.b, s.h, n_vis, n_text), bool)], -1)
    sparse, _ = softmax_attention(qv, kd, vd, mask)
    share = p_text + np.where(fixed, 0.0, p_vis).sum(-1, keepdims=True)
    visual = np.repeat(share, block, 2) * sparse + np.repeat(np.where(fixed, p_vis, 0.0) @ v_pool, block, 2)
    text, _ = softmax_attention(qd[:, :, n_vis:], kd, vd)
    return Case({"Q": q, "K": k, "V": v, "Neighbours": neighbours},
                {"block": block, "n_vis": n_vis, "n_text": n_text, "top_k": top, "prob_threshold": threshold},
                {"keep": keep, "rectify": fixed, "out": np.concatenate([visual, text], 2)})
