// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-form-kernels: which stages are one kernel. Stages are taken in their order, and each goes
// into the kernel of what it reads, if that can be; what only stages of a later kernel read goes
// there. Kernels are launched in the order in which they stand here, so that whatever a stage reads
// comes from the same kernel or one before.
#include "Choices.h"
#include "ChunkLoops.h"
#include "attnc/Analysis/Reuse.h"
#include "attnc/Analysis/Starts.h"
#include "attnc/Conversion/Passes.h"
#include "llvm/ADT/SetVector.h"
#include <deque>

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNFORMKERNELS
#include "attnc/Conversion/Passes.h.inc"

namespace {

/// Most formulas of a kernel, whose code grows with them. An assembler of a GPU takes more than
/// linear time, and a formula has code for each register of a tile.
constexpr unsigned kMostFormulas = 96, kMostFormulasOfGPU = 16;

struct FormedStage : ChunkableStage {
  bool canShare;
  int64_t warps;
  unsigned formulas;
  bool isConstant;              ///< over no axis that launches size, and reads nothing
  std::optional<Choice> choice; ///< when it runs
};

using Members = SmallVector<const FormedStage *>;

class KernelFormation {
public:
  KernelFormation(attn::VariantOp variant, const KernelPlan &plan);

  void run();

private:
  bool areOne(const Members &members) const;
  unsigned mostFormulas() const {
    return plan.target.kind == Target::Kind::Host ? kMostFormulas : kMostFormulasOfGPU;
  }
  static Members with(Members members, const FormedStage &stage) {
    members.push_back(&stage);
    llvm::sort(members, [](const FormedStage *x, const FormedStage *y) {
      return x->op->isBeforeInBlock(y->op);
    });
    return members;
  }
  void place(const FormedStage &stage);
  void sink(const FormedStage &stage);

  const KernelPlan &plan;
  std::deque<FormedStage> stages;
  SmallVector<Members> kernels; ///< in the order of launches
  llvm::DenseMap<Operation *, unsigned> kernelOf;
};

} // namespace

/// Those of a stage: of a recurrence, of all stages of a step and of what copies its states.
static unsigned formulasOf(Operation *stage) {
  auto recur = dyn_cast<attn::RecurOp>(stage);
  if (!recur)
    return 1;
  unsigned formulas = 2 * recur.getNumStates();
  for (Operation &op : recur.getBody().front())
    formulas += llvm::any_of(op.getResultTypes(), llvm::IsaPred<attn::AttnTensorType>);
  return formulas;
}

static bool readsNothing(Operation *stage) {
  return !stage
              ->walk([](Operation *inner) {
                bool reads =
                    llvm::any_of(inner->getOperandTypes(), llvm::IsaPred<attn::AttnTensorType>);
                return reads ? WalkResult::interrupt() : WalkResult::advance();
              })
              .wasInterrupted();
}

KernelFormation::KernelFormation(attn::VariantOp variant, const KernelPlan &plan) : plan(plan) {
  Choices choices(variant);
  llvm::SmallPtrSet<Operation *, 16> unused;
  for (Operation &op : llvm::reverse(variant.getBody().front())) {
    bool isUsed = llvm::any_of(op.getUsers(), [&](Operation *user) {
      return !unused.contains(op.getBlock()->findAncestorOpInBlock(*user));
    });
    if (!isUsed && !op.hasTrait<OpTrait::IsTerminator>())
      unused.insert(&op);
  }
  for (Operation &op : variant.getBody().front())
    if (StageLoweringFactory factory = findStageLowering(&op);
        factory && !unused.contains(&op) && !constantStart(&op)) {
      std::unique_ptr<StageLowering> lowering = factory(&op, plan);
      bool isLast = op.hasAttr(lastAttr);
      stages.push_back({{&op, lowering->independentAxes(), {}, 0},
                        lowering->canShareKernel() && !isLast,
                        lowering->warps(),
                        formulasOf(&op),
                        lowering->independentAxes().empty() && readsNothing(&op),
                        choices.choiceOf(&op)});
    }
}

static bool isRowAxis(const IndependentAxis &axis) {
  return !llvm::is_contained({"b", "h", "g"}, axis.space);
}

/// How many of `axes` are no rows.
static size_t batchAxes(ArrayRef<IndependentAxis> axes) {
  return llvm::count_if(axes, [](const IndependentAxis &axis) { return !isRowAxis(axis); });
}

/// Whether `members` are better one kernel than several. On a GPU a program of it must not have
/// more to do than the programs of the stages: it is cut along all axes that they are cut along.
/// The host needs fewer programs than that, but some for each tile of rows, and of one batch and
/// head: else what one stage leaves to the next is too much for a cache. Tiles of rows may also be
/// the steps of a recurrence, which a program takes in their order.
bool KernelFormation::areOne(const Members &members) const {
  unsigned formulas = 0;
  for (const FormedStage *stage : members)
    formulas += stage->formulas;
  bool canShare = llvm::all_of(members, [&](const FormedStage *stage) {
    return stage->canShare && stage->choice == members.front()->choice;
  });
  if (formulas > mostFormulas() || !canShare)
    return false;
  SmallVector<const ChunkableStage *> chunkable(members.begin(), members.end());
  SmallVector<IndependentAxis> common = commonAxes(chunkable, /*inOneKernel=*/true);
  bool isHost = plan.target.kind == Target::Kind::Host;
  bool areConstant =
      llvm::all_of(members, [](const FormedStage *stage) { return stage->isConstant; });
  bool hasRows = llvm::any_of(common, isRowAxis) || !walkedSpace(chunkable).empty();
  if (isHost && !hasRows && !areConstant)
    return false;
  return llvm::all_of(members, [&](const FormedStage *stage) {
    if (isHost)
      return batchAxes(stage->axes) == batchAxes(common);
    return stage->axes.size() == common.size() && stage->warps == members.front()->warps;
  });
}

void KernelFormation::place(const FormedStage &stage) {
  unsigned first = 0;
  stage.op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      forEachSource(operand, [&](Operation *source) {
        if (auto found = kernelOf.find(source); found != kernelOf.end())
          first = std::max(first, found->second);
      });
  });
  for (unsigned number = first; number < kernels.size(); ++number) {
    if (kernels[number].size() >=
        mostFormulas()) // so are most, where there are thousands of stages
      continue;
    Members both = with(kernels[number], stage);
    if (!areOne(both))
      continue;
    kernels[number] = both;
    kernelOf[stage.op] = number;
    return;
  }
  kernelOf[stage.op] = kernels.size();
  kernels.push_back({&stage});
}

void KernelFormation::sink(const FormedStage &stage) {
  llvm::SmallSetVector<unsigned, 4> readers;
  for (Operation *user : stage.op->getUsers()) {
    auto found = kernelOf.find(stage.op->getBlock()->findAncestorOpInBlock(*user));
    if (found == kernelOf.end()) // an output
      return;
    readers.insert(found->second);
  }
  unsigned own = kernelOf[stage.op];
  if (readers.size() != 1 || readers[0] == own)
    return;
  Members both = with(kernels[readers[0]], stage);
  if (!areOne(both))
    return;
  llvm::erase(kernels[own], &stage);
  kernels[readers[0]] = both;
  kernelOf[stage.op] = readers[0];
}

void KernelFormation::run() {
  // Constants first: nothing that reads them has to wait for another kernel.
  for (const FormedStage &stage : stages)
    if (stage.isConstant)
      place(stage);
  for (const FormedStage &stage : stages)
    if (!stage.isConstant)
      place(stage);
  for (const FormedStage &stage : llvm::reverse(stages))
    sink(stage);
  llvm::erase_if(kernels, [](const Members &members) { return members.empty(); });
  for (auto [number, members] : llvm::enumerate(kernels))
    for (const FormedStage *stage : members)
      stage->op->setAttr(kernelAttr, IntegerAttr::get(IntegerType::get(stage->op->getContext(), 64),
                                                      static_cast<int64_t>(number)));
}

namespace {

struct AttnFormKernels : impl::AttnFormKernelsBase<AttnFormKernels> {
  using AttnFormKernelsBase::AttnFormKernelsBase;

  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>()) {
      bool isFormed = llvm::any_of(variant.getBody().front(),
                                   [](Operation &op) { return op.hasAttr(kernelAttr); });
      if (isFormed)
        continue;
      llvm::Expected<KernelPlan> plan = planOf(variant);
      if (!plan) {
        variant.emitOpError() << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      KernelFormation(variant, *plan).run();
    }
  }
};

} // namespace
} // namespace attnc
