# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks every ```attn block of a page, and that it is in canonical layout."""
import pathlib
import re
import subprocess
import sys

blocks = re.findall(r"```attn\n(.*?)```", pathlib.Path(sys.argv[1]).read_text(), re.S)
for block in blocks:
    subprocess.run(["attnc-spec", "--check", "-"], input=block, text=True, check=True)
    formatted = subprocess.run(["attnc-spec", "--format", "-"], input=block, text=True, check=True, capture_output=True).stdout
    if formatted != block:
        sys.exit(f"not in canonical layout:\n{block}\nexpected:\n{formatted}")
print(f"{len(blocks)} blocks")
