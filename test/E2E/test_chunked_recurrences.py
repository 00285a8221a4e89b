# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A recurrence that attn-chunk-recurrences takes chunk by chunk is what it was step by step, on the reference.

Every spec of the gallery that has the form, at lengths around those of chunks; families of steps with gates and keys that are hard for
chunks: no decay, decays that leave nothing, alternating ones, resets, delta rules at the edge of what is stable; and random linear steps.
"""
import pathlib
import random
import re
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test/E2E")]

import attnc  # noqa: E402
from random_linear_steps import linear_step  # noqa: E402
from random_specs import inputs_of  # noqa: E402
from rewrites import gallery_inputs  # noqa: E402

CHUNKED = """codestral_mamba comba cosformer delta_net fast_weight_programmer gated_delta gated_delta_2 gated_delta_product gla hedgehog hgrn2
kimi_delta kimi_k3 kimi_linear lightning linear_transformer mamba2 minimax_01 performer q_delta rebased_linear retnet rfa rfa_gate rwkv5
rwkv6 rwkv7 two_key_delta window_and_memory yoco""".split()
LENGTHS = [1, 2, 15, 16, 17, 63, 64, 65, 200]


def run(tool, *arguments, text):
    return subprocess.run([ROOT / "build/bin" / tool, *arguments], input=text, capture_output=True, text=True, check=True)


def chunked(text, chunk, halves=False):
    """A spec as attn, as it is and chunk by chunk, and the remarks about what stays."""
    module = run("attnc-spec", "--emit-attn", "-", text=text).stdout
    result = run("attnc-opt", f"--attn-chunk-recurrences=chunk={chunk} report-refusals=1 by-halves={int(halves)}", text=module)
    return module, result.stdout, result.stderr.count("remark: step by step")


def compare(before, after, inputs, tolerance=1e-12):
    expected, found = attnc.Spec(before).evaluate(inputs), attnc.Spec(after).evaluate(inputs)
    for name, value in expected.items():
        assert np.isfinite(value).all()
        scale = np.abs(value).max(initial=0.0)
        assert np.abs(found[name] - value).max(initial=0.0) <= tolerance * scale, name


def specs():
    return [path for path in sorted((ROOT / "specs").rglob("*.attn")) if "recurrence " in path.read_text()]


def test_gallery_is_known():
    """What has the form and what has not: the names above are all that have."""
    found = [path.stem for path in specs() if "_chunk\" of" in chunked(path.read_text(), 64)[1]]
    assert sorted(found) == CHUNKED


# Decays that vary along what reads sum over.
HALVED = "gated_delta_2 gla hgrn2 kimi_delta kimi_k3 rwkv5 rwkv6 rwkv7 two_key_delta".split()


def test_halved_are_known():
    texts = {path.stem: chunked(path.read_text(), 64, halves=True)[1] for path in specs() if path.stem in CHUNKED}
    assert sorted(name for name, text in texts.items() if re.search(r'prod over "t_row" from %\w+ to %', text)) == HALVED


@pytest.mark.parametrize("name, chunk, halves", [(name, chunk, False) for name in CHUNKED for chunk in (16, 64)] + [(name, 64, True) for name in HALVED])
def test_gallery(name, chunk, halves):
    text = next(path for path in specs() if path.stem == name).read_text()
    before, after, refused = chunked(text, chunk, halves)
    assert not refused
    for length in [1, 16, 65] if chunk == 16 else [70]:
        inputs, _ = gallery_inputs(np, attnc.Spec(before), length, b=1, h=2, g=1, t=length, q=length, kv=length)
        compare(before, after, inputs)


FAMILIES = {
    "none": "S = S + K * V",
    "scalar": "S = exp(G) * S + K * V",
    "diagonal": "S = exp(D) * S + K * V",
    "exclusive": "let early[e] = sum((S + U * K * V) * Q for d)\n output early\n S = exp(D) * S + K * V",
    "constant": "S = exp(-abs(U)) * S + K * V",
    "delta": "S = S + B * K * (V - sum(S * K for d))",
    "delta_scalar": "S = exp(G) * S\n S = S + B * K * (V - sum(S * K for d))",
    "delta_diagonal": "S = exp(D) * S\n S = S + B * K * (V - sum(S * K for d))",
    "removal": "S = exp(D) * S - K * B * sum(S * K for d) + K2 * V",
    "two_keys": "S = exp(D) * S\n let x[e] = V - sum(S * K for d)\n let y[e] = V - sum(S * K2 for d)\n S = S + 0.5 * B * K * x + 0.5 * B * K2 * y",
    "two_deltas": "S = exp(G) * S\n S = S + B * K * (V - sum(S * K for d))\n S = S + B * K2 * (V - sum(S * K2 for d))",
}
GATES = {
    "open": lambda t: 0 * t,
    "closed": lambda t: 0 * t - 20,
    "alternating": lambda t: -20.0 * (t % 2),
    "resets": lambda t: np.where(t % 16 == 7, -2000, -0.01),
}


def family(name):
    return f"""recurrence family() {{
      input K2: f32[b, h, t, d], G: f32[b, h, t], D: f32[b, h, t, d], U: f32[h, d], B: f32[b, h, t], S0: f32[b, h, d, e]
      state S[d, e] = S0
      {FAMILIES[name]}
      out sum(S * Q for d)
      output S
    }}"""


def family_inputs(length, gate, beta):
    rng = np.random.default_rng(length)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    d, e = 6, 5
    gates = GATES[gate](np.arange(length)).astype(np.float32)
    inputs = dict(Q=draw(1, 2, length, d), K=draw(1, 2, length, d), V=draw(1, 2, length, e), K2=draw(1, 2, length, d), U=draw(2, d),
                  S0=draw(1, 2, d, e), B=np.full((1, 2, length), beta, np.float32), G=np.tile(gates, (1, 2, 1)),
                  D=np.repeat(np.tile(gates, (1, 2, 1))[..., None], d, -1))
    inputs["D"][..., 1::2] *= 0.5
    if beta > 1:  # keys that are equal but for a thousandth
        for key in ("K", "K2"):
            inputs[key] = (draw(d) + 1e-3 * draw(1, 2, length, d)).astype(np.float32)
    for key in ("K", "K2"):
        inputs[key] /= np.linalg.norm(inputs[key], axis=-1, keepdims=True)
    return inputs


DIAGONAL = [name for name, steps in FAMILIES.items() if "exp(D)" in steps]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("name, halves", [(name, False) for name in FAMILIES] + [(name, True) for name in DIAGONAL])
def test_families(name, halves, gate):
    before, after, refused = chunked(family(name), 64, halves)
    assert not refused
    corrected = "delta" in name or name in ("removal", "two_keys")
    for number, length in enumerate(LENGTHS):
        for beta in [0.0, 1.0, 1.999] if corrected and length < 200 else [1.999]:
            compare(before, after, family_inputs(length, gate, beta), 1e-11 if beta > 1 else 1e-12)


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_steps(first):
    for number in range(first, first + 10):
        text = linear_step(number)
        before, after, refused = chunked(text, random.Random(number).choice([1, 4, 5, 12, 16, 48, 64]), halves=number % 2 == 1)
        assert not refused, text
        sizes = dict(t=random.Random(-number).choice([1, 3, 4, 5, 15, 16, 17, 37, 70]), d=5, e=4)
        inputs = inputs_of(attnc.Spec(before), random.Random(number), np, sizes)
        compare(before, after, {name: 0.4 * value for name, value in inputs.items()})
