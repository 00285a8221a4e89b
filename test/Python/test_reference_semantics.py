# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Corners of the reference: sizes, empty spaces, NaN, clamped gradients, and errors that must not be crashes."""
import numpy as np
import pytest

import attnc


def draw(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def qkv(b=1, h=1, q=5, kv=7, d=4, e=3, g=1):
    return draw({"Q": (b, h, q, d), "K": (b, g, kv, d), "V": (b, g, kv, e)})


def test_sizes_see_parameters_as_the_run_does():
    spec = attnc.Spec("attention a(n: f32 = 0.5) { slots c = i32(n)\n input z: f32[b]\n output m[c, b] = 1.5 + 0.0 * z }")
    z = {"z": np.zeros(4, np.float32)}
    assert spec.evaluate(z, {"n": 2.99999999999})["m"].shape == (3, 4)  # 3 as f32
    assert np.array_equal(spec.evaluate(z, {"n": 2.5})["m"], np.full((2, 4), 1.5))


def test_tensors_that_no_memory_holds_are_an_error():
    spec = attnc.Spec("attention a(n: int = 2) { slots i = n\n slots j = n\n input z: f32[b]\n let x[i, j, b] = z\n "
                      "output m[b] = sum(x for i for j) }")
    with pytest.raises(attnc.ArgumentError, match="more than memory holds"):
        spec.evaluate({"z": np.zeros(4, np.float32)}, {"n": 2000000000})


@pytest.mark.parametrize("text", [
    "attention a { recurrence R over kv per [b, g] { state S[d, e]\n S = S + nonsense\n out sum(S for d) }\n "
    "output o[b, g, d, e] = S * 2 }",
    "attention a { recurrence R over kv per [b, g] { state S[d, e]\n let x[e] = nonsense\n out x }\n output o[b, g, kv, e] = R.out + x }",
])
def test_an_error_in_a_step_is_one_error(text):
    with pytest.raises(attnc.SpecError, match="`nonsense` is not declared here"):
        attnc.Spec(text)


def test_numbers_of_a_stage_may_read_tensors_where_that_has_a_meaning():
    given = {**qkv(), "z": np.array([0.25], np.float32)}
    plain = attnc.Spec("attention a { scale 0.25 }").evaluate({name: given[name] for name in "QKV"})["out"]
    assert np.allclose(attnc.Spec("attention a { input z: f32[1]\n scale z[0] }").evaluate(given)["out"], plain, rtol=1e-13)
    with pytest.raises(attnc.ArgumentError, match="`tile` is known before tensors are read"):
        attnc.Spec("attention a { input z: i32[1]\n tile z[0]\n quantize P as f16 }").evaluate(
            {**qkv(), "z": np.array([4], np.int32)})


def test_sets_over_no_block_hold_nothing():
    spec = attnc.Spec("attention a { align top_left\n blocks r of q by 64 full\n let keep[b, h, r, kv] = kv > 1\n over keep\n output lse }")
    found = spec.evaluate(qkv())
    assert not found["out"].any() and np.isneginf(found["lse"]).all()


def test_sizes_of_blocks_are_arithmetic_only():
    choice = "attention a(page: int = 2) { blocks p of kv by if page > 2 then page else 1\n output lo[b, g, p, d] = min(K for kv in p) }"
    given = {"K": qkv()["K"]}
    assert np.array_equal(attnc.Spec(choice).evaluate(given)["lo"], given["K"].astype(float))
    with pytest.raises(attnc.SpecError, match="arithmetic on sizes and parameters"):
        attnc.Spec("attention a(page: int = 2) { blocks p of kv by i32(exp(f32(page)))\n output lo[b, g, p, d] = min(K for kv in p) }")


@pytest.mark.parametrize("text", [
    "attention a { tile 4\n quantize P as f8E4M3 static 448 }",
    "attention a { branch x { scale 1.0 }\n branch y { scale 2.0 }\n out merge(x, y) }",
])
def test_nan_propagates_through_tiles_and_merges(text):
    given = qkv()
    given["Q"][0, 0, 0] = np.nan
    out = attnc.Spec(text).evaluate(given)["out"]
    assert np.isnan(out[0, 0, 0]).all() and np.isfinite(out[0, 0, 1:]).all()


def test_weights_of_a_row_of_infinite_scores_are_zero():
    spec = attnc.Spec("attention a { branch x { score s - inf }\n out x.out\n output p[b, h, q, kv] = x.p }")
    assert not spec.evaluate(qkv())["p"].any()


@pytest.mark.parametrize("options", ["per [b]", "static 0.1", "per [b] asymmetric"])
def test_nan_survives_quantization(options):
    spec = attnc.Spec(f"attention a {{ quantize K as int8 {options}\n output k[b, g, kv, d] = K }}")
    keys = np.array([np.nan, 1, 2, -3], np.float32).reshape(1, 1, 2, 2)
    assert np.isnan(spec.evaluate({"K": keys})["k"][0, 0, 0, 0])


def test_cumsum_of_ints_wraps():
    spec = attnc.Spec("attention a { input z: i32[b, kv]\n output y[b, kv] = cumsum(z over kv) }")
    found = spec.evaluate({"z": np.array([[2000000000, 2000000000]], np.int32)})["y"]
    assert np.array_equal(found, [[2000000000, 4000000000 - 2**32]])


def test_spaces_without_a_size_are_an_error_at_their_place():
    with pytest.raises(attnc.SpecError, match="1:.*no input has an axis `t`, so its size is not known"):
        attnc.Spec("attention a { score s + sum(1.0 for t) }")


def gradient_of(loss_lines, w, k):
    """dL/dW at W = w, by a step that puts the gradient out as the new state."""
    spec = attnc.Spec(f"""recurrence r {{
      input W0: f32[d, e]
      state W[d, e] = W0
      {loss_lines}
      W = grad(L, start(W))
      output W
    }}""")
    found = spec.evaluate({"W0": w, "K": k})
    return found["W"][0, 0]


@pytest.mark.parametrize("lines, loss", [
    ("let A[d, e] = start(W)\n let m[e] = sum(A[d = d + 1] * A * K for d)\n let L[] = sum(m for e)",
     lambda w, k: (w[np.minimum(np.arange(4) + 1, 3)] * w * k[:, None]).sum()),
    ("let L[] = sum(start(W)[e = d] * K for d for e)", None),
    ("let L[] = sum(start(W) * start(W) * K for d for e)", lambda w, k: (w * w * k[:, None]).sum()),
    ("let x[d] = start(W)[0, 0] * K\n let L[] = sum(exp(x) for d)", None),
    ("let A[d, e] = start(W)\n let L[] = sum(A[e = d] * K for d)", lambda w, k: (w[np.arange(4), np.minimum(np.arange(4), 2)] * k).sum()),
])
def test_gradients_of_clamped_and_nested_reads(lines, loss):
    if loss is None:
        with pytest.raises(attnc.SpecError):  # `start` takes a name and no index
            attnc.Spec(f"recurrence r {{ state W[d, e]\n {lines}\n W = grad(L, start(W))\n output W\n out V }}")
        return
    given = draw({"W0": (4, 3), "K": (1, 1, 1, 4)}, seed=3)
    w, k = given["W0"].astype(np.float64), given["K"][0, 0, 0].astype(np.float64)
    found = gradient_of(lines, given["W0"], given["K"])
    for index in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[index] = 1e-6
        assert abs((loss(w + step, k) - loss(w - step, k)) / 2e-6 - found[index]) < 1e-7


def test_a_gradient_that_does_not_see_its_state_is_an_error():
    with pytest.raises(attnc.SpecError, match="this gradient is 0"):
        attnc.Spec("recurrence r { every 4\n state W[d, e]\n let L[] = sum(W * K for d for e)\n W = W - grad(L, start(W))\n out V }")


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., SC 2011)."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & 0xFFFFFFFF, (a >> 32) ^ counter[3] ^ key[1], a & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def test_random_numbers_are_philox():
    # Known answers of Random123.
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    spec = attnc.Spec("attention a(seed: int = 0) { input z: f32[b, h, q, kv]\n "
                      "let u[b, h, q, kv] = uniform(seed, b, h - 3, q, kv)\n output y[b, h, q, kv] = u + 0.0 * z\n "
                      "output none[b] = uniform(seed) + 0.0 * mean(z[h = 0, q = 0] for kv) }")
    z = {"z": np.zeros((2, 4, 3, 5), np.float32)}
    for seed in (0, 7, -1, 2147483647):
        found = spec.evaluate(z, {"seed": seed})
        for b, h, q, kv in np.ndindex(2, 4, 3, 5):
            word = philox([b, (h - 3) & 0xFFFFFFFF, q, kv], [seed & 0xFFFFFFFF, 0])[0]
            assert found["y"][b, h, q, kv] == (word >> 8) * 2.0**-24
        assert found["none"][0] == (philox([0] * 4, [seed & 0xFFFFFFFF, 0])[0] >> 8) * 2.0**-24


def test_a_recurrence_per_nothing_runs_once():
    keys = draw({"K": (2, 3, 5, 4)})["K"]
    found = attnc.Spec("recurrence r over kv per [] { input K: f32[b, g, kv, d]\n state S[d]\n S = S + mean(mean(K for g) for b)\n "
                       "output S }").evaluate({"K": keys})["S"]
    assert found.shape == (4,) and np.allclose(found, keys.astype(np.float64).mean((0, 1)).sum(0), rtol=1e-12)


def test_bounds_of_a_reduction():
    """`from` and `to`, which only the IR says: of a row, of the members of a block, beyond the ends, different for each row."""
    spec = attnc.Spec("""
attn.variant @bounds {
  %X = attn.input "X" : !attn.tensor<[kv], f32>
  %Lo = attn.input "Lo" : !attn.tensor<[q], i32>
  %Hi = attn.input "Hi" : !attn.tensor<[q], i32>
  %four = arith.constant 4 : i32
  attn.space "p" of "kv" extent %four
  %rows = attn.compute (%q: i32) {
    %lo = attn.read %Lo[%q] : !attn.tensor<[q], i32> -> i32
    %hi = attn.read %Hi[%q] : !attn.tensor<[q], i32> -> i32
    %x = attn.reduce mean over "kv" from %lo to %hi (%kv: i32) {
      %v = attn.read %X[%kv] : !attn.tensor<[kv], f32> -> f32
      attn.yield %v : f32
    } : f32
    attn.yield %x : f32
  } : !attn.tensor<[q], f32>
  %blocks = attn.compute (%q: i32, %p: i32) {
    %lo = attn.read %Lo[%q] : !attn.tensor<[q], i32> -> i32
    %hi = attn.read %Hi[%q] : !attn.tensor<[q], i32> -> i32
    %x = attn.reduce argmax over "kv" in "p" at %p from %lo to %hi (%kv: i32) {
      %v = attn.read %X[%kv] : !attn.tensor<[kv], f32> -> f32
      attn.yield %v : f32
    } : i32
    attn.yield %x : i32
  } : !attn.tensor<[q, p], i32>
  attn.return ["rows", "blocks"](%rows, %blocks : !attn.tensor<[q], f32>, !attn.tensor<[q, p], i32>)
}""")
    x = np.random.default_rng(5).normal(size=10).astype(np.float32)
    lo = np.array([0, -5, 3, 7, 2, 2**31 - 1, -(2**31)], np.int32)
    hi = np.array([10, 4, 9, 7, -1, 2**31 - 1, 2**31 - 1], np.int32)
    result = spec.evaluate({"X": x, "Lo": lo, "Hi": hi})
    for row, (first, last) in enumerate(zip(lo, hi)):
        seen = [k for k in range(10) if first <= k < last]
        mean = np.mean([np.float64(x[k]) for k in seen]) if seen else 0.0
        assert abs(result["rows"][row] - mean) < 1e-12
        for block in range(3):
            members = [k for k in seen if k // 4 == block]
            assert result["blocks"][row, block] == (max(members, key=lambda k: x[k]) if members else -1)
