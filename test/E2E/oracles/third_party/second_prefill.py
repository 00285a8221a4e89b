# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Second forms of SpargeAttn (C1), FlexPrefill (C7), and of what is small (D4, D7, D8, D10, D11, D19, E6, F3)."""
import math

import torch
import torch.nn.functional as F

from ..core import oracle
from .adapt import tensors
from .second_decode import four_bit, over_tokens
from .second_selections import chosen, kept, pool, repeat
from .torch_flex import masked


def int8_blocks(x, block):
    parts = []
    for y in x.split(block, 2):
        size = y.abs().amax((-1, -2), keepdim=True) / 127
        parts.append((y / size).sign() * ((y / size).abs() + 0.5).floor() * size)
    return torch.cat(parts, 2)


@oracle("C1", kind="second-form", source="cosine_similarity, searchsorted, a loop over rows of a warp", bound=2e-5)
def sparge(case):
    """torch rounds float64 to float16 through float32, which now and then gives the other neighbour: hence the bound."""
    q, k, v = tensors(case, "Q", "K", "V")
    p, n = case.params, q.shape[2]
    block_q, block_k, warp = p["block_q"], p["block_k"], p["warp"]
    k, v = repeat(k - k.mean(2, keepdim=True), q), repeat(v, q)

    def flags(x, block):
        return torch.stack([F.cosine_similarity(y[:, :, :, None], y[:, :, None], dim=-1).mean((-1, -2))
                            for y in x.split(block, 2)], -1) > p["simthreshd1"]

    flag_q, flag_k = flags(q, block_q), flags(k, block_k)
    nq, nk = flag_q.shape[-1], flag_k.shape[-1]
    later = torch.arange(nk) * block_k >= (torch.arange(nq)[:, None] + 1) * block_q
    x = pool(q, block_q) @ pool(k, block_k).transpose(2, 3) * q.shape[-1] ** -0.5
    x = x.masked_fill(later | ~flag_k[:, :, None], -math.inf).softmax(-1).nan_to_num()
    falling, order = x.sort(dim=-1, descending=True, stable=True)
    count = torch.searchsorted(falling.cumsum(-1), torch.full((*x.shape[:3], 1), p["cdfthreshd"]).double(), right=True)
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(nk).expand_as(order))
    keep = (rank < count.clamp(min=1)) & (x > 0) | ~flag_k[:, :, None] | ~flag_q[..., None]
    keep[..., 0] = True
    keep &= ~later
    q8, k8 = int8_blocks(q * (q.shape[-1] ** -0.5 / math.log(2)), block_q), int8_blocks(k, block_k)
    logits = (q8 @ k8.transpose(2, 3)).masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf)
    v = v.half().double()
    out = torch.zeros(*q.shape[:3], v.shape[-1]).double()
    skip = torch.zeros(*q.shape[:2], -(-n // warp), nk, dtype=torch.bool)
    for b, h, w in torch.cartesian_prod(*(torch.arange(s) for s in skip.shape[:3])).tolist():
        rows = range(w * warp, min(n, (w + 1) * warp))
        m, l, acc = {r: -math.inf for r in rows}, {r: 0.0 for r in rows}, {r: torch.zeros(v.shape[-1]).double() for r in rows}
        for t in keep[b, h, w * warp // block_q].nonzero().flatten().tolist():
            tile = slice(t * block_k, (t + 1) * block_k)
            tops = {r: logits[b, h, r, tile].max().item() for r in rows}
            gains = [tops[r] - m[r] for r in rows if tops[r] > -math.inf]
            if not gains or max(gains) <= -p["pvthreshd"]:
                skip[b, h, w, t] = True
                continue
            for r in rows:
                if tops[r] == -math.inf:
                    continue
                new = max(m[r], tops[r])
                weight = torch.exp2(logits[b, h, r, tile] - new)
                shrink = 2.0 ** (m[r] - new)
                l[r] = l[r] * shrink + weight.sum().item()
                acc[r], m[r] = acc[r] * shrink + weight.half().double() @ v[b, h, tile], new
        for r in rows:
            out[b, h, r] = acc[r] / l[r]
    return {"keep": keep, "skip": skip, "out": out}


@oracle("C7", kind="second-form", source="torch.diagonal, torch.distributions KL, loops over heads and blocks")
def flex_prefill(case):
    q, k, v = tensors(case, "Q", "K", "V")
    p, n, block = case.params, q.shape[2], case.params["block"]
    k, count = repeat(k, q), -(-n // block)
    last = q[:, :, n - block:]
    x = last @ k.transpose(2, 3) * q.shape[-1] ** -0.5
    x = x.masked_fill(torch.ones(block, n).triu(n - block + 1).bool(), -math.inf).softmax(-1)
    means = pool(k, block)
    guess = (last.mean(2, keepdim=True) @ means.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)[:, :, 0]
    truth = torch.stack([y.sum((-1, -2)) / block for y in x.split(block, -1)], -1)
    middle = (guess + truth) / 2
    divergence = (F.kl_div(middle.log(), guess, reduction="none") + F.kl_div(middle.log(), truth, reduction="none")).sum(-1)
    aware = (divergence / 2).sqrt() < p["tau"]

    def cover(mass, share):
        return int((mass.sort(descending=True).values.cumsum(-1) < share).sum()) + 1

    keep = torch.zeros(*q.shape[:2], count, count, dtype=torch.bool)
    scores = (pool(q, block) @ means.transpose(2, 3) * q.shape[-1] ** -0.5)
    scores = scores.masked_fill(torch.ones(count, count).triu(1).bool(), -math.inf).softmax(-1)
    for b, h in torch.cartesian_prod(torch.arange(q.shape[0]), torch.arange(q.shape[1])).tolist():
        vertical = x[b, h].mean(0)
        slash = torch.stack([x[b, h].diagonal(n - block - d).sum() for d in range(n)]) / block
        n_v, n_s = (min(max(cover(y, p["gamma"]) // block + 1, p["min_blocks"]), p["max_blocks"]) for y in (vertical, slash))
        if aware[b, h]:
            n_v = n_s = 1
            flat = scores[b, h].flatten()
            taken = flat.argsort(descending=True)[:cover(flat, p["gamma"] * count)]
            keep[b, h].view(-1)[taken] = flat[taken] > 0
        vertical, slash = (torch.stack([z.sum() for z in y.split(block)]) for y in (vertical, slash))
        columns = {0, *(vertical[1:].argsort(descending=True)[:n_v - 1] + 1).tolist()}
        offsets = {0, *(slash[1:].argsort(descending=True)[:n_s - 1] + 1).tolist()}
        for a in range(count):
            for c in range(a + 1):
                if c in columns or a - c in offsets:
                    keep[b, h, a, c] = True
    return {"aware": aware, "keep": keep, **kept(case, keep, block)}


@oracle("D7", kind="second-form", source="searchsorted in the cumulative sum")
def oracle_selection(case):
    q, k, v, u = tensors(case, "Q", "K", "V", "U")
    p = (q @ repeat(k, q).transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)[:, :, 0]
    index = torch.searchsorted(p.cumsum(-1), u, right=True)
    picked = repeat(v, q).gather(2, index[..., None].expand(-1, -1, -1, v.shape[-1]))
    return {"index": index, "out_sampled": picked.mean(2, keepdim=True), **over_tokens(case, chosen(p, case.params["top_k"]))}


@oracle("D8", kind="second-form", source="the bisection for the threshold that the authors run, 60 steps")
def twilight(case):
    q, k = tensors(case, "Q", "K")
    p, page, n = case.params, case.params["page"], k.shape[2]
    high, low = repeat(pool(k, page, F.max_pool1d), q), repeat(-pool(-k, page, F.max_pool1d), q)
    base = chosen(torch.maximum(q * high, q * low).sum(-1), p["pages"]).repeat_interleave(page, -1)[..., :n]
    w = (q @ repeat(four_bit(k), q).transpose(2, 3))[:, :, 0] * q.shape[-1] ** -0.5
    w = w.masked_fill(~base, -math.inf).softmax(-1)
    bottom, top = torch.zeros_like(w[..., :1]), w.amax(-1, keepdim=True)
    for _ in range(60):
        middle = (bottom + top) / 2
        enough = torch.where(w >= middle, w, 0.0).sum(-1, keepdim=True) >= p["p"]
        bottom, top = torch.where(enough, middle, bottom), torch.where(enough, top, middle)
    return {"keep_base": base, **over_tokens(case, (w >= bottom) & base)}


@oracle("D10", kind="second-form", source="signs as +-1 vectors: agreement is (32 + dot) / 2")
def hash_attention(case):
    def signs(name):
        x, w1, b1, w2, b2 = tensors(case, name, name + "W1", name + "B1", name + "W2", name + "B2")
        return (torch.relu(x @ w1 + b1[:, None]) @ w2 + b2[:, None]).sign()

    q = signs("Q")
    score = (32 + q @ repeat(signs("K"), q).transpose(2, 3))[:, :, 0] / 2
    return {"score": score, **over_tokens(case, chosen(score, case.params["tokens"]))}


@oracle("E6", kind="second-form", source="the distance to the restart points, in closed form, flex_attention")
def logsparse(case):
    """From row i: with r = (i - j) mod L read at the restart i - c L, attend r < l and r = l - 1 + 2^m, r <= L.

    A power of two may reach over L into the next restart's range, hence the test of both c and c - 1.
    """
    length, n = case.params["sub_len"], case.params["win_len"]
    short = math.ceil(math.log2(length))
    near = set(range(short)) | {short - 1 + 2 ** m for m in range(short) if short - 1 + 2 ** m <= length}
    table = torch.zeros(n, dtype=torch.bool)
    for gap in range(n):
        c, r = divmod(gap, length)
        table[gap] = r in near or (c > 0 and r + length in near)
    full = (n // length) * 2 * short
    return masked(case, lambda b, h, i, j: (i >= j) & ((i < full) | table[torch.clamp(i - j, min=0)]))


@oracle("D4", kind="second-form", source="one softmax over the union; each token of an estimated cluster replaced by its means")
def retrieval(case):
    q, k, v, index, assign = tensors(case, "Q", "K", "V", "Index", "Assign")
    p, n = case.params, k.shape[2]
    first, last = p["sink"], n - p["recent"]
    static = torch.ones(*q.shape[:2], n, dtype=torch.bool)
    static[..., first:last] = False
    union = over_tokens(case, static.scatter(-1, index, True))
    k, v, assign = repeat(k, q).clone(), repeat(v, q).clone(), repeat(assign, q)
    keep = torch.zeros(*q.shape[:2], p["clusters"], dtype=torch.bool)
    for b, h in torch.cartesian_prod(torch.arange(q.shape[0]), torch.arange(q.shape[1])).tolist():
        members = {c: (assign[b, h] == c).nonzero().flatten() + first for c in assign[b, h].unique().tolist()}
        means = {c: k[b, h, rows].mean(0) for c, rows in members.items()}
        best = sorted(means, key=lambda c: -(means[c] @ q[b, h, 0]).item())
        keep[b, h, best[:p["probe"]]] = True
        for c in best[p["probe"]:]:
            k[b, h, members[c]], v[b, h, members[c]] = means[c], v[b, h, members[c]].mean(0)
    out = F.scaled_dot_product_attention(q, k, v)
    return {"out": union["out"], "lse": union["lse"], "keep": keep, "out_retro": out}


@oracle("D11", kind="second-form", source="topk, sort, gather")
def eviction(case):
    k, v, score = tensors(case, "K", "V", "Score")
    p, n = case.params, k.shape[2]
    old = n - p["recent"]
    best = score[..., :old].topk(p["budget"] - p["recent"]).indices.sort(-1).values
    pos = torch.cat([best, torch.arange(old, n).expand(*best.shape[:2], -1)], -1)
    keep = torch.zeros_like(score, dtype=torch.bool).scatter(-1, pos, True)
    return {"Pos": pos, "keep": keep, "KOut": k[keep].reshape(*pos.shape, -1), "VOut": v[keep].reshape(*pos.shape, -1)}


@oracle("D19", kind="second-form", source="indexing of the pool as blocks")
def block_gather(case):
    k, v, table = tensors(case, "K", "V", "Table")

    def gather(x):
        pool_of = x.unflatten(2, (-1, case.params["block"]))
        return torch.stack([pool_of[b][:, rows].flatten(1, 2) for b, rows in enumerate(table)])

    return {"KOut": gather(k), "VOut": gather(v)}


@oracle("F3", kind="second-form", source="a group mask over the sorted order, then scattered back")
def clusterformer(case):
    q, k, v, x, start = tensors(case, "Q", "K", "V", "X", "Centroids0")
    group, centers = case.params["group"], start.expand(x.shape[0], -1, -1)
    for _ in range(case.params["steps"]):
        u = (x @ centers.transpose(1, 2)).softmax(-1)
        centers = (u / u.sum(1, keepdim=True)).transpose(1, 2) @ x
    label = (x @ centers.transpose(1, 2)).argmax(-1)
    order = (label * x.shape[1] + torch.arange(x.shape[1])).argsort(-1)
    place = order.argsort(-1) // group
    near = (place[:, :, None] - place[:, None]).abs() <= 1
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=near[:, None])
    return {"order": order, "Centroids": centers, "out": out}
