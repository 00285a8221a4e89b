# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The C API through ctypes, for tests that call it as a C program may: with nulls and with structs that are wrong. The package
itself goes through its extension."""
from __future__ import annotations

import ctypes

from attnc import _library


class DLDevice(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", DLDevice), ("ndim", ctypes.c_int32), ("dtype", DLDataType),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


class Param(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_double)]


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("tensor", ctypes.POINTER(DLTensor))]


class Size(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_int64)]


class CompileOptions(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("device", ctypes.c_char_p), ("dtype", ctypes.c_char_p), ("variant", ctypes.c_char_p),
                ("head_dim", ctypes.c_int64), ("v_head_dim", ctypes.c_int64), ("row_alignment", ctypes.c_int32),
                ("const_params", ctypes.POINTER(Param)), ("num_const_params", ctypes.c_size_t),
                ("no_cache", ctypes.c_int32), ("num_threads", ctypes.c_int32), ("chunk", ctypes.c_int32),
                ("target", ctypes.c_char_p), ("host_features", ctypes.c_char_p)]


def load() -> ctypes.CDLL:
    """The library that the package uses, with typed functions."""
    library = ctypes.CDLL(_library.path())
    declare(library)
    return library


def declare(library: ctypes.CDLL) -> None:
    """Argument and result types of the functions that tests call."""
    handle, text, tensors, params = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Tensor), ctypes.POINTER(Param)
    size, status = ctypes.c_size_t, ctypes.c_int
    signatures = {
        "attnc_version": (text, []),
        "attnc_last_error": (text, []),
        "attnc_spec_parse": (status, [text, text, text, ctypes.POINTER(handle)]),
        "attnc_spec_signature_json": (text, [handle]),
        "attnc_spec_definition_json": (text, [handle]),
        "attnc_spec_output_shapes_json": (status, [handle, tensors, size, params, size, ctypes.POINTER(text)]),
        "attnc_spec_reference": (status, [handle, tensors, size, params, size, tensors, size, ctypes.c_int32]),
        "attnc_spec_destroy": (None, [handle]),
        "attnc_kernel_compile": (status, [text, text, ctypes.POINTER(CompileOptions), ctypes.POINTER(handle)]),
        "attnc_kernel_launch": (status, [handle, tensors, size, params, size, handle]),
        "attnc_kernel_launch_with_workspace": (status, [handle, tensors, size, params, size, handle, size, handle]),
        "attnc_kernel_workspace_size": (status, [handle, ctypes.POINTER(Size), size, ctypes.POINTER(size)]),
        "attnc_launch_prepare": (status, [handle, tensors, size, params, size, ctypes.POINTER(handle)]),
        "attnc_launch_workspace_size": (size, [handle]),
        "attnc_launch_destroy": (None, [handle]),
        "attnc_kernel_destroy": (None, [handle]),
        "attnc_main": (ctypes.c_int, [ctypes.c_int, ctypes.POINTER(text)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def fill(tensor, view):
    """Describes the memory of a View in a DLTensor, which must not outlive it."""
    _, tensor.data, device, dtype, shape, strides, tensor.byte_offset = view.packed("x")
    tensor.ndim = len(shape)
    tensor.device.device_type, tensor.device.device_id = device
    (tensor.dtype.code, tensor.dtype.bits), tensor.dtype.lanes = dtype, 1
    # ctypes keeps the arrays alive as long as the struct.
    sizes = ctypes.c_int64 * len(shape)
    tensor.shape, tensor.strides = sizes(*shape), sizes(*strides)


def pack_tensors(views):
    """The C array of named tensors, and its length. ctypes keeps what it points at alive with it."""
    array = (Tensor * len(views))()
    for slot, (name, found) in zip(array, views.items()):
        tensor = DLTensor()
        fill(tensor, found)
        slot.name, slot.tensor = name.encode(), ctypes.pointer(tensor)
    return array, len(views)


def pack_params(params):
    """The C array of named numbers, and its length."""
    return (Param * len(params))(*[Param(n.encode(), v) for n, v in params.items()]), len(params)
