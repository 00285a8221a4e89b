# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What PyTorch must know of a spec: schema, kernels, shapes, gradients, vmap and autocast of its operator.

An operator takes the tensors of `Spec.inputs` and then all parameters, in order, and yields all outputs. Its name ends with
a hash of the spec's text, so that equal specs share one and different ones of a name do not meet.
"""
from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .._signature import QKV, Signature
from .._spec import Spec
from ..errors import ArgumentError
from . import _batching, _gradient
from ._autograd import differentiable
from ._formula import formula
from ._sizes import declared, from_shapes, shape_of

NAMESPACE = "attnc"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32, "bool": torch.bool}

# Operators stay for as long as the process: graphs that were compiled or exported name them.
_library = torch.library.Library(NAMESPACE, "FRAGMENT")
_names: set[str] = set()
_lock = threading.Lock()


def registered(spec: Spec) -> Callable[..., Any]:
    """The operator of a spec, an overload in `torch.ops.attnc`; registers it if it is the first of its text."""
    digest = hashlib.sha256("\0".join((spec.name, spec.text)).encode("utf-8", "surrogateescape")).hexdigest()
    name = f"{spec.name}_{digest[:12]}"
    with _lock:
        if name not in _names:
            _register(name, spec)
            _names.add(name)
    return getattr(getattr(torch.ops, NAMESPACE), name).default


def schema(signature: Signature) -> str:
    """Arguments and results, as PyTorch writes them."""
    tensors = [f"Tensor {name}" for name in signature.inputs]
    params = [f"{'SymInt' if param.type == 'int' else 'float'} {name}" for name, param in signature.params.items()]
    results = ", ".join(["Tensor"] * len(signature.outputs))
    return f"({', '.join(tensors + params)}) -> {results if len(signature.outputs) == 1 else f'({results})'}"


def operand_dtype(signature: Signature, tensors: Sequence[torch.Tensor]) -> torch.dtype:
    """The dtype that Q, K and V share, or what else is declared `dtype`; f32 if nothing is."""
    return next((x.dtype for x, decl in zip(tensors, signature.inputs.values()) if decl.dtype is None), torch.float32)


def _register(name: str, spec: Spec) -> None:
    definition, signature = spec._definition, spec._signature
    inputs, outputs, params = list(signature.inputs), list(signature.outputs), list(signature.params)
    qualified = f"{NAMESPACE}::{name}"
    # What a kernel does not look at makes no difference to it, and nothing is written but the results.
    _library.define(name + schema(signature), tags=(torch.Tag.pt2_compliant_tag,))
    overload = getattr(getattr(torch.ops, NAMESPACE), name).default

    def split(args: Sequence[Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        return dict(zip(inputs, args)), dict(zip(params, args[len(inputs):]))

    def packed(results: dict[str, torch.Tensor]) -> Any:
        return results[outputs[0]] if len(outputs) == 1 else tuple(results[name] for name in outputs)

    calls = spec._calls
    is_row = [n in QKV for n in inputs]

    def run(*args: Any) -> Any:
        found = calls.positional(args)
        if found is NotImplemented:
            found = run_anew(args)
        return found[0] if len(outputs) == 1 else found

    def run_anew(args: Sequence[Any]) -> tuple[torch.Tensor, ...]:
        """With all checks; the next call with such tensors needs them no more."""
        tensors = [x.contiguous() if is_qkv and x.stride(-1) != 1 else x for x, is_qkv in zip(args, is_row)]
        rows, numbers = split((*tensors, *args[len(inputs):]))
        with torch.no_grad():
            return tuple(spec(named={**rows, **numbers}, return_outputs=True, workspace=_workspace(tensors[0])).values())

    def fake(*args: Any) -> Any:
        tensors, numbers = split(args)
        _check_devices(tensors)
        sizes = from_shapes(signature, {name: x.shape for name, x in tensors.items()})
        if any(axis not in sizes.of for decl in signature.outputs.values() for axis in decl.axes if not isinstance(axis, int)):
            sizes = declared(definition.program, sizes, numbers)
        operand = operand_dtype(signature, args)
        return packed({name: args[0].new_empty(shape_of(decl.axes, sizes), dtype=DTYPES[decl.dtype] if decl.dtype else operand)
                       for name, decl in signature.outputs.items()})

    def reference(args: Sequence[Any]) -> Any:
        tensors, numbers = split(args)
        found = formula(definition, tensors, numbers)
        operand = operand_dtype(signature, args)
        return packed({name: found[name].to(DTYPES[decl.dtype] if decl.dtype else operand) for name, decl in signature.outputs.items()})

    def backward(tensors: Sequence[torch.Tensor], numbers: Sequence[Any], grads: Sequence[torch.Tensor | None],
                 needed: Sequence[bool]) -> list[torch.Tensor | None]:
        given = {name: g for name, g in zip(outputs, grads) if g is not None and g.is_floating_point()}
        found = _gradient.gradients(definition, *split((*tensors, *numbers)), given, [n for n, is_needed in zip(inputs, needed) if is_needed])
        return [found.get(name) for name in inputs]

    for device in ("CPU", "CUDA"):
        _library.impl(name, run, device)
        _library.impl(name, _autocast(overload, signature, device.lower()), "Autocast" + device)
    torch.library.register_fake(qualified, fake, lib=_library)
    _library.impl(name, differentiable(overload, len(inputs), backward, reference), "Autograd")
    is_foldable: list[bool] = []  # decided when it is first asked for

    def can_fold() -> bool:
        if not is_foldable:
            is_foldable.append(not _batching.uses_batch(definition.program))
        return is_foldable[0]

    torch.library.register_vmap(qualified, _batching.rule(overload, signature, can_fold), lib=_library)


def _check_devices(tensors: dict[str, torch.Tensor]) -> None:
    first = next(iter(tensors))
    for name, x in tensors.items():
        if x.device != tensors[first].device:
            raise ArgumentError(f"`{name}` is on {x.device}, but `{first}` on {tensors[first].device}")


def _workspace(like: torch.Tensor) -> Callable[[int], torch.Tensor] | None:
    """Memory for what kernels of one program give each other. On a GPU it is PyTorch's, which knows streams, and whose
    graphs keep what they captured."""
    if like.device.type != "cuda":
        return None
    return lambda size: torch.empty(size, dtype=torch.uint8, device=like.device)


def _autocast(overload: Callable[..., Any], signature: Signature, device: str) -> Callable[..., Any]:
    """Under autocast, what shares the dtype of Q, K and V is cast; inputs with a dtype of their own stay."""
    shares = [decl.dtype is None for decl in signature.inputs.values()]

    def cast(*args: Any) -> Any:
        dtype = torch.get_autocast_dtype(device)
        tensors = [x.to(dtype) if is_shared and x.is_floating_point() and x.device.type == device else x
                   for x, is_shared in zip(args, shares)]
        with torch.autocast(device, enabled=False):
            return overload(*tensors, *args[len(tensors):])

    return cast
