# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attnc-reduce: what is left of a spec is small and still does it."""
import os
import subprocess
import sys

import attnc
import pytest
from attnc import reduce
from conftest import ROOT

TEXT = """// A comment
attention big(window: int = 4096, cap: f32 = 50.0) {
  align bottom_right
  input doc: i32[b, kv] sample sorted(0, 6), slope: f32[h]
  let near = q - kv < window
  score cap * tanh(s / cap) + slope[h] * (kv - q)
  mask kv <= q and near and doc[b, q] == doc[b, kv]
  output lse
}
"""


def run(*arguments, folder):
    return subprocess.run([sys.executable, "-m", "attnc.reduce", *arguments], capture_output=True, text=True, cwd=folder,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python")})


@pytest.fixture
def file(tmp_path):
    (tmp_path / "big.attn").write_text(TEXT)
    return tmp_path


def test_tokens_are_the_text():
    for path in sorted((ROOT / "specs").rglob("*.attn")):
        assert "".join(reduce.tokens_of(path.read_text())) == path.read_text()


def test_a_correct_spec_stays_correct(file):
    """A command that fails on specs with tanh: nothing else is needed, and what is left is a spec."""
    program = "import sys; sys.exit(3 * ('tanh(' in open(sys.argv[1]).read()))"
    done = run("big.attn", "-o", "small.attn", "--", sys.executable, "-c", program, "{}", folder=file)
    assert done.returncode == 0, done.stderr
    small = (file / "small.attn").read_text()
    assert "tanh(" in attnc.Spec(small).text
    assert len([token for token in reduce.tokens_of(small) if token.strip()]) <= 10, small


def test_a_message_stays():
    """Texts that are no specs, by what the compiler says of them."""
    def is_interesting(text):
        try:
            attnc.Spec(text)
        except attnc.SpecError as error:
            return "`silu` is not a function" in str(error)
        return False

    small = reduce.reduce(TEXT.replace("tanh(", "silu("), is_interesting)
    assert is_interesting(small) and len([token for token in reduce.tokens_of(small) if token.strip()]) <= 8, small


def test_text_that_a_command_prints_stays(file):
    program = "import sys; print('has it' if 'slope' in open(sys.argv[1]).read() else 'lost')"
    done = run("big.attn", "--contains=has it", "--", sys.executable, "-c", program, "{}", folder=file)
    assert done.returncode == 0 and done.stdout.strip() == "slope", done


def test_what_cannot_be_reduced_is_said(file):
    true, false = [sys.executable, "-c", "", "{}"], [sys.executable, "-c", "import sys; sys.exit(1)", "{}"]
    assert "ends with status 0 on big.attn; there is nothing to keep" in run("big.attn", "--", *true, folder=file).stderr
    assert "does not print `x` on big.attn" in run("big.attn", "--contains=x", "--", *true, folder=file).stderr
    assert "with {} for the file" in run("big.attn", folder=file).stderr
    assert "has no {}" in run("big.attn", "--", "true", folder=file).stderr
    slow = [sys.executable, "-c", "import time; time.sleep(9)", "{}"]
    assert "takes longer than 0.2 s" in run("big.attn", "--timeout=0.2", "--", *slow, folder=file).stderr
    (file / "big.attn").write_text("attention x { mask q }")
    done = run("big.attn", "--", *false, folder=file)
    assert done.returncode == 1 and "has errors of its own" in done.stderr
