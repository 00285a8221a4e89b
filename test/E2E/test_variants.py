# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Variants that are in no list, written from building blocks: specs/variants against their formulas in NumPy.

Each formula is transcribed in float64 and row by row, with nothing of this compiler. Sizes are odd, heads share keys, and blocks,
pages and windows do not divide them.
"""
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import attnc  # noqa: E402

# b, h, g, q, kv, d, e
SIZES = [(2, 6, 3, 11, 37, 5, 7), (1, 4, 1, 29, 29, 9, 3), (1, 2, 2, 1, 23, 3, 5)]


def operands(rng, b, h, g, q, kv, d, e):
    return {"Q": rng.normal(size=(b, h, q, d)), "K": rng.normal(size=(b, g, kv, d)), "V": rng.normal(size=(b, g, kv, e))}


def evaluate(name, tensors, **params):
    """The outputs of a spec, and the tensors as float64 numbers that float32 holds."""
    given = {key: np.asarray(value, np.float32) for key, value in tensors.items()}
    spec = attnc.load(ROOT / "specs" / "variants" / f"{name}.attn")
    return spec.evaluate(given, params), {key: value.astype(np.float64) for key, value in given.items()}


def attend(scores, mask, values, sink=-np.inf):
    """One row: its output and log-sum-exp."""
    shown = np.where(mask, scores, -np.inf)
    top = max(shown.max(initial=-np.inf), sink)
    if top == -np.inf:
        return np.zeros(values.shape[1]), -np.inf
    weights = np.exp(shown - top)
    total = weights.sum() + np.exp(sink - top)
    return weights @ values / total, top + np.log(total)


def rows(tensors):
    """(index of the row, position, query, keys, values) of each row of queries, which end where the keys end."""
    Q, K, V = tensors["Q"], tensors["K"], tensors["V"]
    share = Q.shape[1] // K.shape[1]
    for b, h, i in np.ndindex(*Q.shape[:3]):
        yield (b, h, i), i + K.shape[2] - Q.shape[2], Q[b, h, i], K[b, h // share], V[b, h // share]


def close(actual, expected, bound=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound * max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0)))


@pytest.mark.parametrize("sizes", SIZES)
def test_two_key_delta(sizes):
    b, h, g, _, t, d, e = sizes
    rng = np.random.default_rng(1)
    tensors = operands(rng, b, h, g, t, t, d, e)
    tensors |= {"R": rng.normal(size=(b, g, t, d)), "U": rng.normal(size=(b, g, t, e)), "Decay": rng.uniform(size=(b, h, t, d)),
                "Beta": rng.uniform(size=(b, h, t)), "Zeta": rng.uniform(size=(b, h, t))}
    found, x = evaluate("two_key_delta", tensors)
    eps = np.float64(np.float32(1e-6))
    K, R = (y / np.sqrt((y * y).sum(-1, keepdims=True) + eps) for y in (x["K"], x["R"]))
    out, last = np.zeros((b, h, t, e)), np.zeros((b, h, d, e))
    for i, j in np.ndindex(b, h):
        group = j // (h // g)
        S = np.zeros((d, e))
        for step in range(t):
            k, r = K[i, group, step], R[i, group, step]
            S = np.diag(np.exp(-x["Decay"][i, j, step])) @ S
            correction = x["Beta"][i, j, step] * np.outer(k, x["V"][i, group, step] - S.T @ k)
            S = S + correction + x["Zeta"][i, j, step] * np.outer(r, x["U"][i, group, step] - S.T @ r)
            out[i, j, step] = S.T @ x["Q"][i, j, step] / np.sqrt(d)
        last[i, j] = S
    close(found["out"], out)
    close(found["S"], last)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("page, share", [(5, 0.75), (4, 0.3), (16, 0.95)])
def test_page_cover(sizes, page, share):
    tensors = operands(np.random.default_rng(2), *sizes)
    found, x = evaluate("page_cover", tensors, page=page, share=share)
    share = np.float64(np.float32(share))
    kept = 0
    for at, position, query, keys, values in rows(x):
        blocks = [keys[i:i + page] for i in range(0, len(keys), page)]
        bound = np.array([sum(max(q * lo, q * hi) for q, lo, hi in zip(query, c.min(0), c.max(0))) for c in blocks])
        bound /= np.sqrt(len(query))
        seen = np.arange(len(blocks)) * page <= position
        weight = np.where(seen, np.exp(bound - bound[seen].max()), 0)
        weight /= weight.sum()
        keep, reached = np.zeros(len(blocks), bool), 0.0
        for p in np.argsort(-weight, kind="stable"):
            if reached >= share:
                break
            keep[p] = True
            reached += weight[p]
        keep[position // page] = True
        kept += keep.sum()
        mask = np.repeat(keep, page)[:len(keys)] & (np.arange(len(keys)) <= position)
        out, lse = attend(keys @ query / np.sqrt(len(query)), mask, values)
        assert (found["keep"][at] == keep).all(), at
        close(found["out"][at], out)
        close(found["lse"][at], np.array(lse))
    assert kept < found["keep"].size or len(blocks) == 2, "pages are left out"


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("chunk, sinks", [(7, 2), (10, 0)])
def test_chunked_alibi(sizes, chunk, sinks):
    rng = np.random.default_rng(3)
    tensors = operands(rng, *sizes) | {"slope": rng.uniform(0.1, 1, sizes[1]), "logit": rng.normal(size=sizes[1])}
    found, x = evaluate("chunked_alibi", tensors, chunk=chunk, sinks=sinks)
    for at, position, query, keys, values in rows(x):
        kv = np.arange(len(keys))
        scores = keys @ query / np.sqrt(len(query)) + x["slope"][at[1]] * (kv - position)
        mask = (kv <= position) & ((kv // chunk == position // chunk) | (kv < sinks))
        out, lse = attend(scores, mask, values, x["logit"][at[1]])
        close(found["out"][at], out)
        close(found["lse"][at], np.array(lse))


def fp8(x):
    """The nearest numbers of f8E4M3, ties to even."""
    exponent = np.maximum(np.floor(np.log2(np.maximum(np.abs(x), 2.0**-20))), -6)
    ulp = 2.0**(exponent - 3)
    return np.clip(np.rint(x / ulp) * ulp, -448, 448)


def scaled(x, largest, convert):
    """Numbers that share a scale, as they come back."""
    scale = np.abs(x).max() / largest
    return convert(x / scale) * scale


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("block", [4, 32])
def test_int4_keys_fp8_values(sizes, block):
    tensors = operands(np.random.default_rng(4), *sizes)
    found, x = evaluate("int4_keys_fp8_values", tensors, block=block)
    Q, K, V = (x[name].copy() for name in "QKV")
    for at in np.ndindex(*K.shape[:3]):
        for c in range(0, K.shape[3], 8):
            K[at][c:c + 8] = scaled(K[at][c:c + 8], 7, lambda y: np.clip(np.rint(y), -8, 7))
    for b, g, e in np.ndindex(V.shape[0], V.shape[1], V.shape[3]):
        V[b, g, :, e] = scaled(V[b, g, :, e], 448, fp8)
    for b, h in np.ndindex(*Q.shape[:2]):
        for i in range(0, Q.shape[2], block):
            part = Q[b, h, i:i + block]
            mean = part.mean(0)
            Q[b, h, i:i + block] = [(scaled(row - mean, 127, np.rint) if (row != mean).any() else 0 * row) + mean for row in part]
    for at, position, query, keys, values in rows({"Q": Q, "K": K, "V": V}):
        out, lse = attend(keys @ query / np.sqrt(len(query)), np.arange(len(keys)) <= position, values)
        close(found["out"][at], out)
        close(found["lse"][at], np.array(lse))
    plain = [attend(keys @ query / np.sqrt(len(query)), np.arange(len(keys)) <= p, values)[0] for _, p, query, keys, values in rows(x)]
    assert np.abs(found["out"].reshape(len(plain), -1) - plain).max() > 1e-3, "rounding shows"


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("window", [1, 6])
def test_window_and_memory(sizes, window):
    rng = np.random.default_rng(5)
    b, h, _, q, _, _, _ = sizes
    tensors = operands(rng, *sizes) | {"gate": rng.normal(size=(b, h, q)), "decay": rng.uniform(size=h)}
    found, x = evaluate("window_and_memory", tensors, window=window)
    feature = lambda y: np.where(y > 0, y + 1, np.exp(np.minimum(y, 0)))  # noqa: E731
    eps = np.float64(np.float32(1e-6))
    for at, position, query, keys, values in rows(x):
        kv = np.arange(len(keys))
        near, _ = attend(keys @ query / np.sqrt(len(query)), (kv <= position) & (position - kv < window), values)
        # The recurrence, unrolled: a key weighs its product with the query, less a decay for each step since.
        weight = np.where(kv <= position, feature(keys) @ feature(query) * np.exp(-x["decay"][at[1]] * (position - kv)), 0)
        share = 1 / (1 + np.exp(-x["gate"][at]))
        close(found["out"][at], share * near + (1 - share) * (weight @ values / (weight.sum() + eps)))
