# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls beyond `spec(q, k, v)`: tensors by name, specs without Q, K and V, several outputs, outputs over declared spaces, and a
workspace of the caller's."""
import attnc
import numpy as np
import pytest
from conftest import assert_close

PAGES = """
attention pages(page: const int = 4, budget: int = 2) {
  align bottom_right
  blocks p of kv by page
  output top_key[b, g, p, d] = max(K for kv in p)
  output keep[b, h, q, p] = top(sum(Q * top_key for d) over p, budget)
  over keep
  mask kv <= q
}
"""
TOTALS = """
attention totals(factor: f32 = 1.0) {
  input X: f32[b, kv], Index: i32[kv]
  output total[b] = factor * sum(X for kv)
}
"""


@pytest.fixture
def pages():
    return attnc.Spec(PAGES)


def test_names_are_as_good_as_places(pages, qkv):
    q, k, v = qkv
    want = pages(q, k, v)
    np.testing.assert_array_equal(pages(Q=q, K=k, V=v), want)
    np.testing.assert_array_equal(pages(q, V=v, K=k), want)
    np.testing.assert_array_equal(pages(named={"Q": q, "K": k, "V": v}), want)
    with pytest.raises(attnc.ArgumentError, match="`Q` is given by position already"):
        pages(q, k, v, Q=q)
    with pytest.raises(attnc.ArgumentError, match=r"input `V\[b, g, kv, e\]: dtype of Q` is not bound"):
        pages(q, k)
    with pytest.raises(attnc.ArgumentError, match=r"`pages` takes 3 tensors \(Q, K, V\), found 4 by position"):
        pages(q, k, v, v)


def test_every_output_by_name(pages, qkv):
    found = pages(*qkv, return_outputs=True, budget=1, page=5)
    want = pages.evaluate(dict(zip("QKV", qkv)), {"budget": 1, "page": 5})
    assert list(found) == list(pages.outputs) == ["out", "top_key", "keep"]
    assert found["keep"].dtype == np.bool_ and found["keep"].shape == (2, 4, 9, 3)
    np.testing.assert_array_equal(found["keep"], want["keep"])
    np.testing.assert_array_equal(found["top_key"], want["top_key"].astype(np.float32))
    assert_close(found["out"], want["out"], 1e-6)
    reference = pages.reference(*qkv, return_outputs=True, budget=1, page=5)
    np.testing.assert_array_equal(reference["keep"], want["keep"])


def test_outputs_are_written_where_the_caller_says(pages, qkv):
    keep, out = np.zeros((2, 4, 9, 4), np.uint8), np.full((2, 4, 9, 8), np.nan, np.float32)
    found = pages(*qkv, out=out, outputs={"keep": keep}, return_outputs=True)
    assert found["keep"] is keep and found["out"] is out and found["top_key"].shape == (2, 2, 4, 16)
    assert keep.sum(-1).min() == keep.sum(-1).max() == 2 and np.isfinite(out).all()
    with pytest.raises(attnc.ArgumentError, match="output `out` is given twice"):
        pages(*qkv, out=out, outputs={"out": out})
    with pytest.raises(attnc.ArgumentError, match="`kept` is not an output of `pages`; it has out, top_key, keep"):
        pages(*qkv, outputs={"kept": keep})
    with pytest.raises(attnc.ArgumentError, match=r"output `keep` must have shape \[2, 4, 9, 3\], found \[2, 4, 9, 4\]"):
        pages(*qkv, outputs={"keep": keep}, page=5)


def test_a_spec_without_attention():
    totals = attnc.Spec(TOTALS)
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    index = np.zeros(4, np.int32)
    np.testing.assert_array_equal(totals(x, index), x.sum(-1))  # its only output
    np.testing.assert_array_equal(totals(X=x, Index=index, factor=2), 2 * x.sum(-1))
    assert list(totals(x, index, return_outputs=True)) == ["total"]
    with pytest.raises(attnc.ArgumentError, match="`out` is not an output of `totals`; it has total"):
        totals(x, index, out=x)
    with pytest.raises(attnc.ArgumentError, match="`out` is not an output of `totals`; it has total"):
        totals(x, index, return_lse=True)


def test_several_outputs_and_no_out_come_as_a_dict():
    spec = attnc.Spec("attention two {\n  input X: f32[kv]\n  output low[] = min(X for kv)\n  output high[] = max(X for kv)\n}")
    found = spec(np.array([3, -1, 2], np.float32))
    assert {name: value.item() for name, value in found.items()} == {"low": -1, "high": 3}


def test_workspace_of_the_caller(pages, qkv):
    kernel = pages.compile(dtype="f32", head_dim=16, v_head_dim=8)
    size = kernel.workspace_size(b=2, h=4, g=2, q=9, kv=13)
    assert size > 0 and kernel.workspace_size(b=2, h=4, g=2, q=90, kv=130) > size
    block = np.full(size + 255, 0xFF, np.uint8)  # wherever it lies
    want = kernel(*qkv)
    np.testing.assert_array_equal(kernel(*qkv, workspace=block), want)
    assert (block != 0xFF).any()  # it was used
    np.testing.assert_array_equal(pages(*qkv, workspace=block), want)
    assert attnc.load("causal").compile(dtype="f32", head_dim=16).workspace_size() == 0
    asked = []

    def allocate(size):
        asked.append(np.full(size, 0xFF, np.uint8))
        return asked[-1]

    np.testing.assert_array_equal(pages(*qkv, workspace=allocate), want)
    assert len(asked) == 1 and asked[0].size == size + 255 and (asked[0] != 0xFF).any()
    attnc.load("causal")(*qkv, workspace=allocate)
    assert len(asked) == 1
    with pytest.raises(attnc.ArgumentError, match="pass it"):
        kernel.workspace_size(b=2)
    with pytest.raises(attnc.AttncError, match="bytes"):
        kernel(*qkv, workspace=block[: size // 2])
    with pytest.raises(attnc.ArgumentError, match=r"`workspace` must be a tensor of bytes \(uint8\) of one axis without gaps, "
                                                  r"found f32 of shape \[4\] with strides \[1\]"):
        kernel(*qkv, workspace=np.zeros(4, np.float32))
    block.flags.writeable = False
    with pytest.raises(attnc.ArgumentError, match="`workspace` is read-only"):
        kernel(*qkv, workspace=block)


def retnet_inputs(spec, steps):
    random = np.random.default_rng(0)
    return {decl.name: random.uniform(-0.5, 0, shape).astype(np.float32) if decl.name == "LogGamma"
            else random.standard_normal(shape).astype(np.float32)
            for decl in spec.inputs.values() for shape in [[dict(b=1, h=2, t=steps, d=16, e=16)[axis] for axis in decl.axes]]}


def test_a_recurrence_by_chunks():
    spec = attnc.load("retnet")
    inputs = retnet_inputs(spec, 70)
    steps, chunks = (spec.compile(dtype="f32", head_dim=16, chunk=chunk)(**inputs) for chunk in (0, 16))
    assert not np.array_equal(steps, chunks)
    np.testing.assert_allclose(steps, chunks, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length, chunk", [(63, 0), (64, 64), (130, 64)])
def test_a_call_takes_the_chunk_that_suits_the_number_of_steps(length, chunk):
    spec = attnc.load("retnet")
    inputs = retnet_inputs(spec, length)
    kernel = {chunk: spec.compile(dtype="f32", head_dim=16, chunk=chunk) for chunk in (0, 64)}
    assert not np.array_equal(kernel[0](**inputs), kernel[64](**inputs))
    np.testing.assert_array_equal(spec(**inputs), kernel[chunk](**inputs))
