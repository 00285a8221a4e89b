// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attnc/Analysis/Compilable.h"
#include "attnc/Sizes/SizeArithmetic.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace attnc;
using namespace mlir;

/// What `op` is called in a spec, or nothing if code is generated for it.
static llvm::StringRef stageName(Operation &op) {
  // The values that a state starts with are part of its recurrence.
  if (isa<attn::ComputeOp>(op) && !op.use_empty() &&
      llvm::all_of(op.getUsers(), llvm::IsaPred<attn::RecurOp>))
    return "";
  return llvm::TypeSwitch<Operation *, llvm::StringRef>(&op)
      .Case<attn::ComputeOp>(
          [](auto) { return "a stage that computes a tensor (`let`, `transform`, `out`)"; })
      .Case<attn::SoftmaxOp, attn::CumsumOp, attn::RankOp, attn::OrderOp>(
          [](auto) { return "a function of rows"; })
      .Case<attn::ScanOp>([](auto) { return "a scan"; })
      .Case<attn::SolveOp>([](auto) { return "a triangular system"; })
      .Case<attn::InvertOp>([](auto) { return "an inverse of triangular matrices"; })
      .Case<attn::SelectOp>([](auto) { return "a selection"; })
      .Case<attn::MergeOp>([](auto) { return "a merge of branches"; })
      .Case<attn::QuantizeOp>([](auto) { return "`quantize`"; })
      .Case<attn::RecurOp>([](auto) { return "a recurrence"; })
      .Case<attn::ReduceOp, attn::UniformOp>(
          [](auto) { return "a reduction or a random number in `scale`"; })
      .Default([](Operation *) { return ""; });
}

std::optional<int64_t> attnc::fixedExtent(attn::VariantOp variant, llvm::StringRef space) {
  attn::SpaceOp declared = attn::findSpace(variant, space);
  if (!declared || declared.getParent() || !declared.getExtent())
    return std::nullopt;
  SizeFormula formula;
  auto isKnown = [](Value) { return std::nullopt; };
  if (appendFormula(declared.getExtent(), ArithmeticOf::Spec, isKnown, formula) !=
      FormulaProblem::None)
    return std::nullopt;
  return evaluate(formula, {});
}

/// Why an attention stage is not one that code is generated for, and the op that it is because of.
static std::pair<Operation *, llvm::StringRef> attendReason(attn::AttendOp attend) {
  Operation *reduction = nullptr, *operandRead = nullptr;
  auto variant = attend->getParentOfType<attn::VariantOp>();
  auto note = [](Operation *&first, Operation *op, bool isIt) {
    if (isIt && !first)
      first = op;
  };
  attend.walk([&](Operation *op) {
    note(reduction, op, isa<attn::ReduceOp>(op));
    if (auto read = dyn_cast<attn::ReadOp>(op)) {
      note(operandRead, op,
           llvm::is_contained({attend.getQuery(), attend.getKey(), attend.getValue()},
                              read.getTensor()));
    }
  });
  if (reduction)
    return {reduction, "a reduction in a score, mask or sink"};
  if (operandRead)
    return {operandRead, "a score, mask or sink that reads Q, K or V"};
  if (Value set = attend.getSet())
    return {set.getDefiningOp() ? set.getDefiningOp() : attend, "a set of keys (`over`)"};
  if (attend.getWeightFormat())
    return {attend, "quantized weights"};
  if (!attend.getSkip().empty())
    return {attend.getSkip().front().getTerminator(), "`skip`"};
  if (attend.getWeights())
    return {attend, "the weights as a tensor (`.p`)"};
  if (attend.isPlain())
    return {attend, ""};
  for (Value operand : {attend.getQuery(), attend.getKey(), attend.getValue()})
    if (Operation *input = operand.getDefiningOp(); input && isa<attn::InputOp>(input))
      if (auto loc = input->getLoc()->findInstanceOf<FileLineColLoc>();
          loc && loc != variant.getLoc()->findInstanceOf<FileLineColLoc>())
        return {input, "queries, keys or values over other axes than those of Q, K and V"};
  return {attend, "queries, keys or values over other axes than those of Q, K and V"};
}

bool attnc::maskLooksAtHead(attn::AttendOp attend) {
  return !attend.getMask().empty() && !attend.getMask().getArgument(1).use_empty();
}

bool attnc::hasFusedForm(attn::AttendOp attend) {
  auto variant = attend->getParentOfType<attn::VariantOp>();
  Type element = attend.getQuery().getType().getElementType();
  for (attn::AttnTensorType type : {attend.getKey().getType(), attend.getValue().getType()})
    if (type.getElementType() != element)
      return false;
  for (llvm::StringRef dim : {"d", "e"}) {
    std::optional<int64_t> size = fixedExtent(variant, dim);
    if (!size || *size < 8 || *size > 256 || *size % 8 != 0)
      return false;
  }
  return attendReason(attend).second.empty();
}

/// The first op whose value is computed through more than `most` others, one from another. Code
/// generators recurse along such chains.
static Operation *findDeep(attn::VariantOp variant, unsigned most) {
  llvm::DenseMap<Operation *, unsigned> depths;
  WalkResult walk = variant.walk<WalkOrder::PreOrder>([&](Operation *op) {
    unsigned depth = 0;
    for (Value operand : op->getOperands())
      if (Operation *definition = operand.getDefiningOp())
        depth = std::max(depth, depths.lookup(definition) + 1);
    depths[op] = depth;
    return depth > most ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (!walk.wasInterrupted())
    return nullptr;
  return llvm::find_if(depths, [&](auto &entry) { return entry.second > most; })->first;
}

static Uncompilable because(Operation *op, llvm::StringRef what) {
  return {op, llvm::formatv(
                  "code is not generated for {0} yet; the reference runs it (`--device=reference`)",
                  what)
                  .str()};
}

std::optional<Uncompilable> attnc::asUncompilable(Operation &op) {
  llvm::StringRef name = stageName(op);
  return name.empty() ? std::nullopt : std::optional(because(&op, name));
}

std::optional<Uncompilable> attnc::findTooDeep(attn::VariantOp variant) {
  constexpr unsigned maxDepth = 1000;
  if (Operation *deep = findDeep(variant, maxDepth))
    return because(deep, llvm::formatv("values that follow from each other through more than {0} "
                                       "operations",
                                       maxDepth)
                             .str());
  return std::nullopt;
}

std::string Uncompilable::located() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (auto loc = op->getLoc()->findInstanceOf<FileLineColLoc>())
    os << loc.getFilename().getValue() << ":" << loc.getLine() << ":" << loc.getColumn() << ": ";
  os << reason;
  return text;
}
