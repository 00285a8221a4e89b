# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Delta rules: what a state holds is corrected by what it should hold. States are matrices for each step and head, products are
written as such."""
import numpy as np

from . import variant
from ..core import Case, f64, l2_norm, normal, shape, softmax, uniform


def operands(rng, size):
    """Sizes, and Q, K [b, h, t, d] and V [b, h, t, e] with one head for each."""
    s = shape(size, q=0)
    return s, normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.e)


def gates(rng, s, low, high, *axes):
    return uniform(rng, low, high, s.b, s.h, s.n, *axes)


def unit(x, eps=0.0):
    return l2_norm(f64(x), eps)


def steps(s, step, states):
    """Runs step(at, *states) -> (out, *states) over the tokens of each head, with at = (b, h, t). Returns out [b, h, t, e] and the
    last states [b, h, ..]."""
    out = np.zeros((s.b, s.h, s.n, s.e))
    last = [np.zeros((s.b, s.h) + state) for state in states]
    for b, h in np.ndindex(s.b, s.h):
        now = [np.zeros(state) for state in states]
        for t in range(s.n):
            out[b, h, t], *now = step((b, h, t), *now)
        for kept, state in zip(last, now):
            kept[b, h] = state
    return out, last


def delta_rule(q, k, v, beta, log_decay, read=None):
    """S <- diag(exp(log_decay)) S, S <- S + beta k (v - S^T r)^T with r = k or `read`, o = S^T q, by products of the transition
    matrices (I - beta k r^T) diag(a)."""
    b, h, n, d = k.shape
    state, out = np.zeros((b, h, d, v.shape[-1])), np.zeros(v.shape)
    read = k if read is None else read
    for t in range(n):
        erase = beta[:, :, t, None, None] * k[:, :, t, :, None] * read[:, :, t, None, :]
        transition = (np.eye(d) - erase) * np.exp(log_decay[:, :, t])[:, :, None, :]
        state = transition @ state + beta[:, :, t, None, None] * k[:, :, t, :, None] * v[:, :, t, None, :]
        out[:, :, t] = np.einsum("bhde,bhd->bhe", state, q[:, :, t])
    return out, state


@variant("delta/comba")
def comba(rng, size):
    s, q, k, v = operands(rng, size)
    p, beta, g = normal(rng, s.b, s.h, s.n, s.d), gates(rng, s, 0, 1), gates(rng, s, -0.5, 0)
    decay = np.broadcast_to(f64(g)[..., None], k.shape)
    out, state = delta_rule(f64(q) / np.sqrt(s.d), unit(k), f64(v), f64(beta), decay, unit(p))
    return Case({"Q": q, "K": k, "V": v, "P": p, "Beta": beta, "G": g}, {}, {"out": out, "S": state})


@variant("delta/gated_delta_2")
def gated_delta_2(rng, size):
    s, q, k, v = operands(rng, size)
    g, erase, write = gates(rng, s, -0.5, 0, s.d), gates(rng, s, 0, 1, s.d), gates(rng, s, 0, 1, s.e)
    out, state = delta_rule(f64(q) / np.sqrt(s.d), unit(k), f64(v) * f64(write), np.ones(k.shape[:3]), f64(g), unit(k) * f64(erase))
    return Case({"Q": q, "K": k, "V": v, "G": g, "Erase": erase, "Write": write}, {}, {"out": out, "S": state})


@variant("delta/gated_delta_product")
def gated_delta_product(rng, size):
    """A token is two steps of the delta rule, the second without decay; the read is behind it."""
    s, q, _, _ = operands(rng, size)
    k, v = normal(rng, s.b, s.h, 2 * s.n, s.d), normal(rng, s.b, s.h, 2 * s.n, s.e)
    beta, g = uniform(rng, 0, 1, s.b, s.h, 2 * s.n), gates(rng, s, -0.5, 0)
    decay = np.zeros(k.shape)
    decay[:, :, 0::2] = f64(g)[..., None]
    out, state = delta_rule(np.repeat(f64(q), 2, 2), unit(k), f64(v), f64(beta), decay)
    return Case({"Q": q, "K": k, "V": v, "Beta": beta, "G": g}, {}, {"out": out[:, :, 1::2], "S": state})


@variant("delta/gated_oja")
def gated_oja(rng, size):
    """The delta rule of the transposed state, with values as keys."""
    s, q, k, v = operands(rng, size)
    g, beta = gates(rng, s, -0.5, 0, s.e), gates(rng, s, 0, 1)
    V, K, Q = unit(v), f64(k), f64(q)

    def step(at, state):
        state = state @ np.diag(np.exp(f64(g)[at]))
        state = state + f64(beta)[at] * np.outer(K[at] - state @ V[at], V[at])
        return Q[at] @ state / np.sqrt(s.d), state

    out, (state,) = steps(s, step, [(s.d, s.e)])
    return Case({"Q": q, "K": k, "V": v, "GV": g, "Beta": beta}, {}, {"out": out, "S": state})


@variant("delta/momentum_delta")
def momentum_delta(rng, size):
    s, q, k, v = operands(rng, size)
    p = normal(rng, s.b, s.h, s.n, s.d)
    alpha, mu, beta, eta = gates(rng, s, -0.5, 0), gates(rng, s, -1, 0), gates(rng, s, 0, 1), gates(rng, s, 0, 0.3)
    Q, K, V, P = f64(q), unit(k), f64(v), unit(p)

    def step(at, state, momentum):
        momentum = np.exp(f64(mu)[at]) * momentum + f64(eta)[at] * np.outer(K[at], P[at] @ state - V[at])
        state = np.exp(f64(alpha)[at]) * state - f64(beta)[at] * momentum
        return Q[at] @ state / np.sqrt(s.d), state, momentum

    out, (state, momentum) = steps(s, step, [(s.d, s.e)] * 2)
    inputs = {"Q": q, "K": k, "V": v, "P": p, "LogAlpha": alpha, "LogMu": mu, "Beta": beta, "Eta": eta}
    return Case(inputs, {}, {"out": out, "S": state, "M": momentum})


def preconditioned(k, decay, rate):
    """Keys [b, h, t, d] times what their running second moment says, and the last moment."""
    moment, scaled = np.zeros(k.shape[:2] + k.shape[3:]), np.zeros(k.shape)
    for t in range(k.shape[2]):
        moment = np.exp(decay[:, :, t, None]) * moment + rate[:, :, t, None] * k[:, :, t] ** 2
        r = np.log(moment + 1e-6) + 0.2
        scaled[:, :, t] = k[:, :, t] * 1.5 ** (-r / (1 + np.abs(r)))
    return scaled, moment


def preconditioned_case(rng, size, channels, unit_queries):
    s, q, k, v = operands(rng, size)
    g = gates(rng, s, -0.5, 0, *([s.d] if channels else []))
    g_atk, beta_atk, beta = gates(rng, s, -0.5, 0), gates(rng, s, 0, 1), gates(rng, s, 0, 1)
    write, moment = preconditioned(unit(k), f64(g_atk), f64(beta_atk))
    decay = f64(g) if channels else np.broadcast_to(f64(g)[..., None], k.shape)
    queries = unit(q) if unit_queries else f64(q)
    out, state = delta_rule(queries / np.sqrt(s.d), write, f64(v), f64(beta), decay, unit(k))
    inputs = {"Q": q, "K": k, "V": v, "G": g, "GAtk": g_atk, "BetaAtk": beta_atk, "Beta": beta}
    return Case(inputs, {"x": 1.5, "centre": -0.2, "eps": 1e-6}, {"out": out, "S": state, "A": moment})


@variant("delta/preconditioned_gated_delta")
def preconditioned_gated_delta(rng, size):
    return preconditioned_case(rng, size, channels=False, unit_queries=True)


@variant("delta/preconditioned_kda")
def preconditioned_kda(rng, size):
    return preconditioned_case(rng, size, channels=True, unit_queries=False)


@variant("delta/q_delta")
def q_delta(rng, size):
    s, q, k, v = operands(rng, size)
    g, beta, weight = gates(rng, s, -0.5, 0), gates(rng, s, 0, 1), gates(rng, s, 0, 1)
    Q, K = unit(q, 1e-6), unit(k, 1e-6)
    decay = np.broadcast_to(f64(g)[..., None], k.shape)
    out, state = delta_rule(Q / np.sqrt(s.d), K, f64(v), f64(beta), decay, K + f64(weight)[..., None] * Q)
    return Case({"Q": q, "K": k, "V": v, "G": g, "Beta": beta, "Lambda": weight}, {"l2_eps": 1e-6}, {"out": out, "S": state})


@variant("delta/deltaformer")
def deltaformer(rng, size):
    """The corrected values solve the triangular system (I + diag(beta) P) U = V with the strictly causal weights P."""
    s, q, k, v = operands(rng, size)
    beta = gates(rng, s, 0, 1)
    x = f64(q) @ f64(k).transpose(0, 1, 3, 2) / np.sqrt(s.d)
    lower = np.tril(np.ones((s.n, s.n), bool))
    before = softmax(np.where(np.tril(lower, -1), x, -np.inf))
    u = np.linalg.solve(np.eye(s.n) + f64(beta)[..., None] * before, f64(v))
    out = softmax(np.where(lower, x, -np.inf)) @ u
    return Case({"Q": q, "K": k, "V": v, "Beta": beta}, {}, {"out": out})


@variant("delta/mesa_net")
def mesa_net(rng, size):
    s, q, k, v = operands(rng, size)
    g, beta, ridge = gates(rng, s, -0.2, 0), gates(rng, s, 0, 1), uniform(rng, 1, 2, s.h, s.d)
    Q, K, V = f64(q, k, v)
    out = np.zeros(V.shape)
    for b, h in np.ndindex(s.b, s.h):
        for t in range(s.n):
            w = f64(beta)[b, h, :t + 1] * np.exp([f64(g)[b, h, j + 1:t + 1].sum() for j in range(t + 1)])
            keys = K[b, h, :t + 1]
            x = np.linalg.solve(keys.T @ (w[:, None] * keys) + np.diag(f64(ridge)[h]), Q[b, h, t])
            out[b, h, t] = (w * (keys @ x)) @ V[b, h, :t + 1]
    return Case({"Q": q, "K": k, "V": v, "G": g, "Beta": beta, "Lambda": ridge}, {}, {"out": out})
