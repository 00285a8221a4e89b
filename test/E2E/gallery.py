#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every gallery spec on every executor that is here and compares it with the float64 reference.

Shapes are the awkward ones: lengths that are no multiple of a tile, one key, no key, rows without a key,
grouped heads, head dims that are no power of two, other layouts. Prints one line for each failure, with the
command that repeats it, and closes with `gallery: N passed, N failed`.

On the emulator every spec also runs under early, late and random delivery of asynchronous copies, as an sm_80 and as
an sm_90a device: outputs must be equal to the bit.
"""
import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# (options, also on the emulator's quick list)
SHAPES = [
    ("--q-len 256 --kv-len 256", True),
    ("--q-len 65 --kv-len 1000 --heads 6 --kv-heads 2 --head-dim 40 --batch 2", True),
    ("--q-len 1 --kv-len 63 --head-dim 16", True),
    ("--q-len 1 --kv-len 1 --head-dim 32", True),
    ("--q-len 130 --kv-len 0", True),
    ("--q-len 200 --kv-len 77 --head-dim 80 --v-head-dim 96", True),
    ("--q-len 100 --kv-len 300 --head-dim 128 --layout bshd", True),
    ("--q-len 63 --kv-len 65 --head-dim 72 --heads 4 --kv-heads 1", True),
    ("--q-len 1000 --kv-len 1000 --head-dim 96 --heads 2", False),
    ("--q-len 64 --kv-len 200 --head-dim 256 --heads 2", True),
]
DTYPES = ["f32", "f16", "bf16"]
DELIVERIES = ["early", "late", *(f"random:{seed}" for seed in range(1, 6))]
DELIVERY_SHAPE = "--q-len 100 --kv-len 300 --heads 2 --kv-heads 1"


def jobs(arguments):
    """All (device, spec, dtype, shape) to run."""
    specs = sorted((ROOT / "specs").glob("*.attn"))
    devices = ["reference", "host", "emulator"]
    probe = subprocess.run([arguments.attnc, "run", str(specs[0]), "--device=cuda", "--no-cache", "--q-len=16"],
                           capture_output=True, text=True)
    if probe.returncode == 0:
        devices.append("cuda")
    else:
        print("gallery: no GPU here, not run on one")
    for device in devices:
        for spec in specs:
            for index, (shape, quick) in enumerate(SHAPES):
                for dtype in DTYPES:
                    # The reference is what the others are compared with; that it runs is worth one dtype.
                    if device == "reference" and dtype != "f32":
                        continue
                    if device == "emulator" and not quick:
                        continue
                    seed = index * 7 + arguments.seed
                    yield device, spec, dtype, f"{shape} --seed {seed}"


def run(arguments, job):
    """Runs one job; returns (job, failure text or None, errors by output)."""
    device, spec, dtype, shape = job
    command = [arguments.attnc, "run", str(spec), f"--device={device}", f"--dtype={dtype}", "--check", *shape.split()]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return job, "timed out after 300 s", {}
    errors = dict(re.findall(r"^(\w+) +([0-9.e+-]+) \(", result.stdout, re.M))
    if result.returncode != 0:
        text = (result.stdout + result.stderr).strip().splitlines()
        return job, "\n    ".join([" ".join(command)] + text[-6:]), errors
    return job, None, errors


def delivery_jobs():
    """(spec, dtype, device profile) for the comparison of deliveries."""
    for spec in sorted((ROOT / "specs").glob("*.attn")):
        for profile in ("sm_80", "sm_90a"):
            for dtype in ("f16", "f32"):
                yield spec, dtype, profile


def run_deliveries(arguments, job):
    """Runs one spec under every delivery; returns (job, failure text or None)."""
    spec, dtype, profile = job
    digests = {}
    for delivery in DELIVERIES:
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "out.npy")
            command = [arguments.attnc, "run", str(spec), "--device=emulator", f"--dtype={dtype}",
                       *DELIVERY_SHAPE.split(), f"--output=out={output}"]
            environment = dict(os.environ, ATTNC_EMU_DEVICE=profile, ATTNC_EMU_DELIVERY=delivery)
            result = subprocess.run(command, capture_output=True, text=True, env=environment)
            if result.returncode != 0:
                return job, f"ATTNC_EMU_DEVICE={profile} ATTNC_EMU_DELIVERY={delivery} {' '.join(command)}\n    {result.stderr}"
            digests[delivery] = hashlib.sha256(pathlib.Path(output).read_bytes()).hexdigest()
    if len(set(digests.values())) != 1:
        return job, f"outputs differ between deliveries: {digests}"
    return job, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", help="write the worst error of each spec and executor to this file (Markdown)")
    arguments = parser.parse_args()
    start = time.time()
    passed = failed = 0
    worst = {}
    last_note = start
    all_jobs = list(jobs(arguments))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for job, failure, errors in pool.map(lambda j: run(arguments, j), all_jobs):
            if failure is None:
                passed += 1
            else:
                failed += 1
                print(f"FAILED {job[0]} {job[1].stem} {job[2]} {job[3]}\n    {failure}", flush=True)
            for name, value in errors.items():
                key = (job[1].stem, job[0], job[2])
                if name == "out":
                    worst[key] = max(worst.get(key, 0.0), float(value))
            if time.time() - last_note > 20:
                last_note = time.time()
                print(f"gallery: {passed + failed} of {len(all_jobs)} after {last_note - start:.0f} s", flush=True)
        for job, failure in pool.map(lambda j: run_deliveries(arguments, j), delivery_jobs()):
            if failure is None:
                passed += 1
            else:
                failed += 1
                print(f"FAILED deliveries {job[0].stem} {job[1]} {job[2]}\n    {failure}", flush=True)
    if arguments.table:
        write_table(arguments.table, worst)
    print(f"gallery: {passed} passed, {failed} failed ({time.time() - start:.0f} s)")
    return 1 if failed or not passed else 0


def write_table(path, worst):
    """A Markdown table of the worst relative Frobenius error of `out` over all shapes."""
    columns = [(device, dtype) for device in ("host", "emulator", "cuda") for dtype in DTYPES
               if any(key[1:] == (device, dtype) for key in worst)]
    lines = ["| spec | " + " | ".join(f"{d} {t}" for d, t in columns) + " |",
             "| --- |" + " --- |" * len(columns)]
    for spec in sorted({key[0] for key in worst}):
        cells = [f"{worst[(spec, d, t)]:.1e}" if (spec, d, t) in worst else "not run" for d, t in columns]
        lines.append(f"| `{spec}` | " + " | ".join(cells) + " |")
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
