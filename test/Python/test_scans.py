# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`cumprod` and `cummax` in specs, attn.scan and attn.solve in IR text, against NumPy on the float64 reference: as they are, and
expanded into recurrences."""
import os
import pathlib
import re
import subprocess

import attnc
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("ATTNC_LIBRARY", ROOT / "build/lib/libattnc.so")).resolve().parents[1] / "bin/attnc-opt"
RNG = np.random.default_rng(3)


def emitted(text):
    """A spec as IR text."""
    tool = TOOL.with_name("attnc-spec")
    return subprocess.run([tool, "--emit-attn", "-"], input=text, capture_output=True, text=True, check=True).stdout


def expanded(text):
    """The IR behind attn-expand-scans, which leaves running sums and products: these have a kernel."""
    found = subprocess.run([TOOL, "--attn-expand-scans"], input=text, capture_output=True, text=True, check=True).stdout
    assert ("attn.recur" in found or "attn.reduce" in found) and "attn.solve" not in found
    assert all(re.search(r"arith\.(add|mul)", scan) for scan in re.findall(r"attn\.scan[^}]*}", found))
    return found


@pytest.mark.parametrize("form", [emitted, lambda text: expanded(emitted(text))], ids=["as it is", "expanded"])
def test_products_and_maxima(form):
    spec = attnc.Spec(form("""attention a {
        input x: f32[b, kv, d], n: i32[b, kv]
        output product[b, kv, d] = cumprod(x over kv)
        output greatest[b, kv, d] = cummax(x over kv if kv % 3 != 1)
        output left[b, kv, d] = cumprod(x over kv if kv % 3 != 1)
        output ints[b, kv] = cumprod(n over kv)
        output most[b, kv] = cummax(n over kv)
        output across[b, kv, d] = cummax(x over d) }"""))
    x, n = RNG.standard_normal((3, 7, 4)).astype(np.float32), RNG.integers(-9, 9, (3, 7)).astype(np.int32)
    n[0] = 100000  # wraps around
    found = spec.evaluate({"x": x, "n": n})
    x, kept = x.astype(np.float64), (np.arange(7) % 3 != 1)[:, None]
    np.testing.assert_allclose(found["product"], np.cumprod(x, 1), rtol=1e-14)
    np.testing.assert_allclose(found["left"], np.cumprod(np.where(kept, x, 1), 1), rtol=1e-14)
    assert np.array_equal(found["greatest"], np.maximum.accumulate(np.where(kept, x, -np.inf), 1))
    assert np.array_equal(found["ints"], np.cumprod(n, 1, dtype=np.int32))
    assert np.array_equal(found["most"], np.maximum.accumulate(n, 1))
    assert np.array_equal(found["across"], np.maximum.accumulate(x, 2))


def test_nan_stays_and_no_entry_is_none():
    spec = attnc.Spec("attention a { input x: f32[b, kv]\n output y[b, kv] = cummax(x over kv) }")
    found = spec.evaluate({"x": np.array([[1, np.nan, 2]], np.float32)})["y"]
    assert found[0, 0] == 1 and np.isnan(found[0, 1:]).all()
    assert spec.evaluate({"x": np.zeros((2, 0), np.float32)})["y"].shape == (2, 0)


@pytest.mark.parametrize("form", [emitted, lambda text: expanded(emitted(text))], ids=["as it is", "expanded"])
def test_within_a_step(form):
    """The product of a state's entries so far, in every step."""
    spec = attnc.Spec(form("""recurrence r {
        state S[d] = 1.0
        let p[d] = cumprod(S over d)
        S = S + K
        out sum(p * V for d) }"""))
    K, V = RNG.standard_normal((1, 2, 5, 3)).astype(np.float32), RNG.standard_normal((1, 2, 5, 4)).astype(np.float32)
    state = np.concatenate([np.zeros((1, 2, 1, 3)), np.cumsum(K.astype(np.float64), 2)[:, :, :-1]], 2) + 1
    expected = np.cumprod(state, -1).sum(-1)[..., None] * V
    np.testing.assert_allclose(spec.evaluate({"K": K, "V": V})["out"], expected, rtol=1e-12)


AFFINE = """attn.variant @affine {
  %a = attn.input "a" : !attn.tensor<[b, kv, d], f32>
  %b = attn.input "b" : !attn.tensor<[b, kv, d], f32>
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %decay, %s = attn.scan over "kv" ORDER (%a, %b : !attn.tensor<[b, kv, d], f32>, !attn.tensor<[b, kv, d], f32>) from (%one, %zero : f32, f32)
      combine(%a0: f32, %b0: f32, %a1: f32, %b1: f32) {
    %aa = arith.mulf %a0, %a1 : f32
    %ab = arith.mulf %b0, %a1 : f32
    %bb = arith.addf %ab, %b1 : f32
    attn.yield %aa, %bb : f32, f32
  } : !attn.tensor<[b, kv, d], f32>, !attn.tensor<[b, kv, d], f32>
  attn.return ["decay", "s"](%decay, %s : !attn.tensor<[b, kv, d], f32>, !attn.tensor<[b, kv, d], f32>)
}"""


@pytest.mark.parametrize("form", [str, expanded])
@pytest.mark.parametrize("length", [0, 1, 9])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_scan_of_pairs(reverse, exclusive, length, form):
    """s = a s + b. More rows than are evaluated at once."""
    a, b = (RNG.standard_normal((3, length, 200)).astype(np.float32) for _ in range(2))
    text = AFFINE.replace("ORDER", "reverse " * reverse + "exclusive " * exclusive)
    found = attnc.Spec(form(text)).evaluate({"a": a, "b": b})
    decay, s = np.ones((3, 200)), np.zeros((3, 200))
    for i in reversed(range(length)) if reverse else range(length):
        before = decay, s
        decay, s = decay * a[:, i], s * a[:, i] + b[:, i]
        expected = before if exclusive else (decay, s)
        np.testing.assert_allclose(found["decay"][:, i], expected[0], rtol=1e-13)
        np.testing.assert_allclose(found["s"][:, i], expected[1], rtol=1e-12, atol=1e-14)


SOLVE = """attn.variant @solve {
  %n = attn.size "kv"
  attn.space "i" extent %n
  attn.space "j" extent SIZE
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %N = attn.compute (%b: i32, %i: i32, %g: i32, %j: i32) {
    %x = attn.reduce sum over "d" (%d: i32) {
      %k = attn.read %K[%b, %g, %i, %d] : !attn.tensor<[b, g, kv, d]> -> f32
      %l = attn.read %K[%b, %g, %j, %d] : !attn.tensor<[b, g, kv, d]> -> f32
      %kl = arith.mulf %k, %l : f32
      attn.yield %kl : f32
    } : f32
    attn.yield %x : f32
  } : !attn.tensor<[b, i, g, j], f32>
  %R = attn.input "R" : !attn.tensor<[g, d, i, b], f32>
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, g, j], f32>, !attn.tensor<[g, d, i, b], f32> -> !attn.tensor<[g, d, i, b], f32>
  attn.return ["X"](%X : !attn.tensor<[g, d, i, b], f32>)
}"""


@pytest.mark.parametrize("length", [16, 32, 40, 64, 80, 128])
def test_solve_by_blocks(length):
    """Rows that are known to be a multiple of 16 are inverted, in blocks where they are no power of two up to 64: rows that nearly repeat,
    and NaN above the diagonal."""
    text = SOLVE.replace('%n = attn.size "kv"', f"%n = arith.constant {length} : i32").replace("SIZE", "%n").replace("%j: i32) {", """%j: i32) {
      %nan = arith.constant 0x7FC00000 : f32
      %below = arith.cmpi slt, %j, %i : i32""").replace("attn.yield %x : f32\n  }", """%negative = arith.negf %x : f32
      %y = arith.select %below, %negative, %nan : f32
      attn.yield %y : f32
    }""")
    form = expanded(text)
    assert ("attn.invert" in form) == (length != 40)
    assert ('"i_block"' in form) == (length in (80, 128))
    K, R = np.ones((1, 1, length, 2)) + 1e-3 * RNG.standard_normal((1, 1, length, 2)), RNG.standard_normal((1, 2, length, 1))
    K, R = K.astype(np.float32), R.astype(np.float32)
    found = attnc.Spec(form).evaluate({"K": K, "R": R})["X"]
    K = K.astype(np.float64)
    expected = np.linalg.solve(np.eye(length) + np.tril(K @ K.swapaxes(2, 3), -1), R.astype(np.float64).transpose(3, 0, 2, 1))
    np.testing.assert_allclose(found.transpose(3, 0, 2, 1), expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("form", [str, expanded])
@pytest.mark.parametrize("length", [1, 8])
def test_solve(length, form):
    """Axes in any order; what is on and above the diagonal is not read."""
    b, g, d = 2, 3, 4
    K, R = 0.3 * RNG.standard_normal((b, g, length, d)), RNG.standard_normal((g, d, length, b))
    K, R = K.astype(np.float32), R.astype(np.float32)
    found = attnc.Spec(form(SOLVE.replace("SIZE", "%n"))).evaluate({"K": K, "R": R})["X"]
    K = K.astype(np.float64)
    system = np.eye(length) - np.tril(K @ K.swapaxes(2, 3), -1)
    expected = np.linalg.solve(system, R.astype(np.float64).transpose(3, 0, 2, 1))
    np.testing.assert_allclose(found.transpose(3, 0, 2, 1), expected, rtol=1e-11, atol=1e-13)


def test_solve_of_other_sizes_is_an_error():
    spec = attnc.Spec(SOLVE.replace("SIZE", "%m").replace('  attn.space "i"', '  %m = arith.constant 5 : i32\n  attn.space "i"'))
    tensors = {"K": np.zeros((1, 1, 4, 2), np.float32), "R": np.zeros((1, 2, 4, 1), np.float32)}
    with pytest.raises(attnc.AttncError, match="as many rows as columns, found 4 of `i` and 5 of `j`"):
        spec.evaluate(tensors)
