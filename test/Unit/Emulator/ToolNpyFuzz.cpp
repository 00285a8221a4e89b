// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// libFuzzer target for the .npy reader of ptx-emu: any bytes give an array that they hold and that
// is read again as it was, or an error that names the file.
#include "Npy.h"

#include <cstdint>
#include <stdexcept>

using namespace attnc::emu::tool;

static void expect(bool holds) {
  if (!holds)
    __builtin_trap();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  try {
    Array array = parseNpy("x.npy", {reinterpret_cast<const char *>(data), size});
    expect(array.bytes.size() == array.byteCount() && array.bytes.size() <= size);
    Array again = parseNpy("y.npy", encodeNpy(array));
    expect(again.descr == array.descr && again.shape == array.shape && again.bytes == array.bytes);
  } catch (const std::runtime_error &error) {
    expect(std::string_view(error.what()).substr(0, 7) == "'x.npy'");
  }
  return 0;
}
