# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs: parsed once, compiled for what they are called with, and their definition in float64."""
from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _show
from ._calls import calls_of, keep
from ._definition import Definition
from ._kernel import (Kernel, check_results, device_name, dtype_name, given_outputs, output_views, results, row_alignment_of,
                      stream_handle)
from ._signature import QKV, Param, TensorDecl, device_text, number, operand_dtype, sizes_of, split, views_of
from ._show import Drawing
from ._tensors import CPU, View, view
from .errors import ArgumentError


class Spec:
    """An attention variant, parsed and checked.

    text:    `.attn` source (docs/Language.md) or MLIR of the attn dialect
    name:    what error messages call it; a suffix `.mlir` or `.attn` says which of the two it is
    variant: which variant of a text that declares several

    Raises SpecError, whose text has file:line:column, the line and a caret for each error.
    """

    def __init__(self, text: str, *, name: str = "<spec>", variant: str | None = None) -> None:
        self._definition = Definition(text, name, variant)
        self._signature = self._definition.signature
        self._kernels: dict[tuple[Any, ...], Kernel] = {}
        self._calls = calls_of(self._signature)
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return _restore, (self.text, os.fsdecode(self._definition.source[1]), self._definition.variant)

    def __repr__(self) -> str:
        inputs = ", ".join(str(t) for name, t in self.inputs.items() if name not in QKV)
        params = ", ".join(f"{'const ' if p.const else ''}{p.name}: {p.type} = {p.default}" for p in self.params.values())
        return f"<attnc.Spec {self.name}({params}){' with ' + inputs if inputs else ''}>"

    @property
    def name(self) -> str:
        """Name of the variant."""
        return self._signature.name

    @property
    def text(self) -> str:
        """The source."""
        return self._definition.text

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
        """Tensors that the spec yields, by name, `out` first where it has one: dtype and axes."""
        return self._signature.outputs

    def compile(self, *, dtype: Any = "f16", head_dim: int = 64, v_head_dim: int | None = None, device: Any = "host",
                row_alignment: int = 16, cache: bool = True, num_threads: int = 0, chunk: int = 0, **const_params: float) -> Kernel:
        """A kernel of its own, ahead of the first call. `Spec.__call__` does this by itself and keeps the result.

        dtype:         of Q, K, V and out: f32, f16 or bf16, or NumPy's or PyTorch's dtype of that name
        head_dim:      size of d; v_head_dim: size of e, head_dim if not given
        device:        "host" (also "cpu"), "cuda", "cuda:N" or a torch.device
        row_alignment: bytes that every row of Q, K, V and out starts at a multiple of: a power of two from
                       the size of an element to 16
        cache:         False neither reads nor writes the code cache on disk
        num_threads:   host threads, at most 4096; 0 is ATTNC_NUM_THREADS, or one for each CPU
        chunk:         steps that a recurrence takes at a time where its form allows it: less than 16, or a multiple of 16;
                       0 is step by step, which is faster for few steps. `Spec.__call__` takes 64 where there are as many
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
        return Kernel(self._definition, dtype=dtype_name(dtype), head_dim=head_dim,
                      v_head_dim=v_head_dim or head_dim, device=device_name(device), row_alignment=row_alignment,
                      const_params=const_params, cache=cache, num_threads=num_threads, chunk=chunk)

    def __call__(self, *tensors: Any, out: Any = None, lse: Any = None, outputs: Mapping[str, Any] | None = None,
                 return_lse: bool = False, return_outputs: bool = False, workspace: Any = None, stream: Any = None,
                 named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """Computes the variant on the device that the tensors are on.

        tensors: the first of `Spec.inputs`, by position. Of an attention: q [b, h, q, d], k [b, g, kv, d], v [b, g, kv, e], of one
            dtype: float32, float16 or bfloat16 (NumPy: uint16 bits). h is a multiple of g. Each is a NumPy array, a PyTorch
            tensor or a DLPack object, with any strides but for a last stride of 1. Nothing is copied.
        inputs_and_params: the spec's other inputs as tensors and its parameters as numbers, by name (`Q=`, `K=` and `V=` are
            names too). Parameters that are not given have their defaults. `named` is for names that Python or this call has
            taken.
        out, lse: where to write [b, h, q, e] in q's dtype and [b, h, q] in float32; `outputs`: the same for any output, by name.
            What is not given is allocated like q. Elements of outputs share no memory with each other or with an input.
        return_lse: return (out, lse), if the spec says `output lse`: natural logarithm, -inf for a row without a key.
        return_outputs: return every output, as a dict by name. Without either, the result is `out`; of a spec that has none,
            its only output, or the dict.
        workspace: memory for what kernels of one program give each other, a tensor of bytes (uint8) on the device;
            `Kernel.workspace_size` says how large, and it begins at a multiple of 256 bytes: with 255 bytes more, a tensor may
            lie anywhere. A function is called with the number of bytes that the tensor must have, if any are needed. If not
            given, the library has memory of its own.
        stream: a CUDA stream (its handle, or a torch.cuda.Stream); PyTorch's current one if not given. The call does
            not wait for the GPU. On the host it returns when the result is there.

        The first call with a new dtype, head dimension, device, row alignment or const parameter compiles a kernel; a
        recurrence has one for less than 64 steps and another one for more (`chunk` of `Spec.compile`).
        Raises ArgumentError (nothing is written then), CompileError or DeviceError.
        """
        if workspace is None and stream is None and named is None:
            found = self._calls.call(tensors, inputs_and_params, out, lse, outputs, return_lse, return_outputs)
            if found is not NotImplemented:
                return found
        signature = self._signature
        inputs, params = split(signature, tensors, {**(named or {}), **inputs_and_params})
        given = given_outputs(out, lse, outputs)
        check_results(signature, return_lse)
        handle = stream_handle(stream, inputs)
        views = views_of(signature, inputs, handle)
        written = output_views(self._definition, views, params, given, handle)
        consts = {name: value for name, value in params.items() if signature.params[name].const}
        kernel = self._kernel(views, written, consts)
        kernel._launch({**views, **written}, {n: value for n, value in params.items() if n not in consts}, handle, workspace)
        if stream is None and (workspace is None or callable(workspace)):
            keep(self._calls, kernel, inputs, views, given, written, params)
        return results(written, given, return_lse, return_outputs)

    def _kernel(self, views: Mapping[str, View], written: Mapping[str, View], consts: Mapping[str, float]) -> Kernel:
        sizes = sizes_of(self._signature, views)
        head_dim = sizes.get("d", sizes.get("e", 64))  # of a spec with neither it changes nothing
        key = (operand_dtype(self._signature, views), head_dim, sizes.get("e", head_dim),
               device_text(next(iter(views.values()))), row_alignment_of(self._signature, {**views, **written}),
               tuple(sorted(consts.items())), self._signature.chunk_for(sizes))
        kernel = self._kernels.get(key)
        if kernel is None:
            with self._lock:  # threads that need the same kernel wait for the first one's
                kernel = self._kernels.get(key)
                if kernel is None:
                    kernel = self._kernels[key] = Kernel(
                        self._definition, dtype=key[0], head_dim=key[1], v_head_dim=key[2], device=key[3],
                        row_alignment=key[4], const_params=consts, chunk=key[6])
        return kernel

    def explain(self, *, target: str = "host", dtype: Any = "f32", batch: int | None = None, heads: int | None = None,
                kv_heads: int | None = None, q_len: int | None = None, kv_len: int | None = None, head_dim: int | None = None,
                v_head_dim: int | None = None, chunk: int | None = None, **params: float) -> str:
        """What the compiler decides for sizes and a target, and why: the text of `attnc explain` (whose defaults these are).

        target: host, sm_80, sm_86, sm_89, sm_90a, sm_100a or sm_120a. Raises ArgumentError.
        """
        options = {"target": target, "batch": batch, "heads": heads, "kv_heads": kv_heads, "q_len": q_len, "kv_len": kv_len,
                   "head_dim": head_dim, "v_head_dim": v_head_dim, "chunk": chunk}
        return _show.explain(self, options, dtype, params)

    def show(self, *, head: int = 0, entry: int = 0, inputs: Mapping[str, Any] | None = None, seed: int = 0, target: str | None = None,
             dtype: Any = "f32", batch: int | None = None, heads: int | None = None, kv_heads: int | None = None,
             q_len: int | None = None, kv_len: int | None = None, head_dim: int | None = None, **params: float) -> Drawing:
        """Draws the mask of one head of one batch entry and its tiles, as `attnc show`; a notebook shows the result as a picture.

        inputs: tensors in host memory that the mask reads, by name, which also tell sizes; what is not given is drawn from `seed`.
        Raises ArgumentError, also for a spec that is more than one attention over its inputs.
        """
        options = {"head": head, "entry": entry, "seed": seed, "target": target, "batch": batch, "heads": heads, "kv_heads": kv_heads,
                   "q_len": q_len, "kv_len": kv_len, "head_dim": head_dim}
        return _show.show(self, inputs or {}, options, dtype, params)

    def reference(self, *tensors: Any, return_lse: bool = False, return_outputs: bool = False, num_threads: int = 0,
                  named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """The definition of the variant, in float64: slow, and what kernels are held against.

        Takes what `__call__` takes, in host memory and in any strides, and returns what it returns, as float64 NumPy
        arrays. Raises ArgumentError, and OutOfMemoryError for tensors that are larger than the memory that is left.
        """
        inputs, params = split(self._signature, tensors, {**(named or {}), **inputs_and_params})
        check_results(self._signature, return_lse)
        views = self._host_views(inputs)
        arrays = self._definition.evaluate(views, params, self._definition.output_shapes(views, params), num_threads)
        return results({name: view(name, array) for name, array in arrays.items()}, {}, return_lse, return_outputs)

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
        views, numbers = self._host_views(inputs), {name: number(value) for name, value in given.items()}
        return self._definition.evaluate(views, numbers, self._definition.computed_shapes(views, numbers), num_threads)

    def _host_views(self, inputs: Mapping[str, Any]) -> dict[str, View]:
        views = views_of(self._signature, inputs, None)
        for name, found in views.items():
            if found.device[0] != CPU:
                raise ArgumentError(f"`{name}` is on {device_text(found)}, the reference runs on the host")
        return views


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


def gallery_folder() -> pathlib.Path | None:
    """The folder of the gallery: beside the package's files, else the checkout's; None if there is neither."""
    package = pathlib.Path(__file__).resolve().parent
    return next((f for f in (package / "specs", package.parents[1] / "specs") if f.is_dir()), None)


def specs() -> dict[str, pathlib.Path]:
    """The gallery: the file of each spec, by name, sorted. Empty if the package was installed without it."""
    folder = gallery_folder()
    return {file.stem: file for file in sorted(folder.rglob("*.attn"), key=lambda file: file.stem)} if folder else {}
