// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The frame of a compiled variant: what a caller passes, kernels of stages with the arguments that
// they take, and the program that launches them.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMFRAME_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMFRAME_H

#include "Choices.h"
#include "ChunkLoops.h"
#include "LocalTensors.h"
#include "llvm/ADT/StringSet.h"
#include <deque>

namespace attnc {

class ProgramFrame {
public:
  ProgramFrame(attn::VariantOp variant, const KernelPlan &plan)
      : builder(variant), variant(variant), plan(plan), choices(variant) {}

  /// Replaces the variant by kernels and their program.
  mlir::LogicalResult run();

private:
  struct Kernel;
  /// A stage. Behind one with an alternative follows another one for the same op.
  struct Stage {
    mlir::Operation *op;
    std::unique_ptr<StageLowering> lowering;
    Kernel *kernel;
    llvm::SmallVector<Scratch> scratch;          ///< tensors of its own
    llvm::SmallVector<mlir::Value> scratchViews; ///< in the program
  };
  /// One stage, or several one after the other.
  struct Kernel {
    llvm::SmallVector<Stage *> stages;
    llvm::SmallVector<IndependentAxis> axes; ///< of several: those that the grid cuts
    llvm::StringRef walked;                  ///< the space that each program walks along, if any
    Kernel *other = nullptr;                 ///< with which one of the two is launched
    bool isAlternative = false;
    std::optional<Choice> choice;           ///< when it is launched; nothing: always
    llvm::SmallVector<mlir::Value> tensors; ///< that it takes, of the variant
    llvm::SmallVector<LocalTensor> locals;  ///< that its programs have for themselves
    tile::KernelOp op;
    llvm::MapVector<llvm::StringRef, mlir::Value> readAnywhere; ///< see KernelContext
    llvm::MapVector<llvm::StringRef, mlir::Value> readInSteps;  ///< of a walk: if there are steps
    const StageGroup *group = nullptr;                          ///< that it is launched in

    mlir::Location loc() const { return stages.back()->op->getLoc(); }
  };

  mlir::LogicalResult findReuses();
  mlir::LogicalResult findStages();
  Kernel &addStage(mlir::Operation *op, std::unique_ptr<StageLowering> lowering, Kernel *kernel);
  mlir::LogicalResult formLoops();
  void findLocals(Kernel &kernel);
  void nameTensors();
  std::string uniqueName(std::string name);
  llvm::SmallVector<mlir::Value> tensorsOf(const Kernel &kernel);
  static tile::ViewType workspaceType(attn::AttnTensorType type);
  tile::ViewType viewType(mlir::Value tensor);
  llvm::SmallVector<mlir::NamedAttribute> memoryAttrs(llvm::StringRef name,
                                                      attn::AttnTensorType type, bool isWorkspace,
                                                      bool hasUnitStride);
  mlir::DictionaryAttr tensorAttrs(mlir::Value tensor, mlir::Attribute alias);
  llvm::SmallVector<std::string> launchSizes();
  /// Whether `tensor` is there between stages only, and comes from one of them.
  bool isOwn(mlir::Value tensor) const {
    return !outputs.contains(tensor) && choices.memoryOf(tensor) == tensor;
  }
  /// What the first result of `stage` is called.
  std::string nameInMemory(const Stage &stage) const {
    return names.lookup(choices.memoryOf(stage.op->getResult(0)));
  }
  std::string nameOf(const Kernel &kernel, unsigned number);
  mlir::LogicalResult emitKernel(Kernel &kernel, unsigned number);
  mlir::LogicalResult emitBody(Kernel &kernel, KernelContext &context,
                               llvm::ArrayRef<mlir::Value> scratch);
  using Emit = llvm::function_ref<mlir::LogicalResult(Stage &)>;
  mlir::LogicalResult emitStages(Kernel &kernel, KernelContext &context, Emit emit);
  mlir::LogicalResult emitWalk(Kernel &kernel, KernelContext &context,
                               llvm::function_ref<void(const Stage &)> bindScratch);
  void bindSizes(KernelContext &context, llvm::function_ref<mlir::Value()> next);
  mlir::LogicalResult emitProgram();
  mlir::LogicalResult emitWorkspaces(KernelContext &context, const StageGroup &group, bool parts);
  mlir::LogicalResult emitLoop(KernelContext &context, const StageGroup &group);
  mlir::FailureOr<StageLowering::Grid> gridOf(KernelContext &context, Kernel &kernel);
  mlir::FailureOr<StageLowering::Grid> ownGridOf(KernelContext &context, Kernel &kernel);
  mlir::LogicalResult emitLaunch(KernelContext &context, Kernel &kernel);
  mlir::LogicalResult emitRequirements(KernelContext &context, Kernel &kernel);
  void requireNonEmpty(KernelContext &context, mlir::Location loc, mlir::Value programs,
                       const llvm::MapVector<llvm::StringRef, mlir::Value> &reads);
  mlir::FailureOr<mlir::Value> emitWorkspace(KernelContext &context, mlir::Location loc,
                                             llvm::StringRef name, attn::AttnTensorType type);
  int64_t rowBytes(attn::AttnTensorType type);
  std::string axisText(attn::AttnTensorType type, unsigned axis);

  mlir::OpBuilder builder;
  attn::VariantOp variant;
  const KernelPlan &plan;
  Choices choices;
  std::deque<Stage> stages;
  std::deque<Kernel> kernels;
  llvm::SmallVector<StageGroup> groups;                 ///< of stages, in the order of launches
  llvm::SmallVector<mlir::Value> signature;             ///< inputs, then outputs
  llvm::DenseMap<mlir::Value, llvm::StringRef> outputs; ///< by the name that they are returned as
  llvm::DenseMap<mlir::Value, mlir::Value>
      reused;                                     ///< outputs and the inputs they may be, both ways
  llvm::DenseMap<mlir::Value, std::string> names; ///< of all tensors
  llvm::StringSet<> taken;                        ///< names
  llvm::SmallVector<std::string> computedSizes;   ///< of spaces with an extent
  llvm::SmallVector<attn::ParamOp> params;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMFRAME_H
