// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A small spec with a selection and a comparison, bound to numbers, for the tests of the reference.
#ifndef ATTNC_TEST_UNIT_REFERENCE_SELECTION_H
#define ATTNC_TEST_UNIT_REFERENCE_SELECTION_H

#include "attnc/JIT/Compiler.h"
#include "attnc/Reference/Reference.h"
#include "gtest/gtest.h"

namespace attnc::reference {

struct Selection {
  static constexpr const char *text = R"(attention selection {
  align none
  input x: f32[b, q, kv]
  let keep[b, q, kv] = top(x over kv, 3) and x > 0.0
  over keep
  output keep
  output lse
}
)";
  std::unique_ptr<Spec> spec;
  Bindings bindings;
  std::vector<float> x, operands;

  /// Another `source` has the same inputs: x, Q, K and V.
  explicit Selection(const char *source = text) : x(2 * 8), operands(8 * 4) {
    llvm::Expected<std::unique_ptr<Spec>> parsed = Spec::parse({"selection.attn", source});
    if (!parsed) {
      ADD_FAILURE() << llvm::toString(parsed.takeError());
      return;
    }
    spec = std::move(*parsed);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(i * 7 % 16) / 4;
    for (size_t i = 0; i < operands.size(); ++i)
      operands[i] = static_cast<float>(i * 5 % 11) / 7 - 0.5f;
    bind("x", x, {1, 2, 8});
    bind("Q", operands, {1, 1, 2, 4});
    bind("K", operands, {1, 1, 8, 4});
    bind("V", operands, {1, 1, 8, 4});
  }

  void bind(const char *name, std::vector<float> &data, std::vector<int64_t> shape) {
    TensorView view;
    view.data = data.data();
    view.strides = rowMajorStrides(shape);
    view.shape = std::move(shape);
    bindings.inputs[name] = view;
  }

  std::map<std::string, Tensor64> run(const RunOptions &options) {
    auto outputs = runWith(spec->variant(), bindings, options);
    if (!outputs) {
      ADD_FAILURE() << llvm::toString(outputs.takeError());
      return {};
    }
    return std::move(*outputs);
  }
};

} // namespace attnc::reference

#endif // ATTNC_TEST_UNIT_REFERENCE_SELECTION_H
