// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linear layouts: which thread's register holds which element of a tile.
//
// A layout is a map from a hardware coordinate (register index, lane, warp) to a tensor coordinate
// (row, column). All the layouts that matrix instructions use have a common form: write every
// coordinate in binary, and the map is *linear over bits with exclusive or*: each hardware bit,
// when set, flips a fixed set of tensor coordinate bits. So a layout is a short table with one
// (row, column) pair, the *basis vector*, for each hardware bit, and
//
//     (row, col)(register, lane, warp) = XOR of the basis vectors of all bits that are set.
//
// Example: the accumulator of mma.m16n8 (PTX ISA, "Matrix Fragments for mma.m16n8k16"): lane l,
// with g = l >> 2 and t = l & 3, holds c0,c1 = (g, 2t), (g, 2t+1) and c2,c3 = (g+8, 2t), (g+8,
// 2t+1):
//
//     register bit 0 -> (0, 1)      lane bit 0 -> (0, 2)      lane bit 2 -> (1, 0)
//     register bit 1 -> (8, 0)      lane bit 1 -> (0, 4)      lane bit 3 -> (2, 0)
//                                                             lane bit 4 -> (4, 0)
//
// What this buys: a wider tile is more basis vectors; a row reduction must combine exactly the bits
// whose basis vector has no row part (registers by arithmetic, lanes by butterfly shuffles); a
// basis vector (0, 0) means the element is replicated over that bit; and whether two layouts are
// "the same up to renaming registers" is a comparison of tables, not a case analysis. Where the
// basis vectors have disjoint bits, XOR is addition and coordinates are base + constant; the
// lowering relies on it, and the verifier of #tile.linear asks for it.
//
// (Known from the literature as linear layouts, arXiv 2505.23819.)
#ifndef ATTNC_DIALECTS_TILE_LINEARLAYOUT_H
#define ATTNC_DIALECTS_TILE_LINEARLAYOUT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>
#include <optional>

namespace mlir {
class MLIRContext;
}

namespace attnc::tile {

class LinearLayoutAttr;

/// A row and a column of a tile, counted in elements from 0; or a basis vector, whose parts are the
/// bits of row and column that a hardware bit flips.
struct Coord {
  int32_t row = 0, col = 0;
  bool operator==(const Coord &o) const { return row == o.row && col == o.col; }
  bool operator!=(const Coord &o) const { return !(*this == o); }
  bool isZero() const { return row == 0 && col == 0; }
};

/// See the head of this file.
class LinearLayout {
public:
  using Bases = llvm::SmallVector<Coord, 8>;

  /// The layout with these basis vectors, entry i for bit i of the register index, the lane and the
  /// warp. Nothing is checked here: that no two share a bit, the verifier of #tile.linear asks for.
  LinearLayout(Bases registers, Bases lanes, Bases warps)
      : registers(std::move(registers)), lanes(std::move(lanes)), warps(std::move(warps)) {}
  explicit LinearLayout(LinearLayoutAttr attr);

  LinearLayoutAttr toAttr(mlir::MLIRContext *context) const;

  /// mma.m16n8 fragments covering `rows` x `cols`, with `numWarps` warps stacked along the rows:
  /// registers run over column pairs, row halves, column tiles, then row tiles. It is the layout of
  /// accumulators (C/D) *and* of 16-bit A operands of m16n8k16, whose fragment is the same table
  /// over (row, k); that is why the probabilities of an attention tile feed the second product in
  /// place. Needs rows = 16 * numWarps * 2^i; columns may be any number (see `liveRegisters`).
  static LinearLayout mmaFragment(int64_t rows, int64_t cols, int64_t numWarps);

  /// Spreads a tile over all threads: the columns and then the rows are counted off by lanes, by
  /// warps, and by registers for what is left. Elements of a small tile are held by several
  /// threads. Rows and columns are powers of two.
  static LinearLayout blocked(int64_t rows, int64_t cols, int64_t numWarps);
  /// A thread holds all columns of its rows; the rows are counted off as `blocked` does. Rows and
  /// columns are powers of two.
  static LinearLayout wholeRows(int64_t rows, int64_t cols, int64_t numWarps);
  /// A thread holds `part` neighbouring columns of a row, and two neighbouring rows if there are
  /// more elements than that for each. Rows are counted off by lanes and warps; of the columns that
  /// are left, warps take the highest bits, and threads hold the others. All are powers of two; a
  /// part that is all columns may be none.
  static LinearLayout partsOfRows(int64_t rows, int64_t cols, int64_t part, int64_t numWarps);
  /// The layout that tiles of this shape have unless there is a reason for another one: mma
  /// fragments where they fit, else `blocked`; none if that does not fit either.
  static std::optional<LinearLayout> standard(llvm::ArrayRef<int64_t> shape, int64_t numWarps);

  /// The element that register `reg` of lane `lane` of warp `warp` holds: each is counted from 0
  /// and below two to the number of its basis vectors; higher bits are ignored. The element may lie
  /// outside the tile where the tile's columns are no power of two.
  Coord apply(int64_t reg, int64_t lane, int64_t warp) const;
  /// Registers of the table, a power of two. A tile whose columns are not a power of two uses
  /// fewer.
  int64_t registerCount() const { return int64_t(1) << registers.size(); }
  /// The registers whose element lies inside a `rows` x `cols` tile, in increasing order. Whole
  /// registers are inside or outside because lanes move columns by less than the tile granule of 8.
  llvm::SmallVector<int64_t> liveRegisters(int64_t rows, int64_t cols) const;

  /// The layout of one value for each row: column bits become replication. Register bits that only
  /// move columns are dropped, so that a thread holds each of its rows once.
  LinearLayout rowSlice() const;
  /// For each register of this layout, the register of `rowSlice()` that holds its row.
  llvm::SmallVector<int64_t> rowSliceRegisters() const;
  /// The layout of one value for each column (a matrix of one row): row bits become replication.
  LinearLayout columnSlice() const { return transposed().rowSlice().transposed(); }
  /// For each register of this layout, the register of `columnSlice()` that holds its column.
  llvm::SmallVector<int64_t> columnSliceRegisters() const {
    return transposed().rowSliceRegisters();
  }
  /// The same elements with rows and columns exchanged.
  LinearLayout transposed() const;
  /// Bits of the lane, and of the warp, that do not move the element: each holds a copy.
  int64_t replicatedLanes() const;
  int64_t replicatedWarps() const;
  /// Bits of the warp that move along columns: warps that share rows.
  int64_t columnWarps() const;
  /// Whether a thread has all columns of each `part` of a row that it has one of.
  bool holdsColumns(int64_t part) const;
  /// Lane masks to combine with butterfly shuffles to reduce over columns.
  llvm::SmallVector<int64_t> columnLaneMasks() const;

  const Bases &registerBases() const { return registers; }
  const Bases &laneBases() const { return lanes; }
  const Bases &warpBases() const { return warps; }

private:
  Bases registers, lanes, warps;
};

} // namespace attnc::tile

#endif // ATTNC_DIALECTS_TILE_LINEARLAYOUT_H
