# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Selections in kernels, on the host and on the emulator: the members are those of the reference, ties included.

Ranks are quarters, so that sums are exact and tie often, with NaN, infinities and zeros of both signs among them, neighbouring floats, any
bit patterns, and rows of one number. Rows have 0, 1, 33, 300 and 2,000 entries, run over one axis or over two, and tiles of rows are cut.
"""
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]

import attnc  # noqa: E402
from kernel_outputs import EXECUTORS, outputs  # noqa: E402

INF, NAN = np.inf, np.nan


def check(folder, text, inputs, device):
    inputs = {name: np.asarray(value, np.float32 if np.asarray(value).dtype.kind == "f" else np.int32) for name, value in inputs.items()}
    expected = attnc.Spec(text).evaluate(inputs)["keep"]
    np.testing.assert_array_equal(outputs(folder, text, inputs, ["keep"], device)["keep"], expected)
    return expected


def rows_of(length, kind, rng):
    """Three times 21 rows of ranks; sums of them are exact in f32, but for `neighbours`, `bits` and `extreme`."""
    shape = (3, 21, length)
    grid = rng.integers(-8, 9, shape) / 4
    if kind == "grid":
        return grid
    if kind == "positive":
        return np.abs(grid) + 0.25
    if kind == "negative":
        return -np.abs(grid)
    if kind == "neighbours":
        return (np.float32(1).view(np.int32) + rng.integers(-8, 9, shape)).astype(np.int32).view(np.float32)
    if kind == "bits":
        return rng.integers(-2**31, 2**31, shape).astype(np.int32).view(np.float32)
    extremes = {"special": [0, -0.0, 1, 1, -1, 2], "extreme": [0, -0.0, 1e-45, -1e-45, 1, 1, -1, 3.4e38]}[kind]
    special = rng.choice([NAN, -NAN, -INF, -INF, *([INF] if rng.random() < 0.5 else []), *extremes], shape)
    special[:, :3] = -INF
    special[:, 3:5] = NAN
    special[:, 5:7] = np.where(np.arange(length) % 2, 0.0, -0.0)
    return special


LENGTHS = [0, 1, 33, 300, 2000]
KINDS = ["grid", "neighbours", "bits", "special", "extreme"]


@pytest.mark.parametrize("device", EXECUTORS)
@pytest.mark.parametrize("length,kind", [(length, KINDS[0]) for length in LENGTHS] + [(300, kind) for kind in KINDS[1:]])
def test_top(tmp_path, device, length, kind):
    rng = np.random.default_rng(length)
    n = rng.integers(-2, length + 3, (3, 21))
    n[:, :4] = [0, 1, length, 2**31 - 1]
    expected = check(tmp_path, """attention v() {
      input x: f32[b, q, kv], n: i32[b, q]
      output keep[b, q, kv] = top(x over kv, n)
    }""", {"x": rows_of(length, kind, rng), "n": n}, device)
    if kind == "grid":
        assert (expected.sum(2) == np.clip(n, 0, length)).all()


@pytest.mark.parametrize("device", EXECUTORS)
@pytest.mark.parametrize("rule", ["inclusive", "exclusive"])
@pytest.mark.parametrize("length,kind", [(0, "grid"), (1, "grid"), (33, "positive"), (33, "grid"), (300, "positive"), (300, "negative"), (300, "grid"),
                                         (33, "special"), (70, "special")])
def test_cover(tmp_path, device, rule, length, kind):
    rng = np.random.default_rng(length)
    share = rng.choice([0, 0.25, 0.5, 0.75, 0.875, 0.9, 1, 1.5, -0.5], (3, 21))
    check(tmp_path, f"""attention v() {{
      input x: f32[b, q, kv], share: f32[b, q]
      output keep[b, q, kv] = cover(x over kv, share, {rule})
    }}""", {"x": rows_of(length, kind, rng), "share": share}, device)


@pytest.mark.parametrize("device", EXECUTORS)
def test_limits(tmp_path, device):
    rng = np.random.default_rng(5)
    share = rng.choice([0, 0.5, 0.9, 1], (3, 21))
    expected = check(tmp_path, """attention v() {
      input x: f32[b, q, kv], share: f32[b, q], least: i32[q], most: i32[b]
      output keep[b, q, kv] = cover(x over kv, share, inclusive, least, most)
    }""", {"x": rows_of(70, "positive", rng), "share": share, "least": rng.integers(-1, 30, 21), "most": np.array([0, 20, 90])}, device)
    assert not expected[0].any() and (expected[1].sum(1) <= 20).all()


@pytest.mark.parametrize("device", EXECUTORS)
@pytest.mark.parametrize("shape,text", [
    ((3, 21, 70), "input x: f32[b, kv, q], n: i32[b]\n output keep[b, kv, q] = top(x over q, n)"),
    ((3, 40, 21), "input x: f32[b, kv, q], n: i32[b]\n output keep[b, kv, q] = top(x over kv, n)"),
    ((3, 7, 21), "input x: f32[b, h, q], n: i32[b]\n output keep[b, h, q] = top(x over [h, q], n)"),
    ((3, 7, 21), "input x: f32[b, h, q], n: i32[h]\n output keep[b, h, q] = top(x over [b, q], n)"),
    ((3, 4, 5, 6), "input x: f32[b, h, q, kv], n: i32[b]\n output keep[b, h, q, kv] = top(x over [h, q, kv], n)"),
    ((70,), "input x: f32[kv]\n output keep[kv] = top(x over kv, 9)"),
    ((7, 21), "input x: f32[h, q]\n output keep[h, q] = top(x over [h, q], 9)"),
    ((21, 3, 7, 2), "input x: f32[q, b, h, kv]\n output keep[q, b, h, kv] = cover(x over [q, kv], 0.5, exclusive)"),
])
def test_axes(tmp_path, device, shape, text):
    """Rows along any axes, in the order of the ranks'."""
    rng = np.random.default_rng(len(shape))
    inputs = {"x": rng.integers(-8, 9, shape) / 4}
    if "n:" in text:
        inputs["n"] = rng.integers(0, 90, shape[1] if "i32[h]" in text else shape[0])
    check(tmp_path, f"attention v() {{ {text}\n }}", inputs, device)
