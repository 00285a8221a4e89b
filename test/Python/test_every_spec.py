# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`attnc.load(ANY)(...)`: every spec of the gallery is called on NumPy arrays, on the host, and agrees with its definition in all outputs.

That kernels are right is for test/E2E/all_specs.py to say, at more sizes and held to bounds; here it is the call: tensors by name or by
position, outputs of any dtype over any index spaces, memory of the caller's.
"""
import pathlib
import re

import attnc
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = {"b": 1, "h": 4, "g": 2, "q": 33, "kv": 65, "t": 7, "d": 16, "e": 16}
NUMPY = {None: np.float32, "f32": np.float32, "f16": np.float16, "i32": np.int32, "bool": np.bool_}


# Where defaults are for longer contexts.
PARAMS = {"retrieval_attention": {"sink": 8, "recent": 16}}


class Drawn:
    """Inputs of a spec, drawn as it says, and parameters."""

    def __init__(self, spec):
        self.spec, self.rng, self.code = spec, np.random.default_rng(5), re.sub(r"//.*", "", spec.text)
        self.params = PARAMS.get(spec.name, {})
        self.sizes = dict(SIZES)
        spaces = r"\bslots (\w+)(?: *= *([^\n]+))?|\bblocks (\w+) of (\w+) by (\w+)"
        for slots, size, blocks, parent, members in re.findall(spaces, self.code):
            if slots:
                self.sizes[slots] = int(self.number(size)) if size else 3
            else:
                self.sizes[blocks] = -(-self.sizes[parent] // int(self.number(members)))
        self.tensors = {name: self.draw(name, decl) for name, decl in spec.inputs.items()}

    def number(self, text):
        """The value of arithmetic on numbers, sizes and parameters."""
        defaults = {name: param.default for name, param in self.spec.params.items()}
        return eval(text, {"size": self.sizes.get, **{name: name for name in self.sizes}, **defaults, **self.params})

    def draw(self, name, decl):
        shape = [axis if isinstance(axis, int) else self.sizes[axis] for axis in decl.axes]
        sample = re.search(rf"\b{name} *: *\w+ *\[[^\]]*\] +sample +(\w+)\(((?:[^()]|\([^()]*\))*)\)", self.code)
        default = {"i32": ("uniform", [0, SIZES["kv"]]), "bool": ("bernoulli", [0.75])}.get(decl.dtype, ("normal", [0, 1]))
        kind, arguments = (sample[1], [self.number(x) for x in sample[2].split(",")]) if sample else default
        values = {"normal": lambda mean, std: self.rng.normal(mean, std, shape),
                  "uniform": lambda low, high: self.rng.uniform(low, high, shape),
                  "sorted": lambda low, high: np.sort(self.rng.uniform(low, high, shape), -1),
                  "bernoulli": lambda p: self.rng.random(shape) < p,
                  "geometric": lambda first, ratio: np.broadcast_to(
                      first * float(ratio) ** np.arange(shape[-1] if shape else 1), shape)}[kind](*arguments)
        if decl.dtype == "bf16":
            return attnc.to_bf16(values)
        return np.ascontiguousarray(np.floor(values) if decl.dtype == "i32" else values).astype(NUMPY[decl.dtype])


def agree(found, wanted):
    """Whether an output is what the definition says, but for roundings: of reals by norm, of decisions all but a few."""
    if found.dtype == np.uint16:
        found = attnc.from_bf16(found)
    found = found.astype(np.float64)
    finite = np.isfinite(wanted)
    return np.array_equal(found[~finite], wanted[~finite], equal_nan=True) and np.linalg.norm(
        found[finite] - wanted[finite]) <= 1e-4 * np.linalg.norm(wanted[finite])


# Codes are a step apart where a number is half-way between two: f32 arithmetic may take the other one. all_specs.py judges it.
ROUNDED = {spec for spec, path in attnc.specs().items() if re.search(r"\bquantize\b|\bround\(", path.read_text())}


def test_gallery_has_every_spec():
    assert len(attnc.specs()) == len(list((ROOT / "specs").rglob("*.attn"))) >= 181


@pytest.mark.parametrize("name", sorted(attnc.specs()))
def test_call(name):
    spec = attnc.load(name)
    drawn = Drawn(spec)
    found = spec(return_outputs=True, named={**drawn.tensors, **drawn.params})
    assert list(found) == list(spec.outputs)
    wanted = spec.evaluate(drawn.tensors, drawn.params)
    for output, decl in spec.outputs.items():
        assert found[output].dtype == NUMPY[decl.dtype], output
        assert found[output].shape == wanted[output].shape
        if name not in ROUNDED:
            assert agree(found[output], wanted[output]), output
