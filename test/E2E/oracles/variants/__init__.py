# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Oracles of the variants beside the catalogue: one formula for each spec of `specs/` that names no row of it.

`@variant("delta/comba")` registers f(rng, size) -> Case for specs/delta/comba.attn. As for rows of the catalogue, the formulas are
transcribed in float64 NumPy, mostly in another form than the spec's (dense masks in place of sets, unrolled sums in place of
states), and know nothing of the compiler.
"""
import importlib
import zlib

import numpy as np

VARIANTS = {}
FORMULAS = ("masks", "scores", "weights", "sparse", "models", "recurrent", "delta")


def variant(path):
    def register(function):
        assert path not in VARIANTS, path
        VARIANTS[path] = function
        return function

    return register


def load():
    for module in FORMULAS:
        importlib.import_module(f"{__package__}.{module}")


def make_case(path, size, seed=0):
    """The same (path, size, seed) always gives the same case."""
    return VARIANTS[path](np.random.default_rng([seed, zlib.crc32(f"{path}/{size}".encode())]), size)
