# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs of the catalogue against oracles that know nothing of this compiler.

A spec of `specs/` that has a line `// Catalogue: ROW` is the spec of that row. It is run by the reference interpreter on the row's
case (test/E2E/oracles): every input and every number among the parameters of the case must be declared by the spec under its
name, and every output of the case that the spec declares must agree within the bound of the case.

    python -m pytest test/E2E/test_catalogue.py              # needs NumPy
    python test/E2E/test_catalogue.py ROW [SIZE]             # one row, with the error of each output
"""
import pathlib
import re
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "python")]

import attnc  # noqa: E402
from oracles import catalogue, core  # noqa: E402

catalogue.load()


def spec_files():
    """Row -> file, for every spec that names its row."""
    found = {}
    for file in sorted((ROOT / "specs").rglob("*.attn")):
        for row in re.findall(r"^// Catalogue: (\S+)", file.read_text(), re.M):
            assert row not in found, f"{row}: both {found[row]} and {file}"
            found[row] = file
    return found


SPECS = spec_files()


def errors_of(row, size, seed=0):
    """Error of each output, relative to the norm of what is expected (Frobenius), and the bound."""
    case = core.make_case(row, size, seed)
    spec = attnc.load(SPECS[row])
    missing = set(case.inputs) - set(spec.inputs)
    assert not missing, f"{row}: the spec has no inputs {sorted(missing)}"
    numbers = {name: value for name, value in case.params.items()
               if isinstance(value, (int, float, np.number)) and not isinstance(value, bool)}
    missing = set(numbers) - set(spec.params)
    assert not missing, f"{row}: the spec has no parameters {sorted(missing)}"
    # The language has ints of 32 bits.
    inputs = {name: array.astype(np.int32) if array.dtype.kind in "iu" else array for name, array in case.inputs.items()}
    outputs = spec.evaluate(inputs, {name: float(value) for name, value in numbers.items()})
    errors = {}
    for name, expected in case.outputs.items():
        if name not in outputs:
            continue
        found = outputs[name]
        expected = np.asarray(expected, np.float64)
        assert found.shape == expected.shape, f"{row}: {name} has shape {found.shape}, expected {expected.shape}"
        finite = np.isfinite(expected)
        assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), f"{row}: {name}: infinities differ"
        norm = np.linalg.norm(expected[finite])
        errors[name] = float(np.linalg.norm((found - expected)[finite]) / (norm if norm else 1.0))
    assert "out" in errors or "out" not in case.outputs, f"{row}: the spec does not yield `out`"
    assert errors, f"{row}: no output of the case is an output of the spec"
    return errors, case.bound


def bound_of(row, bound):
    """Literals of a spec are f32 numbers, so a formula with other constants agrees to about 1e-8 at best."""
    return max(bound, 1e-7)


@pytest.mark.parametrize("size", core.SIZES)
@pytest.mark.parametrize("row", sorted(SPECS, key=catalogue.ROWS.index))
def test_row(row, size):
    if size not in core.formula(row).sizes:
        pytest.skip("the row has no case of this size")
    errors, bound = errors_of(row, size)
    for name, error in errors.items():
        assert error <= bound_of(row, bound), f"{row} {size}: {name} differs by {error:.3g}, more than {bound:.3g}"


def test_catalogue_is_complete():
    missing = [row for row in catalogue.ROWS if row not in SPECS]
    assert not missing, f"no spec for {len(missing)} rows: {' '.join(missing)}"


if __name__ == "__main__":
    wanted = sys.argv[2:] or core.formula(sys.argv[1]).sizes
    for size in wanted:
        errors, bound = errors_of(sys.argv[1], size)
        print(sys.argv[1], size, {name: f"{error:.2g}" for name, error in errors.items()}, f"bound {bound:g}")
