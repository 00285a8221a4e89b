# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels of the package flash-linear-attention against formulas of our own in double precision: forwards and
gradients. Each case returns {output: (got, wanted)}; the gradients wanted are PyTorch's, of the formula."""
import importlib

import torch
import torch.nn.functional as F

# Names of cases whose kernels load what nothing has written, such as the upper triangle of a matrix that the kernel
# before leaves out, and mask it.
READS_UNWRITTEN = "(chunk_gla|chunk_kda) "

BATCH, HEADS = 1, 2
# Tensors are [batch, time, head, size]. Lengths: whole chunks, and a ragged end.
LENGTHS = (64, 100)


def recurrence(q, k, v, g=None, beta=None):
    """S_t = decay(S_{t-1}) + k_t (beta_t (v_t - k_t decay(S_{t-1})) or v_t); o_t = q_t S_t / sqrt(size). `g` is the
    logarithm of the decay, of a head or of each row of S; with `beta` it is the delta rule."""
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    outputs = []
    for t in range(q.shape[1]):
        if g is not None:
            decay = g[:, t].exp()
            state = state * (decay[..., None, None] if g.dim() == 3 else decay[..., None])
        write = v[:, t]
        if beta is not None:
            write = beta[:, t, :, None] * (write - torch.einsum("bhk,bhkv->bhv", k[:, t], state))
        state = state + k[:, t, :, :, None] * write[..., None, :]
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, 1) * q.shape[3] ** -0.5


def attention(q, k, v, g=None, window=None):
    """Causal softmax attention; `g` adds the sum of log gates between a key and the query."""
    n = q.shape[1]
    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[3] ** -0.5
    if g is not None:
        total = g.cumsum(1).transpose(1, 2)
        scores = scores + total[..., :, None] - total[..., None, :]
    at = torch.arange(n)
    hidden = at[None, :] > at[:, None]
    if window:
        hidden |= at[None, :] <= at[:, None] - window
    weights = scores.masked_fill(hidden, -float("inf")).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v)


def compare(function, formula, inputs, gradients):
    """Calls both with the same named inputs, and back-propagates one random tensor through both."""
    def leaves(cast):
        return {n: cast(x).requires_grad_(gradients and x.is_floating_point()) for n, x in inputs.items()}

    mine, theirs = leaves(lambda x: x.detach().double()), leaves(lambda x: x.detach().clone())
    got, want = function(**theirs), formula(**mine)
    got = got[0] if isinstance(got, tuple) else got
    pairs = {"out": (got, want)}
    if gradients:
        upstream = torch.randn(want.shape, dtype=torch.float32).to(got.dtype)
        got.backward(upstream)
        want.backward(upstream.double())
        pairs.update({"d" + n: (theirs[n].grad, mine[n].grad) for n in inputs})
    return pairs


def tensor(length, size, dtype, heads=HEADS):
    return torch.randn(BATCH, length, heads, size).to(dtype)


def linear(module, name, dtype, length, size=64, gate=None, delta=False, gradients=True, **options):
    function = getattr(importlib.import_module("fla.ops." + module), name)
    inputs = {n: tensor(length, size, dtype) for n in ("q", "k", "v")}
    if delta:
        inputs["k"] = F.normalize(inputs["k"].float(), dim=-1).to(dtype)
        inputs["beta"] = torch.rand(BATCH, length, HEADS).to(dtype)
    if gate:
        shape = (BATCH, length, HEADS) + ((size,) if gate == "rows" else ())
        inputs["g"] = F.logsigmoid(torch.randn(shape)).to(torch.float32 if gate == "head" else dtype)
    rename = {"gk": "g"} if "recurrent_gla" in name else {}

    def call(**named):
        for theirs, ours in rename.items():
            named[theirs] = named.pop(ours)
        return function(**named, **options)

    formula = recurrence
    if module == "retention":
        decay = torch.log(1 - 2.0 ** (-5.0 - torch.arange(HEADS, dtype=torch.float64))).expand(BATCH, length, HEADS)
        formula = lambda q, k, v: recurrence(q, k, v, decay)
    return compare(call, formula, inputs, gradients)


def softmax(module, name, dtype, length, gate=False, window=None, groups=1):
    function = getattr(importlib.import_module("fla.ops." + module), name)
    inputs = {n: tensor(length, 64, dtype, HEADS * (groups if n == "q" else 1)) for n in ("q", "k", "v")}
    if gate:
        inputs["g"] = F.logsigmoid(torch.randn(BATCH, length, HEADS)).float()
    options = {"window_size": window} if window else {}
    return compare(lambda **named: function(**named, **options), lambda **named: attention(**named, window=window),
                   inputs, True)


def elementwise_recurrence(name, length):
    function = getattr(importlib.import_module("fla.ops.hgrn"), name)

    def formula(x, g):
        state, outputs = x.new_zeros(x.shape[0], x.shape[2]), []
        for t in range(x.shape[1]):
            state = g[:, t].exp() * state + x[:, t]
            outputs.append(state)
        return torch.stack(outputs, 1)

    inputs = {"x": torch.randn(BATCH, length, 48), "g": F.logsigmoid(torch.randn(BATCH, length, 48))}
    return compare(function, formula, inputs, True)


def norms():
    from fla.modules.l2norm import l2norm
    from fla.modules.layernorm import rms_norm
    x, weight = torch.randn(30, 96), torch.randn(96)
    unit = compare(l2norm, lambda x: F.normalize(x, dim=-1), {"x": x}, True)
    root = compare(lambda x, w: rms_norm(x, w, None),
                   lambda x, w: x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * w, {"x": x, "w": weight}, True)
    return {**{"l2 " + n: p for n, p in unit.items()}, **{"rms " + n: p for n, p in root.items()}}


def sums():
    from fla.ops.utils import chunk_global_cumsum, chunk_local_cumsum
    x = torch.randn(BATCH, 100, HEADS)
    local = torch.cat([part.cumsum(1) for part in x.double().split(32, 1)], 1)
    return {"local": (chunk_local_cumsum(x, 32), local), "global": (chunk_global_cumsum(x), x.double().cumsum(1))}


def gates():
    """Softplus gates; their inline assembly has the literal `20.`."""
    from fla.ops.gated_delta_rule.gate import fused_gdn_gate
    inputs = {"g": torch.randn(BATCH, 100, HEADS) * 10, "A_log": torch.randn(HEADS), "dt_bias": torch.randn(HEADS)}
    return compare(fused_gdn_gate, lambda g, A_log, dt_bias: -A_log.exp() * F.softplus(g + dt_bias), inputs, True)


# module, function, gate, delta rule
RECURRENT = [("linear_attn", "fused_recurrent_linear_attn", None, False),
             ("retention", "fused_recurrent_retention", None, False),
             ("simple_gla", "fused_recurrent_simple_gla", "head", False), ("gla", "fused_recurrent_gla", "rows", False),
             ("delta_rule", "fused_recurrent_delta_rule", None, True)]
CHUNKED = [("linear_attn", "chunk_linear_attn", None, False), ("linear_attn", "fused_chunk_linear_attn", None, False),
           ("retention", "chunk_retention", None, False), ("retention", "fused_chunk_retention", None, False),
           ("retention", "parallel_retention", None, False), ("simple_gla", "chunk_simple_gla", "head", False),
           ("simple_gla", "fused_chunk_simple_gla", "head", False), ("simple_gla", "parallel_simple_gla", "head", False),
           ("gla", "chunk_gla", "rows", False), ("delta_rule", "chunk_delta_rule", None, True),
           ("gated_delta_rule", "chunk_gated_delta_rule", "head", True), ("kda", "chunk_kda", "rows", True)]
# Functions that have no gradient.
FORWARD = [("gated_delta_rule", "fused_recurrent_gated_delta_rule", "head", True),
           ("kda", "fused_recurrent_kda", "rows", True)]
BOUND = {torch.float16: 5e-3, torch.bfloat16: 3e-2}


def cases(runtime):
    """(name, function, bound of the relative error)"""
    def linear_case(module, name, gate, delta, dtype, length, bound, gradients=True):
        options = {"normalize": False} if module == "linear_attn" else {}
        return (f"{name} {dtype} {length}",
                lambda: linear(module, name, dtype, length, gate=gate, delta=delta, gradients=gradients, **options),
                bound)

    for entry in RECURRENT:
        for length in LENGTHS:
            yield linear_case(*entry, torch.float32, length, 1e-5)
    for entry in FORWARD:
        yield linear_case(*entry, torch.float32, LENGTHS[1], 1e-5, gradients=False)
    for entry in CHUNKED:
        for dtype, length in zip((torch.bfloat16, torch.float16), LENGTHS):
            yield linear_case(*entry, dtype, length, BOUND[dtype])
    for name, window, groups in (("plain", None, 1), ("window", 24, 1), ("groups", None, 2)):
        def plain(window=window, groups=groups):
            return softmax("attn", "parallel_attn", torch.float16, 100, False, window, groups)

        yield f"parallel_attn {name}", plain, BOUND[torch.float16]
    yield ("parallel_forgetting_attn",
           lambda: softmax("forgetting_attn", "parallel_forgetting_attn", torch.float16, 100, True), BOUND[torch.float16])
    for name in ("chunk_hgrn", "fused_recurrent_hgrn"):
        yield f"{name} 100", lambda name=name: elementwise_recurrence(name, 100), 1e-5
    yield "norms", norms, 1e-5
    yield "cumulative sums", sums, 1e-6
    yield "softplus gates", gates, 1e-5
