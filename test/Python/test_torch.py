# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch CPU tensors, against PyTorch's own attention: scaled_dot_product_attention and flex_attention, in float64 on
the same rounded operands. Skipped, and counted as such, where PyTorch is missing."""
import attnc
import numpy as np
import pytest
from conftest import BOUNDS, assert_close

torch = pytest.importorskip("torch")
flex = pytest.importorskip("torch.nn.attention.flex_attention")
sdpa = torch.nn.functional.scaled_dot_product_attention

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
# b, h, g, n, d: square, so that PyTorch's alignments of causal masks agree with bottom_right.
SHAPES = [(2, 4, 2, 65, 64), (1, 8, 1, 130, 40), (1, 2, 2, 1, 16)]


def operands(shape, dtype, seed=5):
    b, h, g, n, d = shape
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(b, heads, n, d, generator=generator).to(DTYPES[dtype]) for heads in (h, g, g))


def compare(found, wanted, dtype):
    assert found.dtype == DTYPES[dtype] and found.device.type == "cpu"
    assert_close(found.double().numpy(), wanted.numpy(), BOUNDS[dtype])


def wide(qkv):
    """PyTorch's operands: float64, and K and V of every query head."""
    q, k, v = (x.double() for x in qkv)
    group = q.shape[1] // k.shape[1]
    return q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestAgainstPyTorch:
    def test_full(self, shape, dtype):
        qkv = operands(shape, dtype)
        compare(attnc.load("full")(*qkv), sdpa(*wide(qkv)), dtype)

    def test_causal(self, shape, dtype):
        qkv = operands(shape, dtype)
        compare(attnc.load("causal")(*qkv), sdpa(*wide(qkv), is_causal=True), dtype)

    def test_dense_bias(self, shape, dtype):
        qkv = operands(shape, dtype)
        bias = torch.randn(shape[1], shape[3], shape[3], generator=torch.Generator().manual_seed(6))
        spec = attnc.Spec("attention biased { input bias: f32[h, q, kv] score s + bias[h, q, kv] }")
        compare(spec(*qkv, bias=bias), sdpa(*wide(qkv), attn_mask=bias.double()[None]), dtype)

    def test_flex_causal(self, shape, dtype):
        self.flex(shape, dtype, "causal", mask=lambda b, h, i, j: j <= i)

    def test_flex_alibi(self, shape, dtype):
        slope = torch.exp2(-torch.arange(1, shape[1] + 1).float())
        self.flex(shape, dtype, "alibi", score=lambda s, b, h, i, j: s + slope[h] * (j - i),
                  mask=lambda b, h, i, j: j <= i, slope=slope)

    def test_flex_window(self, shape, dtype):
        self.flex(shape, dtype, "sliding_window", mask=lambda b, h, i, j: (j <= i) & (i - j < 20), window=20)

    def test_flex_soft_cap(self, shape, dtype):
        self.flex(shape, dtype, "soft_cap", score=lambda s, b, h, i, j: 3.0 * torch.tanh(s / 3.0),
                  mask=lambda b, h, i, j: j <= i, cap=3.0)

    def test_flex_document(self, shape, dtype):
        ids = torch.arange(shape[3], dtype=torch.int32).repeat(shape[0], 1) // 17
        self.flex(shape, dtype, "document", mask=lambda b, h, i, j: (j <= i) & (ids[b, i] == ids[b, j]), doc=ids)

    @staticmethod
    def flex(shape, dtype, name, *, mask=None, score=None, **named):
        b, h, _, n, _ = shape
        qkv = operands(shape, dtype)
        blocks = flex.create_block_mask(mask, b, h, n, n, device="cpu")
        # Eager on purpose: it is the definition that the compiled form is held against.
        want, aux = flex.flex_attention(*wide(qkv), score_mod=score, block_mask=blocks, return_lse=True)
        out, lse = attnc.load(name)(*qkv, return_lse=True, **named)
        compare(out, want, dtype)
        assert lse.dtype == torch.float32
        assert_close(lse.numpy(), aux.numpy(), 2e-6)


def test_layout_out_and_no_copies():
    spec = attnc.load("causal")
    qkv = [torch.randn(2, 33, 4, 64).transpose(1, 2) for _ in range(3)]
    assert not qkv[0].is_contiguous()
    buffer = torch.full((2, 33, 4, 64), torch.nan)
    out = buffer.transpose(1, 2)
    assert spec(*qkv, out=out) is out
    compare(out, sdpa(*(x.double() for x in qkv), is_causal=True), "f32")
    assert out.data_ptr() == buffer.data_ptr() and torch.isfinite(buffer).all()


def test_numpy_and_torch_agree_and_mix():
    spec = attnc.load("key_padding")
    q, k, v = operands((2, 2, 2, 20, 16), "f32")
    length = torch.tensor([3, 20], dtype=torch.int32)
    out = spec(q, k, v, length=length)
    assert isinstance(out, torch.Tensor)
    assert (spec(q.numpy(), k.numpy(), v.numpy(), length=length.numpy()) == out.numpy()).all()
    assert (spec(q, k.numpy(), v, length=length.numpy()) == out).all()
    assert np.abs(spec.reference(q, k, v, length=length) - out.numpy()).max() < 1e-5


def test_torch_and_uint16_bf16_are_the_same():
    q, k, v = operands((1, 2, 2, 20, 16), "bf16")
    bits = [x.view(torch.int16).numpy().view(np.uint16) for x in (q, k, v)]
    spec = attnc.load("causal")
    assert (spec(*bits) == spec(q, k, v).view(torch.int16).numpy().view(np.uint16)).all()


@pytest.mark.parametrize("change, message", [
    (dict(q=torch.zeros(1, 2, 20, 16, requires_grad=True)), "`Q` requires a gradient"),
    (dict(q=torch.zeros(1, 2, 20, 16, device="meta")), "`Q` is on device meta: expected cpu or cuda"),
    (dict(q=torch.zeros(1, 2, 20, 16).to_sparse()), "`Q` is not a plain strided tensor"),
    (dict(doc=torch.full((1, 20), 2 ** 31)), "`doc` is converted to ints of 32 bits, and has values beyond them: from 2147483648"),
    (dict(q=torch.zeros(1, 2, 20, 16, dtype=torch.float64)), "`Q` must be f32, f16 or bf16, found f64"),
    (dict(q=torch.zeros(1, 2, 16, 20).transpose(2, 3)), "`Q` must have a last stride of 1, found 20"),
    (dict(out=torch.zeros(1, 2, 20, 16, dtype=torch.float16)), "output `out` must have dtype f32, found f16"),
])
def test_errors(change, message):
    q, k, v = operands((1, 2, 2, 20, 16), "f32")
    given = dict(q=q, k=k, v=v, doc=torch.zeros(1, 20, dtype=torch.int32)) | change
    q, k, v = (given.pop(n) for n in "qkv")
    with pytest.raises(attnc.ArgumentError) as info:
        attnc.load("document")(q, k, v, **given)
    assert message in str(info.value)


def test_gradients_are_fine_where_they_are_off():
    q, k, v = operands((1, 2, 2, 20, 16), "f32")
    leaf = q.clone().requires_grad_()
    spec = attnc.load("causal")
    with torch.no_grad():
        assert (spec(leaf, k, v) == spec(q, k, v)).all()
    assert (spec(leaf.detach(), k, v) == spec(q, k, v)).all()


def test_compile_with_torch_names():
    kernel = attnc.load("causal").compile(dtype=torch.bfloat16, head_dim=64, device=torch.device("cpu"))
    assert kernel.dtype == "bf16" and kernel.device == "host"
    qkv = operands(SHAPES[0], "bf16")
    compare(kernel(*qkv), sdpa(*wide(qkv), is_causal=True), "bf16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda(dtype):
    """On the current stream, after the operands were written on it, without a wait in between."""
    qkv = [x.cuda() for x in operands(SHAPES[0], dtype)]
    spec = attnc.load("causal")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        out = spec(*[x * 0.5 for x in qkv])
    stream.synchronize()
    want = sdpa(*wide([(x * 0.5).cpu() for x in qkv]), is_causal=True)
    assert_close(out.cpu().double().numpy(), want.numpy(), {"f32": 1e-5}.get(dtype, BOUNDS[dtype]))
    given = torch.full_like(out, torch.nan)
    spec(*[x * 0.5 for x in qkv], out=given, stream=torch.cuda.current_stream())
    torch.cuda.synchronize()
    assert (given == out).all()
    with pytest.raises(attnc.ArgumentError, match="on host, but `Q` on cuda:0"):
        spec(qkv[0], qkv[1].cpu(), qkv[2])
