# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The examples of the pages on Python, in the order of each page, in one namespace."""
import re

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "Python.md"


def blocks(page):
    """Line and text of each example."""
    return [(page.read_text()[: m.start(1)].count("\n"), m[1]) for m in re.finditer(r"```python\n(.*?)```", page.read_text(), re.S)]


def run(page, with_torch):
    """Runs the blocks; returns how many."""
    namespace = {"__name__": "docs"}
    chosen = [(line, code) for line, code in blocks(page) if with_torch or "import torch" not in code]
    for line, code in chosen:
        exec(compile("\n" * line + code, str(page), "exec"), namespace)  # line numbers are the page's
    return len(chosen)


def test_examples():
    assert run(PAGE, with_torch=False) >= 7


def test_examples_with_torch():
    pytest.importorskip("torch")
    assert run(PAGE, with_torch=True) == len(blocks(PAGE))


@pytest.mark.parametrize("page", ["PyTorch", "FlexAttention"])
def test_pages_on_pytorch(page):
    pytest.importorskip("torch")
    assert run(ROOT / "docs" / f"{page}.md", with_torch=True) >= 3


def test_every_exception_is_on_the_page():
    import attnc
    text = PAGE.read_text()
    for name in attnc.__all__:
        if name.endswith("Error"):
            assert f"`{name}`" in text
