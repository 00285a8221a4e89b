# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear attention in two passes over M slots with a softmax between them: family J.

Q, K [b,h,t,d], V [b,h,t,e], out [b,h,t,e]; final slot memories SK [b,h,M,d] and SV [b,h,M,e].
"""
import numpy as np

from .core import Case, f64, logsigmoid, normal, oracle, rms_norm, silu, softmax
from .recurrence import heads, qkv_heads


def read_slots(slot_k, slot_v, q):
    """o = V~^T softmax_slots(K~ q)."""
    p = softmax(np.einsum("bhmd,bhd->bhm", slot_k, q))
    return np.einsum("bhme,bhm->bhe", slot_v, p)


@oracle("J1", kind="formula", source="ABC, arXiv 2110.02488; cumulative form")
def abc(rng, size):
    """K~_t[m] = sum_{j<=t} e^{s_j[m]} k_j / sum_{j<=t} e^{s_j[m]}, V~ alike; p = softmax(K~_t q_t / sqrt(d)), o = V~^T p.

    SlotLogits [b,h,t,M], clamped to +-32.
    """
    s, slots = heads(size), 6
    q, k, v = qkv_heads(rng, s)
    logits = normal(rng, s.b, s.h, s.n, slots, scale=3.0)
    write = np.exp(np.clip(f64(logits), -32, 32))
    out = np.zeros((s.b, s.h, s.n, s.e))
    for t in range(s.n):
        weight = write[:, :, :t + 1] / write[:, :, :t + 1].sum(2, keepdims=True)
        slot_k = np.einsum("bhjm,bhjd->bhmd", weight, f64(k)[:, :, :t + 1])
        slot_v = np.einsum("bhjm,bhje->bhme", weight, f64(v)[:, :, :t + 1])
        out[:, :, t] = read_slots(slot_k, slot_v, f64(q)[:, :, t] / np.sqrt(s.d))
    return Case({"Q": q, "K": k, "V": v, "SlotLogits": logits}, {"slots": slots, "clamp": 32.0},
                {"out": out, "SK": slot_k, "SV": slot_v})


@oracle("J2", kind="formula", source="Gated Slot Attention, arXiv 2409.07146")
def gsa(rng, size):
    """alpha_t = exp(logsigmoid(F_t)/8), s_t = 1 - alpha_t; K~_t = diag(alpha) K~ + s k^T, V~ alike;

    raw = V~^T softmax(K~ q / sqrt(d)); out = RMSNorm over e (NormWeight [e], eps 1e-5).
    F [b,h,t,M]. The layer applies silu to q, k and v before; V enters as silu(V), Q and K as they are.
    """
    s, slots = heads(size), 6
    q, k, v = qkv_heads(rng, s)
    f, weight = normal(rng, s.b, s.h, s.n, slots), (1 + normal(rng, s.e, scale=0.2)).astype(np.float32)
    alpha, value = np.exp(logsigmoid(f64(f)) / 8), silu(f64(v))
    slot_k, slot_v = np.zeros((s.b, s.h, slots, s.d)), np.zeros((s.b, s.h, slots, s.e))
    raw = np.zeros((s.b, s.h, s.n, s.e))
    for t in range(s.n):
        a = alpha[:, :, t, :, None]
        slot_k = a * slot_k + (1 - a) * f64(k)[:, :, t, None, :]
        slot_v = a * slot_v + (1 - a) * value[:, :, t, None, :]
        raw[:, :, t] = read_slots(slot_k, slot_v, f64(q)[:, :, t] / np.sqrt(s.d))
    return Case({"Q": q, "K": k, "V": v, "F": f, "NormWeight": weight},
                {"slots": slots, "gate_logit_normalizer": 8.0, "eps": 1e-5},
                {"out": rms_norm(raw, 1e-5, f64(weight)), "raw": raw, "SK": slot_k, "SV": slot_v})
