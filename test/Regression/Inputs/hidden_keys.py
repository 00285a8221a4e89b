# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""K, V and lengths of 5 and 66 of 90 keys: V is NaN behind them, K is NaN or infinite."""
import pathlib
import sys

import numpy as np

folder, rng = pathlib.Path(sys.argv[1]), np.random.default_rng(2)
length = np.array([5, 66], np.int32)
K, V = (rng.standard_normal((2, 4, 90, 64)).astype(np.float32) for _ in "KV")
for b, count in enumerate(length):
    V[b, :, count:] = np.nan
    K[b, :, count:] = np.nan if b else np.inf
for name, array in {"K": K, "V": V, "length": length}.items():
    np.save(folder / f"{name}.npy", array)
