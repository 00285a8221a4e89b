# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A compiled variant on a device, and how it is launched."""
from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _library
from ._signature import Signature, device_text, shape_of, sizes_of, split, views_of
from ._tensors import BYTES, FROM_NUMPY, View, allocate, is_torch, view
from .errors import ArgumentError

MAX_THREADS = 4096


def checked_threads(num_threads: int) -> int:
    """A number of threads that the C API can be given: ctypes would cut off what does not fit."""
    if not 0 <= num_threads <= MAX_THREADS:
        raise ArgumentError(f"num_threads is {num_threads}: expected a number from 0, the default, to {MAX_THREADS}")
    return int(num_threads)


def dtype_name(dtype: Any) -> str:
    """"f32", "f16" or "bf16" from our name, NumPy's or PyTorch's."""
    text = dtype if isinstance(dtype, str) else str(dtype).removeprefix("torch.")
    if text not in ("f32", "f16", "bf16") and text not in FROM_NUMPY:
        try:
            text = np.dtype(dtype).name
        except TypeError:
            pass
    name = FROM_NUMPY.get(text, text)
    if name not in ("f32", "f16", "bf16"):
        raise ArgumentError(f"dtype must be f32, f16 or bf16, found {dtype}")
    return name


def device_name(device: Any) -> str:
    """"host" or "cuda:N" from a string or a torch.device; "cuda" is PyTorch's current device where it has one."""
    text = str(device)
    if "\0" in text:
        raise ArgumentError(f"unknown device {text!r}: expected host, cuda or cuda:N")
    if text in ("host", "cpu"):
        return "host"
    if text == "cuda":
        torch = sys.modules.get("torch")
        return f"cuda:{torch.cuda.current_device() if torch and torch.cuda.is_initialized() else 0}"
    return text


def stream_handle(stream: Any, tensors: Mapping[str, Any]) -> int | None:
    """The CUstream of a launch: the given one, else PyTorch's current one if the tensors are PyTorch's on a GPU."""
    if stream is not None:
        return int(getattr(stream, "cuda_stream", stream))
    for value in tensors.values():
        if is_torch(value) and value.device.type == "cuda":
            return int(sys.modules["torch"].cuda.current_stream(value.device).cuda_stream)
    return None


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


def output_views(signature: Signature, views: Mapping[str, View], out: Any, lse: Any,
                 stream: int | None) -> dict[str, View]:
    """The memory of every output: the caller's, or new."""
    given = {"out": out, "lse": lse}
    if lse is not None and "lse" not in signature.outputs:
        raise ArgumentError(f"`{signature.name}` has no output `lse`; add the statement `output lse` to the spec")
    first = next(iter(views.values()))
    sizes = sizes_of(signature, views)
    result = {}
    for name, decl in signature.outputs.items():
        dtype = decl.dtype or first.dtype
        value = given.get(name)
        if value is None:
            value = allocate(first, dtype, shape_of(decl, sizes))
        found = result[name] = view(name, value, decl.dtype, stream)
        if found.shape != shape_of(decl, sizes):
            raise ArgumentError(f"output `{name}` must have shape {list(shape_of(decl, sizes))}, found {list(found.shape)}")
        if found.dtype != dtype:
            raise ArgumentError(f"output `{name}` must have dtype {dtype}, found {found.dtype}")
        if found.device != first.device:
            raise ArgumentError(f"output `{name}` is on {device_text(found)}, the inputs on {device_text(first)}")
        if not found.writable:
            raise ArgumentError(f"output `{name}` is read-only")
    return result


def row_alignment_of(views: Mapping[str, View]) -> int:
    """The alignment, in bytes, that all rows of Q, K, V and out have; at least an element's size, which the launch
    checks with a message of its own."""
    rows = [views[name] for name in ("Q", "K", "V", "out")]
    return max(min(found.alignment() for found in rows), BYTES[rows[0].dtype])


class Kernel:
    """A spec compiled for a dtype, head dimensions and a device. Made by `Spec.compile`; may be called from several
    threads at once, and on the host in a forked process."""

    def __init__(self, signature: Signature, source: tuple[bytes, bytes, bytes], *, dtype: str, head_dim: int,
                 v_head_dim: int, device: str, row_alignment: int, const_params: Mapping[str, float], cache: bool = True,
                 num_threads: int = 0) -> None:
        text, name, variant = source
        consts, count = pack_params(const_params)
        options = _library.CompileOptions(
            device=device.encode(), dtype=dtype.encode(), variant=variant, head_dim=head_dim, v_head_dim=v_head_dim,
            row_alignment=row_alignment, const_params=consts, num_const_params=count, no_cache=not cache,
            num_threads=checked_threads(num_threads))
        handle = ctypes.c_void_p()
        library = _library.load()
        _library.check(library.attnc_kernel_compile(text, name, ctypes.byref(options), ctypes.byref(handle)))
        self._handle, self._signature = handle, signature
        self.dtype, self.head_dim, self.v_head_dim = dtype, head_dim, v_head_dim
        self.device, self.row_alignment, self.const_params = device, row_alignment, dict(const_params)
        # Not at exit: the process gives everything back, in an order of its own.
        weakref.finalize(self, _release, handle, device).atexit = False

    def __repr__(self) -> str:
        return (f"<attnc.Kernel {self._signature.name} {self.dtype} head_dim={self.head_dim}"
                f" v_head_dim={self.v_head_dim} on {self.device}>")

    def __call__(self, q: Any, k: Any, v: Any, /, *, out: Any = None, lse: Any = None, return_lse: bool = False,
                 stream: Any = None, named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """As `Spec.__call__`, with the tensors that the kernel was compiled for; const parameters are fixed."""
        tensors, params = split(self._signature, (q, k, v), {**(named or {}), **inputs_and_params})
        for name in params:
            if self._signature.params[name].const:
                raise ArgumentError(f"parameter `{name}` is const: it is fixed when the kernel is compiled")
        handle = stream_handle(stream, tensors)
        views = views_of(self._signature, tensors, handle)
        outputs = output_views(self._signature, views, out, lse, handle)
        # A GPU would lose its context over this, so it is not left to the launch.
        if (found := row_alignment_of({**views, **outputs})) < self.row_alignment:
            raise ArgumentError(f"every row of Q, K, V and out must start at a multiple of {self.row_alignment} bytes, found "
                                f"{found}; compile with row_alignment={found}")
        self._launch({**views, **outputs}, params, handle)
        return results(self._signature, outputs, out, lse, return_lse)

    def _launch(self, views: Mapping[str, View], params: Mapping[str, float], stream: int | None) -> None:
        found = device_text(next(iter(views.values())))
        if found != self.device:
            raise ArgumentError(f"the tensors are on {found}, the kernel on {self.device}")
        tensors, count = pack_tensors(views)
        numbers, num_params = pack_params(params)
        _library.check(_library.load().attnc_kernel_launch(self._handle, tensors, count, numbers, num_params, stream))


def results(signature: Signature, outputs: Mapping[str, View], out: Any, lse: Any, return_lse: bool) -> Any:
    """`out`, or `(out, lse)`: the caller's own objects where given."""
    if not return_lse:
        return outputs["out"].owner if out is None else out
    if "lse" not in outputs:
        raise ArgumentError(f"`{signature.name}` has no output `lse`; add the statement `output lse` to the spec")
    return (outputs["out"].owner if out is None else out, outputs["lse"].owner if lse is None else lse)


def _release(handle: ctypes.c_void_p, device: str) -> None:
    """Unloads a kernel. One that may still be running on a GPU is waited for; if that cannot be, it stays loaded."""
    if device != "host":
        try:
            sys.modules["torch"].cuda.synchronize(device)
        except Exception:  # no torch, or a graph is being captured: a finalizer must not raise
            return
    _library.load().attnc_kernel_destroy(handle)
