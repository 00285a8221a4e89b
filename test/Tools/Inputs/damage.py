# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Damages every entry of a code cache: damage.py FOLDER flip|cut|empty."""
import pathlib
import sys

entries = list(pathlib.Path(sys.argv[1]).rglob("*.attncc"))
assert entries, "the cache is empty"
for path in entries:
    content = bytearray(path.read_bytes())
    if sys.argv[2] == "flip":
        content[len(content) // 2] ^= 1
    elif sys.argv[2] == "cut":
        content = content[: len(content) // 3]
    else:
        content = b""
    path.write_bytes(content)
