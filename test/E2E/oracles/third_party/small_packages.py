# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Packages that serve one or two rows each: mlstm_kernels, aft-pytorch, mambapy, torchscale, lightning-attn, SciPy."""
import types

import numpy as np
import torch
import torch.nn.functional as F

from ..core import oracle
from .adapt import Given, double_precision, flat_heads, load_file, split_heads, tensors


@oracle("I9", kind="third-party", source="mlstm_kernels 2.0.6 torch/recurrent/native_step.py")
def mlstm(case):
    step = load_file("mlstm_kernels", "torch/recurrent/native_step.py").mlstm_recurrent_step__native_fw
    q, k, v, i, f, gate, weight = tensors(case, "Q", "K", "V", "I", "F", "OGate", "NormWeight")
    b, h, t, d = q.shape
    with double_precision():
        state, outs = (q.new_zeros(b, h, d, v.shape[-1]), q.new_zeros(b, h, d), q.new_zeros(b, h, 1)), []
        for n in range(t):
            out, state = step(*state, q[:, :, n], k[:, :, n], v[:, :, n], i[:, :, n, None], f[:, :, n, None], eps=1e-6,
                              dtype_state=torch.float64)
            outs.append(out)
        raw = torch.stack(outs, 2)
        normed = F.layer_norm(raw, raw.shape[-1:], eps=1e-6) * weight[:, None]
        return {"raw": raw, "C": state[0], "N": state[1], "M": state[2][..., 0], "out": normed * torch.sigmoid(gate)}


def aft(layer_type, case, **more):
    q, k, v = tensors(case, "Q", "K", "V")
    layer = layer_type(max_seqlen=q.shape[1], dim=q.shape[2], hidden_dim=q.shape[2], **more)
    layer.to_q, layer.to_k, layer.to_v, layer.project = Given(q), Given(k), Given(v), torch.nn.Identity()
    return layer, torch.zeros_like(q)


@oracle("I14", kind="third-party", source="aft-pytorch 0.2.2 AFTFull, AFTLocal")
def aft_full(case):
    """The package has no causal form; a weight of -1e4 for j > t makes one out of AFTFull."""
    from aft_pytorch.aft_pytorch import AFTFull, AFTLocal
    w, outputs = tensors(case, "W"), {}
    later = torch.ones_like(w).triu(1).bool()
    with double_precision():
        for name, bias in (("out_global", w), ("out", w.masked_fill(later, -1e4))):
            layer, x = aft(AFTFull, case)
            layer.wbias = torch.nn.Parameter(bias)
            outputs[name] = layer(x)
        layer, x = aft(AFTLocal, case, s=case.params["local"])
        layer.wbias = torch.nn.Parameter(w)
        layer(x)  # zeroes the far weights in place
        local = layer.wbias.masked_fill(later, -1e4)
        layer, x = aft(AFTFull, case)
        layer.wbias = torch.nn.Parameter(local)
        outputs["out_local"] = layer(x)
    return outputs


@oracle("I15", kind="third-party", source="aft-pytorch 0.2.2 AFTSimple (not causal)")
def aft_simple(case):
    from aft_pytorch.aft_pytorch import AFTSimple
    with double_precision():
        layer, x = aft(AFTSimple, case)
        return {"out_global": layer(x)}


@oracle("I6", kind="third-party", source="mambapy 1.2.0 MambaBlock.selective_scan_seq")
def mambapy_scan(case):
    block = load_file("mambapy", "mamba.py").MambaBlock
    x, z, weight, bias, low, proj, dt_bias, b, c, a_log, d = tensors(
        case, "X", "Z", "ConvWeight", "ConvBias", "DtLow", "DtProj", "DtBias", "B", "C", "ALog", "D")
    channels, n = a_log.shape
    x = F.conv1d(F.pad(x.transpose(1, 2), (3, 0)), weight[:, None], bias, groups=channels).transpose(1, 2)
    this = types.SimpleNamespace(config=types.SimpleNamespace(d_inner=channels, d_state=n))
    with double_precision():
        y = block.selective_scan_seq(this, F.silu(x), F.softplus(low @ proj.T + dt_bias), -a_log.exp(), b, c, d)
        return {"out": y * F.silu(z)}


@oracle("I1", kind="third-party", source="torchscale 0.3.0 MultiScaleRetention, parallel form (equal after its norm)",
        sizes=("tiny", "gqa"), bound=1e-2)
def torchscale_retention(case):
    """Equal only after the group norm, and but for its eps, which meets rows of another scale: hence the bound."""
    from torchscale.component.multiscale_retention import MultiScaleRetention
    q, k, v, log_gamma, gate = tensors(case, "Q", "K", "V", "LogGamma", "Gate")
    b, h, t, d = q.shape
    half = torch.arange(d // 2)
    interleave = torch.stack([half, half + d // 2], 1).flatten()  # halves -> neighbouring pairs
    with double_precision():
        args = types.SimpleNamespace(multiway=False, layernorm_eps=1e-12)
        layer = MultiScaleRetention(args, h * d, h * d, h)
        layer.q_proj, layer.k_proj = (Given(flat_heads(x[..., interleave]).clone()) for x in (q, k))
        layer.v_proj, layer.g_proj, layer.out_proj = Given(flat_heads(v)), Given(flat_heads(gate)), torch.nn.Identity()
        angle = torch.arange(t)[:, None] * (10000.0 ** (-half / (d // 2))).repeat_interleave(2)
        gap = torch.arange(t)[:, None] - torch.arange(t)
        mask = (log_gamma[:, None, None] * gap).exp() * (gap >= 0)
        out = layer(torch.zeros(b, t, h * d), ((angle.sin(), angle.cos()), mask))
        return {"out": split_heads(out, h)}


@oracle("I3", kind="third-party", source="lightning-attn 0.0.5 ops/torch/linear_attention.py")
def lightning(case):
    module = load_file("lightning_attn", "ops/torch/linear_attention.py")
    q, k, v, slope = tensors(case, "Q", "K", "V", "Slope")
    with double_precision():
        return {"out": module.linear_attn(q, k, v, slope)}


@oracle("I5", kind="third-party", source="SciPy 1.17 signal.cont2discrete, dlsim")
def s4d(case):
    from scipy import signal
    u, a_re, a_im, c_re, c_im, dt, skip = (np.float64(case.inputs[x]) for x in ("U", "ARe", "AIm", "CRe", "CIm", "Dt", "D"))
    out = np.zeros(u.shape)
    for c in range(u.shape[2]):
        # A complex mode -r + i w as a real 2 x 2 block: 2 Re(c x) = 2 c_re Re x - 2 c_im Im x.
        n = a_re.shape[1]
        a = np.zeros((2 * n, 2 * n))
        for m in range(n):
            a[2 * m:2 * m + 2, 2 * m:2 * m + 2] = [[-a_re[c, m], -a_im[c, m]], [a_im[c, m], -a_re[c, m]]]
        b = np.tile([1.0, 0.0], n)[:, None]
        read = np.stack([2 * c_re[c], -2 * c_im[c]], 1).reshape(1, -1)
        ad, bd, cd, dd, _ = signal.cont2discrete((a, b, read, np.array([[skip[c]]])), dt[c], method="zoh")
        for batch in range(u.shape[0]):
            # dlsim reads the state before the update; S4 after it: feed through C A and C B + D.
            _, y, _ = signal.dlsim((ad, bd, cd @ ad, dd + cd @ bd, 1.0), u[batch, :, c])
            out[batch, :, c] = y[:, 0]
    return {"out": out}


@oracle("K3", kind="third-party", source="mambapy 1.2.0 pscan (parallel scan) on Longhorn's decay and input")
def longhorn(case):
    pscan = load_file("mambapy", "pscan.py").pscan
    x, e, z, q, k, weight, bias, d = tensors(case, "X", "E", "Z", "Q", "K", "ConvWeight", "ConvBias", "D")
    x = F.silu(F.conv1d(F.pad(x.transpose(1, 2), (3, 0)), weight[:, None], bias, groups=x.shape[2]).transpose(1, 2))
    eps = torch.sigmoid(e)
    delta = (eps / (1 + eps * k.square().sum(-1, keepdim=True)))[..., None]
    states = pscan(1 - delta * k[:, :, None].square(), delta * k[:, :, None] * x[..., None])
    y = torch.einsum("btcn,btn->btc", states, q) + d * x
    return {"out": y * F.silu(z), "S": states[:, -1].transpose(1, 2)}
