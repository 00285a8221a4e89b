# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every plain softmax spec of the gallery, called from Python on NumPy arrays, against NumPy in float64 on the same rounded inputs."""
import attnc
import numpy as np
import pytest
from conftest import BOUNDS, assert_close, randn, values
from reference_oracle import SHAPES as REFERENCE_SHAPES, SPECS, Case, oracle


def test_gallery_is_covered():
    plain = {name for name, path in attnc.specs().items() if path.parent.name == "specs"}
    assert {f.__name__ for f in SPECS} == plain


def case_of(spec, shape, dtype):
    c = Case(shape, np.random.default_rng(7))
    q, k, v = (randn(c.rng, dtype, *s) for s in
               ((c.b, c.h, c.q, c.d), (c.b, c.g, c.kv, c.d), (c.b, c.g, c.kv, c.e)))
    spec(c)
    return c, (q, k, v), {**c.inputs, **c.params}


# Kernels want head dimensions that are multiples of 8.
SHAPES = [(*shape[:5], *(-(-dim // 8) * 8 for dim in shape[5:])) for shape in REFERENCE_SHAPES]
RUNS = [(shape, "f32") for shape in SHAPES] + [(shape, dtype) for shape in SHAPES[1:4] + SHAPES[5:6]
                                               for dtype in ("f16", "bf16")]


@pytest.mark.parametrize("shape, dtype", RUNS, ids=lambda x: x if isinstance(x, str) else "x".join(map(str, x)))
@pytest.mark.parametrize("spec", SPECS, ids=lambda f: f.__name__)
def test_kernel(spec, shape, dtype):
    c, qkv, named = case_of(spec, shape, dtype)
    # Poisoned outputs: every element has to be written.
    out = np.full((c.b, c.h, c.q, c.e), 0x7FC0 if dtype == "bf16" else np.nan, qkv[0].dtype)
    lse = np.full((c.b, c.h, c.q), np.nan, np.float32)
    result = attnc.load(spec.__name__)(*qkv, out=out, lse=lse, return_lse=True, **named)
    assert result[0] is out and result[1] is lse
    want_out, want_lse = oracle(c, *map(values, qkv))
    assert_close(values(out), want_out, BOUNDS[dtype])
    assert_close(lse, want_lse, BOUNDS["f32"])


@pytest.mark.parametrize("spec", SPECS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_reference(spec, dtype):
    c, qkv, named = case_of(spec, SHAPES[1], dtype)
    out, lse = attnc.load(spec.__name__).reference(*qkv, return_lse=True, **named)
    assert out.dtype == lse.dtype == np.float64
    want_out, want_lse = oracle(c, *map(values, qkv))
    np.testing.assert_allclose(out, want_out, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(lse, want_lse, rtol=1e-11, atol=1e-11)
