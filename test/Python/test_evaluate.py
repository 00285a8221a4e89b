# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Spec.evaluate: any inputs, every output, and errors before anything is computed."""
import numpy as np
import pytest

import attnc

RECURRENCE = """
recurrence retention(decay: f32 = 0.5) {
  input a: f32[b, h, t]
  state S[d, e]
  S = decay * exp(a) * S + K * V
  out sum(S * Q for d)
  output S
}
"""


def inputs(rng, b=2, h=3, t=7, d=4, e=5):
    shapes = {"a": (b, h, t), "Q": (b, h, t, d), "K": (b, h, t, d), "V": (b, h, t, e)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_recurrence_yields_every_output():
    given = inputs(np.random.default_rng(0))
    found = attnc.Spec(RECURRENCE).evaluate(given, {"decay": 0.25})
    q, k, v, a = (given[name].astype(np.float64) for name in ("Q", "K", "V", "a"))
    state, out = np.zeros((2, 3, 4, 5)), np.zeros((2, 3, 7, 5))
    for t in range(7):
        state = 0.25 * np.exp(a[:, :, t, None, None]) * state + k[:, :, t, :, None] * v[:, :, t, None, :]
        out[:, :, t] = np.einsum("bhde,bhd->bhe", state, q[:, :, t])
    assert np.allclose(found["out"], out, rtol=1e-12, atol=1e-12)
    assert np.allclose(found["S"], state, rtol=1e-12, atol=1e-12)
    assert found["out"].dtype == np.float64


def test_strided_inputs_are_read_through_their_strides():
    given = inputs(np.random.default_rng(1))
    spec = attnc.Spec(RECURRENCE)
    views = {name: np.asfortranarray(array) for name, array in given.items()}
    for name, array in spec.evaluate(given).items():
        assert np.array_equal(array, spec.evaluate(views, num_threads=1)[name])


def test_declared_spaces_size_the_outputs():
    spec = attnc.Spec("attention pages(n: const int = 16) { blocks p of kv by n\n output hi[b, g, p, d] = max(K for kv in p) }")
    k = np.random.default_rng(2).standard_normal((1, 2, 37, 4)).astype(np.float32)
    assert spec.evaluate({"K": k})["hi"].shape == (1, 2, 3, 4)
    hi = spec.evaluate({"K": k}, {"n": 10})["hi"]
    assert hi.shape == (1, 2, 4, 4) and np.array_equal(hi[:, :, 3], k[:, :, 30:].max(2))


@pytest.mark.parametrize("change, message", [
    (lambda g, p: g.pop("a"), "input `a[b, h, t]: f32` is not bound"),
    (lambda g, p: g.update(z=g["a"]), "`z` is not an input of `retention`; it has "),
    (lambda g, p: p.update(rate=1.0), "`rate` is not a parameter of `retention`"),
    (lambda g, p: g.update(a=g["a"][:, :, 1:]), "must have size"),
    (lambda g, p: g.update(a=g["a"].astype(np.float64)), "`a` must have dtype f32"),
])
def test_what_does_not_fit_is_named(change, message):
    given, params = inputs(np.random.default_rng(3)), {}
    change(given, params)
    with pytest.raises(attnc.ArgumentError, match=None) as caught:
        attnc.Spec(RECURRENCE).evaluate(given, params)
    assert message in str(caught.value)


def test_the_operand_dtype_is_that_of_operands():
    spec = attnc.Spec("attention scaled { input n: i32[b], x: dtype[b, kv]\n output y[b, kv] = x * n }")
    x = np.array([[1.0, 2.0]], np.float16)
    assert np.array_equal(spec.evaluate({"n": np.array([3], np.int32), "x": x})["y"], [[3.0, 6.0]])
    with pytest.raises(attnc.ArgumentError, match="`x` must be f32, f16 or bf16, found i32"):
        spec.evaluate({"n": np.array([3], np.int32), "x": x.astype(np.int32)})


def test_a_space_without_indices_is_an_error():
    spec = attnc.Spec("attention none(n: int = 0) { blocks p of kv by n\n output hi[b, g, p, d] = max(K for kv in p) }")
    with pytest.raises(attnc.ArgumentError, match="the index space `p` needs blocks and strides of at least one index, found 0"):
        spec.evaluate({"K": np.zeros((1, 1, 3, 2), np.float32)})
