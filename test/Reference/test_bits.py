# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators on bits, against NumPy on int32, which has the same meaning for every count of a shift."""
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("ATTNC_SPEC", str(ROOT / "build" / "bin" / "attnc-spec"))

# Of x[b] and y[b]; NumPy has Python's precedence.
FORMULAS = ["x & y", "x | y", "x ^ y", "~x", "x << y", "x >> y", "x & y | ~x ^ y", "x | y ^ x & y", "x + y & x - y", "~x & -y",
            "-~x", "~-y", "x << 31", "x >> 31", "x << 0", "x >> 0", "x & 7 << 2", "1 << y", "-1 >> y", "x >> y << y", "~~y"]
# Comparisons bind looser.
CONDITIONS = ["x & 3 == y & 3", "x | 1 != y", "x << 2 < y >> 1", "x ^ y >= 0"]
NUMBERS = np.array([0, 1, -1, 2, 3, 5, 31, 32, 33, 64, -2, -31, -32, 255, -256, 65535, 2**30, 2**31 - 1, -2**31, -2**31 + 1,
                    1431655765, -1431655766], np.int32)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bits")
    x, y = (a.ravel() for a in np.meshgrid(NUMBERS, NUMBERS))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    every = FORMULAS + [f"i32({condition})" for condition in CONDITIONS]
    text = "".join(f"  output r{i}[b] = {formula}\n" for i, formula in enumerate(every))
    (folder / "spec.attn").write_text(f"attention bits {{\n  input x: i32[b], y: i32[b]\n{text}}}\n")
    command = [TOOL, "--reference", str(folder / "spec.attn"), "--input", f"x={folder}/x.npy", "--input", f"y={folder}/y.npy"]
    for i in range(len(every)):
        command += ["--output", f"r{i}={folder}/r{i}.npy"]
    subprocess.run(command, check=True)
    return {"x": x, "y": y}, [np.load(folder / f"r{i}.npy") for i in range(len(every))]


@pytest.mark.parametrize("formula", FORMULAS)
def test_formula(found, formula):
    names, results = found
    with np.errstate(over="ignore"):
        expected = eval(formula, dict(names))  # numbers that are written are int32 beside arrays of int32
    result = results[FORMULAS.index(formula)]
    np.testing.assert_array_equal(result, np.broadcast_to(expected, result.shape))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition(found, condition):
    names, results = found
    expected = eval(condition, dict(names))
    np.testing.assert_array_equal(results[len(FORMULAS) + CONDITIONS.index(condition)], expected.astype(np.int32))
