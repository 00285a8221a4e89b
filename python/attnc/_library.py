# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The C API (include/attnc/attnc.h) through ctypes: its structs, its functions, and statuses as exceptions.

ctypes and not an extension module: one set of files serves every Python from 3.10 on, without a build, and a
call releases the interpreter's lock. The struct layouts below must be those of the header, so a library of
another minor version is refused.
"""
from __future__ import annotations

import ctypes
import functools
import os
import pathlib
import sys

from .errors import (ArgumentError, AttncError, CompileError, DeviceError, LibraryError, OutOfMemoryError,
                     SpecError)

VERSION = "0.1.0"

STATUS = {1: ArgumentError, 2: SpecError, 3: CompileError, 4: DeviceError, 6: OutOfMemoryError}


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


def candidates() -> list[pathlib.Path]:
    """Where the library is looked for: $ATTNC_LIBRARY alone if it is set, else in the package's folders (an editable
    install has two), else in the build folders of the checkout that the package lies in."""
    if chosen := os.environ.get("ATTNC_LIBRARY"):
        return [pathlib.Path(chosen)]
    folders = sys.modules[__package__].__path__
    root = pathlib.Path(__file__).resolve().parents[2]
    return [*(pathlib.Path(folder) / "libattnc.so" for folder in folders),
            root / "build-release" / "lib" / "libattnc.so", root / "build" / "lib" / "libattnc.so"]


@functools.lru_cache(maxsize=None)
def load() -> ctypes.CDLL:
    """The library with typed functions. It is loaded once, by the first call that needs it."""
    paths = candidates()
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise LibraryError("libattnc.so not found; looked at " + ", ".join(map(str, paths)) +
                           ". Build it (ninja -C build attnc_capi) or set ATTNC_LIBRARY to its path")
    try:
        library = ctypes.CDLL(str(path))
        declare(library)
    except (OSError, AttributeError) as error:
        raise LibraryError(f"cannot use {path}: {error}") from error
    version = library.attnc_version().decode()
    if version.split()[1].rsplit(".", 1)[0] != VERSION.rsplit(".", 1)[0]:
        raise LibraryError(f"{path} is {version}, this package is for attnc {VERSION}")
    return library


def declare(library: ctypes.CDLL) -> None:
    """Argument and result types of the functions that the package calls."""
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


def check(status: int) -> None:
    """Raises the exception of a status, with the text that the library has for this thread."""
    if status != 0:
        text = load().attnc_last_error().decode(errors="replace")
        raise STATUS.get(status, AttncError)(text)
