# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tensors, numbers and names as the C API takes them."""
from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from . import _library
from ._tensors import View
from .errors import ArgumentError

MAX_THREADS = 4096


def checked_threads(num_threads: int) -> int:
    """A number of threads that the C API can be given: ctypes would cut off what does not fit."""
    if not 0 <= num_threads <= MAX_THREADS:
        raise ArgumentError(f"num_threads is {num_threads}: expected a number from 0, the default, to {MAX_THREADS}")
    return int(num_threads)


def checked_chunk(chunk: int) -> int:
    """A number of steps that the C API can be given."""
    if not 0 <= chunk <= 4096:
        raise ArgumentError(f"chunk is {chunk}: expected a number from 0 to 4096")
    return int(chunk)


def pack_tensors(views: Mapping[str, View]) -> tuple[Any, int]:
    """The C array of named tensors. ctypes keeps what it points at alive with it."""
    array = (_library.Tensor * len(views))()
    for slot, (name, found) in zip(array, views.items()):
        tensor = _library.DLTensor()
        found.fill(tensor)
        slot.name, slot.tensor = name.encode(), ctypes.pointer(tensor)
    return array, len(views)


def pack_params(params: Mapping[str, float]) -> tuple[Any, int]:
    """The C array of named numbers."""
    return (_library.Param * len(params))(*[_library.Param(n.encode(), v) for n, v in params.items()]), len(params)


def pack_sizes(sizes: Mapping[str, int]) -> tuple[Any, int]:
    """The C array of named sizes."""
    return (_library.Size * len(sizes))(*[_library.Size(n.encode(), v) for n, v in sizes.items()]), len(sizes)
