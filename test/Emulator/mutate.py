#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures the emulator's checks: breaks a PTX kernel in one place at a time and sees who notices.

    mutate.py attnc ATTNC [--kernel SPEC:DTYPE:TARGET[:PARAM=VALUE] ..] [--quick]
    mutate.py cuda PTX-EMU [--kernel NAME ..]
    mutate.py ptx PTX-EMU FILE.ptx --out RESULT.npy [--out ..] -- ARGUMENTS OF ptx-emu [-- ARGUMENTS OF ANOTHER RUN ..]

What is broken: barriers, waits, commits, fences, copies and mbarrier operations are deleted, weakened or moved past
their next or previous neighbour; byte counts and arrival counts change; bits of swizzles (xor) are dropped; guards are
dropped or negated; comparisons are negated and moved by one. The kernel then runs under every delivery
(ATTNC_EMU_DELIVERY=all).

`attnc` is about the kernels that attnc generates, `cuda` about those of test/Emulator/cuda, which nvcc compiles, `ptx`
about any other. The rules for CUDA kernels name instructions as nvcc 13.0.88 numbers them. Every kernel runs on several
shapes, and then on the first with thorough checks, until one notices. A mutant is `flagged` when the emulator reports
a fault, `wrong` when it runs but its results are not those of the original kernel to the bit, `hangs` when it does not
end, and `survives` when it gives the same bits under every delivery. Survivors must be explained: each is looked up in
mutations.md by the rule that makes it harmless; one that no rule explains is a hole in the checks, is printed and fails
the run. `--explain` lists what each rule explains, and what it would explain if nothing had noticed it: a rule that fits
many of those says more than its reason.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
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
    of the same opcode, `bar.sync 0; #2 of 3`, one that is moved also by what it moves past."""
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
        """The instruction on the other side of its nearest neighbour in the same block, and that neighbour; or None."""
        at = index + step
        while 0 <= at < len(parts) and not BOUNDARY.match(parts[at][2]):
            if NEIGHBOUR.match(parts[at][2]):
                order = [p for p in range(len(parts)) if p != index]
                order.insert(order.index(at) + (step > 0), index)
                return "\n".join("\n".join(lines[parts[p][0]:parts[p][1] + 1]) for p in order), re.sub(r"\s+", " ", parts[at][2].strip())
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
                    yield Mutant(kind, first + 1, f"{named} past {other[1]}", other[0])
        if re.match(r"cp\.async(\.bulk)?\.wait_group|wgmma\.wait_group", op):
            yield mutant("weaken", f"{guard}{op} {int(rest) + 1};")
        relaxed = re.sub(r"\.(release|acquire)\b", ".relaxed", op)
        if relaxed != op and re.match(r"mbarrier\.|barrier\.cluster\.arrive|(ld|st|atom|red)\.", op):
            yield mutant("weaken", f"{guard}{relaxed} {rest};")
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
            else:
                for change in (16, -16):
                    yield mutant("byte count", f"{{ .reg .b32 changed; add.s32 changed, {last}, {change}; {guard}{op} {place}, changed; }}")
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
              # The other half of a tile of 128.
              *(f"--q-len {9 * i % 64 + 1} --kv-len {8 * (i // 2) + i % 2 + 1} --heads 1" for i in range(16)),
              *(f"--q-len {n} --kv-len {n} --heads 1" for n in (129, 136, 150, 171, 192)),
              # Fewer keys than queries: with a causal mask rows and whole tiles of rows see none. More: several whole tiles.
              *(f"--q-len {q} --kv-len {kv} --heads 1" for q, kv in ((200, 100), (130, 1), (192, 64), (64, 256), (128, 192), (70, 0)))]

    # Query rows, keys, a factor for Q and K, and the only row of Q that has it (None: all): runs that end in the EXACT form, because V holds inf, -inf and NaN, or because the
    # scores are beyond what the FAST form can hold. With "first" or "second", scores grow along the keys for that half of each 16 rows, and shrink
    # for the other: in every tile but the first, the maxima of one half move, and no other.
    SPECIAL = [*((*size, 1, None) for size in ((100, 300), (64, 64), (33, 65), (70, 72), (128, 77), (90, 80))),
               *((*size, 6e3, None) for size in ((130, 200), (64, 70), (1, 1))), (16, 70, 6e3, 0), (16, 70, 6e3, 9),
               *((*size, 1, half) for size in ((100, 300), (64, 70), (100, 600)) for half in ("first", "second"))]

    def special(self, folder, case):
        """Arguments of a special run. Columns of V differ in what they hold besides numbers, and keys in whether they hold any."""
        import numpy as np
        q, kv, factor, row = self.SPECIAL[case]
        rng = np.random.default_rng(case)
        if isinstance(row, str):
            signs = np.array([1 if (i % 16 < 8) == (row == "first") else -1 for i in range(q)])[:, None]
            tensors = {"Q": signs * np.ones((1, 1, q, 64)), "K": np.ones((1, 1, kv, 64)) * np.linspace(0, 1, kv)[:, None],
                       "V": rng.standard_normal((1, 1, kv, 64))}
            return self.bound(folder, q, kv, tensors)
        factors = np.array([factor if row in (None, i) else 1 for i in range(q)])[:, None]
        tensors = {"Q": factors * rng.standard_normal((1, 1, q, 64)), "K": rng.standard_normal((1, 1, kv, 64)), "V": rng.standard_normal((1, 1, kv, 64))}
        if factor != 1: # scores beyond 2^24 that are near each other, so that more than one key has a weight
            tensors["K"] = factor * (rng.standard_normal(64) + 1e-7 * tensors["K"])
        else:
            kinds = [(), (np.inf,), (-np.inf,), (np.nan,), (np.inf, -np.inf), (np.inf, np.nan), (-np.inf, np.nan)]
            for column in range(64):
                for kind in kinds[column % len(kinds)]:
                    tensors["V"][0, 0, rng.integers(kv, size=1 + column // 16), column] = kind
        return self.bound(folder, q, kv, tensors)

    def bound(self, folder, q, kv, tensors):
        """Arguments that bind these tensors of one head."""
        import numpy as np
        arguments = [f"--q-len={q}", f"--kv-len={kv}", "--heads=1"]
        for name, values in tensors.items():
            path = os.path.join(folder, f"{name}.npy")
            values = values.astype(np.float16 if self.dtype == "f16" else np.float32)
            np.save(path, (values.view(np.uint32) >> 16).astype(np.uint16).view("V2") if self.dtype == "bf16" else values)
            arguments.append(f"--input={name}={path}")
        return arguments

    def __init__(self, attnc, name):
        spec, dtype, target, *parameters = name.split(":")
        self.dtype = dtype
        self.name, self.attnc, self.target, self.entry = name, attnc, target, spec # not the kernels for few queries
        self.command = [str(ROOT / "specs" / f"{spec}.attn"), f"--dtype={dtype}", *(f"--param={p}" for p in parameters)]
        done = subprocess.run([attnc, "compile", *self.command, f"--target={target}"], capture_output=True, text=True, check=True)
        self.ptx = done.stdout
        checked = subprocess.run([attnc, "run", *self.command, "--device=emulator", "--check", "--q-len=16"], capture_output=True, text=True)
        self.outputs = re.findall(r"^(\w+) +[0-9.e+-]+ \(", checked.stdout, re.M)
        # The last two are the first ones of both kinds, with all checks.
        self.cases = range(len(self.SHAPES) + len(self.SPECIAL) + 2)

    def run(self, path, folder, case):
        outputs = {name: os.path.join(folder, f"{name}.npy") for name in self.outputs}
        ordinary, count = len(self.SHAPES), len(self.SHAPES) + len(self.SPECIAL)
        thorough, case = case >= count, {count: 0, count + 1: ordinary}.get(case, case)
        schedule = f"random:{case}" if case else "rr" # the order of the warps, at no cost
        shape = self.SHAPES[case].split() if case < ordinary else self.special(folder, case - ordinary)
        command = [self.attnc, "run", *self.command, "--device=emulator", *shape, "--seed=5",
                   *(f"--output={name}={file}" for name, file in outputs.items())]
        environment = {"ATTNC_EMU_PTX": path, "ATTNC_EMU_DEVICE": self.target, "ATTNC_EMU_DELIVERY": "all", "ATTNC_EMU_SCHEDULE": schedule,
                       "ATTNC_EMU_CHECKS": "2" if thorough else "1", "ATTNC_TENSOR_MAPS": str(1 - case % 2)} # both ways to copy
        return execute(command, environment, outputs.values(), 60)


class PtxKernel:
    """Any kernel, with one command line of ptx-emu for each case."""

    def __init__(self, tool, path, outputs, runs, name=None):
        self.name, self.tool, self.outputs, self.runs = name or pathlib.Path(path).name, tool, outputs, runs
        self.ptx = pathlib.Path(path).read_text()
        self.entry = runs[0][runs[0].index("--kernel") + 1] if "--kernel" in runs[0] else None
        self.cases = range(len(runs) + 1)

    def run(self, path, folder, case):
        outputs = [os.path.join(folder, f"{i}.npy") for i in range(len(self.outputs))]
        arguments, thorough, case = [], case == len(self.runs), case % len(self.runs)
        for argument in self.runs[case]:
            for mine, theirs in zip(outputs, self.outputs):
                argument = argument.replace(theirs, mine)
            arguments.append(argument)
        schedule = ["--schedule", f"random:{case}"] if case else ["--thorough"] if thorough else []
        return execute([self.tool, path, "--delivery", "all", *schedule, *arguments], {}, outputs, 60)


class CudaKernels:
    """Kernels of test/Emulator/cuda: source, target and command lines, with inputs in a folder that is given."""

    def __init__(self, folder):
        import numpy as np
        self.folder, self.np, self.rng = folder, np, np.random.default_rng(7)
        self.result = os.path.join(folder, "result.npy")

    def array(self, name, values):
        path = os.path.join(self.folder, f"{name}.npy")
        self.np.save(path, values)
        return path

    def bf16(self, *shape): # the upper halves of singles
        return (self.rng.standard_normal(shape).astype(self.np.float32).view(self.np.uint32) >> 16).astype(self.np.uint16)

    def gemm(self, kernel):
        # 0 to 7 tiles of 64 and one that is not whole: every way through the loops that nvcc unrolls.
        for k in (320, 64, 128, 192, 256, 384, 448, 104, 63, 0):
            a, b = (self.array(f"{x}{k}", self.bf16(64 * n, max(k, 64))) for x, n in (("a", 1), ("b", 2)))
            yield ["--kernel", kernel, "--device", "sm_90a", "--grid", "2,1", "--block", "256", f"map:64,64:128:in:{a}", f"map:64,64:128:in:{b}",
                   f"map:64,32:0:out:{self.result}:f32:64,128", f"i32:{k}"]

    def pipeline(self):
        for tiles in (5, 1, 2, 3, 4, 7, 0):
            x = self.array(f"x{tiles}", self.rng.integers(-9, 9, (max(2 * 32 * tiles - 20, 32), 100)).astype(self.np.float32))
            sums = self.array("zeros", self.np.zeros((2, 100), self.np.float32))
            yield ["--kernel", "tmaColumnSums", "--device", "sm_90a", "--grid", "2,2", "--block", "160", f"map:32,64:0:in:{x}", f"i32:{tiles}", "i32:100",
                   f"inout:{sums}:{self.result}"]

    def cluster(self):
        for tiles in (5, 1, 2, 3, 4, 6, 9, 0):
            x = self.array(f"m{tiles}", self.rng.integers(-9, 9, (max(32 * tiles - 20, 32), 100)).astype(self.np.float32))
            yield ["--kernel", "multicastSums", "--device", "sm_90a", "--grid", "4", "--cluster", "2", "--block", "160", f"map:16,64:0:in:{x}", f"i32:{tiles}",
                   f"inout:{self.array('sums', self.np.zeros((4, 64), self.np.float32))}:{self.result}"]

    def flash(self):
        # The end of the rows in each quarter of a tile, which is what one instruction copies, in the first and in later
        # tiles, and at every key of a fragment. Infinite values show who multiplies rows that should be zero or unseen.
        sizes = [(200, 1), (200, 0), (1, 0), (10, 0), (20, 1), (40, 0), (58, 1), (64, 1), (84, 1), (100, 0), (128, 0), (193, 1), (250, 0)]
        for n, causal in sizes + [(64 + 8 * (i // 2) + i % 2 + 1, 0) for i in range(16)]:
            q, k, v = (self.bf16(1, n, 64) for _ in "qkv")
            if n % 10 == 0 or n == 84:
                v[0, 0, 3] = v[0, n - 1, 5] = 0x7f80
            yield ["--kernel", "flash_bf16_64", "--grid", str((n + 63) // 64), "--block", "128", "--shared", str(5 * 64 * 128),
                   *(f"in:{self.array(f'{name}{n}.{causal}', x)}" for name, x in zip("qkv", (q, k, v))), f"out:{self.result}:bf16:1,{n},64", f"i32:{n}", "f32:0.18", f"i32:{causal}"]

    def kernels(self, tool, nvcc, wanted):
        table = {"gemm_ss": ("hopper", "sm_90a", lambda: self.gemm("gemm_ss")), "gemm_rs": ("hopper", "sm_90a", lambda: self.gemm("gemm_rs")),
                 "tmaColumnSums": ("pipeline", "sm_90a", self.pipeline), "multicastSums": ("cluster", "sm_90a", self.cluster), "flash_bf16_64": ("flash", "sm_80", self.flash)}
        for name in wanted or table:
            source, target, runs = table[name]
            path = os.path.join(self.folder, f"{source}.ptx")
            if not os.path.exists(path):
                subprocess.run([nvcc, "-ptx", "-O3", "-std=c++17", "-DASSUME_BLOCK", f"-arch={target}", "-o", path, str(ROOT / "test/Emulator/cuda" / f"{source}.cu")], check=True)
            yield PtxKernel(tool, path, [self.result], list(runs()), f"{source}:{name}")


def rules():
    """The rules of mutations.md: (name, kernel, kind, text), the last three as regular expressions."""
    table = re.findall(r"^\| `([\w-]+)` \| `([^`]*)` \| `([^`]*)` \| `([^`]*)` \|", (pathlib.Path(__file__).parent / "mutations.md").read_text(), re.M)
    return [(name, *(re.compile(p.replace("\\|", "|")) for p in patterns)) for name, *patterns in table]


def measure(kernel, options):
    """Counts by verdict; prints the survivors that no rule explains."""
    known = rules()
    counts, explained = collections.Counter(), collections.defaultdict(list)

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
            fits = [name for name, *patterns in known if all(p.search(t) for p, t in zip(patterns, (kernel.name, mutant.kind, mutant.text)))]
            rule = fits[0] if fits and state == "survives" else None
            counts["harmless" if rule else state] += 1
            for name in fits:
                explained[name].append((state, f"line {mutant.line}: {mutant.kind}: {mutant.text} {detail if state == 'flagged' else ''}"))
            if options.verbose or state == "survives" and not rule:
                print(f"{kernel.name} line {mutant.line}: {mutant.kind}: {mutant.text}\n    {state} {detail if state != 'survives' else rule or ''}", flush=True)
    for name, found in sorted(explained.items()) if options.explain else []:
        print(f"{kernel.name}: {name}")
        for state in ("survives", "wrong", "hangs", "flagged"):
            print("".join(f"    {state} {text}\n" for verdict, text in found if verdict == state), end="", flush=True)
    total = sum(counts.values())
    print(f"{kernel.name}: {total} mutants: {counts['flagged']} flagged, {counts['wrong']} wrong results, {counts['hangs']} hang, "
          f"{counts['harmless']} harmless by a rule, {counts['survives']} unexplained", flush=True)
    return counts


KERNELS = ["causal:f16:sm_80", "causal:f32:sm_80", "alibi:bf16:sm_80", "full:f32:sm_90a", "full:bf16:sm_90a", "causal:bf16:sm_90a",
           "alibi:f16:sm_90a"]
QUICK = ["causal:f16:sm_80", "full:f32:sm_90a"]


def main():
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    runs = [[]]
    for argument in sys.argv[split + 1:]:
        runs.append([]) if argument == "--" else runs[-1].append(argument)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--jobs", type=int, default=2)
    common.add_argument("--quick", action="store_true", help="two kernels, and a sample of the mutants")
    common.add_argument("--verbose", action="store_true", help="print every mutant")
    common.add_argument("--explain", action="store_true", help="list the mutants that each rule of mutations.md fits")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    ours = modes.add_parser("attnc", parents=[common])
    ours.add_argument("attnc")
    ours.add_argument("--kernel", action="append", help="SPEC:DTYPE:TARGET[:PARAM=VALUE], may be repeated")
    cuda = modes.add_parser("cuda", parents=[common])
    cuda.add_argument("tool")
    cuda.add_argument("--nvcc", default="nvcc")
    cuda.add_argument("--kernel", action="append", help="gemm_ss, gemm_rs, tmaColumnSums, multicastSums or flash_bf16_64, may be repeated")
    theirs = modes.add_parser("ptx", parents=[common])
    theirs.add_argument("tool")
    theirs.add_argument("ptx")
    theirs.add_argument("--out", action="append", required=True, help="a result file that ptx-emu writes")
    options = parser.parse_args(sys.argv[1:split])
    if options.mode == "cuda" and not shutil.which(options.nvcc):
        print(f"mutate: not run, there is no {options.nvcc} here")
        return 0
    total = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        if options.mode == "ptx":
            kernels = [PtxKernel(options.tool, options.ptx, options.out, runs)]
        elif options.mode == "cuda":
            kernels = CudaKernels(folder).kernels(options.tool, options.nvcc, options.kernel)
        else:
            kernels = (AttncKernel(options.attnc, name) for name in options.kernel or (QUICK if options.quick else KERNELS))
        for kernel in kernels:
            total += measure(kernel, options)
    count = sum(total.values())
    noticed = count - total["survives"]
    print(f"mutate: {noticed} passed, {total['survives']} failed ({100 * noticed / max(count, 1):.1f} % of {count} noticed or harmless)")
    return 0 if count and not total["survives"] else 1


if __name__ == "__main__":
    sys.exit(main())
