# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Softmax attention whose mask is a predicate of the positions: A1, C4 and family E.

Layout: Q [b,h,q,d], K [b,g,n,d], V [b,g,n,e], out [b,h,q,e], lse [b,h,q] (natural logarithm). i is the position of a
query and j that of a key; the last query stands on the last key, so i runs from n-q to n-1. Scale 1/sqrt(d).
"""
import math

import numpy as np

from .core import (Case, attend, f64, oracle, per_query_head, positions, qkv, rope, shape,
                   softmax_attention)


def masked_case(rng, s, mask, params, extra=None, lse=True):
    """Draws Q, K, V and attends under the mask (a function of i, j that broadcasts to [b,h,q,n])."""
    q, k, v = qkv(rng, s)
    out, norm = softmax_attention(q, k, v, mask)
    outputs = {"out": out, "lse": norm} if lse else {"out": out}
    return Case({"Q": q, "K": k, "V": v, **(extra or {})}, params, outputs)


@oracle("A1", kind="formula", source="FlashAttention, arXiv 2205.14135; causal, grouped heads")
def softmax_dense(rng, size):
    """o = softmax(s QK^T + mask) V with j <= i; lse = m + ln l. Queries i // (h/g) share a key/value head."""
    s = shape(size)
    i, j = positions(s.q, s.n)
    return masked_case(rng, s, j <= i, {"causal": True})


@oracle("C4", kind="formula", source="MInference A-shape head, arXiv 2407.02490")
def a_shape(rng, size):
    """j <= i and (j < n_init or i - j < n_local), element-granular."""
    s, n_init, n_local = shape(size), 6, 13
    i, j = positions(s.q, s.n)
    mask = (j <= i) & ((j < n_init) | (i - j < n_local))
    return masked_case(rng, s, mask, {"n_init": n_init, "n_local": n_local})


@oracle("E1", kind="formula", source="sliding window as in Hugging Face and attention-gym")
def sliding_window(rng, size):
    """0 <= i - j < w."""
    s, w = shape(size), 11
    i, j = positions(s.q, s.n)
    return masked_case(rng, s, (j <= i) & (i - j < w), {"window": w})


@oracle("E2", kind="formula", source="StreamingLLM, arXiv 2309.17453")
def streaming_llm(rng, size):
    """Sinks and a window, rotated by the slot in the cache and not by the position in the text.

    When token i is decoded the cache holds the n_sink first tokens and the w last ones, K unrotated, in that order:
      mask:    j <= i and (j < n_sink or i - j < w)
      slot(j): j for a sink, j - max(0, i + 1 - n_sink - w) for a token of the window
      slot of the query: min(i, n_sink + w - 1)
      x = s rope(q_i, slot of the query) . rope(k_j, slot(j)),  rope in halves, base 10000
    A row with i < n_sink + w sees ordinary positions.
    """
    s, n_sink, w = shape(size), 4, 13
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    shift = np.maximum(0, i + 1 - n_sink - w)
    slot = np.where(j < n_sink, j, j - shift)
    qd, kd, vd = f64(q, k, v)
    qd = rope(qd, np.minimum(i[:, 0], n_sink + w - 1))
    kd, vd = per_query_head(kd, s.h), per_query_head(vd, s.h)
    rotated = rope(kd[:, :, None], slot)  # a key has another slot for each query
    x = np.einsum("bhid,bhijd->bhij", qd, rotated) / math.sqrt(s.d)
    mask = (j <= i) & ((j < n_sink) | (i - j < w))
    out, lse = attend(np.where(mask, x, -np.inf), vd)
    params = {"n_sink": n_sink, "window": w, "rope_base": 10000.0}
    return Case({"Q": q, "K": k, "V": v}, params, {"out": out, "lse": lse})


@oracle("E3", kind="formula", source="Sparse Transformer, arXiv 1904.10509; openai/sparse_attention attention.py")
def sparse_transformer(rng, size):
    """Two steps split over the heads: even heads do step A, odd heads do step B. All causal.

    out, lse             strided  A: i - j < l          B: (i - j) mod l = 0
    out_fixed, lse_fixed fixed    A: i div l = j div l  B: (j mod l) >= l - c
    """
    s, l, c = shape(size), 8, 2
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    even = (np.arange(s.h) % 2 == 0)[None, :, None, None]
    strided = (j <= i) & np.where(even, i - j < l, (i - j) % l == 0)
    fixed = (j <= i) & np.where(even, i // l == j // l, j % l >= l - c)
    out, lse = softmax_attention(q, k, v, strided)
    out_fixed, lse_fixed = softmax_attention(q, k, v, fixed)
    return Case({"Q": q, "K": k, "V": v}, {"l": l, "c": c},
                {"out": out, "lse": lse, "out_fixed": out_fixed, "lse_fixed": lse_fixed})


@oracle("E4", kind="formula", source="GPT-3, arXiv 2005.14165, after Sparse Transformer; the band width is ours")
def banded(rng, size):
    """The locally banded layer: 0 <= i - j < band. The paper publishes no width; 9 is an arbitrary choice."""
    s, band = shape(size), 9
    i, j = positions(s.q, s.n)
    return masked_case(rng, s, (j <= i) & (i - j < band), {"band": band})


@oracle("E5", kind="formula", source="LongNet, arXiv 2307.02486; torchscale dilated_attention.py")
def longnet(rng, size):
    """Dilated attention: one causal attention per (segment w, dilation r), merged by their softmax denominators.

    Position p of a segment is kept by head h iff p mod r = off(h), off(h) = h // ceil(H/r) (the code's rule; the paper
    writes h mod r). A position that a pair does not cover gets o = 0, lse = -inf from it, and
      o = sum_n e^{lse_n} o_n / sum_n e^{lse_n},  lse = ln sum_n e^{lse_n}.
    r = 1 covers every position. q = n here.
    """
    s = shape(size, q=0)
    pairs = [(8, 1), (16, 2), (32, 4)]
    q, k, v = qkv(rng, s)
    i, j = positions(s.q, s.n)
    head = np.arange(s.h)[:, None, None]
    partial = []
    for w, r in pairs:
        off = head // -(-s.h // r)
        kept_i, kept_j = (i % w) % r == off, (j % w) % r == off
        partial.append(softmax_attention(q, k, v, (j <= i) & (i // w == j // w) & kept_i & kept_j))
    outs, norms = np.stack([o for o, _ in partial]), np.stack([l for _, l in partial])
    top = norms.max(0)
    weight = np.exp(norms - top)
    total = weight.sum(0)
    out = (weight[..., None] * outs).sum(0) / total[..., None]
    return Case({"Q": q, "K": k, "V": v}, {"pairs": pairs}, {"out": out, "lse": top + np.log(total)})


def logsparse_mask(n, sub_len):
    """row_mask of the public re-implementation; where the local run would start before 0 it is cut at 0.

    That code then leaves out the restart position itself (`mask[:index]`); we keep it, as the paper's text does.
    """
    log_l = math.ceil(math.log2(sub_len))
    mask = np.zeros((n, n), bool)
    for row in range(n):
        if row < (n // sub_len) * 2 * log_l:
            mask[row, :row + 1] = True
            continue
        index = row
        while index >= 0:
            mask[row, max(0, index - log_l + 1):index + 1] = True
            for m in range(log_l):
                far = index - log_l + 1 - 2 ** m
                if far >= 0 and index - far <= sub_len:
                    mask[row, far] = True
            index -= sub_len
    return mask


@oracle("E6", kind="formula", source="LogSparse, arXiv 1907.00235, local attention with restart")
def logsparse(rng, size):
    """l = ceil(log2 L); see logsparse_mask. q = n. L is n // 2 so that rows after 4 l are sparse."""
    s = shape(size, q=0)
    sub_len = {"tiny": 16, "odd": 32, "gqa": 32}[size]
    mask = logsparse_mask(s.n, sub_len)
    return masked_case(rng, s, mask, {"sub_len": sub_len, "win_len": s.n})


@oracle("E7", kind="formula", source="BigBird, arXiv 2007.14062, ITC")
def bigbird(rng, size):
    """Block mask, not causal, one softmax over the union; first and last block rows attend everything.

    Block row a (0 < a < nb-1) of head h attends {0, nb-1}, {a-1, a, a+1} and RandBlocks[h, a-1, :]; the r random blocks
    are distinct and outside the other two sets. RandBlocks [h, nb-2, r] int64. q = n = a multiple of the block.
    """
    block, r = 8, 2
    nb = {"tiny": 7, "odd": 9, "gqa": 10}[size]
    s = shape(size, q=0)
    s = type(s)(s.b, s.h, s.g, nb * block, nb * block, s.d, s.e)
    rand = np.zeros((s.h, nb - 2, r), np.int64)
    keep = np.zeros((s.h, nb, nb), bool)
    keep[:, [0, -1], :] = True
    keep[:, :, [0, -1]] = True
    for h in range(s.h):
        for a in range(1, nb - 1):
            free = [c for c in range(1, nb - 1) if abs(c - a) > 1]
            rand[h, a - 1] = rng.choice(free, r, replace=False)
            keep[h, a, a - 1:a + 2] = True
            keep[h, a, rand[h, a - 1]] = True
    mask = np.repeat(np.repeat(keep, block, 1), block, 2)
    return masked_case(rng, s, mask, {"block": block, "random": r}, {"RandBlocks": rand})


@oracle("E8", kind="formula", source="Longformer, arXiv 2004.05150")
def longformer(rng, size):
    """A symmetric window per head (with dilation), and global tokens that have their own projections.

    Row i not global: softmax over {j : |i-j| <= dil_h w/2, (i-j) mod dil_h = 0} and all global j, with q_i, k_j, v_j.
    Row i global:     softmax over all j with qg_i, kg_j, vg_j.
    Q, Qg [b,h,n,d], K, Kg [b,h,n,d], V, Vg [b,h,n,e], Global [n] bool, Dilation [h] int64; g = h, q = n, not causal.
    out_plain is the same without dilation.
    """
    s = shape(size, q=0)
    s = type(s)(s.b, s.h, s.h, s.q, s.n, s.d, s.e)
    half = 5
    q, k, v = qkv(rng, s)
    qg, kg, vg = qkv(rng, s)
    is_global = np.zeros(s.n, bool)
    is_global[[0, s.n // 2]] = True
    dilation = np.where(np.arange(s.h) % 2 == 0, 1, 2).astype(np.int64)
    i, j = positions(s.q, s.n)
    everywhere, _ = softmax_attention(qg, kg, vg)
    outputs = {}
    for name, step in (("out", dilation[:, None, None]), ("out_plain", 1)):
        mask = (np.abs(i - j) <= step * half) & ((i - j) % step == 0) | is_global[None, None, :]
        outputs[name] = np.where(is_global[:, None], everywhere, softmax_attention(q, k, v, mask)[0])
    return Case({"Q": q, "K": k, "V": v, "Qg": qg, "Kg": kg, "Vg": vg, "Global": is_global, "Dilation": dilation},
                {"window": 2 * half}, outputs)


@oracle("E9", kind="formula", source="catalogue, section E9 (a concept; the kernel piece is our reading)")
def anchors(rng, size):
    """A hybrid pattern: j <= i and (j < n_sink or i - j < w or Anchor[b,j]); Anchor [b,n] bool is chosen elsewhere."""
    s, n_sink, w = shape(size), 2, 7
    anchor = rng.random((s.b, s.n)) < 0.15
    i, j = positions(s.q, s.n)
    mask = (j <= i) & ((j < n_sink) | (i - j < w) | anchor[:, None, None, :])
    return masked_case(rng, s, mask, {"n_sink": n_sink, "window": w}, {"Anchor": anchor})
