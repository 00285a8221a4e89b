// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference interpreter: the meaning of a variant, computed in float64 by the formula in the
// description of `attn.attend`. It shares the dialect with the back ends and nothing else.
#ifndef ATTNC_REFERENCE_REFERENCE_H
#define ATTNC_REFERENCE_REFERENCE_H

#include "attnc/Support/Binding.h"
#include "dialects/Attn/Attn.h"
#include "llvm/Support/Error.h"

#include <map>
#include <string>
#include <vector>

namespace attnc::reference {

/// What a run is given. Tensors are read through their strides; parameters that are not bound have
/// their defaults.
struct Bindings {
  std::map<std::string, TensorView> inputs;
  std::map<std::string, double> params;
};

/// A dense row-major float64 tensor.
struct Tensor64 {
  std::vector<int64_t> shape;
  std::vector<double> data;
};

/// What `variant` takes and yields. Fails if it has an op or a type that the signature cannot say.
llvm::Expected<Signature> signatureOf(attn::VariantOp variant);

/// Computes every output of `variant`. Fails, with a message for the user, if the bindings do not
/// fit. Rows of heads are computed by up to `numThreads` threads (0: as many as the machine has
/// cores).
llvm::Expected<std::map<std::string, Tensor64>>
run(attn::VariantOp variant, const Bindings &bindings, unsigned numThreads = 0);

/// The mask of the variant's attention stage for one batch entry and query head: q x kv flags in
/// row-major order, 1 where the row attends to the key. All 1 without a mask.
llvm::Expected<std::vector<char>> evaluateMask(attn::VariantOp variant, const Bindings &bindings,
                                               int64_t b, int64_t h);

} // namespace attnc::reference

#endif // ATTNC_REFERENCE_REFERENCE_H
