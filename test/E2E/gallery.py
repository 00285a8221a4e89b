#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every gallery spec on every executor that is here and compares it with the float64 reference.

Shapes are the awkward ones: lengths that are no multiple of a tile, one key, no key, rows without a key,
grouped heads, head dims that are no power of two, other layouts. Prints one line for each failure, with the
command that repeats it, and closes with `gallery: N passed, N failed`.

On the emulator all of it runs as an sm_80 and as an sm_90a device, each launch under early, late and five random
deliveries of asynchronous copies (ATTNC_EMU_DELIVERY=all): what they leave in memory must be equal to the bit, and what
the last one leaves is compared with the reference. One process compiles once and does all seven.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

SHAPES = [
    "--q-len 256 --kv-len 256",
    "--q-len 65 --kv-len 1000 --heads 6 --kv-heads 2 --head-dim 40 --batch 2",
    "--q-len 1 --kv-len 63 --head-dim 16",
    "--q-len 1 --kv-len 1 --head-dim 32",
    "--q-len 130 --kv-len 0",
    "--q-len 200 --kv-len 77 --head-dim 80 --v-head-dim 96",
    "--q-len 100 --kv-len 300 --head-dim 128 --layout bshd",
    "--q-len 63 --kv-len 65 --head-dim 72 --heads 4 --kv-heads 1",
    "--q-len 1000 --kv-len 1000 --head-dim 96 --heads 2",
    "--q-len 64 --kv-len 200 --head-dim 256 --heads 2",
]
DTYPES = ["f32", "f16", "bf16"]
# What ATTNC_EMU_DEVICE names; the kernels are compiled for each.
PROFILES = {"emulator": "sm_80", "emulator-90a": "sm_90a"}


def jobs(arguments):
    """All (device, spec, dtype, shape) to run."""
    specs = sorted((ROOT / "specs").glob("*.attn"))
    devices = ["reference", "host", *PROFILES]
    probe = subprocess.run([arguments.attnc, "run", str(specs[0]), "--device=cuda", "--no-cache", "--q-len=16"],
                           capture_output=True, text=True)
    if probe.returncode == 0:
        devices.append("cuda")
    else:
        print("gallery: no GPU here, not run on one")
    count = None
    if arguments.rotate: # the one that all_specs.py does not take at this commit
        count = int(subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        devices.remove("emulator" if count // 3 % 2 == 0 else "emulator-90a")
        print(f"gallery: on {', '.join(devices)}; there each shape with one dtype of three, by commit {count} of this branch")
    if arguments.devices:
        devices = [device for device in devices if device in arguments.devices.split(",")]
    for device in devices:
        for number, spec in enumerate(specs):
            for index, shape in enumerate(SHAPES):
                for dtype in DTYPES:
                    # Three commits in a row take all dtypes.
                    if count is not None and device in PROFILES and dtype != DTYPES[(count + number + index) % len(DTYPES)]:
                        continue
                    # The reference is what the others are compared with; that it runs is worth one dtype.
                    if device == "reference" and dtype != "f32":
                        continue
                    seed = index * 7 + arguments.seed
                    yield device, spec, dtype, f"{shape} --seed {seed}"


def run(arguments, job):
    """Runs one job; returns (job, failure text or None, errors by output, seconds)."""
    device, spec, dtype, shape = job
    settings = {}
    if device in PROFILES:
        settings = {"ATTNC_EMU_DEVICE": PROFILES[device], "ATTNC_EMU_DELIVERY": "all"}
    command = [arguments.attnc, "run", str(spec), f"--device={'emulator' if settings else device}", f"--dtype={dtype}",
               "--check", *shape.split()]
    start = time.time()
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **settings})
    except subprocess.TimeoutExpired:
        return job, "timed out after 300 s", {}, time.time() - start
    errors = dict(re.findall(r"^(\w+) +([0-9.e+-]+) \(", result.stdout, re.M))
    failure = None
    if result.returncode != 0:
        text = (result.stdout + result.stderr).strip().splitlines()
        repeat = [*(f"{name}={value}" for name, value in settings.items()), *command]
        failure = "\n    ".join([" ".join(repeat)] + text[-6:])
    return job, failure, errors, time.time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--devices", help="only these, separated by commas, e.g. emulator,emulator-90a")
    parser.add_argument("--rotate", action="store_true", help="one GPU of the two that are emulated, and there one dtype for each spec and shape, by the number of commits")
    parser.add_argument("--table", help="write the worst error of each spec and executor to this file (Markdown)")
    arguments = parser.parse_args()
    start = time.time()
    passed = failed = 0
    worst, seconds = {}, {}
    last_note = start
    all_jobs = list(jobs(arguments))
    with concurrent.futures.ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
        for job, failure, errors, took in pool.map(lambda j: run(arguments, j), all_jobs):
            seconds.setdefault(job[0], []).append(took)
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
    for device, times in seconds.items():
        print(f"gallery: {device}: {len(times)} runs, {sum(times):.0f} s of {arguments.jobs} cores' time")
    if arguments.table:
        write_table(arguments.table, worst)
    print(f"gallery: {passed} passed, {failed} failed ({time.time() - start:.0f} s)")
    return 1 if failed or not passed else 0


def write_table(path, worst):
    """A Markdown table of the worst relative Frobenius error of `out` over all shapes."""
    columns = [(device, dtype) for device in ("host", *PROFILES, "cuda") for dtype in DTYPES
               if any(key[1:] == (device, dtype) for key in worst)]
    lines = ["| spec | " + " | ".join(f"{d} {t}" for d, t in columns) + " |",
             "| --- |" + " --- |" * len(columns)]
    for spec in sorted({key[0] for key in worst}):
        cells = [f"{worst[(spec, d, t)]:.1e}" if (spec, d, t) in worst else "not run" for d, t in columns]
        lines.append(f"| `{spec}` | " + " | ".join(cells) + " |")
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
