# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch's flex_attention, run eagerly: the static masks as score_mod functions of (b, h, i, j)."""
import warnings

import torch
from torch.nn.attention.flex_attention import flex_attention

from ..core import oracle
from .adapt import tensors

SOURCE = "PyTorch 2.13 flex_attention, eager"


def flex(q, k, v, visible, scale=None, modify=None):
    """visible(b, h, i, j) on positions; the last query stands on the last key."""
    offset = k.shape[2] - q.shape[2]

    def score(x, b, h, i, j):
        x = modify(x, b, h, i + offset, j) if modify else x
        return torch.where(visible(b, h, i + offset, j), x, -float("inf"))

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # it warns that it is not compiled; that is the point here
        return flex_attention(q, k, v, score_mod=score, scale=scale, enable_gqa=True, return_lse=True)


def masked(case, visible):
    out, lse = flex(*tensors(case, "Q", "K", "V"), visible)
    return {"out": out, "lse": lse}


def causal(b, h, i, j):
    return i >= j


@oracle("A1", kind="third-party", source=SOURCE)
def softmax_dense(case):
    return masked(case, causal)


@oracle("C4", kind="third-party", source=SOURCE)
def a_shape(case):
    p = case.params
    return masked(case, lambda b, h, i, j: (i >= j) & ((j < p["n_init"]) | (j > i - p["n_local"])))


@oracle("E1", kind="third-party", source=SOURCE)
def sliding_window(case):
    return masked(case, lambda b, h, i, j: (i >= j) & (j > i - case.params["window"]))


@oracle("E3", kind="third-party", source=SOURCE)
def sparse_transformer(case):
    l, c = case.params["l"], case.params["c"]

    def strided(b, h, i, j):
        return (i >= j) & torch.where(h % 2 == 0, j > i - l, (i - j).remainder(l) == 0)

    def fixed(b, h, i, j):
        return (i >= j) & torch.where(h % 2 == 0, j - j % l == i - i % l, j % l > l - c - 1)

    first, second = masked(case, strided), masked(case, fixed)
    return {**first, "out_fixed": second["out"], "lse_fixed": second["lse"]}


@oracle("E4", kind="third-party", source=SOURCE)
def banded(case):
    return masked(case, lambda b, h, i, j: (i >= j) & (j > i - case.params["band"]))


@oracle("E5", kind="third-party", source=SOURCE + ", one call per (segment, dilation), merged by lse")
def longnet(case):
    q, k, v = tensors(case, "Q", "K", "V")
    heads, parts = q.shape[1], []
    for w, r in case.params["pairs"]:
        off = torch.arange(heads) // -(-heads // r)
        parts.append(flex(q, k, v, lambda b, h, i, j: (i >= j) & (i // w == j // w) & (i % w % r == off[h])
                          & (j % w % r == off[h])))
    norms = torch.stack([lse for _, lse in parts])
    share = norms.softmax(0)[..., None]
    return {"out": sum(s * o for s, (o, _) in zip(share, parts)), "lse": norms.logsumexp(0)}


@oracle("E9", kind="third-party", source=SOURCE)
def anchors(case):
    anchor, p = tensors(case, "Anchor"), case.params
    return masked(case, lambda b, h, i, j: (i >= j) & ((j < p["n_sink"]) | (j > i - p["window"]) | anchor[b, j]))


@oracle("L4", kind="third-party", source=SOURCE)
def character_ai(case):
    q, k8, v8, k_scale, v_scale = tensors(case, "Q", "K8", "V8", "KScale", "VScale")
    out, lse = flex(q, k8 * k_scale[..., None], v8 * v_scale[..., None],
                    lambda b, h, i, j: (i >= j) & (j > i - case.params["window"]))
    return {"out": out, "lse": lse}


@oracle("L5", kind="third-party", source=SOURCE)
def gpt3(case):
    band = masked(case, lambda b, h, i, j: (i >= j) & (j > i - case.params["band"]))
    dense = masked(case, causal)
    return {**band, "out_dense": dense["out"], "lse_dense": dense["lse"]}


@oracle("L13", kind="third-party", source=SOURCE)
def encoder(case):
    length = tensors(case, "Length")
    return masked(case, lambda b, h, i, j: j < length[b])


@oracle("L10", kind="third-party", source=SOURCE + ": the dense branch, and the attention over the formula's blocks")
def minicpm4(case):
    dense = masked(case, causal)
    keep, block = torch.from_numpy(case.outputs["keep"]), case.params["block"]
    group = case.inputs["Q"].shape[1] // case.inputs["K"].shape[1]
    sparse = masked(case, lambda b, h, i, j: (i >= j) & keep[b, h // group, i, j // block])
    return {**sparse, "out_dense": dense["out"]}


@oracle("B3", kind="exact-attention", source=SOURCE + ": the exact attention that the 4-bit result approximates",
        bound=0.25)
def sage3_exact(case):
    return {"out": masked(case, causal)["out"]}


@oracle("B1", kind="exact-attention", source=SOURCE + ": the exact attention that the 8-bit result approximates",
        bound=0.02)
def sage1_exact(case):
    return masked(case, causal)


@oracle("B2", kind="exact-attention", source=SOURCE + ": the exact attention that the 8-bit result approximates",
        bound=0.06)
def sage2_exact(case):
    return masked(case, causal)
