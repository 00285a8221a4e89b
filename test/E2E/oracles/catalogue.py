# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The rows of the catalogue, and the import of every module that registers an oracle for one of them."""
import importlib

from .core import REGISTRY, make_case

ROWS = [f"{family}{number}" for family, count in (
    ("A", 2), ("B", 3), ("C", 13), ("D", 19), ("E", 9), ("F", 3), ("G", 2), ("H", 6), ("I", 16), ("J", 2), ("K", 8),
    ("L", 14)) for number in range(1, count + 1)]

FORMULAS = ("static", "quantized", "block_sparse", "block_prefill", "block_routed", "decode", "decode_sampling",
            "decode_cache", "clustering", "lowrank", "feature_map", "recurrence", "state_space", "elementwise",
            "two_pass", "delta", "fast_weight", "models")


def table():
    """The table of README.md: one line per oracle."""
    lines = ["| row | kind | function | outputs checked | source |", "| --- | --- | --- | --- | --- |"]
    for row in ROWS:
        for o in REGISTRY[row]:
            case = make_case(row, o.sizes[0])
            names = case.outputs if o.kind == "formula" else o.function(case)
            where = f"{o.function.__module__.split('oracles.')[1]}.{o.function.__name__}"
            lines.append(f"| {row} | {o.kind} | `{where}` | {', '.join(names)} | {o.source} |")
    return "\n".join(lines)


def load(third_party=False):
    """Imports the formulas and, on request, the adapters to other people's implementations (these need torch)."""
    for module in FORMULAS:
        importlib.import_module(f"{__package__}.{module}")
    if third_party:
        importlib.import_module(f"{__package__}.third_party").load()


if __name__ == "__main__":
    # As a program this file is another module than the one that the oracles register with: print through that one.
    catalogue = importlib.import_module(f"{__package__}.catalogue")
    catalogue.load(third_party=True)
    print(catalogue.table())
