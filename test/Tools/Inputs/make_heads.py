# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a spec whose heads look back as far as a tensor says, and such a tensor."""
import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
np.save(folder / "reach.npy", np.array([2, 8, 32], np.int32))
(folder / "reach.attn").write_text("""attention reach {
  align bottom_right
  input reach: i32[h]
  mask kv <= q and q - kv < reach[h]
}
""")
