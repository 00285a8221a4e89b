// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes decode to an array that its storage holds and that encodes again, or to a message. The
// entry is that of libFuzzer; the test feeds it random edits of good files.
#include "attnc/Support/TensorFile.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

static int tryBytes(const uint8_t *data, size_t size) {
  for (const char *name : {"x", "y"}) {
    attnc::Outcome<attnc::NpyArray> array = attnc::decodeSafetensors(data, size, name, {});
    if (!array)
      continue;
    // A header cannot make the array larger than the file.
    if (array->storage.size() > size)
      std::abort();
    std::vector<uint8_t> encoded = attnc::encodeSafetensors(name, array->view);
    auto again = attnc::decodeSafetensors(encoded.data(), encoded.size(), name, array->view.dtype);
    if (!again || again->view.shape != array->view.shape || again->storage != array->storage)
      std::abort();
  }
  return 0;
}

#ifdef ATTNC_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return tryBytes(data, size);
}
#else
#include "RandomEdits.h"
#include <gtest/gtest.h>

TEST(Safetensors, SurvivesRandomEdits) {
  int32_t values[6] = {1, -2, 3, -4, 5, -6};
  std::mt19937 random(1);
  std::vector<std::vector<uint8_t>> good;
  for (std::vector<int64_t> shape : {std::vector<int64_t>{}, {6}, {2, 3}, {1, 0, 4}})
    for (attnc::DType dtype : {attnc::DType::F32, attnc::DType::BF16, attnc::DType::Bool})
      good.push_back(
          attnc::encodeSafetensors("x", {values, dtype, shape, attnc::rowMajorStrides(shape)}));
  const std::string pieces[] = {
      "[", "]", ",",  "\"", "99999999999", "0",     "\"y\":", "I64",          "{",  "}", "shape",
      "-", ":", "F4", "U8", " ",           "[0,8]", "\\u00",  "__metadata__", "1e3"};
  unsigned accepted = 0;
  for (int round = 0; round < 50000; ++round) {
    std::vector<uint8_t> bytes = attnc::edited(good[random() % good.size()], pieces, random);
    accepted += bool(attnc::decodeSafetensors(bytes.data(), bytes.size(), "x", {}));
    tryBytes(bytes.data(), bytes.size());
  }
  EXPECT_GT(accepted, 100u); // edits of the data, and of what the header may have
}
#endif
