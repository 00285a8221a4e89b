#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random well-typed specs of stages, selections, branches, quantization and recurrences, which only the reference runs.

A case is determined by its number: `random_specs.py --first 17 --count 1 --show` prints case 17. Each case must check
without errors and run on the reference on a small random shape, with the same result on one thread and on three. Cases are
also put together in files of many variants, for which the printed module must parse to the same text, and formatting must be
idempotent and keep the module.
A failing case leaves its spec in the folder of `--keep`. Closes with `random_specs: N passed, N failed`.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]
from random_attention import AttentionSpec  # noqa: E402
from random_recurrence import RecurrenceSpec  # noqa: E402

BATCH = 100


def case(number):
    """Text of a case, whose variant is named by its number."""
    rng = random.Random(number)
    return (AttentionSpec if rng.random() < 0.65 else RecurrenceSpec)(rng, f"case{number}").text()


def inputs_of(spec, rng, np, sizes=None):
    """Small tensors of sizes that go together; those of `sizes` are given."""
    drawn = {name: rng.randint(1, high) for name, high in dict(b=2, g=2, q=5, kv=9, t=6, d=4, e=4).items()}
    drawn["h"] = drawn["g"] * rng.randint(1, 2)
    sizes = drawn | (sizes or {})
    draw = np.random.default_rng(rng.getrandbits(32))
    tensors = {}
    for name, decl in spec.inputs.items():
        shape = [axis if isinstance(axis, int) else sizes.setdefault(axis, rng.randint(1, 4)) for axis in decl.axes]
        if decl.dtype == "i32":
            tensors[name] = np.asarray(draw.integers(-3, 12, shape), np.int32)
        elif decl.dtype == "bool":
            tensors[name] = np.asarray(draw.random(shape) < 0.75)
        elif decl.dtype == "bf16":
            tensors[name] = np.asarray(draw.integers(0x3C00, 0x4040, shape), np.uint16)  # bits from 2^-7 to 3
        else:
            tensors[name] = np.asarray(draw.normal(size=shape), np.float16 if decl.dtype == "f16" else np.float32)
    return tensors


def run(number, attnc, np):
    """The error of a case on the reference, or nothing."""
    try:
        spec = attnc.Spec(case(number))
        inputs = inputs_of(spec, random.Random(~number), np)
        results = spec.evaluate(inputs, num_threads=1)
        again = spec.evaluate(inputs, num_threads=3)
    except attnc.AttncError as error:
        return str(error)
    differ = [name for name in spec.outputs if not np.array_equal(results[name], again[name], equal_nan=True)]
    return f"three threads yield another {differ}" if differ else ""


def texts(numbers, tools):
    """The error of printing, parsing and formatting a file of many cases, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        def tool(name, text, *options):
            path = pathlib.Path(folder) / "text"
            path.write_text(text)
            # A preloaded sanitizer is for the library in this process; the tools have their own.
            env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
            result = subprocess.run([tools / name, *options, path], capture_output=True, text=True, env=env)
            if result.returncode:
                raise RuntimeError(f"{name} {' '.join(options)}: exit {result.returncode}\n{result.stderr[:2000]}")
            return result.stdout

        try:
            spec = "\n".join(case(number) for number in numbers)
            module = tool("attnc-spec", spec, "--emit-attn")
            if tool("attnc-opt", module).strip() != module.strip():
                return "the printed module parses to another one"
            formatted = tool("attnc-spec", spec, "--format")
            if tool("attnc-spec", formatted, "--format") != formatted:
                return "formatting twice changes the text"
            if tool("attnc-spec", formatted, "--emit-attn") != module:
                return "formatting changes the module"
        except RuntimeError as error:
            return str(error)
    return ""


def failing(numbers, tools):
    """Yields (number, error) for the cases of a batch that fail, halving it down to them."""
    error = texts(numbers, tools)
    if error and len(numbers) == 1:
        yield numbers[0], error
    elif error:
        middle = len(numbers) // 2
        yield from failing(numbers[:middle], tools)
        yield from failing(numbers[middle:], tools)


def run_isolated(numbers, attnc, np):
    """Yields (number, error) for the cases that fail on the reference; a crash of the process is an error of its case."""
    todo = list(numbers)
    while todo:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            for number in todo:
                os.write(writer, f"{number}\t{run(number, attnc, np)!r}\n".encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as lines:
            done = [line.rstrip("\n").split("\t", 1) for line in lines]
        _, status = os.waitpid(child, 0)
        for number, error in done:
            if error != "''":
                yield int(number), error.encode().decode("unicode_escape")
        if status:
            yield todo[len(done)], f"the process ended with status {status}"
        todo = todo[len(done) + 1:] if status else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--tools", type=pathlib.Path, default=ROOT / "build/bin", help="folder of attnc-spec and attnc-opt")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for specs that fail")
    parser.add_argument("--show", action="store_true", help="print the specs and do no more")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.count)
    if options.show:
        print("\n".join(case(number) for number in numbers), end="")
        return 0
    import numpy as np

    import attnc
    start = time.monotonic()
    failed = dict(run_isolated(numbers, attnc, np))
    sound = [number for number in numbers if number not in failed]
    for at in range(0, len(sound), BATCH):
        failed.update(failing(sound[at:at + BATCH], options.tools))
    for number, error in sorted(failed.items()):
        print(f"FAILED case {number}: {error}\n  repeat: random_specs.py --first {number} --count 1")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"case{number}.attn").write_text(case(number))
    print(f"random_specs: {len(numbers) - len(failed)} passed, {len(failed)} failed; {time.monotonic() - start:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
