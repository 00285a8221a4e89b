# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs as functions that PyTorch can trace, compile, export, differentiate and batch."""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from .._kernel import check_results
from .._signature import ALIASES, QKV
from .._spec import Spec, load
from ..errors import ArgumentError
from ._formula import formula
from ._registration import registered


class Operator:
    """A spec as an operator of PyTorch. Made by `op`; called as the spec is.

    It can be pickled, copied, and be an attribute of a module. A parameter is an argument of the operator: another value
    compiles nothing anew, unless it is const. Other head dimensions and dtypes compile kernels of their own.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._op = registered(spec)
        # Plain tuples and dicts, which torch.compile can read.
        self._inputs = {name: decl.dtype for name, decl in spec.inputs.items()}
        self._axes = {name: [axis if isinstance(axis, str) else None for axis in decl.axes] for name, decl in spec.inputs.items()}
        self._params = {name: param.default for name, param in spec.params.items()}
        self._outputs = tuple(spec.outputs)
        self._whole: dict[tuple[torch.Size, ...], bool] = {}

    def __reduce__(self) -> Any:
        return Operator, (self.spec,)

    def __repr__(self) -> str:
        return f"<attnc.torch operator {self._op} of {self.spec!r}>"

    @property
    def overload(self) -> Any:
        """The operator in `torch.ops.attnc`: all tensors, then all parameters, by position; it yields all outputs."""
        return self._op

    def __call__(self, *tensors: torch.Tensor, return_lse: bool = False, return_outputs: bool = False,
                 named: Mapping[str, Any] | None = None, **inputs_and_params: Any) -> Any:
        """Computes the spec: tensors by position or by name, parameters by name, as `Spec.__call__` takes them.

        Ints of 64 bits are converted where the spec declares i32, and dimensions of size 1 are expanded. Rows of Q, K and V whose elements are not neighbours in
        memory are copied. Returns `out`; with return_lse `(out, lse)`; with return_outputs, and for a spec without `out`
        that has several, all outputs by name.
        Raises ArgumentError, CompileError or DeviceError; gradients that do not exist raise GradientError in backward.
        """
        given, params = self._sorted(tensors, {**(named or {}), **inputs_and_params})
        if return_lse and "lse" not in self._outputs:
            check_results(self.spec._signature, return_lse)
        found = self._op(*given, *params)
        results = {self._outputs[0]: found} if len(self._outputs) == 1 else dict(zip(self._outputs, found))
        if return_outputs:
            return results
        if return_lse:
            return results["out"], results["lse"]
        if "out" in results:
            return results["out"]
        return found if len(results) == 1 else results

    def reference(self, *tensors: torch.Tensor, named: Mapping[str, Any] | None = None,
                  **inputs_and_params: Any) -> dict[str, torch.Tensor]:
        """All outputs by the definition in PyTorch operations: differentiable, in float64 where a tensor is, else in float32.

        It is what backward recomputes. Takes memory for several tensors of [b, h, q, kv]. Raises GradientError for a spec
        with a stage that has no formula in PyTorch.
        """
        given, params = self._sorted(tensors, {**(named or {}), **inputs_and_params})
        return formula(self.spec._definition, dict(zip(self._inputs, given)), dict(zip(self._params, params)))

    def _sorted(self, tensors: tuple[torch.Tensor, ...], named: Mapping[str, Any]) -> tuple[list[torch.Tensor], list[Any]]:
        """Tensors and parameters in the order of the operator."""
        if len(tensors) > len(self._inputs):
            raise ArgumentError(f"`{self.spec.name}` takes {len(self._inputs)} tensors ({', '.join(self._inputs)}), found "
                                f"{len(tensors)} by position")
        by_name = dict(zip(self._inputs, tensors))
        params = dict(self._params)
        for given_name, value in named.items():
            name = given_name if given_name in self._inputs or given_name in params else ALIASES.get(given_name, given_name)
            if name in by_name:
                raise ArgumentError(f"`{given_name}` is given by position already" if tensors else f"`{name}` is given twice")
            if name in self._inputs:
                by_name[name] = value
            elif name in params:
                if isinstance(value, torch.Tensor):
                    if value.dim() != 0:
                        raise ArgumentError(f"parameter `{name}` is a number, found a tensor of shape {list(value.shape)}")
                    value = value.item()
                params[name] = value
            else:
                known = [*self._inputs, *params]
                raise ArgumentError(f"`{name}` is neither an input nor a parameter of `{self.spec.name}`; it has {', '.join(known)}")
        found = []
        for name, dtype in self._inputs.items():
            if name not in by_name:
                raise ArgumentError(f"input `{self.spec.inputs[name]}` is not bound")
            x = by_name[name]
            if not isinstance(x, torch.Tensor):
                raise ArgumentError(f"`{name}` is a {type(x).__name__}: expected a torch.Tensor")
            found.append(x.to(torch.int32) if dtype == "i32" and x.dtype in (torch.int64, torch.int16, torch.int8) else x)
        if any(1 in x.shape for x in found) and (torch.compiler.is_compiling() or not self._is_whole(found)):
            found = self._expanded(found)
        return found, list(params.values())

    def _is_whole(self, tensors: list[torch.Tensor]) -> bool:
        """Whether there is nothing to expand; to find that out takes as long as a launch, so it is kept for shapes."""
        if any(type(x) is not torch.Tensor for x in tensors):
            return False  # sizes of tensors that are traced are no keys
        shapes = tuple([x.shape for x in tensors])
        found = self._whole.get(shapes)
        if found is None:
            if len(self._whole) >= 256:
                self._whole.clear()
            found = self._whole[shapes] = all(a is b for a, b in zip(tensors, self._expanded(tensors)))
        return found

    def _expanded(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Dimensions of size 1 stand for all indices of an axis that another tensor has more of, as in `Spec.__call__`."""
        sizes: dict[str | None, Any] = {}
        for names, x in zip(self._axes.values(), tensors):
            for axis, size in zip(names, x.shape):
                if size != 1 and axis is not None:
                    sizes.setdefault(axis, size)
        results = []
        for (name, names), x in zip(self._axes.items(), tensors):
            wanted = [sizes[axis] if size == 1 and axis in sizes else size for axis, size in zip(names, x.shape)]
            if name in QKV and wanted:
                wanted[-1] = x.shape[-1]
            # An expansion costs as much as a launch; a tensor of another rank is an error, which is found later.
            results.append(x.expand(wanted) if len(names) == x.dim() and wanted != list(x.shape) else x)
        return results


def op(spec: Spec | str | os.PathLike[str], *, variant: str | None = None) -> Operator:
    """The operator of a spec: a `Spec`, the name of one in the gallery, or the path of a file."""
    return Operator(spec if isinstance(spec, Spec) else load(spec, variant=variant))
