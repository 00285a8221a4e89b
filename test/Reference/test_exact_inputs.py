# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Decisions on inputs that are exact: equal to the last one in float64 and in f32 arithmetic, and other than those of a rule
that is wrong in one point. With `--inputs=exact` keys are exact in f32 and tie often; rows of neighbouring floats and of random bit patterns
reach the digits that a grid leaves cold."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTNC = pathlib.Path(os.environ.get("ATTNC_LIBRARY", ROOT / "build/lib/libattnc.so")).resolve().parents[1] / "bin/attnc"
SHAPE = ["--dtype=f32", "--q-len=64", "--kv-len=256", "--heads=4", "--kv-heads=2", "--head-dim=16"]

# Keys that are no exact function of exact inputs: both arithmetics round them, so that ties are decided by rounding. The ops
# of these specs that may differ, and why. An entry that has no difference left fails.
INEXACT = {
    "sparge_attention": ({"attn.quantize code", "attn.attend code"}, "x / (max / 127) and exp"),
    "sage1": ({"attn.attend code"}, "exp"),
    "double_sparsity": ({"attn.quantize code"}, "x / (max / 7): halves are ties"),
    "twilight": ({"attn.quantize code", "attn.select cover"}, "x / (max / 7), then a softmax of products with it"),
    "int4_keys_fp8_values": ({"attn.quantize code"}, "x / (max / 7): halves are ties"),
    "cluster_kv": ({"attn.rank", "attn.order"}, "sums of products with normalised centroids"),
    "magic_pig": ({"arith.cmpf"}, "the sign of a product with irrational planes"),
    "oracle_selection": ({"arith.cmpf"}, "cumulative sums of a softmax"),
    "retrieval_attention": ({"attn.select"}, "sums of softmax weights"),
}


def check(spec, *arguments):
    """(name: places, places that differ) of each decision, and the messages of the run."""
    done = subprocess.run([ATTNC, "run", spec, "--device=reference", "--check", "--json", *arguments], capture_output=True, text=True)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    return {name: (c["places"], c["different"]) for name, c in result["decisions"].items()}, done


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").rglob("*.attn")), ids=lambda path: path.stem)
def test_gallery(spec):
    decisions, _ = check(spec, "--inputs=exact", *SHAPE)
    allowed, _ = INEXACT.get(spec.stem, (set(), ""))
    different = {name.split(" ", 1)[1] for name, (_, count) in decisions.items() if count}
    assert different == allowed, decisions


# What decides, over keys that are an input, and rules that are wrong in one point.
RULES = {
    "top": ("keep[b, q, kv] = top(x over kv, 100)", {
        "one more": "keep[b, q, kv] = top(x over kv, 101)",
        "ties by the larger index": "keep[b, q, kv] = top(x + 0.0000000001 * f32(kv) over kv, 100)",
        "a digit dropped": "keep[b, q, kv] = top(DROP(x) over kv, 100)"}),
    "rank": ("keep[b, q, kv] = rank(x over kv) < 100", {
        "below for at most": "keep[b, q, kv] = rank(x over kv) <= 100",
        "ties by the larger index": "keep[b, q, kv] = rank(x + 0.0000000001 * f32(kv) over kv) < 100",
        "a digit dropped": "keep[b, q, kv] = rank(DROP(x) over kv) < 100"}),
    "order": ("keep[b, q, kv] = order(x over kv) % 2 == 0", {
        "ties by the larger index": "keep[b, q, kv] = order(x + 0.0000000001 * f32(kv) over kv) % 2 == 0",
        "a digit dropped": "keep[b, q, kv] = order(DROP(x) over kv) % 2 == 0"}),
    "argmax": ("keep[b, q, kv] = kv == argmax(x for kv)", {
        "ties by the larger index": "keep[b, q, kv] = kv == argmax(x + 0.0000000001 * f32(kv) for kv)",
        "the least": "keep[b, q, kv] = kv == argmin(x for kv)"}),
    "compare": ("keep[b, q, kv] = x < y", {
        "at most": "keep[b, q, kv] = x <= y",
        "a digit dropped": "keep[b, q, kv] = DROP(x) < DROP(y)"}),
}
# `1e-10 f32(kv)` is less than what keys differ by in an exact or neighbouring row, and a float64 sum keeps it. Random bits
# seldom tie, so the index and the last digit show in the other kinds.
SPEC = """attention keys {{
  align none
  input x: f32[b, q, kv]
  input y: f32[b, q, kv]
  let {}
  output keep
  mask keep
}}
"""
DROPS = {"exact": "(f32(i32(2.0 * {} + 100.0)) / 2.0)", "neighbours": "(floor(4194304.0 * {}) / 4194304.0)"}


def rule(text, kind):
    for name in "xy":
        text = text.replace(f"DROP({name})", DROPS[kind].format(name) if kind in DROPS else name)
    return SPEC.format(text)


def kept(folder, text, kind):
    (folder / "keys.attn").write_text(text)
    decisions, done = check(folder / "keys.attn", f"--inputs={kind}", f"--output=keep={folder / 'keep.npy'}", *SHAPE)
    assert done.returncode == 0 or kind == "bits", done.stdout + done.stderr  # any exponents: the attention itself overflows
    assert decisions and not any(count for _, count in decisions.values()), decisions
    return np.load(folder / "keep.npy")


@pytest.mark.parametrize("kind", ["exact", "neighbours", "bits"])
@pytest.mark.parametrize("name", RULES)
def test_keys(tmp_path, name, kind):
    right, wrong = RULES[name]
    expected = kept(tmp_path, rule(right, kind), kind)
    for point, text in wrong.items():
        if kind == "bits" and ("digit" in point or "index" in point or point == "at most"):
            continue
        (tmp_path / "keys.attn").write_text(rule(text, kind))
        subprocess.run([ATTNC, "run", tmp_path / "keys.attn", "--device=reference", f"--inputs={kind}", f"--output=keep={tmp_path / 'wrong.npy'}", *SHAPE],
                       check=True, capture_output=True)
        assert (np.load(tmp_path / "wrong.npy") != expected).any(), f"{point} is not noticed"
