# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Holds the tensors that steps.attn computes on its way against each other by their formulas.

    check_dumps.py doubled.npy keys.npy bias.npy weights.npy out.npy
"""
import sys

import numpy as np

doubled, keys, bias, weights, out = (np.load(path).astype(np.float64) for path in sys.argv[1:])
assert np.allclose(bias, doubled @ keys.swapaxes(-1, -2) * 3.0 * 0.01, atol=1e-5)
scores = doubled / 2 @ keys.swapaxes(-1, -2) / np.sqrt(keys.shape[-1]) + bias
distance = np.arange(20)[:, None] - np.arange(20)[None, :]
scores = np.where((distance >= 0) & (distance < 9), scores, -np.inf)
expected = np.exp(scores - scores.max(-1, keepdims=True))
expected /= expected.sum(-1, keepdims=True)
assert np.allclose(weights, expected, atol=1e-5), np.abs(weights - expected).max()
assert weights.shape == (1, 4, 20, 20) and out.shape == (1, 4, 20, 64)
