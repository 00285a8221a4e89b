# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Second forms of selections and low-bit formats, on PyTorch's pooling, sorting and casting operators."""
import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F

from ..core import oracle
from .adapt import tensors
from .second_forms import rotate
from .torch_flex import flex


def pool(x, size, kind=F.avg_pool1d):
    """Pools the rows of [b,h,n,d] in blocks; the last one may be short and then counts only its own rows."""
    b, h, n, d = x.shape
    more = {"count_include_pad": False} if kind is F.avg_pool1d else {}
    y = kind(x.transpose(2, 3).flatten(0, 1), size, size, ceil_mode=True, **more)
    return y.unflatten(0, (b, h)).transpose(2, 3)


def repeat(x, q):
    return x.repeat_interleave(q.shape[1] // x.shape[1], 1)


def chosen(score, count):
    """The `count` best by a stable sort, -inf excluded."""
    order = score.argsort(dim=-1, descending=True, stable=True)[..., :count]
    return torch.zeros_like(score, dtype=torch.bool).scatter(-1, order, True) & (score > -float("inf"))


def kept(case, keep, block, name="out"):
    """flex attention over keep [b,h or g,query block or token,key block], j <= i."""
    q, k, v = tensors(case, "Q", "K", "V")
    share, step = q.shape[1] // keep.shape[1], -(-q.shape[2] // keep.shape[2])
    first = k.shape[2] - q.shape[2]
    out, lse = flex(q, k, v, lambda b, h, i, j: (i >= j) & keep[b, h // share, (i - first) // step, j // block])
    return {name: out, name.replace("out", "lse"): lse}


@oracle("C5", kind="second-form", source="torch.diagonal sums, ranges per query block")
def vertical_slash(case):
    q, k, v = tensors(case, "Q", "K", "V")
    p, n = case.params, q.shape[2]
    last, block = p["last_q"], p["block"]
    x = q[:, :, n - last:] @ repeat(k, q).transpose(2, 3) * q.shape[-1] ** -0.5
    x = x.masked_fill(torch.ones(last, n).triu(n - last + 1).bool(), -float("inf")).softmax(-1)
    columns = x.sum(2)
    # Offset d = i - j of row r (i = n - last + r) is the diagonal j - r = n - last - d.
    slashes = torch.stack([x.diagonal(n - last - d, 2, 3).sum(-1) for d in range(n)], -1)
    columns[..., :p["force_v"]], slashes[..., :p["force_s"]] = float("inf"), float("inf")
    columns, slashes = chosen(columns, p["n_v"]), chosen(slashes, p["n_s"])
    mask = torch.zeros(*q.shape[:3], n, dtype=torch.bool)
    for b, h in torch.cartesian_prod(torch.arange(q.shape[0]), torch.arange(q.shape[1])).tolist():
        for start in range(0, n, block):
            seen = columns[b, h].clone()
            for d in slashes[b, h].nonzero().flatten().tolist():
                seen[max(0, start - d):max(0, start + block - d)] = True
            mask[b, h, start:start + block] = seen
    out, lse = flex(q, k, v, lambda b, h, i, j: (i >= j) & mask[b, h, i, j])
    return {"columns": columns, "slashes": slashes, "out": out, "lse": lse}


@oracle("C6", kind="second-form", source="avg_pool1d, stable sort, flex_attention")
def block_top_k(case):
    q, k = tensors(case, "Q", "K")
    block = case.params["block"]
    x = pool(q, block) @ pool(repeat(k, q), block).transpose(2, 3)
    keep = chosen(x.masked_fill(torch.ones(x.shape[-2:]).triu(1).bool(), -float("inf")), case.params["top_k"])
    return {"keep": keep, **kept(case, keep, block)}


def gate_keys(k, w, block):
    pooled = torch.cat([pool(k, block, F.max_pool1d), -pool(-k, block, F.max_pool1d), pool(k, block)], -1)
    return pooled @ w


@oracle("C9", kind="second-form", source="max_pool1d, avg_pool1d, matmul, llama's RoPE")
def seer(case):
    q_pre, k_pre, wq, wk = tensors(case, "QPre", "KPre", "WQ", "WK")
    p, block = case.params, case.params["block"]
    gate_q, gate_k = pool(q_pre, block) @ wq, gate_keys(k_pre, wk, block)
    at = torch.arange(gate_q.shape[2]) * block
    x = rotate(gate_q, at) @ repeat(rotate(gate_k, at), q_pre).transpose(2, 3) * wq.shape[-1] ** -0.5
    later = torch.ones(x.shape[-2:]).triu(1).bool()
    g = x.masked_fill(later, -float("inf")).softmax(-1)
    keep, keep_top = g > p["threshold"], chosen(g.masked_fill(later, -float("inf")), p["top_k"])
    keep[:, :, -1], keep_top[:, :, -1] = True, True
    return {"keep": keep, "keep_top": keep_top, **kept(case, keep, block), **kept(case, keep_top, block, "out_top")}


@oracle("C10", kind="second-form", source="max_pool1d, avg_pool1d, matmul, llama's RoPE")
def seer_decode(case):
    q_pre, k_pre, wq, wk, weight = tensors(case, "QPre", "KPre", "WQ", "WK", "KNorm")
    p, block, n = case.params, case.params["block"], k_pre.shape[2]
    b, g = k_pre.shape[:2]
    filled = n // block
    gate_q = torch.stack([q_pre[:, :, 0].unflatten(1, (g, -1))[:, x].flatten(1) @ wq[x] for x in range(g)], 1)[:, :, None]
    gate_k = F.rms_norm(gate_keys(k_pre[:, :, :filled * block], wk, block), weight.shape, weight, 1e-6)
    x = rotate(gate_q, torch.tensor([n - 1])) @ rotate(gate_k, torch.arange(filled) * block).transpose(2, 3)
    x = (x * wq.shape[-1] ** -0.5).softmax(-1)[:, :, 0]
    outputs = {}
    for suffix, keep in (("", x > p["threshold"]), ("_top", chosen(x, p["top_k"]))):
        keep = F.pad(keep, (0, -(-n // block) - filled))
        keep[..., -1] = True
        outputs.update({"keep" + suffix: keep, **kept(case, keep[:, :, None], block, "out" + suffix)})
    return outputs


@oracle("C12", kind="second-form", source="unfold, overlap by loops, topk, flex_attention")
def nsa(case):
    q, k, v, *gates = tensors(case, "Q", "K", "V", "GCmp", "GSlc", "GSwa")
    p, (b, h, n, d), g = case.params, q.shape, k.shape[1]
    window, stride, block = p["l"], p["stride"], p["block"]
    small = []
    for name, x in (("K", k), ("V", v)):
        w1, b1, w2, b2, position = tensors(case, *(name + y for y in ("W1", "B1", "W2", "B2", "Pos")))
        parts = x.unfold(2, window, stride).transpose(-1, -2) + position
        small.append(F.linear(F.relu(F.linear(parts.flatten(3), w1.T, b1)), w2.T, b2))
    count = small[0].shape[2]
    last = torch.arange(count) * stride + window - 1
    # flex puts the last query on the last key; here the keys are windows, so the shift is taken back.
    o_cmp, lse = flex(q, *small, lambda b, h, i, j: last[j] <= i + (n - count))
    x = q @ repeat(small[0], q).transpose(2, 3) * d ** -0.5
    p_cmp = x.masked_fill(last > torch.arange(n)[:, None], -float("inf")).softmax(-1).nan_to_num()
    blocks = -(-n // block)
    score = torch.zeros(b, h, n, blocks).double()
    for c in range(count):
        for m in range(blocks):
            if len(set(range(c * stride, c * stride + window)) & set(range(m * block, m * block + block))):
                score[..., m] += p_cmp[..., c]
    score = score.unflatten(1, (g, h // g)).sum(2)
    own, number = torch.arange(n)[:, None] // block, torch.arange(blocks)
    score = score.masked_fill((number == 0) | (number == own) | (number == own - 1), float("inf"))
    keep = chosen(score.masked_fill(number > own, -float("inf")), p["top_n"])
    o_slc = kept(case, keep, block)["out"]
    o_swa, _ = flex(q, k, v, lambda b, h, i, j: (i >= j) & (i - j < p["window"]))
    o_cmp = o_cmp.nan_to_num()
    out = sum(w.sigmoid()[..., None] * o for w, o in zip(gates, (o_cmp, o_slc, o_swa)))
    return {"keep": keep, "o_cmp": o_cmp, "lse_cmp": lse, "o_slc": o_slc, "o_swa": o_swa, "out": out}


@oracle("D1", kind="second-form", source="the largest q.x over the corners of the page's box")
def quest(case):
    """The bound is the maximum of q.x over the box [kmin, kmax]: by enumeration of the corners of each group of 4 channels."""
    q, k = tensors(case, "Q", "K")
    page = case.params["page"]
    high, low = pool(k, page, F.max_pool1d), -pool(-k, page, F.max_pool1d)
    score = 0
    for c in range(0, q.shape[-1], 4):
        corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 4)
        points = low[..., None, c:c + 4] + corners * (high - low)[..., None, c:c + 4]
        score = score + (repeat(points, q) * q[:, :, :, None, c:c + 4]).sum(-1).max(-1).values
    keep = chosen(score, max(3, case.params["budget"] // page))
    return {"keep": keep, "KMin": low, "KMax": high, **kept(case, keep[:, :, None], page)}


@oracle("D14", kind="second-form", source="exclusive or of the packed bytes, population count by table")
def hata(case):
    q_hash, k_hash = case.outputs["QHash"], case.outputs["KHash"]
    share, block = q_hash.shape[1] // k_hash.shape[1], case.params["block"]
    ones = np.array([bin(x).count("1") for x in range(256)])
    distance = ones[q_hash ^ np.repeat(k_hash, share, 1)].sum((1, 3))
    nearest = np.array([[row[a:a + block].min() for a in range(0, len(row), block)] for row in distance]).astype(float)
    nearest[:, [0, -1, -2]] = -1
    keep = chosen(torch.from_numpy(-nearest), case.params["top"])
    return {"distance": distance, "keep": keep, **kept(case, keep[:, None, None], block)}


@oracle("G2", kind="second-form", source="scaled_dot_product_attention; running sums token by token for the causal form")
def luna(case):
    q, k, v, p, kp = tensors(case, "Q", "K", "V", "P", "KP")
    y = F.scaled_dot_product_attention(p, k, v)
    out = F.scaled_dot_product_attention(q, y, y)
    joined = (y + p).transpose(1, 2).flatten(2)
    scale, beta = q.shape[-1] ** -0.5, float(np.log(2))
    pattern = F.softplus(kp @ p.transpose(2, 3) * scale, beta=beta)
    first, second, rows = 0, 0, []
    for t in range(q.shape[2]):
        first = first + k[:, :, t, :, None] * pattern[:, :, t, None]
        second = second + pattern[:, :, t, :, None] * v[:, :, t, None]
        a = torch.einsum("bhd,bhdl->bhl", q[:, :, t] * scale, first) / (t + 1)
        rows.append(torch.einsum("bhl,bhle->bhe", a.softmax(-1), second) / (t + 1))
    return {"out": out, "Y": y, "p_next": F.layer_norm(joined, joined.shape[-1:]), "out_causal": torch.stack(rows, 2)}


@oracle("L14", kind="second-form", source="torch.special.ndtri, row by row")
def spark(case):
    q, k, v = tensors(case, "Q", "K", "V")
    r, top = case.params["r"], case.params["top"]
    k, v = repeat(k, q), repeat(v, q)
    rows, keep = [], torch.zeros(*q.shape[:3], k.shape[2], dtype=torch.bool)
    for row in range(q.shape[2]):
        count = k.shape[2] - q.shape[2] + row + 1
        x = (k[:, :, :count, :r] @ q[:, :, row, :r, None])[..., 0]
        gate = F.softplus((k[:, :, :count, r:] @ q[:, :, row, r:, None])[..., 0])
        if count > top:
            level = torch.special.ndtri(torch.tensor(1 - top / count).double())
            keep[:, :, row, :count] = x >= x.mean(-1, keepdim=True) + level * x.std(-1, correction=0, keepdim=True)
        else:
            keep[:, :, row, :count] = True
        weight = x.masked_fill(~keep[:, :, row, :count], -float("inf")).softmax(-1) * gate
        rows.append((weight[..., None] * v[:, :, :count]).sum(2))
    return {"out": torch.stack(rows, 2), "keep": keep}


def e4m3(x):
    return x.to(torch.float8_e4m3fn).double()


def tiled(x, v, tile, round_p, offset):
    """Each row's running maximum by cummax over tiles; p against the maximum of its own tile, rescaled to the last one."""
    parts = x.split(tile, -1)
    tops = torch.stack([y.max(-1).values for y in parts]).cummax(0).values
    out, total = 0, 0
    for y, top, z in zip(parts, tops, v.split(tile, 2)):
        p = torch.exp2(y - top[..., None].nan_to_num(neginf=0.0) + offset)
        back = torch.exp2(top - tops[-1]).nan_to_num()[..., None]
        out, total = out + round_p(p) @ z * back, total + p.sum(-1, keepdim=True) * back
    return out / total


def smooth(case):
    q, k, v = tensors(case, "Q", "K", "V")
    k, v = repeat(k, q), repeat(v, q)
    i, j = torch.arange(k.shape[2] - q.shape[2], k.shape[2])[:, None], torch.arange(k.shape[2])
    return q, k - k.mean(2, keepdim=True), v, (i < j), q.shape[-1] ** -0.5 / float(np.log(2))


@oracle("B2", kind="second-form", source="torch.float8_e4m3fn casts, rounding half away from zero by floor")
def sage2(case):
    q, k, v, later, scale = smooth(case)
    slab, block, outputs = case.params["slab_q"], case.params["block_q"], {}

    def codes(x, key, top):
        row = torch.arange(x.shape[2])
        group = row // slab * 8 + (row % slab % 8 // 2 if key else row % 8)
        size = torch.zeros(*x.shape[:2], int(group.max()) + 1).double()
        size = size.index_reduce(2, group, x.abs().amax(-1), "amax")[:, :, group, None] / top + 1e-7
        return (x / size).sign() * ((x / size).abs() + 0.5).floor() * size

    v_mean = v.mean(2, keepdim=True)
    dv = (v - v_mean).abs().amax(2, keepdim=True) / 448
    v8 = e4m3((v - v_mean) / dv) * dv
    for suffix, top in (("", 127), ("_int4", 7)):
        mean = torch.cat([y.mean(2, keepdim=True).expand_as(y) for y in q.split(block, 2)], 2) if suffix else q * 0
        x = codes(q - mean, False, top) @ codes(k, True, top).transpose(2, 3) + mean @ k.transpose(2, 3)
        x = (x * scale).masked_fill(later, -float("inf"))
        outputs["out" + suffix] = tiled(x, v8, case.params["tile"], e4m3, float(np.log2(448))) + v_mean
    return outputs


def nvfp4(x, axis):
    x = x.transpose(axis, -1)
    parts = []
    for y in x.split(16, -1):
        size = e4m3(y.abs().amax(-1, keepdim=True) / 6)
        ratio = (y / size).nan_to_num(posinf=0.0, neginf=0.0).clamp(-6, 6).float().numpy()
        parts.append(torch.from_numpy(ratio.astype(ml_dtypes.float4_e2m1fn).astype(np.float64)) * size)
    return torch.cat(parts, -1).transpose(axis, -1)


@oracle("B3", kind="second-form", source="torch.float8_e4m3fn and ml_dtypes float4_e2m1fn casts")
def sage3(case):
    q, k, v, later, scale = smooth(case)
    mean = torch.cat([y.mean(2, keepdim=True).expand_as(y) for y in q.split(case.params["block_q"], 2)], 2)
    x = nvfp4(q - mean, -1) @ nvfp4(k, -1).transpose(2, 3) + mean @ k.transpose(2, 3)
    x = (x * scale).masked_fill(later, -float("inf"))
    return {"out": tiled(x, nvfp4(v, 2), case.params["tile"], lambda p: nvfp4(p, -1), float(np.log2(448 * 6)))}
