# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The words of the spec language with a sentence on each, for editors. test/Python/test_words.py holds them against the parser's."""

STATEMENTS = {
    "align": "`align bottom_right`, `top_left` or `none`: where queries lie on the key axis.",
    "precision": "`precision f32` or `tf32`: of products of f32 operands.",
    "input": "`input NAME: TYPE[AXES]`: a tensor that the caller binds.",
    "let": "`let NAME = X` names a value, `let NAME[AXES] = X` makes a tensor of it.",
    "def": "`def NAME(ARGS) = X`: a helper.",
    "scale": "`scale X`: what scores are multiplied by; 1 / sqrt(size(d)) if not written.",
    "score": "`score X`: the new score; `s` is the one before it.",
    "mask": "`mask X`: a condition; a row attends to a key where it is true.",
    "sink": "`sink X`: a score that joins the denominator only.",
    "output": "`output lse`, `output NAME` or `output NAME[AXES] = X`: a further result.",
    "blocks": "`blocks NAME of SPACE by N`: consecutive indices form blocks.",
    "slots": "`slots NAME = N`: an index space of that size; without a size, as large as the tensor that has it.",
    "transform": "`transform NAME = X`: what takes the place of an input.",
    "quantize": "`quantize NAME as FORMAT per [KEYS]`: rounds a tensor to a format.",
    "branch": "`branch NAME { ... }`: an attention with statements of its own.",
    "queries": "`queries NAME`: the queries of a branch.",
    "keys": "`keys K, V`: the keys and values of a branch.",
    "over": "`over NAME`: the set of keys that a stage has selected.",
    "tile": "`tile N`: keys that are taken together, where the meaning depends on it.",
    "skip": "`skip X`: leaves a tile out of a row where X holds.",
    "out": "`out X`: the result.",
    "recurrence": "`recurrence NAME { ... }`: states that are updated step by step.",
    "state": "`state NAME[AXES]`: a state of a recurrence.",
    "every": "`every N`: groups the steps of a recurrence.",
}

RESERVED = {
    "attention": "`attention NAME(PARAMS) { ... }`: a variant.",
    "if": "`if C then X else Y`",
    "then": "`if C then X else Y`",
    "else": "`if C then X else Y`; in brackets, `X[i else Y]` is Y outside of the axis.",
    "and": "Both conditions.",
    "or": "One condition or both.",
    "not": "The other condition.",
    "true": "The condition that holds.",
    "false": "The condition that does not.",
}

CLAUSES = {
    "const": "A parameter that is fixed when the spec is compiled.",
    "sample": "How tests draw an input that nothing is bound to.",
    "reuses": "`output NAME reuses INPUT`: a caller may pass one tensor for both.",
    "per": "`per [AXES]`: what each combination of indices has for itself.",
    "as": "`quantize NAME as FORMAT`",
    "of": "`blocks NAME of SPACE by N`",
    "by": "`blocks NAME of SPACE by N`",
    "stride": "`by N stride M`: blocks begin M apart.",
    "full": "Only whole blocks.",
    "for": "`sum(X for SPACE)`: a reduction.",
    "in": "`for SPACE in BLOCK`: the members of a block.",
    "size": "`size(X)`: the number of indices of a space.",
}

TYPES = {
    "f32": "32-bit reals.", "f16": "16-bit reals.", "bf16": "16-bit reals with the range of f32.", "i32": "32-bit ints.", "int": "32-bit ints.",
    "bool": "Conditions.", "dtype": "The type that Q, K and V share.",
}

FUNCTIONS = {
    "min": "The least number.", "max": "The largest number.", "abs": "Without the sign.", "sign": "-1, 0 or 1.",
    "floor": "The next whole number below.", "ceil": "The next whole number above.", "round": "The nearest whole number; ties to even.",
    "exp": "e to the power of x.", "exp2": "2 to the power of x.", "ln": "The natural logarithm.", "log2": "The logarithm to base 2.",
    "sqrt": "The square root.", "rsqrt": "1 / sqrt(x).", "tanh": "The hyperbolic tangent.", "sin": "The sine.", "cos": "The cosine.",
    "erf": "The error function.", "pow": "`pow(x, y)`: x to the power of y.", "sigmoid": "1 / (1 + exp(-x)).",
    "sum": "`sum(X for SPACE)`", "mean": "`mean(X for SPACE)`", "prod": "`prod(X for SPACE)`", "argmax": "The index of the largest; the first of several.",
    "argmin": "The index of the least; the first of several.", "any": "Whether one holds.", "all": "Whether all hold.",
    "softmax": "`softmax(X over p)`: exp(x) divided by the row's sum.", "cumsum": "The sum up to and including the entry.",
    "cumprod": "The product up to and including the entry.", "cummax": "The maximum up to and including the entry.",
    "rank": "How many entries come before it when the largest comes first.", "order": "The index of the entry that has this rank.",
    "top": "`top(X over p, n)`: among the n largest.", "cover": "`cover(X over p, c, inclusive)`: among the largest whose sum reaches c times the row's.",
    "first": "The first index of a block.", "last": "The last index of a block.",
    "uniform": "`uniform(seed, i, ...)`: a real in [0, 1) that depends on its arguments alone.",
    "start": "`start(S)`: the state at the start of the group of steps.", "grad": "`grad(L, start(S))`: a derivative.",
    "merge": "`merge(a, b)`: branches as one softmax.",
}

SPACES = {
    "b": "Batch elements.", "h": "Query heads.", "g": "Kv heads.", "q": "In an expression, the query's position on the key axis; in a bracket, its row.",
    "kv": "Keys.", "t": "Steps of a recurrence.", "d": "The dimension of queries and keys.", "e": "The dimension of values.",
}

#: All of them.
WORDS = {**SPACES, **FUNCTIONS, **TYPES, **CLAUSES, **RESERVED, **STATEMENTS}
