// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A region as a list of instructions over slots, evaluated for a run of neighbouring indices of one
// axis at once. A slot holds doubles; ints are doubles with whole values of 32 bits and conditions
// are 0 or 1. What does not depend on the axis is computed once for a run. A reduction is one
// instruction that runs its own list for each of its indices.
#ifndef ATTNC_LIB_REFERENCE_PROGRAM_H
#define ATTNC_LIB_REFERENCE_PROGRAM_H

#include "Memory.h"
#include "llvm/Support/Error.h"

#include <vector>

namespace attnc::reference {

class Program {
public:
  /// Indices of one evaluation.
  static constexpr unsigned maxLanes = 256;
  struct Loop;
  struct Instruction;
  using Kernel = void (*)(const Instruction &, double *const *, unsigned lanes);
  struct Instruction {
    Kernel kernel = nullptr;
    unsigned result = 0;
    llvm::SmallVector<unsigned, 4> operands;
    /// 0 for an operand that is the same for all lanes.
    llvm::SmallVector<unsigned, 4> steps;
    bool varies = false;
    int predicate = 0;
    /// Of a read: the slot that points to the tensor, and its shape and strides.
    unsigned tensor = 0;
    llvm::SmallVector<int64_t, 4> shape, strides;
    std::shared_ptr<Loop> loop;
    const DecisionSite *decision = nullptr;
    /// What it is decided from: the difference of two slots, or one.
    llvm::SmallVector<unsigned, 2> keys;
    /// Of what changes a result afterwards: the run's arithmetic.
    const RunOptions *options = nullptr;
  };
  /// The indices that a reduction runs over, and what it does for each of them.
  struct Loop {
    attn::Reduction kind;
    int64_t count = 0;
    unsigned index = 0;
    /// Members of a block: index = block * stride + i, as far as below `limit`.
    bool isBlock = false;
    unsigned block = 0;
    bool blockVaries = false;
    int64_t stride = 0, limit = 0;
    /// Blocks of the block space itself; another index has no members.
    int64_t numBlocks = 0;
    /// Slots of the bounds of the index; the first is not below `lower`, the last below `upper`.
    std::optional<unsigned> lower, upper;
    bool lowerVaries = false, upperVaries = false;
    unsigned value = 0, condition = 0, scratch = 0;
    bool valueVaries = false, conditionVaries = false, hasCondition = false, isInteger = false;
    /// Of an argmax or argmin that is recorded or forced: the slot of the index that the run is
    /// told to take, and the one for by how much its value is worse than the best.
    std::optional<unsigned> told, shortfall;
    std::vector<Instruction> body;
  };

  /// Compiles what `region` yields; `varying` are the arguments that differ between lanes.
  static llvm::Expected<Program> compile(mlir::Region &region, const Environment &environment,
                                         llvm::ArrayRef<unsigned> varying);
  /// Adds a result: how far the condition that `region` yields is from being another one. Above 0
  /// where it holds, below where it does not, in the unit of the reals that are compared; infinite
  /// where no real decides it, and NaN where comparisons are joined in another way than by `and`,
  /// `or` and `not`. The program was compiled of `region`, and nothing of it varies.
  void addDistance(mlir::Region &region);
  /// Compiles a scalar outside of any region.
  static llvm::Expected<Program> compile(mlir::Value value, const Environment &environment);

  /// Memory of one evaluation; each thread has its own.
  struct Frame {
    std::vector<double> storage;
    std::vector<double *> slots;
  };
  /// A frame for up to `lanes` indices that reads the tensors of `memory`, which must not move
  /// while it is used.
  Frame makeFrame(const Memory &memory, unsigned lanes = maxLanes) const;
  /// Takes the scalars of `memory` that the region captures; `makeFrame` has done so once.
  void updateScalars(Frame &frame, const Memory &memory) const;
  /// The slot of argument `i`: maxLanes doubles if it varies, else one.
  double *argument(Frame &frame, unsigned i) const { return frame.slots[i]; }
  /// Evaluates for `lanes` indices. Result `i` is at `result(frame, i)[lane * resultStep(i)]`.
  void run(Frame &frame, unsigned lanes) const;
  const double *result(const Frame &frame, unsigned i = 0) const { return frame.slots[results[i]]; }
  unsigned resultStep(unsigned i = 0) const { return varies[results[i]]; }
  unsigned getNumResults() const { return results.size(); }
  /// The number that a scalar without tensors is; fails if it reads one, or is below 1.
  llvm::Expected<int64_t> count(llvm::StringRef what) const;

private:
  llvm::Expected<unsigned> slotOf(mlir::Value value, const Environment &environment);
  llvm::Error append(mlir::Operation *op, const Environment &environment,
                     std::vector<Instruction> &into);
  llvm::Error appendRead(attn::ReadOp op, const Environment &environment, Instruction &in);
  llvm::Error appendLoop(attn::ReduceOp op, const Environment &environment,
                         std::vector<Instruction> &into);
  llvm::Error instrument(mlir::Operation *op, const Environment &environment,
                         std::vector<Instruction> &into);
  llvm::Error appendDecision(mlir::Operation *op, const Environment &environment,
                             std::vector<Instruction> &into);
  unsigned newSlot(mlir::Value value, bool isVarying);
  unsigned constantSlot(double value);
  unsigned computed(llvm::StringRef op, llvm::ArrayRef<unsigned> operands);
  unsigned distanceOf(mlir::Value condition);

  llvm::DenseMap<mlir::Value, unsigned> slots;
  std::vector<bool> varies;
  std::vector<std::pair<unsigned, double>> constants;
  /// Slots that point to a tensor, and slots that hold a scalar of the surrounding recurrence.
  std::vector<std::pair<mlir::Value, unsigned>> tensors, captures;
  /// What comes from outside of the region, then the region itself.
  std::vector<Instruction> prologue, instructions;
  llvm::SmallVector<unsigned, 2> results;
};

/// `maximum` takes `x` if that is greater, or NaN: a NaN stays, as nothing is greater.
inline void raise(double &maximum, double x) {
  if (x > maximum || x != x)
    maximum = x;
}

/// The instructions of reductions, in Reductions.cpp.
Program::Kernel loopKernel(Arithmetic arithmetic);
/// 32-bit wrap-around.
inline double wrapInt(int64_t value) {
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(value)));
}

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_PROGRAM_H
