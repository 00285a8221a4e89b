# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Outputs that a spec says reuse an input: one array for both, updated in place, on the host."""
import attnc
import numpy as np
import pytest

STEP = """
recurrence step {
  input S0: f32[b, h, d, e]
  state S[d, e] = S0
  S = 0.5 * S + K * V
  out sum(S * Q for d)
  output S reuses S0
}
"""
# The second output reads what the first one replaces, at another place, and the two swap their inputs.
SWAP = """
attention swap {
  input x: f32[b, kv], y: f32[b, kv]
  output a[b, kv] = y[kv = size(kv) - 1 - kv] reuses x
  output c[b, kv] = x reuses y
}
"""


def step_inputs(rng, steps):
    q, k, v = (rng.standard_normal((2, 3, steps, 16)).astype(np.float32) for _ in range(3))
    return q, k, v, rng.standard_normal((2, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("steps", [0, 1, 5, 70])
def test_a_state_that_is_passed_on(rng, steps):
    q, k, v, state = step_inputs(rng, steps)
    spec = attnc.Spec(STEP)
    want = spec(Q=q, K=k, V=v, S0=state, return_outputs=True)
    same = state.copy()
    found = spec(Q=q, K=k, V=v, S0=same, outputs={"S": same}, return_outputs=True)
    assert found["S"] is same
    np.testing.assert_array_equal(found["out"], want["out"])
    np.testing.assert_array_equal(same, want["S"])


def test_decoding_step_by_step_in_one_state(rng):
    q, k, v, state = step_inputs(rng, 6)
    spec = attnc.Spec(STEP)
    want = spec(Q=q, K=k, V=v, S0=state, return_outputs=True)
    for t in range(6):
        one = {name: x[:, :, t:t + 1] for name, x in (("Q", q), ("K", k), ("V", v))}
        out = spec(**one, S0=state, outputs={"S": state})
        np.testing.assert_allclose(out, want["out"][:, :, t:t + 1], atol=2e-5)
    np.testing.assert_allclose(state, want["S"], atol=2e-5)


def test_outputs_that_swap_their_inputs(rng):
    x, y = (rng.standard_normal((3, 200)).astype(np.float32) for _ in range(2))
    a, c = y[:, ::-1].copy(), x.copy()
    attnc.Spec(SWAP)(x=x, y=y, outputs={"a": x, "c": y})
    np.testing.assert_array_equal(x, a)
    np.testing.assert_array_equal(y, c)


def test_what_is_not_exactly_the_input_is_refused(rng):
    q, k, v, state = step_inputs(rng, 4)
    spec = attnc.Spec(STEP)
    memory = np.zeros((3, 3, 16, 16), np.float32)
    with pytest.raises(attnc.ArgumentError, match="lies on"):
        spec(Q=q, K=k, V=v, S0=memory[:2], outputs={"S": memory[1:]})
    with pytest.raises(attnc.ArgumentError, match="lies on"):  # the same memory with other strides
        spec(Q=q, K=k, V=v, S0=state, outputs={"S": state.swapaxes(2, 3)})
    with pytest.raises(attnc.ArgumentError, match="lies on"):  # not declared
        attnc.Spec(STEP.replace(" reuses S0", ""))(Q=q, K=k, V=v, S0=state, outputs={"S": state})
    with pytest.raises(attnc.ArgumentError, match="lies on"):  # another input is the same memory
        attnc.Spec(SWAP)(x=state[0, 0], y=state[0, 0], outputs={"a": state[0, 0]})
    assert not memory.any()
