# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs: parsed once, compiled for what they are called with, and their definition in float64."""
from __future__ import annotations

import ctypes
import json
import os
import pathlib
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _library
from ._kernel import (Kernel, checked_threads, device_name, dtype_name, output_views, pack_params, pack_tensors, results,
                      row_alignment_of, stream_handle)
from ._signature import Param, Signature, TensorDecl, device_text, number, shape_of, sizes_of, split, views_of
from ._tensors import CPU, view
from .errors import ArgumentError, SpecError


class Spec:
    """An attention variant, parsed and checked.

    text:    `.attn` source (docs/Language.md) or MLIR of the attn dialect
    name:    what error messages call it; a suffix `.mlir` or `.attn` says which of the two it is
    variant: which variant of a text that declares several

    Raises SpecError, whose text has file:line:column, the line and a caret for each error.
    """

    def __init__(self, text: str, *, name: str = "<spec>", variant: str | None = None) -> None:
        source = text.encode("utf-8", "surrogateescape")
        if b"\0" in source:
            raise SpecError(f"{name}: error: the text has a NUL character")
        if "\0" in name or "\0" in (variant or ""):
            raise SpecError("the name of a spec or variant has a NUL character")
        self._source = (source, os.fsencode(name), (variant or "").encode())
        self._text, self._variant = text, variant
        library = _library.load()
        handle = ctypes.c_void_p()
        _library.check(library.attnc_spec_parse(*self._source, ctypes.byref(handle)))
        self._handle = handle
        weakref.finalize(self, library.attnc_spec_destroy, handle).atexit = False
        self._signature = Signature.parse(library.attnc_spec_signature_json(handle).decode())
        self._kernels: dict[tuple[Any, ...], Kernel] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return _restore, (self._text, os.fsdecode(self._source[1]), self._variant)

    def __repr__(self) -> str:
        inputs = ", ".join(str(t) for name, t in self.inputs.items() if name not in "QKV")
        params = ", ".join(f"{'const ' if p.const else ''}{p.name}: {p.type} = {p.default}" for p in self.params.values())
        return f"<attnc.Spec {self.name}({params}){' with ' + inputs if inputs else ''}>"

    @property
    def name(self) -> str:
        """Name of the variant."""
        return self._signature.name

    @property
    def text(self) -> str:
        """The source."""
        return self._text

    @property
    def params(self) -> Mapping[str, Param]:
        """Parameters by name: type, whether const, default."""
        return self._signature.params

    @property
    def inputs(self) -> Mapping[str, TensorDecl]:
        """Tensors that the spec takes, by name, Q, K and V first: dtype and axes."""
        return self._signature.inputs

    @property
    def outputs(self) -> Mapping[str, TensorDecl]:
        """Tensors that the spec yields, by name: `out`, and `lse` if the spec says `output lse`."""
        return self._signature.outputs

    def compile(self, *, dtype: Any = "f16", head_dim: int = 64, v_head_dim: int | None = None, device: Any = "host",
                row_alignment: int = 16, cache: bool = True, num_threads: int = 0, **const_params: float) -> Kernel:
        """A kernel of its own, ahead of the first call. `Spec.__call__` does this by itself and keeps the result.

        dtype:         of Q, K, V and out: f32, f16 or bf16, or NumPy's or PyTorch's dtype of that name
        head_dim:      size of d; v_head_dim: size of e, head_dim if not given
        device:        "host" (also "cpu"), "cuda", "cuda:N" or a torch.device
        row_alignment: bytes that every row of Q, K, V and out starts at a multiple of: a power of two from
                       the size of an element to 16
        cache:         False neither reads nor writes the code cache on disk
        num_threads:   host threads, at most 4096; 0 is ATTNC_NUM_THREADS, or one for each CPU
        const_params:  values of const parameters

        Raises ArgumentError, CompileError (cannot be compiled for the target) or DeviceError.
        """
        if head_dim < 1 or (v_head_dim is not None and v_head_dim < 1):
            raise ArgumentError(f"head dimensions must be at least 1, found {head_dim} and {v_head_dim}")
        if max(head_dim, v_head_dim or 0) > 2 ** 31 - 1:
            raise ArgumentError(f"head dimensions must be at most 2147483647, found {head_dim} and {v_head_dim}")
        if row_alignment not in (2, 4, 8, 16):
            raise ArgumentError(f"row_alignment must be 2, 4, 8 or 16, found {row_alignment}")
        for name in const_params:
            if name not in self.params or not self.params[name].const:
                raise ArgumentError(f"`{name}` is not a const parameter of `{self.name}`")
        const_params = {name: number(value) for name, value in const_params.items()}
        return Kernel(self._signature, self._source, dtype=dtype_name(dtype), head_dim=head_dim,
                      v_head_dim=v_head_dim or head_dim, device=device_name(device), row_alignment=row_alignment,
                      const_params=const_params, cache=cache, num_threads=num_threads)

    def __call__(self, q: Any, k: Any, v: Any, /, *, out: Any = None, lse: Any = None, return_lse: bool = False,
                 stream: Any = None, named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """Computes the variant on the device that the tensors are on.

        q: [b, h, q, d], k: [b, g, kv, d], v: [b, g, kv, e], of one dtype: float32, float16 or bfloat16 (NumPy: uint16
        bits). h is a multiple of g. Each is a NumPy array, a PyTorch tensor or a DLPack object, with any strides but
        for a last stride of 1. Nothing is copied.

        inputs_and_params: the spec's inputs as tensors and its parameters as numbers, by name. Parameters that are
            not given have their defaults. `named` is for names that Python or this call has taken.
        out: [b, h, q, e] in q's dtype, lse: [b, h, q] in float32: where to write; else they are allocated like q. Their
            elements share no memory with each other or with an input.
        return_lse: return (out, lse), if the spec says `output lse`: natural logarithm, -inf for a row without a key.
        stream: a CUDA stream (its handle, or a torch.cuda.Stream); PyTorch's current one if not given. The call does
            not wait for the GPU. On the host it returns when the result is there.

        The first call with a new dtype, head dimension, device, row alignment or const parameter compiles a kernel.
        Raises ArgumentError (nothing is written then), CompileError or DeviceError.
        """
        signature = self._signature
        tensors, params = split(signature, (q, k, v), {**(named or {}), **inputs_and_params})
        if return_lse and "lse" not in signature.outputs:
            results(signature, {}, None, None, True)
        handle = stream_handle(stream, tensors)
        views = views_of(signature, tensors, handle)
        outputs = output_views(signature, views, out, lse, handle)
        every = {**views, **outputs}
        consts = {name: value for name, value in params.items() if signature.params[name].const}
        kernel = self._kernel(every, consts)
        kernel._launch(every, {n: value for n, value in params.items() if n not in consts}, handle)
        return results(signature, outputs, out, lse, return_lse)

    def _kernel(self, views: Mapping[str, Any], consts: Mapping[str, float]) -> Kernel:
        q, v = views["Q"], views["V"]
        key = (q.dtype, q.shape[3], v.shape[3], device_text(q), row_alignment_of(views), tuple(sorted(consts.items())))
        kernel = self._kernels.get(key)
        if kernel is None:
            with self._lock:  # threads that need the same kernel wait for the first one's
                kernel = self._kernels.get(key)
                if kernel is None:
                    kernel = self._kernels[key] = Kernel(
                        self._signature, self._source, dtype=key[0], head_dim=key[1], v_head_dim=key[2], device=key[3],
                        row_alignment=key[4], const_params=consts)
        return kernel

    def reference(self, q: Any, k: Any, v: Any, /, *, return_lse: bool = False, num_threads: int = 0,
                  named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """The definition of the variant, in float64: slow, and what kernels are held against.

        Takes what `__call__` takes, in host memory and in any strides. Returns `out`, or `(out, lse)`, as float64 NumPy
        arrays. Raises ArgumentError, and OutOfMemoryError for tensors that are larger than the memory that is left.
        """
        signature = self._signature
        tensors, params = split(signature, (q, k, v), {**(named or {}), **inputs_and_params})
        if return_lse and "lse" not in signature.outputs:
            results(signature, {}, None, None, True)
        views = views_of(signature, tensors, None)
        for name, found in views.items():
            if found.device[0] != CPU:
                raise ArgumentError(f"`{name}` is on {device_text(found)}, the reference runs on the host")
        sizes = sizes_of(signature, views)
        arrays = {name: np.empty(shape_of(decl, sizes)) for name, decl in signature.outputs.items()}
        _library.check(_library.load().attnc_spec_reference(
            self._handle, *pack_tensors(views), *pack_params(params),
            *pack_tensors({name: view(name, array) for name, array in arrays.items()}), checked_threads(num_threads)))
        return (arrays["out"], arrays["lse"]) if return_lse else arrays["out"]


    def evaluate(self, inputs: Mapping[str, Any], params: Mapping[str, float] | None = None, *,
                 num_threads: int = 0) -> dict[str, np.ndarray]:
        """Every output of the spec by its definition, in float64: stages, selections and recurrences included.

        inputs: a tensor in host memory for each of `Spec.inputs`, in any strides; params: numbers by name, the rest have
        their defaults; num_threads 0 takes all CPUs. Ints and conditions are whole numbers in the result.
        Raises ArgumentError, and OutOfMemoryError for tensors that are larger than the memory that is left.
        """
        signature, given = self._signature, dict(params or {})
        for name in inputs:
            if name not in signature.inputs:
                raise ArgumentError(f"`{name}` is not an input of `{self.name}`; it has {', '.join(signature.inputs)}")
        for name in given:
            if name not in signature.params:
                raise ArgumentError(f"`{name}` is not a parameter of `{self.name}`")
        for name, decl in signature.inputs.items():
            if inputs.get(name) is None:
                raise ArgumentError(f"input `{decl}` is not bound")
        views = views_of(signature, inputs, None)
        for name, found in views.items():
            if found.device[0] != CPU:
                raise ArgumentError(f"`{name}` is on {device_text(found)}, the reference runs on the host")
        library, text = _library.load(), ctypes.c_char_p()
        arguments = (*pack_tensors(views), *pack_params({name: number(value) for name, value in given.items()}))
        _library.check(library.attnc_spec_output_shapes_json(self._handle, *arguments, ctypes.byref(text)))
        arrays = {name: np.empty(shape) for name, shape in json.loads(text.value.decode()).items()}
        _library.check(library.attnc_spec_reference(
            self._handle, *arguments, *pack_tensors({name: view(name, array) for name, array in arrays.items()}),
            checked_threads(num_threads)))
        return arrays


def _restore(text: str, name: str, variant: str | None) -> Spec:
    return Spec(text, name=name, variant=variant)


def load(path: str | os.PathLike[str], *, variant: str | None = None) -> Spec:
    """Reads a spec from a file, or from the gallery if `path` is the name of one there: `load("alibi")`.

    Raises SpecError, and OSError if the file cannot be read.
    """
    text = os.fspath(path)
    file = pathlib.Path(text)
    if not file.exists() and text.isidentifier():
        file = specs().get(text, file)
    return Spec(file.read_bytes().decode("utf-8", "surrogateescape"), name=str(file), variant=variant)


def specs() -> dict[str, pathlib.Path]:
    """The gallery: the file of each spec that is compiled, by name, sorted. Empty if the package was installed without it."""
    package = pathlib.Path(__file__).resolve().parent
    folder = next((f for f in (package / "specs", package.parents[1] / "specs") if f.is_dir()), None)
    return {file.stem: file for file in sorted(folder.glob("*.attn"))} if folder else {}
