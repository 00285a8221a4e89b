# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random mask and score functions: what their spec says, by the definition in PyTorch operations, is what PyTorch computes with them."""
import random

import attnc
import pytest

torch = pytest.importorskip("torch")
flex = pytest.importorskip("torch.nn.attention.flex_attention")

from attnc.flex._attention import operator  # noqa: E402
from attnc.flex._trace import trace  # noqa: E402

B, H, N, M, D = 2, 3, 7, 9, 4


class Writer:
    """Writes expressions of Python on b, h, q, kv and s, of ints, reals and conditions."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        generator = torch.Generator().manual_seed(seed)
        self.scope = {
            "torch": torch, "n": self.random.randint(1, 5), "m": self.random.randint(-4, 4), "x": round(self.random.uniform(-2, 2), 2),
            "row": torch.randint(-6, 7, (M,), generator=generator), "table": torch.randint(0, M, (H, N), generator=generator),
            "keep": torch.rand(B, M, generator=generator) < 0.5, "bias": torch.randn(H, M, generator=generator, dtype=torch.float64).float(),
            "few": torch.randint(0, 4, (H, 3), generator=generator), "one": torch.tensor(2), "part": torch.randn(M, 2, generator=generator)}

    def pick(self, *choices):
        return self.random.choice(choices)

    def whole(self, depth):
        if depth <= 0:
            return self.pick("b", "h", "q", "kv", "q", "kv", "n", "m", "one", str(self.random.randint(1, 5)))
        x, y = self.whole(depth - 1), self.whole(depth - 2)
        return self.pick(
            f"({x} + {y})", f"({x} - {y})", f"({x} * {y})", f"({x} // {self.pick('n', '2', '3')})", f"({x} % {self.pick('n', '3', '4')})",
            f"torch.abs({x} - q)", f"({x} - kv).clamp(-3, 4)", f"torch.where({self.condition(depth - 1)}, {x}, {y} + q)", f"(-(q + {x}))",
            f"torch.maximum(q, kv - {self.pick('n', '1')})", f"row[({x} - q + q) % {M}]", f"table[h, (kv + {y}) % {N}]", f"(~(q + {x}))",
            f"((q + {x}) >> {self.pick(1, 2)})", f"((kv + {x}) << 1)", f"((q - {x}) & 3)", f"row[(q * 0 + {x}).clamp(-{M}, {M - 1})]",
            "few[h].sum()", "few[h][1]")

    def real(self, depth):
        if depth <= 0:
            return self.pick("x", "0.5", "2.0", "bias[h, kv]", "(q * 0.25)", "(kv * 1.0)")
        x, y = self.real(depth - 1), self.real(depth - 2)
        return self.pick(
            f"({x} + {y})", f"({x} - {y})", f"({x} * {y})", f"({self.whole(depth - 1)} / {self.pick('n', '3', '2.5')})",
            f"torch.tanh(bias[h, kv] + {x})", f"torch.exp2(-abs(bias[h, kv] * {y}))", f"torch.where({self.condition(depth - 1)}, {x}, {y})",
            f"(bias[h, kv] - {x}).abs().sqrt()", f"torch.minimum(bias[h, kv], (q + {x}) * 1.0)", "torch.dot(part[kv], part[q])",
            f"((q - {x}) % 2.5)", f"(q * {y}).floor()", f"(bias[h, kv] * {x}).sigmoid()")

    def condition(self, depth):
        if depth <= 0:
            return self.pick("(q >= kv)", "(kv > 2)", "keep[b, kv]", "(h == 1)", "(b != 0)")
        if self.random.random() < 0.5:
            return f"({self.whole(depth)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.whole(depth - 1)})"
        x, y = self.condition(depth - 1), self.condition(depth - 2)
        return self.pick(
            f"({x} & {y})", f"({x} | {y})", f"({x} ^ {y})", f"(~{x})",
            f"torch.logical_or({x}, q < {self.whole(depth - 2)})", f"(q * 0.5 < {self.real(depth - 1)})", "(few[h] == kv % 4).any()",
            f"torch.logical_not({x})", f"({x} == {y})", f"(few[h] + q < {self.whole(depth - 2)} + kv).all(-1)")


@pytest.mark.parametrize("seed", range(40))
def test_random(seed):
    writer = Writer(seed)
    mask_text, score_text = writer.condition(4), writer.real(3)
    # Arguments of its own, so that what it captures is found in a closure as well as in globals.
    scope = writer.scope
    names = ", ".join(name for name in scope if name != "torch")
    make = eval(f"lambda {names}: (lambda b, h, q, kv: {mask_text}, lambda s, b, h, q, kv: s + 0.5 * ({score_text}))", {"torch": torch})
    mask, score = make(*(value for name, value in scope.items() if name != "torch"))
    generator = torch.Generator().manual_seed(1000 + seed)
    q, k, v = (torch.randn(B, H, size, D, generator=generator, dtype=torch.float64) for size in (N, M, M))
    blocks = flex.create_block_mask(mask, B, H, N, M, device="cpu")
    want, aux = flex.flex_attention(q, k, v, score_mod=score, block_mask=blocks, return_aux=flex.AuxRequest(lse=True))
    traced = trace(mask, score, torch.device("cpu"))
    op = operator(traced.text("flex", ["output lse"], {}, with_values=False))
    found = op.reference(q, k, v, named={**traced.operands(), **traced.params})
    # Scores are float32 in PyTorch where an int meets a real, and captured reals are.
    assert torch.equal(found["lse"].isfinite(), aux.lse.isfinite()), (mask_text, score_text)
    assert (found["out"] - want).norm() <= 1e-5 * want.norm() + 1e-12, (mask_text, score_text)
    with_values = attnc.Spec(attnc.from_flex(mask, score))
    assert {name: param.default for name, param in with_values.params.items()} == pytest.approx(traced.params)
