#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random well-typed specs on random shapes, held against the float64 reference on the host and on the PTX emulator.

A case is determined by its number alone: `fuzz.py --first 17 --count 1` repeats case 17. A failing case leaves its
spec in the folder of `--keep` and prints the command that repeats it. Closes with `fuzz: N passed, N failed`.

What is generated stays away from where rounding decides: comparisons and `i32(...)` see ints only, functions with
poles get arguments away from them, and scores stay moderate, so that the bounds of `--check` apply. Some parameters
and factors lie at the ends of 32 bits, so that ints wrap around; some masks nest deeply or chain many conditions. In half
of the cases V holds NaN at some keys, which must reach the rows that see one and no other. (Scores of every size are
in test_extremes.py: their errors have no bound unless the scores are exact.)
`erf` is left to test/E2E/functions.test.
"""
import argparse
import concurrent.futures
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def extreme(rng):
    """An int that 32-bit arithmetic with positions wraps around at."""
    if rng.random() < 0.15:
        return -2147483648  # the one int whose negative is itself
    return rng.choice([1, 1, -1]) * rng.choice([2147483647, 2147483647 - rng.randint(0, 300), 1073741824 + rng.randint(-40, 40), 65536])


class Spec:
    """Text of one random spec. Expressions are drawn by type and depth."""

    def __init__(self, rng):
        self.rng = rng
        self.align = rng.choice(["bottom_right", "top_left", "none"])
        self.inputs, self.params, self.lets, self.defs = [], [], [], []
        self.int_inputs, self.real_inputs, self.bool_inputs = [], [], []
        self.mask_lets = []
        self.make_params()
        self.make_inputs()

    # Declarations

    def make_params(self):
        for i in range(self.rng.randint(0, 3)):
            const = self.rng.choice(["", "const "])
            if self.rng.random() < 0.7:
                values = [-3, -1, 0, 1, 2, 5, 16, 64, 100, 1000]
                value = extreme(self.rng) if self.rng.random() < 0.15 else self.rng.choice(values)
                self.params.append((f"n{i}", f"{const}int", value))
            else:
                self.params.append((f"c{i}", f"{const}f32", self.rng.choice([0.25, 1.0, 30.0])))

    def make_inputs(self):
        spaces = ["b", "h", "g", "q", "kv"]
        self.slots = self.rng.choice(["", "", "slots r", "slots r = 5"])
        if self.slots:
            spaces.append("r")
        for i in range(self.rng.randint(0, 3)):
            axes = self.rng.sample(spaces, self.rng.randint(1, 3))
            if self.rng.random() < 0.2:
                axes[self.rng.randrange(len(axes))] = str(self.rng.choice([1, 7, 32]))
            kind = self.rng.choice(["i32", "bool", "f32", "f16", "bf16", "dtype"])
            name = f"t{i}"
            sample = ""
            if kind == "i32":
                self.int_inputs.append((name, axes))
                sample = self.rng.choice(["", " sample uniform(-20, 90)", " sample sorted(0, 5)"])
            elif kind == "bool":
                self.bool_inputs.append((name, axes))
            else:
                self.real_inputs.append((name, axes))
                sample = self.rng.choice(["", " sample uniform(-1, 1)"])
            self.inputs.append(f"  input {name}: {kind}[{', '.join(axes)}]{sample}")
        if self.slots and not any("r" in line.split("[")[1].split("]")[0].split(", ") for line in self.inputs):
            self.slots = ""  # their number would follow from nothing
        if self.slots:
            self.inputs.insert(0, f"  {self.slots}")

    def read(self, entry, coords):
        name, axes = entry
        indices = []
        for axis in axes:
            if axis in coords and self.rng.random() < 0.8:
                indices.append(axis)
            else:
                indices.append(self.integer(1, coords, reads=False))
        # In a bracket, on an axis named q, q is the row; elsewhere it needs an alignment.
        return f"{name}[{', '.join(indices)}]"

    # Expressions

    def ints(self, coords):
        leaves = [c for c in coords if c != "q" or self.align != "none"]
        leaves += [name for name, kind, _ in self.params if kind.endswith("int")]
        return leaves

    def integer(self, depth, coords, reads=True):
        pick = self.rng.random()
        if depth == 0 or pick < 0.3:
            leaves = self.ints(coords)
            if leaves and self.rng.random() < 0.75:
                return self.rng.choice(leaves)
            if self.rng.random() < 0.2:
                return f"size({self.rng.choice(['q', 'kv', 'h', 'g', 'b', 'd', *(['r'] if '=' in self.slots else [])])})"
            return str(self.rng.choice([0, 1, 2, 3, 7, 16, 33, 64, 100, 255]))
        sub = lambda: self.integer(depth - 1, coords, reads)
        if pick < 0.40 and reads and self.int_inputs and "kv" in coords:
            return self.read(self.rng.choice(self.int_inputs), coords)
        if pick < 0.62:
            return f"({sub()} {self.rng.choice(['+', '-'])} {sub()})"
        if pick < 0.70:
            names = [name for name, kind, _ in self.params if kind.endswith("int")]
            return f"({sub()} * {self.rng.choice([-2, -1, 2, 3, *names, 1073741824 if self.rng.random() < 0.1 else 4])})"
        if pick < 0.80:
            divisor = self.rng.choice(["2", "7", "16", "64", "-3"] + [n for n, k, _ in self.params if k.endswith("int")])
            return f"({sub()} {self.rng.choice(['/', '/', '%'])} {divisor})"
        if pick < 0.815:
            return self.nested(coords, reads)
        if pick < 0.84:
            return self.bits(sub(), sub(), coords)
        if pick < 0.86:
            return f"abs({sub()})"
        if pick < 0.94:
            return f"{self.rng.choice(['min', 'max'])}({sub()}, {sub()})"
        return f"(if {self.condition(depth - 1, coords, reads)} then {sub()} else {sub()})"

    def nested(self, coords, reads):
        """An int within up to 16 others: what solves masks must not take time that doubles with each."""
        text = self.integer(0, coords, reads)
        for _ in range(self.rng.randint(4, 16)):
            leaf = self.integer(0, coords, reads)
            text = self.rng.choice([f"abs({text} - {leaf})", f"min({text}, {leaf})", f"max({leaf}, {text})", f"({text} + {leaf})",
                                    f"(if {text} < {leaf} then {leaf} else {text})" if len(text) < 400 else text])
        return text

    def bits(self, x, y, coords):
        counts = [str(self.rng.choice([0, 1, 4, 6, 31])), *self.ints(coords)]  # of indices and parameters, some beyond 31
        return self.rng.choice([f"({x} {self.rng.choice('&|^')} {y})", f"({x} & {self.rng.choice([1, 7, 63, -16])})", f"(~{x})",
                                f"({x} {self.rng.choice(['<<', '>>', '>>'])} {self.rng.choice(counts)})"])

    def chain(self, coords, reads):
        """Up to 20 conditions, most of which leave one key out."""
        left = "kv" if "kv" in coords else self.integer(0, coords, reads)
        word = self.rng.choice([" and ", " or "])
        sign = self.rng.choice(["!=", "!=", "==", "<", ">="])
        return "(" + word.join(f"{left} {sign} {self.integer(1, coords, reads)}" for _ in range(self.rng.randint(5, 20))) + ")"

    def wrapping(self, coords, reads):
        """A comparison whose sides wrap around for some keys or rows."""
        names = [name for name, kind, _ in self.params if kind.endswith("int")]
        far = self.rng.choice([*names, str(extreme(self.rng)), str(extreme(self.rng))])
        left = "kv" if "kv" in coords else self.integer(0, coords, reads)
        right = self.integer(1, coords, reads)
        sign = self.rng.choice(["<", "<=", ">", ">=", "==", "!="])
        return self.rng.choice([f"{left} + {far} {sign} {right}", f"{right} - {far} {sign} {left}", f"{left} * {far} {sign} {right}",
                                f"abs({left} + {far}) {sign} {far}", f"({left} + {far}) / 16 {sign} ({right} + {far}) / 16",
                                f"{left} {sign} {right} * {far} / -1", f"min({left} + {far}, {right}) {sign} {right}"])

    def condition(self, depth, coords, reads=True):
        pick = self.rng.random()
        if 0.57 <= pick < 0.64:
            return f"({self.wrapping(coords, reads)})"
        if depth > 0 and 0.53 <= pick < 0.57:
            return self.chain(coords, reads)
        if depth > 0:
            sub = lambda: self.condition(depth - 1, coords, reads)
            if pick < 0.22:
                return f"({sub()} and {sub()})"
            if pick < 0.42:
                return f"({sub()} or {sub()})"
            if pick < 0.50:
                return f"(not {sub()})"
            if pick < 0.53:
                return f"(({sub()}) {self.rng.choice(['==', '!='])} ({sub()}))"
        if pick > 0.97:
            return self.rng.choice(["true", "false"])
        if pick > 0.88 and reads and self.bool_inputs and "kv" in coords:
            return self.read(self.rng.choice(self.bool_inputs), coords)
        left = self.integer(min(depth, 2), coords, reads)
        if "kv" in coords and self.rng.random() < 0.6:
            left = self.rng.choice(["kv", "kv", f"(kv - {left})", f"({left} - kv)", f"abs(kv - {left})",
                                    f"(kv / 16 - {left})", f"max(kv, {left})", f"(kv >> 4) + {left}", f"(kv << 2) - {left}"])
        return f"{left} {self.rng.choice(['<', '<=', '>', '>=', '<=', '==', '!='])} {self.integer(min(depth, 2), coords, reads)}"

    def real(self, depth, coords, leaf):
        pick = self.rng.random()
        if depth == 0 or pick < 0.2:
            if leaf and self.rng.random() < 0.6:
                return leaf
            # Where there may be no key, tensors over kv are refused.
            inputs = [entry for entry in self.real_inputs if "kv" in coords or "kv" not in entry[1]]
            if inputs and self.rng.random() < 0.5:
                return self.read(self.rng.choice(inputs), coords)
            return self.rng.choice(["0.5", "1.5", "-0.75", "2.0"])
        sub = lambda: self.real(depth - 1, coords, leaf)
        if pick < 0.40:
            return f"({sub()} {self.rng.choice(['+', '-'])} {sub()})"
        if pick < 0.50:
            return f"({self.rng.choice(['0.5', '0.125', '-0.5'])} * {sub()})"
        if pick < 0.60:
            function = self.rng.choice(["tanh", "sigmoid", "sin", "cos", "abs", "exp(-abs", "sqrt(abs", "ln(1.5 + abs"])
            return f"{function}({sub()}){')' if '(' in function else ''}"
        if pick < 0.70:
            return f"{self.rng.choice(['min', 'max'])}({sub()}, {sub()})"
        if pick < 0.80:
            return f"({self.rng.choice(['0.01', '-0.02'])} * f32({self.integer(depth - 1, coords)} % 50))"
        if pick < 0.88:
            return f"(20.0 * tanh({sub()} / 20.0))"
        if pick < 0.92:
            return f"({sub()} / (1.0 + abs({sub()})))"
        return f"(if {self.condition(depth - 1, coords)} then {sub()} else {sub()})"

    def text(self):
        rng = self.rng
        every = ["b", "h", "g", "q", "kv"]
        parts = []
        if rng.random() < 0.3:
            parts.append(f"  precision {rng.choice(['f32', 'tf32'])}")
        if rng.random() < 0.25:
            parts.append(f"  scale {rng.choice(['1.0', '0.25', '1.0 / sqrt(size(d) * 2)', '0.1 + 0.01 * size(g)', '-0.2', '0.0'])}")
        if rng.random() < 0.3:
            parts.append(f"  let near = {self.integer(2, every)}")
            parts.append(f"  def close(x, y) = abs(x - y) < {rng.choice([3, 20, 70])}")
            self.mask_lets = ["close(kv, near)", "close(near, 30)"]
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            parts.append(f"  score {self.real(3, every, 's')}")
        if rng.random() < 0.85:
            mask = self.condition(rng.choice([1, 2, 3]), every)
            if self.mask_lets and rng.random() < 0.7:
                mask = f"{mask} {rng.choice(['and', 'or'])} {rng.choice(self.mask_lets)}"
            parts.append(f"  mask {mask}")
        if rng.random() < 0.25:
            parts.append(f"  sink {self.real(2, ['b', 'h', 'g', 'q'], None)}")
        if rng.random() < 0.6:
            parts.append("  output lse")
        params = ", ".join(f"{n}: {k} = {v}" for n, k, v in self.params)
        return "\n".join([f"attention fuzz({params}) {{" if params else "attention fuzz {", f"  align {self.align}"]
                         + self.inputs + parts + ["}", ""])


def options(rng, spec):
    """Shape, type and parameters of a run."""
    kv_heads = rng.choice([1, 2, 3])
    queries, keys = [1, 2, 15, 63, 64, 65, 100, 130, 200], [0, 1, 17, 63, 64, 65, 100, 128, 190, 260]
    if rng.random() < 0.3:  # a GPU shares out the keys
        queries, keys = [1, 1, 2, 3, 5], [256, 257, 300, 511, 512, 513, 700, 1030]
    result = [f"--batch={rng.choice([1, 1, 2])}", f"--heads={kv_heads * rng.choice([1, 2, 3])}", f"--kv-heads={kv_heads}",
              f"--q-len={rng.choice(queries)}", f"--kv-len={rng.choice(keys)}",
              f"--head-dim={rng.choice([8, 16, 32, 40, 64, 72, 80, 96, 128])}",
              f"--dtype={rng.choice(['f16', 'bf16', 'f32'])}", f"--layout={rng.choice(['bhsd', 'bshd'])}",
              f"--seed={rng.randrange(1000)}"]
    if rng.random() < 0.2:
        result.append(f"--v-head-dim={rng.choice([8, 24, 64, 112])}")
    for name, kind, _ in spec.params:
        if kind.endswith("int") and rng.random() < 0.5:
            values = [-7, 0, 1, 4, 31, 64, 129, 1000000, -1000000]
            result.append(f"--param={name}={extreme(rng) if rng.random() < 0.2 else rng.choice(values)}")
    return result


def unwritten(rng, shape, folder, number):
    """Arguments that bind a V with NaN at some keys, for half of the cases."""
    given = dict(option[2:].split("=", 1) for option in shape)
    keys, columns = int(given["kv-len"]), int(given.get("v-head-dim", given["head-dim"]))
    if keys == 0 or rng.random() < 0.5:
        return []
    import numpy as np
    draw = np.random.default_rng(number)
    values = draw.standard_normal((int(given["batch"]), int(given["kv-heads"]), keys, columns)).astype(np.float32)
    values[:, :, rng.randrange(keys):] = np.nan if rng.random() < 0.5 else 1.0  # behind a length
    for _ in range(rng.randint(0, 3)):
        values[rng.randrange(values.shape[0]), :, rng.randrange(keys), rng.randrange(columns):] = np.nan
    path = folder / f"fuzz-{number}-V.npy"
    bits = (values.view(np.uint32) >> 16).astype(np.uint16).view("V2")
    np.save(path, {"f32": values, "f16": values.astype(np.float16), "bf16": bits}[given["dtype"]])
    return [f"--input=V={path}"]


def tiles(rng, device, shape):
    """Overrides of the planner's tiles, sometimes."""
    if rng.random() < 0.6:
        return []
    if device == "host":
        return [f"--tile-q={rng.choice([16, 32, 64, 128])}", f"--tile-kv={rng.choice([16, 32, 64, 128])}"]
    q, warps = rng.choice([(16, 1), (32, 2), (64, 4), (128, 4), (128, 8), (64, 2), (32, 1)])
    return [f"--tile-q={q}", f"--num-warps={warps}", f"--tile-kv={rng.choice([16, 32, 64, 128])}",
            f"--stages={rng.choice([2, 2, 3, 4])}"]


def run(arguments, folder, number):
    """Returns failure texts of one case."""
    rng = random.Random(number)
    spec = Spec(rng)
    text = spec.text()
    shape = options(rng, spec)
    path = folder / f"fuzz-{number}.attn"
    path.write_text(text)
    shape += unwritten(rng, shape, folder, number)
    failures = []
    for device in arguments.devices:
        extra = tiles(rng, device, shape)
        for attempt in (extra, []):
            command = [arguments.attnc, "run", str(path), f"--device={device}", "--check", "--no-cache", *shape, *attempt]
            try:
                result = subprocess.run(command, capture_output=True, text=True, timeout=120)
                output, code = result.stdout + result.stderr, result.returncode
            except subprocess.TimeoutExpired:
                output, code = "timed out after 120 s", 1
            # Tiles that do not fit are refused with a message; then the planner chooses.
            if not (attempt and code == 1 and "the tiles need" in output):
                break
        if code != 0:
            failures.append(" ".join(command) + f"  (exit {code})\n    " + "\n    ".join(output.strip().splitlines()[-8:]))
    if not failures and not arguments.keep:
        path.unlink()
    elif failures:
        failures.append(text)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--first", type=int, default=1, help="number of the first case")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--devices", nargs="+", default=["host", "emulator"])
    parser.add_argument("--keep", help="write specs here, and keep them")
    arguments = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as temporary, concurrent.futures.ThreadPoolExecutor(2) as pool:
        folder = pathlib.Path(arguments.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = range(arguments.first, arguments.first + arguments.count)
        for number, failures in zip(numbers, pool.map(lambda n: run(arguments, folder, n), numbers)):
            if failures:
                failed += 1
                print(f"FAILED case {number}\n" + "\n".join(failures), flush=True)
            else:
                passed += 1
    print(f"fuzz: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
