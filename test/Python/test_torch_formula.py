# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The definition in PyTorch operations, which backward recomputes: every spec of the gallery against the reference, in
float64, or a GradientError that says what is in its way."""
import attnc
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import attnc.torch  # noqa: E402
from test_every_spec import Drawn  # noqa: E402


def as_double(array):
    tensor = torch.from_numpy(array)
    return tensor.double() if tensor.is_floating_point() else tensor


def is_beyond(spec):
    """The ops of a spec that have no gradient yet; none if it has one."""
    beyond = {"attn.recur", "attn.quantize", "attn.select", "attn.rank", "attn.order", "attn.cumsum", "attn.scan", "attn.uniform",
              "attn.grad"}
    from attnc._program import walk
    ops = list(walk(spec._definition.program))
    return any(op.name in beyond or op.name == "attn.reduce" and op.attributes["kind"] in ("argmax", "argmin") or
               op.name == "attn.attend" and (op.regions[3] or "weight_format" in op.attributes or op.segments()[5])
               for op in ops)


@pytest.mark.parametrize("name", sorted(attnc.specs()))
def test_formula_is_the_definition(name):
    spec = attnc.load(name)
    drawn = Drawn(spec)
    tensors = {name: as_double(array) for name, array in drawn.tensors.items()}
    operator = attnc.torch.op(spec)
    if is_beyond(spec):
        with pytest.raises(attnc.GradientError, match=r"^line \d+: no gradient through "):
            operator.reference(named={**tensors, **drawn.params})
        return
    found = operator.reference(named={**tensors, **drawn.params})
    wanted = spec.evaluate(drawn.tensors, drawn.params)
    assert list(found) == list(wanted)
    for output, want in wanted.items():
        got = found[output].double().numpy()
        assert got.shape == want.shape
        finite = np.isfinite(want)
        assert np.array_equal(got[~finite], want[~finite], equal_nan=True)
        assert np.linalg.norm(got[finite] - want[finite]) <= 1e-9 * np.linalg.norm(want[finite]), output
