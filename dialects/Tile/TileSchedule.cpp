// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verification of #tile.schedule: the conditions that need nothing but the schedule itself.
#include "dialects/Tile/Tile.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace attnc::tile;
using llvm::formatv;

std::string ScheduleAttr::problemOf(llvm::StringRef target, int64_t tileQ, int64_t tileKV,
                                    int64_t stages, int64_t warps, int64_t vectorBytes) {
  constexpr int64_t largest = 4096;
  for (auto [what, rows] : {std::pair("a query tile", tileQ), {"a key tile", tileKV}})
    if (rows < 1 || rows > largest) // #tile.schedule C1
      return formatv("{0} of {1} rows: expected 1 to {2}", what, rows, largest);
  if (vectorBytes < 2 || vectorBytes > 16 || !llvm::isPowerOf2_64(vectorBytes)) // #tile.schedule C2
    return formatv("unsupported row alignment of {0} bytes: expected a power of two from 2 to 16",
                   vectorBytes);
  if (target == "host")
    return {};
  if (warps < 1 || warps > 32) // #tile.schedule C3
    return formatv("a thread block of {0} warps: expected 1 to 32", warps);
  if (stages < 2 || stages > 16) // #tile.schedule C4
    return formatv("{0} pipeline stages: expected 2 to 16", stages);
  if (tileQ % (16 * warps) != 0 || !llvm::isPowerOf2_64(tileQ) ||
      tileKV % 16 != 0) // #tile.schedule C5
    return formatv("a query tile of {0} rows does not fit {1} warps: expected a power of two that "
                   "is a multiple of 16 rows for each warp, and a key tile that is a multiple of "
                   "16",
                   tileQ, warps);
  return {};
}

LogicalResult ScheduleAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                   llvm::StringRef target, int64_t tileQ, int64_t tileKV,
                                   int64_t stages, int64_t warps, int64_t vectorBytes, Precision) {
  if (std::string problem = problemOf(target, tileQ, tileKV, stages, warps, vectorBytes);
      !problem.empty())
    return emitError() << problem;
  return success();
}
