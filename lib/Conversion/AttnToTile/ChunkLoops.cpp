// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops grow from large tensors: the one that computes a tensor and all that read it have to be in
// one loop, with every stage that lies between them. Where they cannot be, the tensor stays whole.
#include "ChunkLoops.h"
#include "Choices.h"
#include "attnc/Analysis/Compilable.h"
#include "llvm/ADT/BitVector.h"
#include <numeric>
#include <set>

using namespace mlir;
using namespace attnc;

namespace {

/// A tensor of more elements than this for each of its rows is large.
constexpr int64_t kMostOfRow = 1024;

/// The space that an argument of a region of `stage` stands for; empty if it is none of the stage's
/// independent axes, nor its steps.
StringRef spaceOfArgument(Operation *stage, BlockArgument argument) {
  if (argument.getOwner()->getParentOp() != stage)
    return {};
  unsigned number = argument.getArgNumber();
  if (auto compute = dyn_cast<attn::ComputeOp>(stage))
    return compute.getResult().getType().getAxisName(number);
  if (auto recur = dyn_cast<attn::RecurOp>(stage)) {
    if (number < recur.getBatch().size())
      return cast<StringAttr>(recur.getBatch()[number]).getValue();
    return number == recur.getBatch().size() ? recur.getTime() : StringRef();
  }
  if (auto attend = dyn_cast<attn::AttendOp>(stage)) {
    bool isScore = argument.getOwner()->getParent() == &attend.getScore();
    attn::AttnTensorType query = attend.getQuery().getType();
    if (isScore && number-- == 0)
      return {};
    return number + 1 < query.getRank() ? query.getAxisName(number) : StringRef();
  }
  return {};
}

/// Whether operands of `stage` itself, not of ops in it, are read at its own index of `space`,
/// which is an independent axis of it: rows of selections and sums are none, and states are not.
bool takesOwnIndex(Operation *stage, StringRef space) {
  auto attend = dyn_cast<attn::AttendOp>(stage);
  return attend ? attend.getKeySpace() != space
                : isa<attn::SelectOp, attn::CumsumOp, attn::ScanOp, attn::InvertOp, attn::RecurOp>(
                      stage);
}

/// Whether `user`, `stage` or an op in it, reads a tensor along `axis`, which is over `space`, at
/// the stage's own index.
bool readsOwnIndex(Operation *stage, Operation *user, unsigned axis, StringRef space) {
  if (user == stage)
    return takesOwnIndex(stage, space);
  auto read = dyn_cast<attn::ReadOp>(user);
  auto index = read ? dyn_cast<BlockArgument>(read.getIndices()[axis]) : BlockArgument();
  return index && spaceOfArgument(stage, index) == space;
}

std::optional<unsigned> axisOf(attn::AttnTensorType type, StringRef space) {
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (type.getAxisName(axis) == space)
      return axis;
  return std::nullopt;
}

class LoopBuilder {
public:
  LoopBuilder(ArrayRef<ChunkableStage> stages, llvm::function_ref<bool(Value)> isWorkspace)
      : stages(stages), isWorkspace(isWorkspace), groups(stages.size()), groupOf(stages.size()),
        uses(stages.size()), sources(stages.size()) {
    llvm::DenseMap<unsigned, unsigned> firstOfKernel;
    for (auto [number, stage] : llvm::enumerate(stages)) {
      groupOf[number] = firstOfKernel.insert({stage.kernel, number}).first->second;
      groups[groupOf[number]].stages.push_back(number);
      numbers[stage.op].push_back(number);
    }
    for (auto [number, stage] : llvm::enumerate(stages))
      for (Value result : stage.op->getResults())
        forEachUser(result, [&, number = number](Operation *user) {
          if (Operation *reader = result.getParentBlock()->findAncestorOpInBlock(*user))
            for (unsigned each : numbers.lookup(reader))
              uses[number].push_back({result, user, each});
        });
    for (unsigned from = 0; from < stages.size(); ++from)
      for (const Use &use : uses[from])
        sources[use.stage].insert(from);
  }

  std::optional<SmallVector<StageGroup>> run();

private:
  /// A stage that has a result of another one.
  struct Use {
    Value tensor;
    Operation *user; ///< the stage, or an op in it
    unsigned stage;
  };

  bool isLarge(Operation *at, attn::AttnTensorType type) const;
  SmallVector<unsigned> stagesWith(unsigned producer, Value tensor) const;
  llvm::BitVector together(ArrayRef<unsigned> members) const;
  void tryLoop(ArrayRef<unsigned> members, attn::AttnTensorType type);
  std::optional<SmallVector<unsigned>> order() const;
  void findParts(StageGroup &group) const;

  ArrayRef<ChunkableStage> stages;
  llvm::function_ref<bool(Value)> isWorkspace;
  SmallVector<StageGroup> groups; ///< by number; empty once it is part of another one
  SmallVector<unsigned> groupOf;  ///< of each stage
  llvm::DenseMap<Operation *, SmallVector<unsigned, 2>> numbers; ///< two for alternatives
  SmallVector<SmallVector<Use>> uses;                            ///< of each stage's results
  SmallVector<llvm::SetVector<unsigned>> sources; ///< of each stage, those that it reads from
  SmallVector<attn::AttnTensorType> inParts;      ///< tensors that loops were made for
  SmallVector<unsigned> inPartsBy;                ///< a stage of each of these loops
};

} // namespace

bool StageGroup::isInParts(attn::AttnTensorType type) const {
  for (unsigned axis = 0; axis + 1 < type.getRank(); ++axis)
    if (cuts(type.getAxisName(axis)))
      return true;
  return false;
}

bool LoopBuilder::isLarge(Operation *at, attn::AttnTensorType type) const {
  auto variant = at->getParentOfType<attn::VariantOp>();
  unsigned rows = 0;
  int64_t known = 1;
  for (unsigned axis = 0; axis < type.getRank(); ++axis) {
    StringRef space = type.getAxisName(axis);
    std::optional<int64_t> extent =
        space.empty() ? type.getAxisSize(axis) : fixedExtent(variant, space);
    if (extent)
      known *= *extent;
    else
      rows += !llvm::is_contained({"b", "h", "g"}, space);
  }
  return rows >= 2 || (rows == 1 && known > kMostOfRow);
}

/// The stage that computes `tensor`, and those that read it.
SmallVector<unsigned> LoopBuilder::stagesWith(unsigned producer, Value tensor) const {
  SmallVector<unsigned> members{producer};
  for (const Use &use : uses[producer])
    if (use.tensor == tensor)
      members.push_back(use.stage);
  return members;
}

/// The groups of `members`, and of all that lies between them.
llvm::BitVector LoopBuilder::together(ArrayRef<unsigned> members) const {
  llvm::BitVector all(stages.size());
  auto addGroup = [&](unsigned stage) {
    for (unsigned other : groups[groupOf[stage]].stages)
      all.set(other);
  };
  llvm::for_each(members, addGroup);
  for (size_t before = 0; before != all.count();) {
    before = all.count();
    llvm::BitVector behind(stages.size()), ahead(stages.size());
    for (unsigned i = 0; i < stages.size(); ++i)
      for (unsigned from : sources[i])
        if (all[from] || behind[from])
          behind.set(i);
    for (unsigned i = stages.size(); i-- > 0;)
      for (unsigned from : sources[i])
        if (all[i] || ahead[i])
          ahead.set(from);
    for (unsigned i = 0; i < stages.size(); ++i)
      if (behind[i] && ahead[i])
        addGroup(i);
  }
  return all;
}

/// Makes a loop of `members` and all that has to be with them, if a tensor of `type` and those that
/// the loops of today were made for exist in parts then.
void LoopBuilder::tryLoop(ArrayRef<unsigned> members, attn::AttnTensorType type) {
  llvm::BitVector all = together(members);
  StageGroup loop;
  loop.axes = commonAxes(
      llvm::map_to_vector(all.set_bits(), [&](unsigned number) { return &stages[number]; }),
      /*inOneKernel=*/false);
  if (!loop.isInParts(type))
    return;
  for (auto [other, stage] : llvm::zip(inParts, inPartsBy))
    if (all[stage] && !loop.isInParts(other))
      return;
  unsigned number = groupOf[all.find_first()];
  SmallVector<std::pair<unsigned, StageGroup>> before;
  SmallVector<unsigned> groupBefore;
  for (unsigned i : all.set_bits()) {
    groupBefore.push_back(groupOf[i]);
    if (!groups[groupOf[i]].stages.empty())
      before.push_back({groupOf[i], std::exchange(groups[groupOf[i]], {})});
    loop.stages.push_back(i);
    groupOf[i] = number;
  }
  groups[number] = std::move(loop);
  if (order()) {
    inParts.push_back(type);
    inPartsBy.push_back(all.find_first());
    return;
  }
  // Two loops would wait for each other.
  groups[number] = {};
  for (auto &[place, group] : before)
    groups[place] = std::move(group);
  for (auto [i, group] : llvm::zip(all.set_bits(), groupBefore))
    groupOf[i] = group;
}

/// Numbers of groups, each behind those that compute what it reads, else in the order of their
/// first stages; nothing if there is no such order.
std::optional<SmallVector<unsigned>> LoopBuilder::order() const {
  SmallVector<llvm::SmallDenseSet<unsigned>> readers(groups.size());
  SmallVector<unsigned> waitsFor(groups.size());
  for (unsigned stage = 0; stage < stages.size(); ++stage)
    for (unsigned from : sources[stage])
      if (groupOf[from] != groupOf[stage] && readers[groupOf[from]].insert(groupOf[stage]).second)
        ++waitsFor[groupOf[stage]];
  std::set<std::pair<unsigned, unsigned>> ready; // by the first stage
  unsigned left = 0;
  auto add = [&](unsigned number) { ready.insert({groups[number].stages.front(), number}); };
  for (unsigned number = 0; number < groups.size(); ++number) {
    left += !groups[number].stages.empty();
    if (!groups[number].stages.empty() && waitsFor[number] == 0)
      add(number);
  }
  SmallVector<unsigned> ordered;
  while (!ready.empty()) {
    unsigned next = ready.begin()->second;
    ready.erase(ready.begin());
    ordered.push_back(next);
    for (unsigned reader : readers[next])
      if (--waitsFor[reader] == 0)
        add(reader);
  }
  return ordered.size() == left ? std::optional(ordered) : std::nullopt;
}

void LoopBuilder::findParts(StageGroup &group) const {
  for (unsigned stage : group.stages)
    for (Value result : stages[stage].op->getResults()) {
      bool isInside = llvm::all_of(stagesWith(stage, result), [&](unsigned user) {
        return llvm::is_contained(group.stages, user);
      });
      if (isInside && isWorkspace(result) &&
          group.isInParts(cast<attn::AttnTensorType>(result.getType())))
        group.parts.insert(result);
    }
}

std::optional<SmallVector<StageGroup>> LoopBuilder::run() {
  std::optional<SmallVector<unsigned>> kernels = order();
  if (!kernels)
    return std::nullopt;
  for (unsigned &number : *kernels)
    number = stages[number].kernel;
  for (auto [number, stage] : llvm::enumerate(stages)) {
    for (Value result : stage.op->getResults()) {
      auto type = cast<attn::AttnTensorType>(result.getType());
      if (isWorkspace(result) && !result.use_empty() && isLarge(stage.op, type))
        tryLoop(stagesWith(number, result), type);
    }
    for (const Scratch &own : stage.scratch)
      if (isLarge(stage.op, own.type))
        tryLoop(static_cast<unsigned>(number), own.type);
  }
  SmallVector<StageGroup> ordered;
  SmallVector<unsigned> numbersInOrder = *order(); // every loop so far left one
  for (unsigned number : numbersInOrder) {
    StageGroup &group = groups[number];
    findParts(group);
    for (unsigned kernel : *kernels)
      if (llvm::any_of(group.stages, [&](unsigned i) { return stages[i].kernel == kernel; }))
        group.kernels.push_back(kernel);
    ordered.push_back(std::move(group));
  }
  return ordered;
}

/// Whether members read `tensor`, the result of one, at their own index of `space` only.
static bool isReadAtOwnIndex(Value tensor, StringRef space,
                             ArrayRef<const ChunkableStage *> members) {
  std::optional<unsigned> axis = axisOf(cast<attn::AttnTensorType>(tensor.getType()), space);
  return llvm::all_of(tensor.getUsers(), [&](Operation *user) {
    return llvm::all_of(members, [&](const ChunkableStage *member) {
      return !member->op->isAncestor(user) ||
             (axis && readsOwnIndex(member->op, user, *axis, space));
    });
  });
}

SmallVector<IndependentAxis> attnc::commonAxes(ArrayRef<const ChunkableStage *> members,
                                               bool inOneKernel) {
  SmallVector<IndependentAxis> common;
  for (IndependentAxis axis : members.front()->axes) {
    bool isCommon = true, isSingle = false, canBeSingle = inOneKernel;
    for (const ChunkableStage *member : members) {
      auto own = llvm::find_if(
          member->axes, [&](const IndependentAxis &other) { return other.space == axis.space; });
      isCommon = isCommon && own != member->axes.end() &&
                 llvm::all_of(member->op->getResults(), [&](Value result) {
                   return isReadAtOwnIndex(result, axis.space, members);
                 });
      if (!isCommon)
        break;
      axis.tile = std::lcm(axis.tile, own->tile);
      // A stage that takes rows one by one anyway loops over those of a tile.
      isSingle |= own->tile == 1 && own->canBeSingle;
      canBeSingle &= own->tile == 1 || own->canBeSingle;
    }
    if (isSingle && canBeSingle)
      axis.tile = 1;
    if (isCommon)
      common.push_back(axis);
  }
  return common;
}

bool attnc::hasStepsOf(Operation *stage, StringRef space) {
  auto recur = dyn_cast<attn::RecurOp>(stage);
  return recur && recur.getTime() == space && !recur.getEvery();
}

/// Whether a kernel of `members` can walk along `space`.
static bool isWalkable(StringRef space, ArrayRef<const ChunkableStage *> members) {
  auto variant = members.front()->op->getParentOfType<attn::VariantOp>();
  attn::SpaceOp declared = attn::findSpace(variant, space);
  if (!declared || !declared.getParent())
    return false;
  return llvm::all_of(members, [&](const ChunkableStage *member) {
    auto axis = llvm::find_if(member->axes,
                              [&](const IndependentAxis &each) { return each.space == space; });
    bool canTakeOne = hasStepsOf(member->op, space) ||
                      (axis != member->axes.end() && (axis->tile == 1 || axis->canBeSingle));
    return canTakeOne && llvm::all_of(member->op->getResults(), [&](Value result) {
             return isReadAtOwnIndex(result, space, members);
           });
  });
}

StringRef attnc::walkedSpace(ArrayRef<const ChunkableStage *> members) {
  if (members.size() > 1)
    for (const ChunkableStage *member : members)
      if (auto recur = dyn_cast<attn::RecurOp>(member->op);
          recur && isWalkable(recur.getTime(), members))
        return recur.getTime();
  return {};
}

std::optional<SmallVector<StageGroup>>
attnc::formChunkLoops(ArrayRef<ChunkableStage> stages,
                      llvm::function_ref<bool(Value)> isWorkspace) {
  return LoopBuilder(stages, isWorkspace).run();
}
