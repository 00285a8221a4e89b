# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random attentions: stages over tensors, selections, branches with merges and gates, quantization, recurrences as stages."""
from random_expressions import Blocks, Expressions, Tensor

# With a number below the largest of each, which may take its place.
FORMATS = {"int8": 100, "int4": 5.5, "f8E4M3": 240, "f8E5M2": 1000, "f4E2M1": 4, "f16": 448, "bf16": 448, "f32": 448}
SCALED = ("int8", "int4", "f8E4M3", "f8E5M2", "f4E2M1")
ROW = ("b", "h", "q")


class Statements(Expressions):
    """Declarations that attentions and recurrences share. Statements are appended as they are drawn."""

    def __init__(self, rng, name):
        super().__init__(rng)
        self.name, self.lines = name, []
        for _ in range(rng.randint(0, 3)):
            kind = rng.choice(["int", "real"])
            self.params.append((self.fresh("n"), kind))

    def default(self, kind):
        """The default of a parameter; now and then of an int at the ends of its range."""
        if kind == "int" and self.chance(0.15):
            return self.rng.choice(["2147483646", "-2147483646", "1073741824", "65536", "-1", "0"])
        return self.literal(kind)

    def add(self, line):
        self.lines.append(f"  {line}")

    def chance(self, share):
        return self.rng.random() < share

    def header(self, word):
        params = ", ".join(f"{name}: {self.rng.choice(['', 'const '])}{dict(int='int', real='f32')[kind]} = {self.default(kind)}"
                           for name, kind in self.params)
        return f"{word} {self.name}({params})" if params else f"{word} {self.name}"

    def add_spaces(self, parents):
        """Blocks of some spaces and slots, by numbers that are at least 1 whatever the sizes are."""
        def extent():
            return self.rng.choice(["1", "2", "3", "4", "size(d)", "(1 + size(e) / 2)"])

        for _ in range(self.rng.randint(0, 2)):
            name, parent = self.fresh("p"), self.rng.choice(parents)
            overlap = self.chance(0.35)
            stride = f" stride {extent()}" if overlap else ""
            self.add(f"blocks {name} of {parent} by {extent()}{stride}{self.rng.choice(['', '', ' full'])}")
            self.blocks[name] = Blocks(name, parent, overlap)
            self.spaces.append(name)
            parents = [*parents, name]
        if self.chance(0.4):
            name = self.fresh("m")
            if self.chance(0.5):
                self.add(f"slots {name} = {extent()}")
            else:  # as many as the input has
                self.add(f"slots {name}")
                self.add_input([name])
            self.spaces.append(name)

    def add_input(self, some=()):
        axes = [*some, *self.rng.sample(self.outer, self.rng.randint(0, 2))]
        if self.chance(0.15):
            axes.append(self.rng.randint(1, 4))
        element = self.rng.choice(["f32", "f32", "f16", "bf16", "dtype", "i32", "bool"])
        kind = {"i32": "int", "bool": "condition"}.get(element, "real")
        name = self.fresh("x")
        sample = self.rng.choice(["", "", " sample uniform(0, 4)", " sample sorted(0, size(kv))", " sample geometric(1, 0.5)"])
        if kind == "condition":
            sample = self.rng.choice(["", " sample bernoulli(0.5)"])
        self.add(f"input {name}: {element}[{', '.join(map(str, axes))}]{sample}")
        self.tensors.append(Tensor(name, kind, tuple(axes)))

    def add_helpers(self):
        if self.chance(0.3):
            x, y = self.fresh("a"), self.fresh("a")
            name = self.fresh("f")
            self.add(f"def {name}({x}, {y}) = {self.rng.choice([f'{x} * {y} + 0.5', f'tanh({x}) - {y}', f'mean({x} * {y} for d)'])}")
            self.helpers.append(name)

    def row_function(self, axes, kinds=("real", "int", "condition")):
        """A function of the rows of a stage over `axes`: its type and text."""
        axis = self.rng.choice(axes)
        name = self.rng.choice([n for n, k in [("softmax", "real"), ("cumsum", "real"), ("cummax", "real"), ("cumprod", "real"), ("rank", "int"),
                                               ("order", "int"), ("top", "condition"), ("cover", "condition")] if k in kinds])
        condition = f" if {self.expr('condition', set(axes), 1)}" if self.chance(0.3) else ""
        value = self.expr("real", set(axes), 2)
        if name in ("top", "cover"):
            over = [axis]
            if len(axes) > 1 and self.chance(0.25):
                over.append(self.rng.choice([a for a in axes if a != axis]))
            rest = {a for a in axes if a not in over}
            # The amounts must not name the axes of the row, directly or by what follows from them.
            over_text = over[0] if len(over) == 1 else f"[{', '.join(over)}]"
            amounts = [f"{self.expr('int', rest, 1)}"] if name == "top" else [
                self.rng.choice(["0.5", "0.9", self.expr("real", rest, 1)]), self.rng.choice(["inclusive", "exclusive"]),
                *[self.literal("int") for _ in range(self.rng.choice([0, 0, 1, 2]))]]
            return "condition", f"{name}({value} over {over_text}{condition}, {', '.join(amounts)})"
        return {"rank": "int", "order": "int"}.get(name, "real"), f"{name}({value} over {axis}{condition})"

    def add_tensor(self, axes, statement="let"):
        if axes and self.chance(0.5):
            kind, text = self.row_function(axes)
            if self.chance(0.3):  # within a formula
                text = {"real": f"0.5 * {text} + {self.expr('real', set(axes), 1)}", "int": f"{text} + 1", "condition": f"not {text}"}[kind]
        else:
            kind = self.rng.choice(["real", "real", "int", "condition"])
            text = self.expr(kind, set(axes))
        name = self.fresh("y")
        self.add(f"{statement} {name}[{', '.join(axes)}] = {text}")
        self.tensors.append(Tensor(name, kind, tuple(axes)))
        return self.tensors[-1]

    def replace(self, tensor):
        self.add(f"transform {tensor.name} = {self.expr(tensor.type, set(tensor.axes), 2)}")

    def add_quantize(self, tensor):
        def keys():
            drawn = []
            for axis in self.rng.sample(tensor.axes, self.rng.randint(0, len(tensor.axes))):
                drawn.append(self.rng.choice([axis, axis, f"{axis} / 2", f"{axis} % 3", f"({axis} + 1) / 2"]))
            return f"[{', '.join(drawn)}]"

        format = self.rng.choice(list(FORMATS))
        options = []
        if format in SCALED:
            is_static = self.chance(0.2)
            options.append("static 0.125" if is_static else f"per {keys()}")
            scale = self.rng.choice(["f32", "f16", "bf16", "f8E4M3", "f8E5M2"])
            more = [f"scale {scale}", "epsilon 1.0e-4", *([] if is_static else [f"largest {FORMATS[format]}"])]
            options += self.rng.sample(more, self.rng.randint(0, 2))
            if format.startswith("int") and not is_static and self.chance(0.3):
                options.append("asymmetric")
        if self.chance(0.4):
            options.append(f"smooth per {keys()}")
        if self.chance(0.3):
            options.append(f"round {self.rng.choice(['half_even', 'half_away'])}")
        self.rng.shuffle(options)
        self.add(" ".join([f"quantize {tensor.name} as {format}", *options]))


class AttentionSpec(Statements):
    def __init__(self, rng, name):
        super().__init__(rng, name)
        self.outer = ["b", "h", "g", "q", "kv"]
        self.spaces = ["b", "h", "g", "q", "kv", "d", "e"]
        self.operands = [Tensor("Q", "real", ("b", "h", "q", "d")), Tensor("K", "real", ("b", "g", "kv", "d")),
                         Tensor("V", "real", ("b", "g", "kv", "e"))]
        self.tensors += self.operands
        align = rng.choice(["bottom_right", "bottom_right", "top_left", "none"])
        self.has_position = align != "none"
        self.add(f"align {align}")
        # A size follows from an input, so the operands are declared even where nothing reads them.
        for operand in self.operands:
            self.add(f"input {operand.name}: dtype[{', '.join(operand.axes)}]")
        self.add_spaces(["kv", "kv", "kv", "q", "h", "d"])
        for _ in range(rng.randint(0, 2)):
            self.add_input()
        self.add_helpers()

    def text(self):
        for _ in range(self.rng.randint(0, 3)):
            self.rng.choice([
                lambda: self.add_tensor(self.axes()), lambda: self.add_tensor(self.axes(), "output"),
                lambda: self.replace(self.rng.choice(self.operands)), lambda: self.add_quantize(self.rng.choice(self.operands)),
                lambda: self.add_quantize(self.rng.choice([t for t in self.tensors if t.type == "real" and t.axes
                                                           and not any(isinstance(a, int) for a in t.axes)])),
            ])()
        form = self.rng.random()
        if form < 0.45:
            self.stage("  ", self.operands[1], keep_align=True)
            if self.chance(0.4):
                self.add("output lse")
        elif form < 0.85:
            self.branches()
        else:
            self.recurrence_stage()
        for tensor in self.tensors:
            if tensor.name.startswith("y") and f"output {tensor.name}[" not in "\n".join(self.lines) and self.chance(0.3):
                self.add(f"output {tensor.name}")
        return "\n".join([f"{self.header('attention')} {{", *self.lines, "}", ""])

    def axes(self):
        known = ["b", "h", "q", "kv", "g", "d", "e", *[s for s in self.spaces if s[0] in "pm"]]
        axes = self.rng.sample(known, self.rng.randint(0, 3))
        return [a for a in axes if not (a == "g" and "h" in axes)]

    def key_set(self, space):
        """A set over the keys, or over blocks of them: its name."""
        blocks = [b.name for b in self.blocks.values() if b.parent == space]
        axes = [*self.rng.sample(["b", "h", "q"], self.rng.randint(0, 3)), self.rng.choice([space, *blocks, *blocks])]
        if "h" in axes and self.chance(0.3):
            axes[axes.index("h")] = "g"
        if self.chance(0.7):
            _, text = self.row_function(axes, ("condition",))
            if self.chance(0.4):
                text = f"{text} or {axes[-1]} == 0"
        else:
            text = self.expr("condition", set(axes))
        name = self.fresh("keep")
        self.add(f"let {name}[{', '.join(axes)}] = {text}")
        return name

    def stage(self, indent, key, before=(), keep_align=False):
        """The statements of one attention stage with the keys of `key`, in any order but for `before`."""
        space = key.axes[-2]
        point, row = {*ROW, space}, set(ROW)
        statements = []
        if self.chance(0.5):
            keep = self.key_set(space)
            statements.append(f"over {keep}")
        if self.chance(0.2):
            statements.append(f"scale {self.rng.choice(['0.5', '1.0 / sqrt(size(d))', '1.0'])}")
        scores = self.rng.choice([0, 0, 1, 2])
        for _ in range(scores):
            bias = self.expr("real", point, 2)
            statements.append("score " + self.rng.choice([f"s + {bias}", f"s * tanh({bias})", f"10.0 * tanh(s / 10.0)",
                                                          f"if {self.expr('condition', point, 1)} then s else {bias}"]))
        if self.chance(0.7):
            statements.append(f"mask {self.expr('condition', point)}")
        if self.chance(0.3):
            statements.append(f"sink {self.expr('real', row, 2)}")
        if self.chance(0.15):
            statements.append(f"precision {self.rng.choice(['f32', 'tf32'])}")
        if self.chance(0.3):
            statements.append(f"tile {self.rng.choice(['1', '2', '4', '64', 'size(d)'])}")
            if self.chance(0.5):
                per = [b.name for b in self.blocks.values() if b.parent == "q" and not b.overlap]
                per = f" per {self.rng.choice(per)}" if per and self.chance(0.7) else ""
                rule = self.rng.choice(["tile_max < running_max - 1.0", "tile_max + 0.5 < 0", "running_max > 2.0 and tile_max < 1.0"])
                statements.append(f"skip {rule}{per}")
            if self.chance(0.6):
                format = self.rng.choice(list(FORMATS))
                options = ["", f" static {FORMATS[format]}"] + ([" group 2", " group 4"] if format in SCALED else [])
                statements.append(f"quantize P as {format}" + self.rng.choice(options))
        self.rng.shuffle(statements)
        for statement in [*before, *statements]:
            self.lines.append(indent + statement)

    def branch(self):
        name = self.fresh("branch_")
        pooled = [b for b in self.blocks.values() if b.parent == "kv"]
        before, key = [], self.operands[1]
        if pooled and self.chance(0.5):
            p = self.rng.choice(pooled).name
            key, value = (Tensor(self.fresh("pooled"), "real", ("b", "g", p, axis)) for axis in "de")
            for tensor, of in ((key, "K"), (value, "V")):
                self.add(f"let {tensor.name}[{', '.join(tensor.axes)}] = {self.rng.choice(['mean', 'max', 'sum'])}({of} for kv in {p})")
            before.append(f"keys {key.name}, {value.name}")
        if self.chance(0.2):
            queries = self.fresh("rows")
            self.add(f"let {queries}[b, h, q, d] = {self.expr('real', {'b', 'h', 'q', 'd'}, 2)}")
            before.append(f"queries {queries}")
        # What the stage declares stands before the branch, so its lines are taken out and put behind.
        start = len(self.lines)
        self.stage("    ", key, before)
        inner = [line for line in self.lines[start:] if line.startswith("    ")]
        self.lines[start:] = [line for line in self.lines[start:] if not line.startswith("    ")]
        self.lines += [f"  branch {name} {{", *inner, "  }"]
        return name, key.axes[-2]

    def branches(self):
        names = []
        for _ in range(self.rng.randint(1, 3)):
            name, space = self.branch()
            names.append(name)
            if self.chance(0.3):
                extra = self.fresh("y")
                self.add(f"output {extra}[b, h, q] = {self.rng.choice(['sum', 'max'])}({name}.p for {space})")
                self.tensors.append(Tensor(extra, "real", ROW))
            self.tensors += [Tensor(f"{name}.lse", "real", ROW), Tensor(f"{name}.out", "real", (*ROW, "e"))]
        if len(names) > 1 and self.chance(0.4):
            merged = self.fresh("merged")
            self.add(f"branch {merged} = merge({', '.join(names)})")
            names.append(merged)
            self.tensors.append(Tensor(f"{merged}.lse", "real", ROW))
            if self.chance(0.5):
                self.add(f"output lse[b, h, q] = {merged}.lse")
        if len(names) > 1 and self.chance(0.4):
            merged = f"merge({', '.join(self.rng.sample(names, len(names)))})"
            self.add(f"out {merged}" if self.chance(0.7) else f"out 0.5 * {merged}.out + tanh({merged}.lse)")
        else:
            gates = [f"sigmoid({self.expr('real', set(ROW), 1)}) * {name}.out" for name in names]
            self.add(f"out {' + '.join(gates)}")

    def recurrence_stage(self):
        name, gated = self.fresh("r"), self.chance(0.5)
        near = self.branch()[0] if gated else ""
        decay = self.rng.choice(["0.5", "exp(-0.1)", "sigmoid(sum(K for d))"])
        self.lines += [f"  recurrence {name} over kv per [b, g] {{", "    state S[d, e]", f"    S = {decay} * S + K * V"]
        if self.chance(0.5):
            self.lines += ["    state z[d]", "    z = z + K"]
        self.lines += [f"    out {self.rng.choice(['sum(S * K for d)', 'sum(S for d) / size(d)', 'V - sum(S * K for d)'])}", "  }"]
        at = "q" if self.has_position else "0"
        reads = [f"{name}.out[kv = {at}]", f"sum(Q * {name}.S for d)", f"mean({name}.out for kv)"]
        if self.chance(0.4):  # a result of every step
            seen = self.fresh("w")
            self.lines[-1:] = [f"    let {seen}[d, e] = tanh(S) * V", f"    output {seen}", "  }"]
            reads += [f"sum({name}.{seen}[kv = {at}] for d)", f"mean({name}.{seen}[d = 0] for kv)"]
        read = self.rng.choice(reads)
        rest = f" + {near}.out" if gated else " + 0.0 * sum(Q for d)"
        self.add(f"out {read}{rest}")
