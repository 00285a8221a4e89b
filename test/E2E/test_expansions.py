# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What attn-expand-* write is what the ops mean where numbers are awkward: ties, NaN, infinities, zeros of both signs, half-way numbers.

rewrites.py holds the same against each other with random numbers, on the gallery and on random specs. Here every result is equal, bit for bit,
but for the sign of zeros and the last digits of exponentials.
"""
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]

import attnc  # noqa: E402
from kernel_outputs import EXECUTORS, outputs  # noqa: E402

OPTIONS = [f"--attn-expand-{what}" for what in ("softmax", "merge", "quantize", "orders")]
INF, NAN = np.inf, np.nan


def run(tool, *arguments, text):
    return subprocess.run([ROOT / "build/bin" / tool, *arguments], input=text, capture_output=True, text=True, check=True).stdout


def both(text, inputs):
    """The outputs of a spec, or of what is attn already, as it is and behind the expansions, which leave none of their ops but for cumsum, of
    which some have a kernel."""
    module = text if text.startswith("attn.") else run("attnc-spec", "--emit-attn", "-", text=text)
    expanded = run("attnc-opt", *OPTIONS, text=module)
    for op in ("softmax", "merge", "quantize", "rank", "order"):
        assert f"attn.{op} " not in expanded and f"attn.{op}(" not in expanded
    inputs = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
    return attnc.Spec(module).evaluate(inputs), attnc.Spec(expanded).evaluate(inputs)


def check(text, inputs, tolerance=0.0):
    before, after = both(text, inputs)
    for name, expected in before.items():
        np.testing.assert_allclose(after[name], expected, rtol=tolerance, atol=0, err_msg=name)
    return before


def check_kernels(folder, text, inputs, expected):
    """What kernels make of it is equal, where its arithmetic is exact. Kernels give 0 for subnormal results, and a GPU takes such operands as 0."""
    inputs = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
    isNormal = all((np.abs(value[np.isfinite(value) & (value != 0)]) >= 2.0**-126).all() for value in inputs.values())
    for device in EXECUTORS if isNormal else ["host"]:
        found = outputs(folder, text, inputs, expected, device)
        for name, value in expected.items():
            flushed = (np.abs(value) < 2.0**-126) & (found[name] == 0)
            value = np.where(flushed, 0, value).astype(found[name].dtype)
            np.testing.assert_array_equal(found[name], value, err_msg=f"{name} on {device}")


ROWS = np.array([[[1, 2, 2, -3, 0.5]], [[-INF, 0, -0.0, NAN, 0]], [[-INF] * 5], [[INF, 1, INF, -INF, 1]], [[NAN, NAN, 1, NAN, -INF]],
                 [[3e38, -3e38, 1e-45, -1e-45, 0]], [[-INF, -INF, -1e4, -INF, -INF]]])


def test_softmax():
    before = check("""attention v() {
      input x: f32[b, q, kv]
      output w[b, q, kv] = softmax(x over kv)
    }""", {"x": ROWS}, 1e-15)
    assert (before["w"][2] == 0).all() and before["w"][6, 0, 2] == 1


@pytest.mark.parametrize("element", ["f32", "int"])
def test_orders(tmp_path, element):
    rows = ROWS if element == "f32" else np.where(np.isfinite(ROWS), np.clip(ROWS, -9, 9), 4).round()
    text = f"""attention v() {{
      input x: f32[b, q, kv]
      let y[b, q, kv] = {'x' if element == 'f32' else 'i32(x)'}
      output r[b, q, kv] = rank(y over kv)
      output o[b, q, kv] = order(y over kv)
      output c[b, q, kv] = cumsum(y over kv)
    }}"""
    before = check(text, {"x": rows})
    if element == "f32":
        check_kernels(tmp_path, text, {"x": np.delete(rows, 5, 0)}, {name: np.delete(before[name], 5, 0) for name in ("r", "o")})
    check_kernels(tmp_path, text, {"x": rows}, {name: before[name] for name in ("r", "o")} if element == "f32" else before)
    for ranks, order in zip(before["r"][:, 0], before["o"][:, 0]):
        assert sorted(ranks) == [0, 1, 2, 3, 4] and (ranks[order.astype(int)] == np.arange(5)).all()


def test_rows_of_any_length():
    for length in (0, 1, 33):
        rows = np.random.default_rng(length).integers(-3, 4, (2, 1, length)) / 4
        check("""attention v() {
          input x: f32[b, q, kv]
          output w[b, q, kv] = softmax(x over kv)
          output r[b, q, kv] = rank(x over kv)
          output o[b, q, kv] = order(x over kv)
          output c[b, q, kv] = cumsum(x over kv)
        }""", {"x": rows}, 1e-15)


@pytest.mark.parametrize("shape,axes,along", [((3, 21, 70), "b, q, kv", "kv"), ((3, 21, 70), "b, q, kv", "q"), ((40, 21, 7), "b, q, kv", "b"),
                                              ((70, 3), "kv, b", "kv"), ((70,), "kv", "kv"), ((2, 0), "b, kv", "kv"), ((2, 33, 1, 5), "b, h, q, kv", "h")])
def test_cumsum(tmp_path, shape, axes, along):
    """Sums of quarters are exact; behind an infinity or NaN all are."""
    rng = np.random.default_rng(len(shape))
    x = rng.integers(-8, 9, shape) / 4
    x.flat[1:2], x.flat[5:6], x.flat[8:9] = INF, -INF, NAN
    text = f"""attention v() {{
      input x: f32[{axes}]
      let whole[{axes}] = i32(x)
      output sums[{axes}] = cumsum(x over {along})
      output ints[{axes}] = cumsum(if abs(x) < 9.0 then whole else 2147483647 over {along})
    }}"""
    check_kernels(tmp_path, text, {"x": x}, check(text, {"x": x}))


FORMATS = {"int8": 127, "int4": 7, "f8E4M3": 448, "f8E5M2": 57344, "f4E2M1": 6, "f16": 65504, "bf16": 2.0**127, "f32": 2.0**127}


def awkward_numbers():
    """Numbers around those of formats and half-way between them, of all magnitudes."""
    steps = np.arange(1, 34) / 2
    around = np.concatenate([np.nextafter(steps, 0, dtype=np.float32), steps, np.nextafter(steps, 99, dtype=np.float32)])
    powers = np.exp2(np.r_[-149:-125, -40:20, 100:128].astype(np.float64))
    with np.errstate(over="ignore"):
        numbers = (around[:, None] * powers).astype(np.float32).ravel()
    halves = np.arange(-300, 300) / 2
    return np.concatenate([numbers, -numbers[::7], halves, [0, -0.0, INF, -INF, NAN, 448, 464, 465, 65504, 65519, 65520, 3.4e38]])


@pytest.mark.parametrize("rounding", ["half_even", "half_away"])
@pytest.mark.parametrize("format", FORMATS)
def test_rounding(tmp_path, format, rounding):
    """Every number by itself: formats with a scale take one of 1."""
    scale = "" if format in ("f16", "bf16", "f32") else "static 1"
    text = f"""attention v() {{
      input x: f32[kv]
      let y[kv] = x
      quantize y as {format} {scale} round {rounding}
      output z[kv] = y
    }}"""
    before = check(text, {"x": awkward_numbers()})
    check_kernels(tmp_path, text, {"x": awkward_numbers()}, before)
    normal = awkward_numbers()
    normal = normal[~(np.abs(normal) < 2.0**-126) | (normal == 0)]
    check_kernels(tmp_path, text, {"x": normal}, check(text, {"x": normal}))
    assert np.nanmax(np.abs(before["z"])) >= FORMATS[format]


GROUPS = ["[b, q]", "[b, q / 3]", "[b]", "[b, q % 2]", "[q / 2, q % 2, d / 3]", "[(b + q) / 2]", "[q, b, d]", "[]", "[d / 2]"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("format", ["int8", "int8 asymmetric", "int4 round half_away", "f8E4M3 scale f8E4M3", "f8E5M2 scale bf16 epsilon 1.0e-3",
                                    "f4E2M1 scale f16"])
def test_groups(format, group):
    name, _, options = format.partition(" ")
    text = f"""attention v(n: int = 3) {{
      input x: f32[b, q, d]
      let y[b, q, d] = x
      let z[b, q, d] = x
      quantize y as {name} per {group} {options}
      quantize z as {name} per [b, q] {options} smooth per {group}
      output rounded[b, q, d] = y
      output smooth[b, q, d] = z
    }}"""
    rng = np.random.default_rng(0)
    check(text, {"x": rng.normal(size=(2, 7, 5))}, 1e-15)
    if "smooth" not in options:
        grid = rng.integers(-8, 9, (2, 7, 5)) / 4
        grid[0, 3] = 0
        odd = grid.copy()
        odd[0, 0, 1], odd[1, 2, 3], odd[1, 5, 4], odd[1, 6] = NAN, INF, -INF, NAN
        for numbers in (grid, odd):
            both_rounded = both(text, {"x": numbers})
            np.testing.assert_array_equal(both_rounded[1]["rounded"], both_rounded[0]["rounded"])


def test_blocks_of_a_parameter():
    """Blocks become a declared space, which has an extent of at least 1."""
    text = """attention v(n: int = 3) {
      input x: f32[b, q, d]
      let y[b, q, d] = x
      quantize y as int8 per [b, q / n]
      output z[b, q, d] = y
    }"""
    x = np.random.default_rng(1).normal(size=(2, 7, 5)).astype(np.float32)
    check(text, {"x": x}, 1e-15)
    expanded = run("attnc-opt", *OPTIONS, text=run("attnc-spec", "--emit-attn", "-", text=text))
    with pytest.raises(attnc.AttncError, match="`q_blocks` needs blocks and strides of at least one index, found 0"):
        attnc.Spec(expanded).evaluate({"x": x}, {"n": 0})


@pytest.mark.parametrize("lses", [(0, 0), (-INF, 1), (-INF, -INF), (NAN, 1), (INF, 0), (1e4, 9.9e3), (-1e30, -INF)])
def test_merge(lses):
    module = """attn.variant @v {
      %o1 = attn.input "o1" : !attn.tensor<[b, e], f32>
      %o2 = attn.input "o2" : !attn.tensor<[b, e], f32>
      %l1 = attn.input "l1" : !attn.tensor<[b], f32>
      %l2 = attn.input "l2" : !attn.tensor<[b], f32>
      %out, %lse = attn.merge(%o1, %o2)(%l1, %l2) : (!attn.tensor<[b, e], f32>, !attn.tensor<[b, e], f32>),
          (!attn.tensor<[b], f32>, !attn.tensor<[b], f32>) -> !attn.tensor<[b, e], f32>, !attn.tensor<[b], f32>
      attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, e], f32>, !attn.tensor<[b], f32>)
    }"""
    rng = np.random.default_rng(2)
    outs = rng.normal(size=(2, 2, 3))
    for branch, lse in enumerate(lses):
        if lse == -INF:
            outs[branch] = NAN  # what a branch without keys holds does not matter
    check(module, {"o1": outs[0], "o2": outs[1], "l1": [lses[0]] * 2, "l2": [lses[1]] * 2}, 1e-15)
