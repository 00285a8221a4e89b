// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-overlap-products: products of warpgroups run while their program does something else.
//
// 1. A delayed product (tile-delay-products) moves to the next iteration: the loop carries its
//    operands, with 0 for the first one, and the last one is behind the loop:
//
//      for kv: s = q k[kv]^T; p = ...(s); o' = f(o); o = o' + p v[kv]
//    becomes
//      p = 0; w = a stage of zeros; o' = o
//      for kv: s = q k[kv]^T; o = o' + p w; p = ...(s); o' = f(o); w = v[kv]
//      o = o' + p w
//
//    (0 times what is in a stage that nothing wrote could be NaN: it is filled by a copy of no
//    rows.)
// 2. A product becomes `dot_start`, and a `dot_wait` before the first op that needs it or needs all
//    threads. Products end in their order: one that is waited for ends those before it.
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"
#include "dialects/Tile/TileLayouts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEOVERLAPPRODUCTS
#include "attnc/Transforms/Passes.h.inc"

namespace {

bool isWarpgroup(Operation *op) {
  auto dot = dyn_cast<tile::DotOp>(op);
  return dot && dot.getWarpgroup();
}

//===-- Delayed products ----------------------------------------------------------------------===//

tile::DotOp delayedIn(scf::ForOp loop) {
  for (tile::DotOp dot : loop.getBody()->getOps<tile::DotOp>())
    if (dot.getDelayed())
      return dot;
  return {};
}

/// Moves the delayed product of a chain of loops. `loops` continue each other's values.
class Delay {
public:
  explicit Delay(ArrayRef<scf::ForOp> chain) : loops(chain) {
    tile::DotOp dot = delayedIn(loops.front());
    number = dot.getResult().use_begin()->getOperandNumber();
    left = dot.getLhs().getType();
    right = dot.getRhs().getType();
    isTransposed = dot.getTransposeRhs();
  }

  LogicalResult run() {
    scf::ForOp first = loops.front();
    IRRewriter rewriter(first);
    FailureOr<Value> slot = stageOfZeros();
    if (failed(slot))
      return failure();
    Value zero = arith::ConstantOp::create(rewriter, first.getLoc(),
                                           rewriter.getZeroAttr(left.getElementType()));
    Value weights = tile::FillOp::create(rewriter, first.getLoc(), left, zero);
    SmallVector<Value> carried{weights, *slot};
    for (scf::ForOp loop : loops)
      carried = rotate(rewriter, loop, carried);
    // The last one.
    scf::ForOp last = cast<scf::ForOp>(carried.front().getDefiningOp());
    rewriter.setInsertionPointAfter(last);
    Value acc = last.getResult(number);
    tile::DotOp product = multiply(rewriter, last.getLoc(), carried, acc);
    acc.replaceAllUsesExcept(product.getResult(), product);
    return success();
  }

private:
  /// A stage of zeros of the buffer that the product reads, in front of the chain's first copies;
  /// it is the last one, which they do not fill.
  FailureOr<Value> stageOfZeros() {
    scf::ForOp first = loops.front();
    auto read = delayedIn(first).getRhs().getDefiningOp<tile::ReadOp>();
    auto wait = read ? read.getSlot().getDefiningOp<tile::WaitOp>() : tile::WaitOp();
    auto token =
        wait
            ? dyn_cast<BlockArgument>(wait.getTokens()[llvm::find(wait.getSlots(), read.getSlot()) -
                                                       wait.getSlots().begin()])
            : BlockArgument();
    auto copy = token && token.getOwner() == first.getBody()
                    ? first.getTiedLoopInit(token)->get().getDefiningOp<tile::AsyncCopyOp>()
                    : tile::AsyncCopyOp();
    if (!copy)
      return delayedIn(first).emitOpError(
          "is delayed, and does not read a stage that its loop's pipeline fills");
    // A group of their own, in front of the pipeline's first.
    Operation *start = copy;
    for (Operation *op = copy; op && !isa<tile::CommitOp>(op); op = op->getPrevNode())
      if (isa<tile::AsyncCopyOp>(op))
        start = op;
    OpBuilder b(start);
    Location loc = copy.getLoc();
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
    };
    auto zeros = cast<tile::AsyncCopyOp>(b.clone(*copy));
    int64_t stages = copy.getBuffer().getType().getStages();
    b.setInsertionPoint(zeros);
    zeros.getRowMutable().assign(constant(0));
    zeros.getLimitMutable().assign(constant(0));
    zeros.getStageMutable().assign(constant(stages - 1));
    b.setInsertionPointAfter(zeros);
    tile::CommitOp::create(b, loc);
    return waitFor(zeros);
  }

  /// The slot of `zeros`, which are there before the loops: behind a wait that is there anyway, or
  /// one of their own.
  Value waitFor(tile::AsyncCopyOp zeros) {
    scf::ForOp first = loops.front();
    int32_t younger = -1; // without their own
    tile::WaitOp other;
    for (Operation *op = zeros; op != first; op = op->getNextNode()) {
      younger += isa<tile::CommitOp>(op);
      if (auto wait = dyn_cast<tile::WaitOp>(op); wait && wait.getBarrier())
        other = wait;
    }
    OpBuilder b(first);
    Type type = tile::SlotType::get(b.getContext(), zeros.getBuffer().getType());
    if (!other || static_cast<int32_t>(other.getPending()) > younger)
      return tile::WaitOp::create(b, zeros.getLoc(), TypeRange(type), ValueRange(zeros.getToken()),
                                  younger, /*barrier=*/true)
          .getSlots()
          .front();
    b.setInsertionPoint(other);
    SmallVector<Value> tokens(other.getTokens());
    SmallVector<Type> types(other.getSlots().getTypes());
    tokens.push_back(zeros.getToken());
    types.push_back(type);
    auto both = tile::WaitOp::create(b, other.getLoc(), types, tokens, other.getPending(), true);
    other.replaceAllUsesWith(both.getSlots().drop_back());
    other.erase();
    return both.getSlots().back();
  }

  tile::DotOp multiply(OpBuilder &b, Location loc, ArrayRef<Value> operands, Value acc) {
    Value read = tile::ReadOp::create(b, loc, right, operands[1]);
    auto dot =
        tile::DotOp::create(b, loc, acc.getType(), operands[0], read, acc, Value(), isTransposed);
    dot.setWarpgroup(true);
    return dot;
  }

  /// Lets `loop` take `carried`, and returns them behind it.
  SmallVector<Value> rotate(IRRewriter &rewriter, scf::ForOp loop, ArrayRef<Value> carried) {
    tile::DotOp dot = delayedIn(loop);
    auto read = dot.getRhs().getDefiningOp<tile::ReadOp>();
    NewYieldValuesFn yields = [&](OpBuilder &, Location, ArrayRef<BlockArgument>) {
      return SmallVector<Value>{dot.getLhs(), read.getSlot()};
    };
    rewriter.setInsertionPoint(loop);
    auto next = cast<scf::ForOp>(*cast<LoopLikeOpInterface>(*loop).replaceWithAdditionalYields(
        rewriter, carried, /*replaceInitOperandUsesInLoop=*/false, yields));
    Block *body = next.getBody();
    // Beside the first product of the iteration.
    Operation *beside = &*llvm::find_if(*body, [](Operation &op) { return isWarpgroup(&op); });
    rewriter.setInsertionPointAfter(beside);
    SmallVector<Value> operands(next.getRegionIterArgs().take_back(2));
    Value acc = next.getRegionIterArg(number);
    tile::DotOp moved = multiply(rewriter, dot.getLoc(), operands, acc);
    acc.replaceAllUsesExcept(moved.getResult(), moved);
    Operation *yield = body->getTerminator();
    yield->setOperand(number, dot.getAcc());
    // Its registers are those that the moved product reads: behind that.
    dot.getLhs().getDefiningOp()->moveBefore(yield);
    rewriter.eraseOp(dot);
    rewriter.eraseOp(read);
    // An iteration whose scores are hidden has the product of the one before.
    for (tile::MapOp map : body->getOps<tile::MapOp>())
      map->removeAttr("tile.skip_hidden");
    return SmallVector<Value>(next.getResults().take_back(2));
  }

  SmallVector<scf::ForOp> loops;
  unsigned number = 0; ///< of the loops' results
  tile::TileType left, right;
  bool isTransposed = false;
};

//===-- Starts and waits ----------------------------------------------------------------------===//

/// The products of a block that run at a point of it, oldest first.
class InFlight {
public:
  void start(tile::DotOp dot) {
    OpBuilder b(dot);
    auto type = tile::ProductType::get(b.getContext(), dot.getResult().getType());
    Value product = tile::DotStartOp::create(b, dot.getLoc(), type, dot.getLhs(), dot.getRhs(),
                                             dot.getAcc(), dot.getTransposeRhs());
    running.push_back({product, dot});
  }

  /// Waits in front of `op` for what it needs.
  void waitBefore(Operation *op) {
    bool needsAll = op->hasTrait<OpTrait::IsTerminator>() || tile::needsWholeBlock(op) ||
                    (op->getNumRegions() != 0 && !isa<tile::MapOp, tile::FoldOp>(op));
    size_t needed = needsAll && !isWarpgroup(op) ? running.size() : 0;
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        for (auto [i, entry] : llvm::enumerate(running))
          if (entry.dot.getResult() == operand)
            needed = std::max(needed, i + 1);
    });
    if (needed)
      wait(op, needed);
  }

private:
  struct Entry {
    Value product;
    tile::DotOp dot;
  };

  /// What is computed between the start of `product` and `op`, of what follows from other tiles as
  /// a whole: the last reduction there.
  static SmallVector<Value> computedBeside(Value product, Operation *op) {
    for (Operation *between = op->getPrevNode(); between != product.getDefiningOp();
         between = between->getPrevNode()) {
      if (isa<tile::DotWaitOp>(between))
        return {};
      if (auto reduce = dyn_cast<tile::ReduceOp>(between);
          reduce && reduce.getResult().getType().getElementType().isF32())
        return {reduce.getResult()};
    }
    return {};
  }

  void wait(Operation *op, size_t count) {
    OpBuilder b(op);
    SmallVector<Value> products;
    SmallVector<Type> types;
    for (Entry &entry : MutableArrayRef(running).take_front(count)) {
      products.push_back(entry.product);
      types.push_back(entry.dot.getResult().getType());
    }
    auto wait = tile::DotWaitOp::create(b, op->getLoc(), types, products,
                                        static_cast<int32_t>(running.size() - count),
                                        computedBeside(products.back(), op));
    for (auto [entry, result] : llvm::zip(ArrayRef(running).take_front(count), wait.getResults())) {
      tile::DotOp dot = entry.dot;
      dot.getResult().replaceAllUsesWith(result);
      dot.erase();
    }
    running.erase(running.begin(), running.begin() + count);
  }

  SmallVector<Entry> running;
};

void overlap(Block &block) {
  InFlight inFlight;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    inFlight.waitBefore(&op);
    if (isWarpgroup(&op))
      inFlight.start(cast<tile::DotOp>(op));
  }
}

struct TileOverlapProducts : impl::TileOverlapProductsBase<TileOverlapProducts> {
  using TileOverlapProductsBase::TileOverlapProductsBase;

  void runOnOperation() override {
    SmallVector<SmallVector<scf::ForOp>> chains;
    getOperation().walk([&](scf::ForOp loop) {
      tile::DotOp dot = delayedIn(loop);
      if (!dot)
        return;
      unsigned number = dot.getResult().use_begin()->getOperandNumber();
      Operation *before = loop.getInitArgs()[number].getDefiningOp();
      if (!chains.empty() && chains.back().back() == before)
        chains.back().push_back(loop);
      else
        chains.push_back({loop});
    });
    for (ArrayRef<scf::ForOp> chain : chains)
      if (failed(Delay(chain).run()))
        return signalPassFailure();
    SmallVector<Block *> blocks;
    getOperation().walk([&](tile::DotOp dot) {
      if (dot.getWarpgroup() && !llvm::is_contained(blocks, dot->getBlock()))
        blocks.push_back(dot->getBlock());
    });
    for (Block *block : blocks)
      overlap(*block);
  }
};

} // namespace
} // namespace attnc
