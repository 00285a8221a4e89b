# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attnc: a compiler for attention variants.

    import attnc
    spec = attnc.load("sliding_window")
    out = spec(q, k, v, window=128)

Tensors are NumPy arrays, PyTorch tensors (CPU or CUDA) or DLPack objects; nothing is copied. See docs/Python.md.
"""
import importlib
from typing import Any as _Any

from ._kernel import Kernel
from ._library import VERSION as __version__
from ._library import load as _load_library
from ._signature import Param, TensorDecl
from ._spec import Spec, load, specs
from ._tensors import from_bf16, to_bf16
from .errors import (ArgumentError, AttncError, CompileError, DeviceError, GradientError, LibraryError,
                     OutOfMemoryError, SpecError, TraceError)

__all__ = ["ArgumentError", "AttncError", "CompileError", "DeviceError", "GradientError", "Kernel",
           "LibraryError", "OutOfMemoryError", "Param", "Spec", "SpecError", "TensorDecl", "TraceError", "from_bf16", "library_version",
           "load", "specs", "to_bf16"]


def library_version() -> str:
    """Version of the compiler, with LLVM's: "attnc 0.1.0 (LLVM 22.1.8)"."""
    return str(_load_library().version())


# What needs PyTorch is imported when it is first asked for.
_WITH_TORCH = {name: "flex" for name in ("AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "flex_attention",
                                         "from_flex", "noop_mask", "or_masks")} | {"varlen": "_varlen"}


def __getattr__(name: str) -> _Any:
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(f".{_WITH_TORCH[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
