# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The examples of docs/Python.md, in the order of the page, in one namespace."""
import re

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "Python.md"
BLOCKS = [(PAGE.read_text()[: m.start(1)].count("\n"), m[1]) for m in re.finditer(r"```python\n(.*?)```", PAGE.read_text(), re.S)]


def run(with_torch):
    """Runs the blocks; returns how many."""
    namespace = {"__name__": "docs"}
    chosen = [(line, code) for line, code in BLOCKS if with_torch or "import torch" not in code]
    for line, code in chosen:
        exec(compile("\n" * line + code, str(PAGE), "exec"), namespace)  # line numbers are the page's
    return len(chosen)


def test_examples():
    assert run(with_torch=False) >= 7


def test_examples_with_torch():
    pytest.importorskip("torch")
    assert run(with_torch=True) == len(BLOCKS)


def test_every_exception_is_on_the_page():
    import attnc
    text = PAGE.read_text()
    for name in attnc.__all__:
        if name.endswith("Error"):
            assert f"`{name}`" in text
