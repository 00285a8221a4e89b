# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random recurrences: several states, stages around the step, groups of steps, and gradients of losses."""
from random_attention import Statements
from random_expressions import Tensor


class RecurrenceSpec(Statements):
    def __init__(self, rng, name):
        super().__init__(rng, name)
        self.batch = rng.choice([["b", "h"], ["b", "h"], ["b", "h"], ["b"]])
        self.outer = ["b", "h", "t"]
        self.spaces = ["b", "h", "t", "d", "e"]
        del self.blocks["g"]
        self.operands = [Tensor("Q", "real", ("b", "h", "t", "d")), Tensor("K", "real", ("b", "h", "t", "d")),
                         Tensor("V", "real", ("b", "h", "t", "e"))]
        # A size follows from an input, so the operands are declared even where nothing reads them.
        for operand in self.operands:
            self.add(f"input {operand.name}: dtype[{', '.join(operand.axes)}]")
        self.tensors += self.operands
        self.add_spaces(["d", "d", "e", "t"])
        for _ in range(rng.randint(0, 2)):
            self.add_input()
        self.add_helpers()

    def header(self, word):
        over = f" over t per [{', '.join(self.batch)}]" if len(self.batch) == 1 or self.chance(0.2) else ""
        return super().header(word) + over

    def text(self):
        for _ in range(self.rng.randint(0, 2)):
            self.rng.choice([
                lambda: self.add_tensor(["b", "h", "t", *self.rng.sample(["d", "e"], self.rng.randint(0, 2))],
                                        self.rng.choice(["let", "let", "output"])),
                lambda: self.replace(self.rng.choice(self.operands)), lambda: self.add_quantize(self.rng.choice(self.operands)),
                self.inner_recurrence,
            ])()
        if self.chance(0.25):
            self.inner_recurrence()
        stages = list(self.tensors)
        self.step()
        behind = []
        if self.has_out and len(self.batch) == 2 and self.chance(0.4):
            behind.append("transform out = out * rsqrt(mean(out * out for h for e) + 1.0e-3)")
            self.tensors = [*stages, Tensor("out", "real", ("b", "h", "t", "e"))]
            for line in behind:
                self.add(line)
            if self.chance(0.5):
                self.add_tensor(["b", "h", "t"], "output")
        return "\n".join([f"{self.header('recurrence')} {{", *self.lines, "}", ""])

    def inner_recurrence(self):
        """A recurrence that is a stage before this one."""
        name = self.fresh("r")
        self.lines += [f"  recurrence {name} over t per [b, h] {{", "    state Z[e]", f"    Z = {self.rng.choice(['0.5', '0.9'])} * Z + V",
                       "    out Z", "  }"]
        self.tensors += [Tensor(f"{name}.out", "real", ("b", "h", "t", "e")), Tensor(f"{name}.Z", "real", ("b", "h", "e"))]

    def step(self):
        now = {*self.batch, "t"}
        inner = [s for s in ["d", "e", *self.spaces[5:]] if s not in now]
        grouped = self.chance(0.6)
        if grouped:
            ints = [name for name, kind in self.params if kind == "int"]
            self.add(f"every {self.rng.choice(['1', '2', '3', *[f'max(1, {n})' for n in ints]])}")
        states = []
        for _ in range(self.rng.randint(1, 3)):
            axes = self.rng.sample(inner, self.rng.randint(0, min(2, len(inner))))
            state = Tensor(self.fresh("S"), "real", tuple(axes))
            initial = ""
            if self.chance(0.3):
                initial = f" = {self.expr('real', {*self.batch, *axes}, 1)}"
            self.add(f"state {state.name}[{', '.join(axes)}]{initial}")
            states.append(state)
        # Formulas that stand before the states' declarations do not see them, the step does.
        self.tensors += states
        gradient = ""
        if grouped and self.chance(0.8):
            gradient = self.loss(states[0])
        updated, self.has_out = [], False
        order = [*states, *self.rng.sample(states, 1)]
        for state in order:
            if self.chance(0.35):
                self.step_tensor(inner, now)
            value = self.expr("real", {*now, *state.axes}, 2)
            update = f"{self.rng.choice(['0.5', '0.9'])} * {state.name} + tanh({value})"
            if gradient and state is states[0] and state not in updated:
                update = f"{state.name} - 0.1 * {gradient}"
            self.add(f"{state.name} = {update}")
            updated.append(state)
            if not self.has_out and self.chance(0.5):
                self.put_out(now)
        if not self.has_out and self.chance(0.8):
            self.put_out(now)
        for state in states:
            if not self.has_out or self.chance(0.4):
                self.add(f"output {state.name}")

    def put_out(self, now):
        self.has_out = True
        self.add(f"out {self.expr('real', {*now, 'e'})}")

    def step_tensor(self, inner, now):
        """A tensor of the step, which may be put out."""
        axes = self.rng.sample(inner, self.rng.randint(0, min(2, len(inner))))
        kind, text = "real", self.expr("real", {*now, *axes}, 2)
        name = self.fresh("z")
        if axes and self.chance(0.3):
            text = self.rng.choice([f"softmax({text} over {axes[0]})", f"cumsum({text} over {axes[-1]})", f"cummax({text} over {axes[0]})"])
        self.add(f"let {name}[{', '.join(axes)}] = {text}")
        self.tensors.append(Tensor(name, kind, tuple(axes)))
        if self.chance(0.3):
            self.add(f"output {name}")

    def loss(self, state):
        """A differentiable number that depends on the start of the group's state: its gradient."""
        stage = self.fresh("w")
        self.add(f"let {stage}[{', '.join(state.axes)}] = {self.smooth(f'start({state.name})', state, 2)}")
        tensor = Tensor(stage, "real", state.axes)
        loss = self.fresh("L")
        loops = "".join(f" for {axis}" for axis in state.axes)
        formula = self.smooth(stage, tensor, 2)
        self.add(f"let {loss}[] = " + (f"{self.rng.choice(['sum', 'mean'])}({formula}{loops})" if loops else formula))
        if self.chance(0.3):
            self.add(f"output {loss}")
        return f"grad({loss}, start({state.name}))"

    def smooth(self, text, state, depth):
        """A formula of what has a derivative, at the state's indices."""
        if depth == 0:
            return text
        x, y = self.smooth(text, state, depth - 1), self.smooth(self.rng.choice([text, text, "0.5", "2.0"]), state, depth - 1)
        options = [f"({x} * {y})", f"({x} + {y})", f"({x} - {y})", f"({x} / (2.0 + {y} * {y}))",
                   f"{self.rng.choice(['tanh', 'sin', 'erf', 'sigmoid'])}({x})", f"sqrt(1.0 + {x} * {x})", f"max({x}, 0.1)",
                   f"(if {self.rng.choice(['t > 1', 'b == 0'])} then {x} else {y})"]
        options += [f"{self.rng.choice(['sum', 'mean'])}({x} for {axis})" for axis in state.axes]
        return self.rng.choice(options)
