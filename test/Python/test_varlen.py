# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Packed sequences of different lengths, against each sequence on its own."""
import itertools

import attnc
import pytest
from conftest import assert_close

torch = pytest.importorskip("torch")

LENGTHS = [(5, 9), (1, 1), (7, 7), (0, 3), (12, 20), (4, 2)]


def packed(dtype=torch.float32, h=4, g=2, d=16, e=8, padding=0):
    generator = torch.Generator().manual_seed(2)
    totals = [sum(pair[i] for pair in LENGTHS) + padding for i in (0, 1)]
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for shape in ((totals[0], h, d), (totals[1], g, d), (totals[1], g, e)))
    ends = [torch.tensor([0, *itertools.accumulate(pair[i] for pair in LENGTHS)], dtype=torch.int32) for i in (0, 1)]
    return q, k, v, *ends


def alone(q, k, v, causal, window, softcap, sink, scale):
    """One sequence in float64: [rows, h, d], ... to [rows, h, e] and the log-sum-exp [h, rows]."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q.double(), k.double()) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    i = torch.arange(q.shape[0])[:, None] + k.shape[0] - q.shape[0]
    j = torch.arange(k.shape[0])[None]
    left, right = window[0], 0 if causal else window[1]
    keep = ((left < 0) | (i - j <= left)) & ((right < 0) | (j - i <= right))
    scores = scores.masked_fill(~keep, -torch.inf)
    if sink is not None:
        scores = torch.cat([scores, sink.double()[:, None, None].expand(*scores.shape[:2], 1)], -1)
    lse = scores.logsumexp(-1)
    weights = torch.nan_to_num((scores - lse[..., None]).exp())[..., :k.shape[0]]
    return torch.einsum("hqk,khe->qhe", weights, v.double()), lse


@pytest.mark.parametrize("causal, window, softcap, has_sink", [
    (False, (-1, -1), 0.0, False), (True, (-1, -1), 0.0, False), (True, (3, 0), 0.0, True), (False, (2, 4), 5.0, False), (True, (6, 2), 2.0, True)])
def test_each_sequence_is_on_its_own(causal, window, softcap, has_sink):
    q, k, v, ends_q, ends_k = packed()
    sink = torch.tensor([0.3, -1.0, 2.0, 0.0]) if has_sink else None
    out, lse = attnc.varlen(q, k, v, ends_q, ends_k, 12, 20, causal=causal, window_size=window, softcap=softcap, sink=sink, return_lse=True)
    assert out.shape == (q.shape[0], 4, 8) and lse.shape == (4, q.shape[0])
    for i in range(len(LENGTHS)):
        rows, keys = slice(ends_q[i], ends_q[i + 1]), slice(ends_k[i], ends_k[i + 1])
        if ends_q[i] == ends_q[i + 1]:
            continue
        want, want_lse = alone(q[rows], k[keys], v[keys], causal, window, softcap, sink, 16 ** -0.5)
        assert_close(out[rows], want, 1e-6)
        assert_close(lse[:, rows], want_lse, 2e-6)


@pytest.mark.parametrize("dtype, bound", [(torch.bfloat16, 5e-3), (torch.float16, 1e-3)])
def test_16_bits_and_scale(dtype, bound):
    q, k, v, ends_q, ends_k = packed(dtype)
    out = attnc.varlen(q, k, v, ends_q, ends_k, scale=0.5, causal=True)
    want, _ = alone(q[12 + 1:25], k[17 + 3:40], v[17 + 3:40], True, (-1, -1), 0.0, None, 0.5)
    assert out.dtype == dtype
    assert_close(out[13:25].double(), want, bound)


def test_rows_behind_the_last_sequence_are_0():
    q, k, v, ends_q, ends_k = packed(padding=3)
    out, lse = attnc.varlen(q, k, v, ends_q.long(), ends_k.long(), causal=True, return_lse=True)
    assert (out[-3:] == 0).all() and (lse[:, -3:] == -torch.inf).all()
    q[-3:], k[-3:], v[-3:] = torch.nan, torch.nan, torch.nan
    assert_close(attnc.varlen(q, k, v, ends_q, ends_k, causal=True)[:-3], out[:-3], 1e-6)


def test_gradients():
    q, k, v, ends_q, ends_k = packed()
    tensors = [x.requires_grad_() for x in (q, k, v)]
    attnc.varlen(*tensors, ends_q, ends_k, causal=True).square().sum().backward()
    wide = [x.detach().double().requires_grad_() for x in tensors]
    sum(alone(wide[0][a:b], *(x[c:d] for x in wide[1:]), True, (-1, -1), 0.0, None, 0.25)[0].square().sum()
        for (a, b), (c, d) in zip(itertools.pairwise(ends_q), itertools.pairwise(ends_k)) if b > a).backward()
    for got, want in zip(tensors, wide):
        assert_close(got.grad, want.grad, 5e-6)


def test_compiles_whole():
    q, k, v, ends_q, ends_k = packed()
    compiled = torch.compile(lambda *x: attnc.varlen(*x, causal=True, window_size=(4, 0), softcap=3.0) * 2, fullgraph=True, backend="aot_eager")
    assert_close(compiled(q, k, v, ends_q, ends_k), 2 * attnc.varlen(q, k, v, ends_q, ends_k, causal=True, window_size=(4, 0), softcap=3.0), 1e-6)


@pytest.mark.parametrize("change, message", [
    (dict(q=torch.zeros(1, 2, 3, 4)), "`q` must have 3 dimensions"), (dict(cu_seqlens_q=torch.zeros(3)), "one entry for each sequence and one more")])
def test_errors(change, message):
    q, k, v, ends_q, ends_k = packed()
    with pytest.raises(attnc.ArgumentError, match=message):
        attnc.varlen(**{**dict(q=q, k=k, v=v, cu_seqlens_q=ends_q, cu_seqlens_k=ends_k), **change})
