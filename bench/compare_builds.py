#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels of two builds of attnc, spec by spec: instructions for a GPU, and time on the host.

    bench/compare_builds.py ptx  --before OLD/bin/attnc --after build/bin/attnc
    bench/compare_builds.py sass --before OLD/bin/attnc --after build/bin/attnc [--nvdisasm PATH]
    bench/compare_builds.py host --before OLD/bin/attnc --after build/bin/attnc [--rounds 12]

`ptx`: warp instructions of a run with all of its kernels, without moves between registers, which an assembler removes. Both builds run under
one emulator, that of --after, so that what is counted is the code alone. `sass`: instructions of the innermost loops that multiply matrices, as
ptxas assembles them, in the order of the code, each against its like: loops that only the second build has are behind the others. Counted are all
branches of a loop, those that are rarely taken too.
On the host the two take turns, a process for each round, with one thread; a round's time is the least of its runs, since what else the machine
does only adds, and what is printed is the median of the paired ratios after / before with the 95 % interval of a bootstrap over rounds.
Specs that the first build does not compile are left out and counted. --limit marks the ratios beyond it.
"""
import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def call(command, **environment):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env={**os.environ, "ATTNC_NUM_THREADS": "1", **environment}, stdin=subprocess.DEVNULL)


def compiles(attnc, spec, arguments):
    return call([attnc, "compile", spec, f"--target={arguments.target}", f"--dtype={arguments.dtype}",
                 f"--head-dim={arguments.head_dim}", "--no-cache", "-o", os.devnull]).returncode == 0


def sizes(arguments):
    return [f"--heads={arguments.heads}", f"--q-len={arguments.length}", f"--head-dim={arguments.head_dim}",
            f"--dtype={arguments.dtype}", "--no-cache"]


def warp_instructions(attnc, spec, arguments):
    """Of a run, by kernel; None if it fails."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as counters:
        result = call([attnc, "run", spec, "--device=emulator", f"--target={arguments.target}", *sizes(arguments)],
                      ATTNC_EMU_COUNTERS=counters.name, ATTNC_EMU_CHECKS="0", ATTNC_EMU_DEVICE=arguments.target,
                      ATTNC_CUDA_DRIVER=str(arguments.after.resolve().parent.parent / "lib" / "libattnc_emu_cuda.so"))
        if result.returncode:
            print(f"{spec}: {result.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
        text, found = counters.read().strip(), {}
    while text:  # an object for each launch
        launch, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].lstrip()
        if launch["warp_instructions"]:
            moves = sum(line["warps"] for line in launch["lines"] if line["text"].startswith("mov."))
            found[launch["kernel"]] = found.get(launch["kernel"], 0) + launch["warp_instructions"] - moves
    return found


def loops(listing):
    """Instructions of each innermost loop of a kernel's SASS that multiplies matrices, in order."""
    labels, jumps, code = {}, [], []
    for line in listing:
        if label := re.match(r"\s*(\.L_\w+):", line):
            labels[label[1]] = len(code)
        elif text := re.search(r"/\*[0-9a-f]{4,}\*/\s+([^;]+);", line):
            if jump := re.search(r"\bBRA\b.*?(\.L_\w+)", text[1]):
                jumps.append((len(code), jump[1]))
            code.append(text[1])
    spans = sorted({(labels[to], at) for at, to in jumps if labels.get(to, at + 1) <= at})
    inner = [(a, b) for a, b in spans if not any((c, d) != (a, b) and a <= c and d <= b for c, d in spans)]
    return [b - a + 1 for a, b in inner if any("MMA" in text for text in code[a:b + 1])]


def key_loops(attnc, spec, arguments):
    """Of the kernel that is called as the spec, or else of the first one that has some; and its spilled bytes."""
    with tempfile.TemporaryDirectory() as folder:
        call([attnc, "compile", spec, f"--target={arguments.target}", f"--dtype={arguments.dtype}",
              f"--head-dim={arguments.head_dim}", "--no-cache", "-o", f"{folder}/k.ptx"])
        log = call([arguments.ptxas, "-v", f"-arch={arguments.target}", f"{folder}/k.ptx", "-o", f"{folder}/k.cubin"]).stderr
        listing = call([arguments.nvdisasm, "-c", f"{folder}/k.cubin"]).stdout
    kernels = {}
    for line in listing.splitlines():
        if begin := re.match(r"\.text\.(\w+):", line):
            lines = kernels.setdefault(begin[1], [])
        elif kernels:
            lines.append(line)
    spills = max(int(n) for n in re.findall(r"(\d+) bytes spill", log) or [0])
    found = {name: loops(lines) for name, lines in kernels.items()}
    return found.get(spec.stem) or next((counts for counts in found.values() if counts), []), spills


def least_milliseconds(attnc, spec, arguments):
    result = call([attnc, "bench", spec, "--device=host", "--threads=1", "--json", f"--repeat={arguments.repeat}",
                   *sizes(arguments)])
    if result.returncode:
        sys.exit(f"{spec}: {result.stderr}")
    return json.loads(result.stdout)["min_ms"]


def interval(ratios, draws=2000):
    """Bounds of 95 of 100 medians of what is drawn from `ratios`."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(draws))
    return medians[draws // 40], medians[-draws // 40 - 1]


def compare_ptx(spec, arguments):
    before, after = (warp_instructions(attnc, spec, arguments) for attnc in (arguments.before, arguments.after))
    if before is None or after is None:
        return f"| {spec.stem} | does not run | | | |"
    old, new = sum(before.values()), sum(after.values())
    mark = " *" if new > arguments.limit * old else ""
    return f"| {spec.stem} | {old} in {len(before)} | {new} in {len(after)} | {new / old:.3f}{mark} |"


def compare_sass(spec, arguments):
    (before, _), (after, spills) = (key_loops(attnc, spec, arguments) for attnc in (arguments.before, arguments.after))
    if not before or not after:
        return f"| {spec.stem} | {before} | {after} | not comparable |"
    ratios = [new / old for old, new in zip(before, after)]
    return (f"| {spec.stem} | {before} | {after}{f', {spills} B spilled' if spills else ''} "
            f"| {', '.join(f'{ratio:.3f}' for ratio in ratios)}{' *' * (max(ratios) > arguments.limit)} |")


def compare_host(spec, arguments):
    times = [[least_milliseconds(attnc, spec, arguments) for attnc in (arguments.before, arguments.after)]
             for _ in range(arguments.rounds)]
    ratios = [after / before for before, after in times]
    low, high = interval(ratios)
    middle = statistics.median(ratios)
    mark = " *" if middle > arguments.limit else ""
    return (f"| {spec.stem} | {min(t[0] for t in times):.3f} ms | {min(t[1] for t in times):.3f} ms "
            f"| {middle:.3f} ({low:.3f} to {high:.3f}){mark} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ptx", "sass", "host"])
    parser.add_argument("--before", type=pathlib.Path, required=True)
    parser.add_argument("--after", type=pathlib.Path, required=True)
    parser.add_argument("--target", default="sm_80", help="of PTX")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--length", type=int, default=512, help="of queries and keys")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=10, help="runs of a round")
    parser.add_argument("--ptxas", default="ptxas")
    parser.add_argument("--nvdisasm", default="nvdisasm")
    parser.add_argument("--limit", type=float, default=1.02)
    parser.add_argument("specs", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.what == "host":
        arguments.target = "host"
    specs = arguments.specs or sorted(ROOT.glob("specs/**/*.attn"))
    taken = [spec for spec in specs if compiles(arguments.before, spec, arguments)]
    print(f"{len(specs) - len(taken)} of {len(specs)} specs do not compile with the first build")
    print("| spec | before | after | after / before |\n| --- | --- | --- | --- |")
    for spec in taken:
        print({"ptx": compare_ptx, "sass": compare_sass, "host": compare_host}[arguments.what](spec, arguments), flush=True)


if __name__ == "__main__":
    main()
