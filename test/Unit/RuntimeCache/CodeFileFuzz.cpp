// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes are compiled code that a launch can check tensors against, or a message. A checksum
// would keep a fuzzer from everything behind it, so the bytes are tried as an entry, and as the
// program of one with the right checksum. The entry is that of libFuzzer; the test feeds it random
// edits of good files.
#include "attnc/Runtime/Arguments.h"
#include "attnc/Runtime/CodeCache.h"

#include <cstdlib>
#include <random>
#include <string>

using namespace attnc;

/// Launches with tensors of every program that is accepted: only the answer may be bad.
static void tryProgram(const Program &program) {
  static float memory[64];
  for (int64_t size : {0, 1, 3}) {
    LaunchInputs inputs;
    uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    for (size_t i = 0; i < program.numTensors(); ++i) {
      const TensorDecl &tensor = program.tensor(i);
      TensorView view;
      view.dtype = *tensor.dtype;
      for (const AxisDecl &axis : tensor.axes)
        view.shape.push_back(axis.space.empty() ? axis.size : size);
      view.strides = rowMajorStrides(view.shape);
      view.data = reinterpret_cast<void *>(address); // never followed
      address += uintptr_t(1) << 40;
      inputs.tensors[tensor.name] = view;
    }
    for (const ParamDecl &param : program.signature.params)
      inputs.params[param.name] = param.defaultValue;
    size_t slots = 0;
    for (const KernelLaunch &launch : program.launches)
      slots += launch.args.size();
    if (auto packed = packArguments(program, inputs);
        packed && (packed->slots.size() != slots || packed->workspaceBytes < 0))
      std::abort();
    else if (!packed && packed.message().empty())
      std::abort();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  Outcome<CompiledCode> code = decodeCode(bytes, "key");
  if (code) {
    // What is read is what was written.
    if (encodeCode("key", *code) != bytes)
      std::abort();
    tryProgram(code->program);
  } else if (code.message().empty()) {
    std::abort();
  }
  Outcome<Program> program = parseProgram(bytes);
  if (!program)
    return 0;
  std::string again = serializeProgram(*program);
  Outcome<Program> second = parseProgram(again);
  if (!second || serializeProgram(*second) != again)
    std::abort();
  tryProgram(*program);
  return 0;
}

#ifndef ATTNC_FUZZ
#include <gtest/gtest.h>

/// Two kernels with a workspace between them, and an output that may be the input.
static Program twoKernels() {
  using Op = SizeStep::Op;
  using Kind = KernelArg::Kind;
  Program program;
  program.signature.name = "causal";
  TensorDecl tensor{"Q", DType::F16, {{"b"}, {"h"}, {"q"}, {"", 64}}, std::nullopt};
  tensor.unitLastStride = true;
  tensor.rowAlignment = 16;
  program.signature.inputs = {tensor};
  tensor.name = "out";
  tensor.mayAlias = "Q";
  program.signature.outputs = {tensor};
  program.signature.params = {{"cap", false, false, 50}};
  program.unusedInputs = {"doc"};
  program.signature.spaceNames = {"q", "h", "b"};
  program.workspaces = {
      {"partial", DType::F32, {{{Op::Size, 0}, {Op::Size, 1}, {Op::Mul}}}, {}},
      {"part", DType::F32, {{{Op::Size, 4}}, {{Op::Size, 6}}}, {{{Op::Size, 3}}, {{Op::Size, 5}}}}};
  KernelLaunch launch;
  launch.symbol = "causal";
  for (int32_t index = 0; index < 2; ++index) {
    launch.args.push_back({Kind::Pointer, index, 0});
    for (int32_t dim = 0; dim < 4; ++dim)
      launch.args.push_back({Kind::Stride, index, dim});
  }
  launch.args.push_back({Kind::Size, 0, 0});
  launch.args.push_back({Kind::Param, 0, 0});
  launch.args.push_back({Kind::WorkspacePointer, 0, 0});
  launch.args.push_back({Kind::WorkspaceStride, 0, 0});
  launch.grid = {SizeFormula{{Op::Size, 0}, {Op::Number, 64}, {Op::CeilDiv}},
                 SizeFormula{{Op::Size, 1}}, SizeFormula{{Op::Size, 2}}};
  program.launches = {launch, launch};
  program.launches[1].args.push_back({Kind::WorkspacePointer, 1, 0});
  program.loops = {{1, 1, {{{{Op::Size, 0}}, 4}, {{{Op::Size, 1}}, 1}}}};
  return program;
}

TEST(CodeFile, SurvivesRandomEdits) {
  const Program program = twoKernels();
  const std::string good[] = {serializeProgram(program),
                              encodeCode("key", {program, "sm_80", "text", {}})};
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
