# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Other forms of a formula, written by us on PyTorch's primitives, for rows whose implementation no registry has.

They share nothing with the transcription but the source: inner gradients come from automatic differentiation, state-space
models from a convolution by Fourier transform, selections from pooling operators, a rolling cache is really kept.
"""
import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from ..core import oracle
from .adapt import tensors
from .torch_flex import flex


def layer_norm(z, weight, bias):
    return F.layer_norm(z, z.shape[-1:], weight, bias, 1e-6)


def accumulate(weights, forward, lag, key, target, query, coefficient, batch):
    """Fast weights by autograd. Per mini-batch: g_j = gradient of |..| at the start weights for each token j, then the

    weights of token i are lag(i) * start - sum_j coefficient(i, j) g_j. Returns forward(weights_i, q_i) for all i.
    """
    out, tokens = [], key.shape[0]
    for start in range(0, tokens, batch):
        end = min(start + batch, tokens)
        per_token = vmap(grad(lambda w, x, y: forward.loss(w, x, y)), (None, 0, 0))
        g = per_token(weights, key[start:end], target[start:end])
        for i in range(start, end):
            c = coefficient(i, start, end)
            now = tuple(lag(i, start) * w - torch.einsum("j,j...->...", c, x) for w, x in zip(weights, g))
            out.append(forward(now, query[i]))
        weights = now
    return torch.stack(out), weights


class Memory:
    """f(weights, x), its loss for the inner gradient, and what is read from it."""

    def __init__(self, f, loss, read):
        self.f, self.loss_of, self.read = f, loss, read

    def loss(self, w, x, y):
        return self.loss_of(self.f(w, x), x, y)

    def __call__(self, w, x):
        return self.read(self.f(w, x), x)


@oracle("K4", kind="second-form", source="torch.func.grad of 0.5 |LN(f(k)) - (v - k)|^2")
def ttt(case):
    names = ("Q", "K", "V", "W0", "B0", "W1", "B1", "W2", "B2", "LnWeight", "LnBias", "TokenEta", "Lr")
    q, k, v, w0, b0, w1, b1, w2, b2, ln_w, ln_b, token, lr = tensors(case, *names)
    out, mlp = torch.zeros_like(v), torch.zeros_like(v)
    state = torch.zeros(*v.shape[:2], *w0.shape[1:]).double(), torch.zeros(*v.shape[:2], v.shape[-1]).double()
    for n in range(v.shape[0]):
        for h in range(v.shape[1]):
            def loss(z, x, y, h=h):
                return 0.5 * (layer_norm(z, ln_w[h], ln_b[h]) - (y - x)).square().sum()

            def read(z, x, h=h):
                return x + layer_norm(z, ln_w[h], ln_b[h])

            def coefficient(i, start, end, n=n, h=h):
                c = token[i - start] * lr[n, h, start:end]
                return torch.where(torch.arange(start, end) <= i, c, 0.0)

            rest = (k[n, h], v[n, h], q[n, h], coefficient, case.params["batch"])
            linear = Memory(lambda w, x: x @ w[0] + w[1], loss, read)
            deep = Memory(lambda w, x: F.gelu(x @ w[0] + w[1], approximate="tanh") @ w[2] + w[3], loss, read)
            out[n, h], (state[0][n, h], state[1][n, h]) = accumulate((w0[h], b0[h]), linear, lambda i, s: 1.0, *rest)
            mlp[n, h], _ = accumulate((w1[h], b1[h], w2[h], b2[h]), deep, lambda i, s: 1.0, *rest)
    return {"out": out, "W": state[0], "Bias": state[1], "out_mlp": mlp}


@oracle("K5", kind="second-form", source="torch.func.grad of the loss, momentum token by token")
def titans(case):
    names = ("Q", "K", "V", "M0", "W1", "W2", "LnWeight", "LnBias", "Theta", "Eta", "Alpha")
    q, k, v, m0, w1, w2, ln_w, ln_b, theta, eta, alpha = tensors(case, *names)
    outputs = {name: torch.zeros_like(v) for name in ("out", "out_mlp", "out_ln")}
    outputs["M"] = torch.zeros(*v.shape[:2], *m0.shape[1:]).double()
    batch = case.params["batch"]
    for n in range(v.shape[0]):
        for h in range(v.shape[1]):
            def error(z, x, y):
                return (z - y).square().sum()

            def normed(z, x, y, h=h):
                return 0.5 * (layer_norm(z, ln_w[h], ln_b[h]) - (y - x)).square().sum()

            memories = (
                ("out", (m0[h],), Memory(lambda w, x: x @ w[0], error, lambda z, x: z)),
                ("out_mlp", (w1[h], w2[h]), Memory(lambda w, x: F.gelu(x @ w[0], approximate="tanh") @ w[1], error,
                                                   lambda z, x: z)),
                ("out_ln", (m0[h],), Memory(lambda w, x: x @ w[0], normed,
                                            lambda z, x, h=h: x + layer_norm(z, ln_w[h], ln_b[h]))))
            for name, weights, memory in memories:
                momentum, rows = [torch.zeros_like(w) for w in weights], []
                for t in range(v.shape[2]):
                    if t % batch == 0:
                        at_start = weights
                    g = grad(memory.loss)(at_start, k[n, h, t], v[n, h, t])
                    momentum = [eta[n, h, t] * m - theta[n, h, t] * x for m, x in zip(momentum, g)]
                    weights = tuple((1 - alpha[n, h, t]) * w + m for w, m in zip(weights, momentum))
                    rows.append(memory(weights, q[n, h, t]))
                outputs[name][n, h] = torch.stack(rows)
                if name == "out":
                    outputs["M"][n, h] = weights[0]
    return outputs


@oracle("I4", kind="second-form", source="convolution with C A^t by torch.fft")
def h3(case):
    q, k, v, taps, dk, log_a, theta, c_re, c_im, dkv = tensors(case, "Q", "K", "V", "Shift", "DK", "LogA", "Theta", "CRe",
                                                               "CIm", "DKV")
    b, h, t, d = k.shape
    shifted = F.conv1d(F.pad(k.transpose(2, 3).reshape(b, h * d, t), (taps.shape[-1] - 1, 0)),
                       taps.flip(-1).reshape(h * d, 1, -1), groups=h * d).reshape(b, h, d, t).transpose(2, 3)
    kv = (shifted + dk[:, None] * k)[..., None] * v[..., None, :]
    powers = torch.exp(torch.complex(log_a, theta)[..., None] * torch.arange(t))
    kernel = 2 * (torch.complex(c_re, c_im)[..., None] * powers).sum(1).real
    kernel[:, 0] += dkv
    spectrum = torch.fft.rfft(kernel, n=2 * t)[None, :, :, None, None] * torch.fft.rfft(kv, n=2 * t, dim=2)
    y = torch.fft.irfft(spectrum, n=2 * t, dim=2)[:, :, :t]
    return {"out": torch.einsum("bhtde,bhtd->bhte", y, q)}


def rotate(x, position):
    """RoPE of halves, as transformers' llama does it."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
    half = x.shape[-1] // 2
    angle = torch.as_tensor(position).double()[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
    angle = torch.cat([angle, angle], -1)[None]
    return apply_rotary_pos_emb(x, x, angle.cos(), angle.sin())[0]


@oracle("E2", kind="second-form", source="a cache kept token by token, scaled_dot_product_attention, llama's RoPE")
def streaming_llm(case):
    q, k, v = tensors(case, "Q", "K", "V")
    sink, window = case.params["n_sink"], case.params["window"]
    offset, rows = k.shape[2] - q.shape[2], []
    for t in range(k.shape[2]):
        cache = torch.arange(t + 1)
        if t + 1 > sink + window:
            cache = torch.cat([cache[:sink], cache[-window:]])
        if t >= offset:
            slots = torch.arange(len(cache))
            rows.append(F.scaled_dot_product_attention(
                rotate(q[:, :, t - offset:t - offset + 1], slots[-1:]), rotate(k[:, :, cache], slots), v[:, :, cache],
                enable_gqa=True))
    return {"out": torch.cat(rows, 2)}


@oracle("D18", kind="second-form", source="flex_attention with the far scores from a captured tensor, llama's RoPE")
def rerope(case):
    q, k, v = tensors(case, "Q", "K", "V")
    p, (n, m) = case.params, (k.shape[2], q.shape[2])
    i, j = torch.arange(n - m, n), torch.arange(n)
    q = q * torch.clamp((i + 1).double().log() / torch.tensor(float(p["train"])).double().log(), min=1)[:, None]
    group, s = q.shape[1] // k.shape[1], q.shape[-1] ** -0.5
    outputs = {}
    for suffix, (qi, kj) in (("", (torch.full((m,), p["window"]), torch.zeros(n))),
                             ("_leaky", (p["window"] + (i - p["window"]) / p["leak"], j / p["leak"]))):
        far = rotate(q, qi) @ rotate(k, kj).repeat_interleave(group, 1).transpose(2, 3) * s

        def modify(x, b, h, row, column, far=far):
            return torch.where(row - column < p["window"], x, far[b, h, row - (n - m), column])

        out, lse = flex(rotate(q, i), rotate(k, j), v, lambda b, h, i, j: i >= j, modify=modify)
        outputs.update({"out" + suffix: out, "lse" + suffix: lse})
    return outputs


@oracle("C2", kind="second-form", source="each pooled key repeated `level` times, without the bias ln(level)")
def psa(case):
    """ln L in the logits is L equal keys: attention over the pyramid, spread out again, on the formula's levels."""
    q, k, v = tensors(case, "Q", "K", "V")
    block, group, outputs = case.params["block"], q.shape[1] // k.shape[1], {}
    for suffix in ("", "_energy"):
        levels = torch.from_numpy(case.outputs["levels" + suffix])
        out = torch.zeros(*q.shape[:3], v.shape[-1]).double()
        for b, h, a in torch.cartesian_prod(*(torch.arange(n) for n in levels.shape[:3])).tolist():
            keys, values = [], []
            for c, level in enumerate(levels[b, h, a].tolist()):
                rows = slice(c * block, (c + 1) * block)
                for x, into in ((k, keys), (v, values)):
                    if level:
                        into.append(F.avg_pool1d(x[b, h // group, rows].T, level).repeat_interleave(level, 1).T)
            rows = slice(a * block, (a + 1) * block)
            out[b, h, rows] = F.scaled_dot_product_attention(q[None, b, h, rows], torch.cat(keys)[None],
                                                             torch.cat(values)[None])[0]
        outputs["out" + suffix] = out
    return outputs


@oracle("C8", kind="second-form", source="antidiagonal sums of the full QK^T, tile by tile, and a loop over sorted blocks")
def xattention(case):
    q, k, v = tensors(case, "Q", "K", "V")
    stride, block, tau = (case.params[x] for x in ("stride", "block", "tau"))
    n, group = q.shape[2], q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(group, 1).transpose(2, 3)
    tiles = scores.unfold(2, stride, stride).unfold(3, stride, stride)  # [b,h,n/S,n/S,row,column]
    x = tiles.flip(-2).diagonal(dim1=-2, dim2=-1).sum(-1) / (q.shape[-1] ** 0.5 * stride)
    p = x.masked_fill(torch.ones(x.shape[-2:]).triu(1).bool(), -float("inf")).softmax(-1)
    steps = block // stride
    count = -(-n // block)
    p = F.pad(p, (0, count * steps - p.shape[-1], 0, count * steps - p.shape[-1]))
    score = F.avg_pool2d(p, steps) * steps ** 2
    keep = torch.zeros(score.shape, dtype=torch.bool)
    for b, h, a in torch.cartesian_prod(*(torch.arange(m) for m in score.shape[:3])).tolist():
        row, got = score[b, h, a], 0.0
        chosen = {0, a}
        got = sum(row[c].item() for c in chosen)
        for c in row.argsort(descending=True).tolist():
            if c not in chosen and got < tau * row.sum().item() and row[c] > 0:
                chosen.add(c)
                got += row[c].item()
        keep[b, h, a, list(chosen)] = True
    out, lse = flex(q, k, v, lambda b, h, i, j: (i >= j) & keep[b, h, i // block, j // block])
    return {"keep": keep, "out": out, "lse": lse}


@oracle("C11", kind="second-form", source="MoBA's efficient form: attention per key block, merged by lse")
def moba(case):
    q, k, v = tensors(case, "Q", "K", "V")
    block, top, n = case.params["block"], case.params["top_k"], q.shape[2]
    group = q.shape[1] // k.shape[1]
    means = torch.stack([x.mean(2) for x in k.split(block, 2)], 2).repeat_interleave(group, 1)
    gate = q @ means.transpose(2, 3)
    own, number = torch.arange(n)[:, None] // block, torch.arange(gate.shape[-1])
    gate = gate.masked_fill(number > own, -float("inf")).masked_fill(number == own, float("inf"))
    index = gate.topk(min(top, gate.shape[-1]), -1).indices
    keep = torch.zeros_like(gate, dtype=torch.bool).scatter(-1, index, True) & (number <= own)
    parts = []
    for c in number.tolist():
        routed = keep[..., c]
        parts.append(flex(q, k, v, lambda b, h, i, j: (j // block == c) & routed[b, h, i] & (i >= j)))
    norms = torch.stack([lse for _, lse in parts])
    out = sum(w[..., None] * o.nan_to_num() for w, (o, _) in zip(norms.softmax(0), parts))
    return {"keep": keep, "out": out, "lse": norms.logsumexp(0)}


@oracle("C13", kind="second-form", source="avg_pool1d and max_pool1d with padding, topk")
def infllm(case):
    q, k, v = tensors(case, "Q", "K", "V")
    block, stride, kernel, window, top = (case.params[x] for x in ("block", "stride", "kernel", "window", "top_k"))
    b, h, n, d = q.shape
    g, group = k.shape[1], q.shape[1] // k.shape[1]

    def logits(width, step):
        pooled = F.avg_pool1d(k.flatten(0, 1).transpose(1, 2), width, step).transpose(1, 2).unflatten(0, (b, g))
        x = q @ pooled.repeat_interleave(h // g, 1).transpose(2, 3) * d ** -0.5
        last = torch.arange(x.shape[-1]) * step + width - 1
        return x.masked_fill(last > torch.arange(n)[:, None], -float("inf"))

    fine, coarse = logits(kernel, stride), logits(4 * kernel, 4 * stride)
    p = (fine - coarse.logsumexp(-1, keepdim=True)).exp()
    p = torch.where(coarse.isfinite().any(-1, keepdim=True), p, 0.0).unflatten(1, (g, h // g)).sum(2)
    count = -(-n // block)
    p = F.pad(p, (0, max(0, 4 * count - p.shape[-1])))  # kernels that do not exist yet score 0
    score = F.max_pool1d(p.flatten(0, 2)[:, None], 5, 4, padding=1)[:, 0, :count].reshape(b, g, n, count)
    own, number = torch.arange(n)[:, None] // block, torch.arange(count)
    forced = (number == 0) | (number <= own) & (own - number <= window // block)
    score = score.masked_fill(forced, float("inf")).masked_fill(number > own, -float("inf"))
    order = score.argsort(dim=-1, descending=True, stable=True)[..., :top]
    keep = torch.zeros_like(score, dtype=torch.bool).scatter(-1, order, True) & (number <= own)
    out, lse = flex(q, k, v, lambda b, h, i, j: (i >= j) & keep[b, h // group, i, j // block])
    return {"keep": keep, "out": out, "lse": lse}
