# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Adapters: other people's implementations on the inputs of the formula oracles, run on the CPU in double precision."""
import importlib
import os

MODULES = ("torch_flex", "fla_naive", "lucidrains", "small_packages", "hf_attention", "hf_state_space", "sage_interpreted",
           "second_forms", "second_selections", "second_decode",
           "second_prefill")


def load():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # must be set before anything imports Triton
    for module in MODULES:
        importlib.import_module(f"{__package__}.{module}")
