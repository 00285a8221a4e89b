# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention through few summaries of the tokens: A2, G1, G2. Q [b,h,q,d], K [b,h,n,d], V [b,h,n,e], h = g."""
import numpy as np

from .core import Case, attend, f64, layer_norm, normal, oracle, softmax, softmax_attention
from .recurrence import heads, qkv_heads


@oracle("A2", kind="formula", source="Efficient Attention, arXiv 1812.01243")
def efficient_attention(rng, size):
    """E = softmax over features(Q) (softmax over tokens(K)^T V); no scale, not causal. Context = the bracket [b,h,d,e]."""
    q, k, v = qkv_heads(rng, heads(size))
    context = np.einsum("bhnd,bhne->bhde", softmax(f64(k), axis=2), f64(v))
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": softmax(f64(q)) @ context, "Context": context})


@oracle("G1", kind="formula", source="Linformer, arXiv 2006.04768")
def linformer(rng, size):
    """K' = E^T K, V' = F^T V with E, F [n,k] shared by the heads, k = 7; o = softmax(s Q K'^T) V', not causal."""
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    e, f = normal(rng, s.n, 7, scale=s.n ** -0.5), normal(rng, s.n, 7, scale=s.n ** -0.5)
    projected_k, projected_v = (np.einsum("nk,bhnd->bhkd", f64(w), f64(x)) for w, x in ((e, k), (f, v)))
    out, lse = softmax_attention(q, projected_k, projected_v)
    return Case({"Q": q, "K": k, "V": v, "E": e, "F": f}, {"k": 7}, {"out": out, "lse": lse})


@oracle("G2", kind="formula", source="Luna, arXiv 2106.01540; fairseq-apollo luna_attention.py")
def luna(rng, size):
    """Pack: Y = softmax(s P K^T) V over the tokens, P [b,h,l,d], d = e. Unpack: out = softmax(s Q Y^T) Y (the projections of

    Y between the two are left out). p_next [b,l,h*d] = LN(Y + P) over all channels, no weight, eps 1e-5. Not causal.
    out_causal: a_j = softplus_{ln 2}(s KP_j . P) in R^l, softplus_beta(x) = ln(1 + e^{beta x}) / beta;
      f(x, y, z)_t = (1/t) x_t sum_{j<=t} y_j^T z_j (t from 1); A_t = softmax(f(s q, k, a)_t); o_t = f(A, a, v)_t.
    """
    s, slots, beta = heads(size), 5, np.log(2)
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    q, k, v = qkv_heads(rng, s)
    p, kp = normal(rng, s.b, s.h, slots, s.d), normal(rng, s.b, s.h, s.n, s.d)
    scale = s.d ** -0.5
    y, _ = attend(np.einsum("bhld,bhnd->bhln", f64(p), f64(k)) * scale, f64(v))
    out, _ = attend(np.einsum("bhnd,bhld->bhnl", f64(q), y) * scale, y)
    p_next = layer_norm((y + f64(p)).transpose(0, 2, 1, 3).reshape(s.b, slots, -1), 1e-5)
    pattern = np.logaddexp(0, beta * scale * np.einsum("bhnd,bhld->bhnl", f64(kp), f64(p))) / beta

    def running(a, b, c):
        """f: masked linear attention divided by the number of tokens so far."""
        weight = np.tril(np.einsum("bhid,bhjd->bhij", a, b)) / np.arange(1, s.n + 1)[:, None]
        return weight @ c

    probability = softmax(running(f64(q) * scale, f64(k), pattern))
    return Case({"Q": q, "K": k, "V": v, "P": p, "KP": kp}, {"slots": slots, "eps": 1e-5},
                {"out": out, "Y": y, "p_next": p_next, "out_causal": running(probability, pattern, f64(v))})
