# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions and methods of torch on symbols, as expressions of the spec language.

Each takes expressions, one for each tensor argument; Tracer lifts them to the elements of captured tensors.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ._expression import Expr, Graph

Function = Callable[..., Expr]
ELEMENTWISE: dict[str, Function] = {}


def function(*names: str) -> Callable[[Function], Function]:
    def add(f: Function) -> Function:
        for name in names:
            ELEMENTWISE[name] = f
        return f
    return add


def as_int(graph: Graph, x: Expr) -> Expr:
    """A condition as 1 or 0."""
    return graph.call("i32", [x], "int", True) if x.type == "cond" else x


def as_real(graph: Graph, x: Expr) -> Expr:
    if x.type == "real":
        return x
    if x.value is not None:
        return graph.number(float(x.value))
    return graph.call("f32", [x], "real")


def as_cond(graph: Graph, x: Expr) -> Expr:
    return x if x.type == "cond" else graph.infix(x, "!=", graph.number(0) if x.type == "int" else graph.number(0.0), "cond")


def arithmetic(operator: str, keeps_natural: bool) -> Function:
    def apply(graph: Graph, x: Expr, y: Expr, alpha: Any = 1) -> Expr:
        if alpha != 1:
            y = multiply(graph, y, graph.number(alpha))
        x, y = as_int(graph, x), as_int(graph, y)
        kind = "real" if "real" in (x.type, y.type) else "int"
        return graph.infix(x, operator, y, kind, keeps_natural and kind == "int" and x.is_natural and y.is_natural)
    return apply


add = function("add", "__add__", "__radd__")(arithmetic("+", True))
subtract = function("sub", "subtract", "__sub__")(arithmetic("-", False))
multiply = function("mul", "multiply", "__mul__", "__rmul__")(arithmetic("*", True))


@function("rsub", "__rsub__")
def reverse_subtract(graph: Graph, x: Expr, y: Expr) -> Expr:
    return subtract(graph, y, x)


@function("div", "divide", "true_divide", "__truediv__", "__div__")
def divide(graph: Graph, x: Expr, y: Expr, rounding_mode: str | None = None) -> Expr:
    if rounding_mode == "floor":
        return floor_divide(graph, x, y)
    if rounding_mode is not None:
        raise TypeError(f"there is no translation of a division with rounding_mode={rounding_mode!r}; `//` rounds down")
    if "real" not in (x.type, y.type):
        y = as_real(graph, y)  # `/` of two ints is floor division in a spec
    return graph.infix(as_int(graph, x), "/", as_int(graph, y), "real")


@function("__rtruediv__", "__rdiv__", "reciprocal")
def reverse_divide(graph: Graph, x: Expr, y: Expr | None = None) -> Expr:
    return divide(graph, graph.number(1.0) if y is None else y, x)


@function("floor_divide", "__floordiv__")
def floor_divide(graph: Graph, x: Expr, y: Expr) -> Expr:
    x, y = as_int(graph, x), as_int(graph, y)
    if "real" in (x.type, y.type):
        return graph.call("floor", [divide(graph, x, y)], "real")
    return graph.infix(x, "/", y, "int", x.is_natural and y.is_natural)


@function("__rfloordiv__")
def reverse_floor_divide(graph: Graph, x: Expr, y: Expr) -> Expr:
    return floor_divide(graph, y, x)


@function("remainder", "__mod__")
def remainder(graph: Graph, x: Expr, y: Expr) -> Expr:
    x, y = as_int(graph, x), as_int(graph, y)
    if "real" in (x.type, y.type):
        return subtract(graph, x, multiply(graph, y, floor_divide(graph, x, y)))
    return graph.infix(x, "%", y, "int", y.is_natural)  # the sign of the divisor, as in Python


@function("__rmod__")
def reverse_remainder(graph: Graph, x: Expr, y: Expr) -> Expr:
    return remainder(graph, y, x)


@function("pow", "__pow__")
def power(graph: Graph, x: Expr, y: Expr) -> Expr:
    if isinstance(y.value, int) and not isinstance(y.value, bool) and 1 <= y.value <= 8:
        result = x = as_int(graph, x)
        for _ in range(y.value - 1):
            result = multiply(graph, result, x)
        return result
    return graph.call("pow", [as_real(graph, x), as_real(graph, y)], "real")


@function("__rpow__")
def reverse_power(graph: Graph, x: Expr, y: Expr) -> Expr:
    return power(graph, y, x)


@function("square")
def square(graph: Graph, x: Expr) -> Expr:
    return multiply(graph, x, x)


@function("neg", "negative", "__neg__")
def negate(graph: Graph, x: Expr) -> Expr:
    return graph.node("prefix", "-", (as_int(graph, x),), as_int(graph, x).type)


@function("positive", "clone", "detach", "contiguous", "view_as", "unsqueeze", "squeeze", "expand", "view", "reshape", "item_")
def same(graph: Graph, x: Expr, *_: Any, **__: Any) -> Expr:
    return x


def comparison(operator: str) -> Function:
    def apply(graph: Graph, x: Expr, y: Expr) -> Expr:
        if x.type == y.type == "cond":
            if operator in ("==", "!="):
                return graph.infix(x, operator, y, "cond")
        return graph.infix(as_int(graph, x), operator, as_int(graph, y), "cond")
    return apply


for _names, _operator in {("lt", "less", "__lt__"): "<", ("le", "less_equal", "__le__"): "<=", ("gt", "greater", "__gt__"): ">",
                          ("ge", "greater_equal", "__ge__"): ">=", ("eq", "__eq__"): "==", ("ne", "not_equal", "__ne__"): "!="}.items():
    function(*_names)(comparison(_operator))


def conjunction(graph: Graph, x: Expr, y: Expr) -> Expr:
    for one, other in ((x, y), (y, x)):
        if one.value is not None:
            return other if one.value else one
    return graph.infix(x, "and", y, "cond")


def disjunction(graph: Graph, x: Expr, y: Expr) -> Expr:
    for one, other in ((x, y), (y, x)):
        if one.value is not None:
            return one if one.value else other
    return graph.infix(x, "or", y, "cond")


def unequal(graph: Graph, x: Expr, y: Expr) -> Expr:
    return graph.infix(x, "!=", y, "cond")


def complement(graph: Graph, x: Expr) -> Expr:
    return graph.number(not x.value) if x.value is not None else graph.node("prefix", "not", (x,), "cond")


for _name, _logic in {"and": conjunction, "or": disjunction, "xor": unequal}.items():
    def _logical(graph: Graph, x: Expr, y: Expr, logic: Function = _logic) -> Expr:
        return logic(graph, as_cond(graph, x), as_cond(graph, y))

    def _bitwise(graph: Graph, x: Expr, y: Expr, logic: Function = _logic, name: str = _name) -> Expr:
        if x.type == y.type == "cond":
            return logic(graph, x, y)
        return bits(graph, name, as_int(graph, x), as_int(graph, y))

    function(f"logical_{_name}")(_logical)
    function(f"bitwise_{_name}", f"__{_name}__", f"__r{_name}__")(_bitwise)


def bits(graph: Graph, name: str, x: Expr, y: Expr) -> Expr:
    """A bitwise operator on ints."""
    for value, mask in ((x, y), (y, x)):
        # The low bits of an int are its remainder, whatever its sign.
        if name == "and" and isinstance(mask.value, int) and mask.value >= 0 and (mask.value + 1) & mask.value == 0:
            return remainder(graph, value, graph.number(mask.value + 1))
    natural = x.is_natural or y.is_natural if name == "and" else x.is_natural and y.is_natural
    return graph.infix(x, {"and": "&", "or": "|", "xor": "^"}[name], y, "int", is_natural=natural)


@function("bitwise_not", "logical_not", "__invert__")
def invert(graph: Graph, x: Expr) -> Expr:
    if x.type == "cond":
        return complement(graph, x)
    return subtract(graph, negate(graph, x), graph.number(1))  # two's complement


def shift(graph: Graph, x: Expr, operator: str, y: Expr) -> Expr:
    """A shift by a count that is computed. One outside of 0 to 31, which PyTorch leaves undefined, shifts all bits out."""
    if isinstance(y.value, int):
        raise TypeError(f"a shift by {y.value}: expected a count from 0 to 31")
    return graph.infix(as_int(graph, x), operator, as_int(graph, y), "int", is_natural=operator == ">>" and x.is_natural)


@function("bitwise_left_shift", "__lshift__")
def shift_left(graph: Graph, x: Expr, y: Expr) -> Expr:
    if isinstance(y.value, int) and 0 <= y.value < 31:
        return multiply(graph, x, graph.number(1 << y.value))
    return shift(graph, x, "<<", y)


@function("bitwise_right_shift", "__rshift__")
def shift_right(graph: Graph, x: Expr, y: Expr) -> Expr:
    if isinstance(y.value, int) and 0 <= y.value < 31:
        return floor_divide(graph, x, graph.number(1 << y.value))
    return shift(graph, x, ">>", y)


@function("where")
def where(graph: Graph, condition: Expr, x: Expr, y: Expr) -> Expr:
    if x.type != y.type:
        x, y = as_int(graph, x), as_int(graph, y)
    return graph.choose(as_cond(graph, condition), x, y)


@function("masked_fill")
def masked_fill(graph: Graph, x: Expr, mask: Expr, value: Expr) -> Expr:
    return where(graph, mask, value, x)


def extreme(word: str) -> Function:
    def apply(graph: Graph, x: Expr, y: Expr) -> Expr:
        x, y = as_int(graph, x), as_int(graph, y)
        kind = "real" if "real" in (x.type, y.type) else "int"
        natural = (x.is_natural or y.is_natural) if word == "max" else x.is_natural and y.is_natural
        return graph.call(word, [x, y], kind, kind == "int" and natural)
    return apply


smaller = function("minimum", "fmin")(extreme("min"))
larger = function("maximum", "fmax")(extreme("max"))


@function("clamp", "clip")
def clamp(graph: Graph, x: Expr, min: Expr | None = None, max: Expr | None = None) -> Expr:
    if min is not None:
        x = larger(graph, x, min)
    return x if max is None else smaller(graph, x, max)


@function("clamp_min")
def clamp_min(graph: Graph, x: Expr, min: Expr) -> Expr:
    return larger(graph, x, min)


@function("clamp_max")
def clamp_max(graph: Graph, x: Expr, max: Expr) -> Expr:
    return smaller(graph, x, max)


@function("relu")
def relu(graph: Graph, x: Expr, inplace: bool = False) -> Expr:
    return larger(graph, x, graph.number(0.0 if x.type == "real" else 0))


@function("abs", "absolute", "__abs__")
def absolute(graph: Graph, x: Expr) -> Expr:
    x = as_int(graph, x)
    return graph.call("abs", [x], x.type, x.type == "int")


@function("sign", "sgn")
def sign(graph: Graph, x: Expr) -> Expr:
    return graph.call("sign", [as_int(graph, x)], as_int(graph, x).type)


def of_real(word: str) -> Function:
    return lambda graph, x: graph.call(word, [as_real(graph, x)], "real")


for _name, _word in {"exp": "exp", "exp2": "exp2", "log": "ln", "log2": "log2", "sqrt": "sqrt", "rsqrt": "rsqrt", "tanh": "tanh",
                     "sigmoid": "sigmoid", "sin": "sin", "cos": "cos", "erf": "erf"}.items():
    function(_name)(of_real(_word))


def of_whole(word: str) -> Function:
    return lambda graph, x: x if x.type == "int" else graph.call(word, [x], "real")


for _name in ("floor", "ceil", "round"):
    function(_name)(of_whole(_name))


@function("trunc", "fix")
def truncate(graph: Graph, x: Expr) -> Expr:
    return where(graph, comparison("<")(graph, x, graph.number(0.0)), graph.call("ceil", [x], "real"), graph.call("floor", [x], "real"))


@function("log1p")
def log1p(graph: Graph, x: Expr) -> Expr:
    return graph.call("ln", [add(graph, graph.number(1.0), as_real(graph, x))], "real")


@function("silu")
def silu(graph: Graph, x: Expr, inplace: bool = False) -> Expr:
    return multiply(graph, x, graph.call("sigmoid", [x], "real"))


@function("softplus")
def softplus(graph: Graph, x: Expr) -> Expr:
    tail = graph.call("exp", [negate(graph, absolute(graph, x))], "real")
    return add(graph, larger(graph, x, graph.number(0.0)), graph.call("ln", [add(graph, graph.number(1.0), tail)], "real"))


@function("gelu")
def gelu(graph: Graph, x: Expr, approximate: str = "none") -> Expr:
    half = multiply(graph, graph.number(0.5), x)
    if approximate == "none":
        inner = graph.call("erf", [multiply(graph, x, graph.number(math.sqrt(0.5)))], "real")
    else:
        cube = multiply(graph, graph.number(0.044715), power(graph, x, graph.number(3)))
        inner = graph.call("tanh", [multiply(graph, graph.number(math.sqrt(2 / math.pi)), add(graph, x, cube))], "real")
    return multiply(graph, half, add(graph, graph.number(1.0), inner))


@function("isinf")
def is_infinite(graph: Graph, x: Expr) -> Expr:
    return graph.infix(graph.call("abs", [x], "real"), "==", graph.number(math.inf), "cond")


@function("isnan")
def is_nan(graph: Graph, x: Expr) -> Expr:
    return graph.infix(x, "!=", x, "cond")


@function("to_int", "int", "long")
def to_int(graph: Graph, x: Expr) -> Expr:
    return x if x.type == "int" else graph.call("i32", [x], "int", x.type == "cond")


@function("to_real", "float", "double")
def to_real(graph: Graph, x: Expr) -> Expr:
    return as_real(graph, x)


@function("to_cond", "bool")
def to_cond(graph: Graph, x: Expr) -> Expr:
    return as_cond(graph, x)
