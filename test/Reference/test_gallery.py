# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every gallery spec against an independent NumPy transcription, on awkward shapes.

The oracle builds dense score and mask matrices from the formulas of the papers, with PyTorch-like code; the
reference interpreter evaluates the compiled spec. Both work in float64, so they agree to rounding.
"""
import math
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("ATTNC_SPEC", str(ROOT / "build" / "bin" / "attnc-spec"))

# b, h, g, q, kv, d, e: lengths 1, 63, 65, q longer and shorter than kv, no keys, grouped heads, d != e.
SHAPES = [
    (1, 2, 2, 63, 63, 16, 16),
    (2, 4, 2, 65, 65, 8, 12),
    (1, 8, 1, 1, 65, 16, 8),
    (1, 2, 1, 65, 1, 8, 8),
    (2, 2, 2, 40, 17, 8, 8),
    (1, 2, 1, 5, 0, 8, 8),
    (1, 1, 1, 300, 300, 8, 8),
]


def t5_bucket(distance):
    """`_relative_position_bucket` of T5 with 32 buckets, maximal distance 128, bidirectional."""
    buckets = np.where(distance > 0, 16, 0)
    n = np.abs(distance)
    with np.errstate(divide="ignore"):
        far = 8 + (np.log(n.astype(np.float32) / 8) / np.float32(math.log(128 / 8)) * 8)
    far = np.where(n < 8, 0, far).astype(np.int64)
    return buckets + np.where(n < 8, n, np.minimum(far, 15))


class Case:
    """Coordinates of one spec at one shape: i is the query's position, j the key's."""

    def __init__(self, shape, rng):
        self.b, self.h, self.g, self.q, self.kv, self.d, self.e = shape
        self.rng = rng
        self.row = np.arange(self.q)[:, None]
        self.i = self.row + self.kv - self.q
        self.j = np.arange(self.kv)[None, :]
        self.inputs, self.params = {}, {}
        self.scale = 1 / math.sqrt(self.d)
        self.bias = self.mask = self.modify = self.sink = None

    def bind(self, name, array):
        self.inputs[name] = array
        return array


def full(c):
    c.mask = np.ones((c.q, c.kv), bool)


def causal(c):
    c.mask = c.j <= c.i


def sliding_window(c):
    c.params["window"] = 7
    c.mask = (c.j <= c.i) & (c.i - c.j < 7)


def window_sinks(c):
    c.params.update(window=9, sinks=3)
    c.mask = (c.j <= c.i) & ((c.j < 3) | (c.i - c.j < 9))


def prefix_lm(c):
    prefix = c.bind("prefix", c.rng.integers(0, c.kv + 1, c.b).astype(np.int32))
    c.mask = (c.j <= c.i) | (c.j < prefix[:, None, None, None])


def document(c):
    doc = c.bind("doc", np.sort(c.rng.integers(0, 5, (c.b, c.kv)), -1).astype(np.int32))
    if c.kv == 0:
        c.mask = np.zeros((c.q, 0), bool)
        return
    mine = doc[:, np.clip(c.i[:, 0], 0, c.kv - 1)]
    c.mask = ((c.j <= c.i) & (mine[:, :, None] == doc[:, None, :]))[:, None]


def alibi(c):
    slope = c.bind("slope", c.rng.random(c.h).astype(np.float32))
    c.bias = slope.astype(float)[None, :, None, None] * (c.j - c.i)
    c.mask = c.j <= c.i


def soft_cap(c):
    c.params["cap"] = 2.5
    c.modify = lambda s: 2.5 * np.tanh(s / 2.5)
    c.mask = c.j <= c.i


def t5_bias(c):
    table = c.bind("table", c.rng.standard_normal((32, c.h)).astype(np.float32))
    c.scale = 1.0
    c.bias = table.astype(float)[t5_bucket(c.j - c.i)].transpose(2, 0, 1)[None]
    c.mask = np.ones((c.q, c.kv), bool)


def key_padding(c):
    length = c.bind("length", c.rng.integers(0, c.kv + 1, c.b).astype(np.int32))
    c.mask = np.broadcast_to(c.j < length[:, None, None, None], (c.b, 1, c.q, c.kv))


def attention_sink(c):
    c.sink = c.bind("z", c.rng.standard_normal(c.h).astype(np.float32)).astype(float)[None, :, None]
    c.mask = c.j <= c.i


def dilated_window(c):
    c.params.update(window=3, dilation=4)
    c.mask = (c.j <= c.i) & (c.i - c.j < 12) & ((c.i - c.j) % 4 == 0)


def chunked_local(c):
    c.params["chunk"] = 16
    c.mask = (c.j <= c.i) & (c.i // 16 == c.j // 16)


def head_window(c):
    window = c.bind("window", c.rng.integers(0, 20, c.h).astype(np.int32))
    c.mask = (c.j <= c.i) & (c.i - c.j < window[None, :, None, None])


SPECS = [full, causal, sliding_window, window_sinks, prefix_lm, document, alibi, soft_cap, t5_bias, key_padding,
         attention_sink, dilated_window, chunked_local, head_window]


def oracle(c, Q, K, V):
    group = c.h // c.g
    K, V = np.repeat(K, group, 1).astype(float), np.repeat(V, group, 1).astype(float)
    s = c.scale * np.einsum("bhqd,bhkd->bhqk", Q.astype(float), K)
    if c.modify:
        s = c.modify(s)
    if c.bias is not None:
        s = s + c.bias
    s = np.where(c.mask, s, -np.inf)
    with np.errstate(all="ignore"):
        top = np.max(s, -1, initial=-np.inf)
        if c.sink is not None:
            top = np.maximum(top, c.sink)
        shift = np.where(np.isneginf(top), 0, top)
        p = np.exp(s - shift[..., None])
        total = p.sum(-1) + (np.exp(c.sink - shift) if c.sink is not None else 0)
        out = np.einsum("bhqk,bhke->bhqe", p, V) / np.where(total > 0, total, 1)[..., None]
        return out, shift + np.log(total)


def run(tmp_path, spec, inputs, params=(), extra=()):
    command = [TOOL, "--reference", str(spec), "--output", f"out={tmp_path}/out.npy", "--output", f"lse={tmp_path}/lse.npy"]
    for name, array in inputs.items():
        np.save(tmp_path / f"{name}.npy", array)
        command += ["--input", f"{name}={tmp_path}/{name}.npy"]
    for name, value in dict(params).items():
        command += ["--param", f"{name}={value}"]
    subprocess.run(command + list(extra), check=True)
    return np.load(tmp_path / "out.npy"), np.load(tmp_path / "lse.npy")


def test_gallery_is_covered():
    assert {f.__name__ for f in SPECS} == {p.stem for p in (ROOT / "specs").glob("*.attn")}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("spec", SPECS, ids=lambda f: f.__name__)
def test_against_numpy(tmp_path, spec, shape):
    rng = np.random.default_rng(7)
    c = Case(shape, rng)
    Q = rng.standard_normal((c.b, c.h, c.q, c.d)).astype(np.float32)
    K = rng.standard_normal((c.b, c.g, c.kv, c.d)).astype(np.float32)
    V = rng.standard_normal((c.b, c.g, c.kv, c.e)).astype(np.float32)
    spec(c)
    out, lse = run(tmp_path, ROOT / "specs" / f"{spec.__name__}.attn", {"Q": Q, "K": K, "V": V, **c.inputs}, c.params)
    want_out, want_lse = oracle(c, Q, K, V)
    assert out.shape == (c.b, c.h, c.q, c.e) and lse.shape == (c.b, c.h, c.q)
    np.testing.assert_allclose(out, want_out, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(lse, want_lse, rtol=1e-11, atol=1e-11)


def write_spec(tmp_path, body):
    path = tmp_path / "spec.attn"
    path.write_text("attention probe(n: int = 3) {\n  align bottom_right\n" + body + "\n  output lse\n}\n")
    return path


def tensors(q=3, kv=4, d=2, h=1):
    rng = np.random.default_rng(3)
    return {n: rng.standard_normal((1, h, s, d)).astype(np.float32) for n, s in (("Q", q), ("K", kv), ("V", kv))}


def test_row_without_key_is_zero(tmp_path):
    out, lse = run(tmp_path, write_spec(tmp_path, "mask kv < 0"), tensors())
    assert (out == 0).all() and np.isneginf(lse).all()


def test_masked_nan_does_not_matter_and_attended_nan_does(tmp_path):
    t = tensors()
    t["K"][0, 0, 3] = np.nan
    t["V"][0, 0, 3] = np.nan
    out, lse = run(tmp_path, write_spec(tmp_path, "mask kv < 3"), t)
    assert np.isfinite(out).all() and np.isfinite(lse).all()
    out, lse = run(tmp_path, write_spec(tmp_path, "mask kv <= q"), t)
    assert np.isfinite(out[0, 0, :2]).all() and np.isnan(out[0, 0, 2]).all() and np.isnan(lse[0, 0, 2])


@pytest.mark.parametrize("expression, f", [
    ("(kv - 5) / n", lambda j: (j - 5) // 3),
    ("(kv - 5) % n", lambda j: (j - 5) % 3),
    ("(kv - 5) % -3", lambda j: (j - 5) % -3),
    ("(kv - 5) / -1", lambda j: 5 - j),
    ("7 / (n - 3) + kv", lambda j: 7 + j),
    ("abs(kv - 2) + sign(kv - 2)", lambda j: np.abs(j - 2) + np.sign(j - 2)),
    ("min(kv, 2, n) + max(kv, 1)", lambda j: np.minimum(j, 2) + np.maximum(j, 1)),
    ("2147483647 + kv - 2147483647", lambda j: j),
    ("i32(kv - 1.5)", lambda j: np.trunc(j - 1.5)),
    ("floor(kv / 2.0) + ceil(kv / 2.0) + round(kv / 2.0)",
     lambda j: np.floor(j / 2) + np.ceil(j / 2) + np.round(j / 2)),
    ("pow(kv + 1, 1.5) + sqrt(f32(kv)) + rsqrt(kv + 1)", lambda j: (j + 1) ** 1.5 + j ** 0.5 + (j + 1) ** -0.5),
    ("exp2(kv) + log2(kv + 1) + ln(kv + 1) + exp(-kv)",
     lambda j: 2.0 ** j + np.log2(j + 1) + np.log(j + 1) + np.exp(-1.0 * j)),
    ("tanh(kv) + sin(kv) * cos(kv) + sigmoid(kv)",
     lambda j: np.tanh(j) + np.sin(j) * np.cos(j) + 1 / (1 + np.exp(-1.0 * j))),
    ("erf(kv / 4.0)", lambda j: np.array([math.erf(x / 4) for x in j])),
    ("if kv == 1 or not (kv < 3) then 2 else 0.5", lambda j: np.where((j == 1) | (j >= 3), 2, 0.5)),
    ("i32(kv == 2) * 4", lambda j: (j == 2) * 4),
])
def test_scalar_operations(tmp_path, expression, f):
    """The score is the expression alone, so with V = identity rows the output is its softmax."""
    t = tensors(q=1, kv=6, d=6)
    t["V"][0, 0] = np.eye(6)
    out, lse = run(tmp_path, write_spec(tmp_path, f"score {expression}"), t)
    x = f(np.arange(6)).astype(float)
    np.testing.assert_allclose(lse[0, 0, 0], np.log(np.exp(x - x.max()).sum()) + x.max(), rtol=1e-12)
    np.testing.assert_allclose(out[0, 0, 0], np.exp(x - lse[0, 0, 0]), rtol=1e-6, atol=1e-300)


def test_strides_and_threads(tmp_path):
    """A Fortran-order file and another number of threads change nothing."""
    t = tensors(q=5, kv=6, d=4, h=4)
    a = run(tmp_path, write_spec(tmp_path, "mask kv <= q"), t, extra=["--threads=1"])
    t["K"] = np.asfortranarray(t["K"])
    b = run(tmp_path, write_spec(tmp_path, "mask kv <= q"), t, extra=["--threads=3"])
    assert (a[0] == b[0]).all() and (a[1] == b[1]).all()


@pytest.mark.parametrize("change, message", [
    (lambda t: t.pop("V"), "input `V[b, g, kv, e]: dtype of Q` is not bound"),
    (lambda t: t.update(K=t["K"][..., :1]), "axis 3 of `K` (d) must have size 2 as in `Q`, found 1"),
    (lambda t: t.update(V=t["V"][:, :, :2]), "axis 2 of `V` (kv) must have size 4 as in `K`, found 2"),
    (lambda t: t.update(K=np.repeat(t["K"], 2, 1), V=np.repeat(t["V"], 2, 1)),
     "the number of query heads must be a multiple of the number of kv heads, found 1 and 2"),
    (lambda t: t.update(K=t["K"].astype(np.float16)), "`K` must have the dtype of `Q`, f32, found f16"),
    (lambda t: t.update(Q=t["Q"].astype(np.int32)), "`Q` must be f32, f16 or bf16, found i32"),
    (lambda t: t.update(Q=t["Q"][0]), "`Q` has axes [b, h, q, d], but a tensor of shape [1, 3, 2] is bound"),
    (lambda t: t.update(X=t["Q"]), "`X` is not an input of `probe`; it has Q, K, V"),
    (lambda t: t.update(Q=t["Q"].astype(np.float64)), "its elements are `<f8`"),
])
def test_bad_bindings(tmp_path, change, message):
    t = tensors()
    change(t)
    command = [TOOL, "--reference", str(write_spec(tmp_path, "mask kv <= q"))]
    for name, array in t.items():
        np.save(tmp_path / f"{name}.npy", array)
        command += ["--input", f"{name}={tmp_path}/{name}.npy"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and message in result.stderr, result.stderr
