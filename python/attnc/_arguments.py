# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tensors and numbers as the extension takes them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._tensors import View
from .errors import ArgumentError

MAX_THREADS = 4096


def checked_threads(num_threads: int) -> int:
    """A number of threads that the C API can be given."""
    if not 0 <= num_threads <= MAX_THREADS:
        raise ArgumentError(f"num_threads is {num_threads}: expected a number from 0, the default, to {MAX_THREADS}")
    return int(num_threads)


def checked_chunk(chunk: int) -> int:
    """A number of steps that the C API can be given."""
    if not 0 <= chunk <= 4096:
        raise ArgumentError(f"chunk is {chunk}: expected a number from 0 to 4096")
    return int(chunk)


def pack_tensors(views: Mapping[str, View]) -> list[Any]:
    """Named tensors; the views must live until they have been used."""
    return [found.packed(name) for name, found in views.items()]
