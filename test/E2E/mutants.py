#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures the bounds of `--check`: computes something else in one place and sees whether the error exceeds the bound.

    mutants.py kernels [--count N]   kernels that attnc compiles, one instruction changed, on the emulator
    mutants.py specs [--count N]     specs of the gallery, one token changed, on the float64 reference

A kernel's mutant drops a matrix product, an addition or a factor, moves a constant by 1.5 % or a comparison by one, or
rounds an operand to bf16 in all of its loads. A spec's mutant has another operator, number or function, leaves one index
out of a reduction, or rounds an operand to bf16. What yields the bits of the original is no mutant, and what the emulator reports as a
fault needs no bound; both are counted and left out. The rest must be beyond the bound: at least 95 of 100, else the run fails. Those that are
not are printed. `--seed` draws others. Closes with `mutants: N passed, N failed`.
"""
import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPE = ["--q-len=70", "--kv-len=200", "--heads=2", "--kv-heads=1", "--head-dim=64", "--seed=3"]
# What has enough rows and keys that each instruction computes something, for each spec, type and target.
KERNELS = ["causal:f16:sm_80", "full:bf16:sm_80", "soft_cap:f16:sm_90a", "alibi:f32:sm_80", "attention_sink:bf16:sm_80", "sliding_window:f16:sm_80"]
SPEC_SHAPE = ["--dtype=f32", "--q-len=64", "--kv-len=192", "--heads=4", "--kv-heads=2", "--head-dim=16", "--seed=3"]


def digest(paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def run(command, environment=None):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, env={**os.environ, **(environment or {})})


# Kernels

def rounded(ptx, opcode, dtype):
    """The kernel with the registers that `opcode` yields cut to the digits of bf16 (of a bf16 kernel, to 5)."""
    mask = {"f16": "0xfff8fff8", "bf16": "0xfff8fff8", "f32": "0xffff0000"}[dtype]
    def cut(match):
        registers = re.findall(r"%r\d+", match[1])
        return match[0] + "".join(f"\n\tand.b32 {r}, {r}, {mask};" for r in registers)
    return re.sub(r"^\s*" + opcode + r"\S*\s+(\{[^}]*\}|%r\d+),[^;]*;", cut, ptx, flags=re.M)


def kernel_mutants(ptx, dtype):
    """(what is changed, PTX)."""
    lines = ptx.split("\n")
    for i, line in enumerate(lines):
        def changed(text):
            return "\n".join(lines[:i] + [text] + lines[i + 1:])
        code = line.strip()
        product = re.match(r"mma\.sync\S*\s+\{([^}]*)\},\s*\{[^}]*\},\s*\{[^}]*\},\s*\{([^}]*)\};", code)
        if product:
            pairs = zip(product[1].split(","), product[2].split(","))
            yield f"dropped: {code}", changed("".join(f"\tmov.b32 {d.strip()}, {c.strip()};\n" for d, c in pairs))
        two = re.match(r"(add|sub|mul)\.(?:rn\.)?(?:ftz\.)?f32\s+(\S+), (\S+), (\S+);", code)
        if two:
            yield f"dropped: {code}", changed(f"\tmov.b32 {two[2]}, {two[3]};")
        three = re.match(r"fma\.rn\.(?:ftz\.)?f32\s+(\S+), (\S+), (\S+), (\S+);", code)
        if three:
            yield f"dropped: {code}", changed(f"\tmov.b32 {three[1]}, {three[4]};")
        constant = re.search(r"0f([0-9A-F]{8})", code)
        if constant and re.match(r"(mul|fma|add)\.", code) and 0x00800000 < (int(constant[1], 16) & 0x7FFFFFFF) < 0x7F000000:
            yield f"constant: {code}", changed(line.replace(constant[0], f"0f{int(constant[1], 16) + 0x20000:08X}"))
        if re.match(r"setp\.(le|lt|ge|gt)\.s32", code):
            other = {"le": "lt", "lt": "le", "ge": "gt", "gt": "ge"}[code[5:7]]
            yield f"comparison: {code}", changed(line.replace(f"setp.{code[5:7]}", f"setp.{other}"))
    for opcode in (r"ldmatrix\.sync\.aligned\.m8n8\.x\d\.shared", r"ldmatrix\.sync\.aligned\.m8n8\.x\d\.trans", r"cvt\.rn\.b?f16x2"):
        text = rounded(ptx, opcode, dtype)
        if text != ptx:
            yield f"operand in bf16: {opcode}", text


def kernel_jobs(arguments):
    rng = random.Random(arguments.seed)
    each = -(-3 * arguments.count // (2 * len(KERNELS)))  # some are equal
    for kernel in KERNELS:
        spec, dtype, target = kernel.split(":")
        command = [ROOT / "specs" / f"{spec}.attn", f"--dtype={dtype}"]
        done = run([arguments.attnc, "compile", *command, f"--target={target}", "--head-dim=64"])
        assert done.returncode == 0, done.stderr
        everything = list(kernel_mutants(done.stdout, dtype))
        whole = [m for m in everything if m[0].startswith("operand")]
        for name, ptx in whole + rng.sample([m for m in everything if m not in whole], max(0, each - len(whole))):
            yield f"{kernel} {name}", command, target, ptx, done.stdout


def run_kernel(arguments, job, folder):
    """'caught', 'within', 'equal' or 'flagged'."""
    name, command, target, ptx, original = job
    digests = []
    for text in (original, ptx):
        (folder / "kernel.ptx").write_text(text)
        done = run([arguments.attnc, "run", *command, "--device=emulator", f"--target={target}", "--check", f"--output=out={folder / 'out.npy'}", *SHAPE],
                   {"ATTNC_EMU_PTX": str(folder / "kernel.ptx"), "ATTNC_EMU_DEVICE": target})
        if "worst / bound" not in done.stdout:
            assert text is ptx, done.stderr
            return "flagged", name
        digests.append(digest([folder / "out.npy"]))
    if digests[0] == digests[1]:
        return "equal", name
    return ("caught" if done.returncode else "within"), name + "\n" + done.stdout


# Specs

CHANGES = [(r" \+ ", " - "), (r" - ", " + "), (r" \* ", " + "), (r" / ", " * "), (r" <= ", " < "), (r" < ", " <= "), (r" > ", " >= "), (r"\bexp\(", "exp2("),
           (r"\bsum\(", "mean("), (r"\bmax\(", "min("), (r"\bmin\(", "max("), (r"\bsigmoid\(", "tanh("), (r" and ", " or "), (r"\btop\(", "0.5 + top("),
           (r" for (\w+)\)", r" for \1 if \1 != 1)")]


def spec_mutants(text):
    start = text.index("{")
    for pattern, replacement in CHANGES:
        for match in re.finditer(pattern, text[start:]):
            first, last = start + match.start(), start + match.end()
            yield f"{match[0]!r} to {match.expand(replacement)!r} at {text.count(chr(10), 0, first) + 1}", text[:first] + match.expand(replacement) + text[last:]
    for match in re.finditer(r"\b\d+\.\d+\b", text[start:]):
        first, last = start + match.start(), start + match.end()
        yield f"{match[0]} by 1.5 %", f"{text[:first]}{float(match[0]) * 1.015 or 0.015:.9f}{text[last:]}"
    for operand in "QKV":
        declared = re.search(rf"^  input {operand}: .*$", text, re.M)
        at = declared.end() if declared else text.index("\n", start)
        yield f"{operand} in bf16", f"{text[:at]}\n  quantize {operand} as bf16{text[at:]}"


def spec_jobs(arguments):
    rng = random.Random(arguments.seed)
    specs = sorted((ROOT / "specs").rglob("*.attn"))
    while True:
        path = rng.choice(specs)
        text = path.read_text()
        body = re.sub(r"//.*|#.*", lambda m: " " * len(m[0]), text)
        mutants = list(spec_mutants(body))
        yield path, *rng.choice(mutants)


def run_spec(arguments, job, folder):
    """As run_kernel; 'flagged' is what is no spec any more."""
    path, name, text = job
    (folder / "spec.attn").write_text(text)
    outputs = re.findall(r"^(\w+) +[0-9.e+-]+ \(", run([arguments.attnc, "run", path, "--device=reference", "--check", *SPEC_SHAPE]).stdout, re.M)
    files = {}
    for kind, spec in (("original", path), ("mutant", folder / "spec.attn")):
        files[kind] = {output: folder / f"{kind}-{output}.npy" for output in outputs}
        done = run([arguments.attnc, "run", spec, "--device=reference", *(f"--output={o}={f}" for o, f in files[kind].items()), *SPEC_SHAPE])
        if done.returncode:
            return "flagged", f"{path.stem} {name}"
    if digest(files["original"].values()) == digest(files["mutant"].values()):
        return "equal", f"{path.stem} {name}"
    done = run([arguments.attnc, "run", path, "--device=reference", "--check", *(f"--result={o}={f}" for o, f in files["mutant"].items()), *SPEC_SHAPE])
    return ("caught" if "BEYOND" in done.stdout else "within"), f"{path.stem} {name}\n{done.stdout}{done.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kernels", "specs"])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--count", type=int, default=200, help="mutants that are neither equal nor flagged")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    jobs, runner = {"kernels": (kernel_jobs(arguments), run_kernel), "specs": (spec_jobs(arguments), run_spec)}[arguments.what]
    counts = dict.fromkeys(["caught", "within", "equal", "flagged"], 0)

    def execute(job):
        with tempfile.TemporaryDirectory() as folder:
            return runner(arguments, job, pathlib.Path(folder))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while counts["caught"] + counts["within"] < arguments.count:
            batch = [job for _, job in zip(range(8), jobs)]
            if not batch:
                break
            for verdict, text in pool.map(execute, batch):
                counts[verdict] += 1
                if verdict == "within":
                    print(f"WITHIN THE BOUND {text}", flush=True)
    compared = counts["caught"] + counts["within"]
    print(f"mutants of {arguments.what}: {counts}, {100 * counts['caught'] / max(1, compared):.1f} % beyond the bound")
    failed = 0 if compared and counts["caught"] >= 0.95 * compared else counts["within"] or 1
    print(f"mutants: {counts['caught']} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
