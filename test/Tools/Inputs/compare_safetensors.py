# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""compare_safetensors.py FILE NAME NPY: the one tensor of a safetensors file has that name, and the numbers of the .npy file."""
import json
import sys

import numpy as np

data = open(sys.argv[1], "rb").read()
length = int.from_bytes(data[:8], "little")
header, wanted = json.loads(data[8:8 + length]), np.load(sys.argv[3])
assert list(header) == [sys.argv[2]], header
entry = header[sys.argv[2]]
assert entry["dtype"] == "F32" and entry["shape"] == list(wanted.shape) and (8 + length) % 8 == 0, header
assert data[8 + length:] == wanted.tobytes() and entry["data_offsets"] == [0, wanted.nbytes], header
