#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures the emulator's checks: breaks a PTX kernel in one place at a time and sees who notices.

    mutate.py attnc ATTNC [--kernel SPEC:DTYPE:TARGET[:PARAM=VALUE] ..] [--quick]
    mutate.py ptx PTX-EMU FILE.ptx --out RESULT.npy [--out ..] -- ARGUMENTS OF ptx-emu

What is broken: barriers, waits, commits, fences, copies and mbarrier operations are deleted, weakened or moved past
their next or previous neighbour; byte counts and arrival counts change; bits of swizzles (xor) are dropped; guards are
dropped or negated; comparisons are negated and moved by one. The kernel then runs under every delivery
(ATTNC_EMU_DELIVERY=all).

attnc's own kernels run on several shapes, until one notices. A mutant is `flagged` when the emulator reports a fault, `wrong` when it runs but its results are not those of the
original kernel to the bit, `hangs` when it does not end, and `survives` when it gives the same bits under every
delivery. Survivors must be explained: each is looked up in mutations.md by the rule that makes it harmless; one that no
rule explains is a hole in the checks, is printed and fails the run.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

GUARD = r"(?P<guard>@!?%p\d+\s+)?"
# What orders or completes memory accesses: deleted, and moved past the neighbours below.
SYNCHRONIZING = (r"(?:(?:bar|barrier)(?:\.cta)?\.(?:sync|arrive|red)|barrier\.cluster\.|cp\.async\.(?:bulk\.)?wait_|"
                 r"cp\.async\.(?:bulk\.)?commit_group|wgmma\.(?:fence|commit_group|wait_group)|fence\.|mbarrier\.(?:init|arrive))")
NEIGHBOUR = re.compile(r"^\s*" + GUARD.replace("?P<guard>", "?:") + r"(?:" + SYNCHRONIZING +
                       r"|(?:ld|st)\.shared|ldmatrix|stmatrix|cp\.async|wgmma\.mma|mbarrier\.|atom\.shared|red\.shared)")
BOUNDARY = re.compile(r"^\s*(?:\$?\w+:|(?:@!?%p\d+\s+)?(?:bra|ret|exit)|\}|\{)")
FLIPPED = {"lt": "ge", "ge": "lt", "le": "gt", "gt": "le", "eq": "ne", "ne": "eq", "lo": "hs", "hs": "lo", "ls": "hi",
           "hi": "ls", "neu": "equ", "equ": "neu", "ltu": "ge", "geu": "lt", "leu": "gt", "gtu": "le"}
SHIFTED = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "lo": "ls", "ls": "lo", "hi": "hs", "hs": "hi"}

Mutant = collections.namedtuple("Mutant", "kind line text ptx")


def statements(text):
    """(first line, last line, joined text) of each instruction; one may go over several lines."""
    lines, i = text.split("\n"), 0
    while i < len(lines):
        code = lines[i].split("//")[0]
        j = i
        if re.match(r"^\s*(?:@|[a-z])", code) and not re.match(r"^\s*\w+:", code):
            while ";" not in code and j + 1 < len(lines) and j - i < 40:
                j += 1
                code += " " + lines[j].split("//")[0].strip()
        yield i, j, code
        i = j + 1


def is_entry(code, name):
    return re.search(r"\.entry\s+" + re.escape(name) + r"\b", code) is not None


def mutants(text, entry=None):
    """All mutants of a PTX text, or of one entry of it. An instruction is named by its text and its number among those
    of the same opcode, `bar.sync 0; #2 of 3`."""
    lines = text.split("\n")
    parts = list(statements(text))
    inside, numbers, totals = not entry, collections.Counter(), collections.Counter()
    opcode = re.compile(r"^\s*" + GUARD + r"(?P<op>[a-z][\w.:]*)\s*(?P<rest>[^;]*);")
    for _, _, code in parts:
        if ".entry" in code:
            inside = not entry or is_entry(code, entry)
        if inside and opcode.match(code):
            totals[opcode.match(code)["op"]] += 1
    inside = not entry

    def changed(index, replacement):
        first, last, _ = parts[index]
        return "\n".join(lines[:first] + ([replacement] if replacement else []) + lines[last + 1:])

    def moved(index, step):
        """The instruction on the other side of its nearest neighbour in the same block, or None."""
        at = index + step
        while 0 <= at < len(parts) and not BOUNDARY.match(parts[at][2]):
            if NEIGHBOUR.match(parts[at][2]):
                order = [p for p in range(len(parts)) if p != index]
                order.insert(order.index(at) + (step > 0), index)
                return "\n".join("\n".join(lines[parts[p][0]:parts[p][1] + 1]) for p in order)
            at += step
        return None

    for index, (first, _, code) in enumerate(parts):
        if ".entry" in code:
            inside = not entry or is_entry(code, entry)
        if not inside:
            continue
        match = opcode.match(code)
        if not match:
            continue
        guard, op, rest = match["guard"] or "", match["op"], match["rest"]
        numbers[op] += 1
        named = re.sub(r"\s+", " ", code.strip()) + f" #{numbers[op]} of {totals[op]}"

        def mutant(kind, replacement):
            return Mutant(kind, first + 1, named, changed(index, replacement))

        if re.match(SYNCHRONIZING, op):
            yield mutant("delete", None)
            for kind, step in (("move down", 1), ("move up", -1)):
                other = moved(index, step)
                if other:
                    yield Mutant(kind, first + 1, named, other)
        if re.match(r"cp\.async(\.bulk)?\.wait_group|wgmma\.wait_group", op):
            yield mutant("weaken", f"{guard}{op} {int(rest) + 1};")
        if re.match(r"cp\.async\.c[ag]\.", op):
            yield mutant("delete copy", None)
            operands = re.findall(r"\[[^\]]*\]|[^,\s]+", rest)
            if len(operands) > 3:
                yield mutant("byte count", f"{guard}{op} {', '.join(operands[:3])};")
        if op.startswith("cp.async.bulk.") and "global" in op:
            yield mutant("delete copy", None)
        if re.match(r"mbarrier\.(arrive\.expect_tx|expect_tx)", op):
            place, last = rest.rsplit(",", 1)
            if re.fullmatch(r"\s*\d+\s*", last):
                for change in (16, -16):
                    yield mutant("byte count", f"{guard}{op} {place}, {int(last) + change};")
        if op.startswith("mbarrier.init"):
            place, last = rest.rsplit(",", 1)
            if re.fullmatch(r"\s*\d+\s*", last):
                yield mutant("arrival count", f"{guard}{op} {place}, {int(last) + 1};")
        if op == "xor.b32":
            target, a, b = [o.strip() for o in rest.split(",")]
            if re.fullmatch(r"-?\d+", b):
                bits = int(b) & 0xffffffff
                for bit in (1 << i for i in range(32)):
                    if bits & bit and bits != 0xffffffff:
                        yield mutant("swizzle bit", f"{guard}xor.b32 {target}, {a}, {bits & ~bit};")
            else:
                yield mutant("swizzle", f"{guard}mov.b32 {target}, {a};")
        if guard and op != "bra":
            yield mutant("drop guard", f"{op} {rest};")
        if guard:
            negated = guard.replace("@!", "@") if "!" in guard else guard.replace("@", "@!")
            yield mutant("negate guard", f"{negated}{op} {rest};")
        compare = re.match(r"setp\.(\w+)\.(.*)$", op)
        if compare and compare[1] in FLIPPED:
            flip = FLIPPED[compare[1]]
            yield mutant("negate comparison", f"{guard}setp.{flip}.{compare[2]} {rest};")
            if compare[1] in SHIFTED and "f32" not in op:
                yield mutant("shift comparison", f"{guard}setp.{SHIFTED[compare[1]]}.{compare[2]} {rest};")


def digest(paths):
    total = hashlib.sha256()
    for path in paths:
        total.update(pathlib.Path(path).read_bytes())
    return total.hexdigest()


def execute(command, environment, outputs, timeout):
    """('flagged', report), ('hangs', ''), or ('ran', digest of the outputs)."""
    for path in outputs:
        pathlib.Path(path).unlink(missing_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **environment})
    except subprocess.TimeoutExpired:
        return "hangs", ""
    if done.returncode:
        report = re.search(r"ptx emulator: (\S+) in kernel", done.stderr)
        return "flagged", report[1] if report else (done.stderr.strip().split("\n") or [""])[0]
    return "ran", digest(outputs)


class AttncKernel:
    """A kernel that attnc compiles, launched by attnc itself with the mutant in its place."""
    # The first shape notices most mutants. The others put the ends of rows and keys on every place of a tile and its
    # fragments, and behind the last row nothing, so that a missing guard has something to do.
    SHAPES = ["--q-len 100 --kv-len 300 --heads 2 --kv-heads 1", "--q-len 1 --kv-len 1 --heads 1", "--q-len 200 --kv-len 200 --heads 1",
              *(f"--q-len {64 + 9 * i % 64 + 1} --kv-len {64 + 8 * (i // 2) + i % 2 + 1} --heads 1" for i in range(16)),
              *(f"--q-len {n} --kv-len {n} --heads 1" for n in (129, 136, 150, 171, 192))]

    def __init__(self, attnc, name):
        spec, dtype, target, *parameters = name.split(":")
        self.name, self.attnc, self.target, self.entry = name, attnc, target, None
        self.command = [str(ROOT / "specs" / f"{spec}.attn"), f"--dtype={dtype}", *(f"--param={p}" for p in parameters)]
        done = subprocess.run([attnc, "compile", *self.command, f"--target={target}"], capture_output=True, text=True, check=True)
        self.ptx = done.stdout
        checked = subprocess.run([attnc, "run", *self.command, "--device=emulator", "--check", "--q-len=16"], capture_output=True, text=True)
        self.outputs = re.findall(r"^(\w+) +[0-9.e+-]+ \(", checked.stdout, re.M)
        self.cases = range(len(self.SHAPES))

    def run(self, path, folder, case):
        outputs = {name: os.path.join(folder, f"{name}.npy") for name in self.outputs}
        command = [self.attnc, "run", *self.command, "--device=emulator", *self.SHAPES[case].split(), "--seed=5",
                   *(f"--output={name}={file}" for name, file in outputs.items())]
        environment = {"ATTNC_EMU_PTX": path, "ATTNC_EMU_DEVICE": self.target, "ATTNC_EMU_DELIVERY": "all"}
        return execute(command, environment, outputs.values(), 20)


class PtxKernel:
    """Any kernel, with the command line of ptx-emu."""

    def __init__(self, tool, path, outputs, arguments):
        self.name, self.tool, self.outputs, self.arguments = pathlib.Path(path).name, tool, outputs, arguments
        self.ptx = pathlib.Path(path).read_text()
        self.entry = arguments[arguments.index("--kernel") + 1] if "--kernel" in arguments else None
        self.cases = range(1)

    def run(self, path, folder, case):
        outputs = [os.path.join(folder, f"{i}.npy") for i in range(len(self.outputs))]
        arguments = []
        for argument in self.arguments:
            for mine, theirs in zip(outputs, self.outputs):
                argument = argument.replace(theirs, mine)
            arguments.append(argument)
        return execute([self.tool, path, "--delivery", "all", *arguments], {}, outputs, 60)


def rules():
    """The rules of mutations.md: (name, kernel, kind, text), the last three as regular expressions."""
    table = re.findall(r"^\| `([\w-]+)` \| `([^`]*)` \| `([^`]*)` \| `([^`]*)` \|", (pathlib.Path(__file__).parent / "mutations.md").read_text(), re.M)
    return [(name, *(re.compile(p.replace("\\|", "|")) for p in patterns)) for name, *patterns in table]


def measure(kernel, options):
    """Counts by verdict, and the survivors that no rule explains."""
    known = rules()
    counts, unexplained = collections.Counter(), []

    def verdict(item):
        number, mutant = item
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "mutant.ptx")
            pathlib.Path(path).write_text(mutant.ptx)
            for case in kernel.cases:
                state, detail = kernel.run(path, folder, case)
                if state != "ran":
                    break
                state = "survives" if detail == good[case] else "wrong"
                if state == "wrong":
                    break
        return mutant, state, detail

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "original.ptx")
        pathlib.Path(path).write_text(kernel.ptx)
        good = []
        for case in kernel.cases:
            state, detail = kernel.run(path, folder, case)
            if state != "ran":
                sys.exit(f"{kernel.name}: the original does not run: {detail}")
            good.append(detail)
    chosen = list(mutants(kernel.ptx, kernel.entry))
    if options.quick: # all of what synchronizes, a sample of the rest
        seen = collections.Counter()
        sample = []
        for mutant in chosen:
            seen[mutant.kind] += 1
            if mutant.kind in ("delete", "move up", "move down", "weaken") or seen[mutant.kind] % 5 == 1:
                sample.append(mutant)
        chosen = sample
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        for mutant, state, detail in pool.map(verdict, enumerate(chosen)):
            rule = next((name for name, *patterns in known if state == "survives" and
                         all(p.search(t) for p, t in zip(patterns, (kernel.name, mutant.kind, mutant.text)))), None)
            counts["harmless" if rule else state] += 1
            if state == "survives" and not rule:
                unexplained.append(mutant)
            if options.verbose or state == "survives" and not rule:
                print(f"{kernel.name} line {mutant.line}: {mutant.kind}: {mutant.text}\n    {state} {detail if state != 'survives' else rule or ''}", flush=True)
    total = sum(counts.values())
    print(f"{kernel.name}: {total} mutants: {counts['flagged']} flagged, {counts['wrong']} wrong results, {counts['hangs']} hang, "
          f"{counts['harmless']} harmless by a rule, {counts['survives']} unexplained", flush=True)
    return counts


KERNELS = ["causal:f16:sm_80", "causal:f32:sm_80", "alibi:bf16:sm_80", "full:f32:sm_90a", "full:bf16:sm_90a", "alibi:f16:sm_90a"]
QUICK = ["causal:f16:sm_80", "full:f32:sm_90a"]


def main():
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--jobs", type=int, default=2)
    common.add_argument("--quick", action="store_true", help="two kernels, and a sample of the mutants")
    common.add_argument("--verbose", action="store_true", help="print every mutant")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    ours = modes.add_parser("attnc", parents=[common])
    ours.add_argument("attnc")
    ours.add_argument("--kernel", action="append", help="SPEC:DTYPE:TARGET[:PARAM=VALUE], may be repeated")
    theirs = modes.add_parser("ptx", parents=[common])
    theirs.add_argument("tool")
    theirs.add_argument("ptx")
    theirs.add_argument("--out", action="append", required=True, help="a result file that ptx-emu writes")
    options = parser.parse_args(sys.argv[1:split])
    if options.mode == "ptx":
        kernels = [PtxKernel(options.tool, options.ptx, options.out, sys.argv[split + 1:])]
    else:
        kernels = [AttncKernel(options.attnc, name) for name in options.kernel or (QUICK if options.quick else KERNELS)]
    total = collections.Counter()
    for kernel in kernels:
        total += measure(kernel, options)
    count = sum(total.values())
    noticed = count - total["survives"]
    print(f"mutate: {noticed} passed, {total['survives']} failed ({100 * noticed / max(count, 1):.1f} % of {count} noticed or harmless)")
    return 0 if count and not total["survives"] else 1


if __name__ == "__main__":
    sys.exit(main())
