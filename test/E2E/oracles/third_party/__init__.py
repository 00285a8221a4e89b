# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Adapters: other people's implementations on the inputs of the formula oracles, run on the CPU in double precision."""
import importlib

MODULES = ("torch_flex", "fla_naive", "lucidrains", "small_packages", "hf_attention", "hf_state_space")


def load():
    for module in MODULES:
        importlib.import_module(f"{__package__}.{module}")
