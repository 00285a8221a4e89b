// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the wrappers of the kernels are given; flash_attention.py has the same structure. Q, K, V,
// the output and their gradients are [batch, sequence, head, head dim], dense.
#pragma once
#include <cstdint>

struct Problem {
  uint64_t q, k, v, out, lse; // lse: [batch, head, sequence], single precision
  uint64_t outAccumulator, lseAccumulator, slopes, mask; // of split-KV, ALiBi and dropout; or zero
  uint64_t dOut, dq, dk, dv, dqAccumulator, delta, lseLog2, counters;
  int32_t batch, heads, headsKV, queries, keys, splits, windowLeft, windowRight;
  float scale, softcap, keep;
};
