# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Arrays of JAX and CuPy, which come in through DLPack. Skipped where the package, or a GPU for CuPy, is not there."""
import attnc
import numpy as np
import pytest
from conftest import assert_close


def qkv(dtype=np.float32):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((2, 4, 9, 8)).astype(dtype) for _ in range(3)]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float16", 1e-3), ("bfloat16", 1e-2)])
def test_jax(dtype, tolerance):
    jax = pytest.importorskip("jax")
    arrays = [jax.device_put(x, jax.devices("cpu")[0]).astype(dtype) for x in qkv()]
    causal = attnc.load("causal")
    out = causal(*arrays, out=np.empty((2, 4, 9, 8), np.float32)) if dtype == "float32" else causal(*arrays)
    found = np.asarray(jax.numpy.asarray(out), np.float32) if not isinstance(out, np.ndarray) else out
    if found.dtype == np.uint16:  # bf16, which NumPy does not have, is its bits
        found = (found.astype(np.uint32) << 16).view(np.float32)
    expected = causal.reference(*(np.asarray(x.astype("float32")) for x in arrays))
    assert_close(found.astype(np.float32), expected, tolerance)


def test_jax_arrays_are_no_outputs():
    """They never change: one is refused as `out`, and nothing is written to it."""
    jax = pytest.importorskip("jax")
    result = jax.numpy.zeros((2, 4, 9, 8))
    with pytest.raises(attnc.ArgumentError):
        attnc.load("causal")(*(jax.numpy.asarray(x) for x in qkv()), out=result)
    assert not np.asarray(result).any()


def test_cupy():
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("no GPU")
    arrays = [cupy.asarray(x) for x in qkv()]
    out = cupy.empty((2, 4, 9, 8), cupy.float32)
    attnc.load("causal")(*arrays, out=out)
    assert_close(cupy.asnumpy(out), attnc.load("causal").reference(*qkv()), 1e-5)
