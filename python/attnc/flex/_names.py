# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Names of a spec that is made from Python functions: those of its variables as far as the language has them free."""
from __future__ import annotations

import re

RESERVED = set("""
if then else and or not true false attention recurrence def let input inf for in over by of as per
align precision score mask sink scale out tile skip output blocks slots transform quantize branch queries keys state every merge
b h g q kv t d e s Q K V lse p P size first last start grad sum mean prod max min argmax argmin any all softmax cumsum cumprod cummax rank order
top cover uniform abs sign floor ceil round exp exp2 ln log2 sqrt rsqrt tanh sigmoid sin cos erf pow f32 f16 bf16 i32 bool int dtype sample
none top_left bottom_right full stride smooth epsilon largest static group softmax_scale sink_logit
""".split())


class Names:
    """Gives names that are not taken."""

    def __init__(self) -> None:
        self._taken = set(RESERVED)

    def new(self, wanted: str) -> str:
        """`wanted`, or something like it."""
        base = re.sub(r"\W", "_", wanted, flags=re.ASCII) or "x"
        base = f"x{base}" if base[0].isdigit() else base
        name, count = base, 0
        while name in self._taken or any(taken.startswith(f"{name}_") and taken[len(name) + 1:].isdigit() for taken in self._taken):
            count += 1
            name = f"{base}{count}"
        self._taken.add(name)
        return name

    def fixed(self, name: str) -> str:
        """A name that is derived from one that `new` has given."""
        self._taken.add(name)
        return name
