// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs the same tile kernel as host code and as PTX on the emulator: what each op of the dialect
// means is one thing, whoever lowers it.
#ifndef ATTNC_TEST_UNIT_CONTRACT_TILERUNNER_H
#define ATTNC_TEST_UNIT_CONTRACT_TILERUNNER_H

#include <cstdint>
#include <string>
#include <vector>

namespace attnc::testing {

/// What a kernel reads and writes. In its text: %X (kSize x kSize, f32), %H (the same, f16), %I
/// (kSize, i32), the results %Y (kSize x kSize, f32) and %Z (kSize, f32), and the number of rows
/// %n.
constexpr int64_t kSize = 64;
struct TileData {
  std::vector<float> x, y, z;
  std::vector<uint16_t> half;
  std::vector<int32_t> indices;
  int32_t n = kSize;
};

/// Small integers, so that sums are exact; results that nothing has written hold kUnwritten.
constexpr float kUnwritten = -777;
TileData tileData();

/// Runs `body`, the ops of a kernel, at one point of a grid: on the host if `warps` is 0, else as
/// PTX for sm_80 by so many warps. Returns the error, or nothing.
std::string runTile(const std::string &body, int warps, TileData &data);

} // namespace attnc::testing

#endif // ATTNC_TEST_UNIT_CONTRACT_TILERUNNER_H
