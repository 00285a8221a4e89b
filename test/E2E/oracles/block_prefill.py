# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Block-sparse prefill by a cheap score, exact softmax over what is kept: C5 to C9.

Q [b,h,n,d], K [b,g,n,d], V [b,g,n,e], q = n, causal inside the kept blocks, scale s = 1/sqrt(d); the scores are taken
per query head. `keep` is [b,h,query block, key block].
"""
import numpy as np

from .block_sparse import block_causal, clustered
from .core import (Case, NearTie, blocks, clear, expand_blocks, f64, normal, oracle, per_query_head, pool_mean, ranked,
                   rope, shape, softmax, softmax_attention, top_k)


def draw(rng, s, block, strength=1.0):
    q, k = (clustered(rng, s.b, h, s.n, s.d, block, strength) for h in (s.h, s.g))
    return q, k, normal(rng, s.b, s.g, s.n, s.e)


def kept_attention(q, k, v, keep, block):
    """Softmax over the kept blocks, j <= i."""
    n = q.shape[2]
    mask = expand_blocks(keep, block, block, n, n) & np.tri(n, dtype=bool)
    return softmax_attention(q, k, v, mask)


def last_rows(q, k, rows):
    """softmax(s q_last K^T) of the last rows, causal: [b,h,rows,n]."""
    n = q.shape[2]
    x = np.einsum("bhid,bhjd->bhij", q[:, :, n - rows:], per_query_head(k, q.shape[1])) / np.sqrt(q.shape[-1])
    return softmax(np.where(np.arange(n) <= np.arange(n - rows, n)[:, None], x, -np.inf))


def slash_sums(p):
    """sum over the rows of p[row, i - d] for each offset d = i - j: [b,h,rows,n] -> [b,h,n]."""
    rows, n = p.shape[-2:]
    out = np.zeros(p.shape[:2] + (n,))
    for row in range(rows):
        i = n - rows + row
        out[..., :i + 1] += p[:, :, row, :i + 1][..., ::-1]
    return out


@oracle("C5", kind="formula", source="MInference vertical-slash head, arXiv 2407.02490; minference_forward.py")
def vertical_slash(rng, size):
    """P = softmax(s q_last K^T); vertical_j = sum of the rows (the first force_v := +inf), top n_v columns -> columns;

    slash_d = sum over the diagonal i - j = d (d < force_s := +inf), top n_s -> slashes. For the queries of block
    [a, a+B) a slash d covers the keys [a + B - d - B, a + B - d), a column covers itself, and j <= i.
    The union is taken by element; the authors' index builder lengthens a merged range to whole tiles, and moves a range
    that would begin before key 0 to [0, B).
    """
    s, block, last, n_v, n_s, force_v, force_s = shape(size, q=0), 8, 8, 6, 4, 2, 2
    q, k, v = draw(rng, s, 1, 0.8)
    p = last_rows(f64(q), f64(k), last)
    vertical, slash = p.sum(2), slash_sums(p)
    vertical[..., :force_v], slash[..., :force_s] = np.inf, np.inf
    columns, slashes = top_k(vertical, n_v), top_k(slash, n_s)
    mask = np.repeat(columns[:, :, None], s.n, 2)
    i, j = np.arange(s.n)[:, None], np.arange(s.n)
    end = i // block * block + block
    for d in range(s.n):
        mask |= slashes[:, :, d, None, None] & (j >= end - d - block) & (j < end - d)
    out, lse = softmax_attention(q, k, v, mask & (j <= i))
    return Case({"Q": q, "K": k, "V": v},
                {"block": block, "last_q": last, "n_v": n_v, "n_s": n_s, "force_v": force_v, "force_s": force_s},
                {"columns": columns, "slashes": slashes, "out": out, "lse": lse})


@oracle("C6", kind="formula", source="MInference block-sparse head, arXiv 2407.02490; block_sparse_flash_attention.py")
def block_top_k(rng, size):
    """keep[a] = the top_k blocks of qbar_a.kbar_b (no softmax, no scale) among the block-causal ones; j <= i inside."""
    s, block, top = shape(size, q=0), 8, 3
    q, k, v = draw(rng, s, block)
    count = -(-s.n // block)
    x = np.einsum("bhid,bhjd->bhij", pool_mean(f64(q), block), per_query_head(pool_mean(f64(k), block), s.h))
    keep = top_k(np.where(block_causal(count, count, block, block), x, -np.inf), top)
    # The diagonal block is not forced; a later row always has a key, since every other kept block lies in its past.
    out, lse = kept_attention(q, k, v, keep, block)
    return Case({"Q": q, "K": k, "V": v}, {"block": block, "top_k": top}, {"keep": keep, "out": out, "lse": lse})


def covering(mass, share):
    """Number of the largest entries needed so that their sum reaches share (the crossing one included)."""
    falling = np.take_along_axis(mass, ranked(mass), -1)
    before = np.cumsum(falling, -1) - falling
    clear(before - share)
    return (before < share).sum(-1)


def block_sums(x, block):
    return np.stack([x[..., a:b].sum(-1) for a, b in blocks(x.shape[-1], block)], -1)


@oracle("C7", kind="formula", source="FlexPrefill, arXiv 2502.20766; flex_prefill_attention.py get_active_blocks")
def flex_prefill(rng, size):
    """P = softmax(s q_last K^T) over the last B rows; a = softmax_b(s mean(q_last).kbar_b), t = mean of P's rows summed per

    block; D = sqrt(JSD(a, t)) with natural logarithms. D < tau: query-aware head, else vertical-slash head -> aware [b,h].
    Vertical-slash: v_j = mean of P's rows, u_d = mean over the diagonals; n_v = #cols that cover gamma of v // B + 1,
    n_s alike for u, clamped to [min_blocks, max_blocks]; key blocks with the n_v largest sums of v (block 0 forced) and
    offset blocks d // B with the n_s largest sums of u (offset block 0 forced): keep[a, b] iff b is a kept key block or
    a - b is a kept offset block.
    Query-aware: M = softmax_b(s qbar_a.kbar_b), all rows flattened, the smallest set that covers gamma nq, plus key block
    0 and offset block 0. All block-causal, j <= i inside.
    Two readings of the published code differ from ours: its flattened cover leaves the crossing block out, and its offset
    blocks are counted from the largest offset, which is the same only where n is a multiple of the block.
    """
    s, block, gamma, tau, low, high = shape(size, q=0), 8, 0.7, 0.13, 1, 4
    q, k, v = draw(rng, s, block, 0.8)
    count = -(-s.n // block)
    qd, kd = f64(q), per_query_head(f64(k), s.h)
    p = last_rows(qd, kd, block)
    k_pool = pool_mean(kd, block)
    estimate = softmax(np.einsum("bhd,bhjd->bhj", qd[:, :, s.n - block:].mean(2), k_pool) / np.sqrt(s.d))
    truth = block_sums(p.mean(2), block)
    middle = (estimate + truth) / 2
    distance = np.sqrt(0.5 * (estimate * np.log(estimate / middle) + truth * np.log(truth / middle)).sum(-1))
    clear(distance - tau)
    aware = distance < tau
    if aware.all() or not aware.any():
        raise NearTie("both kinds of head must occur")
    vertical, slash = p.mean(2), slash_sums(p) / block
    n_v, n_s = (np.clip(covering(m, gamma) // block + 1, low, high) for m in (vertical, slash))
    vertical, slash = block_sums(vertical, block), block_sums(slash, block)
    vertical[..., 0], slash[..., 0] = np.inf, np.inf
    columns, offsets = top_k(vertical, n_v), top_k(slash, n_s)
    visible = block_causal(count, count, block, block)
    a, b = np.arange(count)[:, None], np.arange(count)
    keep_vs = columns[:, :, None] | offsets[..., np.maximum(a - b, 0)] & (a >= b)
    m = softmax(np.where(visible, np.einsum("bhid,bhjd->bhij", pool_mean(qd, block), k_pool) / np.sqrt(s.d), -np.inf))
    flat = m.reshape(s.b, s.h, -1)
    cover = top_k(np.where(flat > 0, flat, -np.inf), covering(flat, gamma * count)).reshape(m.shape)
    keep = np.where(aware[..., None, None], cover | (b == 0) | (a == b), keep_vs) & visible
    out, lse = kept_attention(q, k, v, keep, block)
    return Case({"Q": q, "K": k, "V": v},
                {"block": block, "gamma": gamma, "tau": tau, "min_blocks": low, "max_blocks": high},
                {"aware": aware, "keep": keep, "out": out, "lse": lse})


@oracle("C8", kind="formula", source="XAttention, arXiv 2503.16428; xattn/src/Xattention.py, utils.py")
def xattention(rng, size):
    """Stride S, block B: Q'_a = concat_r q_{aS+S-1-r}, K'_b = concat_r k_{bS+r}, x = Q'.K' / (sqrt(d) S), b <= a,

    softmax over b, summed over the B/S x B/S entries of a block pair -> score. keep: block 0 and the diagonal block, then
    the others by falling score while (forced sum + the sum of those before) < tau * row total: the crossing block is kept.
    n is a multiple of S.
    """
    s, stride, block, tau = shape(size), 4, 8, 0.7
    n = {"tiny": 40, "odd": 68, "gqa": 80}[size]
    s = type(s)(s.b, s.h, s.g, n, n, s.d, s.e)
    q, k, v = draw(rng, s, 4)
    count, steps = -(-n // block), n // stride
    qd, kd = f64(q), per_query_head(f64(k), s.h)
    folded_q = qd.reshape(s.b, s.h, steps, stride, s.d)[:, :, :, ::-1].reshape(s.b, s.h, steps, -1)
    folded_k = kd.reshape(s.b, s.h, steps, -1)
    x = np.einsum("bhid,bhjd->bhij", folded_q, folded_k) / (np.sqrt(s.d) * stride)
    p = softmax(np.where(np.tri(steps, dtype=bool), x, -np.inf))
    score = np.stack([block_sums(p[:, :, a:b], block // stride).sum(2) for a, b in blocks(steps, block // stride)], 2)
    forced = (np.arange(count) == 0) | np.eye(count, dtype=bool)
    others = np.where(forced, 0.0, score)
    falling = np.take_along_axis(others, ranked(others), -1)
    before = np.cumsum(falling, -1) - falling + np.where(forced, score, 0.0).sum(-1, keepdims=True)
    margin = before - tau * score.sum(-1, keepdims=True)
    clear(np.where(falling > 0, margin, np.inf))
    keep = forced | top_k(np.where(others > 0, others, -np.inf), ((margin < 0) & (falling > 0)).sum(-1))
    out, lse = kept_attention(q, k, v, keep & block_causal(count, count, block, block), block)
    return Case({"Q": q, "K": k, "V": v}, {"stride": stride, "block": block, "tau": tau},
                {"keep": keep & block_causal(count, count, block, block), "out": out, "lse": lse})


def pooled_keys(k, block, count):
    """concat(max, min, mean) of the first `count` blocks: [..., n, d] -> [..., count, 3 d]."""
    parts = [k[..., a:b, :] for a, b in blocks(k.shape[-2], block)[:count]]
    return np.stack([np.concatenate([p.max(-2), p.min(-2), p.mean(-2)], -1) for p in parts], -2)


@oracle("C9", kind="formula", source="SeerAttention, arXiv 2410.13276; prefill_sparse/attn_gate.py")
def seer(rng, size):
    """The gate reads QPre, KPre (before RoPE): Qp = mean of a block, Kp = concat(max, min, mean); per head linear WQ [h,d,m],

    WK [g,3d,m]; RoPE (halves, base 10000) at the position of a block's first token; G = softmax(Qp'.Kp' / sqrt(m)),
    block-causal. keep: G > threshold, the last block row dense; keep_top: the top_k of G. Attention over Q, K, V (given
    after RoPE), j <= i. The block itself (a, a) is not forced by the gate; a row without a kept key would give 0.
    """
    s, block, m, threshold, top = shape(size, q=0), 8, 8, 0.12, 3
    q, k, v = draw(rng, s, block)
    q_pre, k_pre, _ = draw(rng, s, block)
    wq, wk = normal(rng, s.h, s.d, m, scale=s.d ** -0.5), normal(rng, s.g, 3 * s.d, m, scale=s.d ** -0.5)
    count = -(-s.n // block)
    at = np.arange(count) * block
    gate_q = rope(np.einsum("bhnd,hdm->bhnm", pool_mean(f64(q_pre), block), f64(wq)), at)
    gate_k = rope(np.einsum("bgnd,gdm->bgnm", pooled_keys(f64(k_pre), block, count), f64(wk)), at)
    x = np.einsum("bhim,bhjm->bhij", gate_q, per_query_head(gate_k, s.h)) / np.sqrt(m)
    visible = block_causal(count, count, block, block)
    g = softmax(np.where(visible, x, -np.inf))
    clear(g - threshold)
    last = (np.arange(count) == count - 1)[:, None]
    best = top_k(np.where(visible, g, -np.inf), top)
    keep, keep_top = ((selected | last) & visible for selected in (g > threshold, best))
    out, lse = kept_attention(q, k, v, keep, block)
    out_top, lse_top = kept_attention(q, k, v, keep_top, block)
    return Case({"Q": q, "K": k, "V": v, "QPre": q_pre, "KPre": k_pre, "WQ": wq, "WK": wk},
                {"block": block, "threshold": threshold, "top_k": top, "rope_base": 10000.0},
                {"keep": keep, "out": out, "lse": lse, "keep_top": keep_top, "out_top": out_top, "lse_top": lse_top})
