# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The rows of the catalogue, and the import of every module that registers an oracle for one of them."""
import importlib

ROWS = [f"{family}{number}" for family, count in (
    ("A", 2), ("B", 3), ("C", 13), ("D", 19), ("E", 9), ("F", 3), ("G", 2), ("H", 6), ("I", 16), ("J", 2), ("K", 8),
    ("L", 14)) for number in range(1, count + 1)]

FORMULAS = ("static", "quantized", "block_sparse", "block_prefill", "block_routed", "decode", "decode_sampling",
            "decode_cache", "clustering", "lowrank", "feature_map", "recurrence", "state_space", "elementwise",
            "two_pass", "delta", "fast_weight", "models")


def load(third_party=False):
    """Imports the formulas and, on request, the adapters to other people's implementations (these need torch)."""
    for module in FORMULAS:
        importlib.import_module(f"{__package__}.{module}")
    if third_party:
        importlib.import_module(f"{__package__}.third_party").load()
