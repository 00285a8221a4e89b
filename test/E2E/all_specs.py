#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles every spec of specs/, runs it on the host and on emulated GPUs, and checks all outputs against the reference.

Lengths are odd and small: queries and keys that differ, one key, no key, no step, heads in groups. A spec is compiled once
for an executor and a dtype; all its sizes run the same code, out of a cache of their own. What the reference refuses too (a
spec that needs more keys than there are) is no failure, nor is that kernels say which tensor they would read where there is nothing.
A spec that decides by reals (a selection, an order, a code) runs on two kinds of inputs: on random ones `--check` replays what the
kernels have decided, and on exact ones keys tie, which executors have to decide alike. Prints one line for each failure, with the command that
repeats it; then the specs that do not compile, by reason; and closes with `all-specs: N passed, N failed`.

    test/E2E/all_specs.py --sizes few --rotate       # one dtype and one GPU, chosen by the number of commits
    test/E2E/all_specs.py --slice 2/5                # the second of five parts of everything
"""
import argparse
import collections
import concurrent.futures
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

FEW = [
    "--q-len 33 --kv-len 65 --heads 4 --kv-heads 2 --batch 2",
    "--q-len 7 --kv-len 1 --heads 2",
    "--q-len 20 --kv-len 0 --heads 2",
]
ALL = FEW + [
    "--q-len 1 --kv-len 300 --heads 6 --kv-heads 2",
    "--q-len 130 --kv-len 129 --heads 3",
    "--q-len 64 --kv-len 200 --heads 4 --kv-heads 1",
    "--q-len 0 --kv-len 5 --heads 2",
]
DECISIONS = re.compile(r"\b(top|cover|rank|order|argmax|argmin|quantize)\b")
NOTHING_THERE = "which has none: the kernels of this spec need at least one"
SIZES = {"few": FEW, "all": ALL}
DTYPES = ["f32", "f16", "bf16"]
TARGETS = {"host": "host", "emulator": "sm_80", "emulator-90a": "sm_90a"}


class Job:
    """A spec on an executor, for one dtype."""

    def __init__(self, arguments, spec, device, dtype, cache):
        self.arguments, self.spec, self.device, self.dtype = arguments, spec, device, dtype
        self.settings = {"ATTNC_CACHE_DIR": cache}
        if device != "host":
            self.settings["ATTNC_EMU_DEVICE"] = TARGETS[device]
        self.passed, self.refused, self.failures, self.uncompiled = 0, 0, [], None
        code = re.sub(r"//.*", "", spec.read_text())
        self.inputs = ["sampled", "exact"] if DECISIONS.search(code) else ["sampled"]

    def attnc(self, *command, **settings):
        """Runs attnc; returns (exit status or None if it took too long, output)."""
        try:
            result = subprocess.run([self.arguments.attnc, *command], capture_output=True, text=True,
                                    timeout=self.arguments.timeout, env={**os.environ, **self.settings, **settings})
        except subprocess.TimeoutExpired:
            return None, f"took more than {self.arguments.timeout} s"
        return result.returncode, result.stdout + result.stderr

    def run(self):
        """Compiles, then runs all sizes."""
        status, text = self.attnc("compile", str(self.spec), f"--target={TARGETS[self.device]}", "--compile-to=tile",
                                  f"--dtype={self.dtype}", f"--head-dim={self.arguments.head_dim}", "-o", "/dev/null")
        found = re.search(r"error: (code is not generated for .*)", text)
        if status and found:
            self.uncompiled = found.group(1).split(";")[0]
            return self
        device = "host" if self.device == "host" else "emulator"
        for index, (size, inputs) in enumerate(itertools.product(SIZES[self.arguments.sizes], self.inputs)):
            options = [f"--dtype={self.dtype}", f"--head-dim={self.arguments.head_dim}", f"--seed={index + 1}",
                       f"--inputs={inputs}", *size.split()]
            command = ["run", str(self.spec), f"--device={device}", *options, "--check"]
            status, text = self.attnc(*command)
            if status == 0:
                self.passed += 1
            elif status == 1 and (NOTHING_THERE in text or self.reference_refuses(options, text)):
                self.refused += 1
            else:
                self.failures.append((command, status, text))
        return self

    def reference_refuses(self, options, text):
        """Whether the reference does not run these sizes either, and says the same."""
        message = re.search(r"error: (.*)", text)
        status, other = self.attnc("run", str(self.spec), "--device=reference", *options)
        return status == 1 and message is not None and message.group(1) in other


def jobs(arguments, cache):
    """All that is asked for, spec by spec."""
    specs = sorted((ROOT / "specs").rglob("*.attn"))
    if arguments.only:
        specs = [spec for spec in specs if re.search(arguments.only, str(spec.relative_to(ROOT)))]
    part, parts = (int(n) for n in arguments.slice.split("/"))
    devices, dtypes = arguments.devices.split(","), arguments.dtypes.split(",")
    if arguments.rotate:
        count = int(subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=ROOT, capture_output=True, text=True,
                                   check=True).stdout)
        dtypes = [DTYPES[count % 3]]
        devices = ["host", "emulator" if count // 3 % 2 == 0 else "emulator-90a"]
    print(f"all-specs: part {part} of {parts} of {len(specs)} specs on {', '.join(devices)} in {', '.join(dtypes)}")
    return [Job(arguments, spec, device, dtype, cache) for spec in specs[part - 1::parts] for device in devices
            for dtype in dtypes]


def report(job):
    for command, status, text in job.failures:
        settings = " ".join(f"{name}={value}" for name, value in job.settings.items() if name != "ATTNC_CACHE_DIR")
        last = "\n    ".join(line[:200] for line in text.strip().splitlines()[-4:])
        print(f"FAILED (exit status {status}) {settings} attnc {' '.join(command)}\n    {last}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--sizes", choices=sorted(SIZES), default="all")
    parser.add_argument("--devices", default=",".join(TARGETS), help="separated by commas")
    parser.add_argument("--dtypes", default=",".join(DTYPES), help="separated by commas")
    parser.add_argument("--rotate", action="store_true", help="the host and one GPU, one dtype, by the number of commits")
    parser.add_argument("--only", help="specs whose path matches this expression")
    parser.add_argument("--slice", default="1/1", help="I/N: the I-th of N parts")
    parser.add_argument("--head-dim", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one run")
    arguments = parser.parse_args()
    start = time.time()
    passed = failed = refused = 0
    uncompiled = collections.defaultdict(set)
    with tempfile.TemporaryDirectory() as cache, \
            concurrent.futures.ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
        for job in pool.map(Job.run, jobs(arguments, cache)):
            passed, failed, refused = passed + job.passed, failed + len(job.failures), refused + job.refused
            report(job)
            if job.uncompiled:
                uncompiled[job.uncompiled].add(job.spec.stem)
    for reason, specs in sorted(uncompiled.items(), key=lambda entry: -len(entry[1])):
        print(f"all-specs: {len(specs)} do not compile, {reason}: {', '.join(sorted(specs))}")
    if refused:
        print(f"all-specs: {refused} runs that the reference refuses too, or that would read where nothing is")
    print(f"all-specs: {passed} passed, {failed} failed ({time.time() - start:.0f} s)")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
