# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scalar ops of a definition in PyTorch operations, for all indices of a region at once.

A number that no index changes stays a Python number (or a SymInt); the others are tensors whose last dimensions are the
indices of the regions around them, the innermost region first, so that they broadcast by themselves. Ints are int32
tensors, which wrap around as the language says.
"""
from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from .._program import Op
from ..errors import GradientError

Scalar = Any  # torch.Tensor | int | float | bool | torch.SymInt


def is_tensor(x: Scalar) -> bool:
    return isinstance(x, torch.Tensor)


def wrapped(x: Scalar) -> Scalar:
    """An int of 32 bits. Sizes that are not known yet are small."""
    return (x + 2 ** 31) % 2 ** 32 - 2 ** 31 if type(x) is int else x


def divisible(y: Scalar) -> Scalar:
    """A divisor of 0 acts as 1: the definition has a `select` for it, of which both sides are evaluated."""
    return torch.where(y == 0, 1, y) if is_tensor(y) else y or 1


def real_divide(x: Scalar, y: Scalar) -> Scalar:
    if is_tensor(x) or is_tensor(y):
        return x / y
    if y != 0:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)


def floor_divide(x: Scalar, y: Scalar) -> Scalar:
    y = divisible(y)
    if is_tensor(x) or is_tensor(y):
        return torch.div(x, y, rounding_mode="floor") if is_tensor(x) else torch.full_like(y, x).div(y, rounding_mode="floor")
    return wrapped(x // y)


def truncating_divide(x: Scalar, y: Scalar) -> Scalar:
    y = divisible(y)
    if is_tensor(x) or is_tensor(y):
        x = x if is_tensor(x) else torch.full_like(y, x)
        return torch.div(x, y, rounding_mode="trunc")
    quotient = abs(x) // abs(y)
    return wrapped(quotient if (x < 0) == (y < 0) else -quotient)


def select(condition: Scalar, x: Scalar, y: Scalar, real: torch.dtype) -> Scalar:
    if not is_tensor(condition):
        return x if condition else y
    if not is_tensor(x) and not is_tensor(y):
        kind = torch.bool if isinstance(x, bool) else real if isinstance(x, float) else torch.int32
        x = torch.as_tensor(x, dtype=kind, device=condition.device)
    return torch.where(condition, x, y)


def by_function(of_tensors: Callable[[torch.Tensor], torch.Tensor], of_numbers: Callable[[float], float]) -> Callable[[Scalar], Scalar]:
    """A function of one real; of a number it is taken in float64, as the definition has it."""
    def apply(x: Scalar) -> Scalar:
        if is_tensor(x):
            return of_tensors(x)
        try:
            return of_numbers(x)
        except (ValueError, OverflowError):  # outside of the function's domain, where math raises
            return of_tensors(torch.tensor(x, dtype=torch.float64)).item()
    return apply


def by_pair(of_tensors: Callable[..., torch.Tensor], of_numbers: Callable[..., Scalar]) -> Callable[[Scalar, Scalar], Scalar]:
    """A function of two numbers that torch takes as tensors only."""
    def apply(x: Scalar, y: Scalar) -> Scalar:
        if not is_tensor(x) and not is_tensor(y):
            return of_numbers(x, y)
        like = x if is_tensor(x) else y
        x, y = (v if is_tensor(v) else torch.as_tensor(v, dtype=like.dtype, device=like.device) for v in (x, y))
        return of_tensors(x, y)
    return apply


def power(x: Scalar, y: Scalar) -> Scalar:
    if is_tensor(x) or is_tensor(y):
        return torch.pow(x, y)
    return torch.pow(torch.tensor(x, dtype=torch.float64), y).item()


def to_int(x: Scalar) -> Scalar:
    """Toward zero, saturating; NaN becomes the smallest int."""
    if not is_tensor(x):
        return -2 ** 31 if math.isnan(x) else max(-2 ** 31, min(2 ** 31 - 1, int(x))) if math.isfinite(x) else \
            (2 ** 31 - 1 if x > 0 else -2 ** 31)
    whole = torch.where(torch.isnan(x), -math.inf, x).detach().double().clamp(-2.0 ** 31, 2.0 ** 31 - 1)
    return whole.trunc().to(torch.int32)


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "slt": operator.lt, "sle": operator.le, "sgt": operator.gt, "sge": operator.ge,
    "oeq": operator.eq, "une": operator.ne, "olt": operator.lt, "ole": operator.le, "ogt": operator.gt, "oge": operator.ge}


def ints(function: Callable[[Any, Any], Any]) -> Callable[[Scalar, Scalar], Scalar]:
    return lambda x, y: wrapped(function(x, y))


BINARY: dict[str, Callable[[Scalar, Scalar], Scalar]] = {
    "arith.addi": ints(operator.add), "arith.subi": ints(operator.sub), "arith.muli": ints(operator.mul),
    "arith.floordivsi": floor_divide, "arith.divsi": truncating_divide,
    "arith.remsi": lambda x, y: x - truncating_divide(x, y) * divisible(y),
    "arith.minsi": by_pair(torch.minimum, min), "arith.maxsi": by_pair(torch.maximum, max),
    "arith.andi": operator.and_, "arith.ori": operator.or_, "arith.xori": operator.xor,
    "arith.shli": ints(operator.lshift), "arith.shrsi": operator.rshift,
    "arith.addf": operator.add, "arith.subf": operator.sub, "arith.mulf": operator.mul, "arith.divf": real_divide,
    "arith.minimumf": by_pair(torch.minimum, lambda x, y: math.nan if x != x or y != y else min(x, y)),
    "arith.maximumf": by_pair(torch.maximum, lambda x, y: math.nan if x != x or y != y else max(x, y)),
    "arith.minnumf": by_pair(torch.fmin, lambda x, y: y if x != x else x if y != y else min(x, y)),
    "arith.maxnumf": by_pair(torch.fmax, lambda x, y: y if x != x else x if y != y else max(x, y)),
    "math.powf": power,
}

UNARY: dict[str, Callable[[Scalar], Scalar]] = {
    "arith.negf": operator.neg, "math.absf": abs, "math.absi": lambda x: wrapped(abs(x)),
    "math.exp": by_function(torch.exp, math.exp), "math.exp2": by_function(torch.exp2, lambda x: 2.0 ** x),
    "math.log": by_function(torch.log, math.log), "math.log2": by_function(torch.log2, math.log2),
    "math.sqrt": by_function(torch.sqrt, math.sqrt), "math.rsqrt": by_function(torch.rsqrt, lambda x: 1.0 / math.sqrt(x)),
    "math.tanh": by_function(torch.tanh, math.tanh), "math.sin": by_function(torch.sin, math.sin),
    "math.cos": by_function(torch.cos, math.cos), "math.erf": by_function(torch.erf, math.erf),
    "math.floor": by_function(torch.floor, lambda x: float(math.floor(x))),
    "math.ceil": by_function(torch.ceil, lambda x: float(math.ceil(x))),
    "math.roundeven": by_function(torch.round, lambda x: float(round(x))),
    "arith.fptosi": to_int,
    "arith.extui": lambda x: x.to(torch.int32) if is_tensor(x) else int(x),
}


def constant(op: Op) -> Scalar:
    value = op.attributes["value"]
    return float(value) if op.results[0].type == "f32" else value


def evaluate(op: Op, operands: list[Scalar], real: torch.dtype) -> Scalar:
    """The value of an op of arith or math; `real` is the dtype of reals."""
    if op.name == "arith.constant":
        return constant(op)
    if op.name in BINARY:
        return BINARY[op.name](*operands)
    if op.name in UNARY:
        return UNARY[op.name](*operands)
    if op.name == "arith.select":
        condition, x, y = operands
        return select(condition, x, y, real)
    if op.name in ("arith.cmpi", "arith.cmpf") and op.attributes["predicate"] in COMPARISONS:
        return COMPARISONS[op.attributes["predicate"]](*operands)
    if op.name in ("arith.sitofp", "arith.uitofp"):
        x = operands[0]
        return x.to(real) if is_tensor(x) else x if isinstance(x, torch.SymInt) else float(x)
    raise GradientError(f"line {op.line}: no gradient through {op.name} yet")
