# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients against PyTorch's own: gradcheck of the definition, formulations written in PyTorch, and a small GPT."""
import attnc
import pytest
from conftest import ROOT, assert_close

torch = pytest.importorskip("torch")

import attnc.torch  # noqa: E402
from tiny_gpt import compare_losses  # noqa: E402
from torch.nn import functional as F  # noqa: E402


def operands(b=1, h=4, g=2, q=5, kv=7, d=4, e=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True)
            for shape in ((b, h, q, d), (b, g, kv, d), (b, g, kv, e))]


def attention(q, k, v, score=None, keep=None, sink=None, scale=None):
    """The softmax family as one writes it in PyTorch: `score` of scores and positions, `keep` a [..., q, kv] mask."""
    share = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(share, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    i, j = torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2], torch.arange(k.shape[2])[None]
    if score is not None:
        scores = score(scores, i, j)
    if keep is not None:
        scores = scores.masked_fill(~keep(i, j), -torch.inf)
    if sink is not None:
        scores = torch.cat([scores, sink.view(1, -1, 1, 1).expand(*scores.shape[:3], 1).to(scores)], -1)
    weights = scores.softmax(-1)
    return weights[..., :k.shape[2]] @ v


SLOPE = torch.tensor([0.5, 0.25, 0.125, 0.0625])
SINK = torch.tensor([0.3, -1.0, 2.0, 0.0])
DOC = torch.tensor([[0, 0, 0, 1, 1, 2, 2]], dtype=torch.int32)
BIAS = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(4))
CASES = {
    "full": ({}, lambda q, k, v: attention(q, k, v)),
    "causal": ({}, lambda q, k, v: attention(q, k, v, keep=lambda i, j: j <= i)),
    "sliding_window": ({"window": 3}, lambda q, k, v: attention(q, k, v, keep=lambda i, j: (j <= i) & (i - j < 3))),
    "soft_cap": ({"cap": 2.0}, lambda q, k, v: attention(q, k, v, lambda s, i, j: 2 * torch.tanh(s / 2), lambda i, j: j <= i)),
    "alibi": ({"slope": SLOPE}, lambda q, k, v, slope: attention(
        q, k, v, lambda s, i, j: s + slope[:, None, None] * (j - i), lambda i, j: j <= i)),
    "attention_sink": ({"z": SINK}, lambda q, k, v, z: attention(q, k, v, keep=lambda i, j: j <= i, sink=z)),
    "document": ({"doc": DOC}, lambda q, k, v: attention(q, k, v, keep=lambda i, j: (DOC[0][i] == DOC[0][j]) & (j <= i))),
    "scaled_cosine": ({"Tau": SLOPE, "Bias": BIAS}, lambda q, k, v, tau, bias: attention(
        F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, lambda s, i, j: s * tau.clamp(max=torch.tensor(100.0).log()).exp()[:, None, None] + bias,
        scale=1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_formulations_in_pytorch(name):
    given, written = CASES[name]
    op, tensors = attnc.torch.op(name), [x.detach().float().requires_grad_() for x in operands()]
    given = {k: x.clone().requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for k, x in given.items()}
    learned = [x for x in given.values() if isinstance(x, torch.Tensor) and x.requires_grad]
    leaves = tensors + learned
    found, wanted = op(*tensors, **given), written(*(x.double() for x in leaves))
    assert_close(found.detach(), wanted.detach(), 2e-6)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    for got, want in zip(torch.autograd.grad(found, leaves, weights), torch.autograd.grad(wanted, leaves, weights.double())):
        assert_close(got, want, 5e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradcheck(name):
    given, _ = CASES[name]
    op, leaves = attnc.torch.op(name), operands(b=1, h=2, g=1, q=3, kv=4, d=3, e=2)
    generator = torch.Generator().manual_seed(8)
    sizes = {"slope": (2,), "z": (2,), "Tau": (2,), "Bias": (2, 3, 4)}
    learned = {k: torch.randn(sizes[k], generator=generator, dtype=torch.float64, requires_grad=True) for k in given if k in sizes}
    fixed = {"doc": DOC[:, :4]} if "doc" in given else {k: x for k, x in given.items() if k not in learned}

    def function(q, k, v, *rest):
        results = op.reference(q, k, v, **dict(zip(learned, rest)), **fixed)
        return tuple(results.values())

    assert torch.autograd.gradcheck(function, (*leaves, *learned.values()))
    assert torch.autograd.gradgradcheck(function, (*leaves, *learned.values()), fast_mode=True)


def test_rows_without_a_key_have_no_gradient():
    op = attnc.torch.op(attnc.Spec("attention later { align top_left mask kv < q output lse }"))
    q, k, v = (x.detach().float().requires_grad_() for x in operands())
    out, lse = op(q, k, v, return_lse=True)
    assert (out[:, :, 0] == 0).all() and (lse[:, :, 0] == -torch.inf).all()
    (out.sum() + lse[:, :, 1:].sum()).backward()
    assert (q.grad[:, :, 0] == 0).all() and all(x.grad.isfinite().all() for x in (q, k, v))
    assert (q.grad[:, :, 2:] != 0).any()


@pytest.mark.parametrize("dtype, bound", [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_gradients_of_16_bits(dtype, bound):
    op = attnc.torch.op("causal")
    wide = [x.detach().to(dtype) for x in operands(q=7, d=16, e=16)]
    narrow = [x.clone().requires_grad_() for x in wide]
    wide = [x.double().requires_grad_() for x in wide]
    op(*narrow).sum().backward()
    attention(*wide, keep=lambda i, j: j <= i).sum().backward()
    for got, want in zip(narrow, wide):
        assert got.grad.dtype == dtype
        assert_close(got.grad.double(), want.grad, bound)


def test_gpt_trains_as_with_sdpa():
    """50 steps with a sliding window of 16 stay at the loss of scaled_dot_product_attention with that mask, to 1e-4."""
    compare_losses((ROOT / "docs" / "Language.md").read_text()[:20000])
