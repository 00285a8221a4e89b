# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes good and bad .npy files into a folder, without NumPy."""
import pathlib
import random
import struct
import sys

folder = pathlib.Path(sys.argv[1])
rng = random.Random(1)


def npy(descr, shape, data, fortran=False):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def halves(count):
    return struct.pack(f"<{count}e", *(rng.gauss(0, 1) for _ in range(count)))


def write(name, content):
    (folder / name).write_bytes(content)


shape, count = (1, 4, 100, 64), 4 * 100 * 64
data = halves(count)
good = npy("<f2", shape, data)
write("q.npy", good)
write("rank3.npy", npy("<f2", (4, 100, 64), data))
write("fortran.npy", npy("<f2", shape, data, fortran=True))
write("int.npy", npy("<i4", shape, bytes(4 * count)))
write("double.npy", npy("<f8", shape, bytes(8 * count)))
write("truncated.npy", good[:1000])
write("header.npy", good[:20])
write("lying.npy", npy("<f2", (1, 4, 1000, 64), data))
write("overflow.npy", npy("<f2", (1 << 40, 1 << 40, 4, 64), data))
write("empty.npy", b"")
write("junk.npy", b"hello world, this is no array")
write("heads6.npy", npy("<f2", (1, 3, 100, 64), halves(3 * 100 * 64)))
values = list(struct.unpack(f"<{count}e", data))
values[3 * 64 + 5] = float("nan")
values[100 * 64 + 7 * 64] = float("inf")
values[200 * 64 + 9 * 64] = float("-inf")
write("nan.npy", npy("<f2", shape, struct.pack(f"<{count}e", *values)))
