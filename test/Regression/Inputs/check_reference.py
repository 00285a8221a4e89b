# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs `--device=reference --check` for each spec of a folder: check_reference.py ATTNC FOLDER. Prints how many were ok."""
import concurrent.futures
import pathlib
import subprocess
import sys

attnc, folder = sys.argv[1:]
specs = sorted(pathlib.Path(folder).rglob("*.attn"))


def run(spec):
    command = [attnc, "run", str(spec), "--device=reference", "--check", "--q-len=128", "--kv-len=128", "--head-dim=32"]
    return subprocess.run(command, capture_output=True, text=True)


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    results = list(pool.map(run, specs))
failed = 0
for spec, result in zip(specs, results):
    if result.returncode != 0 or " ok\n" not in result.stdout:
        failed += 1
        print(f"{spec}: exit {result.returncode}\n{result.stdout[-500:]}{result.stderr[-500:]}")
print(f"{len(specs)} specs, {failed} failed")
