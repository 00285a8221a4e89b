// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Warps with roles, and the rings between them. A stage of a ring has two mbarriers:
//
//   full   where each warp that fills it arrives when its part is there,
//   empty  where each warp that reads it arrives when it has what it needs.
//
// Fill n is phase n / stages of its stage's barriers; a wait takes the parity of a phase. The first
// wait for an empty stage is for the phase before all others, which counts as complete.
#include "Copies.h"
#include "Products.h"

using namespace mlir;
using namespace attnc;

namespace {

/// An asm statement on memory: `text` has operands $0, $1, ... in registers of 32 bits.
void emitAsm(KernelLowering &kl, Location loc, StringRef text, ValueRange operands) {
  std::string constraints;
  for (size_t i = 0; i < operands.size(); ++i)
    constraints += "r,";
  LLVM::InlineAsmOp::create(
      kl.builder, loc, TypeRange(), operands, text.str(), constraints + "~{memory}",
      /*has_side_effects=*/true,
      /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(kl.builder.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr());
}

/// Where fill `number` of a ring is.
class RingPlace {
public:
  RingPlace(KernelLowering &kl, Location loc, TypedValue<tile::RingType> ring, Value number)
      : kl(kl), loc(loc), ring(ring), buffer(ring.getType().getBuffer()) {
    OpBuilder &b = kl.builder;
    Value n = kl.scalars.lookup(number), stages = kl.i32(loc, buffer.getStages());
    stage = arith::RemUIOp::create(b, loc, n, stages);
    Value phase = arith::DivUIOp::create(b, loc, n, stages);
    parity = arith::AndIOp::create(b, loc, phase, kl.i32(loc, 1));
  }

  /// Shared address (i32) of the stage.
  Value data() const {
    auto of = cast<tile::RingOp>(ring.getDefiningOp());
    return kl.add(loc, kl.buffers[of.getBuffer()],
                  kl.mul(loc, stage, kl.i32(loc, buffer.getStageBytes())));
  }
  void waitFull() const { wait(0, parity); }
  void waitEmpty() const {
    wait(buffer.getStages(), arith::XOrIOp::create(kl.builder, loc, parity, kl.i32(loc, 1)));
  }
  /// This warp arrives: its first lane, for all of them.
  void arriveFull() const { arrive(0); }
  void arriveEmpty() const { arrive(buffer.getStages()); }
  /// The stage is full when as many bytes more have come.
  void expect(int64_t bytes) const {
    emitAsm(kl, loc, "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [$0], $1;",
            {address(0), kl.i32(loc, bytes)});
  }
  Value fullBarrier() const { return pointer(0); }

private:
  Value pointer(int64_t firstBarrier) const {
    Value offset = kl.add(loc, kl.rings[ring], kl.i32(loc, 8 * firstBarrier));
    offset = kl.add(loc, offset, kl.mul(loc, stage, kl.i32(loc, 8)));
    return kl.offsetPointer(loc, kl.sharedBase, offset);
  }
  Value address(int64_t firstBarrier) const {
    return LLVM::PtrToIntOp::create(kl.builder, loc, kl.builder.getI32Type(),
                                    pointer(firstBarrier));
  }
  void wait(int64_t firstBarrier, Value phase) const {
    emitAsm(kl, loc,
            "{\n.reg .pred done;\n"
            "again:\nmbarrier.try_wait.parity.shared::cta.b64 done, [$0], $1, 10000000;\n"
            "@done bra.uni there;\nbra.uni again;\nthere:\n}",
            {address(firstBarrier), phase});
  }
  void arrive(int64_t firstBarrier) const {
    Value first = kl.atHead(kl.builder.getStringAttr("first lane"), 0, [&]() -> Value {
      Value is = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::eq, kl.laneId,
                                       kl.i32(loc, 0));
      return arith::ExtUIOp::create(kl.builder, loc, kl.builder.getI32Type(), is);
    });
    emitAsm(kl, loc,
            "{\n.reg .pred first;\nsetp.ne.b32 first, $1, 0;\n"
            "@first mbarrier.arrive.shared::cta.b64 _, [$0];\n}",
            {address(firstBarrier), first});
  }

  KernelLowering &kl;
  Location loc;
  TypedValue<tile::RingType> ring;
  tile::BufferType buffer;
  Value stage, parity;
};

} // namespace

/// Thread 0 of the block initializes the barriers; the roles begin behind a barrier of all.
static LogicalResult lowerRing(KernelLowering &kl, tile::RingOp ring) {
  Location loc = ring.getLoc();
  OpBuilder &b = kl.builder;
  int64_t stages = ring.getBuffer().getType().getStages();
  kl.rings[ring.getRing()] = kl.i32(loc, ring.getOffset());
  Value first =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, kl.threadId, kl.i32(loc, 0));
  auto branch = scf::IfOp::create(b, loc, first, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  for (int64_t i = 0; i < 2 * stages; ++i)
    NVVM::MBarrierInitOp::create(
        b, loc, kl.offsetPointer(loc, kl.sharedBase, kl.i32(loc, ring.getOffset() + 8 * i)),
        kl.i32(loc, i < stages ? ring.getFillers() : ring.getReaders()), Value());
  return success();
}

//===-- Turns ---------------------------------------------------------------------------------===//

/// Barrier 0 is that of the whole block, then come those of the roles, and of each warpgroup's
/// turn.
enum : int32_t { kConsumerBarrier = 1, kProducerBarrier = 2, kFirstTurnBarrier = 3 };
/// Threads that meet at a turn's barrier: those that end a turn, and those whose turn it is.
static constexpr int64_t kTurnThreads = 256;

/// The number of the barrier for the turn of the warpgroup `further` from this one.
static Value turnBarrier(KernelLowering &kl, Location loc, int64_t further) {
  Value other = kl.warpgroupId(loc);
  if (further)
    other = arith::RemUIOp::create(kl.builder, loc, kl.add(loc, other, kl.i32(loc, further)),
                                   kl.i32(loc, kl.numThreads / 128));
  return kl.add(loc, other, kl.i32(loc, kFirstTurnBarrier));
}

/// The first warpgroup begins: the last one behaves as if it had had a turn.
static void beginTurns(KernelLowering &kl, Location loc, Block &consumer) {
  bool any = false;
  consumer.walk([&](tile::BeginTurnOp) { any = true; });
  if (!any)
    return;
  OpBuilder &b = kl.builder;
  int64_t last = kl.numThreads / 128 - 1;
  Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, kl.warpgroupId(loc),
                                       kl.i32(loc, last));
  auto branch = scf::IfOp::create(b, loc, isLast, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  NVVM::BarrierArriveOp::create(b, loc, kl.i32(loc, kFirstTurnBarrier), kl.i32(loc, kTurnThreads));
}

static LogicalResult lowerBeginTurn(KernelLowering &kl, tile::BeginTurnOp turn) {
  Location loc = turn.getLoc();
  NVVM::BarrierOp::create(kl.builder, loc, TypeRange(), turnBarrier(kl, loc, 0),
                          kl.i32(loc, kTurnThreads), NVVM::BarrierReductionAttr(), Value());
  return success();
}

static LogicalResult lowerEndTurn(KernelLowering &kl, tile::EndTurnOp turn) {
  Location loc = turn.getLoc();
  NVVM::BarrierArriveOp::create(kl.builder, loc, turnBarrier(kl, loc, 1),
                                kl.i32(loc, kTurnThreads));
  return success();
}

//===-- Roles and rings -----------------------------------------------------------------------===//

static LogicalResult lowerSpecialize(KernelLowering &kl, tile::SpecializeOp roles) {
  Location loc = roles.getLoc();
  OpBuilder &b = kl.builder;
  NVVM::FenceMbarrierInitOp::create(b, loc);
  kl.barrier(loc);
  int64_t consumers = kl.numThreads, producers = 32 * int64_t(roles.getProducers());
  Value isProducer = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, kl.warpgroupId(loc),
                                           kl.i32(loc, consumers / 128));
  auto branch = scf::IfOp::create(b, loc, isProducer, /*withElseRegion=*/true);
  auto role = [&](Block *block, Block &body, uint32_t registers, NVVM::SetMaxRegisterAction action,
                  int64_t firstThread, int64_t threads, int32_t barrier) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(block);
    NVVM::SetMaxRegisterOp::create(b, loc, registers, action);
    if (firstThread == 0)
      beginTurns(kl, loc, body);
    return kl.lowerRole(body, firstThread, threads, barrier);
  };
  if (failed(role(branch.thenBlock(), roles.getProducer().front(), roles.getProducerRegisters(),
                  NVVM::SetMaxRegisterAction::decrease, consumers, producers, kProducerBarrier)))
    return failure();
  return role(branch.elseBlock(), roles.getConsumer().front(), roles.getConsumerRegisters(),
              NVVM::SetMaxRegisterAction::increase, 0, consumers, kConsumerBarrier);
}

/// The copy engine copies the stage, panel by panel: what one thread asks for. It adds the bytes to
/// what the stage's barrier waits for, besides the warps that signal.
static void copyByEngine(KernelLowering &kl, tile::RingFillOp fill, const RingPlace &place) {
  Location loc = fill.getLoc();
  OpBuilder &b = kl.builder;
  MLIRContext *context = b.getContext();
  tile::BufferType buffer = fill.getRing().getType().getBuffer();
  auto map = cast<tile::TensorMapType>(fill.getMap().getType());
  Value isFirst =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, kl.threadId, kl.i32(loc, 0));
  auto one = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(one.thenBlock());
  place.expect(buffer.getStageBytes());
  Value barrier = place.fullBarrier();
  // TensorMaps.cpp has the same order: columns, rows, the other dimensions from the last one on.
  SmallVector<Value> behind{kl.scalars.lookup(fill.getRow())};
  for (Value index : llvm::reverse(fill.getIndices()))
    behind.push_back(kl.scalars.lookup(index));
  auto cluster = LLVM::LLVMPointerType::get(context, 7);
  for (int64_t column = 0; column < buffer.getShape()[2]; column += map.getColumns()) {
    int64_t offset = column / map.getColumns() * buffer.getLayout().getPanelBytes();
    Value target =
        kl.offsetPointer(loc, kl.sharedBase, kl.add(loc, place.data(), kl.i32(loc, offset)));
    SmallVector<Value> coordinates{kl.i32(loc, column)};
    llvm::append_range(coordinates, behind);
    NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
        b, loc, LLVM::AddrSpaceCastOp::create(b, loc, cluster, target),
        kl.tensorMaps[fill.getMap()].map, coordinates, barrier, /*im2colOffsets=*/ValueRange(),
        /*multicastMask=*/Value(), /*l2CacheHint=*/Value(), NVVM::TMALoadMode::TILE,
        /*isCTAOnly=*/false, /*group=*/NVVM::CTAGroupKindAttr(), /*predicate=*/Value());
  }
}

static LogicalResult lowerRingFill(KernelLowering &kl, tile::RingFillOp fill) {
  Location loc = fill.getLoc();
  OpBuilder &b = kl.builder;
  tile::BufferType buffer = fill.getRing().getType().getBuffer();
  RingPlace place(kl, loc, fill.getRing(), fill.getNumber());
  place.waitEmpty();
  OpBuilder::InsertionGuard guard(b);
  scf::IfOp how;
  if (fill.getMap()) {
    // Rows behind the limit are zeros, and not read: the engine knows of none but the tensor's end.
    Value rows = arith::SubIOp::create(b, loc, kl.scalars.lookup(fill.getLimit()),
                                       kl.scalars.lookup(fill.getRow()));
    Value inside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, rows,
                                         kl.i32(loc, buffer.getShape()[1]));
    Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne,
                                          kl.tensorMaps[fill.getMap()].isThere, kl.i32(loc, 0));
    how = scf::IfOp::create(b, loc, arith::AndIOp::create(b, loc, inside, isThere),
                            /*withElseRegion=*/true);
    b.setInsertionPointToStart(how.thenBlock());
    copyByEngine(kl, fill, place);
    b.setInsertionPointToStart(how.elseBlock());
  }
  if (failed(copyToStage(kl, fill,
                         {loc, buffer, place.data(), fill.getView(), fill.getIndices(),
                          fill.getRow(), fill.getLimit(), static_cast<int64_t>(fill.getRowDim()),
                          static_cast<int64_t>(fill.getValidCols()),
                          static_cast<int64_t>(fill.getVectorBytes()), /*col=*/{}})))
    return failure();
  if (how)
    b.setInsertionPointAfter(how);
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  return success();
}

static LogicalResult lowerRingSignal(KernelLowering &kl, tile::RingSignalOp signal) {
  Location loc = signal.getLoc();
  NVVM::CpAsyncWaitGroupOp::create(kl.builder, loc, signal.getPending());
  if (signal.getRing().getType().getBuffer().getLayout().getPanelBytes() != 0)
    fenceForWarpgroups(kl, loc);
  NVVM::SyncWarpOp::create(kl.builder, loc, kl.i32(loc, -1));
  RingPlace(kl, loc, signal.getRing(), signal.getNumber()).arriveFull();
  return success();
}

static LogicalResult lowerRingWait(KernelLowering &kl, tile::RingWaitOp wait) {
  RingPlace place(kl, wait.getLoc(), wait.getRing(), wait.getNumber());
  place.waitFull();
  kl.fragments[wait.getSlot()] = {place.data()};
  return success();
}

static LogicalResult lowerRingRelease(KernelLowering &kl, tile::RingReleaseOp release) {
  Location loc = release.getLoc();
  NVVM::SyncWarpOp::create(kl.builder, loc, kl.i32(loc, -1));
  RingPlace(kl, loc, release.getRing(), release.getNumber()).arriveEmpty();
  return success();
}

void attnc::registerRings(NVVMOpTable &table) {
  table.add(lowerRing);
  table.add(lowerSpecialize);
  table.add(lowerRingFill);
  table.add(lowerRingSignal);
  table.add(lowerRingWait);
  table.add(lowerRingRelease);
  table.add(lowerBeginTurn);
  table.add(lowerEndTurn);
}
