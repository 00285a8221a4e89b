# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls that are kept: what the checks in Python have found out about one, the extension has for the next one whose tensors
have the same shapes, strides, dtypes and devices. It then looks at addresses and parameters only, and what does not fit
comes back here to be explained."""
from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _library
from ._arguments import pack_tensors
from ._signature import ALIASES, Signature
from ._tensors import View

if TYPE_CHECKING:
    from ._kernel import Kernel


def calls_of(signature: Signature) -> Any:
    """The calls of a spec or a kernel, none at first."""
    spaces = {axis for decl in signature.inputs.values() for axis in decl.axes}
    # Sizes of spaces that the spec declares may depend on any parameter.
    is_sized_by_params = any(axis not in spaces and not isinstance(axis, int)
                             for decl in signature.outputs.values() for axis in decl.axes)
    params = tuple((name, param.const or is_sized_by_params, param.const) for name, param in signature.params.items())
    aliases = {name: alias for alias, name in ALIASES.items() if alias not in signature.inputs and alias not in signature.params}
    return _library.load().Calls(tuple(signature.inputs), tuple(aliases.get(name, name) for name in signature.inputs),
                                 tuple(signature.outputs), params)


def keep(calls: Any, kernel: Kernel, inputs: Mapping[str, Any], views: Mapping[str, View], given: Mapping[str, Any],
         written: Mapping[str, View], params: Mapping[str, float]) -> None:
    """Keeps a call that has been made, if another one may do the same without a look at it."""
    if any(found.owner is not inputs[name] for name, found in views.items()):
        return  # something was converted, or came through a capsule of its own
    makers: dict[str, Callable[[], Any]] = {}
    for name, found in written.items():
        if name in given:
            if found.owner is not given[name]:
                return
        elif (found.pointer + found.byte_offset) % 16 == 0:
            makers[name] = _maker(found)
        else:
            return
    calls.store(dict(inputs), dict(given), dict(params), kernel._handle, pack_tensors({**views, **written}), makers,
                kernel._has_workspace)


def _maker(found: View) -> Callable[[], Any]:
    """What makes another tensor like this one."""
    if found.kind == "torch":
        return functools.partial(sys.modules["torch"].empty, found.shape, dtype=found.owner.dtype, device=found.owner.device)
    return functools.partial(np.empty, found.shape, found.owner.dtype)
