#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every spec on the host at one large size: the time of a run, and the memory that it takes besides its tensors.

    bench/large_specs.py --workspace          # only memory, which needs no run: seconds for all specs
    bench/large_specs.py                      # runs all of them, one process each: some minutes
    bench/large_specs.py --check-rows 64      # and holds sampled rows against the reference
    bench/large_specs.py --only performer --length 512

A run may take --most-seconds, and its workspace --most-mib or four times inputs and outputs, whichever is more. Prints
the slowest ten, those over a limit, and closes with `large-specs: N within the limits, N over`. Times are of the first run in
a process, on one thread unless --threads says otherwise. The CPU time of the process, which drawing inputs and compiling are part of, is what to look at
on a machine that is busy. --json keeps all numbers.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
MIB = 1 << 20


def is_recurrence(spec):
    return re.search(r"^\s*recurrence\b", spec.read_text(), re.MULTILINE) is not None


def size_options(arguments, spec):
    length = arguments.length
    if arguments.steps and is_recurrence(spec):
        length = min(length, arguments.steps)
    return [f"--batch={arguments.batch}", f"--heads={arguments.heads}", f"--q-len={length}",
            f"--head-dim={arguments.head_dim}", f"--dtype={arguments.dtype}"]


def measure(arguments, spec):
    """A row of the table: name, seconds (None: not run), CPU seconds of the process, workspace and tensors in bytes, error
    (None: none)."""
    row = {"spec": str(spec.relative_to(ROOT / "specs").with_suffix("")), "seconds": None, "cpu": 0, "workspace": 0,
           "tensors": 0, "error": None}
    if arguments.workspace:
        command = ["explain", "--target=host"]
    else:
        command = ["run", "--device=host", "--no-cache", *arguments.run_options]
        if arguments.check_rows:
            command += ["--check", f"--check-rows={arguments.check_rows}"]
    command = [arguments.attnc, command[0], str(spec), *command[1:], *size_options(arguments, spec), "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=arguments.timeout,
                                env={**os.environ, "ATTNC_NUM_THREADS": str(arguments.threads)})
    except subprocess.TimeoutExpired:
        return {**row, "error": f"took more than {arguments.timeout} s"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    row["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if result.stdout.startswith("{"):
        found = json.loads(result.stdout)
        row.update(workspace=found.get("workspace_bytes", 0), tensors=found.get("tensor_bytes", 0))
        if "run_ms" in found:
            row["seconds"] = found["run_ms"] / 1e3
    if result.returncode:
        row["error"] = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    return row


def complaints(arguments, row):
    """What is over a limit, as texts."""
    if row["error"]:
        yield row["error"]
    if row["seconds"] is not None and row["seconds"] > arguments.most_seconds:
        yield f"{row['seconds']:.1f} s"
    if row["workspace"] > max(arguments.most_mib * MIB, 4 * row["tensors"]):
        yield f"{row['workspace'] / MIB:.0f} MiB of workspace for {row['tensors'] / MIB:.0f} MiB of tensors"


def text(row):
    seconds = "" if row["seconds"] is None else f"{row['seconds']:8.2f} s (process: {row['cpu']:.2f} s of CPU) "
    ratio = f", {row['workspace'] / row['tensors']:.1f} x tensors" if row["tensors"] else ""
    return f"{seconds}{row['workspace'] / MIB:8.1f} MiB of workspace{ratio}: {row['spec']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=0, help="at most so many steps of a recurrence (default: all)")
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workspace", action="store_true", help="nothing is run")
    parser.add_argument("--check-rows", type=int, default=0, help="hold so many rows of each output against the reference")
    parser.add_argument("--run-options", type=str.split, default=[], help="more options of `attnc run`, in one argument")
    parser.add_argument("--only", help="specs whose path matches this expression")
    parser.add_argument("--slice", default="1/1", help="I/N: the I-th of N parts")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one process")
    parser.add_argument("--most-seconds", type=float, default=60)
    parser.add_argument("--most-mib", type=int, default=256)
    parser.add_argument("--json", help="write all numbers here")
    arguments = parser.parse_args()
    specs = sorted((ROOT / "specs").rglob("*.attn"))
    if arguments.only:
        specs = [spec for spec in specs if re.search(arguments.only, str(spec.relative_to(ROOT)))]
    part, parts = (int(n) for n in arguments.slice.split("/"))
    start, rows = time.time(), []
    for spec in specs[part - 1::parts]:
        rows.append(measure(arguments, spec))
        over = "; ".join(complaints(arguments, rows[-1]))
        print(text(rows[-1]) + (f"  OVER: {over}" if over else ""), flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")
    key = "workspace" if arguments.workspace else "seconds"
    print(f"\nthe {'largest' if arguments.workspace else 'slowest'} ten:")
    for row in sorted(rows, key=lambda row: row[key] or 0, reverse=True)[:10]:
        print(text(row))
    over = [row for row in rows if any(complaints(arguments, row))]
    if over:
        print("\nover a limit:")
    for row in over:
        print(f"{row['spec']}: {'; '.join(complaints(arguments, row))}")
    print(f"large-specs: {len(rows) - len(over)} within the limits, {len(over)} over ({time.time() - start:.0f} s)")
    return 1 if over or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
