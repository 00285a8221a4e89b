# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The low-bit encoders against ml_dtypes: every code decodes alike, and random, tied and tiny numbers encode alike."""
import numpy as np
import pytest

from . import numerics

ml_dtypes = pytest.importorskip("ml_dtypes")
TYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "e2m1": ml_dtypes.float4_e2m1fn}


@pytest.mark.parametrize("name", TYPES)
def test_decode(name):
    exponent, mantissa, _, _ = numerics.FORMATS[name]
    codes = np.arange(1 << (1 + exponent + mantissa), dtype=np.uint8)
    want = codes.view(TYPES[name]).astype(np.float64)
    finite = np.isfinite(want)
    got = numerics.decode(codes[finite], name)
    assert np.array_equal(got, want[finite]) and np.array_equal(np.signbit(got), np.signbit(want[finite]))


@pytest.mark.parametrize("name", TYPES)
def test_encode(name):
    rng = np.random.default_rng(0)
    exponent, mantissa, bias, top = numerics.FORMATS[name]
    values = numerics.decode(np.arange(numerics.encode(top, name) + 1), name)
    ties = (values[1:] + values[:-1]) / 2
    ties = ties.astype(np.float32)  # ml_dtypes rounds float64 through float32; ours rounds once
    x = np.concatenate([values, ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf)),
                        rng.standard_normal(20000) * top / 3, rng.standard_normal(20000) * 2.0 ** (1 - bias), [0.0]])
    x = np.concatenate([x, -x])
    x = x[np.abs(x) <= top].astype(np.float32)
    assert np.array_equal(numerics.encode(x, name), x.astype(TYPES[name]).view(np.uint8))


@pytest.mark.parametrize("name", TYPES)
def test_saturates(name):
    top = numerics.FORMATS[name][3]
    assert np.array_equal(numerics.round_to([top * 1.5, -1e30, top], name), [top, -top, top])


def test_round_half_away():
    assert np.array_equal(numerics.round_half_away(np.array([0.5, -0.5, 1.49, -2.5, 0.0])), [1, -1, 1, -3, 0])
