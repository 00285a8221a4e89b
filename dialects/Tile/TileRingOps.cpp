// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of warps with roles and of rings. Each check names the constraint that it enforces.
#include "dialects/Tile/RowCopies.h"
#include "dialects/Tile/Tile.h"

using namespace mlir;
using namespace attnc::tile;

LogicalResult SpecializeOp::verify() {
  auto kernel = cast<KernelOp>((*this)->getParentOp());
  int64_t producers = static_cast<int32_t>(getProducers()), consumers = kernel.getNumWarps();
  if (producers < 4 || producers % 4 != 0 || consumers % 4 != 0) // tile.specialize C1
    return emitOpError("expects multiples of 4 warps, found ")
           << producers << " producers and " << consumers << " consumers";
  int64_t given = 0;
  for (auto [warps, registers] : {std::pair(producers, getProducerRegisters()),
                                  std::pair(consumers, getConsumerRegisters())}) {
    int64_t count = static_cast<int32_t>(registers);
    if (count < 24 || count > 256 || count % 8 != 0) // tile.specialize C2
      return emitOpError("expects registers in eights, from 24 to 256, found ") << count;
    given += 32 * warps * count;
  }
  constexpr int64_t kRegisters = 65536; // of a multiprocessor
  int64_t threads = 32 * (producers + consumers), atLaunch = kRegisters / threads / 8 * 8 * threads;
  if (given > atLaunch) // tile.specialize C2
    return emitOpError("expects at most ")
           << atLaunch << " registers, what such a block has at its launch, found " << given;
  Operation *next = (*this)->getNextNode();
  if (!isa_and_nonnull<ReturnOp>(next)) // tile.specialize C3
    return emitOpError("expects nothing but a return behind it");
  return success();
}

LogicalResult RingOp::verify() {
  int64_t offset = static_cast<int64_t>(getOffset());
  if (offset < 0 || offset % 8 != 0) // tile.ring C1
    return emitOpError("expects an offset that is a multiple of 8, found ") << offset;
  if (static_cast<int32_t>(getFillers()) < 1 ||
      static_cast<int32_t>(getReaders()) < 1) // tile.ring C2
    return emitOpError("expects at least one warp that fills and one that releases, found ")
           << static_cast<int32_t>(getFillers()) << " and " << static_cast<int32_t>(getReaders());
  return success();
}

LogicalResult RingFillOp::verify() {
  BufferType buffer = getRing().getType().getBuffer();
  if (failed(verifyRowCopy(*this,
                           {getView().getType(), buffer, getIndices().size(),
                            static_cast<int64_t>(getRowDim()), static_cast<int64_t>(getValidCols()),
                            static_cast<int32_t>(getVectorBytes())}))) // tile.ring_fill C1
    return failure();
  if (!getMap())
    return success();
  auto map = cast<TensorMapType>(getMap().getType());
  int64_t bytes = buffer.getElementType().getIntOrFloatBitWidth() / 8;
  if (!map.isOf(getView().getType()) || map.getRowDim() != static_cast<int64_t>(getRowDim()) ||
      map.getRows() != buffer.getShape()[1] || !buffer.getLayout().getPanelBytes() ||
      map.getColumns() * bytes != buffer.getLayout().getPitch()) // tile.ring_fill C2
    return emitOpError("expects a map of ")
           << getView().getType() << " whose boxes are panels of " << buffer << ", found " << map;
  return success();
}

LogicalResult RingSignalOp::verify() {
  if (static_cast<int32_t>(getPending()) < 0) // tile.ring_signal C1
    return emitOpError("expects a number of pending fills that is not negative");
  return success();
}

LogicalResult RingWaitOp::verify() {
  if (getSlot().getType().getBuffer() != getRing().getType().getBuffer()) // tile.ring_wait C1
    return emitOpError("expects a slot of ")
           << getRing().getType().getBuffer() << ", found " << getSlot().getType();
  return success();
}
