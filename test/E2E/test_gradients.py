# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients that the compiler derives against central differences of the loss.

Each batch element starts from another state: the first from the point, the others from the point moved along one
coordinate. So one evaluation yields the gradient at the point and all losses that the differences need. States and steps
are multiples of 2^-8, exact in float32; the stencil is of order 6, so that its error is far below the tolerance.
"""
import pathlib
import random
import re
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))

import attnc  # noqa: E402

D, E = 4, 3
STEP = 2.0**-6
STENCIL = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}

SPEC = """recurrence probe {{
  every 1
  blocks p of d by 3
  input point: f32[b, d, e], A: f32[d, e], B: f32[e], one: f32[h, t]
  state S[d, e] = point
{lets}
  let G[d, e] = grad(L, start(S))
  output L
  output G
  S = one * S
  out 0.0
}}
"""
# Lets and the loss; W stands for the state, `start(S)`.
LOSSES = {
    "squares": ([], "0.5 * sum(W * W for d for e)"),
    "product": ([], "sum(W * A for d for e) * sum(W * B for d for e)"),
    "power_of_sum": (["y[e] = sum(W * A for d)"], "sum(y * y * y for e)"),
    "exponential": ([], "sum(exp(W * A) + exp2(0.5 * W) for d for e)"),
    "logarithms": ([], "sum(ln(2.0 + W) * log2(3.0 + W * A) for d for e)"),
    "roots": ([], "sum(sqrt(2.0 + W) * rsqrt(3.0 + W * W) for d for e)"),
    "saturating": (["y[d, e] = tanh(W) * sigmoid(W * B)"], "sum(erf(y + A) for d for e)"),
    "waves": ([], "sum(sin(W) * cos(W * A) for d for e)"),
    "division": (["n[e] = sum(W * W for d)"], "sum(W * A / (1.0 + n) for d for e)"),
    "normalised": (["c[d, e] = W - mean(W for e)", "y[d, e] = c * rsqrt(mean(c * c for e) + 0.01)"], "sum(y * A for d for e)"),
    "nested_sums": ([], "sum(exp(sum(W * A for d) + sum(sum(W * W for d) * B for e)) for e) * 0.1"),
    "conditions_on_indices": ([], "sum((if d < e then W * W else exp(W)) for d for e)"),
    "conditions_that_leave_out": (["y[d] = mean(W * W for e if e != d)"], "sum(y * y for d if d > 0)"),
    "largest_of_two": ([], "sum(max(W, 0.0) * A + min(W, 0.0) * B + abs(W) for d for e)"),
    "condition_on_the_state": ([], "sum((if W > 0.0 then W * W * W else A * W) for d for e)"),
    "read_at_another_index": (["y[d, e] = W * A"], "sum(y[d = e] * W for d for e)"),
    "read_at_the_next_index": (["y[d, e] = W * W"], "sum(y[d = (d + 1) % size(d)] * exp(W) for d for e)"),
    "read_at_one_index": (["y[d, e] = W * A"], "sum(y[d = 1] * y[e = 2] for d for e)"),
    "read_beyond_the_end": (["y[d, e] = W * W"], "sum(y[d = d + 2] * A for d for e)"),
    "transposed": (["y[e, d] = W * B", "z[d, e] = tanh(y)"], "sum(z * y for e for d)"),
    "blocks": (["y[p, e] = sum(W * A for d in p)"], "sum(y * y for p for e)"),
    "means_of_blocks": (["y[p, e] = mean(exp(W) for d in p)"], "sum(y[p = 1] * y * B for p for e)"),
    "blocks_of_members": (["y[p, e] = sum(W * W for d in p)"], "sum(y * A for d for e)"),
    "powers": ([], "sum(pow(2.0 + W, 1.5) + pow(1.5, W) for d for e)"),
    "steps": ([], "sum(floor(W * 0.1) * W + round(0.2 * A) * W for d for e)"),
}


def random_loss(number):
    """A loss of up to three stages, each of a formula over what is there, drawn by its number."""
    rng = random.Random(number)
    tensors = ["W", "A"]

    def formula(depth):
        if depth == 0:
            name = rng.choice(tensors)
            if name in "WA":
                return rng.choice([name, name, "B"])
            return rng.choice([name, name, f"{name}[d = e]", f"{name}[e = (e + 1) % size(e)]", f"{name}[d = 0]"])
        x, y = formula(depth - 1), formula(depth - 1)
        return rng.choice([
            f"({x} * {y})", f"({x} + {y})", f"({x} - {y})", f"tanh({x})", f"sin({x})", f"erf({x})", f"sigmoid({x})",
            f"exp(0.5 * tanh({x}))", f"sqrt(1.0 + {x} * {x})", f"({x} / (2.0 + {y} * {y}))", f"mean({x} for d)",
            f"sum({x} * {y} for e if e != d)", f"mean({x} for d in p)", f"(if d < e then {x} else {y})",
        ])

    lets = []
    for i in range(rng.randint(0, 3)):
        lets.append(f"y{i}[d, e] = {formula(2)}")
        tensors.append(f"y{i}")
    return lets, f"{rng.choice(['sum', 'mean'])}({formula(2)} * (W + {rng.choice(tensors)}) for d for e)"


def check(lets, loss, seed):
    lines = [f"  let {line}" for line in [*lets, f"L[] = {loss}"]]
    spec = attnc.Spec(SPEC.format(lets=re.sub(r"\bW\b", "start(S)", "\n".join(lines))))
    rng = np.random.default_rng(seed)
    point = np.round(rng.uniform(0.25, 1.0, (D, E)) * 256) / 256 * rng.choice([-1, 1], (D, E))
    moves = [(i, j, k * sign) for i in range(D) for j in range(E) for k in STENCIL for sign in (1, -1)]
    starts = np.repeat(point[None], 1 + len(moves), axis=0)
    for n, (i, j, k) in enumerate(moves, 1):
        starts[n, i, j] += k * STEP
    result = spec.evaluate({
        "point": starts.astype(np.float32), "A": rng.normal(size=(D, E)).astype(np.float32),
        "B": rng.normal(size=E).astype(np.float32), "one": np.ones((1, 1), np.float32)})
    losses, gradient = result["L"][:, 0, 0], result["G"][0, 0, 0]
    expected = np.zeros((D, E))
    for n, (i, j, k) in enumerate(moves, 1):
        expected[i, j] += np.sign(k) * STENCIL[abs(k)] * losses[n] / STEP
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    check(*LOSSES[name], seed=1)


def test_loss_without_state():
    with pytest.raises(attnc.SpecError, match="this gradient is 0: what is differentiated does not read the state"):
        check([], "sum(A for d for e)", seed=1)


@pytest.mark.parametrize("number", range(24))
def test_random_loss(number):
    check(*random_loss(number), seed=number)
