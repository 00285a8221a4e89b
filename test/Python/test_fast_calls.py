# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls that the extension makes by itself, after one like them has been made: the results, and that nothing is checked less."""
import concurrent.futures
import gc
import os
import subprocess
import sys

import attnc
import numpy as np
import pytest
from conftest import ROOT


@pytest.fixture
def spec():
    return attnc.Spec("attention windowed(window: int = 4, cap: f32 = 0.5, sinks: const int = 1) {\n  align bottom_right\n"
                      "  input doc: i32[b, kv]\n  score cap * tanh(s / cap)\n"
                      "  mask doc[b, kv] >= 0 and (q - kv < window or kv < sinks)\n  output lse\n}")


@pytest.fixture
def warm(spec, qkv):
    """A good call, as keywords, that has been made, and what it made."""
    good = dict(zip("QKV", qkv), doc=np.zeros((2, 13), np.int32), window=3, out=np.empty((2, 4, 9, 8), np.float32))
    spec(**good)
    assert len(spec._calls) == 1
    return good


def is_fast(spec, call):
    """Whether Python has no part in a call."""
    original, anew = attnc._spec.split, []
    attnc._spec.split = lambda *a: anew.append(a) or original(*a)
    try:
        call()
    finally:
        attnc._spec.split = original
    return not anew


def test_the_second_call_is_the_first_one(spec, warm, rng):
    for _ in range(3):
        again = {n: rng.standard_normal(x.shape).astype(np.float32) if n in "QKV" else x for n, x in warm.items()}
        assert is_fast(spec, lambda: spec(**again))
        out = again.pop("out")
        np.testing.assert_allclose(out, spec.reference(**again), rtol=1e-5, atol=1e-6)
    assert len(spec._calls) == 1


@pytest.mark.parametrize("ways", range(6))
def test_every_way_to_call(spec, qkv, ways):
    """Positions and names, memory that is given or not, and what is asked for."""
    doc = np.zeros((2, 13), np.int32)
    out, lse = np.empty((2, 4, 9, 8), np.float32), np.empty((2, 4, 9), np.float32)
    q, k, v = qkv
    calls = [lambda w: spec(q, k, v, doc=doc, window=w, return_lse=True), lambda w: spec(q=q, k=k, v=v, doc=doc, window=w, return_lse=True),
             lambda w: spec(q, k, v, doc, window=w, return_outputs=True), lambda w: spec(q, k, v, doc=doc, window=w, out=out, lse=lse, return_lse=True),
             lambda w: spec(q, K=k, V=v, doc=doc, window=w, outputs={"lse": lse}, return_lse=True),
             lambda w: spec(q, k, v, doc=doc, window=w, sinks=2, out=out, return_lse=True)]
    calls[ways](4)
    for window in (4, 2, 7, 2, 1, 3, 5, 4):
        found = []
        assert is_fast(spec, lambda: found.append(calls[ways](window)))
        pair = tuple(found[0][n] for n in ("out", "lse")) if ways == 2 else found[0]
        for x, want in zip(pair, spec.reference(q, k, v, doc=doc, window=window, return_lse=True, **({"sinks": 2} if ways == 5 else {}))):
            np.testing.assert_allclose(x, want, rtol=1e-5, atol=1e-6)
        if ways == 3:
            assert pair[0] is out and pair[1] is lse
    assert len(spec._calls) == 1


def read_only(shape):
    array = np.zeros(shape, np.float32)
    array.flags.writeable = False
    return array


BAD = {
    "missing input": (lambda g: dict(doc=None), "input `doc[b, kv]: i32` is not bound"),
    "unknown name": (lambda g: dict(windw=3), "`windw` is neither an input nor a parameter of `windowed`"),
    "dtypes differ": (lambda g: dict(K=g["K"].astype(np.float16)), "`K` must have the dtype of `Q`, f32, found f16"),
    "dtype of an input": (lambda g: dict(doc=np.zeros((2, 13))), "`doc` must have dtype i32, found f64"),
    "byte order": (lambda g: dict(Q=g["Q"].astype(">f4")), "`Q` is not in this machine's byte order"),
    "no tensor": (lambda g: dict(V=[1.0]), "`V` is a list: expected a NumPy array"),
    "rank": (lambda g: dict(Q=g["Q"][0]), "`Q` has axes [b, h, q, d], but a tensor of shape [4, 9, 16] is bound"),
    "size": (lambda g: dict(doc=np.zeros((2, 12), np.int32)), "axis 1 of `doc` (kv) must have size 13 as in `K`, found 12"),
    "last stride": (lambda g: dict(Q=np.zeros((2, 4, 9, 32), np.float32)[..., ::2]), "`Q` must have a last stride of 1, found 2"),
    "unaligned": (lambda g: dict(Q=np.zeros(g["Q"].nbytes + 2, np.int8)[2:].view(np.float32).reshape(g["Q"].shape)),
                  "`Q` starts at an address that is no multiple of its elements' 4 bytes"),
    "shape of out": (lambda g: dict(out=np.zeros((2, 4, 9, 16), np.float32)), "`out` must have shape [2, 4, 9, 8]"),
    "dtype of out": (lambda g: dict(out=np.zeros((2, 4, 9, 8), np.float16)), "`out` must have dtype f32, found f16"),
    "read-only out": (lambda g: dict(out=read_only((2, 4, 9, 8))), "output `out` is read-only"),
    "out on an input": (lambda g: dict(out=g["Q"][..., :8]), "output `out` lies on `Q`: a kernel would overwrite what it reads"),
    "out on a part of an input": (lambda g: dict(out=g["K"].reshape(-1)[8:8 + 576].reshape(2, 4, 9, 8)), "output `out` lies on `K`"),
    "lse on out": (lambda g: dict(lse=g["out"].reshape(-1)[:72].reshape(2, 4, 9)), "`lse` lies on"),
    "NaN for an int": (lambda g: dict(window=float("nan")), "parameter `window` is an int of 32 bits, found nan"),
    "fraction for an int": (lambda g: dict(window=2.5), "parameter `window` is an int of 32 bits, found 2.5"),
    "an int of 33 bits": (lambda g: dict(window=2 ** 32), "parameter `window` is an int of 32 bits, found 4294967296"),
    "an int that is no float": (lambda g: dict(window=10 ** 400), "parameter `window` is an int of 32 bits, found inf"),
    "bool for a number": (lambda g: dict(window=True), "parameter `window` is a number, found bool"),
    "text for a number": (lambda g: dict(cap="1"), "parameter `cap` is a number, found str"),
    "const of no value": (lambda g: dict(sinks=1.5), "parameter `sinks` is an int of 32 bits, found 1.5"),
    "no such output": (lambda g: dict(outputs={"lze": g["out"]}), "`lze` is not an output of `windowed`"),
    "output given twice": (lambda g: dict(outputs={"out": g["out"]}), "output `out` is given twice"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD)
def test_a_bad_call_after_good_ones(spec, warm, change, message):
    """Each is refused in the words of the first call, writes nothing, and leaves the good call as it was."""
    for _ in range(2):
        spec(**warm)
    wanted = spec(**warm).copy()
    bad = {**warm, **change(warm)}
    bad["out"] = bad["out"] if "out" in change(warm) else warm["out"]
    warm["out"][:] = 7
    for _ in range(2):
        with pytest.raises(attnc.ArgumentError) as info:
            spec(**bad)
        assert message in str(info.value)
    assert (warm["out"] == 7).all()
    assert is_fast(spec, lambda: spec(**warm)) and (warm["out"] == wanted).all()


def test_a_kernel_keeps_its_calls_too(spec, qkv):
    kernel = spec.compile(dtype="f32", head_dim=16, v_head_dim=8)
    doc = np.zeros((2, 13), np.int32)
    wanted = kernel(*qkv, doc=doc)
    assert len(kernel._calls) == 1 and (kernel(*qkv, doc=doc) == wanted).all()
    with pytest.raises(attnc.ArgumentError, match="parameter `sinks` is const"):
        kernel(*qkv, doc=doc, sinks=1)
    with pytest.raises(attnc.ArgumentError, match="compile for that dtype"):
        kernel(*[x.astype(np.float16) for x in qkv], doc=doc)


def test_sizes_that_depend_on_parameters(qkv):
    """Another value of such a parameter has outputs of another shape."""
    spec = attnc.Spec("attention selected(page: int = 4) {\n  align bottom_right\n  blocks p of kv by page\n"
                      "  let bound[b, h, q, p] = max(sum(Q * K for d) for kv in p)\n"
                      "  output keep[b, h, q, p] = top(bound over p if first(p) <= q, 2)\n  over keep\n  mask kv <= q\n}")
    for page in (4, 2, 4, 3, 2, 13):
        assert spec(*qkv, page=page, return_outputs=True)["keep"].shape[-1] == -(-13 // page)


def test_slices_of_one_buffer(qkv):
    """Outputs between the elements of inputs are written in later calls too."""
    spec = attnc.load("causal")
    for seed in range(3):
        buffer = np.random.default_rng(seed).standard_normal((2, 9, 4, 2, 16)).astype(np.float32)
        q, out = (buffer[..., i, :].transpose(0, 2, 1, 3) for i in range(2))
        np.testing.assert_allclose(spec(q, q.copy(), q.copy(), out=out), spec.reference(q, q, q), rtol=1e-5, atol=1e-6)


def test_int64_and_scalars_and_size_1(spec, qkv):
    q, k, v = qkv
    doc = np.arange(13) % 3 - 1
    want = spec.reference(q, k, v, doc=np.broadcast_to(doc.astype(np.int32), (2, 13)), window=3)
    for _ in range(2):
        found = spec(q, k, v, doc=np.broadcast_to(doc, (2, 13)), window=np.array(3))
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
        found = spec(q, k, v, doc=doc[None].astype(np.int32), window=np.int64(3))
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    one = k[:1], v[:1]
    np.testing.assert_allclose(spec(q, *one, doc=doc[None]), spec.reference(q, *(x.repeat(2, 0) for x in one), doc=doc[None].repeat(2, 0)),
                               rtol=1e-5, atol=1e-6)
    with pytest.raises(attnc.ArgumentError, match=r"axis 3 of `K` \(d\) must have size 16"):
        spec(q, k[..., :1], v, doc=doc[None])


def test_threads_share_the_calls(spec, qkv):
    doc = np.zeros((2, 13), np.int32)
    wanted = [spec(*qkv, doc=doc, window=w) for w in range(1, 9)]

    def work(i):
        rows = [np.ascontiguousarray(x[:, :, : 5 + i % 3] if x is qkv[0] else x) for x in qkv]
        found = [spec(*qkv, doc=doc, window=w) for w in range(1, 9)]
        return spec(*rows, doc=doc).shape[2] == 5 + i % 3 and all((a == b).all() for a, b in zip(found, wanted))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_a_forked_child_makes_the_same_calls(spec, warm):
    wanted = spec(**warm).copy()
    child = os.fork()
    if child == 0:
        os._exit(0 if is_fast(spec, lambda: spec(**warm)) and (warm["out"] == wanted).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_more_layouts_than_are_kept():
    spec = attnc.load("causal")
    for rows in range(1, 270):
        x = np.ones((1, 1, rows, 8), np.float32)
        spec(x, x, x)
        assert len(spec._calls) <= 256


GROWTH = """
import os, sys
import attnc, numpy as np
spec = attnc.load("sliding_window")
q, k, v, out = (np.ones((1, 1, 1, 64), np.float32) for _ in range(4))
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def use(count):
    for i in range(count):
        spec(q, k, v, out=out)
        spec(q, k, v, window=1 + i % 9)
        if i % 50 == 0:
            try:
                spec(q, k, v, out=q)
            except attnc.ArgumentError:
                pass
use(5000)
before = resident(), sys.getrefcount(q), sys.getrefcount(out), sys.getrefcount(None)
use(50000)
after = resident(), sys.getrefcount(q), sys.getrefcount(out), sys.getrefcount(None)
assert after[0] - before[0] < 2 ** 20, (before, after)
assert before[1:3] == after[1:3] and abs(after[3] - before[3]) < 100, (before, after)
print("flat")
"""


def test_a_hundred_thousand_calls_keep_no_memory():
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "python")})
    assert done.stdout == "flat\n", done.stderr


def test_plans_do_not_outlive_their_spec(spec, warm):
    array = warm["Q"]
    before = sys.getrefcount(array)
    spec(**warm)
    del spec
    gc.collect()
    assert sys.getrefcount(array) == before
