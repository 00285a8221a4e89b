# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Expected results for every row of the catalogue of attention systems, computed without the compiler. See README.md."""
