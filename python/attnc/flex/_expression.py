# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Expressions of the spec language as a graph: equal ones are one node, and what is used more than once becomes a `let`."""
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Loosest to tightest, as docs/Language.md lists them.
IF, OR, AND, NOT, COMPARISON, BIT_OR, BIT_XOR, BIT_AND, SHIFT, SUM, PRODUCT, UNARY, PRIMARY = range(13)
INFIX = {"or": OR, "and": AND, "<": COMPARISON, "<=": COMPARISON, ">": COMPARISON, ">=": COMPARISON, "==": COMPARISON,
         "!=": COMPARISON, "|": BIT_OR, "^": BIT_XOR, "&": BIT_AND, "<<": SHIFT, ">>": SHIFT, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT}


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """A node. `kind` is "leaf", "infix", "prefix", "if", "call", "read" or "reduce"; `word` its operator, function or name."""

    kind: str
    word: str
    args: tuple[Expr, ...]
    type: str  # "int", "real" or "cond"
    is_local: bool  # it depends on the score or on the index of a reduction, which no `let` may
    is_natural: bool  # an int that is known not to be negative
    value: int | float | bool | None = None  # of a number that is written


class Graph:
    """Makes nodes; knows those that it has made."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Expr] = {}

    def node(self, kind: str, word: str, args: tuple[Expr, ...], type: str, *, is_local: bool = False, is_natural: bool = False,
             value: int | float | bool | None = None) -> Expr:
        # Numbers that are equal may still be written differently: -0.0, and 1 and 1.0 and True.
        key = (kind, word, tuple(map(id, args)), type)
        if key not in self._nodes:
            local = is_local or kind != "reduce" and any(arg.is_local for arg in args)
            self._nodes[key] = Expr(kind, word, args, type, local, is_natural, value)
        return self._nodes[key]

    def name(self, word: str, type: str, **facts: bool) -> Expr:
        return self.node("leaf", word, (), type, **facts)

    def number(self, value: int | float | bool) -> Expr:
        """A number as it is written."""
        if isinstance(value, bool):
            return self.node("leaf", "true" if value else "false", (), "cond", value=value)
        if isinstance(value, int):
            if value < 0:
                return self.node("prefix", "-", (self.number(-value),), "int", value=value)
            return self.node("leaf", str(value), (), "int", is_natural=True, value=value)
        if math.isnan(value):
            raise TypeError("a spec has no number that is NaN")
        if value < 0 or math.copysign(1.0, value) < 0:
            return self.node("prefix", "-", (self.number(-value),), "real", value=value)
        return self.node("leaf", written(value), (), "real", value=value)

    def infix(self, x: Expr, operator: str, y: Expr, type: str, is_natural: bool = False) -> Expr:
        return self.node("infix", operator, (x, y), type, is_natural=is_natural)

    def call(self, function: str, args: Iterable[Expr], type: str, is_natural: bool = False) -> Expr:
        return self.node("call", function, tuple(args), type, is_natural=is_natural)

    def choose(self, condition: Expr, x: Expr, y: Expr) -> Expr:
        kind = "real" if "real" in (x.type, y.type) else x.type
        return self.node("if", "if", (condition, x, y), kind, is_natural=x.is_natural and y.is_natural)


def written(value: float) -> str:
    """A real that is not negative, in the syntax of the language."""
    if math.isinf(value):
        return "inf"
    digits, _, exponent = repr(value).partition("e")
    if "." not in digits:
        digits += ".0"
    return digits + (f"e{int(exponent)}" if exponent else "")


def shared(roots: Iterable[Expr]) -> list[Expr]:
    """What is used more than once and may be a `let`, in an order in which each comes after what it uses."""
    uses: dict[int, int] = {}
    order: list[Expr] = []

    def visit(node: Expr) -> None:
        uses[id(node)] = uses.get(id(node), 0) + 1
        if uses[id(node)] == 1:
            for arg in node.args:
                visit(arg)
            order.append(node)

    for root in roots:
        visit(root)
    return [node for node in order if uses[id(node)] > 1 and not node.is_local and is_worth_a_name(node)]


def is_worth_a_name(node: Expr) -> bool:
    return node.kind not in ("leaf", "prefix")


def text(node: Expr, names: dict[int, str], *, is_definition: bool = False) -> str:
    """The text of a node; `names` are those of nodes that a `let` has."""
    return _text(node, names, is_definition)[0]


def _text(node: Expr, names: dict[int, str], is_definition: bool = False) -> tuple[str, int]:
    """The text, and how tightly it binds."""
    if not is_definition and id(node) in names:
        return names[id(node)], PRIMARY

    def inner(arg: Expr, least: int) -> str:
        found, tightness = _text(arg, names)
        return found if tightness >= least else f"({found})"

    def plain(arg: Expr) -> str:
        return inner(arg, OR) if arg.kind != "if" or id(arg) in names else _text(arg, names)[0]

    if node.kind == "leaf":
        return node.word, PRIMARY
    if node.kind == "prefix":
        level = NOT if node.word == "not" else UNARY
        return f"{node.word}{' ' if node.word == 'not' else ''}{inner(node.args[0], level)}", level
    if node.kind == "infix":
        level = INFIX[node.word]
        # Comparisons do not chain; the others associate to the left, and `and` and `or` to either side.
        left = level + 1 if level == COMPARISON else level
        right = level if node.word in ("and", "or") else level + 1
        return f"{inner(node.args[0], left)} {node.word} {inner(node.args[1], right)}", level
    if node.kind == "if":
        condition, x, y = (inner(arg, OR) for arg in node.args)
        return f"if {condition} then {x} else {y}", IF
    if node.kind == "read":
        return f"{node.word}[{', '.join(map(plain, node.args))}]" if node.args else node.word, PRIMARY
    if node.kind == "reduce":
        function, space = node.word.split()
        return f"{function}({inner(node.args[0], OR)} for {space})", PRIMARY
    assert node.kind == "call"
    return f"{node.word}({', '.join(map(plain, node.args))})", PRIMARY


