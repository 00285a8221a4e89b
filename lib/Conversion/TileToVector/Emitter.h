// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A builder for vector code of one width: pointers, vector memory access, loops, lane arithmetic.
// Everything in this folder writes IR through it. Addresses are i64 byte offsets, so that tensors
// beyond 2^31 elements need no care.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_EMITTER_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_EMITTER_H

#include "attnc/Conversion/TileToVector/HostTarget.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace attnc {

/// Size of an element in memory: i1 is a byte.
inline int64_t byteSize(mlir::Type type) { return (type.getIntOrFloatBitWidth() + 7) / 8; }

/// Where and for what code is emitted.
class EmitterBase {
public:
  EmitterBase(mlir::OpBuilder &builder, mlir::Location loc, const HostTarget &target);

  mlir::OpBuilder &b;
  mlir::Location loc;
  const HostTarget &target;
  /// f32 elements of a vector: the unit in which columns are processed.
  int64_t lanes;
  mlir::Type f32, i1, i8, i16, i32, i64, ptr;
  mlir::VectorType vf32, vi32;
};

/// Constants, and the types they have.
class ConstantEmitter : public EmitterBase {
public:
  using EmitterBase::EmitterBase;

  /// A vector of `lanes` elements.
  mlir::VectorType vec(mlir::Type element) const { return mlir::VectorType::get({lanes}, element); }
  // Constants. `type` may be a scalar or a vector.
  mlir::Value constI64(int64_t value);
  mlir::Value constI32(int64_t value);
  mlir::Value constInt(mlir::Type type, int64_t value);
  mlir::Value constF32(mlir::Type type, float value);
  /// `value`, bit for bit, as an f32 constant of `type`.
  mlir::Value constF32Bits(mlir::Type type, uint32_t bits);
  mlir::Value constVec(mlir::Type element, llvm::ArrayRef<int64_t> values);
  mlir::Value zero(mlir::Type type);

protected:
  /// `element`, or a vector of it if `x` is one.
  mlir::Type likeShape(mlir::Value x, mlir::Type element);
};

/// Arithmetic on scalars and vectors.
class ArithmeticEmitter : public ConstantEmitter {
public:
  using ConstantEmitter::ConstantEmitter;

  // i64 and i32 arithmetic; folds constants.
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value addc(mlir::Value x, int64_t y) { return add(x, constInt(x.getType(), y)); }
  mlir::Value mulc(mlir::Value x, int64_t y) { return mul(x, constInt(x.getType(), y)); }
  mlir::Value toI64(mlir::Value x);

  // f32 arithmetic on scalars and vectors.
  mlir::Value fadd(mlir::Value x, mlir::Value y);
  mlir::Value fsub(mlir::Value x, mlir::Value y);
  mlir::Value fmul(mlir::Value x, mlir::Value y);
  mlir::Value fdiv(mlir::Value x, mlir::Value y);
  /// x * y + z; fused where the CPU can.
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  /// x > y ? x : y, which is y when either is NaN: one instruction.
  mlir::Value maxOrSecond(mlir::Value x, mlir::Value y);
  /// x < y ? x : y, which is y when either is NaN: one instruction.
  mlir::Value minOrSecond(mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value cond, mlir::Value x, mlir::Value y);
  mlir::Value bitcast(mlir::Value x, mlir::Type type);
};

/// Lanes of vectors, and conversions between what memory holds and what arithmetic takes.
class LaneEmitter : public ArithmeticEmitter {
public:
  using ArithmeticEmitter::ArithmeticEmitter;

  // Lanes.
  mlir::Value splat(mlir::Value scalar);
  mlir::Value splatTo(mlir::Value scalar, int64_t count);
  /// `x` itself if it is a vector, else its splat.
  mlir::Value asVector(mlir::Value x);
  mlir::Value iota();
  mlir::Value shuffle(mlir::Value x, mlir::Value y, llvm::ArrayRef<int32_t> mask);
  mlir::Value lane(mlir::Value vector, int64_t index);
  /// Combines all lanes by `combine` in a tree; returns a scalar.
  mlir::Value reduceLanes(mlir::Value vector,
                          llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> combine);
  /// A constant mask whose first `count` lanes are set.
  mlir::Value prefixMask(int64_t count);

  // Element conversions between memory and arithmetic, on scalars and vectors.
  /// f16, bf16 or f32 to f32, exactly.
  mlir::Value toF32(mlir::Value x);
  /// f32 to f16 or bf16 (round to nearest even, NaN stays NaN) or itself.
  mlir::Value fromF32(mlir::Value x, mlir::Type element);

private:
  mlir::Value f32ToBF16Bits(mlir::Value x);
  mlir::Value f16BitsToF32(mlir::Value x);
  mlir::Value f32ToF16Bits(mlir::Value x);
};

/// All of it, with memory and loops.
class Emitter : public LaneEmitter {
public:
  using LaneEmitter::LaneEmitter;

  // Memory.
  mlir::Value offset(mlir::Value pointer, mlir::Value bytes);
  mlir::Value offset(mlir::Value pointer, int64_t bytes);
  mlir::Value load(mlir::Type type, mlir::Value pointer, int64_t align, bool invariant = false);
  void store(mlir::Value value, mlir::Value pointer, int64_t align);

  // Control.
  using LoopBody =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value iv, mlir::ValueRange)>;
  /// for iv in [from, to) step `step`, all i64. Returns the final values.
  llvm::SmallVector<mlir::Value> forLoop(mlir::Value from, mlir::Value to, int64_t step,
                                         mlir::ValueRange init, LoopBody body);
  void forLoop(mlir::Value from, mlir::Value to, int64_t step,
               llvm::function_ref<void(mlir::Value)> body);
  /// forLoop with constant bounds; a single iteration is emitted without a loop.
  void forRange(int64_t from, int64_t to, int64_t step, llvm::function_ref<void(mlir::Value)> body);
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_EMITTER_H
