# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The spec functions of the C API themselves, called as a C program may call them: nulls, bad tensors, strides."""
import ctypes
import json

import numpy as np
import pytest
from attnc._tensors import view
from capi import load, pack_params, pack_tensors

OK, INVALID_ARGUMENT, INVALID_SPEC = 0, 1, 2
TEXT = b"attention plain(n: const int = 3) { mask kv < n output lse }"


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture
def spec(library):
    handle = ctypes.c_void_p()
    assert library.attnc_spec_parse(TEXT, None, None, ctypes.byref(handle)) == OK
    yield handle
    library.attnc_spec_destroy(handle)


def tensors(**arrays):
    return pack_tensors({name: view(name, array) for name, array in arrays.items()})


def operands():
    rng = np.random.default_rng(1)
    return {n: rng.standard_normal((1, 2, s, 4)).astype(np.float32) for n, s in (("Q", 3), ("K", 5), ("V", 5))}


def test_parse(library):
    handle = ctypes.c_void_p(1)
    assert library.attnc_spec_parse(None, None, None, ctypes.byref(handle)) == INVALID_ARGUMENT
    assert library.attnc_spec_parse(TEXT, None, None, None) == INVALID_ARGUMENT
    assert library.attnc_last_error() == b"attnc_spec_parse: text and spec must not be null"
    assert library.attnc_spec_parse(b"attention", b"f.attn", None, ctypes.byref(handle)) == INVALID_SPEC
    assert not handle.value and library.attnc_last_error().startswith(b"f.attn:1:10: error: ")
    library.attnc_spec_destroy(None)


def test_signature_json(library, spec):
    assert library.attnc_spec_signature_json(None) is None
    assert json.loads(library.attnc_spec_signature_json(spec)) == {
        "name": "plain",
        "params": [{"name": "n", "type": "int", "const": True, "default": 3}],
        "inputs": [{"name": "Q", "dtype": None, "axes": ["b", "h", "q", "d"]},
                   {"name": "K", "dtype": None, "axes": ["b", "g", "kv", "d"]},
                   {"name": "V", "dtype": None, "axes": ["b", "g", "kv", "e"]}],
        "outputs": [{"name": "out", "dtype": None, "axes": ["b", "h", "q", "e"]},
                    {"name": "lse", "dtype": "f32", "axes": ["b", "h", "q"]}],
        "steps": [], "chunk": 64}


def test_definition_json(library, spec):
    assert library.attnc_spec_definition_json(None) is None
    ops = json.loads(library.attnc_spec_definition_json(spec))
    assert [op["op"] for op in ops] == ["attn.param", "attn.input", "attn.input", "attn.input", "attn.attend", "attn.return"]
    assert ops[0] == {"op": "attn.param", "line": 1, "operands": [], "results": [{"id": 0, "type": "i32"}],
                      "attributes": {"default_value": 3, "is_const": True, "name": "n"}, "regions": []}
    assert ops[1]["results"] == [{"id": 1, "type": "dtype", "axes": ["b", "h", "q", "d"]}]
    attend = ops[4]
    assert attend["operands"] == [1, 2, 3] and attend["attributes"]["precision"] == "f32"
    score, mask, sink, skip = attend["regions"]
    assert score == sink == skip == {} and [x["type"] for x in mask["arguments"]] == ["i32"] * 4
    compare, end = mask["ops"]
    assert compare["op"] == "arith.cmpi" and compare["attributes"] == {"predicate": "slt"}
    assert compare["operands"] == [mask["arguments"][3]["id"], 0] and end["operands"] == [compare["results"][0]["id"]]
    assert ops[5]["attributes"] == {"names": ["out", "lse"]} and ops[5]["operands"] == [x["id"] for x in attend["results"]]


def test_definition_json_of_what_json_has_no_number_for(library):
    text = b"attention infinite { let x = if kv < 3 then inf else -inf score max(s, x) }"
    handle = ctypes.c_void_p()
    assert library.attnc_spec_parse(text, None, None, ctypes.byref(handle)) == OK
    found = library.attnc_spec_definition_json(handle).decode()
    library.attnc_spec_destroy(handle)
    assert json.loads(found) and '"inf"' in found and '"-inf"' in found


def test_reference_writes_chosen_outputs_through_strides(library, spec):
    given = operands()
    dense, buffer = np.zeros((1, 2, 3, 4)), np.full((4, 3, 2, 3), 7.0)
    strided = buffer.transpose(2, 1, 0, 3)[None, :, :, :, 0]
    for out in (dense, strided):
        assert library.attnc_spec_reference(spec, *tensors(**given), *pack_params({}), *tensors(out=out), 1) == OK
    assert (dense == strided).all() and (buffer[..., 1:] == 7).all()
    lse = np.zeros((1, 2, 3))
    assert library.attnc_spec_reference(spec, *tensors(**given), *pack_params({"n": 1}), *tensors(lse=lse), 0) == OK
    # One key: its weight is 1, and lse is its score.
    np.testing.assert_allclose(lse, (given["Q"].astype(float) @ given["K"][:, :, 0, :, None].astype(float))[..., 0] / 2)
    assert library.attnc_spec_reference(spec, *tensors(**given), *pack_params({}), None, 0, 0) == OK


@pytest.mark.parametrize("outputs, message", [
    (dict(out=np.zeros((1, 2, 3, 4), np.float32)), b"must be float64, found DLPack type code 2 with 32 bits"),
    (dict(out=np.zeros((1, 2, 3, 5))), b"output `out` must have shape [1, 2, 3, 4], found [1, 2, 3, 5]"),
    (dict(out=np.zeros(())), b"output `out` must have shape [1, 2, 3, 4], found []"),
    (dict(out=np.broadcast_to(np.zeros((1, 1, 3, 4)), (1, 2, 3, 4))), b"output `out` cannot have stride 0 on axis 1"),
    (dict(max=np.zeros((1, 2, 3))), b"`max` is not an output of `plain`"),
])
def test_bad_outputs(library, spec, outputs, message):
    lse = np.full((1, 2, 3), 7.0)
    status = library.attnc_spec_reference(spec, *tensors(**operands()), *pack_params({}),
                                          *tensors(lse=lse, **outputs), 0)
    assert status == INVALID_ARGUMENT and message in library.attnc_last_error() and (lse == 7).all()


@pytest.mark.parametrize("change, params, message", [
    (dict(K=None), {}, b"input `K[b, g, kv, d]: dtype of Q` is not bound"),
    (dict(K=np.zeros((1, 2, 5, 3), np.float32)), {}, b"must have size 4 as in `Q`, found 3"),
    (dict(Q=np.zeros((1, 2, 3, 4))), {}, b"tensor `Q` has DLPack type code 2 with 64 bits"),
    ({}, {"m": 1}, b"`m` is not a parameter of `plain`"),
    ({}, {"n": 0.5}, b"parameter `n` is an int of 32 bits"),
])
def test_bad_inputs(library, spec, change, params, message):
    given = {name: array for name, array in (operands() | change).items() if array is not None}
    out = np.full((1, 2, 3, 4), 7.0)
    status = library.attnc_spec_reference(spec, *tensors(**given), *pack_params(params), *tensors(out=out), 0)
    assert status == INVALID_ARGUMENT and message in library.attnc_last_error() and (out == 7).all()


def test_nulls(library, spec):
    assert library.attnc_spec_reference(None, None, 0, None, 0, None, 0, 0) == INVALID_ARGUMENT
    for position in range(3):
        counts = [1 if i == position else 0 for i in range(3)]
        status = library.attnc_spec_reference(spec, None, counts[0], None, counts[1], None, counts[2], 0)
        assert status == INVALID_ARGUMENT and library.attnc_last_error() == b"attnc_spec_reference: a null pointer"
    unnamed, count = tensors(Q=np.zeros(1, np.float32))
    unnamed[0].name = None
    assert library.attnc_spec_reference(spec, unnamed, count, None, 0, None, 0, 0) == INVALID_ARGUMENT
    assert library.attnc_spec_reference(spec, *tensors(**operands()), None, 0, unnamed, count, 0) == INVALID_ARGUMENT
