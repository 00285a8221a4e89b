#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Assembles the PTX of the gallery with ptxas and fails on any error, spill, stack frame, or advisory that products of
warpgroups are serialised (C7510 to C7518, C7520).

Three lists: every spec on every target (f16 at head dim 64, f32 at 128); every spec at the other head dims up to
128 and in bf16 on the oldest and one newer target; and every head dim from 16 to 256 for two specs. Above head dim
128 a spill is reported but is no failure: only the text must assemble. `--all` runs the whole product up to 128, and
`--rotate N` one of N parts of the lists, chosen by the number of commits.
KNOWN are exceptions: bytes of spill stores that are outside all loops, as nvdisasm shows.
Prints one line for each failure, with the command that repeats it, and closes with `assemble: N passed, N failed`.
"""
import argparse
import concurrent.futures
import itertools
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
# (spec, head dim): addresses that only the exact walk (OnlineSoftmax.h) needs are stored before the key loops, which take 246
# of 255 registers, and loaded behind them: five stores and five loads a thread.
KNOWN = {("t5_bias", 128): 28}
TARGETS = ["sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a"]
DTYPES = ["f16", "bf16", "f32"]
HEAD_DIMS = [32, 64, 96, 128]
WIDE = ["causal", "window_sinks"]


def jobs(everything):
    """(spec, target, dtype, head dim), without repetition."""
    specs = sorted(path.stem for path in (ROOT / "specs").glob("*.attn"))
    if everything:
        yield from itertools.product(specs, TARGETS, DTYPES, HEAD_DIMS)
        return
    chosen = {}
    for spec, target in itertools.product(specs, TARGETS):
        chosen[spec, target, "f16", 64] = chosen[spec, target, "f32", 128] = True
    for spec in specs:
        for case in [("sm_80", "bf16", 32), ("sm_80", "f16", 128), ("sm_120a", "bf16", 128), ("sm_90a", "f16", 96),
                     ("sm_80", "f32", 96), ("sm_89", "f32", 32)]:
            chosen[spec, *case] = True
    for spec, dtype in itertools.product(WIDE, ["f16", "f32"]):
        for dim in [8, 16, 24, 40, 48, 72, 80, 112, 160, 192, 256]:
            chosen[spec, "sm_80", dtype, dim] = True
    yield from chosen


def assemble(arguments, folder, job):
    """Returns (failure text or None, note or None)."""
    spec, target, dtype, dim = job
    ptx = pathlib.Path(folder) / f"{spec}.{target}.{dtype}.{dim}.ptx"
    command = [arguments.attnc, "compile", str(ROOT / "specs" / f"{spec}.attn"), f"--target={target}",
               f"--dtype={dtype}", f"--head-dim={dim}", "--emit=ptx", "--no-cache", "-o", str(ptx)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        return " ".join(command) + "\n    " + result.stderr.strip(), None
    result = subprocess.run([arguments.ptxas, "-v", f"-arch={target}", str(ptx), "-o", f"{ptx}.cubin"],
                            capture_output=True, text=True)
    report = result.stdout + result.stderr
    for leftover in (ptx, pathlib.Path(f"{ptx}.cubin")):
        leftover.unlink(missing_ok=True)
    numbers = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    if result.returncode != 0 or not numbers or re.search(r"\(C75(1[0-8]|20)\)", report):
        return " ".join(command) + "\n    " + report.strip(), None
    if any(int(n) for n in numbers.groups()):
        text = " ".join(command) + "\n    " + numbers.group(0)
        isKnown = 0 < int(numbers[2]) <= KNOWN.get((spec, dim), 0)
        return (text, None) if dim <= 128 and not isKnown else (None, text)
    return None, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--ptxas", default="ptxas")
    parser.add_argument("--all", action="store_true", help="every spec, target, dtype and head dim up to 128")
    parser.add_argument("--rotate", type=int, default=1, help="one of so many parts, by the number of commits")
    arguments = parser.parse_args()
    passed = failed = 0
    work = list(jobs(arguments.all))
    if arguments.rotate > 1:
        count = int(subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        print(f"assemble: part {count % arguments.rotate + 1} of {arguments.rotate}")
        work = work[count % arguments.rotate::arguments.rotate]
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        for failure, note in pool.map(lambda job: assemble(arguments, folder, job), work):
            if note:
                print("note: " + note)
            if failure is None:
                passed += 1
            else:
                failed += 1
                print("FAILED " + failure, flush=True)
    print(f"assemble: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
