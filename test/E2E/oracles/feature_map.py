# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear attention with a feature map: family H.

out_t = S_t^T phi(q_t) / (z_t . phi(q_t) + eps), S_t = sum_{j<=t} phi(k_j) v_j^T, z_t = sum_{j<=t} phi(k_j). Written as
the masked quadratic form, which is the same sum. Q [b,h,n,d], K [b,h,n,d], V [b,h,n,e]; q = n. `out` is causal,
`out_global` sums over all keys.
"""
import numpy as np

from .core import Case, clear, f64, l2_norm, normal, oracle, sigmoid, softmax
from .recurrence import heads, qkv_heads


def linear_attention(phi_q, phi_k, v, eps, causal=True, decay=None):
    """sum_j w_ij v_j / (sum_j w_ij + eps), w_ij = phi(q_i).phi(k_j) (times decay_ij) over j <= i or over all j."""
    weight = np.einsum("bhid,bhjd->bhij", phi_q, phi_k)
    if decay is not None:
        weight = weight * decay
    if causal:
        weight = np.tril(weight)
    return weight @ v / (weight.sum(-1, keepdims=True) + eps)


def both(phi_q, phi_k, v, eps):
    return {"out": linear_attention(phi_q, phi_k, v, eps), "out_global": linear_attention(phi_q, phi_k, v, eps, False)}


@oracle("H1", kind="formula", source="Linear Transformer, arXiv 2006.16236")
def linear_transformer(rng, size):
    """phi = elu(x) + 1, no scale, eps 1e-6."""
    q, k, v = qkv_heads(rng, heads(size))

    def phi(x):
        return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))

    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, both(phi(f64(q)), phi(f64(k)), f64(v), 1e-6))


@oracle("H2", kind="formula", source="Performer (FAVOR+), arXiv 2009.14794; performer_pytorch softmax_kernel")
def performer(rng, size):
    """x <- x d^-1/4; phi(x) = m^-1/2 (exp(x Omega^T - |x|^2/2 - stab) + 1e-4), stab: of q the maximum over features of a

    row, of k the maximum over all tokens and features of a head. Omega [m,d] (rows orthogonal in groups of d). The
    denominator is phi(q).z in `out_global` and phi(q).(z + 1e-6) in `out` (causal). The global stabiliser of k, which a
    causal stream does not know, is the library's.
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    m = 2 * s.d
    omega = np.concatenate([np.linalg.qr(rng.standard_normal((s.d, s.d)))[0] for _ in range(2)])
    omega = (omega * np.linalg.norm(rng.standard_normal((m, s.d)), axis=1)[:, None]).astype(np.float32)

    def phi(x, axes):
        x = f64(x) * s.d ** -0.25
        dash = x @ f64(omega).T
        stab = dash.max(axes, keepdims=True)
        return m ** -0.5 * (np.exp(dash - (x * x).sum(-1, keepdims=True) / 2 - stab) + 1e-4)

    phi_q, phi_k = phi(q, -1), phi(k, (-1, -2))
    return Case({"Q": q, "K": k, "V": v, "Omega": omega}, {"feature_eps": 1e-4, "eps": 1e-6},
                {"out": linear_attention(phi_q, phi_k, f64(v), 1e-6 * phi_q.sum(-1, keepdims=True)),
                 "out_global": linear_attention(phi_q, phi_k, f64(v), 0.0, False)})


def random_fourier(x, w):
    """sqrt(1/D) [sin(w_1.x)..sin(w_D.x), cos(w_1.x)..cos(w_D.x)]; w [h,D,d]."""
    u = np.einsum("bhnd,hmd->bhnm", x, w)
    return np.concatenate([np.sin(u), np.cos(u)], -1) / np.sqrt(w.shape[1])


def rfa_inputs(rng, size):
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    # Small frequencies keep sum_j phi(q).phi(k_j), a sum of cosines, away from zero.
    sigma, w = (0.5 + 0.1 * rng.random((s.h, s.d))).astype(np.float32), normal(rng, s.h, 2 * s.d, s.d)
    scaled = f64(w) * f64(sigma)[:, None]
    phi_q, phi_k = (random_fourier(l2_norm(f64(x), 1e-12), scaled) for x in (q, k))
    return s, {"Q": q, "K": k, "V": v, "Sigma": sigma, "Omega": w}, phi_q, phi_k


@oracle("H3", kind="formula", source="RFA, arXiv 2103.02143; the guard of the denominator (+ eps) is our choice")
def rfa(rng, size):
    """q, k <- x / sqrt(|x|^2 + 1e-12); w_m = Sigma * Omega_m; see random_fourier. Sigma [h,d], Omega [h,D,d], eps 1e-6."""
    _, inputs, phi_q, phi_k = rfa_inputs(rng, size)
    return Case(inputs, {"eps": 1e-6, "l2_eps": 1e-12}, both(phi_q, phi_k, f64(inputs["V"]), 1e-6))


@oracle("H4", kind="formula", source="RFA-Gate, arXiv 2103.02143")
def rfa_gate(rng, size):
    """g_t = sigmoid(G_t) [b,h,t]: S_t = g_t S_{t-1} + (1-g_t) phi(k) v^T, z alike; o = S^T phi(q) / (z.phi(q) + 1e-6)."""
    s, inputs, phi_q, phi_k = rfa_inputs(rng, size)
    inputs["G"] = (normal(rng, s.b, s.h, s.n) + 2).astype(np.float32)
    g, v = sigmoid(f64(inputs["G"])), f64(inputs["V"])
    state, z, out = np.zeros((s.b, s.h, phi_k.shape[-1], s.e)), np.zeros((s.b, s.h, phi_k.shape[-1])), np.zeros(v.shape)
    for t in range(s.n):
        a = g[:, :, t, None]
        state = a[..., None] * state + (1 - a)[..., None] * phi_k[:, :, t, :, None] * v[:, :, t, None, :]
        z = a * z + (1 - a) * phi_k[:, :, t]
        below = np.einsum("bhm,bhm->bh", z, phi_q[:, :, t]) + 1e-6
        out[:, :, t] = np.einsum("bhme,bhm->bhe", state, phi_q[:, :, t]) / below[..., None]
    return Case(inputs, {"eps": 1e-6, "l2_eps": 1e-12}, {"out": out, "S": state, "Z": z})


@oracle("H5", kind="formula", source="cosFormer, arXiv 2202.08791; cosformer.py")
def cosformer(rng, size):
    """phi(x)_i = [relu(x) sin(pi i / 2M), relu(x) cos(pi i / 2M)], i from 1, M = n; the denominator is max(., 1e-6)."""
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    angle = np.pi / 2 * np.arange(1, s.n + 1) / s.n

    def phi(x):
        x = np.maximum(f64(x), 0)
        return np.concatenate([x * np.sin(angle)[:, None], x * np.cos(angle)[:, None]], -1)

    weight = np.einsum("bhid,bhjd->bhij", phi(q), phi(k))
    clear(np.maximum(np.tril(weight).sum(-1), 0) - 1e-6, 1e-3)  # neither guard decides: the row sums are far from eps
    outputs = {}
    for name, w in (("out", np.tril(weight)), ("out_global", weight)):
        outputs[name] = w @ f64(v) / np.maximum(w.sum(-1, keepdims=True), 1e-6)
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6, "M": s.n}, outputs)


@oracle("H6", kind="formula", source="Hedgehog, arXiv 2402.04347; lolcats feature_map.py")
def hedgehog(rng, size):
    """phi(x) = [softmax(W x + b), softmax(-(W x + b))], each half on its own; WQ, WK [h,d,d], BQ, BK [h,d]; eps 1e-12."""
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    weights = {name: (np.eye(s.d) + normal(rng, s.h, s.d, s.d, scale=0.1)).astype(np.float32) for name in ("WQ", "WK")}
    biases = {name: normal(rng, s.h, s.d, scale=0.1) for name in ("BQ", "BK")}

    def phi(x, w, b):
        y = np.einsum("bhnd,hed->bhne", f64(x), f64(w)) + f64(b)[:, None]
        return np.concatenate([softmax(y), softmax(-y)], -1)

    phi_q, phi_k = phi(q, weights["WQ"], biases["BQ"]), phi(k, weights["WK"], biases["BK"])
    return Case({"Q": q, "K": k, "V": v, **weights, **biases}, {"eps": 1e-12}, both(phi_q, phi_k, f64(v), 1e-12))
