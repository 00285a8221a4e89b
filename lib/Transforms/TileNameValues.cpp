// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-name-values: names for what a person looks for in a kernel. They are locations, so nothing
// but text depends on them, and they last until the values are split between threads.
//
//   tile.kernel @f(%arg0: ... {tile.binding = "tensor:Q"}, %arg1: i32 {tile.binding = "size:kv"})
//     %0 = tile.load %arg0[...]                  ->  %Q_tile = tile.load %Q[...]
//     scf.for %arg2 = ... {                      ->  scf.for %kv = ... {
//       %1 = tile.load %arg3[...] rows 2 from %arg2
//       %2 = tile.dot %0, %1 transposed, ...     ->  %times_K = tile.dot %Q_tile, %K_tile
//       transposed
#include "attnc/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILENAMEVALUES
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// What the spec calls the tensor, size or parameter that a kernel's argument is.
std::string nameOfArgument(tile::KernelOp kernel, unsigned index) {
  auto [kind, name] = kernel.getBinding(index).split(':');
  return kind == "size" ? ("size_" + name).str() : name.str();
}

struct Names {
  tile::KernelOp kernel;

  void give(Value value, const llvm::Twine &name) {
    std::string text = name.str();
    if (text.empty())
      return;
    Location plain = value.getLoc();
    if (auto named = dyn_cast<NameLoc>(plain))
      plain = named.getChildLoc();
    Location loc = NameLoc::get(StringAttr::get(kernel.getContext(), text), plain);
    if (auto argument = dyn_cast<BlockArgument>(value))
      argument.setLoc(loc);
    else if (value.getDefiningOp()->getNumResults() == 1)
      value.getDefiningOp()->setLoc(loc);
  }

  /// The name of the tensor that `view` is; empty if it is no argument of the kernel.
  std::string ofView(Value view) {
    auto argument = dyn_cast<BlockArgument>(view);
    bool isOurs = argument && argument.getOwner() == &kernel.getBody().front();
    return isOurs ? nameOfArgument(kernel, argument.getArgNumber()) : "";
  }

  /// The index space that the rows of a load lie in; empty if that is no space of a name.
  std::string rowSpace(tile::LoadOp load) {
    auto argument = dyn_cast<BlockArgument>(load.getView());
    auto axes = argument ? kernel.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "tile.axes")
                         : ArrayAttr();
    int64_t dim = load.getRowDim();
    auto axis = axes && dim < int64_t(axes.size()) ? dyn_cast<StringAttr>(axes[dim]) : StringAttr();
    return axis && !axis.empty() && llvm::isAlpha(axis.getValue()[0]) ? axis.str() : "";
  }

  void giveToLoad(tile::LoadOp load) {
    if (std::string name = ofView(load.getView()); !name.empty())
      give(load.getResult(), name + "_tile");
    auto row = dyn_cast<BlockArgument>(load.getRow());
    auto loop = row ? dyn_cast<scf::ForOp>(row.getOwner()->getParentOp()) : scf::ForOp();
    if (loop && loop.getInductionVar() == row)
      give(row, rowSpace(load));
  }

  void run() {
    for (BlockArgument argument : kernel.getBody().getArguments())
      give(argument, nameOfArgument(kernel, argument.getArgNumber()));
    kernel.walk([&](Operation *op) {
      if (auto load = dyn_cast<tile::LoadOp>(op)) {
        giveToLoad(load);
      } else if (auto dot = dyn_cast<tile::DotOp>(op)) {
        auto load = dot.getRhs().getDefiningOp<tile::LoadOp>();
        if (std::string name = load ? ofView(load.getView()) : ""; !name.empty())
          give(dot.getResult(), "times_" + name);
      } else if (auto store = dyn_cast<tile::StoreOp>(op)) {
        if (store.getValue().getDefiningOp())
          give(store.getValue(), ofView(store.getView()) + "_tile");
      } else if (auto id = dyn_cast<tile::ProgramIdOp>(op); id && kernel.getGridSpaces()) {
        auto space = cast<StringAttr>((*kernel.getGridSpaces())[id.getDim()]).getValue();
        if (!space.empty())
          give(id.getResult(), "block_" + space);
      }
    });
  }
};

struct TileNameValues : impl::TileNameValuesBase<TileNameValues> {
  using TileNameValuesBase::TileNameValuesBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    Names{getOperation()}.run();
  }
};

} // namespace
} // namespace attnc
