#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Recurrences on the host: attnc step by step and by chunks against the PyTorch code of flash-linear-attention, one thread.

    pip install torch==2.13.0 einops
    pip download --no-deps fla-core==0.6.0 && python -m zipfile -e fla_core-0.6.0-py3-none-any.whl fla
    PYTHONPATH=python ATTNC_LIBRARY=build/lib/libattnc.so bench/host_recurrences.py --fla fla [--json results.json]

A row is one recurrence over all steps of a sequence. All functions take turns within a round; times are CPU time of the one thread, and
figures are medians over rounds, ratios within a round. The package has two or three forms of each recurrence (`naive_*` in ops/*/naive.py); the
fastest is what a ratio is to. Before a shape is timed, all compute the same tensors and must agree.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["ATTNC_NUM_THREADS"] = "1"
import torch
import torch.nn.functional as F

import attnc

SPECS = {
    "retention": """
recurrence retention {
  input G: f32[h]
  state S[d, e]
  S = exp(G) * S + K * V
  out sum(S * Q for d) / sqrt(size(d))
}""",
    "simple_gla": """
recurrence simple_gla {
  input G: f32[b, h, t]
  state S[d, e]
  S = exp(G) * S + K * V
  out sum(S * Q for d) / sqrt(size(d))
}""",
    "gla": """
recurrence gla {
  input G: f32[b, h, t, d]
  state S[d, e]
  S = exp(G) * S + K * V
  out sum(S * Q for d) / sqrt(size(d))
}""",
    "gated_delta_rule": """
recurrence gated_delta_rule {
  input G: f32[b, h, t], Beta: f32[b, h, t]
  state S[d, e]
  S = exp(G) * S
  S = S + Beta * K * (V - sum(S * K for d))
  out sum(S * Q for d) / sqrt(size(d))
}""",
    "kda": """
recurrence kda {
  input G: f32[b, h, t, d], Beta: f32[b, h, t]
  state S[d, e]
  S = exp(G) * S
  S = S + Beta * K * (V - sum(S * K for d))
  out sum(S * Q for d) / sqrt(size(d))
}""",
}
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
SAME = {"f32": 1e-3, "bf16": 2e-2}


def peers(folder):
    """The package's functions, by recurrence: each takes what its spec takes, with the step in front of the head."""
    def module(name):
        path = pathlib.Path(folder) / f"fla/ops/{name}/naive.py"
        spec = importlib.util.spec_from_file_location(f"fla_{name}", path)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    simple, gla, delta, kda = (module(name) for name in ("simple_gla", "gla", "gated_delta_rule", "kda"))

    def first(function):
        return lambda *tensors, **named: function(*tensors, **named)[0]

    simple_forms = {"recurrent": first(lambda q, k, v, G: simple.naive_recurrent_simple_gla(q, k, v, G)),
                    "chunk": first(lambda q, k, v, G: simple.naive_chunk_simple_gla(q, k, v, G))}
    return {
        "retention": simple_forms,
        "simple_gla": simple_forms,
        "gla": {"recurrent": first(lambda q, k, v, G: gla.naive_recurrent_gla(q, k, v, G))},
        "gated_delta_rule": {
            "recurrent": first(lambda q, k, v, G, Beta: delta.naive_recurrent_gated_delta_rule(q, k, v, Beta, G)),
            "chunk": first(lambda q, k, v, G, Beta: delta.naive_chunk_gated_delta_rule(q, k, v, G, Beta))},
        "kda": {"recurrent": first(lambda q, k, v, G, Beta: kda.naive_recurrent_kda(q, k, v, G, Beta)),
                "chunk": first(lambda q, k, v, G, Beta: kda.naive_chunk_kda(q, k, v, G, Beta))},
    }


def inputs_of(arguments, name, dtype):
    torch.manual_seed(0)
    shape = (1, arguments.heads, arguments.steps, arguments.dim)
    q, k, v = (torch.randn(shape) for _ in range(3))
    if name in ("gated_delta_rule", "kda"):
        k = F.normalize(k, dim=-1)
    named = {}
    if name == "retention":
        named["G"] = torch.log1p(-torch.exp2(-5 - torch.arange(arguments.heads).float()))
    elif name in ("simple_gla", "gated_delta_rule"):
        named["G"] = F.logsigmoid(torch.randn(shape[:3])) / 16
    else:
        named["G"] = F.logsigmoid(torch.randn(shape)) / 16
    if name in ("gated_delta_rule", "kda"):
        named["Beta"] = torch.rand(shape[:3])
    return [tensor.to(TYPES[dtype]) for tensor in (q, k, v)], named


def timed(function):
    start = time.thread_time()
    function()
    return time.thread_time() - start


def measure(arguments, name, dtype, forms):
    (q, k, v), named = inputs_of(arguments, name, dtype)
    spec = attnc.Spec(SPECS[name])
    functions = {}
    for label, chunk in (("steps", 0), ("chunks", arguments.chunk)):
        kernel = spec.compile(dtype=dtype, head_dim=arguments.dim, chunk=chunk)
        functions[label] = lambda kernel=kernel: kernel(Q=q, K=k, V=v, **named)
    turned = [tensor.transpose(1, 2).contiguous() for tensor in (q, k, v)]
    gates = {key: (value.expand(1, arguments.steps, -1) if value.dim() == 1 else value.transpose(1, 2)).contiguous()
             for key, value in named.items()}
    for label, form in forms.items():
        form = torch.compile(form, dynamic=False) if arguments.compile else form
        functions[label] = lambda form=form: form(*turned, **gates)
    expected = functions["steps"]().double()
    for label, function in functions.items():
        found = function().double()
        found = found if label in ("steps", "chunks") else found.transpose(1, 2)
        error = ((found - expected).norm() / expected.norm()).item()
        if not error <= SAME[dtype]:
            sys.exit(f"{name} {dtype}: {label} differs by {error:.1e} (relative Frobenius), more than {SAME[dtype]:.0e}")
    rounds = [{label: timed(function) for label, function in functions.items()} for _ in range(arguments.rounds)]
    row = {"recurrence": name, "dtype": dtype, "heads": arguments.heads, "steps": arguments.steps, "dim": arguments.dim}
    for label in functions:
        row[f"{label}_ms"] = statistics.median(each[label] for each in rounds) * 1e3
    row["speedup"] = statistics.median(min(each[label] for label in forms) / min(each["steps"], each["chunks"])
                                       for each in rounds)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fla", required=True, help="folder that has fla/ops")
    parser.add_argument("--only", default=",".join(SPECS))
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2048)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="the package's functions by torch.compile")
    parser.add_argument("--json", help="write the results here too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    all_forms, rows = peers(arguments.fla), []
    with torch.no_grad():
        for name in arguments.only.split(","):
            for dtype in arguments.dtypes.split(","):
                row = measure(arguments, name, dtype, all_forms[name])
                rows.append(row)
                times = ", ".join(f"{key[:-3]} {value:.1f}" for key, value in row.items() if key.endswith("_ms"))
                print(f"{name:16} {dtype:4} {arguments.steps} steps, {arguments.heads} heads of {arguments.dim}: {times} ms; "
                      f"{row['speedup']:.1f}x the fastest peer", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"torch": torch.__version__, "compiled": arguments.compile, "threads": 1, "rounds": arguments.rounds, "rows": rows},
                      file, indent=1)


if __name__ == "__main__":
    main()
