// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A region as a list of instructions over slots, evaluated for a run of neighbouring keys at once. A slot holds
// doubles; ints are doubles with whole values of 32 bits and conditions are 0 or 1. What does not depend on
// the key is computed once for a run.
#ifndef ATTNC_LIB_REFERENCE_PROGRAM_H
#define ATTNC_LIB_REFERENCE_PROGRAM_H

#include "attnc/Support/Binding.h"
#include "dialects/Attn/Attn.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/Error.h"

#include <vector>

namespace attnc::reference {

/// Element `offset` of a tensor as a double.
double loadElement(const TensorView &tensor, int64_t offset);

/// Numbers that are the same everywhere in a run: sizes and parameters.
struct Environment {
  BoundSizes sizes;
  std::map<std::string, double> params;
  std::map<std::string, TensorView> inputs;
};

class Program {
public:
  /// Keys of one evaluation.
  static constexpr unsigned maxLanes = 256;
  /// Of each instruction: the slots, the tensor of a read.
  struct Instruction;
  using Kernel = void (*)(const Instruction &, double *const *, unsigned lanes);
  struct Instruction {
    Kernel kernel = nullptr;
    unsigned result = 0;
    llvm::SmallVector<unsigned, 4> operands;
    /// 0 for an operand that is the same for all keys.
    llvm::SmallVector<unsigned, 4> steps;
    bool varies = false;
    int predicate = 0;
    const TensorView *tensor = nullptr;
  };

  /// Compiles the value that `region` yields; `varying` are the arguments that differ between keys.
  static llvm::Expected<Program> compile(mlir::Region &region, const Environment &environment,
                                         llvm::ArrayRef<unsigned> varying);
  /// Compiles a value outside of any region.
  static llvm::Expected<Program> compile(mlir::Value value, const Environment &environment);

  /// Memory of one evaluation; each thread has its own.
  struct Frame {
    std::vector<double> storage;
    std::vector<double *> slots;
  };
  Frame makeFrame() const;
  /// The slot of argument `i`: maxLanes doubles if it varies, else one.
  double *argument(Frame &frame, unsigned i) const { return frame.slots[i]; }
  /// Evaluates for `lanes` keys. The result is at `result()[i * resultStep()]`.
  void run(Frame &frame, unsigned lanes) const;
  const double *result(const Frame &frame) const { return frame.slots[resultSlot]; }
  unsigned resultStep() const { return varies[resultSlot]; }

private:
  llvm::Expected<unsigned> slotOf(mlir::Value value, const Environment &environment);
  llvm::Error append(mlir::Operation *op, const Environment &environment);
  unsigned newSlot(mlir::Value value, bool isVarying);

  llvm::DenseMap<mlir::Value, unsigned> slots;
  std::vector<bool> varies;
  std::vector<std::pair<unsigned, double>> constants;
  std::vector<Instruction> instructions;
  unsigned resultSlot = 0;
};

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_PROGRAM_H
