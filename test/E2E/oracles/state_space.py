# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State-space models: I4 (H3), I5 (S4), I6 (Mamba), I7 (Mamba-2), and what Jamba, Falcon and Codestral share with them.

Layout: [b,t,c] for channels without heads, [b,h,t,.] with heads. States start at zero.
"""
import numpy as np

from .core import Case, f64, normal, oracle, per_query_head, rms_norm, shape, silu, softplus, uniform


def causal_conv(x, weight, bias=0.0):
    """y_t[c] = bias[c] + sum_m weight[c,m] x_{t-(width-1)+m}[c]; x [..., t, c], weight [c, width] (or [..., c, width])."""
    width, t = weight.shape[-1], x.shape[-2]
    padded = np.concatenate([np.zeros(x.shape[:-2] + (width - 1, x.shape[-1])), x], -2)
    return sum(weight[..., None, :, m] * padded[..., m:m + t, :] for m in range(width)) + bias


def selective_scan(x, dt, a, b, c, d):
    """S_t[n,c] = e^{dt_t[c] A[c,n]} S + dt_t[c] B_t[n] x_t[c]; y_t[c] = sum_n C_t[n] S_t[n,c] + D[c] x_t[c]."""
    state = np.zeros((x.shape[0], x.shape[2], a.shape[1]))
    y = np.zeros(x.shape)
    for t in range(x.shape[1]):
        state = np.exp(dt[:, t, :, None] * a) * state + (dt[:, t] * x[:, t])[:, :, None] * b[:, t, None, :]
        y[:, t] = np.einsum("bcn,bn->bc", state, c[:, t]) + d * x[:, t]
    return y, state


def selective_case(rng, size, normed):
    """Mamba-1 from the input of the convolution to the gated output.

    x = silu(conv4(X) + ConvBias), dt = softplus(DtProj dt_low + DtBias), A = -exp(ALog), out = y silu(Z).
    X, Z [b,t,c], ConvWeight [c,4], DtLow [b,t,r], DtProj [c,r], B, C [b,t,N], ALog [c,N], D, ConvBias, DtBias [c];
    final state S [b,c,N]. normed: "no", "plain" (RMS norm, eps 1e-6, of DtLow, B and C over their last axis, no weight)
    or "weighted" (with DtNorm [r], BNorm, CNorm [N]).
    """
    s = shape(size, q=0)
    channels, n, rank = 2 * s.d, 4 if size == "tiny" else 6, 3
    x, z = normal(rng, s.b, s.n, channels), normal(rng, s.b, s.n, channels)
    low, bm, cm = normal(rng, s.b, s.n, rank), normal(rng, s.b, s.n, n), normal(rng, s.b, s.n, n)
    inputs = {"X": x, "Z": z, "ConvWeight": normal(rng, channels, 4, scale=0.5),
              "ConvBias": normal(rng, channels, scale=0.2), "DtLow": low,
              "DtProj": normal(rng, channels, rank, scale=0.5), "DtBias": normal(rng, channels),
              "B": bm, "C": cm, "ALog": uniform(rng, -1, 1.5, channels, n), "D": normal(rng, channels)}
    low, bm, cm = f64(low, bm, cm)
    if normed != "no":
        weights = (1.0, 1.0, 1.0)
        if normed == "weighted":
            names, sizes = ("DtNorm", "BNorm", "CNorm"), (rank, n, n)
            inputs.update({name: (1 + normal(rng, k, scale=0.2)).astype(np.float32) for name, k in zip(names, sizes)})
            weights = tuple(f64(inputs[name]) for name in names)
        low, bm, cm = (rms_norm(y, 1e-6, w) for y, w in zip((low, bm, cm), weights))
    p = {name: f64(value) for name, value in inputs.items()}
    u = silu(causal_conv(p["X"], p["ConvWeight"], p["ConvBias"]))
    dt = softplus(low @ p["DtProj"].T + p["DtBias"])
    y, state = selective_scan(u, dt, -np.exp(p["ALog"]), bm, cm, p["D"])
    return Case(inputs, {"normed": normed} if normed == "no" else {"normed": normed, "eps": 1e-6}, {"out": y * silu(p["Z"]), "S": state})


def mamba2_case(rng, size, groups):
    """Mamba-2 from the input of the convolution to the gated norm.

    x = silu(conv4(X)), B and C alike, each with its weights; dt = softplus(Dt + DtBias), A = -exp(ALog);
    S_t = e^{dt_t A_h} S_{t-1} + dt_t B_t x_t^T, y = S^T C + D_h x; out = RMSNorm over all heads and channels of a token
    of (y silu(Z)) times NormWeight, eps 1e-5. X, Z [b,h,t,p], B, C [b,g,t,N] shared by h/g heads, Dt [b,h,t],
    ALog, D, DtBias [h], ConvX [h,p,4], ConvXBias [h,p], ConvB, ConvC [g,N,4], ConvBBias, ConvCBias [g,N],
    NormWeight [h,p]; state S [b,h,N,p]; raw = y.
    """
    s = shape(size, q=0)
    h, n, p = s.h, s.d, s.e
    x, z = normal(rng, s.b, h, s.n, p), normal(rng, s.b, h, s.n, p)
    inputs = {"X": x, "Z": z, "B": normal(rng, s.b, groups, s.n, n), "C": normal(rng, s.b, groups, s.n, n),
              "Dt": normal(rng, s.b, h, s.n), "DtBias": normal(rng, h), "ALog": uniform(rng, -1, 1.5, h),
              "D": normal(rng, h), "ConvX": normal(rng, h, p, 4, scale=0.5), "ConvXBias": normal(rng, h, p, scale=0.2),
              "ConvB": normal(rng, groups, n, 4, scale=0.5), "ConvBBias": normal(rng, groups, n, scale=0.2),
              "ConvC": normal(rng, groups, n, 4, scale=0.5), "ConvCBias": normal(rng, groups, n, scale=0.2),
              "NormWeight": (1 + normal(rng, h, p, scale=0.2)).astype(np.float32)}
    w = {name: f64(value) for name, value in inputs.items()}
    u, bm, cm = (silu(causal_conv(w[name], w["Conv" + name], w[f"Conv{name}Bias"][:, None])) for name in "XBC")
    bm, cm = per_query_head(bm, h), per_query_head(cm, h)
    dt = softplus(w["Dt"] + w["DtBias"][:, None])
    decay = np.exp(-dt * np.exp(w["ALog"])[:, None])
    state, y = np.zeros((s.b, h, n, p)), np.zeros(x.shape)
    for t in range(s.n):
        write = dt[:, :, t, None, None] * bm[:, :, t, :, None] * u[:, :, t, None, :]
        state = decay[:, :, t, None, None] * state + write
        y[:, :, t] = np.einsum("bhnp,bhn->bhp", state, cm[:, :, t]) + w["D"][:, None] * u[:, :, t]
    gated = y * silu(w["Z"])
    out = gated / np.sqrt(np.mean(gated ** 2, axis=(1, 3), keepdims=True) + 1e-5) * w["NormWeight"][:, None]
    return Case(inputs, {"eps": 1e-5}, {"out": out, "raw": y, "S": state})


def diagonal_ssm(u, a_bar, c):
    """y_t = 2 Re sum_n c_n x_t[n], x_t = a_bar x_{t-1} + u_t; u [b,h,t,...], a_bar and c [h,N] complex."""
    tail = u.ndim - 3
    a_bar, c = (z.reshape(z.shape + (1,) * tail) for z in (a_bar, c))
    state = np.zeros(u.shape[:2] + (a_bar.shape[1],) + u.shape[3:], complex)
    y = np.zeros(u.shape)
    for t in range(u.shape[2]):
        state = a_bar * state + u[:, :, t, None]
        y[:, :, t] = 2 * (c * state).real.sum(2)
    return y


@oracle("I4", kind="formula", source="H3, arXiv 2212.14052; src/models/ssm/h3.py, non-fast path")
def h3(rng, size):
    """k'_t[a] = sum_{m<L} Shift[h,a,m] k_{t-m}[a] + DK[h,a] k_t[a]; KV_t = k'_t v_t^T [d,e];

    y = SSM_diag(KV) + DKV_h KV, each entry of KV through the diagonal complex state-space model of its head, already
    discretised: abar_n = exp(LogA_n + i Theta_n), y = 2 Re sum_n C_n x_t[n]; o = q^T y. No scale.
    Q, K [b,h,t,d], V [b,h,t,e], LogA, Theta, CRe, CIm [h,N], DKV [h].
    """
    s = shape(size, q=0)
    h, d, e, n, taps = (2, 4, 4, 4, 4) if size == "tiny" else (3, 5, 4, 6, 5)
    q, k, v = normal(rng, s.b, h, s.n, d), normal(rng, s.b, h, s.n, d), normal(rng, s.b, h, s.n, e)
    inputs = {"Q": q, "K": k, "V": v, "Shift": normal(rng, h, d, taps, scale=0.5), "DK": normal(rng, h, d),
              "LogA": uniform(rng, -0.5, -0.05, h, n), "Theta": uniform(rng, 0, 3, h, n), "CRe": normal(rng, h, n),
              "CIm": normal(rng, h, n), "DKV": normal(rng, h)}
    p = {name: f64(value) for name, value in inputs.items()}
    shifted = causal_conv(p["K"], p["Shift"][..., ::-1]) + p["DK"][:, None] * p["K"]
    kv = shifted[..., :, None] * p["V"][..., None, :]
    y = diagonal_ssm(kv, np.exp(p["LogA"] + 1j * p["Theta"]), p["CRe"] + 1j * p["CIm"])
    y += p["DKV"][:, None, None, None] * kv
    return Case(inputs, {"taps": taps, "states": n}, {"out": np.einsum("bhtde,bhtd->bhte", y, p["Q"])})


@oracle("I5", kind="formula", source="S4 / S4D, arXiv 2111.00396, diagonal, zero-order hold")
def s4d(rng, size):
    """x' = A x + B u, y = 2 Re(C x) + D u with diagonal complex A = -ARe + i AIm [c,N] (ARe > 0), B = 1.

    abar = exp(Dt A), bbar = (abar - 1) / A, Dt [c]; x_t = abar x_{t-1} + bbar u_t. U [b,t,c], C = CRe + i CIm [c,N].
    """
    s = shape(size, q=0)
    channels, n = s.d, 4
    inputs = {"U": normal(rng, s.b, s.n, channels), "ARe": uniform(rng, 0.3, 1.0, channels, n),
              "AIm": uniform(rng, 0, 9, channels, n), "CRe": normal(rng, channels, n), "CIm": normal(rng, channels, n),
              "Dt": uniform(rng, 0.02, 0.3, channels), "D": normal(rng, channels)}
    p = {name: f64(value) for name, value in inputs.items()}
    a = -p["ARe"] + 1j * p["AIm"]
    a_bar = np.exp(p["Dt"][:, None] * a)
    c_bar = (p["CRe"] + 1j * p["CIm"]) * (a_bar - 1) / a
    u = p["U"].transpose(0, 2, 1)
    y = diagonal_ssm(u, a_bar, c_bar) + p["D"][:, None] * u
    return Case(inputs, {"states": n}, {"out": y.transpose(0, 2, 1)})


@oracle("I6", kind="formula", source="Mamba, arXiv 2312.00752")
def mamba(rng, size):
    """See selective_case; no norm on dt, B, C."""
    return selective_case(rng, size, normed="no")


@oracle("I7", kind="formula", source="Mamba-2, arXiv 2405.21060")
def mamba2(rng, size):
    """See mamba2_case; one group."""
    return mamba2_case(rng, size, groups=1)
