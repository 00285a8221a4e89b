# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Estimators of attention by sampling: D6, D7 and D9.

Layout as in decode.py. The random numbers are inputs of the case (hash planes, uniforms in [0,1)), so the result is
fixed; the functions mean_* average the estimator over many draws, for a test of its expectation.
"""
import statistics

import numpy as np

from .core import Case, clear, f64, normal, oracle, per_query_head, qkv, softmax, top_k
from .decode import attend, attend_tokens, decode_shape, merge


def draws(rng, *dims):
    """Uniforms in [0,1) that are multiples of 2^-20, hence exact in float32."""
    return (rng.integers(0, 1 << 20, dims) / (1 << 20)).astype(np.float32)


def lsh_sample(q, k, planes):
    """Collision in at least two tables, and its probability u; q [.., d], k [.., n, d], planes [L, K, d]."""
    tables, bits = planes.shape[:2]
    code_q, code_k = np.einsum("...d,lkd->...lk", q, planes), np.einsum("...nd,lkd->...nlk", k, planes)
    clear(code_q, 1e-7)
    clear(code_k, 1e-7)
    equal = ((code_q > 0)[..., None, :, :] == (code_k > 0)).all(-1).sum(-1)
    cosine = np.einsum("...d,...nd->...n", q, k) / (np.linalg.norm(q, axis=-1)[..., None] * np.linalg.norm(k, axis=-1))
    p1 = (1 - np.arccos(np.clip(cosine, -1, 1)) / np.pi) ** bits
    return equal >= 2, 1 - (1 - p1) ** tables - tables * p1 * (1 - p1) ** (tables - 1)


@oracle("D6", kind="formula", source="MagicPIG, arXiv 2410.16179; RULER/pred/attnserver_dist.py")
def magic_pig(rng, size):
    """k <- k - kbar, kbar = mean over the middle tokens (all but `sink` first and `local` last). Sign codes of K bits in L

    tables, Planes [L,K,d]; keep [b,h,n] = middle tokens that collide with q in at least two tables; u as in lsh_sample;
    logits of these s q.k - ln(u + 1e-4), of sink and local s q.k; one softmax (the merge of the two by lse).
    lse has the correction s q.kbar.
    """
    s, sink, local, tables, bits = decode_shape(size), 4, 6, 12, 3
    q, k, v = qkv(rng, s)
    k = (k + 2 * normal(rng, 1, s.g, 1, s.d)).astype(np.float32)
    planes = normal(rng, tables, bits, s.d)
    qd, kd, vd = f64(q)[:, :, 0], per_query_head(f64(k), s.h), per_query_head(f64(v), s.h)
    mean = kd[:, :, sink:s.n - local].mean(2, keepdims=True)
    kd = kd - mean
    hit, u = lsh_sample(qd, kd, f64(planes))
    token = np.arange(s.n)
    static = (token < sink) | (token >= s.n - local)
    x = np.einsum("bhd,bhnd->bhn", qd, kd) / np.sqrt(s.d)
    parts = [attend(np.where(chosen, logits, -np.inf)[:, :, None], vd)
             for chosen, logits in ((static, x), (hit & ~static, x - np.log(u + 1e-4)))]
    out, lse = merge(parts)
    lse = lse + np.einsum("bhd,bhnd->bhn", qd, mean) / np.sqrt(s.d)
    return Case({"Q": q, "K": k, "V": v, "Planes": planes}, {"sink": sink, "local": local, "eps": 1e-4},
                {"keep": hit & ~static, "out": out, "lse": lse})


def mean_magic_pig(case, rng, repeats):
    """Mean numerator over mean denominator of the sampled part, over fresh planes, and the exact attention over it."""
    q, k, v = (f64(case.inputs[name]) for name in "QKV")
    sink, local = case.params["sink"], case.params["local"]
    q, k, v = q[:, :, 0], per_query_head(k, q.shape[1]), per_query_head(v, q.shape[1])
    k, v = k[:, :, sink:k.shape[2] - local], v[:, :, sink:v.shape[2] - local]
    k = k - k.mean(2, keepdims=True)
    x = np.exp(np.einsum("bhd,bhnd->bhn", q, k) / np.sqrt(q.shape[-1]))
    above, below = 0.0, 0.0
    for _ in range(repeats):
        hit, u = lsh_sample(q, k, rng.standard_normal(case.inputs["Planes"].shape))
        weight = np.where(hit, x / (u + 1e-4), 0)
        above, below = above + np.einsum("bhn,bhne->bhe", weight, v), below + weight.sum(-1)
    return above / below[..., None], np.einsum("bhn,bhne->bhe", x, v) / x.sum(-1)[..., None]


def inverse_cdf(p, u):
    """The index whose interval of the cumulative sum holds u: #{cumsum <= u}. p [.., n], u [.., m]."""
    total = np.cumsum(p, -1)
    gap = u[..., None] - total[..., None, :]
    clear(gap, 1e-7)
    return np.minimum((gap >= 0).sum(-1), p.shape[-1] - 1)


@oracle("D7", kind="formula", source="oracle top-k, top-p and sampling as in MagicPIG, arXiv 2410.16179")
def oracle_selection(rng, size):
    """p = softmax(s q.k) exactly. out, keep: the top_k largest, renormalised; lse over them. out_sampled: the mean of v over

    index [b,h,m] int64, drawn from p by the inverse of its cumulative sum at U [b,h,m].
    """
    s, top, m = decode_shape(size), 9, 16
    q, k, v = qkv(rng, s)
    u = draws(rng, s.b, s.h, m)
    p = softmax(np.einsum("bhd,bhnd->bhn", f64(q)[:, :, 0], per_query_head(f64(k), s.h)) / np.sqrt(s.d))
    keep = top_k(p, top)
    out, lse = attend_tokens(q, k, v, keep)
    index = inverse_cdf(p, f64(u))
    sampled = np.take_along_axis(per_query_head(f64(v), s.h), index[..., None], 2).mean(2, keepdims=True)
    return Case({"Q": q, "K": k, "V": v, "U": u}, {"top_k": top},
                {"keep": keep, "out": out, "lse": lse, "index": index, "out_sampled": sampled})


def sampled_attention(x, v, fixed, base_u, u, rate, eps, delta):
    """vAttention for one head; see D9. Returns the output and the budget."""
    m, rest = x.max(), np.flatnonzero(~fixed)
    weight, size = np.exp(x - m), rest.size

    def pick(uniform):
        clear(np.abs((uniform * size) % 1 - 0.5) - 0.5, 1e-7)
        return rest[np.floor(uniform * size).astype(int)]

    base = pick(base_u[:max(2, int(rate * size))])
    sigma = weight[base].std(ddof=1)
    below = weight[fixed].sum() + size / base.size * weight[base].sum()
    raw = (statistics.NormalDist().inv_cdf(1 - delta) * sigma * size / (eps * below)) ** 2
    clear(np.abs(raw % 1 - 0.5) - 0.5)
    budget = int(np.clip(np.floor(raw), base.size, size))
    sample = pick(u[:budget])
    scale = size / budget
    above = weight[fixed] @ v[fixed] + scale * weight[sample] @ v[sample]
    return above / (weight[fixed].sum() + scale * weight[sample].sum()), budget


@oracle("D9", kind="formula", source="vAttention, arXiv 2510.05688; adaptive_sampling.py (bound of the denominator)")
def vattention(rng, size):
    """Fixed set: `sink` first, `local` last, and Predicted [b,h,k] int64 (another selector's top-k). Rest: n_s tokens.

    Uniform u picks rest[floor(u n_s)]. Base sample: the first n_b = max(2, int(rate n_s)) of BaseU; sigma = standard
    deviation (divisor n_b - 1) of e^{x-m} over it, m the maximum over all keys, D = D_fixed + n_s/n_b sum_base;
    budget = clamp(floor((Phi^-1(1-delta) sigma n_s / (eps D))^2), n_b, n_s) -> [b,h]. The first `budget` of U, with
    repetition: out = (sum_fixed e^x v + n_s/budget sum_sample e^x v) / (the same without v).
    """
    s, sink, local, picks = decode_shape(size), 3, 5, 6
    rate, eps, delta = 0.12, 0.15, 0.2
    q, k, v = qkv(rng, s)
    middle = np.arange(sink, s.n - local)
    predicted = np.stack([[np.sort(rng.choice(middle, picks, replace=False)) for _ in range(s.h)] for _ in range(s.b)])
    base_u, u = draws(rng, s.b, s.h, s.n), draws(rng, s.b, s.h, s.n)
    x = np.einsum("bhd,bhnd->bhn", f64(q)[:, :, 0], per_query_head(f64(k), s.h)) / np.sqrt(s.d)
    vd = per_query_head(f64(v), s.h)
    fixed = np.ones((s.b, s.h, s.n), bool)
    fixed[..., middle] = False
    np.put_along_axis(fixed, predicted, True, -1)
    out, budget = np.zeros((s.b, s.h, 1, s.e)), np.zeros((s.b, s.h), np.int64)
    for b, h in np.ndindex(s.b, s.h):
        out[b, h, 0], budget[b, h] = sampled_attention(x[b, h], vd[b, h], fixed[b, h], f64(base_u)[b, h], f64(u)[b, h],
                                                       rate, eps, delta)
    return Case({"Q": q, "K": k, "V": v, "Predicted": predicted.astype(np.int64), "BaseU": base_u, "U": u},
                {"sink": sink, "local": local, "rate": rate, "eps": eps, "delta": delta},
                {"budget": budget, "out": out, "keep": fixed})


def mean_uniform(values, uniforms):
    """Mean over the rows of `uniforms` of n_s/m sum over the picks of `values`: estimates values.sum()."""
    picks = np.floor(uniforms * values.size).astype(int)
    return (values.size * values[picks].mean(-1)).mean()
