// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc explain for specs of several stages: what each stage is, and what the analyses say about
// it.
#include "ExplainStages.h"
#include "attnc/Analysis/ChunkForm.h"
#include "attnc/Analysis/Recurrence.h"
#include "attnc/Analysis/Stages.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace attnc;
using llvm::formatv;

static std::string axesOf(mlir::Value value) {
  auto type = mlir::cast<attn::AttnTensorType>(value.getType());
  std::string text = "[";
  for (unsigned i = 0; i < type.getRank(); ++i)
    text += (i ? ", " : "") + (type.getAxisName(i).empty() ? std::to_string(type.getAxisSize(i))
                                                           : type.getAxisName(i).str());
  return text + "]";
}

static std::string lineOf(mlir::Operation *op) {
  auto loc = op->getLoc()->findInstanceOf<mlir::FileLineColLoc>();
  return loc ? "line " + std::to_string(loc.getLine()) : "";
}

static void line(llvm::StringRef where, llvm::StringRef what, const llvm::Twine &text) {
  llvm::outs() << formatv("{0,-9} {1,-11} {2}\n", where, what, text.str());
}

static void explainCompute(attn::ComputeOp compute) {
  if (llvm::all_of(compute->getUsers(), llvm::IsaPred<attn::RecurOp>) &&
      compute.getBody().front().getOperations().size() <= 2)
    return; // the zeros that a state starts with
  std::string reason;
  StagePlace place = placeOf(compute, reason);
  llvm::StringRef how = place == StagePlace::Parameter  ? "computed once"
                        : place == StagePlace::Load     ? "fuses into the loads of its readers"
                        : place == StagePlace::Epilogue ? "fuses behind the stage that it reads"
                                                        : "a pass of its own";
  line(lineOf(compute), "tensor", axesOf(compute.getResult()) + ": " + how + " (" + reason + ")");
}

static bool hasAxis(mlir::Value tensor, llvm::StringRef space) {
  auto axes = mlir::cast<attn::AttnTensorType>(tensor.getType()).getAxes();
  return llvm::is_contained(axes, mlir::StringAttr::get(tensor.getContext(), space));
}

/// True if the heads of a group have sets of their own over keys that they share: a kernel that
/// takes the heads of a group together loads the union.
static bool cutsGroups(attn::AttendOp attend) {
  return attend.getSet() && hasAxis(attend.getSet(), "h") && hasAxis(attend.getKey(), "g") &&
         !hasAxis(attend.getKey(), "h");
}

static void explainAttend(attn::AttendOp attend) {
  std::string reason;
  bool always = rowKeysOf(attend, reason) == RowKeys::Always;
  std::string text = axesOf(attend.getQuery()) + " over keys `" + attend.getKeySpace().str() + "`";
  if (attend.getSet())
    text += ", only those of a set " + axesOf(attend.getSet());
  line(lineOf(attend), "attention", text);
  line("", "", llvm::Twine(always ? "every row has a key: " : "a row can be empty: ") + reason);
  if (cutsGroups(attend))
    line("", "",
         "the heads of a group share keys and have sets of their own: all that any of them keeps "
         "is loaded; over `g` in place of `h` a set is the group's");
  if (attend.getTile())
    line("", "", "keys in ascending tiles: part of the meaning");
}

/// Whether attn-chunk-recurrences takes `recur` as a whole, which it does or not for all states.
static void explainChunks(attn::RecurOp recur) {
  ExprContext context(recur.getContext());
  ChunkRefusal refusal;
  std::optional<ChunkForm> form = deriveChunkForm(recur, context, refusal);
  if (!form) {
    std::string where = lineOf(refusal.op);
    line("", "", "step by step: " + refusal.reason + (where.empty() ? "" : " (" + where + ")"));
    return;
  }
  unsigned numWrites = 0, numCorrected = 0;
  for (const StateUpdateForm &update : form->states)
    for (const StateWrite &write : update.writes)
      ++(write.corrections.empty() ? numWrites : numCorrected);
  line("", "",
       formatv("chunk by chunk: {0} sums over states, {1} outer products of data, {2} of rows that "
               "depend on a state",
               form->reads.size(), numWrites, numCorrected)
           .str());
}

static void explainRecur(attn::RecurOp recur) {
  line(lineOf(recur), "recurrence", "over `" + llvm::Twine(recur.getTime()) + "`");
  for (const StateUpdate &update : classifyRecurrence(recur)) {
    std::string terms = update.decayText();
    if (update.numRankOne)
      terms +=
          formatv(", {0} rank-one term{1}", update.numRankOne, update.numRankOne == 1 ? "" : "s");
    line("", "", "state `" + update.name + "`: " + terms);
    line("", "", "  " + update.chunkForm());
  }
  explainChunks(recur);
}

void driver::explainStages(attn::VariantOp variant) {
  llvm::outs() << "variant   " << variant.getSymName() << "\n";
  for (mlir::Operation &op : variant.getBody().front())
    llvm::TypeSwitch<mlir::Operation *>(&op)
        .Case<attn::SpaceOp>([&](auto space) {
          line(lineOf(space), "space",
               space.getParent() ? "`" + llvm::Twine(space.getName()) + "`: blocks of `" +
                                       *space.getParent() + "`"
                                 : "`" + llvm::Twine(space.getName()) + "`: slots");
        })
        .Case<attn::ComputeOp>(explainCompute)
        .Case<attn::SoftmaxOp, attn::CumsumOp, attn::RankOp, attn::OrderOp>([&](auto row) {
          line(lineOf(row), row->getName().stripDialect(),
               axesOf(row.getResult()) + " over `" + row.getSpace() + "`: a pass of its own");
        })
        .Case<attn::ScanOp>([&](auto scan) {
          line(lineOf(scan), "scan",
               axesOf(scan.getResult(0)) + " over `" + scan.getSpace() + "`: a pass of its own");
        })
        .Case<attn::SolveOp>([&](auto solve) {
          line(lineOf(solve), "solve",
               axesOf(solve.getResult()) + " over `" + solve.getRow() +
                   "`: a triangular system for each of the other indices");
        })
        .Case<attn::InvertOp>([&](auto invert) {
          line(lineOf(invert), "inverse",
               axesOf(invert.getResult()) +
                   ": of a triangular matrix for each of the other indices");
        })
        .Case<attn::SelectOp>([&](auto select) {
          line(lineOf(select), "selection",
               axesOf(select.getResult()) + ": " + attn::stringifySelection(select.getRule()));
        })
        .Case<attn::QuantizeOp>([&](auto quantize) {
          line(lineOf(quantize), "quantize",
               axesOf(quantize.getResult()) + " as " + attn::stringifyFormat(quantize.getFormat()));
          line("", "", foldingOf(quantize));
        })
        .Case<attn::MergeOp>([&](auto merge) {
          line(lineOf(merge), "merge",
               llvm::Twine(merge.getOuts().size()) +
                   " branches by log-sum-exp: one softmax over all of their keys");
        })
        .Case<attn::AttendOp>(explainAttend)
        .Case<attn::RecurOp>(explainRecur)
        .Default([](mlir::Operation *) {});
}
