// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Superinstructions: neighbouring records that one handler executes faster together. There is one
// kind, two mma with the same A: kernels multiply each A fragment with many B fragments, and
// converting and spreading A is half of what is not multiplication. The records stay in place, so
// that reports, counters and jumps see the program as written; the first one skips the second.
#include "Alu.h"

#include <algorithm>

namespace attnc::emu {

/// ext of mma.sync with single-precision accumulators: d[4], a[2h], b[h], c[4].
static bool canPair(const Rec &first, const Rec &second, unsigned halves) {
  const uint32_t *d = first.ext, *a = d + 4, *end = d + 8 + 3 * halves;
  if (!std::equal(a, a + 2 * halves, second.ext + 4))
    return false;
  // What the first writes, the second must not read.
  return std::none_of(second.ext + 4, second.ext + (end - d),
                      [&](uint32_t source) { return std::find(d, d + 4, source) != d + 4; });
}

void fuse(Kernel &k) {
  for (size_t i = 0; i + 2 < k.recs.size(); ++i) { // something follows: at least the exit
    Rec &first = k.recs[i];
    const Rec &second = k.recs[i + 1];
    if (first.fn != second.fn || first.aux2 != tensorMark)
      continue;
    Handler pair = handlers().mmaPair(first.fn);
    unsigned halves = first.imm;
    if (!pair || !canPair(first, second, halves))
      continue;
    first.fn = pair;
    first.advance = 2;
    ++i;
  }
}

} // namespace attnc::emu
