#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs with a few tokens changed: each must be an error or a spec, and one that still checks must run or be refused.

A case is determined by its number: a spec of `specs/`, an error test or a random spec, with tokens left out, doubled,
exchanged, or taken from another. Nothing is expected of messages and results; a crash or a case that takes more than ten
seconds fails, and prints how to repeat it. Closes with `mutated_specs: N passed, N failed`.
"""
import argparse
import os
import pathlib
import random
import re
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]
import random_specs  # noqa: E402

TOKEN = re.compile(r"//[^\n]*|\n|[A-Za-z_]\w*|\d+\.\d+(?:[eE][+-]?\d+)?|\d+|\S| +")
SECONDS = 10


def corpus():
    texts = [file.read_text() for file in sorted((ROOT / "specs").rglob("*.attn"))]
    for file in sorted((ROOT / "test/Frontend/errors").glob("*.attn")):
        texts += re.split(r"(?m)^// -----\n", file.read_text())
    texts += [random_specs.case(number) for number in range(200)]
    return [TOKEN.findall(re.sub(r"(?m)^ *// expected.*\n", "", text)) for text in texts]


def mutant(number, texts, words):
    rng = random.Random(number)
    tokens = list(rng.choice(texts))
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3, 6])):
        at = rng.randrange(len(tokens) + 1)
        other = rng.choice(texts)
        start = rng.randrange(len(other) + 1)
        run = slice(at, at + rng.randint(1, 10))
        kind = rng.choice(["alike"] * 6 + ["word", "insert", "delete", "double", "import", "exchange"])
        if kind == "alike":  # a name for a name of the same spec, a number for a number
            places = [i for i, token in enumerate(tokens) if token[0].isalnum()]
            if places:
                at = rng.choice(places)
                tokens[at] = tokens[rng.choice([i for i in places if tokens[i][0].isdigit() == tokens[at][0].isdigit()])]
        elif kind == "word":
            tokens[at:at + 1] = [rng.choice(words)]
        elif kind == "insert":
            tokens.insert(at, rng.choice(words))
        elif kind == "delete":
            del tokens[run]
        elif kind == "double":
            tokens[at:at] = tokens[run]
        elif kind == "import":
            tokens[at:at] = other[start:start + rng.randint(1, 15)]
        else:
            tokens[run] = tokens[run][::-1]
    return "".join(tokens)


def attempt(number, text, attnc, np):
    """What became of a mutant: `refused`, or `ran`."""
    try:
        spec = attnc.Spec(text)
        spec.evaluate(random_specs.inputs_of(spec, random.Random(number), np), num_threads=1)
        return "ran"
    except (attnc.AttncError, MemoryError, ValueError):
        return "refused"  # NumPy raises the others for outputs that are too large


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--show", action="store_true", help="print the specs and do no more")
    options = parser.parse_args()
    texts = corpus()
    words = sorted({token for text in texts for token in text if not token.startswith("//")})
    remaining = list(range(options.first, options.first + options.count))
    if options.show:
        print("\n".join(mutant(number, texts, words) for number in remaining), end="")
        return 0
    import numpy as np

    import attnc
    start, counts, failures = time.monotonic(), {"ran": 0, "refused": 0}, 0
    while remaining:  # a child goes on until one of its cases ends it
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            np.seterr(all="ignore")
            for number in remaining:
                signal.alarm(SECONDS)
                os.write(writer, f"{attempt(number, mutant(number, texts, words), attnc, np)}\n".encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as lines:
            done = [line.strip() for line in lines]
        _, status = os.waitpid(child, 0)
        for outcome in done:
            counts[outcome] += 1
        if status:
            failures += 1
            why = f"more than {SECONDS} s" if status == signal.SIGALRM else f"the process ended with status {status}"
            print(f"FAILED case {remaining[len(done)]}: {why}\n  repeat: mutated_specs.py --first {remaining[len(done)]} --count 1")
        remaining = remaining[len(done) + 1:] if status else []
    print(f"mutated_specs: {sum(counts.values())} passed, {failures} failed; {counts['ran']} ran; {time.monotonic() - start:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
