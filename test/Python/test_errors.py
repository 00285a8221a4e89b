# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Errors: the exception, its text, and that nothing is written."""
import os
import re
import subprocess
import sys

import attnc
import numpy as np
import pytest
from conftest import ROOT


def text_of(error, call):
    with pytest.raises(error) as info:
        call()
    return str(info.value)


# What to change in a good call of `document`, and a piece of the message.
BAD = {
    "missing input": (dict(doc=None), "input `doc[b, kv]: i32` is not bound"),
    "missing operand": (dict(v=None), "input `V[b, g, kv, e]: dtype of Q` is not bound"),
    "unknown name": (dict(window=3), "`window` is neither an input nor a parameter of `document`; it has doc"),
    "operand by name": (dict(Q=np.zeros(1)), "`Q` is given by position already"),
    "rank": (dict(q=np.zeros((9, 16), np.float32)),
             "`Q` has axes [b, h, q, d], but a tensor of shape [9, 16] is bound"),
    "size of d": (dict(k=np.zeros((2, 2, 13, 8), np.float32)), "axis 3 of `K` (d) must have size 16 as in `Q`, found 8"),
    "size of kv": (dict(doc=np.zeros((2, 12), np.int32)), "axis 1 of `doc` (kv) must have size 13 as in `K`, found 12"),
    "groups": (dict(k=np.zeros((2, 3, 13, 16), np.float32), v=np.zeros((2, 3, 13, 8), np.float32)),
               "a multiple of the number of kv heads, found 4 and 3"),
    "empty d": (dict(q=np.zeros((2, 4, 9, 0), np.float32)), "axis 3 of `Q` (d) must not be empty"),
    "dtype of Q": (dict(q=np.zeros((2, 4, 9, 16))), "`Q` must be f32, f16 or bf16, found f64"),
    "dtypes differ": (dict(k=np.zeros((2, 2, 13, 16), np.float16)), "`K` must have the dtype of `Q`, f32, found f16"),
    "dtype of an input": (dict(doc=np.zeros((2, 13))), "`doc` must have dtype i32, found f64"),
    "ints beyond 32 bits": (dict(doc=np.full((2, 13), -2 ** 31 - 1)),
                            "`doc` is converted to ints of 32 bits, and has values beyond them: from -2147483649"),
    "no bf16 here": (dict(doc=np.zeros((2, 13), np.uint16)), "`doc` must have dtype i32, found uint16"),
    "byte order": (dict(q=np.zeros((2, 4, 9, 16), ">f4")), "`Q` is not in this machine's byte order"),
    "no tensor": (dict(q=[1.0]), "`Q` is a list: expected a NumPy array"),
    "last stride": (dict(q=np.zeros((2, 4, 9, 32), np.float32)[..., ::2]),
                    "`Q` must have a last stride of 1, found 2; make the rows contiguous"),
    "odd strides": (dict(doc=np.zeros(2 * 13 * 5, np.int8)[:130].view("i1,i4")["f1"].reshape(2, 13)),
                    "which are no multiples of its elements' 4"),
    "unaligned": (dict(q=np.zeros(2 * 4 * 9 * 16 * 4 + 2, np.int8)[2:].view(np.float32).reshape(2, 4, 9, 16)),
                  "`Q` starts at an address that is no multiple of its elements' 4 bytes"),
    "shape of out": (dict(out=np.zeros((2, 4, 9, 16), np.float32)), "`out` must have shape [2, 4, 9, 8]"),
    "dtype of out": (dict(out=np.zeros((2, 4, 9, 8), np.float16)), "`out` must have dtype f32, found f16"),
    "stride of out": (dict(out=np.zeros((2, 4, 9, 16), np.float32)[..., ::2]), "`out` must have a last stride of 1"),
    "overlapping out": (dict(out=np.lib.stride_tricks.as_strided(np.zeros((1, 1, 1, 8), np.float32), (2, 4, 9, 8),
                                                                 (0, 0, 0, 4))), "output `out` cannot have stride 0 on axis 0"),
}


@pytest.fixture(scope="module")
def document():
    return attnc.load("document")


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD)
def test_bad_argument(document, qkv, change, message):
    given = dict(zip("qkv", qkv), doc=np.zeros((2, 13), np.int32), out=np.full((2, 4, 9, 8), 7, np.float32)) | change
    lse = np.full((2, 4, 9), 7, np.float32)
    q, k, v = (given.pop(n) for n in "qkv")
    assert message in text_of(attnc.ArgumentError, lambda: document(q, k, v, lse=lse, **given))
    assert (lse == 7).all() and ("out" in change or (given["out"] == 7).all())


@pytest.mark.parametrize("value, message", [
    (1.5, "parameter `window` is an int of 32 bits, found 1.5"), (2 ** 40, "is an int of 32 bits, found 1099511627776"),
    (2 ** 31, "is an int of 32 bits, found 2147483648"), (10 ** 400, "is an int of 32 bits, found inf"),
    ("3", "parameter `window` is a number, found str"), (True, "parameter `window` is a number, found bool"),
    (np.ones(1), "parameter `window` is a number, found ndarray"), (float("nan"), "is an int of 32 bits, found nan"),
])
def test_bad_parameter(qkv, value, message):
    assert message in text_of(attnc.ArgumentError, lambda: attnc.load("sliding_window")(*qkv, window=value))


def test_read_only_and_aliased_output(document, qkv):
    doc = np.zeros((2, 13), np.int32)
    out = np.zeros((2, 4, 9, 8), np.float32)
    out.flags.writeable = False
    assert text_of(attnc.ArgumentError, lambda: document(*qkv, doc=doc, out=out)) == "output `out` is read-only"
    square = np.ones((2, 4, 9, 16), np.float32)
    message = text_of(attnc.ArgumentError, lambda: attnc.load("causal")(square, square, square, out=square))
    assert message.startswith("output `out` lies on `Q`") and (square == 1).all()


def test_lse_only_where_the_spec_has_it(qkv):
    spec = attnc.Spec("attention plain {}")
    for call in (lambda: spec(*qkv, return_lse=True), lambda: spec.reference(*qkv, return_lse=True),
                 lambda: spec(*qkv, lse=np.zeros((2, 4, 9), np.float32))):
        assert "`plain` has no output `lse`; add the statement `output lse`" in text_of(attnc.ArgumentError, call)


def test_spec_error_has_line_and_caret(tmp_path):
    text = "attention x {\n  mask kv <= q\n}\n"
    message = text_of(attnc.SpecError, lambda: attnc.Spec(text, name="x.attn"))
    lines = message.splitlines()
    assert lines[0].startswith("x.attn:2:14: error: `q` is used as a position")
    assert lines[1] == "  mask kv <= q" and lines[2] == " " * 13 + "^"
    (tmp_path / "y.attn").write_text(text)
    assert text_of(attnc.SpecError, lambda: attnc.load(tmp_path / "y.attn")).startswith(f"{tmp_path}/y.attn:2:14: ")
    assert issubclass(attnc.SpecError, ValueError) and issubclass(attnc.SpecError, attnc.AttncError)


@pytest.mark.parametrize("text", ["", "attention", "attention x { mask 1 }", "\0", "attention x {}\0}", "module {", "\udcff"])
def test_broken_text(text):
    assert "error" in text_of(attnc.SpecError, lambda: attnc.Spec(text))


def test_missing_file_and_variants(tmp_path):
    with pytest.raises(FileNotFoundError):
        attnc.load(tmp_path / "none.attn")
    with pytest.raises(FileNotFoundError):
        attnc.load("no_such_spec")
    two = "attention a {}\nattention b(n: int = 1) { mask kv < n }\n"
    assert "several variants, name one of a, b" in text_of(attnc.SpecError, lambda: attnc.Spec(two))
    assert attnc.Spec(two, variant="b").params["n"].default == 1
    assert "no such variant; the file declares a, b" in text_of(attnc.SpecError, lambda: attnc.Spec(two, variant="c"))


def test_compile_options(qkv):
    spec = attnc.Spec("attention x(n: const int = 2, w: int = 3) { mask kv < n + w }")
    assert "`w` is not a const parameter" in text_of(attnc.ArgumentError, lambda: spec.compile(w=1))
    assert "dtype must be f32, f16 or bf16" in text_of(attnc.ArgumentError, lambda: spec.compile(dtype="i32"))
    assert "at least 1" in text_of(attnc.ArgumentError, lambda: spec.compile(head_dim=0))
    assert "row_alignment must be" in text_of(attnc.ArgumentError, lambda: spec.compile(row_alignment=3))
    assert "unknown device `tpu`" in text_of(attnc.ArgumentError, lambda: spec.compile(device="tpu"))
    kernel = spec.compile(dtype=np.float32, head_dim=16, v_head_dim=8)
    np.testing.assert_allclose(kernel(*qkv, w=2), spec.reference(*qkv, w=2), rtol=1e-5, atol=1e-6)
    assert "compile for that dtype" in text_of(attnc.ArgumentError, lambda: kernel(*[x.astype(np.float16) for x in qkv]))
    assert "which the kernel is compiled for" in text_of(attnc.ArgumentError, lambda: kernel(*[x[..., :8] for x in qkv]))


def test_what_cannot_be_compiled(rng):
    q = rng.standard_normal((1, 1, 4, 1025)).astype(np.float32)
    message = text_of(attnc.CompileError, lambda: attnc.load("causal")(q, q, q))
    assert "unsupported head dim 1025: expected 1 to 1024" in message


def test_no_gpu_is_a_device_error(monkeypatch):
    monkeypatch.setenv("ATTNC_CUDA_DRIVER", "/no/such/driver.so")
    assert "no CUDA driver" in text_of(attnc.DeviceError, lambda: attnc.load("full").compile(device="cuda"))


def test_numbers_are_not_cut_off():
    """2 ** 32 + 1 is not 1 in 32 bits: numbers are checked before."""
    spec = attnc.Spec("attention x(n: const int = 2, w: int = 3) { mask kv < n + w }")
    for threads in (2 ** 32 + 1, 2 * 10 ** 9, -1):
        for call in (lambda: spec.compile(num_threads=threads),
                     lambda: spec.reference(*[np.ones((1, 1, 2, 8), np.float32)] * 3, num_threads=threads)):
            assert f"num_threads is {threads}: expected a number from 0, the default, to 4096" in text_of(attnc.ArgumentError, call)
    for chunk in (2 ** 32, -1):
        assert f"chunk is {chunk}: expected a number from 0 to 4096" in text_of(attnc.ArgumentError, lambda: spec.compile(chunk=chunk))
    assert "chunk is 24: expected a multiple of 16" in text_of(attnc.ArgumentError, lambda: spec.compile(chunk=24))
    assert "at most 2147483647" in text_of(attnc.ArgumentError, lambda: spec.compile(head_dim=2 ** 64 + 64))
    for value in (float("nan"), 2.5, 2 ** 31, -2 ** 31 - 1, 10 ** 400):
        message = text_of(attnc.ArgumentError, lambda: spec.compile(n=value))
        assert message.startswith("parameter `n` is an int of 32 bits, found ")
    q = np.ones((1, 1, 2, 8), np.float32)
    for value in (-2 ** 31, 2 ** 31 - 4):
        np.testing.assert_allclose(spec(q, q, q, w=value, n=1), spec.reference(q, q, q, w=value, n=1), rtol=1e-6)


def test_partly_aliased_output():
    """Any byte counts, not only the first; slices of one buffer that are apart are fine."""
    spec = attnc.load("causal")
    buffer = np.random.default_rng(0).standard_normal((2, 9, 4, 3, 16)).astype(np.float32)
    q, k, out = (buffer[..., i, :].transpose(0, 2, 1, 3) for i in range(3))
    want = spec.reference(q, k, k)
    np.testing.assert_allclose(spec(q, k, k, out=out), want, rtol=1e-5, atol=1e-6)
    message = text_of(attnc.ArgumentError, lambda: spec(q[:, :, :8], k, k, out=q[:, :, 1:]))
    assert message == "output `out` lies on `Q`: a kernel would overwrite what it reads; give it memory of its own"
    lse = out.base.reshape(-1)[: 2 * 4 * 9].reshape(2, 4, 9)
    assert "`lse` lies on" in text_of(attnc.ArgumentError, lambda: spec(q, k, k, out=out, lse=lse))


MEMORY = """
import attnc, numpy as np, resource
spec = attnc.Spec("attention x { let a[b, h, q, kv] = sum(Q * K for d)\\n score s + a[b, h, q, kv] }")
small = np.ones((1, 1, 8, 4), np.float32)
spec.reference(small, small, small)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 10 ** 9, -1))
q = np.broadcast_to(small[:, :, :1], (1, 1, 40000, 4))
try:
    spec.reference(q, q, q)
except attnc.OutOfMemoryError as error:
    print(error)
spec.reference(small, small, small)
"""


def test_memory_that_is_not_there():
    """A tensor of 40000 x 40000 ended the interpreter."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=100,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "python")})
    assert done.returncode == 0 and re.fullmatch(
        r"the reference's float64 tensor over \[b, h, q, kv\] needs 12.8 GB, but .* GB of memory are left\n", done.stdout), done
