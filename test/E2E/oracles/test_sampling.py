# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The sampling rows in expectation: averaged over many draws, each estimator approaches what it estimates."""
import numpy as np

from . import catalogue, core, decode_sampling

catalogue.load()


def test_magic_pig_is_nearly_unbiased():
    """Sum of e^x v / u over the collisions has the mean sum of e^x v, but for the 1e-4 in the denominator."""
    case = core.make_case("D6", "tiny")
    got, want = decode_sampling.mean_magic_pig(case, np.random.default_rng(0), 3000)
    assert core.relative_error(got, want) < 0.05


def test_oracle_sampling_is_unbiased():
    """The inverse of the cumulative sum hits each index as often as its probability says."""
    p = core.softmax(np.random.default_rng(1).standard_normal(20))
    index = decode_sampling.inverse_cdf(p, np.random.default_rng(2).random(40000) * 0.999 + 5e-4)
    assert np.abs(np.bincount(index, minlength=20) / 40000 - p).max() < 0.01


def test_uniform_sampling_is_unbiased():
    rng = np.random.default_rng(3)
    values = np.exp(rng.standard_normal(50))
    assert abs(decode_sampling.mean_uniform(values, rng.random((20000, 8))) / values.sum() - 1) < 0.01
