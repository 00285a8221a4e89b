// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes decode to an array that its storage holds and that encodes again, or to a message. The
// entry is that of libFuzzer; the test feeds it random edits of good files.
#include "attnc/Support/Npy.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (std::optional<attnc::DType> expected :
       {std::optional<attnc::DType>(), {attnc::DType::BF16}}) {
    attnc::Outcome<attnc::NpyArray> array = attnc::decodeNpy(data, size, expected);
    if (!array)
      continue;
    // A header cannot make the array larger than the file.
    if (array->storage.size() > size)
      std::abort();
    std::vector<uint8_t> encoded = attnc::encodeNpy(array->view);
    auto again = attnc::decodeNpy(encoded.data(), encoded.size(), array->view.dtype);
    if (!again || again->view.shape != array->view.shape)
      std::abort();
  }
  return 0;
}

#ifndef ATTNC_FUZZ
#include "RandomEdits.h"
#include <gtest/gtest.h>

TEST(Npy, SurvivesRandomEdits) {
  int32_t values[6] = {1, -2, 3, -4, 5, -6};
  std::mt19937 random(1);
  std::vector<std::vector<uint8_t>> good;
  for (std::vector<int64_t> shape : {std::vector<int64_t>{}, {6}, {2, 3}, {1, 0, 4}})
    for (attnc::DType dtype : {attnc::DType::F32, attnc::DType::BF16, attnc::DType::Bool})
      good.push_back(attnc::encodeNpy({values, dtype, shape, attnc::rowMajorStrides(shape)}));
  const std::string pieces[] = {"(",   ")", ",", "'",     "99999999999", "0", "True",
                                "<i8", "{", "}", "shape", "-",           "L"};
  for (int round = 0; round < 50000; ++round) {
    std::vector<uint8_t> bytes = attnc::edited(good[random() % good.size()], pieces, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
}
#endif
