# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a .npy file without data whose header claims a shape: claim.py FILE SIZE..."""
import sys

header = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({', '.join(sys.argv[2:])}), }}"
header += " " * (63 - (10 + len(header)) % 64) + "\n"
with open(sys.argv[1], "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
