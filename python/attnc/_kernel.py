# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A compiled variant on a device, and how it is launched."""
from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _library
from ._arguments import checked_chunk, checked_threads, pack_tensors
from ._calls import calls_of, keep
from ._definition import Definition
from ._signature import QKV, Signature, device_text, operand_dtype, split, views_of
from ._tensors import BYTES, FROM_NUMPY, View, allocate, is_torch, memory_block, view
from .errors import ArgumentError


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


def output_views(definition: Definition, views: Mapping[str, View], params: Mapping[str, float], given: Mapping[str, Any],
                 stream: int | None) -> dict[str, View]:
    """The memory of every output: the caller's, or new."""
    signature = definition.signature
    for name in given:
        if name not in signature.outputs:
            raise ArgumentError(no_output(signature, name))
    first = next(iter(views.values()))
    operand = operand_dtype(signature, views)
    shapes = definition.output_shapes(views, params)
    result = {}
    for name, decl in signature.outputs.items():
        dtype = decl.dtype or operand
        value = given.get(name)
        if value is None:
            value = allocate(first, dtype, shapes[name])
        found = result[name] = view(name, value, decl.dtype, stream)
        if found.dtype == "uint8" and dtype == "bool":
            found.dtype = "bool"
        if found.shape != shapes[name]:
            raise ArgumentError(f"output `{name}` must have shape {list(shapes[name])}, found {list(found.shape)}")
        if found.dtype != dtype:
            raise ArgumentError(f"output `{name}` must have dtype {dtype}, found {found.dtype}")
        if found.device != first.device:
            raise ArgumentError(f"output `{name}` is on {device_text(found)}, the inputs on {device_text(first)}")
        if not found.writable:
            raise ArgumentError(f"output `{name}` is read-only")
    return result


def no_output(signature: Signature, name: str) -> str:
    """The message for an output that a spec does not have."""
    if name == "lse":
        return f"`{signature.name}` has no output `lse`; add the statement `output lse` to the spec"
    return f"`{name}` is not an output of `{signature.name}`; it has {', '.join(signature.outputs)}"


def given_outputs(out: Any, lse: Any, outputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The memory that a call names for outputs, by name."""
    given = {name: value for name, value in (("out", out), ("lse", lse)) if value is not None}
    for name, value in (outputs or {}).items():
        if name in given:
            raise ArgumentError(f"output `{name}` is given twice")
        given[name] = value
    return given


def row_alignment_of(signature: Signature, views: Mapping[str, View]) -> int:
    """The alignment, in bytes, that all rows of Q, K, V and out have, and of what else shares their dtype; at least an
    element's size, which the launch checks with a message of its own."""
    rows = [found for name, found in views.items() if name in (*QKV, "out") or
            name in signature.inputs and signature.inputs[name].dtype is None]
    return max(min((found.alignment() for found in rows), default=16), BYTES[operand_dtype(signature, views)])


class Kernel:
    """A spec compiled for a dtype, head dimensions and a device. Made by `Spec.compile`; may be called from several
    threads at once, and on the host in a forked process."""

    def __init__(self, definition: Definition, *, dtype: str, head_dim: int, v_head_dim: int, device: str, row_alignment: int,
                 const_params: Mapping[str, float], cache: bool = True, num_threads: int = 0, chunk: int = 0) -> None:
        text, name, variant = definition.source
        # One that may still run on a GPU is waited for before its code is unloaded.
        before_release = None if device == "host" else functools.partial(_wait, device)
        self._handle = _library.load().Kernel(
            text, name, device.encode(), dtype.encode(), variant, head_dim, v_head_dim, row_alignment, dict(const_params),
            not cache, checked_threads(num_threads), checked_chunk(chunk), before_release)
        self._definition, self._signature = definition, definition.signature
        self._calls = calls_of(definition.signature)
        self.dtype, self.head_dim, self.v_head_dim = dtype, head_dim, v_head_dim
        self.device, self.row_alignment, self.const_params = device, row_alignment, dict(const_params)

    def __repr__(self) -> str:
        return (f"<attnc.Kernel {self._signature.name} {self.dtype} head_dim={self.head_dim}"
                f" v_head_dim={self.v_head_dim} on {self.device}>")

    def __call__(self, *tensors: Any, out: Any = None, lse: Any = None, outputs: Mapping[str, Any] | None = None,
                 return_lse: bool = False, return_outputs: bool = False, workspace: Any = None, stream: Any = None,
                 named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """As `Spec.__call__`, with the tensors that the kernel was compiled for; const parameters are fixed."""
        if workspace is None and stream is None and named is None:
            found = self._calls.call(tensors, inputs_and_params, out, lse, outputs, return_lse, return_outputs)
            if found is not NotImplemented:
                return found
        inputs, params = split(self._signature, tensors, {**(named or {}), **inputs_and_params})
        for name in params:
            if self._signature.params[name].const:
                raise ArgumentError(f"parameter `{name}` is const: it is fixed when the kernel is compiled")
        given = given_outputs(out, lse, outputs)
        check_results(self._signature, return_lse)
        handle = stream_handle(stream, inputs)
        views = views_of(self._signature, inputs, handle)
        written = output_views(self._definition, views, {**self.const_params, **params}, given, handle)
        # A GPU would lose its context over this, so it is not left to the launch.
        if (found := row_alignment_of(self._signature, {**views, **written})) < self.row_alignment:
            raise ArgumentError(f"every row of Q, K, V and out must start at a multiple of {self.row_alignment} bytes, found "
                                f"{found}; compile with row_alignment={found}")
        self._launch({**views, **written}, params, handle, workspace)
        if stream is None and (workspace is None or callable(workspace)):
            keep(self._calls, self, inputs, views, given, written, params)
        return results(written, given, return_lse, return_outputs)

    def workspace_size(self, **sizes: int) -> int:
        """Bytes of workspace that a call needs whose index spaces have these sizes: `workspace_size(b=1, h=8, q=128, kv=128)`.

        0 for a program of one kernel. Sizes that it does not depend on need not be given. Parameters have their defaults.
        """
        return int(self._handle.workspace_size(sizes))

    def _launch(self, views: Mapping[str, View], params: Mapping[str, float], stream: int | None, workspace: Any) -> None:
        found = device_text(next(iter(views.values())))
        if found != self.device:
            raise ArgumentError(f"the tensors are on {found}, the kernel on {self.device}")
        if callable(workspace):
            needed = self._workspace_of_launch(views, params)
            workspace = workspace(needed + 255) if needed else None
        pointer, size = memory_block(workspace, self.device, stream) if workspace is not None else (None, 0)
        self._handle.launch(pack_tensors(views), dict(params), pointer, size, stream)

    def _workspace_of_launch(self, views: Mapping[str, View], params: Mapping[str, float]) -> int:
        """Bytes that a launch needs with these tensors and parameters."""
        return int(self._handle.launch_workspace_size(pack_tensors(views), dict(params))) if self._has_workspace else 0

    @functools.cached_property
    def _has_workspace(self) -> bool:
        """Whether there are sizes for which a launch needs workspace: those of a program of several kernels depend on some."""
        try:
            return self.workspace_size() > 0
        except ArgumentError:
            return True


def check_results(signature: Signature, return_lse: bool) -> None:
    """Says so if what a call asks for is no output."""
    for name in ("out", "lse") if return_lse else ():
        if name not in signature.outputs:
            raise ArgumentError(no_output(signature, name))


def results(outputs: Mapping[str, View], given: Mapping[str, Any], return_lse: bool, return_outputs: bool) -> Any:
    """What a call returns, the caller's own objects where given: all outputs by name if that is asked for; `out`, or
    `(out, lse)`; and of a spec without `out` its only output, or all by name."""
    found = {name: given.get(name, output.owner) for name, output in outputs.items()}
    if return_outputs:
        return found
    if return_lse:
        return found["out"], found["lse"]
    if "out" in found:
        return found["out"]
    return next(iter(found.values())) if len(found) == 1 else found


def _wait(device: str) -> bool:
    """Waits for what runs on a GPU; False if that cannot be."""
    try:
        sys.modules["torch"].cuda.synchronize(device)
    except Exception:  # no torch, or a graph is being captured: nothing may be raised here
        return False
    return True
