#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random specs of several stages, as random_specs.py draws them, compiled and held against the float64 reference.

Stages, selections, orders, quantization, branches, scans and recurrences become programs of kernels for the host and for an
emulated GPU. A case is determined by its number and the device: `random_programs.py --devices host --first 17 --count 1` repeats case 17. Each
runs on two shapes, ones without keys among them; what the reference refuses (a space without a slot), or what would read a tensor
where there is nothing, is counted apart; so is what the reference itself cannot hold in f32 arithmetic (numbers that overflow). A failing case leaves its spec in the folder of `--keep` and prints the command that
repeats it. Closes with `random-programs: N passed, N failed`.
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]
from random_specs import case  # noqa: E402

NOTHING_THERE = "which has none: the kernels of this spec need at least one"
TARGETS = ["sm_80", "sm_90a"]


def shape(rng):
    """Options for a shape; tiles of 64 are crossed now and then."""
    kv_heads = rng.randint(1, 2)
    lengths = [0, 1, 2, 5, 9, 17, 21, 70]
    return [f"--q-len={rng.choice(lengths)}", f"--kv-len={rng.choice(lengths)}", f"--batch={rng.randint(1, 2)}",
            f"--heads={kv_heads * rng.randint(1, 2)}", f"--kv-heads={kv_heads}", f"--head-dim={rng.choice([8, 16, 20])}"]


def attnc(arguments, target, *command):
    """(exit status or None if it took too long, output)"""
    settings = {**os.environ, "ATTNC_EMU_DEVICE": target}
    try:
        result = subprocess.run([arguments.attnc, *command], capture_output=True, text=True, timeout=arguments.timeout, env=settings)
    except subprocess.TimeoutExpired:
        return None, f"took more than {arguments.timeout} s"
    return result.returncode, result.stdout + result.stderr


def run(arguments, folder, device, number):
    """(passed, refused, failures) of the shapes of a case."""
    rng = random.Random(f"{device} {number}")
    path = folder / f"case{number}.attn"
    path.write_text(case(number))
    target, dtype = rng.choice(TARGETS), rng.choice(["f32", "f32", "f16", "bf16"])
    passed, refused, failures = 0, 0, []
    for seed in (1, 2):
        options = [f"--dtype={dtype}", f"--seed={seed}", *shape(rng)]
        command = ["run", str(path), f"--device={device}", "--no-cache", *options, "--check"]
        status, text = attnc(arguments, target, *command)
        if status == 0:
            passed += 1
            continue
        if status == 1 and NOTHING_THERE in text:
            refused += 1
            continue
        message = re.search(r"error: (.*)", text)
        if status == 1 and message:
            other = attnc(arguments, target, "run", str(path), "--device=reference", *options, "--check")
            if other[0] == 1 and message.group(1) in other[1]:
                refused += 1
                continue
        setting = f"ATTNC_EMU_DEVICE={target} " if device == "emulator" else ""
        failures.append(f"FAILED (exit status {status}) {setting}attnc {' '.join(command)}\n    "
                        + "\n    ".join(line[:200] for line in text.strip().splitlines()[-6:]))
    return passed, refused, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--first", type=int, default=1, help="number of the first case")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--devices", nargs="+", choices=["host", "emulator"], default=["host", "emulator"])
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--timeout", type=int, default=300, help="seconds for one run")
    parser.add_argument("--keep", type=pathlib.Path, help="write specs here, and keep them")
    arguments = parser.parse_args()
    start = time.time()
    passed = refused = failed = 0
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        folder = arguments.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        cases = [(device, number) for number in range(arguments.first, arguments.first + arguments.count)
                 for device in arguments.devices]
        for ok, nothing, failures in pool.map(lambda job: run(arguments, folder, *job), cases):
            passed, refused, failed = passed + ok, refused + nothing, failed + len(failures)
            for failure in failures:
                print(failure, flush=True)
    print(f"random-programs: {refused} runs that the reference refuses too, or that would read where nothing is")
    print(f"random-programs: {passed} passed, {failed} failed ({time.time() - start:.0f} s)")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
