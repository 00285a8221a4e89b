# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Recurrences other than delta rules, unrolled into sums over all earlier tokens where that is possible."""
import numpy as np

from . import variant
from .delta import gates, operands, steps
from ..core import Case, f64, normal, sigmoid, silu, softmax


@variant("feature_map/based_linear")
def based_linear(rng, size):
    s, q, k, v = operands(rng, size)
    x = f64(q) @ f64(k).transpose(0, 1, 3, 2) / np.sqrt(s.d)
    p = np.tril(1 + x + x * x / 2)
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, {"out": p @ f64(v) / (p.sum(-1, keepdims=True) + 1e-6)})


@variant("feature_map/rebased_linear")
def rebased_linear(rng, size):
    s, q, k, v = operands(rng, size)
    p = np.tril((f64(q) @ f64(k).transpose(0, 1, 3, 2)) ** 2 / s.d)
    return Case({"Q": q, "K": k, "V": v}, {"eps": 1e-6}, {"out": p @ f64(v) / (p.sum(-1, keepdims=True) + 1e-6)})


@variant("recurrence/higher_order")
def higher_order(rng, size):
    """(L * (W W')) V with the causal products W = L * (Q K')."""
    s, q, k, v = operands(rng, size)
    w = np.tril(f64(q) @ f64(k).transpose(0, 1, 3, 2))
    return Case({"Q": q, "K": k, "V": v}, {}, {"out": np.tril(w @ w.transpose(0, 1, 3, 2)) @ f64(v)})


@variant("recurrence/mamba3")
def mamba3(rng, size):
    """Pairs of channels as complex numbers, which a turn multiplies; each token's input is weighed for all that come after."""
    s, q, k, v = operands(rng, size)
    angles = 3
    adt, dt, trap = gates(rng, s, -1, 0), gates(rng, s, 0, 1), normal(rng, s.b, s.h, s.n)
    angle, z = normal(rng, s.b, s.h, s.n, angles), normal(rng, s.b, s.h, s.n, s.e)
    q_bias, k_bias, skip = normal(rng, s.h, s.d), normal(rng, s.h, s.d), normal(rng, s.h)
    pi = np.float64(np.float32(np.pi))
    phase = np.cumsum(pi * np.tanh(f64(angle)) * f64(dt)[..., None], 2)

    def turned(x):
        pairs = x[..., 0::2] + 1j * x[..., 1::2]
        pairs[..., :angles] *= np.exp(1j * phase)
        return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)

    Q, K = turned(f64(q) + f64(q_bias)[:, None]), turned(f64(k) + f64(k_bias)[:, None])
    m, decay = sigmoid(f64(trap)), np.cumsum(f64(adt), -1)
    i, j = np.arange(s.n)[:, None], np.arange(s.n)[None, :]
    # Token j enters at step j, and once more, decayed by one step, at step j + 1.
    fresh = np.where(j <= i, np.exp(decay[..., :, None] - decay[..., None, :]) * (m * f64(dt))[..., None, :], 0)
    again = np.zeros(fresh.shape)
    later = ((1 - m) * f64(dt))[..., 1:] * np.exp(f64(adt))[..., 1:]
    again[..., :-1] = np.where(j[:, 1:] <= i, np.exp(decay[..., :, None] - decay[..., None, 1:]), 0) * later[..., None, :]
    weight = fresh + again
    raw = (weight * (Q @ K.transpose(0, 1, 3, 2))) @ f64(v) + f64(skip)[:, None, None] * f64(v)
    state = np.einsum("bhj,bhjd,bhje->bhde", weight[..., -1, :], K, f64(v))
    inputs = {"Q": q, "K": k, "V": v, "Adt": adt, "Dt": dt, "Trap": trap, "Angle": angle, "Z": z, "QBias": q_bias, "KBias": k_bias,
              "D": skip}
    return Case(inputs, {"pi": float(np.pi)}, {"out": raw * silu(f64(z)), "S": state, "Phi": phase[:, :, -1]})


@variant("two_pass/raven")
def raven(rng, size):
    s, q, k, v = operands(rng, size)
    slots, opened = 6, 2
    router, f = normal(rng, s.b, s.h, s.n, slots), gates(rng, s, -1, 0)
    score = sigmoid(f64(router))
    weight = np.zeros(score.shape)
    for at in np.ndindex(*score.shape[:3]):
        chosen = np.argsort(-score[at], kind="stable")[:opened]
        weight[at][chosen] = score[at][chosen] / (score[at][chosen].sum() + 1e-9)
    forget = np.exp(f64(f)[..., None] * weight)

    def step(at, keys, values):
        keys = np.diag(forget[at]) @ keys + np.outer(1 - forget[at], f64(k)[at])
        values = np.diag(forget[at]) @ values + np.outer(1 - forget[at], f64(v)[at])
        return softmax(keys @ f64(q)[at]) @ values, keys, values

    out, (keys, values) = steps(s, step, [(slots, s.d), (slots, s.e)])
    return Case({"Q": q, "K": k, "V": v, "Router": router, "F": f}, {"slots": slots, "open": opened}, {"out": out, "SK": keys, "SV": values})
