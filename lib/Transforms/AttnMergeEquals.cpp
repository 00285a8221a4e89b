// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-merge-equals: what is computed twice in the same way is computed once, and what nobody uses
// is not computed.
//
// This is MLIR's `cse` for IR whose operations are mostly regions. There, operations are hashed
// without what is inside them, so that all stages over the same axes have one hash and each is
// compared with all before it: time grows with the square of their number. Here a hash covers the
// regions, with the values inside numbered in the order of the text.
#include "attnc/Transforms/Passes.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/ScopedHashTable.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNMERGEEQUALS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Hashes an operation with all that is inside it.
class RegionHash {
public:
  llvm::hash_code of(Operation *op) {
    llvm::hash_code hash = OperationEquivalence::computeHash(
        op, [&](Value value) { return hashValue(value); }, OperationEquivalence::ignoreHashValue,
        OperationEquivalence::IgnoreLocations);
    for (Region &region : op->getRegions())
      for (Block &block : region) {
        number(block.getArguments());
        for (Operation &inner : block) {
          hash = llvm::hash_combine(hash, of(&inner));
          number(inner.getResults());
        }
      }
    return hash;
  }

private:
  llvm::hash_code hashValue(Value value) const {
    auto found = numbers.find(value);
    return found != numbers.end() ? llvm::hash_code(found->second) : hash_value(value);
  }
  void number(ValueRange values) {
    for (Value value : values)
      numbers.try_emplace(value, numbers.size());
  }

  DenseMap<Value, size_t> numbers; ///< of values inside
};

struct OperationInfo {
  static Operation *getEmptyKey() { return DenseMapInfo<Operation *>::getEmptyKey(); }
  static Operation *getTombstoneKey() { return DenseMapInfo<Operation *>::getTombstoneKey(); }
  static unsigned getHashValue(const Operation *op) {
    return RegionHash().of(const_cast<Operation *>(op));
  }
  static bool isEqual(const Operation *a, const Operation *b) {
    if (a == b)
      return true;
    auto isKey = [](const Operation *op) { return op != getEmptyKey() && op != getTombstoneKey(); };
    return isKey(a) && isKey(b) &&
           OperationEquivalence::isEquivalentTo(const_cast<Operation *>(a),
                                                const_cast<Operation *>(b),
                                                OperationEquivalence::IgnoreLocations);
  }
};

struct AttnMergeEquals : impl::AttnMergeEqualsBase<AttnMergeEquals> {
  using AttnMergeEqualsBase::AttnMergeEqualsBase;
  using Table = llvm::ScopedHashTable<Operation *, Operation *, OperationInfo>;

  void runOnOperation() override {
    Table known;
    merge(getOperation()->getRegion(0), known);
  }

  /// Merges the operations of `region` with each other and with those around it.
  void merge(Region &region, Table &known) {
    for (Block &block : region) {
      Table::ScopeTy scope(known);
      for (Operation &op : llvm::make_early_inc_range(block)) {
        // What is inside first: regions are then equal if they compute the same.
        for (Region &inner : op.getRegions())
          merge(inner, known);
        visit(&op, known);
      }
    }
  }

  void visit(Operation *op, Table &known) {
    if (isOpTriviallyDead(op)) {
      op->erase();
      return;
    }
    if (op->hasTrait<OpTrait::IsTerminator>() || !isMemoryEffectFree(op))
      return;
    if (Operation *first = known.lookup(op)) {
      op->replaceAllUsesWith(first);
      op->erase();
      ++numMerged;
      return;
    }
    known.insert(op, op);
  }
};

} // namespace
} // namespace attnc
