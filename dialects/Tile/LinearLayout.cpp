// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Construction of and questions about linear layouts; the idea is explained in LinearLayout.h.
#include "dialects/Tile/LinearLayout.h"
#include "dialects/Tile/Tile.h"
#include "llvm/Support/MathExtras.h"

using namespace attnc::tile;

static LinearLayout::Bases basesFromArray(llvm::ArrayRef<int32_t> flat) {
  LinearLayout::Bases bases;
  for (size_t i = 0; i + 1 < flat.size(); i += 2)
    bases.push_back({flat[i], flat[i + 1]});
  return bases;
}

static llvm::SmallVector<int32_t> arrayFromBases(const LinearLayout::Bases &bases) {
  llvm::SmallVector<int32_t> flat;
  for (Coord basis : bases) {
    flat.push_back(basis.row);
    flat.push_back(basis.col);
  }
  return flat;
}

LinearLayout::LinearLayout(LinearLayoutAttr attr)
    : registers(basesFromArray(attr.getRegisterBases())),
      lanes(basesFromArray(attr.getLaneBases())), warps(basesFromArray(attr.getWarpBases())) {}

LinearLayoutAttr LinearLayout::toAttr(mlir::MLIRContext *context) const {
  return LinearLayoutAttr::get(context, arrayFromBases(registers), arrayFromBases(lanes),
                               arrayFromBases(warps));
}

LinearLayout LinearLayout::mmaFragment(int64_t rows, int64_t cols, int64_t numWarps) {
  Bases registers = {{0, 1}, {8, 0}};
  for (int32_t col = 8; col < static_cast<int64_t>(llvm::PowerOf2Ceil(cols)); col *= 2)
    registers.push_back({0, col});
  int64_t rowsPerWarp = rows / numWarps;
  for (int32_t row = 16; row < rowsPerWarp; row *= 2)
    registers.push_back({row, 0});
  Bases lanes = {{0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}};
  Bases warps;
  for (int32_t row = rowsPerWarp; row < rows; row *= 2)
    warps.push_back({row, 0});
  return LinearLayout(std::move(registers), std::move(lanes), std::move(warps));
}

/// Moves up to `count` bits from the front of `from` to the end of `to`, and pads with bits that do
/// not move the element.
static void take(LinearLayout::Bases &from, LinearLayout::Bases &to, int64_t count) {
  int64_t real = std::min<int64_t>(count, from.size());
  to.append(from.begin(), from.begin() + real);
  from.erase(from.begin(), from.begin() + real);
  to.append(count - real, Coord());
}

static LinearLayout::Bases bitsOf(int64_t size, bool row) {
  LinearLayout::Bases bases;
  for (int32_t bit = 1; bit < size; bit *= 2)
    bases.push_back(row ? Coord{bit, 0} : Coord{0, bit});
  return bases;
}

LinearLayout LinearLayout::blocked(int64_t rows, int64_t cols, int64_t numWarps) {
  // Neighbours in a row that a thread holds are one access: up to four, where there is enough for
  // every thread.
  Bases columns = bitsOf(cols, /*row=*/false), bits, lanes, warps, registers;
  size_t spare = columns.size() + llvm::Log2_64(rows);
  spare -= std::min<size_t>(spare, 5 + llvm::Log2_64(numWarps));
  take(columns, registers, std::min<size_t>({spare, columns.size(), 2}));
  bits = columns;
  bits.append(bitsOf(rows, /*row=*/true));
  take(bits, lanes, 5);
  take(bits, warps, llvm::Log2_64(numWarps));
  registers.append(bits);
  return LinearLayout(std::move(registers), std::move(lanes), std::move(warps));
}

LinearLayout LinearLayout::wholeRows(int64_t rows, int64_t cols, int64_t numWarps) {
  LinearLayout byRow = blocked(rows, 1, numWarps);
  Bases registers = bitsOf(cols, /*row=*/false);
  registers.append(byRow.registers);
  return LinearLayout(std::move(registers), byRow.lanes, byRow.warps);
}

LinearLayout LinearLayout::partsOfRows(int64_t rows, int64_t cols, int64_t part, int64_t numWarps) {
  Bases columns = bitsOf(cols, /*row=*/false), byRow = bitsOf(rows, /*row=*/true);
  Bases registers, lanes, warps;
  size_t all = columns.size() + byRow.size(), threads = 5 + llvm::Log2_64(numWarps);
  size_t run = llvm::Log2_64_Ceil(part); // of all bits, if columns are no power of two
  if (all >= threads + run + 1 && !byRow.empty())
    take(byRow, registers, 1);
  take(columns, registers, run);
  // What is taken next is last.
  Bases bits(llvm::reverse(byRow));
  bits.insert(bits.begin(), columns.begin(), columns.end());
  auto count = [&](Bases &to, size_t number) {
    for (; number; --number)
      to.push_back(bits.empty() ? Coord() : bits.pop_back_val());
  };
  count(lanes, 5);
  count(warps, llvm::Log2_64(numWarps));
  registers.append(bits);
  return LinearLayout(std::move(registers), std::move(lanes), std::move(warps));
}

std::optional<LinearLayout> LinearLayout::standard(llvm::ArrayRef<int64_t> shape,
                                                   int64_t numWarps) {
  bool matrix = shape.size() == 2;
  int64_t rows = shape[0], cols = matrix ? shape[1] : 1;
  if (llvm::isPowerOf2_64(rows) && rows % (16 * numWarps) == 0 && (!matrix || cols % 8 == 0)) {
    LinearLayout layout = mmaFragment(rows, matrix ? cols : 8, numWarps);
    return matrix ? layout : layout.rowSlice();
  }
  if (!llvm::isPowerOf2_64(rows) || !llvm::isPowerOf2_64(cols))
    return std::nullopt;
  return blocked(rows, cols, numWarps);
}

LinearLayout LinearLayout::transposed() const {
  auto exchange = [](const Bases &bases) {
    Bases result;
    for (Coord basis : bases)
      result.push_back({basis.col, basis.row});
    return result;
  };
  return LinearLayout(exchange(registers), exchange(lanes), exchange(warps));
}

template <class Predicate>
static int64_t bitsWhere(const LinearLayout::Bases &bases, Predicate predicate) {
  int64_t bits = 0;
  for (size_t i = 0; i < bases.size(); ++i)
    if (predicate(bases[i]))
      bits |= int64_t(1) << i;
  return bits;
}

int64_t LinearLayout::replicatedLanes() const {
  return bitsWhere(lanes, [](Coord basis) { return basis.isZero(); });
}

int64_t LinearLayout::replicatedWarps() const {
  return bitsWhere(warps, [](Coord basis) { return basis.isZero(); });
}

int64_t LinearLayout::columnWarps() const {
  return bitsWhere(warps, [](Coord basis) { return basis.col != 0; });
}

bool LinearLayout::holdsColumns(int64_t part) const {
  auto isOutside = [&](Coord basis) { return basis.col % part == 0; };
  return llvm::all_of(lanes, isOutside) && llvm::all_of(warps, isOutside);
}

static Coord combine(const LinearLayout::Bases &bases, int64_t bits) {
  Coord result;
  for (size_t i = 0; i < bases.size(); ++i)
    if (bits >> i & 1) {
      result.row ^= bases[i].row;
      result.col ^= bases[i].col;
    }
  return result;
}

Coord LinearLayout::apply(int64_t reg, int64_t lane, int64_t warp) const {
  Coord r = combine(registers, reg), l = combine(lanes, lane), w = combine(warps, warp);
  return {r.row ^ l.row ^ w.row, r.col ^ l.col ^ w.col};
}

llvm::SmallVector<int64_t> LinearLayout::liveRegisters(int64_t rows, int64_t cols) const {
  llvm::SmallVector<int64_t> live;
  for (int64_t reg = 0; reg < registerCount(); ++reg) {
    Coord c = combine(registers, reg);
    if (c.row < rows && c.col < cols)
      live.push_back(reg);
  }
  return live;
}

LinearLayout LinearLayout::rowSlice() const {
  Bases sliceRegisters, sliceLanes, sliceWarps;
  for (Coord basis : registers)
    if (basis.row != 0)
      sliceRegisters.push_back({basis.row, 0});
  for (Coord basis : lanes)
    sliceLanes.push_back({basis.row, 0});
  for (Coord basis : warps)
    sliceWarps.push_back({basis.row, 0});
  return LinearLayout(std::move(sliceRegisters), std::move(sliceLanes), std::move(sliceWarps));
}

llvm::SmallVector<int64_t> LinearLayout::rowSliceRegisters() const {
  llvm::SmallVector<int64_t> result;
  for (int64_t reg = 0; reg < registerCount(); ++reg) {
    int64_t slice = 0, next = 0;
    for (size_t i = 0; i < registers.size(); ++i)
      if (registers[i].row != 0) {
        slice |= (reg >> i & 1) << next;
        ++next;
      }
    result.push_back(slice);
  }
  return result;
}

llvm::SmallVector<int64_t> LinearLayout::columnLaneMasks() const {
  llvm::SmallVector<int64_t> masks;
  for (size_t i = 0; i < lanes.size(); ++i)
    if (lanes[i].row == 0 && lanes[i].col != 0)
      masks.push_back(int64_t(1) << i);
  return masks;
}
