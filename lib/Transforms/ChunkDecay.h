// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of a state's factors over steps of a chunk.
//
// All of them are products of the factors themselves, each at most as far from 1 as the decay that
// it stands for: differences of sums of logarithms lose digits, and their exponentials overflow. A
// chunk has parts, so that a product over steps j < .. <= i of different parts is one of three
// tables: up to i in its part, parts between, and behind j in its part. A part has smaller parts;
// within the smallest there is no table, which would have an entry for each pair of steps. A scalar
// factor has one table for each pair of steps of the chunk, of running products, and no parts.
//
// By halves, steps of the first and of the second half of a block of 2, 4, 8, .. steps have the
// factors behind the one in its half, and those up to the other in its half. There are no tables:
// these are computed where they are multiplied.
#ifndef ATTNC_LIB_TRANSFORMS_CHUNKDECAY_H
#define ATTNC_LIB_TRANSFORMS_CHUNKDECAY_H

#include "ChunkBuilder.h"

namespace attnc {

class ChunkDecay {
public:
  /// Of `factor`, which is that of `state`, over chunks.
  ChunkDecay(ChunkBuilder &builder, Expr factor, unsigned state);

  /// Whether the factor is the same along all axes of the state.
  bool isScalar() const { return along.empty(); }
  const ChunkLevel &getLevel() const { return *level; }
  /// The decay over steps of a part; null in the smallest ones.
  ChunkDecay *ofParts();

  // Tables over chunks (and the parts that a level is within), what is said here, and the axes of
  // the state that the factor varies along; and over the batch spaces that it depends on.
  /// Over rows: the factors before each row, and its own with `inclusive`.
  mlir::Value before(bool inclusive);
  /// Over rows: the factors behind each.
  mlir::Value behind();
  /// Over nothing: all factors of the chunk.
  mlir::Value all();
  /// Over rows and columns, of a factor that is scalar: the factors behind the column up to the
  /// row, with `inclusive`, or before it. What is not below the diagonal is some product.
  mlir::Value between(bool inclusive);
  /// Over parts and their rows: the factors of the part before the row, and its own with
  /// `inclusive`.
  mlir::Value beforeInPart(bool inclusive);
  /// Over parts and their rows: the factors of the part behind the row.
  mlir::Value behindInPart();
  /// Over parts twice: the factors of parts between `parts` and `partsBefore`.
  mlir::Value partsBetween();
  /// Over parts and their rows: the factors themselves.
  mlir::Value factors();

  /// In a formula at a row in `indices`: the factors behind it in its block of `half` rows, and of
  /// those in it before the row, and its own with `inclusive`.
  mlir::Value behindInHalf(int64_t half, const NamedIndices &indices);
  mlir::Value beforeInHalf(int64_t half, bool inclusive, const NamedIndices &indices);

  /// The product of factors of a part behind `partColumn` and up to `partRow`, or, not `inclusive`,
  /// before it, in a formula at `indices`. `factors` are there.
  mlir::Value near(bool inclusive, const NamedIndices &indices);
  /// `indices` with those of the part and of the row in it.
  NamedIndices inParts(const NamedIndices &indices, mlir::Value row);

private:
  ChunkDecay(ChunkDecay &outer, size_t level);
  ChunkBuilder::Axes axes(llvm::ArrayRef<mlir::Attribute> inner) const;
  mlir::Value running();
  mlir::Value productOfRows(mlir::Value from, mlir::Value end, const NamedIndices &indices);
  mlir::Value runningBefore(bool inclusive, mlir::Value row, const NamedIndices &at);
  mlir::Value stepBefore(mlir::Value row);
  mlir::Value partProducts();
  mlir::Value productOfParts(mlir::Value from, mlir::Value end, const NamedIndices &indices);
  mlir::Value last(bool inclusive, mlir::Value row);

  ChunkBuilder &b;
  size_t depth = 0;                ///< number of the level
  const ChunkLevel *level;         ///< null by halves
  ChunkBuilder::Axes outer, along; ///< axes of all tables before and behind those of the level
  mlir::Value rows;                ///< the factors, over rows
  std::unique_ptr<ChunkDecay> inner;
  mlir::Value runningTable, table, partTable, behindTable, allTable, behindPartTable,
      partsBetweenTable, betweenTable;
  mlir::Value beforeTable[2], beforePartTable[2];
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_CHUNKDECAY_H
