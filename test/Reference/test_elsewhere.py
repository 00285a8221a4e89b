# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Formulas at other indices, reads with a value outside of the axis, results of `merge` and of recurrences, against NumPy."""
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("ATTNC_SPEC", str(ROOT / "build" / "bin" / "attnc-spec"))

SPEC = """def unit(X) = X * rsqrt(mean(X * X for d))
def partner(X) = if d < size(d) / 2 then -X[d = d + size(d) / 2] else X[d = d - size(d) / 2]
def angle(position) = position * pow(100.0, -2.0 * (d % (size(d) / 2)) / size(d))
def rope(X, position) = X * cos(angle(position)) + partner(X) * sin(angle(position))

attention elsewhere {
  align bottom_right
  branch near {
    mask kv <= q and q - kv < 4
  }
  branch far {
    mask kv <= q and q - kv >= 4
  }
  def normed(X) = X * rsqrt(mean(X * X for e))
  recurrence memory over kv per [b, g] {
    state S[d, e]
    state z[d]
    let seen[e] = sum(S * K for d)
    S = S + 0.1 * K * (V - seen)
    z = z + K
    output seen
    output z
    output ratio[d, e] = S / (1.0 + abs(z))
  }
"""
# Each output by its formula in the spec, and in NumPy from Q, K, V, the whole softmax (out, lse) and the steps of the memory.
ROTATED = "[b, h, q, d] = rope(unit(Q), q)"
OUTPUTS = {
    "[b, h, q, e] = merge(near, far).out": lambda x: x.out,
    "[b, h, q] = merge(near, far).lse": lambda x: x.lse,
    "[b, h, q, e] = merge(near, far).out[q = size(q) - 1 - q]": lambda x: x.out[:, :, ::-1],
    "[b, h, q, e] = normed(merge(near, far).out)": lambda x: x.out / np.sqrt((x.out**2).mean(-1, keepdims=True)),
    ROTATED: lambda x: rotated(unit(x.Q), np.arange(x.Q.shape[2]) + x.K.shape[2] - x.Q.shape[2]),
    "[b, g, d] = rope(unit(K), kv)[kv = 3]": lambda x: rotated(unit(x.K), np.arange(x.K.shape[2]))[:, :, 3],
    "[b, g, kv, d] = unit(K)[kv = kv + 2 else 7]": lambda x: shifted(unit(x.K), -2, 7),
    "[b, g, kv, d] = unit(K)[kv = kv + 2]": lambda x: unit(x.K)[:, :, np.minimum(np.arange(x.K.shape[2]) + 2, x.K.shape[2] - 1)],
    "[b, g, kv, d] = K[kv = kv - 1 else -1.0]": lambda x: shifted(x.K, 1, -1),
    "[b, g, kv, d] = K[b, g, kv - 1, d else -1.0]": lambda x: shifted(x.K, 1, -1),
    "[b, g, kv, d] = K[kv = kv - 1, d = d + 1 else 0.5]": lambda x: shifted(shifted(x.K, 1, 0.5).swapaxes(2, 3), -1, 0.5).swapaxes(2, 3),
    "[b, g, kv, e] = memory.seen": lambda x: x.seen,
    "[b, g, kv, d, e] = memory.ratio": lambda x: x.ratio,
    "[b, g, d] = memory.z": lambda x: x.K.sum(2),
}


def unit(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True))


def rotated(x, position):
    half = x.shape[-1] // 2
    turn = np.exp(1j * position[:, None] * 100.0 ** (-np.arange(half) / half))
    z = (x[..., :half] + 1j * x[..., half:]) * turn
    return np.concatenate([z.real, z.imag], -1)


def shifted(x, by, fill):
    """x along axis 2, `by` places later, and `fill` where there is nothing."""
    result = np.full(x.shape, float(fill))
    if by > 0:
        result[:, :, by:] = x[:, :, :-by]
    else:
        result[:, :, :by] = x[:, :, -by:]
    return result


class Expected:
    def __init__(self, Q, K, V):
        self.Q, self.K, self.V = (x.astype(np.float64) for x in (Q, K, V))
        b, h, q, d = Q.shape
        n, group = K.shape[2], h // K.shape[1]
        scores = self.Q @ np.repeat(self.K, group, 1).swapaxes(2, 3) / np.sqrt(d)
        scores = np.where(np.arange(n) <= np.arange(n - q, n)[:, None], scores, -np.inf)
        self.lse = np.log(np.exp(scores).sum(-1))
        self.out = np.exp(scores - self.lse[..., None]) @ np.repeat(self.V, group, 1)
        S, rate = np.zeros(K.shape[:2] + (d, V.shape[-1])), np.float64(np.float32(0.1))
        seen, ratio = [], []
        for t in range(n):
            k, v = self.K[:, :, t], self.V[:, :, t]
            seen.append(np.einsum("bgde,bgd->bge", S, k))
            S = S + rate * k[..., None] * (v - seen[-1])[..., None, :]
            ratio.append(S / (1 + np.abs(self.K[:, :, :t + 1].sum(2)))[..., None])
        self.seen, self.ratio = np.stack(seen, 2), np.stack(ratio, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(found, expected) for all outputs of one spec."""
    folder, rng = tmp_path_factory.mktemp("elsewhere"), np.random.default_rng(5)
    tensors = {name: rng.standard_normal(shape).astype(np.float32)
               for name, shape in (("Q", (2, 4, 5, 6)), ("K", (2, 2, 9, 6)), ("V", (2, 2, 9, 3)))}
    (folder / "spec.attn").write_text(SPEC + "".join(f"  output x{i}{formula}\n" for i, formula in enumerate(OUTPUTS)) + "}\n")
    command = [TOOL, "--reference", str(folder / "spec.attn")]
    for name, array in tensors.items():
        np.save(folder / f"{name}.npy", array)
        command += ["--input", f"{name}={folder / name}.npy"]
    for i in range(len(OUTPUTS)):
        command += ["--output", f"x{i}={folder}/x{i}.npy"]
    subprocess.run(command, check=True)
    return [np.load(folder / f"x{i}.npy") for i in range(len(OUTPUTS))], Expected(*tensors.values())


@pytest.mark.parametrize("formula", OUTPUTS)
def test_formula(run, formula):
    found, expected = run
    np.testing.assert_allclose(found[list(OUTPUTS).index(formula)], OUTPUTS[formula](expected), rtol=1e-10, atol=1e-12)
