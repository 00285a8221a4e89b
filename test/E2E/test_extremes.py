# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scores of every size, and values that are not numbers at keys that a row does not see, on every executor that runs code.

Scores are an input, so that they are exact, and the expected result is the definition in float64: softmax over the
visible keys, their weighted sum of V by the rules of IEEE 754, nothing of the hidden ones. One run holds a row for each
combination of a size and a place, so that neighbours in a tile differ as much as they can."""
import itertools
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTNC = pathlib.Path(os.environ.get("ATTNC_LIBRARY", ROOT / "build/lib/libattnc.so")).resolve().parents[1] / "bin/attnc"
FLT_MAX = float(np.finfo(np.float32).max)
SIZES = [1.0, 30.0, 1e3, 1e6, 1.65e7, 1.7e7, 1e9, 1e10, 1e30, 2.5e38, FLT_MAX, float("inf")]
PLACES = ["first tile", "last tile", "row", "one key", "all but one", "rising", "falling"]
KV = 300
SPEC = """attention extremes {
  input x: f32[b, h, q, kv]
  input keep: bool[b, q, kv]
  score x
  mask keep
  output lse
}
"""
SINKS = SPEC.replace("  output", "  input z: f32[h, q]\n  sink z\n  output")


def scores(rng):
    """[row, key]: a row for each (size, sign, place). -inf is a score like any other; +inf is not (NaN by definition)."""
    rows = []
    for size, sign, place in itertools.product(SIZES, [-1.0, 1.0], PLACES):
        if np.isinf(size) and sign > 0:
            continue
        row = rng.standard_normal(KV).astype(np.float32)
        far = np.float32(sign * size) * (1 if size >= 1e30 else (1 + rng.standard_normal(KV) * 1e-7)).astype(np.float32) \
            if size < 1e30 else np.full(KV, np.float32(sign * size))
        where = {"first tile": np.arange(KV) < 64, "last tile": np.arange(KV) >= 256, "row": np.ones(KV, bool),
                 "one key": np.arange(KV) == rng.integers(KV), "all but one": np.arange(KV) != rng.integers(KV),
                 "rising": None, "falling": None}[place]
        if where is None: # tile by tile from one size to the other
            steps = np.linspace(0, 1, 1 + (KV - 1) // 64)[np.arange(KV) // 64]
            far = np.where(np.isinf(far), far, far * (steps if place == "rising" else 1 - steps)) if not np.isinf(size) else far
            where = np.ones(KV, bool) if not np.isinf(size) else (steps < 0.5) == (place == "rising")
        rows.append(np.where(where, far, row).astype(np.float32))
    return np.array(rows)


def definition(s, keep, v, sink=None):
    """(out, lse) in float64, with the weighted sums of magnitudes that errors are measured by."""
    x = np.where(keep, s.astype(np.float64), -np.inf)
    top = x.max(-1, keepdims=True)
    if sink is not None:
        top = np.maximum(top, sink[..., None])
    finite = np.where(np.isinf(top), 0, top)
    with np.errstate(all="ignore"):
        p = np.where(np.isneginf(x), 0, np.exp(x - finite))
        mass = p.sum(-1)
        if sink is not None:
            mass = mass + np.exp(sink - finite[..., 0])
        lse = np.log(mass) + finite[..., 0]
        full = np.isposinf(top[..., 0])
        lse = np.where(full, np.inf, lse)
        w = np.where(full[..., None], 0, p / np.where(mass == 0, 1, mass)[..., None])
        # A hidden key adds nothing, whatever its V; a visible one adds its product, even with weight 0.
        seen = ~np.isneginf(x)
        special = ~np.isfinite(v)
        out = np.einsum("bhqk,bhke->bhqe", w, np.where(special, 0, v))
        size = np.einsum("bhqk,bhke->bhqe", w, np.abs(np.where(special, 0, v)))
        for kind in (np.inf, -np.inf, np.nan):
            found = np.isnan(v) if np.isnan(kind) else v == kind
            reached = np.einsum("bhqk,bhke->bhqe", seen.astype(float), found.astype(float)) > 0
            out = np.where(reached, out + kind, out)
        # The smallest weight that inf is multiplied by: where it is 0 in some precision, NaN is as good an answer.
        least = np.where(special.any(-1)[..., None, :] & seen, w, 1).min(-1)
    return out, lse, size, np.broadcast_to(least[..., None] > 1e-6, out.shape)


def to_dtype(values, dtype):
    if dtype == "bf16":
        bits = values.astype(np.float32).view(np.uint32)
        rounded = ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        return np.where(np.isnan(values), np.uint16(0x7fc0), rounded)
    return values.astype({"f32": np.float32, "f16": np.float16}[dtype])


def from_dtype(values):
    if values.dtype.kind == "V": # bfloat16 in a file
        values = values.view(np.uint16)
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return values.astype(np.float64)


def run(tmp_path, spec, inputs, dtype, device):
    (tmp_path / "spec.attn").write_text(spec)
    command = [ATTNC, "run", tmp_path / "spec.attn", f"--dtype={dtype}", "--no-cache"]
    command += ["--device=emulator", f"--target={device}"] if device.startswith("sm_") else [f"--device={device}"]
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
        command += ["--input", f"{name}={tmp_path / name}.npy"]
    outputs = {name: tmp_path / f"{name}.npy" for name in ("out", "lse")}
    for name, path in outputs.items():
        command += ["--output", f"{name}={path}"]
    environment = dict(os.environ)
    if device.startswith("sm_"):
        environment["ATTNC_EMU_DEVICE"] = device
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return from_dtype(np.load(outputs["out"])), np.load(outputs["lse"]).astype(np.float64)


# What a unit in the last place of the operands and of the output, and sums of KV terms, make of a row's error, relative to
# the row's weighted sum of |V|: the largest element, not a norm.
TOLERANCE = {"f32": 2e-6, "f16": 2e-3, "bf16": 1.6e-2}


def agree(found, expected, size, dtype):
    out, lse = found
    want, want_lse, _, weighs = expected
    both = np.isfinite(want)
    assert np.array_equal(np.isfinite(out), both), "finite at other places"
    assert np.isnan(out[np.isnan(want)]).all()
    infinite = np.isinf(want) & weighs
    assert np.array_equal(out[infinite], want[infinite])
    smallest = {"f32": 1e-44, "f16": 6e-8, "bf16": 1e-40}[dtype] # what an output can differ by at least
    error = np.maximum(np.abs(out - want)[both] - smallest, 0) / (size[both] + 1e-30)
    assert error.size == 0 or error.max() < TOLERANCE[dtype], error.max()
    assert np.array_equal(lse[np.isinf(want_lse)], want_lse[np.isinf(want_lse)])
    finite = np.isfinite(want_lse)
    assert (np.abs(lse - want_lse)[finite] <= 4e-7 * np.maximum(1, np.abs(want_lse[finite]))).all()


def case(rng, dtype, special, sinks=False, heads=2):
    s = np.stack([scores(rng) for _ in range(2 * heads)]).reshape(2, heads, -1, KV)
    rows = s.shape[2]
    s = np.take(s, rng.permutation(rows), axis=2)
    keep = rng.random((2, rows, KV)) < 0.9
    keep[:, 0], keep[:, 1] = False, np.arange(KV) == 7 # no key, one key
    v = rng.standard_normal((2, 1, KV, 24))
    v = from_dtype(to_dtype(v, dtype)) # what the kernel sees
    if special: # hidden for many rows, visible for others; a whole key; the keys behind a length
        keep[1, :, 200:] = False
        v[1, 0, 200:] = np.nan
        for _ in range(5):
            key = rng.integers(200)
            keep[:, :, key] = rng.random((2, rows)) < 0.3
            v[rng.integers(2), 0, key, rng.integers(24, size=3)] = rng.choice([np.nan, np.inf, -np.inf], 3)
    inputs = {"Q": to_dtype(rng.standard_normal((2, heads, rows, 16)), dtype), "x": s, "keep": keep,
              "K": to_dtype(rng.standard_normal((2, 1, KV, 16)), dtype), "V": to_dtype(v, dtype)}
    sink = None
    if sinks:
        z = rng.choice([0.0, 5.0, 1e6, -1e9, 1e9, -FLT_MAX, FLT_MAX, -np.inf, np.inf], (heads, rows)).astype(np.float32)
        inputs["z"], sink = z, np.broadcast_to(z.astype(np.float64), (2, heads, rows))
    wide = np.broadcast_to(v, (2, heads, KV, 24))
    expected = definition(s, np.broadcast_to(keep[:, None], s.shape), wide, sink)
    return (SINKS if sinks else SPEC), inputs, expected


@pytest.mark.parametrize("sinks", [False, True], ids=["", "sinks"])
@pytest.mark.parametrize("special", [False, True], ids=["finite", "special"])
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("device", ["reference", "host", "sm_80", "sm_90a"])
def test_scores_of_every_size(tmp_path, device, dtype, special, sinks):
    spec, inputs, expected = case(np.random.default_rng(["f32", "f16", "bf16"].index(dtype) * 4 + special * 2 + sinks), dtype, special, sinks)
    agree(run(tmp_path, spec, inputs, dtype, device), expected, expected[2], dtype)


@pytest.mark.parametrize("keys", [32768, 131072])
@pytest.mark.parametrize("device", ["host", "sm_80"])
def test_errors_do_not_grow_with_the_context(tmp_path, device, keys):
    """f32: a chain of one addition for each key tile, over all keys, lost a digit (PyTorch: 4.5e-7 and 6.7e-7)."""
    command = [ATTNC, "run", ROOT / "specs/full.attn", "--dtype=f32", "--heads=1", "--q-len=32", f"--kv-len={keys}", "--check",
               "--no-cache"] + (["--device=host"] if device == "host" else ["--device=emulator", f"--target={device}"])
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    error = float(next(line for line in done.stdout.splitlines() if line.startswith("out ")).split()[1])
    assert done.returncode == 0 and error < (1e-6 if device == "host" else 2.5e-6), done.stdout + done.stderr
