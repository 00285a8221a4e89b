// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.attend with its regions compiled.
#ifndef ATTNC_LIB_REFERENCE_ATTEND_H
#define ATTNC_LIB_REFERENCE_ATTEND_H

#include "Stage.h"

namespace attnc::reference {

class AttendStage : public Stage {
public:
  AttendStage(attn::AttendOp op, const Environment &environment);
  llvm::Error prepare();
  void run(Memory &memory) const override;

  /// Flags of the rows and keys of one head, which is given by its indices on the axes before the
  /// row.
  std::vector<char> maskOfHead(const Memory &memory, llvm::ArrayRef<int64_t> head) const;

private:
  /// An index of another tensor: that of the query's axis `axis`, divided by `divisor`.
  struct IndexRule {
    size_t axis = 0;
    int64_t divisor = 1, stride = 0, size = 0;
  };
  struct Operand {
    mlir::Value tensor;
    std::vector<IndexRule> rules;
  };
  /// Frames and rows of one thread. `point` holds the indices of the current row.
  struct Scratch {
    Program::Frame score, mask, sink, skip;
    std::vector<double> scores;
    std::vector<char> attended;
    std::vector<int64_t> point;
  };
  /// A row whose keys are taken tile by tile.
  struct TiledRow {
    std::vector<double> scores;
    std::vector<char> attended;
    double logit = 0, running = 0, sum = 0, tileMaximum = 0;
    const double *values = nullptr;
    double *out = nullptr;
    int64_t place = 0; ///< of its first key among the decisions about keys
  };
  /// Operands as the arithmetic takes them, and what multiplies a product.
  struct Operands {
    const double *query = nullptr, *key = nullptr, *value = nullptr;
    double factor = 1;
  };

  llvm::Expected<IndexRule> ruleFor(llvm::StringRef space) const;
  llvm::Error prepareOperand(mlir::Value tensor, unsigned numInner, Operand &operand);
  Scratch makeScratch(const Memory &memory) const;
  int64_t baseOf(const Operand &operand, const Scratch &scratch) const;
  void setPoint(const Program &program, Program::Frame &frame, unsigned first,
                const Scratch &scratch) const;
  void keysOfSet(const Memory &memory, Scratch &scratch) const;
  void maskRow(const Memory &memory, Scratch &scratch) const;
  void maskKeys(const Memory &memory, Scratch &scratch) const;
  void keepVisited(const Memory &memory, Scratch &scratch) const;
  llvm::Error prepareDecisions();
  double scaleOf(const Memory &memory) const;
  bool isWanted(const Scratch &scratch) const {
    return !rowAxis || environment.demand.wants(op, scratch.point[*rowAxis]);
  }
  // The rest is in AttendSoftmax.cpp, for each arithmetic.
  template <typename A> void runRows(const A &a, Memory &memory) const;
  template <typename A>
  void scoreRow(const A &a, const Operands &operands, Scratch &scratch, int64_t row) const;
  /// The largest score of a row, and the logarithm of its weights' sum, relative to it.
  struct RowSum {
    double largest, logarithm;
  };
  template <typename A>
  RowSum softmaxRow(const A &a, Scratch &scratch, double logit, const double *v, double *out) const;
  /// Results, where there are parts.
  struct PartTensors {
    Tensor64 *out, *lse, *largest;
  };
  template <typename A>
  void partsOfRow(const A &a, Scratch &scratch, const double *v, const PartTensors &results,
                  int64_t row) const;
  template <typename A>
  void tiledRows(const A &a, Scratch &scratch, llvm::MutableArrayRef<TiledRow> rows,
                 int64_t skipPlace) const;
  template <typename A> void addTile(const A &a, TiledRow &row, int64_t first, int64_t count) const;
  template <typename A> void rescale(const A &a, TiledRow &row, double to) const;
  template <typename A> double finish(const A &a, TiledRow &row) const;
  template <typename A>
  void roundWeights(const A &a, llvm::MutableArrayRef<double> weights, int64_t place) const;

  mutable attn::AttendOp op; // a handle; accessors are not const
  const Environment &environment;
  std::vector<std::string> spaces; ///< of the query's axes but the last
  std::vector<int64_t> outer;
  int64_t numRows = 0, numKeys = 0, dim = 0, valueDim = 0;
  int64_t numParts = 1;
  std::optional<size_t> rowAxis; ///< along which some rows are left out
  Operand query, key, value, set, visits;
  std::string setSpace;
  int64_t tile = 0, weightGroup = 0, rowsTogether = 1; ///< 0: no tiles, no groups
  std::optional<Program> scale, score, mask, sink, skip;
  const DecisionSite *skipSite = nullptr, *codeSite = nullptr, *groupSite = nullptr;
};

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_ATTEND_H
