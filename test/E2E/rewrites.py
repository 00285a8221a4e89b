#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The rewrites of attn keep what a spec means: reference(before) equals reference(after).

Every spec of the gallery and random ones (random_specs.py) are printed as attn, rewritten by attnc-opt with each pass alone and with all of
them, and evaluated in float64 on the same small inputs. Ints and conditions must be equal, reals to 1e-12 of the largest number of the output.
What a spec decides from reals is equal then too: a decision taken the other way changes outputs by more.
What is split over keys is specialised and planned before, and is evaluated with few queries and many keys, also of fuzz.py's attentions.
Recurrences by chunks of 64 steps, behind all that a GPU's kernels are made of, are compared with their steps.
What a pipeline does not change is not evaluated; a pass that changes none of the gallery is a failure as well. Closes with `rewrites: N passed, N failed`.
"""
import argparse
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]
import fuzz  # noqa: E402
from random_specs import case, inputs_of  # noqa: E402

EXPANSIONS = ["attn-expand-tiled-attention", "attn-expand-softmax", "attn-expand-merge", "attn-expand-quantize", "attn-expand-orders"]
CHUNKS = "attn-chunk-recurrences=chunk=4"  # several chunks of the few steps here
PASSES = [*EXPANSIONS, CHUNKS, "attn-forward-copies", "attn-hoist-reductions", "attn-solve-conditions", "attn-inline-lets"]
PIPELINES = [[name] for name in PASSES] + [PASSES]
PLANNED = ["attn-merge-equals", "attn-specialize=dtype=f32 head-dim=8", "attn-plan=target=sm_80"]
SPLIT, LISTS = "attn-split-keys", "attn-list-tiles"
SPECIALIZED = ["attn-merge-equals", "attn-specialize=dtype=bf16 head-dim=8", *EXPANSIONS]
OF_KERNELS = ["attn-inline-chunks", "attn-inline-factors"]
BY_CHUNKS = ["attn-chunk-recurrences=chunk=64 by-halves=1", "attn-forward-copies=keep-copies=1", "attn-merge-equals", "attn-expand-scans",
             "attn-inline-lets", "attn-solve-conditions", "attn-plan=target=sm_80"]


def rewritten(tools, module, passes):
    """`module` behind the derivation of gradients and `passes`; without any, what a rewrite is compared with."""
    options = [f"--{name}" for name in ["attn-derive-gradients", *passes]]
    result = subprocess.run([tools / "attnc-opt", *options], input=module, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"attnc-opt {' '.join(options)}: exit {result.returncode}\n{result.stderr[:2000]}")
    return result.stdout


def printed(tools, text):
    result = subprocess.run([tools / "attnc-spec", "--emit-attn", "-"], input=text, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"attnc-spec: exit {result.returncode}\n{result.stderr[:2000]}")
    return result.stdout


def difference(np, before, after, bound=1e-12):
    """What differs between the outputs of two evaluations, or nothing."""
    for name, x in before.items():
        y = after[name]
        if x.dtype != y.dtype or x.shape != y.shape:
            return f"{name} is {y.dtype}{list(y.shape)}, and was {x.dtype}{list(x.shape)}"
        if not np.array_equal(np.isfinite(x), np.isfinite(y)) or not np.array_equal(x[~np.isfinite(x)], y[~np.isfinite(y)], equal_nan=True):
            return f"{name} has other infinities or NaN"
        finite = np.isfinite(x)
        if finite.any() and np.abs(x[finite] - y[finite]).max() > bound * np.abs(x[finite]).max():
            return f"{name} differs by {np.abs(x[finite] - y[finite]).max()}"
    return ""


def gallery_inputs(np, spec, seed, **given):
    """Inputs of a gallery spec, of sizes that it takes: the error of an evaluation names a size that a space has."""
    sizes = dict(b=2, g=2, h=4, q=9, kv=70, t=9, d=8, e=8) | given
    for _ in range(6):
        inputs = inputs_of(spec, random.Random(seed), np, sizes)
        try:
            return inputs, spec.evaluate(inputs)
        except Exception as error:
            if found := re.search(r"the index space `(\w+)` has (\d+) indices here", str(error)):
                sizes[found[1]] = int(found[2])
            elif "needs at least one slot" in str(error):
                sizes.update(q=200, kv=200)
            else:
                raise
    raise RuntimeError("no sizes found that the spec takes")


class Checker:
    """Evaluates specs before and after each pipeline."""

    def __init__(self, tools, attnc, np):
        self.tools, self.attnc, self.np = tools, attnc, np
        self.changed = {name: 0 for name in [*PASSES, SPLIT, LISTS, *OF_KERNELS]}
        self.passed = self.failed = 0

    def check(self, text, name, variants, seed):
        """Each of `variants` of a file of specs, with inputs drawn from `seed`."""
        try:
            module = printed(self.tools, text)
            before = rewritten(self.tools, module, [])
            texts = {tuple(passes): rewritten(self.tools, module, passes) for passes in PIPELINES}
        except RuntimeError as error:
            return self.fail(name, str(error))
        for passes, after in texts.items():
            if len(passes) == 1:
                self.changed[passes[0]] += after != before
        texts = {passes: after for passes, after in texts.items() if after != before}
        for number, variant in enumerate(variants):
            self.compare(name, variant, before, texts, seed + number)

    def compare(self, name, variant, before, texts, seed):
        spec = self.attnc.Spec(before, variant=variant)
        try:
            if name.endswith(".attn"):
                inputs, expected = gallery_inputs(self.np, spec, seed)
            else:
                inputs = inputs_of(spec, random.Random(seed), self.np)
                expected = spec.evaluate(inputs)
        except (RuntimeError, self.attnc.AttncError) as problem:
            return self.fail(f"{name} @{variant}", str(problem))
        for passes, after in texts.items():
            try:
                error = difference(self.np, expected, self.attnc.Spec(after, variant=variant).evaluate(inputs))
            except self.attnc.AttncError as problem:
                error = str(problem)
            if error:
                self.fail(f"{name} @{variant} seed {seed} behind {' '.join(passes)}", error)
            else:
                self.passed += 1

    def check_split(self, text, name, variants, seed):
        """The same for keys in parts: of an attention that is specialised, at sizes of decoding."""
        self.check_planned(SPLIT, text, name, variants, seed, q=[1, 1, 2, 3], kv=[257, 300, 512, 513, 700, 1030])

    def check_lists(self, text, name, variants, seed):
        """The same for lists of tiles: of an attention that is specialised, at sizes of some tiles."""
        self.check_planned(LISTS, text, name, variants, seed, q=[1, 63, 64, 130, 200], kv=[1, 64, 100, 257, 320])

    def check_chunks(self, text, name, variants, seed):
        """Recurrences step by step against their form for a GPU, at lengths of less than a chunk and of several."""
        rng = random.Random(seed)
        try:
            module = printed(self.tools, text)
            steps = rewritten(self.tools, module, SPECIALIZED)
            texts = [rewritten(self.tools, module, [*SPECIALIZED, *BY_CHUNKS, *OF_KERNELS[:count]]) for count in range(len(OF_KERNELS) + 1)]
            for number, passed in enumerate(OF_KERNELS):
                self.changed[passed] += texts[number] != texts[number + 1]
            for variant in variants if "t_chunk" in texts[0] else []:
                inputs, expected = gallery_inputs(self.np, self.attnc.Spec(steps, variant=variant), seed, t=rng.choice([1, 63, 64, 65, 130]))
                error = difference(self.np, expected, self.attnc.Spec(texts[-1], variant=variant).evaluate(inputs), 1e-11)
                if error:
                    self.fail(f"{name} @{variant} seed {seed} by chunks", error)
                else:
                    self.passed += 1
        except (RuntimeError, self.attnc.AttncError) as problem:
            self.fail(f"{name} seed {seed} by chunks", str(problem))

    def check_planned(self, rewrite, text, name, variants, seed, q, kv):
        rng = random.Random(seed)
        try:
            module = printed(self.tools, text)
            before = rewritten(self.tools, module, PLANNED)
            after = rewritten(self.tools, module, [*PLANNED, rewrite])
            self.changed[rewrite] += after != before
            for variant in variants if after != before else []:
                sizes = dict(q=rng.choice(q), kv=rng.choice(kv))
                inputs, expected = gallery_inputs(self.np, self.attnc.Spec(before, variant=variant), seed, **sizes)
                error = difference(self.np, expected, self.attnc.Spec(after, variant=variant).evaluate(inputs))
                if error:
                    self.fail(f"{name} @{variant} seed {seed} behind {rewrite} at {sizes}", error)
                else:
                    self.passed += 1
        except (RuntimeError, self.attnc.AttncError) as problem:
            self.fail(f"{name} seed {seed} behind {rewrite}", str(problem))

    def fail(self, what, error):
        self.failed += 1
        print(f"FAILED {what}: {error}")


def variants_of(text):
    return re.findall(r"^(?:variant|attention|recurrence)\s+(\w+)", text, re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200, help="of random specs")
    parser.add_argument("--tools", type=pathlib.Path, default=ROOT / "build/bin", help="folder of attnc-spec and attnc-opt")
    parser.add_argument("--spec", help="only gallery specs whose path holds this")
    options = parser.parse_args()
    import numpy as np

    import attnc
    start = time.monotonic()
    checker = Checker(options.tools, attnc, np)
    for path in sorted((ROOT / "specs").rglob("*.attn")):
        if not options.spec or options.spec in str(path):
            text = path.read_text()
            checker.check(text, str(path.relative_to(ROOT)), variants_of(text), seed=1)
            checker.check_split(text, str(path.relative_to(ROOT)), variants_of(text), seed=1)
            checker.check_lists(text, str(path.relative_to(ROOT)), variants_of(text), seed=1)
            checker.check_chunks(text, str(path.relative_to(ROOT)), variants_of(text), seed=1)
    for name, count in checker.changed.items():
        print(f"{name} changes {count} specs of the gallery")
        if not count and not options.spec:
            checker.fail(name, "changes no spec of the gallery")
    if not options.spec:
        for at in range(options.first, options.first + options.count, 50):
            numbers = range(at, min(at + 50, options.first + options.count))
            checker.check("\n".join(map(case, numbers)), f"random_specs.py --first {at} --count {len(numbers)}",
                          [f"case{number}" for number in numbers], seed=at)
            for number in numbers:
                own = fuzz.Spec(random.Random(number)).text()
                checker.check_split(own, f"fuzz.py --first {number} --count 1", ["fuzz"], seed=number)
                checker.check_lists(own, f"fuzz.py --first {number} --count 1", ["fuzz"], seed=number)
    print(f"rewrites: {checker.passed} passed, {checker.failed} failed; {time.monotonic() - start:.1f} s")
    return 1 if checker.failed else 0


if __name__ == "__main__":
    sys.exit(main())
