// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes are compiled code that a launch can check tensors against, or a message. A checksum
// would keep a fuzzer from everything behind it, so the bytes are tried as an entry, and as the ABI
// of one with the right checksum. The entry is that of libFuzzer; the test feeds it random edits of
// good files.
#include "attnc/Runtime/Arguments.h"
#include "attnc/Runtime/CodeCache.h"

#include <cstdlib>
#include <random>
#include <string>

using namespace attnc;

/// Launches with tensors of every ABI that is accepted: only the answer may be bad.
static void tryABI(const KernelABI &abi) {
  static float memory[64];
  for (int64_t size : {0, 1, 3}) {
    LaunchInputs inputs;
    uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    for (const KernelTensor &tensor : abi.tensors) {
      TensorView view;
      view.dtype = tensor.dtype;
      for (const std::string &axis : tensor.axes) {
        char *end = nullptr;
        long fixed = std::strtol(axis.c_str(), &end, 10);
        view.shape.push_back(*end == 0 && !axis.empty() ? fixed : size);
      }
      view.strides = rowMajorStrides(view.shape);
      view.data = reinterpret_cast<void *>(address); // never followed
      address += uintptr_t(1) << 40;
      inputs.tensors[tensor.name] = view;
    }
    inputs.params = abi.paramDefaults;
    std::string error;
    if (auto packed = packArguments(abi, inputs, error);
        packed && packed->slots.size() != abi.args.size())
      std::abort();
    else if (!packed && error.empty())
      std::abort();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  llvm::Expected<CompiledCode> code = decodeCode(bytes, "key");
  if (code) {
    // What is read is what was written.
    if (encodeCode("key", *code) != bytes)
      std::abort();
    tryABI(code->abi);
  } else if (llvm::toString(code.takeError()).empty()) {
    std::abort();
  }
  llvm::Expected<KernelABI> abi = parseABI(bytes);
  if (!abi) {
    llvm::consumeError(abi.takeError());
    return 0;
  }
  std::string again = serializeABI(*abi);
  llvm::Expected<KernelABI> second = parseABI(again);
  if (!second || serializeABI(*second) != again)
    std::abort();
  tryABI(*abi);
  return 0;
}

#ifndef ATTNC_FUZZ
#include <gtest/gtest.h>

TEST(CodeFile, SurvivesRandomEdits) {
  KernelABI abi;
  abi.symbol = "causal";
  abi.tensors = {{"Q", DType::F16, {"b", "h", "q", "64"}, true, false, 16},
                 {"out", DType::F16, {"b", "h", "q", "64"}, true, true, 16}};
  for (const KernelTensor &tensor : abi.tensors) {
    abi.args.push_back({KernelArg::Kind::Pointer, tensor.name, 0});
    for (int32_t dim = 0; dim < 4; ++dim)
      abi.args.push_back({KernelArg::Kind::Stride, tensor.name, dim});
  }
  abi.args.push_back({KernelArg::Kind::Size, "q", 0});
  abi.args.push_back({KernelArg::Kind::ParamF32, "cap", 0});
  abi.unusedInputs = {"doc"};
  abi.paramDefaults = {{"cap", 50}};
  abi.gridSpaces = {"q", "h", "b"};
  const std::string good[] = {serializeABI(abi), encodeCode("key", {abi, "sm_80", "text", {}})};
  const std::string pieces[] = {"[",     "]",    "{", "}",  "\"", ",",    "-1", "4294967296",
                                "1e999", "null", ":", "64", "\\", "true", "0",  "q"};
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good[random() % 2];
    for (unsigned edits = 1 + random() % 3; edits-- > 0 && !bytes.empty();) {
      size_t at = random() % bytes.size();
      const std::string &piece = pieces[random() % std::size(pieces)];
      switch (random() % 4) {
      case 0:
        bytes.erase(at, 1 + random() % 8);
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes.replace(at, std::min(piece.size(), bytes.size() - at), piece);
        break;
      default:
        bytes.insert(at, piece);
      }
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
  }
}
#endif
