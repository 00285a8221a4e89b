# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The command line: `attnc` of a wheel, and `python -m attnc`. It is the library's, so that a wheel holds LLVM once."""
from __future__ import annotations

import os
import sys

from . import _library
from ._spec import gallery_folder


def main() -> int:
    """Runs the command line of this process; what it returns is the exit status."""
    folder = gallery_folder()
    if folder is not None:
        os.environ.setdefault("ATTNC_SPECS", str(folder))
    arguments = [b"attnc", *map(os.fsencode, sys.argv[1:])]
    sys.stdout.flush()
    return int(_library.load().main(arguments))


if __name__ == "__main__":
    sys.exit(main())
