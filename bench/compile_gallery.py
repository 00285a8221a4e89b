#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""CPU and wall time of `attnc compile` from spec to PTX for every spec, in causal attentions for each stage.

A program of k stages, each of which could be a kernel, should cost no more than --bar times k times what specs/causal.attn costs, and with
several CPUs and kernels its wall time should be below its CPU time. Both are of whole processes; each is the least of --runs runs, since what else the machine does
only adds, and causal.attn runs in turn with every spec, since the machine's clock changes by more than the bar within a minute. Prints the specs beyond the bar, the slowest of the others, and totals.

    bench/compile_gallery.py --attnc build-release/bin/attnc [--target sm_90a] [--only REGEX] [--json FILE]
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Measured:
    """The least times of one spec, in milliseconds."""

    def __init__(self, arguments, spec):
        self.arguments, self.spec, self.kernels, self.stages, self.phases = arguments, spec, 0, 0, {}
        self.cpu = self.wall = self.causal = float("inf")

    def command(self, *options):
        return [self.arguments.attnc, "compile", str(self.spec), f"--target={self.arguments.target}", "--no-cache", "--json",
                "-o", os.devnull, *options]

    def count_stages(self):
        """Kernels, if each stage is one; returns False if the spec does not compile."""
        result = subprocess.run(self.command("--kernel-per-stage"), capture_output=True, text=True)
        if result.returncode == 0:
            self.stages = json.loads(result.stdout)["kernels"]
        return result.returncode == 0

    def run(self):
        """Compiles once; returns False if the spec does not compile."""
        start = time.perf_counter()
        command = self.command()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        report = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            return False
        cpu = (usage.ru_utime + usage.ru_stime) * 1e3
        self.wall = min(self.wall, (time.perf_counter() - start) * 1e3)
        if cpu < self.cpu:
            self.cpu, report = cpu, json.loads(report)
            self.kernels, self.phases = report["kernels"], report["phases_ms"]
        return True

    def alternate(self, unit):
        """Runs in turn with `unit` and keeps the least of its times beside this spec's; returns False if the spec does not compile."""
        if not self.count_stages():
            return False
        for _ in range(self.arguments.runs):
            unit.cpu = float("inf")
            if not unit.run() or not self.run():
                return False
            self.causal = min(self.causal, unit.cpu)
        return True

    @property
    def ratio(self):
        """CPU time of one stage in those of causal.attn."""
        return self.cpu / (self.causal * self.stages)

    def line(self):
        longest = sorted(self.phases.items(), key=lambda item: -item[1])[:4]
        return (f"{self.ratio:5.2f} x causal x {self.stages:<3} in {self.kernels:<3} kernels {self.cpu:6.0f} ms of CPU, {self.wall:6.0f} ms of "
                f"wall  {self.spec.relative_to(ROOT / 'specs')}: " + ", ".join(f"{name} {value:.0f}" for name, value in longest))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attnc", default=str(ROOT / "build-release" / "bin" / "attnc"))
    parser.add_argument("--target", default="sm_80", help="a GPU architecture")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="specs whose path matches this expression")
    parser.add_argument("--bar", type=float, default=1.3)
    parser.add_argument("--show", type=int, default=10, help="how many specs below the bar to print")
    parser.add_argument("--json", help="a file for all results")
    arguments = parser.parse_args()
    unit = Measured(arguments, ROOT / "specs" / "causal.attn")
    measured = [Measured(arguments, spec) for spec in sorted((ROOT / "specs").rglob("*.attn"))
                if re.search(arguments.only, str(spec.relative_to(ROOT)))]
    failed = []
    for one in measured:
        if not one.alternate(unit):
            failed.append(one)
            print(f"does not compile: {one.spec.relative_to(ROOT)}")
    measured = sorted((one for one in measured if one not in failed), key=lambda one: -one.ratio)
    beyond = [one for one in measured if one.ratio > arguments.bar]
    causal = statistics.median(one.causal for one in measured)
    print(f"causal: {causal:.0f} ms of CPU; beyond {arguments.bar} times that for each stage: {len(beyond)} of {len(measured)}")
    for one in measured[:len(beyond) + arguments.show]:
        print(one.line())
    several = [one for one in measured if one.kernels > 1]
    if several:
        print(f"programs of several kernels: {len(several)}, {sum(one.wall for one in several):.0f} ms of wall for "
              f"{sum(one.cpu for one in several):.0f} ms of CPU; wall / CPU above 0.7: {sum(one.wall > 0.7 * one.cpu for one in several)}")
    if arguments.json:
        rows = [{"spec": str(one.spec.relative_to(ROOT)), "stages": one.stages, "kernels": one.kernels, "cpu_ms": one.cpu, "wall_ms": one.wall,
                 "causal_cpu_ms": one.causal,
                 "phases_ms": one.phases} for one in measured]
        pathlib.Path(arguments.json).write_text(json.dumps({"causal_cpu_ms": causal, "specs": rows}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
