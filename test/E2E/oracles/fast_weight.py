# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fast weights that learn inside the sequence by gradient descent: K4 (TTT) and K5 (Titans).

Written in the primal form: each token of a mini-batch has its own weights, the start weights minus the accumulated
gradients. The gradients of a whole mini-batch are taken at its start weights, so the size of the mini-batch is part of
the semantics. Q, K [b,h,t,d], V [b,h,t,d], out [b,h,t,d]; a mini-batch at the end may be short.
"""
import numpy as np

from .core import Case, blocks, f64, layer_norm, normal, oracle, sigmoid, uniform
from .recurrence import heads, qkv_heads

EPS = 1e-6
GELU = np.sqrt(2 / np.pi)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(GELU * (x + 0.044715 * x ** 3)))


def gelu_slope(x):
    t = np.tanh(GELU * (x + 0.044715 * x ** 3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU * (1 + 3 * 0.044715 * x * x)


def norm_loss_gradient(z, target, weight, bias):
    """d/dz of 0.5 |LN(z) - target|^2 = (D g - sum g - xh sum(g xh)) / (sigma D), g = (w xh + b - target) w."""
    size = z.shape[-1]
    sigma = np.sqrt(z.var(-1, keepdims=True) + EPS)
    xh = (z - z.mean(-1, keepdims=True)) / sigma
    g = (weight * xh + bias - target) * weight
    return (size * g - g.sum(-1, keepdims=True) - xh * (g * xh).sum(-1, keepdims=True)) / (sigma * size)


def ttt_linear(q, k, v, w, b, ln_w, ln_b, lr, token, batch):
    """One head. For tokens i >= j of a mini-batch with start (W0, b0): u_j = dL/dZ at Z_j = k_j W0 + b0, target v_j - k_j;

    W_i = W0 - sum_{j<=i} eta_ij k_j u_j^T, b_i = b0 - sum_{j<=i} eta_ij u_j, eta_ij = token_i lr_j;
    out_i = q_i + LN(q_i W_i + b_i).
    """
    out = np.zeros(q.shape)
    for start, end in blocks(len(q), batch):
        kb = k[start:end]
        u = norm_loss_gradient(kb @ w + b, v[start:end] - kb, ln_w, ln_b)
        for i in range(end - start):
            eta = token[i] * lr[start:start + i + 1]
            w_i = w - np.einsum("j,jd,je->de", eta, kb[:i + 1], u[:i + 1])
            b_i = b - eta @ u[:i + 1]
            out[start + i] = q[start + i] + layer_norm(q[start + i] @ w_i + b_i, EPS, ln_w, ln_b)
        w, b = w_i, b_i
    return out, w, b


def ttt_mlp(q, k, v, w1, b1, w2, b2, ln_w, ln_b, lr, token, batch):
    """The same with f(x) = gelu(x W1 + b1) W2 + b2 (tanh gelu) and gradients through both layers."""
    out = np.zeros(q.shape)
    for start, end in blocks(len(q), batch):
        kb = k[start:end]
        z1 = kb @ w1 + b1
        x2 = gelu(z1)
        u2 = norm_loss_gradient(x2 @ w2 + b2, v[start:end] - kb, ln_w, ln_b)
        u1 = (u2 @ w2.T) * gelu_slope(z1)
        for i in range(end - start):
            eta, upto = token[i] * lr[start:start + i + 1], slice(0, i + 1)
            w1_i, b1_i = w1 - np.einsum("j,jd,je->de", eta, kb[upto], u1[upto]), b1 - eta @ u1[upto]
            w2_i, b2_i = w2 - np.einsum("j,jd,je->de", eta, x2[upto], u2[upto]), b2 - eta @ u2[upto]
            z = gelu(q[start + i] @ w1_i + b1_i) @ w2_i + b2_i
            out[start + i] = q[start + i] + layer_norm(z, EPS, ln_w, ln_b)
        w1, b1, w2, b2 = w1_i, b1_i, w2_i, b2_i
    return out


@oracle("K4", kind="formula", source="TTT, arXiv 2407.04620; ttt.py TTTLinear and TTTMLP")
def ttt(rng, size):
    """out: TTT-Linear, with the final W [b,h,d,d] and Bias [b,h,d]; out_mlp: TTT-MLP.

    W0 [h,d,d], B0 [h,d], W1 [h,d,4d], B1 [h,4d], W2 [h,4d,d], B2 [h,d], LnWeight, LnBias [h,d]; TokenEta [batch] and
    Lr [b,h,t] are the finished factors of eta_ij = TokenEta_i Lr_j (the model makes them from 1/(i+1) and a sigmoid).
    """
    s, batch = heads(size), 16
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    q, k, v = qkv_heads(rng, s)
    inputs = {"Q": q, "K": k, "V": v, "W0": normal(rng, s.h, s.d, s.d, scale=0.3), "B0": normal(rng, s.h, s.d, scale=0.1),
              "W1": normal(rng, s.h, s.d, 4 * s.d, scale=0.3), "B1": normal(rng, s.h, 4 * s.d, scale=0.1),
              "W2": normal(rng, s.h, 4 * s.d, s.d, scale=0.2), "B2": normal(rng, s.h, s.d, scale=0.1),
              "LnWeight": (1 + normal(rng, s.h, s.d, scale=0.2)).astype(np.float32),
              "LnBias": normal(rng, s.h, s.d, scale=0.1),
              "TokenEta": (1 / np.arange(1, batch + 1) + 0.05 * rng.random(batch)).astype(np.float32),
              "Lr": (sigmoid(rng.standard_normal((s.b, s.h, s.n))) / s.d).astype(np.float32)}
    p = {name: f64(value) for name, value in inputs.items()}
    out, mlp, w, b = np.zeros(v.shape), np.zeros(v.shape), np.zeros((s.b, s.h, s.d, s.d)), np.zeros((s.b, s.h, s.d))
    for n in range(s.b):
        for h in range(s.h):
            x = (p["Q"][n, h], p["K"][n, h], p["V"][n, h])
            rest = (p["LnWeight"][h], p["LnBias"][h], p["Lr"][n, h], p["TokenEta"], batch)
            out[n, h], w[n, h], b[n, h] = ttt_linear(*x, p["W0"][h], p["B0"][h], *rest)
            mlp[n, h] = ttt_mlp(*x, p["W1"][h], p["B1"][h], p["W2"][h], p["B2"][h], *rest)
    return Case(inputs, {"batch": batch, "eps": EPS}, {"out": out, "W": w, "Bias": b, "out_mlp": mlp})


def titans_memory(weights, gradient, read, theta, eta, alpha, tokens, batch):
    """One head: Mom_t = eta_t Mom_{t-1} - theta_t grad_t, M_t = (1 - alpha_t) M_{t-1} + Mom_t, out_t = read(M_t, t).

    weights is a list of matrices; gradient(M, t) gives the list of gradients of token t, taken at the chunk's start.
    """
    momentum, out = [np.zeros_like(w) for w in weights], []
    for start, end in blocks(tokens, batch):
        at_start = weights
        for t in range(start, end):
            momentum = [eta[t] * m - theta[t] * g for m, g in zip(momentum, gradient(at_start, t))]
            weights = [(1 - alpha[t]) * w + m for w, m in zip(weights, momentum)]
            out.append(read(weights, t))
    return np.array(out), weights, momentum


@oracle("K5", kind="formula", source="Titans, arXiv 2501.00663; loss |M(k) - v|^2 summed over channels")
def titans(rng, size):
    """Three memories on the same inputs; the gradients of a chunk of `batch` tokens are taken at its start weights.

    out:     M(x) = x M, loss |M(k) - v|^2, gradient 2 k (k M - v)^T; final memory M and momentum Mom [b,h,d,d]
    out_mlp: M(x) = gelu(x W1) W2 (tanh gelu), the same loss
    out_ln:  loss 0.5 |LN(k M) - (v - k)|^2 (LnWeight, LnBias [h,d], eps 1e-6), out = q + LN(q M)
    Theta, Eta, Alpha [b,h,t] are the finished factors in (0,1); M0 [h,d,d], W1 [h,d,2d], W2 [h,2d,d].
    """
    s, batch = heads(size), 16
    s = type(s)(s.b, s.h, s.g, s.q, s.n, s.d, s.d)
    q, k, v = qkv_heads(rng, s)
    q, k = (q / np.sqrt(s.d)).astype(np.float32), (k / np.sqrt(s.d)).astype(np.float32)
    inputs = {"Q": q, "K": k, "V": v, "M0": normal(rng, s.h, s.d, s.d, scale=0.3),
              "W1": normal(rng, s.h, s.d, 2 * s.d, scale=0.3), "W2": normal(rng, s.h, 2 * s.d, s.d, scale=0.3),
              "LnWeight": (1 + normal(rng, s.h, s.d, scale=0.2)).astype(np.float32),
              "LnBias": normal(rng, s.h, s.d, scale=0.1), "Theta": uniform(rng, 0.02, 0.08, s.b, s.h, s.n),
              "Eta": uniform(rng, 0.2, 0.8, s.b, s.h, s.n), "Alpha": uniform(rng, 0.005, 0.05, s.b, s.h, s.n)}
    p = {name: f64(value) for name, value in inputs.items()}
    outputs = {name: np.zeros(v.shape) for name in ("out", "out_mlp", "out_ln")}
    outputs["M"], outputs["Mom"] = np.zeros((s.b, s.h, s.d, s.d)), np.zeros((s.b, s.h, s.d, s.d))
    for n in range(s.b):
        for h in range(s.h):
            qh, kh, vh = (p[name][n, h] for name in "QKV")
            ln = p["LnWeight"][h], p["LnBias"][h]
            rest = (p["Theta"][n, h], p["Eta"][n, h], p["Alpha"][n, h], s.n, batch)

            def linear(m, t):
                return [2 * np.outer(kh[t], kh[t] @ m[0] - vh[t])]

            def mlp(m, t):
                z = kh[t] @ m[0]
                error = 2 * (gelu(z) @ m[1] - vh[t])
                return [np.outer(kh[t], (m[1] @ error) * gelu_slope(z)), np.outer(gelu(z), error)]

            def normed(m, t):
                return [np.outer(kh[t], norm_loss_gradient(kh[t] @ m[0], vh[t] - kh[t], *ln))]

            out, m, momentum = titans_memory([p["M0"][h]], linear, lambda m, t: qh[t] @ m[0], *rest)
            outputs["out"][n, h], outputs["M"][n, h], outputs["Mom"][n, h] = out, m[0], momentum[0]
            outputs["out_mlp"][n, h] = titans_memory([p["W1"][h], p["W2"][h]], mlp,
                                                     lambda m, t: gelu(qh[t] @ m[0]) @ m[1], *rest)[0]
            outputs["out_ln"][n, h] = titans_memory([p["M0"][h]], normed,
                                                    lambda m, t: qh[t] + layer_norm(qh[t] @ m[0], EPS, *ln), *rest)[0]
    return Case(inputs, {"batch": batch, "eps": EPS}, outputs)
