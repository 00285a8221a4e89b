# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mask and score functions of FlexAttention as the text of a spec."""
from __future__ import annotations

import inspect
import linecache
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import TraceError
from ._expression import Expr, shared, text
from ._functions import as_cond, as_real
from ._names import Names
from ._rebind import captured_tensors, rebound
from ._tracer import Tracer
from ._values import Symbol

Mod = Callable[..., Any]
PACKAGE = str(Path(__file__).resolve().parents[1])
TORCH = str(Path(torch.__file__).resolve().parent)


@dataclass(slots=True)
class Traced:
    """What functions say: statements of a spec, captured tensors by name, captured numbers by name."""

    statements: list[str]
    inputs: dict[str, torch.Tensor]
    params: dict[str, int | float]

    def text(self, name: str, more: Sequence[str], more_params: Mapping[str, int | float], with_values: bool) -> str:
        """The spec, with more statements and parameters. Where these have their values as defaults the text changes with
        them; else the defaults are 0."""
        params = [f"{p}: {'int' if isinstance(v, int) else 'f32'} = {number(v if with_values else type(v)(0))}"
                  for p, v in {**self.params, **more_params}.items()]
        head = f"attention {name}({', '.join(params)})" if params else f"attention {name}"
        lines = ["align top_left"]
        for tensor_name, tensor in self.inputs.items():
            spaces = [f"{tensor_name}_{i}" for i in range(tensor.dim())]
            lines += [f"slots {space}" for space in spaces]
            lines.append(f"input {tensor_name}: {element(tensor)}[{', '.join(spaces)}]")
        return "\n".join([f"{head} {{", *(f"  {line}" for line in [*lines, *self.statements, *more]), "}", ""])

    def operands(self) -> dict[str, torch.Tensor]:
        """The captured tensors in the dtypes that the spec declares."""
        kinds = {"bool": torch.bool, "i32": torch.int32, "f32": torch.float32}
        return {name: x.to(kinds[element(x)]) for name, x in self.inputs.items()}


def number(value: int | float) -> str:
    """A default of a parameter."""
    if isinstance(value, int):
        return str(value)
    return re.sub(r"^(-?\d+)(e.*)?$", r"\1.0\2", repr(float(value))).replace("e+", "e")


def element(tensor: torch.Tensor) -> str:
    return "bool" if tensor.dtype == torch.bool else "f32" if tensor.is_floating_point() else "i32"


def trace(mask_mod: Mod | None, score_mod: Mod | None, device: torch.device) -> Traced:
    """Evaluates the functions on symbols. Raises TraceError, whose text has the file, the line and the code of the function."""
    try:
        # Numbers that they capture become parameters. A function that looks closer at one than arithmetic does gets it as it is.
        return _trace(mask_mod and rebound(mask_mod), score_mod and rebound(score_mod), mask_mod, score_mod, device)
    except TraceError as error:
        try:
            return _trace(mask_mod, score_mod, mask_mod, score_mod, device)
        except TraceError:
            raise error from None


def _trace(mask_mod: Mod | None, score_mod: Mod | None, own_mask: Mod | None, own_score: Mod | None, device: torch.device) -> Traced:
    names = captured_tensors([f for f in (own_score, own_mask) if f is not None])
    tracer = Tracer(device, names)
    graph = tracer.graph
    indices = [Symbol(tracer, graph.name(name, "int", is_natural=True)) for name in ("b", "h", "q", "kv")]
    roots: list[tuple[str, Expr]] = []
    if score_mod is not None:
        score = Symbol(tracer, graph.name("s", "real", is_local=True))
        found = as_real(graph, evaluated(tracer, score_mod, own_score, [score, *indices]))
        if found is not score.expr:
            roots.append(("score", found))
    if mask_mod is not None:
        found = as_cond(graph, evaluated(tracer, mask_mod, own_mask, indices))
        if found.value is not True:
            roots.append(("mask", found))
    lets: dict[int, str] = {}
    statements = []
    for node in shared(root for _, root in roots):
        name = tracer.names.new("x")
        statements.append(f"let {name} = {text(node, lets, is_definition=True)}")
        lets[id(node)] = name
    statements += [f"{word} {text(root, lets)}" for word, root in roots]
    return Traced(statements, tracer.inputs, tracer.params)


def evaluated(tracer: Tracer, function: Mod, own: Mod | None, args: list[Symbol]) -> Expr:
    """The expression that a function returns for symbols."""
    try:
        result = function(*args)
        found = tracer.lift(result)
        if not isinstance(found, Symbol):
            raise TypeError(f"the function returns {len(found.sizes)} dimensions of a captured tensor, expected one number")
        return found.expr
    except Exception as error:  # whatever the function raises on symbols
        raise TraceError(described(own, error)) from error


def described(function: Mod | None, error: Exception) -> str:
    """file:line: error: text, and the code of the line that a function was at."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not frame.filename.startswith((PACKAGE, TORCH)) and Path(frame.filename).exists()]
    if frames:
        file, line = frames[-1].filename, frames[-1].lineno or 0
    else:
        code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
        file, line = (code.co_filename, code.co_firstlineno) if code is not None else ("<function>", 0)
    message = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
    source = linecache.getline(file, line).strip()
    return f"{file}:{line}: error: {message}" + (f"\n  {source}" if source else "")


def from_flex(mask_mod: Mod | None = None, score_mod: Mod | None = None, *, name: str | None = None) -> str:
    """The text of a spec that is what FlexAttention computes with these functions.

    mask_mod:  (b, h, q_idx, kv_idx) -> condition, true = attend
    score_mod: (score, b, h, q_idx, kv_idx) -> score
    name:      name of the spec, that of a function if not given

    Tensors that the functions capture are inputs of their names, numbers are parameters with their values as defaults.
    Raises TraceError for what a spec cannot say, with the line of the function.
    """
    traced = trace(mask_mod, score_mod, torch.device("cpu"))
    if name is None:
        name = next((f.__name__ for f in (mask_mod, score_mod) if getattr(f, "__name__", "").isidentifier()), "flex")
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    return traced.text(Names().new(name), ["output lse"], {}, with_values=True)
