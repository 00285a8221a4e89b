# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the tests of the package share: the package of this checkout, a code cache of their own, the oracle."""
import importlib.util
import os
import pathlib
import sys
import tempfile

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
_cache = tempfile.TemporaryDirectory(prefix="attnc-python-tests-")
os.environ["ATTNC_CACHE_DIR"] = _cache.name

# The NumPy transcriptions of the papers' formulas, written for the reference's own test.
_module = importlib.util.spec_from_file_location("reference_oracle", ROOT / "test" / "Reference" / "test_gallery.py")
oracle = importlib.util.module_from_spec(_module)
_module.loader.exec_module(oracle)
sys.modules["reference_oracle"] = oracle


def randn(rng, dtype, *shape):
    """Standard normal values in one of our dtypes; bf16 as bits."""
    import attnc
    values = rng.standard_normal(shape).astype(np.float32)
    return attnc.to_bf16(values) if dtype == "bf16" else values.astype({"f32": np.float32, "f16": np.float16}[dtype])


def values(array):
    """The numbers in an array, in float64; uint16 holds bfloat16."""
    import attnc
    return (attnc.from_bf16(array) if array.dtype == np.uint16 else array).astype(np.float64)


# Relative Frobenius error of a whole tensor, from docs/Testing.md.
BOUNDS = {"f32": 1e-6, "f16": 1e-3, "bf16": 5e-3}


def assert_close(found, wanted, bound):
    """Relative Frobenius error; what is infinite must be so on both sides."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite])
    error = np.linalg.norm(found[finite] - wanted[finite])
    assert error <= bound * np.linalg.norm(wanted[finite]), f"relative error {error / np.linalg.norm(wanted[finite])}"


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def qkv(rng):
    """Small f32 operands, 2 query heads for each kv head."""
    return tuple(rng.standard_normal(s).astype(np.float32) for s in ((2, 4, 9, 16), (2, 2, 13, 16), (2, 2, 13, 8)))
