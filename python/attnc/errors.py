# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What can go wrong. The text of an error is the C API's wherever it found the fault."""
from __future__ import annotations

__all__ = ["ArgumentError", "AttncError", "CompileError", "DeviceError", "GradientError", "LibraryError",
           "OutOfMemoryError", "SpecError", "TraceError"]


class AttncError(Exception):
    """Base of all errors of this package."""


class SpecError(AttncError, ValueError):
    """The spec has errors; the text has file:line:column, the line, and a caret."""


class TraceError(SpecError):
    """A Python function that cannot be made a spec; the text has file:line of the function."""


class ArgumentError(AttncError, ValueError):
    """A tensor or a parameter that does not fit. Nothing was written."""


class CompileError(AttncError, RuntimeError):
    """A correct spec that this version cannot compile for the target."""


class GradientError(AttncError, NotImplementedError):
    """A gradient that this version cannot compute. None is ever left out or guessed."""


class DeviceError(AttncError, RuntimeError):
    """No driver, no device, or an error of the driver."""


class OutOfMemoryError(AttncError, MemoryError):
    """What a call needs is more than the memory that is left. It was found out before any was taken."""


class LibraryError(AttncError, ImportError):
    """libattnc.so was not found, or is another version's."""
