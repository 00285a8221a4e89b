// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-map-tensors: lets the copy engine fill rings.
//
// The engine finds a box of a tensor by a map, which the driver makes at a launch. So a kernel gets
// an argument for each tensor and box, and its launches pass the tensor once more, to make the map
// of.
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEMAPTENSORS
#include "attnc/Transforms/Passes.h.inc"

namespace {

struct TileMapTensors : impl::TileMapTensorsBase<TileMapTensors> {
  using TileMapTensorsBase::TileMapTensorsBase;

  void runOnOperation() override {
    launches.clear();
    getOperation().walk(
        [&](tile::LaunchOp launch) { launches[launch.getKernel()].push_back(launch); });
    for (auto kernel : getOperation().getOps<tile::KernelOp>())
      addMaps(kernel);
  }

private:
  /// The map that `fill` could go through, or null.
  static tile::TensorMapType mapFor(tile::RingFillOp fill) {
    tile::BufferType buffer = fill.getRing().getType().getBuffer();
    tile::ViewType view = fill.getView().getType();
    int64_t bytes = buffer.getElementType().getIntOrFloatBitWidth() / 8;
    int64_t pitch = buffer.getLayout().getPitch();
    constexpr int64_t kMostRank = 5, kMostRows = 256; // CUDA Driver API, cuTensorMapEncodeTiled
    if (!buffer.getLayout().getPanelBytes() || view.getRank() > kMostRank ||
        buffer.getShape()[1] > kMostRows || buffer.getShape()[2] * bytes % pitch != 0 ||
        fill.getVectorBytes() != 16)
      return {};
    return tile::TensorMapType::get(view.getContext(), view.getRank(), view.getElementType(),
                                    fill.getRowDim(), buffer.getShape()[1], pitch / bytes);
  }

  /// Whether all launches pass a tensor of the caller as argument `number`, and nothing else may be
  /// the same memory.
  bool isMappable(tile::KernelOp kernel, unsigned number) {
    return !kernel.getArgAttr(number, "tile.may_alias") &&
           llvm::all_of(launches[kernel.getSymName()], [&](tile::LaunchOp launch) {
             auto argument = dyn_cast<BlockArgument>(launch.getArgs()[number]);
             return argument && isa<tile::ProgramOp>(argument.getOwner()->getParentOp());
           });
  }

  void addMaps(tile::KernelOp kernel) {
    llvm::DenseMap<std::pair<Value, Type>, Value> maps;
    kernel.walk([&](tile::RingFillOp fill) {
      auto view = dyn_cast<BlockArgument>(fill.getView());
      tile::TensorMapType type = mapFor(fill);
      if (!type || !view || !isMappable(kernel, view.getArgNumber()))
        return;
      Value &map = maps[{view, type}];
      if (!map)
        map = addArgument(kernel, view, type);
      fill.getMapMutable().assign(map);
      ++numMapped;
    });
  }

  Value addArgument(tile::KernelOp kernel, BlockArgument view, tile::TensorMapType type) {
    Builder b(kernel);
    unsigned number = kernel.getNumArguments();
    StringRef name = kernel.getBinding(view.getArgNumber()).split(':').second;
    auto attributes =
        b.getDictionaryAttr(b.getNamedAttr("tile.binding", b.getStringAttr("map:" + name)));
    (void)kernel.insertArgument(number, type, attributes, view.getLoc());
    for (tile::LaunchOp launch : launches[kernel.getSymName()]) {
      Value tensor = launch.getArgs()[view.getArgNumber()];
      launch.getArgsMutable().append(tensor);
    }
    return kernel.getArgument(number);
  }

  llvm::StringMap<SmallVector<tile::LaunchOp>> launches; ///< of each kernel
};

} // namespace
} // namespace attnc
