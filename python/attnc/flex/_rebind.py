# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions whose captured numbers are known as such, so that they become parameters of a spec and not constants.

A copy of the function is made whose closure, defaults and bound arguments have `IntParameter` and `FloatParameter` in place
of numbers, and copies of functions that it captures. The function itself is left as it is.
"""
from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import torch

from ._values import FloatParameter, IntParameter


def parameter(name: str, value: int | float) -> IntParameter | FloatParameter:
    found = IntParameter(value) if isinstance(value, int) else FloatParameter(value)
    found.name = name
    return found


def rebound(function: Callable[..., Any], memo: dict[int, Any] | None = None) -> Callable[..., Any]:
    """The function with parameters for captured numbers."""
    memo = {} if memo is None else memo
    if id(function) in memo:
        return memo[id(function)]
    if isinstance(function, functools.partial):
        names = _argument_names(function.func)
        args = [_replaced(name, value, memo) for name, value in zip([*names, *["x"] * len(function.args)], function.args)]
        return functools.partial(rebound(function.func, memo), *args, **{k: _replaced(k, v, memo) for k, v in function.keywords.items()})
    if isinstance(function, types.MethodType):
        return types.MethodType(rebound(function.__func__, memo), function.__self__)
    if not isinstance(function, types.FunctionType):
        return function
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, None, cells)
    memo[id(function)] = copy  # before its cells: a function may capture itself
    names = _argument_names(function)
    defaults = function.__defaults__ or ()
    copy.__defaults__ = tuple(_replaced(name, value, memo) for name, value in zip(names[len(names) - len(defaults):], defaults)) or None
    copy.__kwdefaults__ = {k: _replaced(k, v, memo) for k, v in function.__kwdefaults__.items()} if function.__kwdefaults__ else None
    for name, old, new in zip(function.__code__.co_freevars, function.__closure__ or (), cells):
        try:
            new.cell_contents = _replaced(name, old.cell_contents, memo)
        except ValueError:  # an empty cell: the variable has no value yet
            pass
    return copy


def captured_tensors(function: Any, found: dict[int, str] | None = None, name: str = "", seen: set[int] | None = None) -> dict[int, str]:
    """Names of the tensors that a function can see by name, by id."""
    found, seen = {} if found is None else found, set() if seen is None else seen
    if id(function) in seen:
        return found
    seen.add(id(function))
    if isinstance(function, torch.Tensor):
        found.setdefault(id(function), name)
    elif isinstance(function, functools.partial):
        for key, value in [*zip(_argument_names(function.func), function.args), *function.keywords.items()]:
            captured_tensors(value, found, key, seen)
        captured_tensors(function.func, found, name, seen)
    elif isinstance(function, types.MethodType):
        captured_tensors(function.__func__, found, name, seen)
        for key, value in vars(function.__self__).items() if hasattr(function.__self__, "__dict__") else ():
            if isinstance(value, torch.Tensor):
                found.setdefault(id(value), key)
    elif isinstance(function, types.FunctionType):
        for key, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            try:
                captured_tensors(cell.cell_contents, found, key, seen)
            except ValueError:
                pass
        for key in function.__code__.co_names:
            value = function.__globals__.get(key)
            if isinstance(value, (torch.Tensor, types.FunctionType)):
                captured_tensors(value, found, key, seen)
    elif isinstance(function, (tuple, list)):
        for value in function:
            captured_tensors(value, found, name, seen)
    return found


def _argument_names(function: Any) -> list[str]:
    code = getattr(function, "__code__", None)
    return list(code.co_varnames[:code.co_argcount]) if code is not None else []


def _replaced(name: str, value: Any, memo: dict[int, Any]) -> Any:
    if type(value) in (int, float):
        return parameter(name, value)
    if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
        return rebound(value, memo)
    if type(value) in (tuple, list) and value and all(callable(x) for x in value):
        return type(value)(rebound(x, memo) for x in value)
    return value
