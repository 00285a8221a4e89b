# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`Spec.show` and `Spec.explain`: what notebooks draw and say."""
import xml.etree.ElementTree as ET

import attnc
import numpy as np
import pytest

REACH = attnc.Spec("""
attention reach(more: int = 0, weight: f32 = 1.0) {
  align bottom_right
  input reach: i32[b, h]
  score s * weight
  mask kv <= q and q - kv < reach[b, h] + more
}
""")


def test_show_draws_the_head_of_the_entry():
    reach = np.array([[1, 2, 3], [4, 5, 6]])  # int64, as NumPy makes them
    for entry in range(2):
        for head in range(3):
            drawing = REACH.show(head=head, entry=entry, inputs={"reach": reach}, heads=3, q_len=32, more=1)
            back = int(reach[entry, head]) + 1
            seen = sum(min(back, row + 1) for row in range(32))
            assert drawing.counts["visible_fraction"] == pytest.approx(seen / 32 ** 2)
            assert (drawing.counts["head"], drawing.counts["entry"]) == (head, entry)
    ET.fromstring(drawing._repr_svg_())
    assert drawing._repr_svg_() == drawing.svg and f"head {head}, batch entry {entry}" in drawing.svg
    assert str(drawing).startswith("reach, head 2, batch entry 1: ") and "partial" in repr(drawing)


def test_show_draws_inputs_from_a_seed():
    first, again, other = (REACH.show(q_len=128, seed=seed).svg for seed in (1, 1, 2))
    assert first == again != other


def test_explain():
    text = REACH.explain(q_len=100, weight=0.1)
    assert text.startswith("variant      reach\ntarget       host\n")
    assert "target       sm_90a" in REACH.explain(target="sm_90a", dtype="bf16")


@pytest.mark.parametrize("call, message", [
    (lambda: REACH.show(mor=1), "`mor` is not a parameter of `reach`; it has more, weight"),
    (lambda: REACH.show(inputs={"R": [1]}), "`R` is not an input of `reach`; it has Q, K, V, reach"),
    (lambda: REACH.show(inputs={"reach": np.ones((1, 1))}), "--input=reach: cannot read `0.npy`: its elements are `<f8`"),
    (lambda: REACH.show(head=4), "--head=4: expected a number from 0 to 3; --heads is 4"),
    (lambda: REACH.explain(target="sm_1"), "unknown target `sm_1`"),
    (lambda: attnc.load("hgrn").show(), "expects a variant that is one attention stage"),
])
def test_errors(call, message):
    with pytest.raises(attnc.ArgumentError) as caught:
        call()
    assert message in str(caught.value)
