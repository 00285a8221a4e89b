# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Memory: layouts, empty tensors, outputs of the caller, DLPack, and that nothing is copied."""
import os
import subprocess
import sys
import tracemalloc

import attnc
import numpy as np
import pytest
from attnc import _tensors
from conftest import ROOT, assert_close


@pytest.fixture(scope="module")
def causal():
    return attnc.load("causal")


def layouts(x):
    """The same numbers in other places: batch-sequence-head order, every second row, rows backwards, padded rows."""
    bshd = np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    thin = np.full((*x.shape[:2], 2 * x.shape[2], x.shape[3]), np.nan, x.dtype)[:, :, ::2]
    backwards = np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1]
    padded = np.full((*x.shape[:3], x.shape[3] + 1), np.nan, x.dtype)[..., 1:]
    thin[:], padded[:] = x, x
    return {"bshd": bshd, "thin": thin, "backwards": backwards, "padded": padded}


@pytest.mark.parametrize("layout", ["bshd", "thin", "backwards", "padded"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_strides(causal, qkv, layout, dtype):
    qkv = [x.astype(dtype) for x in qkv]
    moved = [layouts(x)[layout] for x in qkv]
    assert all((a == b).all() and a.strides != b.strides for a, b in zip(moved, qkv))
    out = layouts(np.full((2, 4, 9, 8), np.nan, dtype))[layout]
    causal(*moved, out=out)
    assert_close(out, causal.reference(*qkv), 1e-3 if dtype == np.float16 else 1e-6)
    assert_close(causal.reference(*moved), causal.reference(*qkv), 0)


def test_row_alignment_is_part_of_the_kernel(qkv):
    spec = attnc.load("causal")
    wanted = spec(*qkv)
    spec(*qkv)
    assert len(spec._kernels) == 1
    moved = [layouts(x)["padded"] for x in qkv]
    assert (spec(*moved) == wanted).all()
    assert sorted(key[4] for key in spec._kernels) == [4, 16]
    kernels = [spec.compile(dtype="f32", head_dim=16, v_head_dim=8, row_alignment=n) for n in (4, 16)]
    assert (kernels[0](*moved) == wanted).all() and (kernels[0](*qkv) == wanted).all()
    with pytest.raises(attnc.ArgumentError, match="a multiple of 16 bytes, found 4; compile with row_alignment=4"):
        kernels[1](*moved)


def test_alignment_of_rows():
    x = np.zeros(4096, np.float16)
    base = x[-x.ctypes.data % 16 // 2:]
    for first, row, wanted in ((0, 64, 16), (0, 8, 16), (4, 64, 8), (0, 12, 8), (0, 2, 4), (1, 64, 2), (0, 33, 2), (0, -64, 16)):
        rows = np.lib.stride_tricks.as_strided(base[512 + first:], (3, 8), (2 * row, 2))
        assert _tensors.view("x", rows).alignment() == wanted, (first, row)
        # One row: its stride does not matter.
        assert _tensors.view("x", rows[:1]).alignment() == max(wanted, 16 if first == 0 else 0)


def test_one_kernel_for_each_dtype_and_head_dim(qkv):
    spec = attnc.Spec("attention x(w: int = 3) { align bottom_right mask q - kv < w }")
    q, k, v = qkv
    spec(q, k, v)
    spec(q[:1], k[:1], v[:1], w=9)
    assert len(spec._kernels) == 1
    spec(q.astype(np.float16), k.astype(np.float16), v.astype(np.float16))
    spec(q, k, k)
    assert len(spec._kernels) == 3


CONST = """
import attnc, numpy as np
spec = attnc.Spec("attention x(n: const int = 2, w: int = 3) { align bottom_right mask kv < n or q - kv < w }")
q = np.random.default_rng(0).standard_normal((1, 2, 9, 16)).astype(np.float32)
np.testing.assert_allclose(spec(q, q, q, n=5, w=2), spec.reference(q, q, q, n=5, w=2), rtol=1e-5, atol=1e-6)
assert abs(spec.reference(q, q, q, n=5) - spec.reference(q, q, q)).max() > 0.01
spec(q, q, q), spec(q, q, q, n=5)
assert len(spec._kernels) == 2
kernel = spec.compile(dtype=np.float32, head_dim=16, n=4)
np.testing.assert_allclose(kernel(q, q, q), spec.reference(q, q, q, n=4), rtol=1e-5, atol=1e-6)
try:
    kernel(q, q, q, n=1)
except attnc.ArgumentError as error:
    assert "`n` is const" in str(error)
    print("const works")
"""


def test_const_parameters():
    """In a process of its own: a compiler that aborts on a const parameter must not end the others' tests."""
    done = subprocess.run([sys.executable, "-c", CONST], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "python")})
    assert done.returncode == 0 and done.stdout == "const works\n", done.stderr


def test_broadcast_operand_and_read_only_inputs(causal, qkv):
    q, k, v = qkv
    one = np.broadcast_to(k[:1, :1], k.shape)
    assert not one.flags.writeable and one.strides[0] == 0
    assert_close(causal(q, one, v), causal.reference(q, np.ascontiguousarray(one), v), 1e-6)


def test_spec_inputs_may_have_any_strides(qkv):
    spec = attnc.load("document")
    ids = np.array([[0] * 5 + [1] * 8, [0] * 9 + [1] * 4], np.int32)
    wanted = spec.reference(*qkv, doc=ids)
    for doc in (np.asfortranarray(ids), np.repeat(ids, 3, 1)[:, ::3], ids[:, ::-1].copy()[:, ::-1]):
        assert not doc.flags.c_contiguous
        assert_close(spec(*qkv, doc=doc), wanted, 1e-6)


@pytest.mark.parametrize("b, q, kv", [(1, 5, 0), (1, 0, 5), (0, 3, 3), (1, 0, 0)])
def test_empty(causal, rng, b, q, kv):
    operands = [rng.standard_normal((b, 2, n, 16)).astype(np.float32) for n in (q, kv, kv)]
    out, lse = causal(*operands, return_lse=True)
    assert out.shape == (b, 2, q, 16) and (out == 0).all() and np.isneginf(lse).all()
    want, want_lse = causal.reference(*operands, return_lse=True)
    assert want.shape == out.shape and (want == 0).all() and np.isneginf(want_lse).all()


def test_output_is_written_in_place_and_nothing_around_it(causal, qkv):
    buffer = np.full((4, 6, 11, 12), 7.0, np.float32)
    out = buffer[1:3, 1:5, 1:10, 4:12]
    assert causal(*qkv, out=out) is out
    assert_close(out, causal.reference(*qkv), 1e-6)
    out[:] = 7
    assert (buffer == 7).all()


def test_nothing_is_copied(causal, rng):
    q, k, v = (np.asarray(rng.standard_normal((1, 4, n, 64)), np.float32) for n in (64, 4096, 4096))
    causal(q, k, v)
    out = np.empty_like(q)
    # NumPy reports its memory to tracemalloc; a copy of K alone would be 4 MiB.
    tracemalloc.start()
    causal(q, k, v, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024 < k.nbytes // 10
    for x in (q, k[:, :, ::2], v.transpose(0, 2, 1, 3)):
        found = _tensors.view("x", x)
        assert found.pointer == x.ctypes.data and found.owner is x


class OnlyDLPack:
    """What another library's tensor shows of itself."""

    def __init__(self, array):
        self.array, self.exports = array, 0

    def __dlpack__(self, **kwargs):
        self.exports += 1
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_dlpack(causal, qkv):
    wanted = causal(*qkv)
    count = [sys.getrefcount(x) for x in qkv]
    wrapped = [OnlyDLPack(x) for x in qkv]
    out = causal(*wrapped)
    assert isinstance(out, np.ndarray) and (out == wanted).all() and all(w.exports == 1 for w in wrapped)
    target = np.full_like(wanted, np.nan)
    given = OnlyDLPack(target)
    assert causal(*wrapped, out=given) is given and (target == wanted).all()
    # The capsules gave back what they held.
    del wrapped, given
    assert [sys.getrefcount(x) for x in qkv] == count


def test_bf16_round_trip(rng):
    x = np.concatenate([rng.standard_normal(1000), [0, -0.0, np.inf, -np.inf, 1e38, 1e-40]]).astype(np.float32)
    back = attnc.from_bf16(attnc.to_bf16(x))
    finite = np.isfinite(x)
    assert (back[~finite] == x[~finite]).all()
    back, x = back[finite], x[finite]
    assert (np.abs(back - x) <= np.abs(x) * 2.0 ** -8 + 1e-38 * 2 ** -8).all()
    assert (attnc.from_bf16(attnc.to_bf16(back)) == back).all()
    assert np.isnan(attnc.from_bf16(attnc.to_bf16([np.nan, -np.nan]))).all()
    # Ties go to the even neighbour.
    assert attnc.to_bf16([1 + 2 ** -8, 1 + 3 * 2 ** -8]).tolist() == [0x3F80, 0x3F82]


def test_bool_inputs(qkv):
    spec = attnc.Spec("attention gated { input keep: bool[b, kv] mask keep[b, kv] }")
    keep = np.arange(26).reshape(2, 13) % 3 > 0
    wanted = spec.reference(*qkv, keep=keep)
    assert_close(spec(*qkv, keep=keep), wanted, 1e-6)
    assert_close(spec(*qkv, keep=keep.view(np.uint8)), wanted, 1e-6)


def test_nan_in_a_key_matters_only_where_attended(causal, qkv):
    q, k, v = (x.copy() for x in qkv)
    k[:, :, 10] = np.nan  # row 6 is at position 10
    out = causal(q, k, v)
    assert np.isfinite(out[:, :, :6]).all() and np.isnan(out[:, :, 6:]).all()


def test_nan_in_a_value_matters_only_where_attended(causal, qkv):
    q, k, v = (x.copy() for x in qkv)
    v[:, :, 10] = np.nan
    assert np.isfinite(causal.reference(q, k, v)[:, :, :6]).all()
    assert np.isfinite(causal(q, k, v)[:, :, :6]).all()


def test_nan_reaches_lse(causal, qkv):
    q, k, _ = (x.copy() for x in qkv)
    k[:, :, 10] = np.nan
    v = np.ones_like(k)
    assert np.isnan(causal.reference(q, k, v, return_lse=True)[1][:, :, 6:]).all()
    assert np.isnan(causal(q, k, v, return_lse=True)[1][:, :, 6:]).all()
