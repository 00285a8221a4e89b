# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes specs that are valid but long, deep or full of shared values, and junk, into a folder: large_specs.py FOLDER."""
import pathlib
import random
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)


def lets(count, first, following):
    """Formulas of which each reads the one before it, as @."""
    texts = [first] + [following.replace("@", f"a{i}") for i in range(count)]
    return "".join(f"  let a{i} = {text}\n" for i, text in enumerate(texts))


def attention(name, body):
    (folder / f"{name}.attn").write_text(f"attention x(n: int = 3, m: int = 2) {{\n  align top_left\n{body}}}\n")


nested = "kv - q"
for _ in range(12):
    nested = f"abs({nested} - n)"
attention("nested", f"  mask {nested} <= 5\n")
attention("exclusions", "  mask kv <= q" + "".join(f" and kv != q - {2 * i + 1}" for i in range(40)) + "\n")
attention("products", "  mask kv * n <= q" + " * m" * 300 + "\n")
attention("quotients", "  mask kv" + " / n" * 100 + " <= q" + " / m" * 100 + "\n")
attention("minima", lets(200, "kv - q", "min(@, @ + 1)") + "  mask a200 <= 0\n")
attention("squares", lets(200, "q", "@ * @ + n") + "  mask kv <= a200\n")
attention("bits", lets(60, "kv - q", "(@ >> 1) + (@ << 1) ^ (@ & n)") + "  mask a60 <= 0 and kv >> 3 <= (" + "~" * 100 + "q | kv" + " << m" * 100 + ")\n")
attention("uniform", lets(200, "n", "@ * @ + m") + "  mask kv <= q + a200\n")
attention("conditions", lets(200, "kv <= q", "(@ and kv + n != q) or @") + "  mask a200\n")
attention("deep", lets(2000, "n", "@ + m") + "  mask kv <= q + a2000\n")
attention("many", "  mask kv <= q\n" + "".join(f"  input a{i}: f32[b]\n" for i in range(6000)))

random.seed(1)
(folder / "text.attn").write_bytes(bytes(random.randrange(32, 127) for _ in range(4000000)))
(folder / "bytes.attn").write_bytes(bytes(random.randrange(256) for _ in range(4000000)))
(folder / "name.attn").write_text("attention a { mask " + "x" * 4000000 + " }")
(folder / "sum.attn").write_text("attention a { mask kv <= " + "1 + " * 1000000 + "1 }")
(folder / "parentheses.attn").write_text("(" * 4000000)
