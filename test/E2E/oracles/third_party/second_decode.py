# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Second forms of decode-time selections and of three block-sparse prefills: plain loops over tokens, on torch operators."""
import math

import torch
import torch.nn.functional as F

from ..core import oracle
from .adapt import tensors
from .second_forms import rotate
from .second_selections import chosen, kept, pool, repeat
from .torch_flex import flex


def over_tokens(case, keep):
    """Attention of the one query over keep [b,h,n]."""
    q, k, v = tensors(case, "Q", "K", "V")
    out, lse = flex(q, k, v, lambda b, h, i, j: keep[b, h, j])
    return {"keep": keep, "out": out, "lse": lse}


def shared(case, keep, suffix=""):
    """keep [b,blocks] for all heads."""
    return {"keep" + suffix: keep, **kept(case, keep[:, None, None], case.params["block"], "out" + suffix)}


def four_bit(x):
    """torch.quantize_per_channel would do, were its scale not float32: rows as affine codes 0..15."""
    low = x.amin(-1, keepdim=True)
    step = (x.amax(-1, keepdim=True) - low) / 15
    return torch.addcmul(low, ((x - low) / step).round().clamp(0, 15), step)


@oracle("D2", kind="second-form", source="gather, round, stable sort")
def double_sparsity(case):
    q, k, channels = tensors(case, "Q", "K", "Channels")
    k = repeat(k, q)
    label = torch.stack([four_bit(k[:, h][..., c]) for h, c in enumerate(channels)], 1)
    picked = torch.stack([four_bit(q[:, h][..., c]) for h, c in enumerate(channels)], 1)
    score = (label * picked).sum(-1) * channels.shape[1] ** -0.5
    return over_tokens(case, chosen(score, case.params["heavy"]))


@oracle("D3", kind="second-form", source="max_pool1d of K and -K, a cache rewritten in place, flex_attention")
def resa(case):
    q, k, v, q_new, k_new, v_new = tensors(case, "Q", "K", "V", "QNew", "KNew", "VNew")
    block, f, share = case.params["block"], case.params["f"], q.shape[1] // k.shape[1]
    high, low = pool(k, block, F.max_pool1d), -pool(-k, block, F.max_pool1d)
    mean = q[:, :, 0].unflatten(1, (-1, share)).mean(2)[:, :, None] * q.shape[-1] ** -0.5
    # max(q kmin, q kmax) is q+ kmax - q- kmin with the positive and the negative part of q.
    score = (F.relu(mean) * high - F.relu(-mean) * low).sum(-1)
    score[..., -1] = math.inf
    count = score.shape[-1]
    keep = chosen(score, max(math.ceil(count / 10), min(count, 4)))
    outputs = {"keep": keep, **kept(case, keep[:, :, None], block)}
    k[:, :, -f:], v[:, :, -f:] = k_new, v_new
    outputs["out_rectify"], _ = flex(q_new, k, v, lambda b, h, i, j: i >= j)
    return {**outputs, "KMax": pool(k, block, F.max_pool1d), "KMin": -pool(-k, block, F.max_pool1d)}


@oracle("D5", kind="second-form", source="normalize, index_add, loops over clusters")
def cluster_kv(case):
    q, k, start = tensors(case, "Q", "K", "Centroids0")
    p, n = case.params, k.shape[2]
    sink, generated, share = p["sink"], p["generated"], q.shape[1] // k.shape[1]
    keep = torch.zeros(q.shape[0], q.shape[1], n, dtype=torch.bool)
    assigned, centers = torch.zeros(*k.shape[:2], n - sink - generated, dtype=torch.long), start.clone()
    for b in range(k.shape[0]):
        for g in range(k.shape[1]):
            keys, center = k[b, g, sink:n - generated], centers[b, g]
            for _ in range(p["steps"]):
                to = (F.normalize(keys, dim=-1) @ F.normalize(center, dim=-1).T).argmax(-1)
                for c in to.unique().tolist():
                    center[c] = keys[to == c].mean(0)
            to = assigned[b, g] = (F.normalize(keys, dim=-1) @ F.normalize(center, dim=-1).T).argmax(-1)
            for h in range(g * share, (g + 1) * share):
                listed = torch.cat([(to == c).nonzero().flatten()
                                    for c in (center @ q[b, h, 0]).argsort(descending=True).tolist()])
                keep[b, h, sink + listed[:p["budget"] - sink]] = True
    keep[..., :sink] = keep[..., n - generated:] = True
    return {"Centroids": centers, "Assign": assigned, **over_tokens(case, keep)}


@oracle("D6", kind="second-form", source="codes as integers, one softmax with the bias -ln(u + eps)")
def magic_pig(case):
    q, k, v, planes = tensors(case, "Q", "K", "V", "Planes")
    tables, bits = planes.shape[:2]
    n, p = k.shape[2], case.params
    token = torch.arange(n)
    static = (token < p["sink"]) | (token >= n - p["local"])
    center = repeat(k, q)[:, :, ~static].mean(2, keepdim=True)
    moved = repeat(k, q) - center

    def code(x):
        sign = torch.einsum("bhnd,lkd->bhnlk", x, planes) > 0
        return (sign * 2 ** torch.arange(bits)).sum(-1)

    hits = (code(q) == code(moved)).sum(-1)
    angle = torch.acos(F.cosine_similarity(q, moved, dim=-1).clamp(-1, 1))
    p1 = (1 - angle / math.pi) ** bits
    # At least two of L independent tables: one minus none minus exactly one.
    u = 1 - torch.distributions.Binomial(tables, probs=p1).log_prob(torch.zeros(1).double()).exp() - (
        torch.distributions.Binomial(tables, probs=p1).log_prob(torch.ones(1).double()).exp())
    keep = (hits >= 2) & ~static
    bias = torch.where(static, 0.0, -torch.log(u + p["eps"]))

    def modify(x, b, h, i, j):
        return x + bias[b, h, j]

    out, lse = flex(q, moved, repeat(v, q), lambda b, h, i, j: static[j] | keep[b, h, j], modify=modify)
    return {"keep": keep, "out": out, "lse": lse + (q * center).sum(-1) * q.shape[-1] ** -0.5}


@oracle("D9", kind="second-form", source="torch.special.ndtri, bincount of the picks as weights of one softmax")
def vattention(case):
    q, k, v, predicted, base_u, uniform = tensors(case, "Q", "K", "V", "Predicted", "BaseU", "U")
    p, n = case.params, k.shape[2]
    x = (q @ repeat(k, q).transpose(2, 3))[:, :, 0] * q.shape[-1] ** -0.5
    fixed = torch.zeros_like(x, dtype=torch.bool).scatter(-1, predicted, True)
    fixed[..., :p["sink"]] = fixed[..., n - p["local"]:] = True
    budget, weight = torch.zeros(x.shape[:2], dtype=torch.long), fixed.double()
    for b in range(x.shape[0]):
        for h in range(x.shape[1]):
            rest = (~fixed[b, h]).nonzero().flatten()
            size, e = len(rest), (x[b, h] - x[b, h].max()).exp()
            base = rest[(base_u[b, h, :max(2, int(p["rate"] * size))] * size).long()]
            below = e[fixed[b, h]].sum() + size * e[base].mean()
            z = torch.special.ndtri(torch.tensor(1 - p["delta"]).double())
            wanted = (z * e[base].std() * size / (p["eps"] * below)).square()
            budget[b, h] = min(max(int(wanted), len(base)), size)
            times = torch.bincount(rest[(uniform[b, h, :budget[b, h]] * size).long()], minlength=n)
            weight[b, h] += times * size / budget[b, h]
    out = (x + weight.log()).softmax(-1)[:, :, None] @ repeat(v, q)
    return {"budget": budget, "keep": fixed, "out": out}


@oracle("D12", kind="second-form", source="avg_pool1d, one dot product over all heads")
def esa(case):
    q, k = tensors(case, "Q", "K")
    p, share = case.params, q.shape[1] // k.shape[1]
    rep = pool(k, p["block"])
    score = torch.einsum("bhd,bhnd->bn", q[:, :, 0], repeat(rep, q)) / share
    count = score.shape[-1]
    middle = chosen(score[:, 1:-2], max(1, int(p["ratio"] * (count - 3))))
    return shared(case, F.pad(middle, (1, 2), value=True))


@oracle("D13", kind="second-form", source="avg_pool1d of half blocks, max_pool1d of their scores")
def gsa_offload(case):
    q, k = tensors(case, "Q", "K")
    block, share = case.params["block"], q.shape[1] // k.shape[1]
    rep = repeat(pool(k, block // 2), q)
    single = F.max_pool1d(torch.einsum("bhd,bhnd->bhn", q[:, :, 0], rep), 2, ceil_mode=True).mean(1)
    mean = q[:, :, 0].unflatten(1, (-1, share)).mean(2)
    group = F.max_pool1d(torch.einsum("bgd,bgnd->bgn", mean, rep[:, ::share]), 2, ceil_mode=True).sum(1)
    total, outputs = min(max(math.ceil(0.3 * group.shape[-1]), 4), 6), {}
    for suffix, score in (("", group), ("_gpu", single)):
        outputs.update(shared(case, F.pad(chosen(score[:, 1:-2], total - 3), (1, 2), value=True), suffix))
    return outputs


@oracle("D15", kind="second-form", source="topk of channels, avg_pool1d of pairs, softmax over all representatives")
def kvstar(case):
    q, k = tensors(case, "Q", "K")
    block, n = case.params["block"], k.shape[2]
    r, filled, count = q.shape[-1] // 4, n // block, -(-n // block)
    channels = k.abs().mean(2).topk(r).indices.sort(-1).values
    small = k.gather(-1, channels[:, :, None].expand(-1, -1, n, -1))[:, :, :filled * block]
    few = q.gather(-1, repeat(channels, q)[:, :, None].expand(-1, -1, q.shape[2], -1))
    p = (few @ repeat(pool(small, 2), q).transpose(2, 3)).softmax(-1)
    score = F.pad(p.sum((1, 2)).unflatten(-1, (filled, -1)).sum(-1), (0, count - filled))
    middle = score[:, 1:-2].clone()
    middle[:, filled - 1:] = -math.inf
    keep = F.pad(chosen(middle, max(1, count // 4)), (1, 2), value=True)
    q, k, v = tensors(case, "Q", "K", "V")
    out, lse = flex(q, k, v, lambda b, h, i, j: (i >= j) & keep[b, j // block])
    return {"channels": channels, "score": score, "keep": keep, "out": out, "lse": lse}


@oracle("D16", kind="second-form", source="avg_pool1d, strided slice, ratio of two sums")
def representations(case):
    q, k, weight = tensors(case, "Q", "K", "Weight")
    block, share = case.params["block"], q.shape[1] // k.shape[1]
    w, outputs = weight[..., None], {}
    kinds = {"mean": pool(k, block), "first": k[:, :, ::block], "weighted": pool(w * k, block) / pool(w, block)}
    for name, rep in kinds.items():
        score = torch.einsum("bhd,bhnd->bhn", q[:, :, 0], repeat(rep, q)).unflatten(1, (-1, share)).mean(2)
        keep = F.pad(chosen(score[..., :-1], case.params["top"] - 1), (0, 1), value=True)
        outputs["keep_" + name] = keep
        outputs["out_" + name] = kept(case, keep[:, :, None], block)["out"]
    return outputs


@oracle("D17", kind="second-form", source="llama's RoPE per block, topk, attention over explicit positions")
def blend(case):
    q, k, v, k_fresh, v_fresh, shift, miss = tensors(case, "Q", "K", "V", "KFresh", "VFresh", "Shift", "Miss")
    p, n = case.params, k.shape[2]
    moved = torch.cat([rotate(x, s.expand(x.shape[2])) for x, s in zip(k.split(p["block"], 2), shift)], 2)
    deviation, deviation_v = (moved - k_fresh).abs().sum((1, 3)), (v - v_fresh).square().sum((1, 3))
    forced = miss | (torch.arange(n) >= n - p["suffix"])
    free = (~forced).nonzero().flatten()
    best = free[deviation[:, free].topk(p["top"]).indices]
    pos = torch.cat([best, forced.nonzero().flatten().expand(len(best), -1)], 1).sort(-1).values
    index = pos[:, None, :, None]

    def replace(old, new):
        return old.scatter(2, index.expand(-1, old.shape[1], -1, old.shape[3]), new.gather(
            2, index.expand(-1, old.shape[1], -1, old.shape[3])))

    k, v = replace(moved, k_fresh), replace(v, v_fresh)
    rows = q.gather(2, index.expand(-1, q.shape[1], -1, q.shape[3]))
    first = n - rows.shape[2]
    out, lse = flex(rows, k, v, lambda b, h, i, j: j <= pos[b, i - first])
    return {"KShift": moved, "deviation": deviation, "deviation_v": deviation_v, "Pos": pos, "KCache": k, "VCache": v,
            "out": out, "lse": lse}


@oracle("C3", kind="second-form", source="avg_pool1d, a loop over sorted blocks, flex_attention")
def rectified(case):
    q, k, v, near = tensors(case, "Q", "K", "V", "Neighbours")
    p, block, vis = case.params, case.params["block"], case.params["n_vis"]
    k, v, count = repeat(k, q), repeat(v, q), vis // block
    qv, kv = q[:, :, :vis], k[:, :, :vis]
    qm, km, vm = pool(qv, block), pool(kv, block), pool(v[:, :, :vis], block)
    x = torch.cat([qm @ km.transpose(2, 3), qm @ k[:, :, vis:].transpose(2, 3)], -1) * q.shape[-1] ** -0.5
    # A pooled key stands for B keys: its logit grows by ln B, and the softmax is p~.
    x[..., :count] += math.log(block)
    p_all = x.softmax(-1)
    share, text = p_all[..., :count], p_all[..., count:].sum(-1)
    keep, fixed = near.expand_as(share).clone(), torch.zeros_like(share, dtype=torch.bool)
    dq = pool((qv - qm.repeat_interleave(block, 2)).abs(), block)
    dk = pool((kv - km.repeat_interleave(block, 2)).abs(), block)
    for b, h, a in torch.cartesian_prod(*(torch.arange(s) for s in share.shape[:3])).tolist():
        got, taken = 0.0, 0
        for c in share[b, h, a].argsort(descending=True).tolist():
            if taken < p["top_k"] or got <= p["prob_threshold"]:
                keep[b, h, a, c] = True
            got, taken = got + share[b, h, a, c].item(), taken + 1
        for c in range(count):
            gain = (qm[b, h, a] @ km[b, h, c]).abs()
            error = (dq[b, h, a] @ km[b, h, c]).abs() + (qm[b, h, a] @ dk[b, h, c]).abs()
            fixed[b, h, a, c] = not keep[b, h, a, c] and gain > error
    keys = torch.cat([keep, torch.ones(*keep.shape[:3], 1, dtype=torch.bool)], -1)
    column = torch.clamp(torch.arange(k.shape[2]) // block, max=count)
    scale = 1 - (share * fixed).sum(-1)
    add = (share * fixed) @ vm
    n = q.shape[2]
    sparse, _ = flex(q, k, v, lambda b, h, i, j: (i >= vis) | keys[b, h, torch.clamp(i // block, max=count - 1), column[j]])
    out = sparse.clone()
    out[:, :, :vis] = sparse[:, :, :vis] * scale.repeat_interleave(block, 2)[..., None] + add.repeat_interleave(block, 2)
    assert n > vis and torch.allclose(text + share.sum(-1), torch.ones(1).double())
    return {"keep": keep, "rectify": fixed, "out": out}
