// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions along an axis, of one tile or of several together: registers in the thread, then lanes
// that share a row by butterfly shuffles, then warps that do by way of shared memory. Along rows
// everything is the same with rows and columns exchanged.
#include "Elements.h"

using namespace mlir;
using namespace attnc;
using tile::Axis;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

namespace {

/// The elements of all operands at one position, or what stands for several of them.
using Tuple = SmallVector<Value>;
using Combine = llvm::function_ref<Tuple(ArrayRef<Value>, ArrayRef<Value>)>;

class Reduction {
public:
  /// `axis` is that of `op`, `scratch` the byte offset of its shared memory, if it needs any.
  Reduction(KernelLowering &kl, Operation *op, Axis axis, std::optional<uint64_t> scratch,
            Combine combine)
      : kl(kl), loc(op->getLoc()), op(op), axis(axis), scratch(scratch), combine(combine),
        inputType(cast<TileType>(op->getOperand(0).getType())), layout(inputType.getLayout()) {
    if (axis == Axis::Rows)
      layout = layout.transposed();
  }

  LogicalResult run() {
    reduceRegisters();
    for (int64_t mask : layout.columnLaneMasks())
      for (Tuple &kept : partials)
        kept = combine(kept, shuffle(kept, mask));
    if (layout.columnWarps() && failed(reduceWarps()))
      return failure();
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      Fragment fragment;
      for (const Tuple &kept : partials)
        fragment.push_back(kept[i]);
      kl.fragments[result] = fragment;
    }
    return success();
  }

private:
  void reduceRegisters() {
    partials.resize(layout.rowSlice().registerCount());
    SmallVector<int64_t> keptOf = layout.rowSliceRegisters();
    for (auto [index, reg] : llvm::enumerate(KernelLowering::liveRegisters(inputType))) {
      Tuple elements;
      for (Value input : op->getOperands())
        elements.push_back(kl.fragments[input][index]);
      Tuple &kept = partials[keptOf[reg]];
      kept = kept.empty() ? elements : combine(kept, elements);
    }
    // Columns that are no power of two leave slice registers without an element behind them.
    while (partials.back().empty())
      partials.pop_back();
  }

  Tuple shuffle(ArrayRef<Value> values, int64_t mask) {
    Tuple others;
    for (Value value : values) {
      Type type = memoryType(kl.builder, value.getType(), /*shared=*/true);
      Value word = toMemory(kl.builder, loc, value, type);
      Value other =
          NVVM::ShflOp::create(kl.builder, loc, type, kl.i32(loc, -1), word, kl.i32(loc, mask),
                               kl.i32(loc, 31), NVVM::ShflKind::bfly, UnitAttr());
      others.push_back(fromMemory(kl.builder, loc, other, value.getType()));
    }
    return others;
  }

  /// Each warp leaves its values in shared memory, and each takes those of all that share with it,
  /// in the same order.
  LogicalResult reduceWarps() {
    if (!scratch)
      return op->emitOpError("has no shared memory for the warps that share what is reduced");
    auto keptType = cast<TileType>(op->getResult(0).getType());
    int64_t kept = axis == Axis::Columns ? inputType.getRows() : inputType.getCols();
    int64_t numWarps = kl.numThreads / 32;
    SmallVector<Position> at = positions(kl, loc, keptType);
    auto address = [&](Value warp, size_t index, size_t operand) {
      Value element = axis == Axis::Columns ? at[index].row : at[index].col;
      Value word = kl.add(loc, kl.mul(loc, warp, kl.i32(loc, kept)), element);
      Value bytes = kl.add(loc, kl.mul(loc, word, kl.i32(loc, 4)),
                           kl.i32(loc, *scratch + operand * numWarps * kept * 4));
      return kl.offsetPointer(loc, kl.sharedBase, bytes);
    };
    kl.barrier(loc);
    int64_t copies = LinearLayout(keptType.getLayout()).replicatedLanes();
    Value writes;
    if (copies)
      writes = arith::CmpIOp::create(
          kl.builder, loc, arith::CmpIPredicate::eq,
          arith::AndIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, copies)), kl.i32(loc, 0));
    guarded(kl, loc, writes, [&]() {
      for (auto [index, tuple] : llvm::enumerate(partials))
        for (auto [operand, value] : llvm::enumerate(tuple)) {
          Type type = memoryType(kl.builder, value.getType(), /*shared=*/true);
          LLVM::StoreOp::create(kl.builder, loc, toMemory(kl.builder, loc, value, type),
                                address(kl.warpId, index, operand), /*alignment=*/4);
        }
    });
    kl.barrier(loc);
    int64_t sharing = layout.columnWarps();
    Value own =
        arith::AndIOp::create(kl.builder, loc, kl.warpId, kl.i32(loc, (numWarps - 1) & ~sharing));
    for (auto [index, tuple] : llvm::enumerate(partials)) {
      Tuple all;
      for (int64_t warp = 0; warp < numWarps; ++warp) {
        if (warp & ~sharing)
          continue;
        Tuple values;
        for (auto [operand, value] : llvm::enumerate(tuple)) {
          Type type = memoryType(kl.builder, value.getType(), /*shared=*/true);
          Value pointer = address(kl.add(loc, own, kl.i32(loc, warp)), index, operand);
          Value word = LLVM::LoadOp::create(kl.builder, loc, type, pointer, /*alignment=*/4);
          values.push_back(fromMemory(kl.builder, loc, word, value.getType()));
        }
        all = all.empty() ? values : combine(all, values);
      }
      tuple = all;
    }
    return success();
  }

  KernelLowering &kl;
  Location loc;
  Operation *op;
  Axis axis;
  std::optional<uint64_t> scratch;
  Combine combine;
  TileType inputType;
  LinearLayout layout;         ///< what is reduced along columns
  SmallVector<Tuple> partials; ///< by register of the result
};

} // namespace

Value attnc::combineElements(OpBuilder &b, Location loc, tile::ReduceKind kind, Value x, Value y) {
  bool integer = x.getType().isInteger(32);
  switch (kind) {
  case tile::ReduceKind::Max:
    return integer ? Value(arith::MaxSIOp::create(b, loc, x, y))
                   : Value(arith::MaxNumFOp::create(b, loc, x, y));
  case tile::ReduceKind::Min:
    return integer ? Value(arith::MinSIOp::create(b, loc, x, y))
                   : Value(arith::MinNumFOp::create(b, loc, x, y));
  case tile::ReduceKind::Sum:
    return integer ? Value(arith::AddIOp::create(b, loc, x, y))
                   : Value(arith::AddFOp::create(b, loc, x, y));
  case tile::ReduceKind::Product:
    return integer ? Value(arith::MulIOp::create(b, loc, x, y))
                   : Value(arith::MulFOp::create(b, loc, x, y));
  }
  llvm_unreachable("all kinds are handled");
}

static LogicalResult lowerReduce(KernelLowering &kl, tile::ReduceOp reduce) {
  auto combine = [&](ArrayRef<Value> x, ArrayRef<Value> y) {
    return Tuple{combineElements(kl.builder, reduce.getLoc(), reduce.getKind(), x[0], y[0])};
  };
  return Reduction(kl, reduce, reduce.getAxis(), reduce.getScratch(), combine).run();
}

static LogicalResult lowerFold(KernelLowering &kl, tile::FoldOp fold) {
  auto combine = [&](ArrayRef<Value> x, ArrayRef<Value> y) {
    Block &body = *fold.getBlock();
    for (auto [arg, value] : llvm::zip(body.getArguments(), llvm::concat<const Value>(x, y)))
      kl.scalars.map(arg, value);
    for (Operation &op : body.without_terminator())
      kl.builder.clone(op, kl.scalars);
    Tuple result;
    for (Value value : body.getTerminator()->getOperands())
      result.push_back(kl.scalars.lookup(value));
    return result;
  };
  return Reduction(kl, fold, fold.getAxis(), fold.getScratch(), combine).run();
}

void attnc::registerReductions(NVVMOpTable &table) {
  table.add(lowerFold);
  table.add(lowerReduce);
}
