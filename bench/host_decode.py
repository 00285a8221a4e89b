#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Decoding on the host: attnc against PyTorch's CPU attention and against reading keys and values, one thread.

    pip install torch==2.13.0
    PYTHONPATH=python ATTNC_LIBRARY=build/lib/libattnc.so bench/host_decode.py [--json results.json]

A row is one query for each head over a cache of keys and values. Three functions take turns within a round: attnc (by the Python binding),
scaled_dot_product_attention, and the norm of as many bytes of f32 as K and V have, which takes as long as reading them. Times are CPU time of the one
thread, since the machine may do other things; figures are medians over rounds of the ratio within a round. Before a shape is timed, both
compute the same tensors and must agree.
"""
import argparse
import json
import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["ATTNC_NUM_THREADS"] = "1"
import torch
import torch.nn.functional as F

import attnc

# (query heads, kv heads, keys, head dim)
SHAPES = [(8, 8, 8192, 128), (8, 8, 32768, 64), (32, 8, 8192, 128), (32, 8, 32768, 128), (8, 1, 32768, 128)]
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
# The sum of what either may be away from the exact result.
SAME = {"f32": 1e-5, "bf16": 1e-2, "f16": 2e-3}


def timed(function):
    start = time.thread_time()
    function()
    return time.thread_time() - start


def measure(arguments, kernel, dtype, shape):
    heads, groups, keys, dim = shape
    torch.manual_seed(0)
    q = torch.randn(1, heads, arguments.queries, dim).to(TYPES[dtype])
    k, v = (torch.randn(1, groups, keys, dim).to(TYPES[dtype]) for _ in range(2))
    words = [torch.randn(tensor.nbytes // 4) for tensor in (k, v)]
    functions = {"attnc": lambda: kernel(q, k, v),
                 "sdpa": lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=heads != groups),
                 "read": lambda: [torch.dot(tensor, tensor) for tensor in words]}
    ours, theirs = functions["attnc"]().double(), functions["sdpa"]().double()
    error = ((ours - theirs).norm() / theirs.norm()).item()
    if not error <= SAME[dtype]:
        sys.exit(f"{dtype} {shape}: attnc and PyTorch differ by {error:.1e} (relative Frobenius), more than {SAME[dtype]:.0e}")
    rounds = [{name: timed(function) for name, function in functions.items()} for _ in range(arguments.rounds)]
    row = {"dtype": dtype, "heads": heads, "kv_heads": groups, "keys": keys, "head_dim": dim, "queries": arguments.queries}
    for name in functions:
        row[f"{name}_ms"] = statistics.median(each[name] for each in rounds) * 1e3
    row["speedup"] = statistics.median(each["sdpa"] / each["attnc"] for each in rounds)
    row["of_reading"] = statistics.median(each["read"] / each["attnc"] for each in rounds)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", default="specs/full.attn")
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--queries", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", help="write the results here too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kernel, rows = attnc.load(arguments.spec), []
    with torch.no_grad():
        for dtype in arguments.dtypes.split(","):
            for shape in SHAPES:
                rows.append(measure(arguments, kernel, dtype, shape))
                print("{dtype:4} {heads:2}/{kv_heads:<2} heads, {keys:6} keys of {head_dim:3}: attnc {attnc_ms:7.2f} ms, sdpa {sdpa_ms:7.2f} ms "
                      "({speedup:5.2f}x), reading K and V {read_ms:6.2f} ms ({of_reading:4.0%} of it)".format(**rows[-1]), flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"torch": torch.__version__, "threads": 1, "rounds": arguments.rounds, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
