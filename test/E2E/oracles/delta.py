# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Delta rules: family K without the fast weights that need an inner gradient of their own.

Q, K [b,h,t,d], V [b,h,t,e], out [b,h,t,e], final state S [b,h,d,e] with o_t = S_t^T q_t; states start at zero.
"""
import numpy as np

from .core import Case, f64, l2_norm, layer_norm, logsigmoid, normal, oracle, per_query_head, rms_norm
from .core import shape, sigmoid, silu, softplus, uniform
from .recurrence import heads, qkv_heads, token_shift
from .state_space import causal_conv


def delta_recurrence(q, k, v, beta, log_decay=None):
    """S <- diag(e^{g_t}) S;  S <- S + beta_t k_t (v_t - S^T k_t)^T;  o_t = S^T q_t. g [b,h,t,1 or d], beta [b,h,t]."""
    state = np.zeros(k.shape[:2] + (k.shape[-1], v.shape[-1]))
    out = np.zeros(v.shape)
    for t in range(k.shape[2]):
        if log_decay is not None:
            state = np.exp(log_decay[:, :, t])[..., None] * state
        error = v[:, :, t] - np.einsum("bhde,bhd->bhe", state, k[:, :, t])
        state = state + beta[:, :, t, None, None] * k[:, :, t, :, None] * error[:, :, None, :]
        out[:, :, t] = np.einsum("bhde,bhd->bhe", state, q[:, :, t])
    return out, state


def dpfp(x, nu):
    """x2 = relu([x, -x]); concatenation over j = 1..nu of x2 * roll(x2, j): [..., d] -> [..., 2 d nu]."""
    x2 = np.maximum(np.concatenate([x, -x], -1), 0)
    return np.concatenate([x2 * np.roll(x2, j, axis=-1) for j in range(1, nu + 1)], -1)


@oracle("K1", kind="formula", source="Fast Weight Programmers, arXiv 2102.11174; IDSIA/recurrent-fwp")
def fwp(rng, size):
    """k' = phi(k) / sum phi(k), q' alike, phi = DPFP_nu; W <- W + beta (v - W k') k'^T, o = W q'; beta = sigmoid(Beta).

    S here is W^T [b,h,2 d nu,e]. out_sum is the sum rule without delta: W <- W + v k'^T, o = W q' / (z.q' + 1e-6)
    with z = sum k'.
    """
    s, nu = heads(size), 2
    q, k, v = qkv_heads(rng, s)
    beta = normal(rng, s.b, s.h, s.n)
    qd, kd = dpfp(f64(q), nu), dpfp(f64(k), nu)
    qd, kd = qd / qd.sum(-1, keepdims=True), kd / kd.sum(-1, keepdims=True)
    out, state = delta_recurrence(qd, kd, f64(v), sigmoid(f64(beta)))
    weight = np.tril(np.einsum("bhid,bhjd->bhij", qd, kd))
    plain = weight @ f64(v) / (weight.sum(-1, keepdims=True) + 1e-6)
    return Case({"Q": q, "K": k, "V": v, "Beta": beta}, {"nu": nu, "eps": 1e-6},
                {"out": out, "S": state, "out_sum": plain})


@oracle("K2", kind="formula", source="DeltaNet, arXiv 2406.06484")
def deltanet(rng, size):
    """q, k <- L2 norm of silu (eps 1e-6), beta = sigmoid(Beta); S_t = (I - beta k k^T) S + beta k v^T, o = S^T q / sqrt(d).

    raw = o; out = RMSNorm over e (NormWeight [e], eps 1e-5).
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    beta, weight = normal(rng, s.b, s.h, s.n), (1 + normal(rng, s.e, scale=0.2)).astype(np.float32)
    qd, kd = l2_norm(silu(f64(q))), l2_norm(silu(f64(k)))
    raw, state = delta_recurrence(qd / np.sqrt(s.d), kd, f64(v), sigmoid(f64(beta)))
    return Case({"Q": q, "K": k, "V": v, "Beta": beta, "NormWeight": weight}, {"eps": 1e-5, "l2_eps": 1e-6},
                {"out": rms_norm(raw, 1e-5, f64(weight)), "raw": raw, "S": state})


@oracle("K3", kind="formula", source="Longhorn, arXiv 2407.14207; models/longhorn.py step")
def longhorn(rng, size):
    """x = silu(conv4(X)); eps = sigmoid(E), Delta = eps / (1 + eps |k|^2);

    S[n,c] = (1 - Delta[c] k_n^2) S[n,c] + Delta[c] k_n x_c; y = S^T q + D x; out = y silu(Z).
    X, E, Z [b,t,c], K, Q [b,t,N], ConvWeight [c,4], ConvBias, D [c]; state S [b,N,c].
    """
    s = shape(size, q=0)
    channels, n = 2 * s.d, 4 if size == "tiny" else 6
    inputs = {"X": normal(rng, s.b, s.n, channels), "E": normal(rng, s.b, s.n, channels),
              "Z": normal(rng, s.b, s.n, channels), "Q": normal(rng, s.b, s.n, n), "K": normal(rng, s.b, s.n, n),
              "ConvWeight": normal(rng, channels, 4, scale=0.5), "ConvBias": normal(rng, channels, scale=0.2),
              "D": normal(rng, channels)}
    p = {name: f64(value) for name, value in inputs.items()}
    x = silu(causal_conv(p["X"], p["ConvWeight"], p["ConvBias"]))
    eps, k = sigmoid(p["E"]), p["K"]
    delta = eps / (1 + eps * np.sum(k * k, -1, keepdims=True))
    state, y = np.zeros((s.b, n, channels)), np.zeros(x.shape)
    for t in range(s.n):
        d, kt = delta[:, t, None, :], k[:, t, :, None]
        state = (1 - d * kt ** 2) * state + d * kt * x[:, t, None, :]
        y[:, t] = np.einsum("bnc,bn->bc", state, p["Q"][:, t]) + p["D"] * x[:, t]
    return Case(inputs, {}, {"out": y * silu(p["Z"]), "S": state})


@oracle("K6", kind="formula", source="Gated DeltaNet, arXiv 2412.06464, eq. 10")
def gated_delta(rng, size):
    """q, k <- L2 norm of silu(conv4(.)), v <- silu(conv4(V)); alpha_t = exp(-exp(ALog) softplus(A_t + DtBias)),

    beta = sigmoid(Beta); S <- alpha S; S <- S + beta k (v - S^T k)^T; o = S^T q / sqrt(d).
    raw = o; out = RMSNorm over e (NormWeight [e], eps 1e-5) * silu(Gate).
    ConvQ, ConvK [h,d,4], ConvV [h,e,4] (no bias), A, Beta [b,h,t], ALog, DtBias [h].
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    inputs = {"Q": q, "K": k, "V": v, "ConvQ": normal(rng, s.h, s.d, 4, scale=0.5),
              "ConvK": normal(rng, s.h, s.d, 4, scale=0.5), "ConvV": normal(rng, s.h, s.e, 4, scale=0.5),
              "A": normal(rng, s.b, s.h, s.n), "Beta": normal(rng, s.b, s.h, s.n), "ALog": uniform(rng, -2, 1, s.h),
              "DtBias": normal(rng, s.h), "Gate": normal(rng, s.b, s.h, s.n, s.e),
              "NormWeight": (1 + normal(rng, s.e, scale=0.2)).astype(np.float32)}
    p = {name: f64(value) for name, value in inputs.items()}
    qd, kd, vd = (silu(causal_conv(p[name], p["Conv" + name])) for name in "QKV")
    g = -np.exp(p["ALog"])[:, None] * softplus(p["A"] + p["DtBias"][:, None])
    raw, state = delta_recurrence(l2_norm(qd) / np.sqrt(s.d), l2_norm(kd), vd, sigmoid(p["Beta"]), g[..., None])
    out = rms_norm(raw, 1e-5, p["NormWeight"]) * silu(p["Gate"])
    return Case(inputs, {"eps": 1e-5, "l2_eps": 1e-6}, {"out": out, "raw": raw, "S": state})


@oracle("K7", kind="formula", source="Goose (RWKV-7), arXiv 2503.14456; RWKV-v7/rwkv_v7_numpy.py")
def rwkv7(rng, size):
    """S_t = diag(w_t) S_{t-1} - (kk . a) (kk^T S_{t-1}) + k~ v^T;  o = S_t^T r  (the rank-1 term reads the undecayed S).

    r, k, v <- token shift with MixR, MixK, MixV [h,d] (here after the projections), v <- v + (VFirst - v) VMix,
    w = exp(-e^{-1/2} sigmoid(W)), kk = k Xi / |k Xi|, a = sigmoid(A), k~ = k (1 + (a - 1) Alpha),
    out = (GroupNorm per head(S^T r) + (sum_d r k~ U) v) * Gate, eps 64e-5, NormWeight, NormBias [h,e].
    W, A [b,h,t,d], VMix, VFirst, Gate [b,h,t,e], Xi, Alpha, U [h,d]; d = e, no scale; raw = S^T r.
    """
    s = heads(size)
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    r, k, v = qkv_heads(rng, s)
    inputs = {"Q": r, "K": k, "V": v, "MixR": uniform(rng, 0, 1, s.h, s.d), "MixK": uniform(rng, 0, 1, s.h, s.d),
              "MixV": uniform(rng, 0, 1, s.h, s.d), "W": normal(rng, *k.shape), "A": normal(rng, *k.shape),
              "VFirst": normal(rng, *v.shape), "VMix": uniform(rng, 0, 1, *v.shape), "Gate": normal(rng, *v.shape),
              "Xi": normal(rng, s.h, s.d), "Alpha": normal(rng, s.h, s.d), "U": normal(rng, s.h, s.d),
              "NormWeight": (1 + normal(rng, s.h, s.e, scale=0.2)).astype(np.float32),
              "NormBias": normal(rng, s.h, s.e, scale=0.2)}
    p = {name: f64(value) for name, value in inputs.items()}
    rd, kd, vd = (token_shift(p[x], p["Mix" + y][:, None]) for x, y in (("Q", "R"), ("K", "K"), ("V", "V")))
    vd = vd + (p["VFirst"] - vd) * p["VMix"]
    w, a, kk = np.exp(-np.exp(-0.5) * sigmoid(p["W"])), sigmoid(p["A"]), kd * p["Xi"][:, None]
    kk = kk / np.sqrt((kk * kk).sum(-1, keepdims=True))
    kt = kd * (1 + (a - 1) * p["Alpha"][:, None])
    state, raw = np.zeros((s.b, s.h, s.d, s.e)), np.zeros(v.shape)
    for t in range(s.n):
        removed = np.einsum("bhde,bhd->bhe", state, kk[:, :, t])
        state = (w[:, :, t, :, None] * state - (kk * a)[:, :, t, :, None] * removed[:, :, None, :]
                 + kt[:, :, t, :, None] * vd[:, :, t, None, :])
        raw[:, :, t] = np.einsum("bhde,bhd->bhe", state, rd[:, :, t])
    bonus = (rd * kt * p["U"][:, None]).sum(-1, keepdims=True) * vd
    out = (layer_norm(raw, 64e-5, p["NormWeight"][:, None], p["NormBias"][:, None]) + bonus) * p["Gate"]
    return Case(inputs, {"eps": 64e-5}, {"out": out, "raw": raw, "S": state})


@oracle("K8", kind="formula", source="Kimi Linear (KDA), arXiv 2510.26692")
def kda(rng, size):
    """q, k <- L2 norm (eps 1e-6), beta = sigmoid(Beta); S <- diag(e^{G_t}) S; S <- S + beta k (v - S^T k)^T;

    o = S^T q / sqrt(d). Grouped values: Q, K [b,g,t,d] are shared by the h/g value heads of V, Beta, G (log decays
    [b,h,t,d]). raw = o; out = RMSNorm over e (NormWeight [e], eps 1e-5) * sigmoid(Gate [b,h,t,e]).
    """
    s = shape(size, q=0)
    q, k, v = normal(rng, s.b, s.g, s.n, s.d), normal(rng, s.b, s.g, s.n, s.d), normal(rng, s.b, s.h, s.n, s.e)
    g = (logsigmoid(rng.standard_normal((s.b, s.h, s.n, s.d))) / 4).astype(np.float32)
    beta, gate = normal(rng, s.b, s.h, s.n), normal(rng, s.b, s.h, s.n, s.e)
    weight = (1 + normal(rng, s.e, scale=0.2)).astype(np.float32)
    qd, kd = per_query_head(l2_norm(f64(q)), s.h), per_query_head(l2_norm(f64(k)), s.h)
    raw, state = delta_recurrence(qd / np.sqrt(s.d), kd, f64(v), sigmoid(f64(beta)), f64(g))
    out = rms_norm(raw, 1e-5, f64(weight)) * sigmoid(f64(gate))
    return Case({"Q": q, "K": k, "V": v, "G": g, "Beta": beta, "Gate": gate, "NormWeight": weight},
                {"eps": 1e-5, "l2_eps": 1e-6}, {"out": out, "raw": raw, "S": state})
