# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Recurrences whose state is a vector: I11 (HGRN), I14 and I15 (AFT), I16 (RWKV-4). Layout [b,t,c], states start at 0."""
import numpy as np

from .core import Case, f64, normal, oracle, rms_norm, shape, sigmoid, silu, uniform
from .recurrence import token_shift


def streams(rng, size, count):
    s = shape(size, q=0)
    return s, [normal(rng, s.b, s.n, s.d) for _ in range(count)]


@oracle("I11", kind="formula", source="HGRN, arXiv 2311.04823, real version; fla/ops/hgrn/naive.py")
def hgrn(rng, size):
    """f = lb + (1-lb) sigmoid(F), x = silu(I) (1 - f), h_t = f h_{t-1} + x_t; raw = h.

    out = RMSNorm over c (NormWeight [c], eps 1e-5) * silu(Gate). I, F, Gate [b,t,c], LowerBound [c]. The original's
    rotation e^{i theta} is left out, as in FLA.
    """
    s, (i, f, gate) = streams(rng, size, 3)
    bound, weight = uniform(rng, 0.1, 0.8, s.d), (1 + normal(rng, s.d, scale=0.2)).astype(np.float32)
    keep = f64(bound) + (1 - f64(bound)) * sigmoid(f64(f))
    x = silu(f64(i)) * (1 - keep)
    state, raw = np.zeros((s.b, s.d)), np.zeros(i.shape)
    for t in range(s.n):
        state = keep[:, t] * state + x[:, t]
        raw[:, t] = state
    out = rms_norm(raw, 1e-5, f64(weight)) * silu(f64(gate))
    return Case({"I": i, "F": f, "Gate": gate, "LowerBound": bound, "NormWeight": weight}, {"eps": 1e-5},
                {"out": out, "raw": raw, "S": state})


def aft(q, k, v, w, causal):
    """o_t[c] = sigmoid(q_t[c]) sum_j e^{k_j[c] + w_tj} v_j[c] / sum_j e^{k_j[c] + w_tj} over j <= t, or over all j."""
    out = np.zeros(q.shape)
    for t in range(q.shape[1]):
        end = t + 1 if causal else q.shape[1]
        weight = np.exp(k[:, :end] + w[t, :end, None])
        out[:, t] = sigmoid(q[:, t]) * (weight * v[:, :end]).sum(1) / weight.sum(1)
    return out


@oracle("I14", kind="formula", source="AFT-full and AFT-local, arXiv 2105.14103, eq. 2")
def aft_full(rng, size):
    """out: causal, W [n,n]. out_local: causal with w_tj = 0 where |t - j| >= s (the sum stays global).

    out_global: not causal, W. See aft.
    """
    s, (q, k, v) = streams(rng, size, 3)
    w, near = normal(rng, s.n, s.n), 9
    t = np.arange(s.n)
    local = np.where(np.abs(t[:, None] - t) < near, f64(w), 0.0)
    args = f64(q, k, v)
    return Case({"Q": q, "K": k, "V": v, "W": w}, {"local": near},
                {"out": aft(*args, f64(w), True), "out_local": aft(*args, local, True),
                 "out_global": aft(*args, f64(w), False)})


@oracle("I15", kind="formula", source="AFT-simple, arXiv 2105.14103")
def aft_simple(rng, size):
    """AFT with w = 0; out causal, out_global over all keys. K is large here so that exp(k) needs its maximum removed."""
    s, (q, k, v) = streams(rng, size, 3)
    k = (8 * k).astype(np.float32)
    zero, args = np.zeros((s.n, s.n)), f64(q, k, v)
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": aft(*args, zero, True), "out_global": aft(*args, zero, False)})


@oracle("I16", kind="formula", source="RWKV-4, arXiv 2305.13048; fla/ops/rwkv4/fused_recurrent.py")
def rwkv4(rng, size):
    """r, k, v <- token shift with MixR, MixK, MixV [c] (here after the projections, in the model before);

    wkv_t = (alpha + e^{u + k_t} v_t) / (beta + e^{u + k_t}), alpha <- e^w alpha + e^{k_t} v_t, beta <- e^w beta + e^{k_t}
    with w = -exp(W) < 0 and U, W [c]; out = sigmoid(r) wkv. Written with the running maximum eps:
    eps' = max(w + eps, k_t). Final state: Alpha, Beta, Eps [b,c]; eps starts at -1e38.
    """
    s, (r, k, v) = streams(rng, size, 3)
    k = (4 * k).astype(np.float32)
    mix = [uniform(rng, 0, 1, s.d) for _ in range(3)]
    w0, u = normal(rng, s.d), normal(rng, s.d)
    rd, kd, vd = (token_shift(f64(x), f64(m), axis=1) for x, m in zip((r, k, v), mix))
    w, alpha, beta, eps = -np.exp(f64(w0)), np.zeros((s.b, s.d)), np.zeros((s.b, s.d)), np.full((s.b, s.d), -1e38)
    wkv = np.zeros(r.shape)
    for t in range(s.n):
        now = f64(u) + kd[:, t]
        tau = np.maximum(now, eps)
        wkv[:, t] = ((np.exp(eps - tau) * alpha + np.exp(now - tau) * vd[:, t])
                     / (np.exp(eps - tau) * beta + np.exp(now - tau)))
        top = np.maximum(w + eps, kd[:, t])
        alpha = np.exp(w + eps - top) * alpha + np.exp(kd[:, t] - top) * vd[:, t]
        beta = np.exp(w + eps - top) * beta + np.exp(kd[:, t] - top)
        eps = top
    return Case({"R": r, "K": k, "V": v, "MixR": mix[0], "MixK": mix[1], "MixV": mix[2], "W": w0, "U": u}, {},
                {"out": sigmoid(rd) * wkv, "raw": wkv, "Alpha": alpha, "Beta": beta, "Eps": eps})
