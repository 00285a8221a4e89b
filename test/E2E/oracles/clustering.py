# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention inside clusters of tokens: family F. Q, K [b,h,n,d], V [b,h,n,e], h = g, q = n, scale 1/sqrt(d)."""
import numpy as np

from .core import Case, attend, blocks, clear, f64, normal, oracle, softmax, top_k
from .recurrence import heads

SELF_LOGIT = -5e4


@oracle("F1", kind="formula", source="Reformer, arXiv 2001.04451; reformer_pytorch LSHAttention")
def reformer(rng, size):
    """Shared QK [b,h,n,d]: q = qk, k = qk / |qk|; Rotations [d,rounds,buckets/2], the same for all heads.

    bucket_r(t) = argmax [x R_r ; -x R_r]; per round sort by (bucket, position), cut into chunks of `block`. In round r token
    i attends j iff j <= i, same bucket, and j's chunk is i's or the one before. Logits s q.k, -5e4 for j = i, minus
    ln(number of rounds in which i attends j). Per round (o_r, lse_r); out = sum_r softmax_r(lse_r) o_r.
    buckets [b,h,rounds,n] int64. Chunks wrap around in the library, which the bucket rule makes void.
    """
    block, rounds = 8, 3
    count = {"tiny": 4, "odd": 8, "gqa": 10}[size]
    s = heads(size)
    n = block * count
    qk, v = normal(rng, s.b, s.h, n, s.d), normal(rng, s.b, s.h, n, s.e)
    rotations = normal(rng, s.d, rounds, count // 2)
    x = f64(qk)
    turned = np.einsum("bhtf,fri->bhrti", x, f64(rotations))
    turned = np.concatenate([turned, -turned], -1)
    top = np.sort(turned, -1)
    clear(top[..., -1] - top[..., -2])
    bucket = turned.argmax(-1)
    order = np.argsort(bucket, -1, kind="stable")
    chunk = np.argsort(order, -1) // block
    back = chunk[..., :, None] - chunk[..., None, :]
    seen = (bucket[..., :, None] == bucket[..., None, :]) & ((back == 0) | (back == 1)) & np.tri(n, dtype=bool)
    logits = np.einsum("bhid,bhjd->bhij", x, x / np.linalg.norm(x, axis=-1, keepdims=True)) / np.sqrt(s.d)
    logits = np.where(np.eye(n, dtype=bool), SELF_LOGIT, logits) - np.log(np.maximum(seen.sum(2), 1))
    outs, norms = zip(*(attend(np.where(seen[:, :, r], logits, -np.inf), f64(v)) for r in range(rounds)))
    weight = softmax(np.stack(norms), axis=0)
    return Case({"QK": qk, "V": v, "Rotations": rotations}, {"block": block, "rounds": rounds, "self_logit": SELF_LOGIT},
                {"out": (weight[..., None] * np.stack(outs)).sum(0), "buckets": bucket}, bound=1e-8)


@oracle("F2", kind="formula", source="Routing Transformer, arXiv 2003.05997; routing_transformer.py KmeansAttention")
def routing(rng, size):
    """Centroids [h,c,d]; distance = (x/|x|).mu; each cluster takes the w = n/c queries and the w keys of largest distance

    (a token may be in several or none). Inside a cluster: softmax(s q.k) over its keys with position j <= i and over the
    learned MemK, MemV [h,c,m,.], which every query sees. out = sum over the clusters that hold i / (their number + 1e-5);
    count [b,h,n] int64 is that number. QSel, KSel [b,h,c,n] are the memberships.
    """
    clusters, memory = 5, 1
    s = heads(size)
    n = {"tiny": 40, "odd": 65, "gqa": 80}[size]
    q, k, v = normal(rng, s.b, s.h, n, s.d), normal(rng, s.b, s.h, n, s.d), normal(rng, s.b, s.h, n, s.e)
    mu = normal(rng, s.h, clusters, s.d)
    mem_k, mem_v = normal(rng, s.h, clusters, memory, s.d), normal(rng, s.h, clusters, memory, s.e)
    q_sel, k_sel = (top_k(np.einsum("bhnd,hcd->bhcn", x / np.linalg.norm(x, axis=-1, keepdims=True), f64(mu)), n // clusters)
                    for x in f64(q, k))
    total, count = np.zeros((s.b, s.h, n, s.e)), q_sel.sum(2)
    for b, h, c in np.ndindex(s.b, s.h, clusters):
        i, j = np.flatnonzero(q_sel[b, h, c]), np.flatnonzero(k_sel[b, h, c])
        keys, values = (np.concatenate([f64(m)[h, c], f64(x)[b, h, j]]) for m, x in ((mem_k, k), (mem_v, v)))
        seen = np.concatenate([np.ones((i.size, memory), bool), j <= i[:, None]], 1)
        x = np.where(seen, f64(q)[b, h, i] @ keys.T / np.sqrt(s.d), -np.inf)
        total[b, h, i] += attend(x, values)[0]
    return Case({"Q": q, "K": k, "V": v, "Centroids": mu, "MemK": mem_k, "MemV": mem_v},
                {"clusters": clusters, "w": n // clusters, "eps": 1e-5},
                {"out": total / (count + 1e-5)[..., None], "count": count, "QSel": q_sel, "KSel": k_sel})


@oracle("F3", kind="formula", source="ClusterFormer, ACL 2022, as remembered in the catalogue (uncertain; no public code)")
def clusterformer(rng, size):
    """1. X [b,n,c], Centroids0 [m,c]: `steps` times U = softmax_m(X C^T), C_m = sum_t U_tm X_t / sum_t U_tm (per batch).

    2. hard cluster = argmax U of the last C; stable sort by it -> order [b,n] int64. 3. groups of `group` sorted tokens (the
    last may be short); a query attends the keys of its own, the previous and the next group, without wrap, not causal.
    Our reading: neighbours on both sides, one order for all heads.
    """
    s, steps, m, group = heads(size), 2, 4, 8
    q, k, v = normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.d), normal(rng, s.b, s.h, s.n, s.e)
    x, start = normal(rng, s.b, s.n, s.d), normal(rng, m, s.d)
    centroids = np.broadcast_to(f64(start), (s.b, m, s.d))
    for _ in range(steps):
        u = softmax(np.einsum("btc,bmc->btm", f64(x), centroids))
        centroids = np.einsum("btm,btc->bmc", u, f64(x)) / u.sum(1)[..., None]
    similarity = np.einsum("btc,bmc->btm", f64(x), centroids)
    top = np.sort(similarity, -1)
    clear(top[..., -1] - top[..., -2])
    order = np.argsort(similarity.argmax(-1), -1, kind="stable")
    out = np.zeros((s.b, s.h, s.n, s.e))
    for b in range(s.b):
        groups = [order[b, a:z] for a, z in blocks(s.n, group)]
        for r, rows in enumerate(groups):
            near = np.concatenate(groups[max(0, r - 1):r + 2])
            logits = np.einsum("hid,hjd->hij", f64(q)[b][:, rows], f64(k)[b][:, near]) / np.sqrt(s.d)
            out[b][:, rows] = attend(logits, f64(v)[b][:, near])[0]
    return Case({"Q": q, "K": k, "V": v, "X": x, "Centroids0": start}, {"steps": steps, "group": group},
                {"order": order, "Centroids": centroids, "out": out})
