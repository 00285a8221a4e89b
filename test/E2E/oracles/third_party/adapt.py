# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the adapters share: tensors from a case, modules that return given values, and double precision for all.

Many implementations convert to float32 inside. `double_precision` makes the name torch.float32 mean float64 for the
time of a call, so that the same code runs in double precision and the comparison with the formula is sharp.
"""
import ast
import contextlib
import importlib.util
import pathlib

import einops
import torch
from torch import nn

torch.set_num_threads(1)  # the tensors are tiny: a second thread only costs


def tensors(case, *names):
    """The named inputs, floating ones in double precision."""
    out = [torch.from_numpy(case.inputs[name]) for name in names]
    out = [x.double() if x.is_floating_point() else x for x in out]
    return out[0] if len(names) == 1 else out


def by_time(*xs):
    """[b,h,t,...] <-> [b,t,h,...]."""
    out = [x.transpose(1, 2).contiguous() for x in xs]
    return out[0] if len(xs) == 1 else out


def flat_heads(x):
    """[b,h,t,d] -> [b,t,h*d]."""
    return x.transpose(1, 2).flatten(2)


def split_heads(x, h):
    """[b,t,h*d] -> [b,h,t,d]."""
    return x.unflatten(2, (h, -1)).transpose(1, 2)


class Given(nn.Module):
    """A projection that ignores its input and returns a fixed tensor: the case's q, k or v."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, *_):
        return self.value


@contextlib.contextmanager
def double_precision():
    names = ("float32", "float")
    kept = {name: getattr(torch, name) for name in names}
    method, default = torch.Tensor.float, torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        for name in names:
            setattr(torch, name, torch.float64)
        torch.Tensor.float = torch.Tensor.double
        with torch.no_grad():
            yield
    finally:
        for name in names:
            setattr(torch, name, kept[name])
        torch.Tensor.float = method
        torch.set_default_dtype(default)


def load_file(package, path):
    """A module of an installed package by its file: importing the package itself would need Triton."""
    root = pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location(f"oracle_{package}_{path.replace('/', '_')[:-3]}", root / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_functions(package, path, *names):
    """The named functions of a file, without its imports and their decorators.

    For files that import Triton packages, or whose functions hand over to a GPU kernel where one is installed.
    """
    root = pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])
    tree = ast.parse((root / path).read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in tree.body:
        node.decorator_list = []
    scope = {"torch": torch, "F": torch.nn.functional}
    scope.update(rearrange=einops.rearrange, repeat=einops.repeat)
    exec(compile(tree, str(root / path), "exec"), scope)
    return [scope[name] for name in names]
