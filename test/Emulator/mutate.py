#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures the emulator's checks: breaks the synchronization of a PTX kernel one line at a time.

Each barrier, wait, commit, fence, mbarrier operation and collective of the file is deleted, or
weakened, in a copy of its own, and the copy is run with ptx-emu. A mutant is *flagged* when ptx-emu
reports a fault, *wrong* when it runs but writes other results than the original, and *survives* when
neither happens. Survivors are printed with their line, for a human to judge: some are harmless (a
second barrier in a row), the others are holes in the checks.

    mutate.py PTX-EMU FILE.ptx --out RESULT.npy [--out ..] -- ARGUMENTS OF ptx-emu
"""
import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile

# (what it matches, what it becomes); None deletes the instruction.
MUTATIONS = [
    (r"(bar|barrier)\.(cta\.)?(sync|arrive)\S*", None),
    (r"barrier\.cluster\.\S+", None),
    (r"cp\.async\.wait_group\S*\s+0", "cp.async.wait_group 1"),
    (r"cp\.async\.wait_(group|all)\S*", None),
    (r"cp\.async\.commit_group", None),
    (r"cp\.async\.bulk\.(wait_group|commit_group)\S*", None),
    (r"wgmma\.(fence|commit_group|wait_group)\S*", None),
    (r"fence\.(proxy|mbarrier_init)\S*", None),
    (r"mbarrier\.(init|arrive)\S*", None),
]


def mutants(text):
    """Yields (line number, description, mutated text)."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        code = line.split("//")[0]
        for pattern, replacement in MUTATIONS:
            match = re.match(r"^\s*(@!?%p\d+\s+)?(" + pattern + r")[^;]*;", code)
            if not match:
                continue
            changed = list(lines)
            if replacement is None:
                changed[index] = code[: match.start(2)].split("@")[0] + code[match.end():]
                what = "deleted"
            else:
                changed[index] = re.sub(pattern, replacement, code)
                what = "weakened"
            yield index + 1, f"{what}: {code.strip()}", "\n".join(changed)


def run(tool, ptx, arguments, outputs):
    """('flagged', report) or ('ran', digest of the outputs)."""
    for path in outputs:
        if os.path.exists(path):
            os.remove(path)
    try:
        done = subprocess.run([tool, ptx, *arguments], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "flagged", "timeout"
    if done.returncode:
        return "flagged", done.stderr.split("\n")[0]
    digest = hashlib.sha256()
    for path in outputs:
        with open(path, "rb") as f:
            digest.update(f.read())
    return "ran", digest.hexdigest()


def main():
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool")
    parser.add_argument("ptx")
    parser.add_argument("--out", action="append", required=True, help="a result file that ptx-emu writes")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(sys.argv[1:split])
    arguments = sys.argv[split + 1:]
    with open(options.ptx) as f:
        text = f.read()
    state, good = run(options.tool, options.ptx, arguments, options.out)
    if state != "ran":
        sys.exit(f"the original does not run: {good}")
    counts = {"flagged": 0, "wrong": 0, "survived": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mutant.ptx")
        for line, what, mutated in mutants(text):
            with open(path, "w") as f:
                f.write(mutated)
            state, detail = run(options.tool, path, arguments, options.out)
            verdict = state if state == "flagged" else "survived" if detail == good else "wrong"
            counts[verdict] += 1
            if options.verbose or verdict == "survived":
                print(f"{verdict}: line {line}: {what}" + (f"  [{detail}]" if state == "flagged" else ""))
    total = sum(counts.values())
    print(f"{total} mutants: {counts['flagged']} flagged, {counts['wrong']} gave wrong results, {counts['survived']} survived")
    return 0 if total and counts["survived"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
