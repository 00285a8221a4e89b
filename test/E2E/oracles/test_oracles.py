# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the oracles against each other: every row has a formula, and other people's implementations agree with it.

Run from test/E2E:  python -m pytest oracles/test_oracles.py -q -s   (-s prints the table row -> kinds).
Without torch the third-party checks are reported as one skipped test; the requirements are in requirements.txt.
"""
import importlib.util
import json
import pathlib

import numpy as np
import pytest

from . import catalogue, core, export

HAVE_TORCH = importlib.util.find_spec("torch") is not None
catalogue.load(third_party=HAVE_TORCH)
ROWS = [(row, size) for row in catalogue.ROWS for size in core.SIZES]
OTHERS = [(row, other, size) for row in catalogue.ROWS for other in core.REGISTRY.get(row, ())
          if other.kind != "formula" for size in other.sizes]


def name_of(value):
    return value.function.__name__ if isinstance(value, core.Oracle) else str(value)


def test_every_row_has_one_formula():
    assert sorted(core.REGISTRY) == sorted(catalogue.ROWS)
    for row in catalogue.ROWS:
        core.formula(row)


@pytest.mark.parametrize("row, size", ROWS)
def test_case(row, size):
    """Inputs are exact in single precision, outputs are numbers and not trivial, and a seed fixes the case."""
    case, again = core.make_case(row, size), core.make_case(row, size)
    for name, value in case.inputs.items():
        assert value.dtype in (np.float32, np.int64, np.int32, np.int8, np.uint8, np.bool_), name
        assert np.array_equal(value, again.inputs[name]), name
        if value.dtype == np.float32:
            assert np.isfinite(value).all(), name
    for name, value in case.outputs.items():
        assert np.array_equal(value, again.outputs[name]), name
        assert not np.isnan(value).any() and not (value == np.inf).any(), name
        if value.dtype == np.float64 and not name.startswith("lse"):
            assert np.isfinite(value).all() and np.ptp(value) > 0, name
        if value.dtype == np.bool_:
            assert value.any() and not value.all(), f"{name}: the selection selects nothing or everything"


def test_seeds_differ():
    first, second = core.make_case("A1", "tiny", 0), core.make_case("A1", "tiny", 1)
    assert not np.array_equal(first.inputs["Q"], second.inputs["Q"])


@pytest.mark.skipif(HAVE_TORCH, reason="torch is here")
def test_third_party_is_missing():
    pytest.skip("torch is not installed: no third-party implementation was run")


@pytest.mark.parametrize("row, other, size", OTHERS, ids=name_of)
def test_agreement(row, other, size):
    """A second implementation gives the formula's outputs within the bound that it promises."""
    case = core.make_case(row, size)
    results = other.function(case)
    assert results, "the adapter returned nothing"
    for name, value in results.items():
        assert core.relative_error(value, case.outputs[name]) <= other.bound, name


def test_comparison_can_fail():
    """The comparison notices a wrong number, a wrong shape and a misplaced infinity."""
    want = np.array([1.0, 2.0, -np.inf])
    assert core.relative_error(want, want) == 0
    for wrong in ([1.0, 2.001, -np.inf], [1.0, 2.0, 3.0], [1.0, 2.0, np.nan]):
        assert core.relative_error(np.array(wrong), want) > 1e-6
    assert core.relative_error(want[:2], want) == np.inf


@pytest.mark.skipif(not HAVE_TORCH, reason="the second computations need torch")
def test_every_row_has_a_second_computation():
    """Somebody else's implementation or another form of the formula; the wide comparison of low bits does not count."""
    for row in catalogue.ROWS:
        assert {o.kind for o in core.REGISTRY[row]} & {"third-party", "second-form"}, row


@pytest.mark.parametrize("row", catalogue.ROWS)
def test_export(row, tmp_path):
    """A case survives the trip through files: arrays as they are, parameters as JSON."""
    case = core.make_case(row, "tiny")
    export.write(case, tmp_path, row=row)
    for part in ("inputs", "outputs"):
        for name, value in getattr(case, part).items():
            back = np.load(tmp_path / part / f"{name}.npy")
            assert back.dtype == value.dtype and np.array_equal(back, value), name
    assert json.loads((tmp_path / "case.json").read_text())["row"] == row


@pytest.mark.skipif(not HAVE_TORCH, reason="the table names the third-party oracles, which need torch")
def test_readme_has_the_table():
    """README.md holds the table as `python -m oracles.catalogue` prints it."""
    assert catalogue.table() in (pathlib.Path(__file__).parent / "README.md").read_text()


def test_print_table():
    counts = {}
    for row in catalogue.ROWS:
        kinds = sorted({o.kind for o in core.REGISTRY[row]})
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
        print(f"{row:4} {', '.join(kinds):32} {'; '.join(o.source for o in core.REGISTRY[row])}")
    print("rows per kind:", counts)
    assert counts["formula"] == len(catalogue.ROWS)
