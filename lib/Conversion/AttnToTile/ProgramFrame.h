// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The frame of a compiled variant: what a caller passes, a kernel for each stage with the arguments
// that it takes, and the program that launches them.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMFRAME_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMFRAME_H

#include "ChunkLoops.h"
#include "llvm/ADT/StringSet.h"
#include <deque>

namespace attnc {

class ProgramFrame {
public:
  ProgramFrame(attn::VariantOp variant, const KernelPlan &plan)
      : builder(variant), variant(variant), plan(plan) {}

  /// Replaces the variant by kernels and their program.
  mlir::LogicalResult run();

private:
  /// A stage and its kernel. Behind a stage with an alternative follows another one for the same
  /// op.
  struct Stage {
    mlir::Operation *op;
    std::unique_ptr<StageLowering> lowering;
    Stage *other = nullptr; ///< with which one of the two is launched
    bool isAlternative = false;
    llvm::SmallVector<mlir::Value> tensors;      ///< that the kernel takes, of the variant
    llvm::SmallVector<Scratch> scratch;          ///< and of its own
    llvm::SmallVector<mlir::Value> scratchViews; ///< in the program
    tile::KernelOp kernel;
    llvm::MapVector<llvm::StringRef, mlir::Value> readAnywhere; ///< see KernelContext
    const StageGroup *group = nullptr;                          ///< that it is launched in
  };

  mlir::LogicalResult findStages();
  Stage &addStage(mlir::Operation *op, std::unique_ptr<StageLowering> lowering);
  void formLoops();
  void nameTensors();
  std::string uniqueName(std::string name);
  llvm::SmallVector<mlir::Value> tensorsOf(mlir::Operation *op);
  static tile::ViewType workspaceType(attn::AttnTensorType type);
  tile::ViewType viewType(mlir::Value tensor);
  mlir::DictionaryAttr tensorAttrs(mlir::Value tensor);
  llvm::SmallVector<std::string> launchSizes();
  mlir::LogicalResult emitKernel(Stage &stage, unsigned number);
  void bindSizes(KernelContext &context, llvm::function_ref<mlir::Value()> next);
  mlir::LogicalResult emitProgram();
  mlir::LogicalResult emitWorkspaces(KernelContext &context, const StageGroup &group, bool parts);
  mlir::LogicalResult emitLoop(KernelContext &context, const StageGroup &group);
  mlir::FailureOr<StageLowering::Grid> gridOf(KernelContext &context, Stage &stage);
  mlir::LogicalResult emitLaunch(KernelContext &context, Stage &stage);
  mlir::LogicalResult emitRequirements(KernelContext &context, Stage &stage);
  mlir::FailureOr<mlir::Value> emitWorkspace(KernelContext &context, mlir::Location loc,
                                             llvm::StringRef name, attn::AttnTensorType type);
  std::string axisText(attn::AttnTensorType type, unsigned axis);

  mlir::OpBuilder builder;
  attn::VariantOp variant;
  const KernelPlan &plan;
  std::deque<Stage> stages;
  llvm::SmallVector<StageGroup> groups;                 ///< of stages, in the order of launches
  llvm::SmallVector<mlir::Value> signature;             ///< inputs, then outputs
  llvm::DenseMap<mlir::Value, llvm::StringRef> outputs; ///< by the name that they are returned as
  llvm::DenseMap<mlir::Value, std::string> names;       ///< of all tensors
  llvm::StringSet<> taken;                              ///< names
  llvm::SmallVector<std::string> computedSizes;         ///< of spaces with an extent
  llvm::SmallVector<attn::ParamOp> params;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMFRAME_H
