#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles every spec for CPUs of each level and checks that the code calls no function of the C library but those on
memory: --verify says so. Runs of all_specs.py check the same for this CPU.

    host_symbols.py --levels x86-64,x86-64-v3 --only REGEX
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def compile_spec(attnc, spec, level, folder):
    """What is wrong, or nothing."""
    command = [attnc, "compile", str(spec), "--target=host", f"--host-features={level}", "--verify", "--no-cache", "--emit=obj",
               "-o", f"{folder}/{level}.{spec.stem}.o"]
    run = subprocess.run(command, capture_output=True, text=True)
    return "" if run.returncode == 0 else f"{' '.join(command[1:6])}: {run.stderr.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attnc", default=str(ROOT / "build/bin/attnc"))
    parser.add_argument("--levels", default="x86-64,x86-64-v3,x86-64-v4")
    parser.add_argument("--only", default="", help="specs whose name this regular expression is found in")
    args = parser.parse_args()
    specs = [spec for spec in sorted((ROOT / "specs").rglob("*.attn")) if re.search(args.only, spec.stem)]
    levels = args.levels.split(",")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_spec, args.attnc, spec, level, folder) for level in levels for spec in specs]
        wrong = [text for job in jobs if (text := job.result())]
    for text in wrong:
        print(text)
    print(f"{len(specs)} specs x {len(levels)} levels, {len(wrong)} failed")
    return 1 if wrong or not specs else 0


if __name__ == "__main__":
    sys.exit(main())
