# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes q.npy, k.npy and v.npy to a folder, the same as one safetensors file, and a damaged copy of it. The format is written out here,
so that the reader is not held against its own writer."""
import json
import pathlib
import struct
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
tensors = {"Q": rng.standard_normal((1, 4, 20, 16)), "K": rng.standard_normal((1, 2, 30, 16)),
           "layers.0.v": rng.standard_normal((1, 2, 30, 16))}
header, data = {"__metadata__": {"format": "pt"}}, b""
for name, tensor in tensors.items():
    tensor = tensor.astype(np.float32)
    np.save(folder / f"{name[-1].lower()}.npy", tensor)
    header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [len(data), len(data) + tensor.nbytes]}
    data += tensor.tobytes()
text = json.dumps(header).encode()
whole = struct.pack("<Q", len(text)) + text + data
(folder / "qkv.safetensors").write_bytes(whole)
(folder / "truncated.safetensors").write_bytes(whole[:-5])
