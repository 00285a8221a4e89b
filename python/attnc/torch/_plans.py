# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls on the CPU whose checks have been made: tensors of the same shapes, strides and dtypes need their addresses only."""
from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch

from .. import _library
from .._arguments import pack_params, pack_tensors
from .._kernel import Kernel, output_views
from .._signature import views_of
from .._spec import Spec
from .._tensors import View

MOST = 256  # plans that a thread keeps for a spec


class Plan:
    """A kernel with the descriptions of its tensors, for one thread: only addresses and parameters change."""

    def __init__(self, kernel: Kernel, inputs: dict[str, View], outputs: dict[str, View]) -> None:
        self.kernel = kernel
        self.array, self.count = pack_tensors({**inputs, **outputs})
        described = [slot.tensor.contents for slot in self.array]
        self.inputs = described[:len(inputs)]
        self.outputs = [(tensor, view.shape, view.owner.dtype) for tensor, view in zip(described[len(inputs):], outputs.values())]

    def run(self, tensors: Sequence[torch.Tensor], params: dict[str, float]) -> list[torch.Tensor] | None:
        """The outputs; None if new memory is less aligned than the kernel wants."""
        results = []
        for described, x in zip(self.inputs, tensors):
            described.data = x.data_ptr()
        for described, shape, dtype in self.outputs:
            out = torch.empty(shape, dtype=dtype)
            described.data = address = out.data_ptr()
            if address & 15:
                return None
            results.append(out)
        _library.check(_library.load().attnc_kernel_launch_with_workspace(
            self.kernel._handle, self.array, self.count, *pack_params(params), None, 0, None))
        return results


class Plans:
    """The plans of a spec. A thread has its own, since it writes addresses into them."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._local = spec, threading.local()
        signature = spec._signature
        self._consts = [i for i, param in enumerate(signature.params.values()) if param.const]
        spaces = {axis for decl in signature.inputs.values() for axis in decl.axes}
        # Sizes of spaces that the spec declares may depend on any parameter.
        self._sized_by_params = any(axis not in spaces and not isinstance(axis, int)
                                    for decl in signature.outputs.values() for axis in decl.axes)

    def run(self, tensors: Sequence[torch.Tensor], params: Sequence[Any]) -> list[torch.Tensor]:
        """All outputs for tensors on the CPU, in the order of the signature, and values of all parameters."""
        plans: dict[Any, Plan] | None = getattr(self._local, "plans", None)
        if plans is None:
            plans = self._local.plans = {}
        key = (*[(x.shape, x.stride(), x.dtype, x.data_ptr() & 15, x.is_neg()) for x in tensors],
               *(params if self._sized_by_params else [params[i] for i in self._consts]))
        names = self._spec._signature.params
        plan = plans.get(key)
        if plan is not None:
            found = plan.run(tensors, {n: v for (n, param), v in zip(names.items(), params) if not param.const})
            if found is not None:
                return found
        given = dict(zip(self._spec._signature.inputs, tensors))
        results = self._spec(named={**given, **dict(zip(names, params))}, return_outputs=True)
        if len(plans) >= MOST:
            plans.clear()
        plans[key] = self._planned(given, dict(zip(names, params)), results)
        return list(results.values())

    def _planned(self, tensors: dict[str, torch.Tensor], params: dict[str, Any], results: dict[str, torch.Tensor]) -> Plan:
        """The plan of a call that has been made."""
        spec = self._spec
        inputs = views_of(spec._signature, tensors, None)
        outputs = output_views(spec._definition, inputs, params, results, None)
        kernel = spec._kernel(inputs, outputs, {n: params[n] for n, param in spec.params.items() if param.const})
        return Plan(kernel, inputs, outputs)
