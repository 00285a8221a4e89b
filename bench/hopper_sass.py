#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What ptxas makes of the loops over FULL tiles on Hopper, and what a model of an H100 says of it. No GPU is needed.

    hopper_sass.py --attnc build-release/bin/attnc [--specs causal,alibi] [--dims 64,128,256] [--target sm_90a] [--arguments=--tile-q=64 ..]

Needs ptxas of CUDA 13 and nvdisasm (PyPI: nvidia-cuda-nvdisasm) in PATH. For each kernel: registers, bytes of spill stores, ptxas's
advisories about wgmma (C7510 to C7520), and of its loop over FULL tiles the instructions, those of each kind that the model
takes, and how many exponentials come before the last wait.

The model counts cycles of a multiprocessor for one tile of rows and keys; its four parts have a warp of each warpgroup each.

    tensor   4 rows keys d / 4096 (wgmma), or 16-row products at 62.9 % of that (mma.sync, arXiv 2402.13499)
    softmax  8 for an exponential, 2 for a comparison, selection, conversion or integer instruction, 1 for another
             f32 one, 4 for an exchange between lanes, in each warp (CUDA C++ Programming Guide, throughput of instructions)
    apart    tensor + softmax: nothing runs at once          beside   first product + the larger of second product and softmax
    hidden   the larger of both: what turns between warpgroups would reach

TF are at 132 multiprocessors and 1.83 GHz, times 0.8, what large products reach of the peak (790 of 989 TF). They are no
prediction: from the instructions of FlashAttention-2's loop the same formulas make 295 TF (`apart`), of which 370 were measured,
and `hidden` is more than FlashAttention-3's 602 to 685 for a loop like its own. Compare lines with each other.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEAK_PART = 0.8
MULTIPROCESSORS, CLOCK = 132, 1.83e9
CLASSES = {"exp": r"MUFU", "alu": r"FMNMX|FSEL|FSETP|ISETP|SEL|F2FP|F2F|LOP3|SHF|LEA|PRMT|PLOP3|IMNMX|VIMNMX|I2FP", "fma": r"FFMA|FADD|FMUL|IADD3|VIADD|IMAD",
           "shfl": r"SHFL", "hgmma": r"HGMMA", "hmma": r"HMMA", "ldsm": r"LDSM", "copy": r"LDGSTS|UTMALDG", "mov": r"MOV", "local": r"LDL|STL"}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout + done.stderr


def loops(text):
    """Instructions of each innermost loop of a function's SASS, without what a branch within it leaps over: tiles that do not lie
    inside are copied apart, and accumulators are rescaled in the first tiles of a walk."""
    instructions, labels = [], {}
    for line in text.split("\n"):
        if label := re.match(r"\s*(\.L_\w+):", line):
            labels[label[1]] = len(instructions)
        elif found := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)([^;]*)", line):
            target = re.search(r"(\.L_\w+)", found[3]) if found[2].startswith("BRA") else None
            instructions.append((found[2], found[1] or "", target[1] if target else None))
    spans = [(labels[target], i) for i, (_, _, target) in enumerate(instructions) if target in labels and labels[target] <= i]
    for first, last in sorted(spans):
        if any((a, b) != (first, last) and first <= a and b <= last for a, b in spans):
            continue
        body, i = [], first
        while i <= last:
            op, _, target = instructions[i]
            body.append(op)
            ahead = labels.get(target, 0)
            i = ahead if i < ahead <= last else i + 1
        yield body


def kind(op):
    base = op.split(".")[0]
    if op.startswith("IMAD.MOV"):
        return "mov"
    return next((name for name, pattern in CLASSES.items() if re.fullmatch(pattern, base)), "other")


def measure(arguments, spec, dim, folder):
    ptx, cubin = f"{folder}/k.ptx", f"{folder}/k.cubin"
    run(arguments.attnc, "compile", str(next(ROOT.glob(f"specs/**/{spec}.attn"))), f"--target={arguments.target}", f"--dtype={arguments.dtype}",
        f"--head-dim={dim}", "--heads=16", "--q-len=8192", "--no-cache", *arguments.arguments, "-o", ptx)
    report = run("ptxas", "-v", f"-arch={arguments.target}", ptx, "-o", cubin)
    own = report[report.index(f"entry function '{spec}' for"):]
    registers, spills = int(re.search(r"Used (\d+) registers", own)[1]), int(re.search(r"(\d+) bytes spill stores", own)[1])
    advisories = sorted(set(re.findall(r"C75\d\d", report)))
    sass = run("nvdisasm", "-c", cubin)
    function = sass[sass.index(f"\n.text.{spec}:"):]
    # Most exponentials, and of those the shortest: masks are longer, and what runs where the result is in doubt takes fewer keys at once.
    exponentials = lambda ops: sum(op.startswith("MUFU.EX2") for op in ops)
    body = min(loops(function.split("\n.text.", 2)[1]), key=lambda ops: (-exponentials(ops), len(ops)))
    counts = collections.Counter(kind(op) for op in body)
    waits = [i for i, op in enumerate(body) if op.startswith("WARPGROUP.DEPBAR")]
    early = sum(op.startswith("MUFU.EX2") for op in body[:waits[-1]]) if waits else 0
    schedule = run(arguments.attnc, "compile", str(next(ROOT.glob(f"specs/**/{spec}.attn"))), f"--target={arguments.target}", f"--dtype={arguments.dtype}",
                   f"--head-dim={dim}", "--no-cache", *arguments.arguments, "--compile-to=kernels")
    rows, keys, warps = (int(re.search(name + r" = (\d+)", schedule)[1]) for name in ("tile_q", "tile_kv", "warps"))
    parts = warps / 4
    softmax = parts * (8 * counts["exp"] + 2 * counts["alu"] + counts["fma"] + 4 * counts["shfl"] + counts["other"])
    flops = 4 * rows * keys * dim
    tensor = flops / 4096 / (1 if counts["hgmma"] else 0.629)
    teraflops = lambda cycles: flops / cycles * MULTIPROCESSORS * CLOCK * PEAK_PART / 1e12
    apart, hidden = tensor + softmax, max(tensor, softmax)
    beside = tensor / 2 + max(tensor / 2, softmax) if counts["hgmma"] else apart
    return (f"| {spec} {dim} | {rows} x {keys} | {registers} | {spills} | {' '.join(advisories) or '-'} | {len(body)} | {counts['hgmma'] or counts['hmma']} | {counts['ldsm']} | "
            f"{counts['copy']} | {counts['mov']} | {counts['exp']} ({early}) | {tensor:.0f} | {softmax:.0f} | {teraflops(apart):.0f} / {teraflops(beside):.0f} / {teraflops(hidden):.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", required=True)
    parser.add_argument("--specs", default="causal,full,sliding_window,alibi,soft_cap")
    parser.add_argument("--dims", default="64,128,256")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--target", default="sm_90a")
    parser.add_argument("--arguments", action="append", default=[])
    arguments = parser.parse_args()
    print("| spec, head dim | tile | registers | spills | advisories | SASS | products | ldmatrix | copies | moves | exp (before wait) | tensor | softmax | TF apart / beside / hidden |")
    print("| --- |" + " --- |" * 13)
    with tempfile.TemporaryDirectory() as folder:
        for spec in arguments.specs.split(","):
            for dim in map(int, arguments.dims.split(",")):
                print(measure(arguments, spec, dim, folder), flush=True)


if __name__ == "__main__":
    main()
