# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""flash-linear-attention's naive PyTorch references. Layouts differ per file: some are [b,h,t,d], some [b,t,h,d]."""
import torch
import torch.nn.functional as F

from ..core import oracle
from .adapt import by_time, double_precision, load_file, load_functions, tensors

SOURCE = "flash-linear-attention 0.6.0 fla.ops."


def shift(x, mix):
    """Token shift over axis 2 by padding, as RWKV's nn.ZeroPad2d((0, 0, 1, -1)) does."""
    return torch.lerp(x, F.pad(x, (0, 0, 1, -1)), mix)


def conv_silu(x, weight):
    """Depthwise causal convolution of [b,h,t,d] with weight [h,d,width], then silu."""
    b, h, t, d = x.shape
    y = F.conv1d(F.pad(x.transpose(2, 3).reshape(b, h * d, t), (weight.shape[-1] - 1, 0)),
                 weight.reshape(h * d, 1, -1), groups=h * d)
    return F.silu(y).reshape(b, h, d, t).transpose(2, 3)


def rotate(x):
    """RoPE of halves by complex multiplication."""
    t, half = x.shape[2], x.shape[3] // 2
    angle = torch.arange(t, dtype=x.dtype)[:, None] * 10000.0 ** (-torch.arange(half, dtype=x.dtype) / half)
    y = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([y.real, y.imag], -1)


@oracle("I1", kind="third-party", source=SOURCE + "retention.naive")
def retention(case):
    q, k, v, gate = tensors(case, "Q", "K", "V", "Gate")
    with double_precision():
        raw = load_file("fla", "ops/retention/naive.py").naive_retention(rotate(q), rotate(k), v)
        return {"raw": raw, "out": F.rms_norm(raw, raw.shape[-1:], eps=1e-5) * F.silu(gate)}


def rwkv(case, log_decay, mix_axis):
    q, k, v, u, gate, weight, bias = tensors(case, "Q", "K", "V", "U", "Gate", "NormWeight", "NormBias")
    mixes = [m[None, :, None] if mix_axis else m for m in tensors(case, "MixR", "MixK", "MixV")]
    q, k, v = (shift(x, m) for x, m in zip((q, k, v), mixes))
    naive = load_file("fla", "ops/rwkv6/recurrent_naive.py").naive_recurrent_rwkv6
    with double_precision():
        raw, state = naive(q, k, v, log_decay, u, scale=1.0, output_final_state=True)
        b, h, t, e = raw.shape
        flat = raw.transpose(1, 2).reshape(b * t, h * e)
        normed = F.group_norm(flat, h, weight.flatten(), bias.flatten(), eps=1e-5).reshape(b, t, h, e).transpose(1, 2)
        return {"raw": raw, "S": state, "out": normed * F.silu(gate)}


@oracle("I2", kind="third-party", source=SOURCE + "rwkv6.recurrent_naive with a constant decay")
def rwkv5(case):
    w, k = tensors(case, "W", "K")
    return rwkv(case, (-w.exp())[None, :, None].expand_as(k), True)


@oracle("I13", kind="third-party", source=SOURCE + "rwkv6.recurrent_naive")
def rwkv6(case):
    return rwkv(case, -tensors(case, "W").exp(), False)


def simple_gla(q, k, v, g, scale):
    """[b,h,t,.] in and out; the chunked form, which shares no step with a plain recurrence."""
    module = load_file("fla", "ops/simple_gla/naive.py")
    with double_precision():
        o, state = module.naive_chunk_simple_gla(*by_time(q, k, v, g), chunk_size=16, scale=scale, output_final_state=True)
        return o.transpose(1, 2), state


@oracle("I3", kind="third-party", source=SOURCE + "simple_gla.naive (chunk)")
def lightning(case):
    q, k, v, slope = tensors(case, "Q", "K", "V", "Slope")
    o, state = simple_gla(q, k, v, (-slope)[None, :, None].expand(q.shape[:3]), 1.0)
    return {"out": o, "S": state}


@oracle("L8", kind="third-party", source=SOURCE + "simple_gla.naive (chunk)")
def gated_retention(case):
    q, k, v, g = tensors(case, "Q", "RetK", "RetV", "G")
    o, state = simple_gla(q, k, v, F.logsigmoid(g) / 16, None)
    return {"out": o, "S": state}


@oracle("I8", kind="third-party", source=SOURCE + "gla.naive")
def gla(case):
    q, k, v, g, gate, weight = tensors(case, "Q", "K", "V", "G", "Gate", "NormWeight")
    with double_precision():
        o, state = load_file("fla", "ops/gla/naive.py").naive_recurrent_gla(*by_time(q, k, v, g), output_final_state=True)
        raw = o.transpose(1, 2)
        return {"raw": raw, "S": state, "out": F.rms_norm(raw, raw.shape[-1:], weight, 1e-5) * F.silu(gate)}


@oracle("I11", kind="third-party", source=SOURCE + "hgrn.naive (recurrent)")
def hgrn(case):
    i, f, bound, gate, weight = tensors(case, "I", "F", "LowerBound", "Gate", "NormWeight")
    keep = torch.lerp(torch.sigmoid(f), torch.ones_like(f), bound)
    with double_precision():
        raw, state = load_file("fla", "ops/hgrn/naive.py").naive_recurrent_hgrn(F.silu(i) * (1 - keep), keep.log(),
                                                                              output_final_state=True)
        return {"raw": raw, "S": state, "out": F.rms_norm(raw, raw.shape[-1:], weight, 1e-5) * F.silu(gate)}


@oracle("I12", kind="third-party", source=SOURCE + "gla.naive, as fla.layers.hgrn2 calls it")
def hgrn2(case):
    q, f, v, bound = tensors(case, "Q", "F", "V", "LowerBound")
    keep = bound[:, None] + (1 - bound[:, None]) * torch.sigmoid(f)
    with double_precision():
        o, state = load_file("fla", "ops/gla/naive.py").naive_recurrent_gla(
            *by_time(F.silu(q), 1 - keep, v, keep.log()), output_final_state=True)
        return {"raw": o.transpose(1, 2), "S": state}


@oracle("J1", kind="third-party", source=SOURCE + "abc.naive (recurrent, log-cumulative-sum form)")
def abc(case):
    q, k, v, s = tensors(case, "Q", "K", "V", "SlotLogits")
    with double_precision():
        out, (slot_k, slot_v) = load_file("fla", "ops/abc/naive.py").naive_recurrent_abc(
            q, k, v, s.clamp(-32, 32), output_final_state=True)
        return {"out": out, "SK": slot_k.transpose(2, 3), "SV": slot_v}


@oracle("J2", kind="third-party", source=SOURCE + "gsa.naive")
def gsa(case):
    q, k, v, f, weight = tensors(case, "Q", "K", "V", "F", "NormWeight")
    g = F.logsigmoid(f) / 8
    with double_precision():
        raw, (slot_k, slot_v) = load_file("fla", "ops/gsa/naive.py").naive_recurrent_gsa(
            *by_time(q, k, F.silu(v), 1 - g.exp(), g), output_final_state=True)
        raw = raw.transpose(1, 2)
        return {"raw": raw, "SK": slot_k.transpose(2, 3), "SV": slot_v,
                "out": F.rms_norm(raw, raw.shape[-1:], weight, 1e-5)}


@oracle("K1", kind="third-party", source=SOURCE + "delta_rule.naive (recurrence) on the paper's feature map")
def fwp(case):
    q, k, v, beta = tensors(case, "Q", "K", "V", "Beta")

    def features(x):
        x2 = torch.cat([F.relu(x), F.relu(-x)], -1)
        y = torch.cat([x2 * x2.roll(j, -1) for j in (1, 2)], -1)
        return y / y.sum(-1, keepdim=True)

    with double_precision():
        q, k = features(q), features(k)
        o, state = load_file("fla", "ops/delta_rule/naive.py").delta_rule_recurrence(
            q * q.shape[-1] ** 0.5, k, v, torch.sigmoid(beta))
        return {"out": o, "S": state}


@oracle("K2", kind="third-party", source=SOURCE + "delta_rule.naive (chunkwise, WY form)")
def deltanet(case):
    q, k, v, beta, weight = tensors(case, "Q", "K", "V", "Beta", "NormWeight")
    t = q.shape[2]
    q, k = (x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() for x in (F.silu(q), F.silu(k)))
    pad = -t % 16
    q, k, v = (F.pad(x, (0, 0, 0, pad)) for x in (q, k, v))
    with double_precision():
        o, state = load_file("fla", "ops/delta_rule/naive.py").delta_rule_chunkwise(
            q, k, v, F.pad(torch.sigmoid(beta), (0, pad)), chunk_size=16)
        raw = o[:, :, :t]
        return {"raw": raw, "S": state, "out": F.rms_norm(raw, raw.shape[-1:], weight, 1e-5)}


@oracle("K6", kind="third-party", source=SOURCE + "gated_delta_rule.naive (chunk)")
def gated_delta(case):
    q, k, v, conv_q, conv_k, conv_v, a, beta, a_log, bias, gate, weight = tensors(
        case, "Q", "K", "V", "ConvQ", "ConvK", "ConvV", "A", "Beta", "ALog", "DtBias", "Gate", "NormWeight")
    q, k, v = conv_silu(q, conv_q), conv_silu(k, conv_k), conv_silu(v, conv_v)
    q, k = (x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() for x in (q, k))
    g = -a_log.exp()[:, None] * F.softplus(a + bias[:, None])
    with double_precision():
        o, state = load_file("fla", "ops/gated_delta_rule/naive.py").naive_chunk_gated_delta_rule(
            *by_time(q, k, v), g=g.transpose(1, 2), beta=torch.sigmoid(beta).transpose(1, 2), chunk_size=16,
            output_final_state=True)
        raw = o.transpose(1, 2)
        return {"raw": raw, "S": state, "out": F.rms_norm(raw, raw.shape[-1:], weight, 1e-5) * F.silu(gate)}


@oracle("K7", kind="third-party", source=SOURCE + "generalized_delta_rule.dplr.naive (recurrence)")
def rwkv7(case):
    """FLA's form S <- diag(e^gk) S + k v^T + beta (alpha^T S) with alpha = -kk and beta = kk a."""
    names = ("Q", "K", "V", "MixR", "MixK", "MixV", "W", "A", "VFirst", "VMix", "Gate", "Xi", "Alpha", "U", "NormWeight",
             "NormBias")
    r, k, v, mix_r, mix_k, mix_v, w, a, v_first, v_mix, gate, xi, alpha, u, weight, bias = tensors(case, *names)
    r, k, v = shift(r, mix_r[:, None]), shift(k, mix_k[:, None]), shift(v, mix_v[:, None])
    v, a = torch.lerp(v, v_first, v_mix), torch.sigmoid(a)
    kk = F.normalize(k * xi[:, None], dim=-1)
    k = torch.lerp(k, k * a, alpha[:, None])
    decay = -torch.exp(torch.tensor(-0.5, dtype=torch.float64)) * torch.sigmoid(w)
    with double_precision():
        raw, state = load_file("fla", "ops/generalized_delta_rule/dplr/naive.py").dplr_recurrence(
            r * r.shape[-1] ** 0.5, k, v, -kk, kk * a, decay)
        b, h, t, e = raw.shape
        normed = F.group_norm(raw.transpose(1, 2).reshape(b * t, -1), h, weight.flatten(), bias.flatten(), 64e-5)
        normed = normed.reshape(b, t, h, e).transpose(1, 2)
        return {"raw": raw, "S": state, "out": (normed + (r * k * u[:, None]).sum(-1, keepdim=True) * v) * gate}


@oracle("K8", kind="third-party", source=SOURCE + "kda.naive (recurrent)")
def kda(case):
    q, k, v, g, beta, gate, weight = tensors(case, "Q", "K", "V", "G", "Beta", "Gate", "NormWeight")
    q, k = (x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() for x in (q, k))
    with double_precision():
        o, state = load_file("fla", "ops/kda/naive.py").naive_recurrent_kda(
            *by_time(q, k, v, g, torch.sigmoid(beta)), output_final_state=True)
        raw = o.transpose(1, 2)
        return {"raw": raw, "S": state, "out": F.rms_norm(raw, raw.shape[-1:], weight, 1e-5) * torch.sigmoid(gate)}


@oracle("H1", kind="third-party", source=SOURCE + "linear_attn.naive (recurrent, normalised)", bound=1e-5)
def linear_attention(case):
    """The bound is wider because FLA's eps is 1e-10 after a scale, the paper code's 1e-6."""
    q, k, v = tensors(case, "Q", "K", "V")
    return normalized(F.elu(q) + 1, F.elu(k) + 1, v)


def normalized(phi_q, phi_k, v):
    with double_precision():
        o, _ = load_file("fla", "ops/linear_attn/naive.py").naive_recurrent_linear_attn(*by_time(phi_q, phi_k, v),
                                                                                     normalize=True)
        return {"out": o.transpose(1, 2)}


@oracle("H3", kind="third-party", source=SOURCE + "linear_attn.naive, features composed by hand", bound=1e-5)
def rfa(case):
    q, k, v, sigma, omega = tensors(case, "Q", "K", "V", "Sigma", "Omega")

    def features(x):
        u = F.normalize(x, dim=-1) @ (omega * sigma[:, None]).transpose(1, 2)
        return torch.cat([u.sin(), u.cos()], -1) * omega.shape[1] ** -0.5

    return normalized(features(q), features(k), v)


@oracle("H5", kind="third-party", source=SOURCE + "linear_attn.naive, cos(pi (i - j) / 2M) by the features' phases")
def cosformer(case):
    q, k, v = tensors(case, "Q", "K", "V")
    phase = torch.polar(torch.ones(q.shape[2]).double(), torch.arange(q.shape[2]).double() * torch.pi / (2 * q.shape[2]))

    def features(x):
        y = torch.view_as_real(F.relu(x) * phase[:, None])
        return y.flatten(-2)

    return normalized(features(q), features(k), v)


@oracle("H6", kind="third-party", source=SOURCE + "linear_attn.naive, features composed by hand")
def hedgehog(case):
    q, k, v, wq, bq, wk, bk = tensors(case, "Q", "K", "V", "WQ", "BQ", "WK", "BK")

    def features(x, w, b):
        y = x @ w.transpose(1, 2) + b[:, None]
        return torch.cat([F.softmax(y, -1), F.softmin(y, -1)], -1)

    return normalized(features(q, wq, bq), features(k, wk, bk), v)


@oracle("H4", kind="third-party", source=SOURCE + "simple_gla.naive (chunk), features composed by hand")
def rfa_gate(case):
    q, k, v, sigma, omega, g = tensors(case, "Q", "K", "V", "Sigma", "Omega", "G")

    def features(x):
        u = F.normalize(x, dim=-1) @ (omega * sigma[:, None]).transpose(1, 2)
        return torch.cat([u.sin(), u.cos()], -1) * omega.shape[1] ** -0.5

    q, k, g = features(q), features(k), torch.sigmoid(g)
    ones = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    o, state = simple_gla(q, k * (1 - g)[..., None], ones, g.log(), 1.0)
    return {"out": o[..., :-1] / (o[..., -1:] + 1e-6), "S": state[..., :-1], "Z": state[..., -1]}


@oracle("C12", kind="third-party", source=SOURCE + "nsa.naive, the selection branch on the formula's blocks")
def nsa_selection(case):
    """FLA compresses by mean pooling, so only the attention over selected blocks can be compared."""
    q, k, v = tensors(case, "Q", "K", "V")
    keep, top = torch.from_numpy(case.outputs["keep"]), case.params["top_n"]
    index = torch.where(keep, torch.arange(keep.shape[-1]), 10 ** 6).sort(-1).values[..., :top]
    index = torch.where(index == 10 ** 6, -1, index)  # a negative block is masked
    selection, = load_functions("fla", "ops/nsa/naive.py", "naive_nsa_selection")
    with double_precision():
        o = selection(*by_time(q, k, v, index), block_size=case.params["block"])
    return {"o_slc": o.transpose(1, 2)}
