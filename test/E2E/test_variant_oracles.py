# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs of the gallery that are in no catalogue, on the reference against the formulas of test/E2E/oracles/variants.

    python -m pytest test/E2E/test_variant_oracles.py        # needs NumPy
    python test/E2E/test_variant_oracles.py delta/comba      # one spec, with the error of each output
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
from oracles import core, variants  # noqa: E402

variants.load()

# Literals of a spec are f32 numbers, so a formula with other constants agrees to about 1e-8 at best.
BOUND = 1e-7


def errors_of(path, size, seed=0):
    """Error of each output, relative to the norm of what is expected (Frobenius); of ints and conditions, 0 or inf."""
    case = variants.make_case(path, size, seed)
    spec = attnc.load(ROOT / "specs" / f"{path}.attn")
    assert set(case.inputs) == set(spec.inputs), f"{path}: the spec has the inputs {sorted(spec.inputs)}"
    outputs = spec.evaluate(case.inputs, {name: float(value) for name, value in case.params.items()})
    assert set(case.outputs) == set(outputs), f"{path}: the spec has the outputs {sorted(outputs)}"
    errors = {}
    for name, expected in case.outputs.items():
        found = outputs[name]
        assert found.shape == expected.shape, f"{path}: {name} has shape {found.shape}, expected {expected.shape}"
        if expected.dtype.kind in "bi":
            errors[name] = 0.0 if (found == expected).all() else np.inf
            continue
        finite = np.isfinite(expected)
        assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), f"{path}: {name}: infinities differ"
        norm = np.linalg.norm(expected[finite])
        assert norm > 0, f"{path}: {name} is all zeros, which tells nothing"
        errors[name] = float(np.linalg.norm(found[finite] - expected[finite]) / norm)
    return errors


@pytest.mark.parametrize("size", core.SIZES)
@pytest.mark.parametrize("path", sorted(variants.VARIANTS))
def test_variant(path, size):
    for name, error in errors_of(path, size).items():
        assert error <= BOUND, f"{path} {size}: {name} differs by {error:.3g}"


def test_every_variant_has_an_oracle():
    """Specs that name a row of the catalogue are test_catalogue.py's; five have tests of their own in test_variants.py."""
    files = {str(file.relative_to(ROOT / "specs").with_suffix("")): file.read_text() for file in (ROOT / "specs").glob("*/*.attn")}
    outside = {path for path, text in files.items() if not re.search("^// Catalogue: ", text, re.M)}
    own = re.findall(r"^def test_(\w+)", (HERE / "test_variants.py").read_text(), re.M)
    assert outside == set(variants.VARIANTS) | {f"variants/{name}" for name in own}


if __name__ == "__main__":
    for size in core.SIZES:
        print(sys.argv[1], size, {name: f"{error:.2g}" for name, error in errors_of(sys.argv[1], size).items()})
