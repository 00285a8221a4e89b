# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State-space and recurrent pieces of Hugging Face transformers: their PyTorch paths, as the models call them."""
import torch
import torch.nn.functional as F
from torch import nn

from ..core import oracle
from .adapt import by_time, double_precision, load_functions, tensors
from .fla_naive import conv_silu, shift

SOURCE = "transformers 5.23 "


def selective(case, library, norms):
    """The scan of a Mamba model file on the projected and normed inputs."""
    x, z, weight, bias, low, proj, dt_bias, b, c, a_log, d = tensors(
        case, "X", "Z", "ConvWeight", "ConvBias", "DtLow", "DtProj", "DtBias", "B", "C", "ALog", "D")
    with double_precision():
        low, b, c = (norm(y) for norm, y in zip(norms, (low, b, c)))
        x = library.causal_conv1d_fn(x.transpose(1, 2), weight, bias, activation="silu")
        y, state = library.mamba_selective_scan(
            x, proj @ low.transpose(1, 2), -a_log.exp(), b.transpose(1, 2), c.transpose(1, 2), D=d, z=z.transpose(1, 2),
            delta_bias=dt_bias, delta_softplus=True, return_last_state=True)
        return {"out": y.transpose(1, 2), "S": state}


@oracle("I6", kind="third-party", source=SOURCE + "mamba mamba_selective_scan")
def mamba(case):
    from transformers.models.mamba import modeling_mamba as library
    return selective(case, library, [nn.Identity()] * 3)


@oracle("L6", kind="third-party", source=SOURCE + "jamba mamba_selective_scan, JambaRMSNorm")
def jamba(case):
    from transformers.models.jamba import modeling_jamba as library
    norms = []
    for weight in tensors(case, "DtNorm", "BNorm", "CNorm"):
        norm = library.JambaRMSNorm(weight.numel(), eps=1e-6)
        norm.weight = nn.Parameter(weight)
        norms.append(norm)
    return selective(case, library, norms)


@oracle("L11", kind="third-party", source=SOURCE + "falcon_mamba mamba_selective_scan, FalconMambaWeightlessRMSNorm")
def falcon_mamba(case):
    from transformers.models.falcon_mamba import modeling_falcon_mamba as library
    return selective(case, library, [library.FalconMambaWeightlessRMSNorm(1, eps=1e-6)] * 3)


def chunk_scan(case):
    from transformers.models.mamba2 import modeling_mamba2 as library
    x, z, b, c, dt, dt_bias, a_log, d, weight = tensors(case, "X", "Z", "B", "C", "Dt", "DtBias", "ALog", "D", "NormWeight")
    conv = {}
    for name, y in (("X", x), ("B", b), ("C", c)):
        w, bias = tensors(case, "Conv" + name, f"Conv{name}Bias")
        n, h, t, size = y.shape
        y = library.causal_conv1d_fn(y.transpose(2, 3).reshape(n, h * size, t), w.flatten(0, 1), bias.flatten(),
                                     activation="silu")
        conv[name] = y.reshape(n, h, size, t).permute(0, 3, 1, 2)
    with double_precision():
        y, state = library.mamba2_chunk_scan(
            conv["X"], dt.transpose(1, 2), -a_log.exp(), conv["B"], conv["C"], chunk_size=16, D=d, dt_bias=dt_bias,
            dt_softplus=True, return_final_states=True)
        norm = library.MambaRMSNormGated(weight.numel(), weight.numel(), eps=1e-5)
        norm.weight = nn.Parameter(weight.flatten())
        out = norm(y.flatten(2), z.transpose(1, 2).flatten(2))
        h = x.shape[1]
        return {"raw": y.transpose(1, 2), "S": state.transpose(2, 3), "out": out.unflatten(2, (h, -1)).transpose(1, 2)}


@oracle("I7", kind="third-party", source=SOURCE + "mamba2 mamba2_chunk_scan, MambaRMSNormGated")
def mamba2(case):
    return chunk_scan(case)


@oracle("L12", kind="third-party", source=SOURCE + "mamba2 mamba2_chunk_scan, MambaRMSNormGated")
def codestral_mamba(case):
    return chunk_scan(case)


@oracle("I16", kind="third-party", source=SOURCE + "rwkv rwkv_linear_attention_cpu")
def rwkv4(case):
    from transformers.models.rwkv.modeling_rwkv import rwkv_linear_attention_cpu
    r, k, v, mix_r, mix_k, mix_v, w, u = tensors(case, "R", "K", "V", "MixR", "MixK", "MixV", "W", "U")
    r, k, v = (shift(x[:, None], m)[:, 0] for x, m in ((r, mix_r), (k, mix_k), (v, mix_v)))
    with double_precision():
        raw, (alpha, beta, eps) = rwkv_linear_attention_cpu(w, u, k, v, return_state=True)
        return {"raw": raw, "out": torch.sigmoid(r) * raw, "Alpha": alpha, "Beta": beta, "Eps": eps}


@oracle("K6", kind="third-party", source=SOURCE + "qwen3_next torch_recurrent_gated_delta_rule, Qwen3NextRMSNormGated")
def gated_delta(case):
    from transformers.models.qwen3_next import modeling_qwen3_next as library
    q, k, v, conv_q, conv_k, conv_v, a, beta, a_log, bias, gate, weight = tensors(
        case, "Q", "K", "V", "ConvQ", "ConvK", "ConvV", "A", "Beta", "ALog", "DtBias", "Gate", "NormWeight")
    q, k, v = by_time(conv_silu(q, conv_q), conv_silu(k, conv_k), conv_silu(v, conv_v))
    g = -a_log.exp() * F.softplus(a.transpose(1, 2) + bias)
    # The module's own name for it is a wrapper that takes a Triton kernel where one is installed.
    recurrence, _ = load_functions("transformers", "models/qwen3_next/modeling_qwen3_next.py",
                                   "torch_recurrent_gated_delta_rule", "l2norm")
    with double_precision():
        raw, state = recurrence(
            q, k, v, g, torch.sigmoid(beta).transpose(1, 2), output_final_state=True, use_qk_l2norm_in_kernel=True)
        norm = library.Qwen3NextRMSNormGated(weight.numel(), eps=1e-5)
        norm.weight = nn.Parameter(weight)
        return {"raw": raw.transpose(1, 2), "S": state, "out": norm(raw, gate.transpose(1, 2)).transpose(1, 2)}
