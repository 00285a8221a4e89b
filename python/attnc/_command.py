# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The command line from within Python, in a process of its own: it prints, and reads standard input."""
from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence


def attnc(arguments: Sequence[str], *, stdin: str = "", folder: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `attnc ARGUMENTS` with this package, wherever it lies, and returns its status and what it printed."""
    package = str(pathlib.Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return subprocess.run([sys.executable, "-m", "attnc", *arguments], input=stdin, capture_output=True, text=True, cwd=folder,
                          env={**os.environ, "PYTHONPATH": path})
