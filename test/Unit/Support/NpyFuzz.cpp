// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// libFuzzer entry: any bytes decode to an array whose view lies within its storage, or to a message.
#include "attnc/Support/Npy.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (std::optional<attnc::DType> expected : {std::optional<attnc::DType>(), {attnc::DType::BF16}}) {
    attnc::NpyArray array;
    if (!attnc::decodeNpy(data, size, expected, array).empty())
      continue;
    // A header cannot make the array larger than the file.
    if (array.storage.size() > size)
      std::abort();
    attnc::NpyArray again;
    std::vector<uint8_t> encoded = attnc::encodeNpy(array.view);
    if (!attnc::decodeNpy(encoded.data(), encoded.size(), array.view.dtype, again).empty() ||
        again.view.shape != array.view.shape)
      std::abort();
  }
  return 0;
}
