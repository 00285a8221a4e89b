# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear recurrences with a matrix state: family I without the state-space models and the element-wise states.

Layout: Q, K [b,h,t,d], V [b,h,t,e], out [b,h,t,e], final state S [b,h,d,e] (key-major, o_t = S_t^T q_t); h = g, the
state starts at zero. A norm and an output gate that the model puts after the recurrence are included in `out`; `raw` is
the recurrence alone.
"""
import numpy as np

from .core import (Case, f64, layer_norm, logsigmoid, normal, oracle, rms_norm, rope, shape, sigmoid, silu, uniform)


def heads(size):
    """The shape with h = g and one time axis."""
    s = shape(size, q=0)
    return type(s)(s.b, s.h // 2 if size == "gqa" else s.h, s.h // 2 if size == "gqa" else s.h, s.n, s.n, s.d, s.e)


def decay_recurrence(q, k, v, log_decay, bonus=None):
    """S_t = diag(e^{g_t}) S_{t-1} + k_t v_t^T, o_t = S_t^T q_t; g is [b,h,t,d] or [b,h,t,1].

    With a bonus u [h,d] the read comes before the update: o_t = (S_{t-1} + diag(u) k_t v_t^T)^T q_t.
    """
    state = np.zeros(k.shape[:2] + (k.shape[-1], v.shape[-1]))
    out = np.zeros(v.shape[:3] + (v.shape[-1],))
    for t in range(k.shape[2]):
        write = k[:, :, t, :, None] * v[:, :, t, None, :]
        if bonus is not None:
            out[:, :, t] = np.einsum("bhde,bhd->bhe", state + bonus[None, :, :, None] * write, q[:, :, t])
        state = np.exp(log_decay[:, :, t])[..., None] * state + write
        if bonus is None:
            out[:, :, t] = np.einsum("bhde,bhd->bhe", state, q[:, :, t])
    return out, state


def token_shift(x, mix, axis=2):
    """x_t + (x_{t-1} - x_t) mix with x_{-1} = 0. In the models this stands before the projections; here after them."""
    previous = np.zeros_like(x)
    to, from_ = [slice(None)] * x.ndim, [slice(None)] * x.ndim
    to[axis], from_[axis] = slice(1, None), slice(0, -1)
    previous[tuple(to)] = x[tuple(from_)]
    return x + (previous - x) * mix


def qkv_heads(rng, s):
    return normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.e)


@oracle("I1", kind="formula", source="RetNet, arXiv 2307.08621, recurrent form without the row normalisers")
def retnet(rng, size):
    """q <- RoPE(q) / sqrt(d), k <- RoPE(k) (halves, base 10000); S_t = gamma_h S_{t-1} + k v^T, o = S^T q.

    out = RMSNorm over e of a head (no weight, eps 1e-5) * silu(Gate [b,h,t,e]). LogGamma [h] = ln(1 - 2^{-5-h}).
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    gate = normal(rng, s.b, s.h, s.n, s.e)
    log_gamma = np.log1p(-2.0 ** (-5.0 - np.arange(s.h))).astype(np.float32)
    t = np.arange(s.n)
    decay = np.broadcast_to(f64(log_gamma)[None, :, None, None], (s.b, s.h, s.n, 1))
    raw, state = decay_recurrence(rope(f64(q), t) / np.sqrt(s.d), rope(f64(k), t), f64(v), decay)
    out = rms_norm(raw, 1e-5) * silu(f64(gate))
    return Case({"Q": q, "K": k, "V": v, "LogGamma": log_gamma, "Gate": gate}, {"eps": 1e-5, "rope_base": 10000.0},
                {"out": out, "raw": raw, "S": state})


@oracle("I2", kind="formula", source="Eagle (RWKV-5), arXiv 2404.05892; RWKV-v5/cuda/wkv5_cuda.cu")
def rwkv5(rng, size):
    """r, k, v <- token shift with MixR, MixK, MixV [h,d]; o_t = (S_{t-1} + diag(u) k v^T)^T r, S_t = diag(w) S + k v^T.

    w = exp(-exp(W)), W and U [h,d]; no scale. out = GroupNorm per head (eps 1e-5, NormWeight, NormBias [h,e]) *
    silu(Gate). The model shifts the input of the projections; here the projected r, k, v are shifted. d = e.
    """
    s = heads(size)
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    r, k, v = qkv_heads(rng, s)
    mix = [uniform(rng, 0, 1, s.h, s.d) for _ in range(3)]
    w, u, gate = normal(rng, s.h, s.d), normal(rng, s.h, s.d), normal(rng, s.b, s.h, s.n, s.e)
    weight, bias = (1 + normal(rng, s.h, s.e, scale=0.2)).astype(np.float32), normal(rng, s.h, s.e, scale=0.2)
    rd, kd, vd = (token_shift(f64(x), f64(m)[:, None]) for x, m in zip((r, k, v), mix))
    decay = np.broadcast_to(-np.exp(f64(w))[None, :, None, :], kd.shape)
    raw, state = decay_recurrence(rd, kd, vd, decay, bonus=f64(u))
    out = layer_norm(raw, 1e-5, f64(weight)[:, None], f64(bias)[:, None]) * silu(f64(gate))
    return Case({"Q": r, "K": k, "V": v, "MixR": mix[0], "MixK": mix[1], "MixV": mix[2], "W": w, "U": u,
                 "NormWeight": weight, "NormBias": bias, "Gate": gate}, {"eps": 1e-5},
                {"out": out, "raw": raw, "S": state})


@oracle("I3", kind="formula", source="Lightning Attention, arXiv 2401.04658")
def lightning(rng, size):
    """o_t = sum_{j<=t} e^{-slope_h (t-j)} (q_t.k_j) v_j, no scale. Slope [h]: ALiBi's 2^{-8(h+1)/H}, an input."""
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    slope = (2.0 ** (-8.0 * np.arange(1, s.h + 1) / s.h)).astype(np.float32)
    decay = np.broadcast_to(-f64(slope)[None, :, None, None], (s.b, s.h, s.n, 1))
    out, state = decay_recurrence(*f64(q, k, v), decay)
    return Case({"Q": q, "K": k, "V": v, "Slope": slope}, {}, {"out": out, "S": state})


@oracle("I8", kind="formula", source="GLA, arXiv 2312.06635")
def gla(rng, size):
    """S_t = diag(e^{G_t}) S_{t-1} + k v^T, o = S^T q / sqrt(d); G [b,h,t,d] are log decays, logsigmoid(.)/16.

    out = RMSNorm over e (NormWeight [e], eps 1e-5) * silu(Gate [b,h,t,e]).
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    g = (logsigmoid(rng.standard_normal((s.b, s.h, s.n, s.d))) / 16).astype(np.float32)
    gate, weight = normal(rng, s.b, s.h, s.n, s.e), (1 + normal(rng, s.e, scale=0.2)).astype(np.float32)
    raw, state = decay_recurrence(f64(q) / np.sqrt(s.d), f64(k), f64(v), f64(g))
    out = rms_norm(raw, 1e-5, f64(weight)) * silu(f64(gate))
    return Case({"Q": q, "K": k, "V": v, "G": g, "Gate": gate, "NormWeight": weight}, {"eps": 1e-5},
                {"out": out, "raw": raw, "S": state})


@oracle("I9", kind="formula", source="xLSTM, arXiv 2405.04517; mlstm_kernels torch/recurrent/native_step.py")
def mlstm(rng, size):
    """m_t = max(logsig f_t + m_{t-1}, i_t); f' = exp(logsig f + m_{t-1} - m_t), i' = exp(i_t - m_t);

    C = f' C + i' k v^T, n = f' n + i' k; h = C^T(s q) / (max(|n.(s q)|, exp(-m_t)) + eps), s = 1/sqrt(d), eps 1e-6,
    C, n and m start at 0, so m_0 = max(logsig f_0, i_0). I, F [b,h,t] are raw gates.
    raw = h; out = LayerNorm over e of a head (NormWeight [h,e], no bias, eps 1e-6) * sigmoid(OGate [b,h,t,e]).
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    i_gate, f_gate = normal(rng, s.b, s.h, s.n), normal(rng, s.b, s.h, s.n, scale=2.0)
    gate, weight = normal(rng, s.b, s.h, s.n, s.e), (1 + normal(rng, s.h, s.e, scale=0.2)).astype(np.float32)
    qd, kd, vd = f64(q) / np.sqrt(s.d), f64(k), f64(v)
    c, n, m = np.zeros((s.b, s.h, s.d, s.e)), np.zeros((s.b, s.h, s.d)), np.zeros((s.b, s.h))
    raw = np.zeros((s.b, s.h, s.n, s.e))
    for t in range(s.n):
        forget, write = logsigmoid(f64(f_gate)[:, :, t]), f64(i_gate)[:, :, t]
        m_new = np.maximum(forget + m, write)
        forget, write, m = np.exp(forget + m - m_new), np.exp(write - m_new), m_new
        c = forget[..., None, None] * c + write[..., None, None] * kd[:, :, t, :, None] * vd[:, :, t, None, :]
        n = forget[..., None] * n + write[..., None] * kd[:, :, t]
        dot = np.einsum("bhd,bhd->bh", n, qd[:, :, t])
        raw[:, :, t] = np.einsum("bhde,bhd->bhe", c, qd[:, :, t]) / (
            np.maximum(np.abs(dot), np.exp(-m)) + 1e-6)[..., None]
    out = layer_norm(raw, 1e-6, f64(weight)[:, None]) * sigmoid(f64(gate))
    return Case({"Q": q, "K": k, "V": v, "I": i_gate, "F": f_gate, "OGate": gate, "NormWeight": weight}, {"eps": 1e-6},
                {"out": out, "raw": raw, "C": c, "N": n, "M": m})


@oracle("I10", kind="formula", source="GateLoop, arXiv 2311.01927; gateloop_transformer.py")
def gateloop(rng, size):
    """a_t = sigmoid(|alpha_t|) e^{i arg alpha_t}, alpha = ARe + i AIm [b,h,t]; S_t = a_t S_{t-1} + k v^T in C.

    raw = Re(S)^T q, no scale; out = raw * silu(Gate [b,h,t,e]). The final state is SRe, SIm [b,h,d,e].
    """
    s = heads(size)
    q, k, v = qkv_heads(rng, s)
    re, im, gate = normal(rng, s.b, s.h, s.n), normal(rng, s.b, s.h, s.n), normal(rng, s.b, s.h, s.n, s.e)
    alpha = f64(re) + 1j * f64(im)
    a = sigmoid(np.abs(alpha)) * np.exp(1j * np.angle(alpha))
    state = np.zeros((s.b, s.h, s.d, s.e), complex)
    raw = np.zeros((s.b, s.h, s.n, s.e))
    for t in range(s.n):
        state = a[:, :, t, None, None] * state + f64(k)[:, :, t, :, None] * f64(v)[:, :, t, None, :]
        raw[:, :, t] = np.einsum("bhde,bhd->bhe", state.real, f64(q)[:, :, t])
    return Case({"Q": q, "K": k, "V": v, "ARe": re, "AIm": im, "Gate": gate}, {},
                {"out": raw * silu(f64(gate)), "raw": raw, "SRe": state.real, "SIm": state.imag})


@oracle("I12", kind="formula", source="HGRN2, arXiv 2404.07904; fla/layers/hgrn2.py")
def hgrn2(rng, size):
    """q <- silu(Q), g = ln(lb + (1-lb) sigmoid(F)), k = 1 - e^g, v = I; GLA's recurrence with scale 1/sqrt(d).

    F [b,h,t,d], LowerBound [h,d] in (0,1). out = RMSNorm over all heads and channels of a token (NormWeight [h,e],
    eps 1e-5). The scale is FLA's; the official code may use 1.
    """
    s = heads(size)
    q, f, v = qkv_heads(rng, s)
    bound, weight = uniform(rng, 0.1, 0.8, s.h, s.d), (1 + normal(rng, s.h, s.e, scale=0.2)).astype(np.float32)
    keep = f64(bound)[:, None] + (1 - f64(bound)[:, None]) * sigmoid(f64(f))
    raw, state = decay_recurrence(silu(f64(q)) / np.sqrt(s.d), 1 - keep, f64(v), np.log(keep))
    out = raw / np.sqrt(np.mean(raw * raw, axis=(1, 3), keepdims=True) + 1e-5) * f64(weight)[:, None]
    return Case({"Q": q, "F": f, "V": v, "LowerBound": bound, "NormWeight": weight}, {"eps": 1e-5},
                {"out": out, "raw": raw, "S": state})


@oracle("I13", kind="formula", source="Finch (RWKV-6), arXiv 2404.05892")
def rwkv6(rng, size):
    """As I2 with a decay per token, w_t = exp(-exp(W_t)), W [b,h,t,d], and a token shift whose mix depends on the token,

    MixR, MixK, MixV [b,h,t,d]. U [h,d], no scale, GroupNorm per head and silu gate as in I2. d = e.
    """
    s = heads(size)
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    r, k, v = qkv_heads(rng, s)
    mix = [uniform(rng, 0, 1, s.b, s.h, s.n, s.d) for _ in range(3)]
    w, u, gate = normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.h, s.d), normal(rng, s.b, s.h, s.n, s.e)
    weight, bias = (1 + normal(rng, s.h, s.e, scale=0.2)).astype(np.float32), normal(rng, s.h, s.e, scale=0.2)
    rd, kd, vd = (token_shift(f64(x), f64(m)) for x, m in zip((r, k, v), mix))
    raw, state = decay_recurrence(rd, kd, vd, -np.exp(f64(w)), bonus=f64(u))
    out = layer_norm(raw, 1e-5, f64(weight)[:, None], f64(bias)[:, None]) * silu(f64(gate))
    return Case({"Q": r, "K": k, "V": v, "MixR": mix[0], "MixK": mix[1], "MixV": mix[2], "W": w, "U": u,
                 "NormWeight": weight, "NormBias": bias, "Gate": gate}, {"eps": 1e-5},
                {"out": out, "raw": raw, "S": state})
