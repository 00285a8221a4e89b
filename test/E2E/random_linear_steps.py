# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random steps that are linear in their states: decays, delta rules, removals, writes and reads in any order."""
import random

INPUTS = ("input K: f32[b, h, t, d], K2: f32[b, h, t, d], K3: f32[b, g, t, d], V2: f32[b, h, t, e], A: f32[b, h, t], B: f32[b, h, t], "
          "G: f32[b, h, t, d], w: f32[h, d], S0: f32[b, h, d, e]")
DECAYS = ["sigmoid(A) * S", "exp(-abs(G)) * S", "0.9 * S", "A * S", "exp(-abs(w)) * S", "S * sigmoid(A) / (1.0 + abs(B))",
          "(if A > 0.5 then 0.0 else 1.0) * S", "if A > 0.0 then S else 0.5 * S + K * V"]


def linear_step(number):
    """Text of a recurrence `linear`."""
    rng = random.Random(number)

    def key():
        return rng.choice(["K", "K2", "K3", "K * w", "(K + 0.5 * K2)", "(if w > 0.0 then K else -K2)"])

    def value():
        return rng.choice(["V", "V2", "(V - V2)", "B * V"])

    lines, reads = [rng.choice(["state S[d, e]", "state S[d, e] = S0"])], []
    hasVector = rng.random() < 0.3
    if hasVector:
        lines.append("state Z[d]")
    for place in range(rng.randint(1, 4)):
        kind = rng.choice(["decay", "delta", "remove", "write", "read", "error"])
        if kind == "decay":
            lines.append(f"S = {rng.choice(DECAYS)}")
        elif kind == "delta":
            lines.append(f"S = S + sigmoid(B) * {key()} * ({value()} - sum(S * {key()} for d))")
        elif kind == "error":
            lines.append(f"let error{place}[e] = {value()} - sum(S * {key()} for d)")
            lines.append(f"S = sigmoid(A) * S + B * {key()} * error{place}" + rng.choice(["", f" - 0.3 * {key()} * error{place}"]))
        elif kind == "remove":
            lines.append(f"S = S - {key()} * sum(S * {key()} for d)")
        elif kind == "write":
            lines.append(f"S = S + {key()} * {value()}")
        else:
            lines.append(f"let read{place}[e] = sum(S * {rng.choice(['Q', 'Q * w', key()])} for d)" + rng.choice(["", " + V", " * B"]))
            reads.append(f"read{place}")
    if rng.random() < 0.7:
        lines.append(f"S = S + {key()} * {value()}")
    if hasVector:
        lines.append(f"Z = sigmoid(A) * Z + {key()}")
    out = " + ".join(["sum(S * Q for d)"] + [rng.choice([x, f"sigmoid({x}) * {x}", f"{x} * {x}"]) for x in reads])
    if hasVector:
        out = f"({out}) / (1.0 + abs(sum(Z * Q for d)))"
    return "\n  ".join([f"recurrence linear() {{", INPUTS, *lines, f"out {out}", "output S"]) + "\n}\n"
