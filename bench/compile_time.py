#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Time of `attnc compile` from spec to PTX: medians over runs, whole process and each phase.

    bench/compile_time.py --attnc build-release/bin/attnc [--runs 20] [--target sm_90a] [specs...]
"""
import argparse
import json
import os
import statistics
import subprocess
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--attnc", default="build-release/bin/attnc")
parser.add_argument("--runs", type=int, default=20)
parser.add_argument("--target", default="sm_90a")
parser.add_argument("specs", nargs="*", default=["specs/causal.attn"])
args = parser.parse_args()

for spec in args.specs:
    walls, phases = [], {}
    for run in range(args.runs + 1):
        start = time.perf_counter()
        result = subprocess.run([args.attnc, "compile", spec, f"--target={args.target}", "--emit=ptx", "--json", "-o", os.devnull], capture_output=True, text=True, check=True)
        wall = (time.perf_counter() - start) * 1e3
        if run == 0:  # warms the file cache
            continue
        walls.append(wall)
        report = json.loads(result.stdout)
        for name, value in [*report["phases_ms"].items(), ("total", report["total_ms"])]:
            phases.setdefault(name, []).append(value)
    total = statistics.median(phases["total"])
    print(f"{spec} for {args.target}: whole process {statistics.median(walls):.1f} ms, compile {total:.1f} ms "
          f"(medians of {args.runs}; best {min(walls):.1f} and {min(phases['total']):.1f})")
    for name in sorted(phases, key=lambda n: -statistics.median(phases[n])):
        if name != "total":
            value = statistics.median(phases[name])
            print(f"    {name:14} {value:6.2f} ms {100 * value / total:5.1f} %")
