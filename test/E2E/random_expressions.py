# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random expressions of the spec language, well-typed by construction: what random specs are made of."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What a name stands for: the type of an element, and the axes, index spaces or sizes."""
    name: str
    type: str
    axes: tuple


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Blocks of `parent`. A member knows its block if the blocks do not overlap."""
    name: str
    parent: str
    overlap: bool


class Expressions:
    """Draws expressions over what is declared. Coordinates are the index spaces that have a current index."""

    def __init__(self, rng):
        self.rng = rng
        self.spaces = []   # spaces that a reduction may run over
        self.blocks = {"g": Blocks("g", "h", False)}
        self.tensors, self.params, self.helpers = [], [], []
        self.has_position = False  # whether `q` may be written
        self.count = 0

    def fresh(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def has_index(self, space, coordinates):
        if space in coordinates:
            return True
        blocks = self.blocks.get(space)
        return bool(blocks) and not blocks.overlap and self.has_index(blocks.parent, coordinates)

    # Leaves

    def literal(self, kind):
        if kind == "int":
            if self.rng.random() < 0.04:  # ints wrap around at 32 bits
                return str(self.rng.choice([65536, 1073741824, 2147483600, 2147483647]))
            return str(self.rng.choice([0, 1, 2, 3, 5, 8, 17]))
        if kind == "real":
            return self.rng.choice(["0.5", "1.0", "2.0", "0.125", "3.0", "1.0e-3"])
        return self.rng.choice(["true", "false"])

    def leaf(self, kind, coordinates):
        options = [lambda: self.literal(kind)]
        found = [t for t in self.tensors if t.type == kind]
        if found:
            options += [lambda: self.read(self.rng.choice(found), coordinates)] * 4
        params = [name for name, type in self.params if type == kind]
        if params:
            options.append(lambda: self.rng.choice(params))
        if kind == "int":
            options += [lambda: self.index(coordinates)] * 3
            options.append(lambda: f"size({self.rng.choice(self.spaces)})")
            blocks = [p for p in self.blocks if p != "g" and self.has_index(p, coordinates)]
            if blocks:
                options.append(lambda: f"{self.rng.choice(['first', 'last'])}({self.rng.choice(blocks)})")
        if kind == "real":
            options.append(lambda: f"uniform({self.literal('int')}, {self.index(coordinates)})")
        return self.rng.choice(options)()

    def index(self, coordinates):
        known = [c for c in sorted(coordinates) if c != "q" or self.has_position]
        return self.rng.choice(known) if known else self.literal("int")

    def read(self, tensor, coordinates):
        """An element: at the current indices as far as there are, else at indices that are written."""
        fixed = any(isinstance(axis, int) for axis in tensor.axes)
        if fixed or (tensor.axes and self.rng.random() < 0.1):
            return f"{tensor.name}[{', '.join(self.index(coordinates) for _ in tensor.axes)}]"
        written = [axis for axis in tensor.axes if not self.has_index(axis, coordinates) or self.rng.random() < 0.1]
        if not written:
            return tensor.name
        indices = []
        for axis in written:
            value = self.index(coordinates)
            if self.rng.random() < 0.3:
                value = f"{value} {self.rng.choice('+-*')} {self.literal('int')}"
            indices.append(f"{axis} = {value}")
        fill = f" else {self.literal(tensor.type)}" if self.rng.random() < 0.2 else ""
        return f"{tensor.name}[{', '.join(indices)}{fill}]"

    # Expressions

    def expr(self, kind, coordinates, depth=3):
        if depth == 0 or self.rng.random() < 0.15:
            return self.leaf(kind, coordinates)
        if self.rng.random() < 0.25:
            return self.reduction(kind, coordinates, depth - 1)
        if self.rng.random() < 0.1:
            c, x, y = (self.expr(k, coordinates, depth - 1) for k in ("condition", kind, kind))
            return f"(if {c} then {x} else {y})"
        return {"int": self.int, "real": self.real, "condition": self.condition}[kind](coordinates, depth - 1)

    def nested(self, coordinates):
        """An int within up to 16 others."""
        text = self.leaf("int", coordinates)
        for _ in range(self.rng.randint(4, 16)):
            leaf = self.leaf("int", coordinates)
            text = self.rng.choice([f"abs({text} - {leaf})", f"min({text}, {leaf})", f"max({leaf}, {text})", f"({text} + {leaf})"])
        return text

    def int(self, coordinates, depth):
        if self.rng.random() < 0.03:
            return self.nested(coordinates)
        x, y = self.expr("int", coordinates, depth), self.expr("int", coordinates, depth)
        divisor = self.rng.choice(["2", "3", "-4", f"(1 + abs({y}))", f"size({self.rng.choice(self.spaces)})"])
        return self.rng.choice([
            f"({x} {self.rng.choice('+-*')} {y})", f"({x} {self.rng.choice('/%')} {divisor})", f"min({x}, {y})", f"max({x}, {y}, 2)",
            f"abs({x})", f"sign({x})", f"(-{x})", f"i32({self.expr('condition', coordinates, depth)})",
            f"({x} {self.rng.choice('&|^')} {y})", f"(~{x})", f"({x} {self.rng.choice(['<<', '>>'])} {self.count_of(y)})",
            f"i32({self.expr('real', coordinates, depth)})",
        ])

    def count_of(self, value):
        """How far a shift goes: a number that is known is from 0 to 31, any other is defined whatever it is."""
        unknown = f"({value} + size({self.rng.choice(self.spaces)}))"
        return self.rng.choice([str(self.rng.choice([0, 1, 4, 7, 30, 31])), f"({unknown} % 40)", unknown])

    def real(self, coordinates, depth):
        x, y = self.expr("real", coordinates, depth), self.expr(self.rng.choice(["real", "real", "int"]), coordinates, depth)
        if self.helpers and self.rng.random() < 0.1:
            return f"{self.rng.choice(self.helpers)}({x}, {y})"
        return self.rng.choice([
            f"({x} {self.rng.choice('+-*')} {y})", f"({x} / (2.0 + abs({y})))", f"min({x}, {y})", f"max({x}, {y})",
            f"{self.rng.choice(['tanh', 'sin', 'cos', 'erf', 'sigmoid', 'floor', 'ceil', 'round', 'abs', 'sign'])}({x})",
            f"{self.rng.choice(['exp', 'exp2'])}(min({x}, 2.0))", f"{self.rng.choice(['ln', 'log2', 'sqrt', 'rsqrt'])}(abs({x}) + 0.1)",
            f"pow(abs({x}) + 0.5, 1.5)", f"(-{x})", f"f32({self.expr('condition', coordinates, depth)})",
        ])

    def condition(self, coordinates, depth):
        kind = self.rng.choice(["int", "int", "real"])
        x, y = self.expr(kind, coordinates, depth), self.expr(kind, coordinates, depth)
        if self.rng.random() < 0.6:
            return f"({x} {self.rng.choice(['<', '<=', '>', '>=', '==', '!='])} {y})"
        c, d = self.expr("condition", coordinates, depth), self.expr("condition", coordinates, depth)
        return self.rng.choice([f"({c} and {d})", f"({c} or {d})", f"(not {c})", f"({c} == {d})"])

    def reduction(self, kind, coordinates, depth):
        name = self.rng.choice({"int": ["sum", "max", "min", "argmax", "argmin", "prod"],
                                "real": ["sum", "sum", "mean", "max", "min", "prod"], "condition": ["any", "all"]}[kind])
        inner, loops, plain = set(coordinates), "", True
        for _ in range(1 if name.startswith("arg") else self.rng.choice([1, 1, 2])):
            within = [b for b in self.blocks.values() if b.parent in self.spaces and self.has_index(b.name, inner)]
            if within and self.rng.random() < 0.5 and (plain or name != "mean") and not (name == "mean" and loops):
                blocks = self.rng.choice(within)
                loops += f" for {blocks.parent} in {blocks.name}"
                inner.add(blocks.parent)
                if name == "mean":
                    plain = False
                    break
            else:
                space = self.rng.choice(self.spaces)
                loops += f" for {space}"
                inner.add(space)
        operand = self.rng.choice(["int", "real"]) if name.startswith("arg") else kind
        value = self.expr(operand, inner, depth)
        condition = ""
        if self.rng.random() < 0.25 and (name != "mean" or loops.count(" for ") == 1):
            condition = f" if {self.expr('condition', inner, depth)}"
        return f"{name}({value}{loops}{condition})"
