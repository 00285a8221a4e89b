// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that a thread does element by element: fills, conversions, maps.
#include "ColumnAlignment.h"
#include "Elements.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

static LogicalResult lowerFill(KernelLowering &kl, tile::FillOp fill) {
  SmallVector<Type> types = kl.flatten(fill.getResult().getType());
  Value value = kl.scalars.lookup(fill.getValue());
  if (auto pair = dyn_cast<VectorType>(types.front())) {
    Location loc = fill.getLoc();
    Value both = LLVM::UndefOp::create(kl.builder, loc, pair);
    for (int64_t half : {0, 1})
      both = LLVM::InsertElementOp::create(kl.builder, loc, both, value, kl.i32(loc, half));
    value = both;
  }
  kl.fragments[fill.getResult()] = Fragment(types.size(), value);
  return success();
}

/// Neighbouring columns that are neighbouring registers become one packed register by one
/// instruction.
static LogicalResult lowerCast(KernelLowering &kl, tile::CastOp cast) {
  Location loc = cast.getLoc();
  TileType from = cast.getInput().getType(), to = cast.getResult().getType();
  Fragment source = kl.fragments[cast.getInput()]; // a copy: new entries may move the old ones
  if (from.getElementType() == to.getElementType()) {
    kl.fragments[cast.getResult()] = source;
    return success();
  }
  Fragment result;
  if (to.getElementType().isF32()) {
    for (Value x : unpack(kl, loc, from, source))
      result.push_back(extended(kl.builder, loc, from.getElementType(), x));
  } else if (KernelLowering::isPacked(to)) {
    for (size_t i = 0; i < source.size(); i += 2)
      result.push_back(
          narrowedPair(kl.builder, loc, to.getElementType(), source[i], source[i + 1]));
  } else {
    for (Value x : source)
      result.push_back(narrowed(kl.builder, loc, to.getElementType(), x));
  }
  kl.fragments[cast.getResult()] = result;
  return success();
}

namespace {
/// Emits the region of a map once for each element of a thread.
///
/// What depends on the row alone, or on the column, or on neither, is emitted for the first element
/// that needs it and used again. LLVM would find all of it equal: it comes to the same code, but a
/// mask that computes much from its row is half of the code before that, and all of it costs time.
class MapEmitter {
public:
  MapEmitter(KernelLowering &kl, tile::MapOp map)
      : kl(kl), map(map), loc(map.getLoc()), type(map.getResult().getType()),
        layout(type.getLayout()), rowOf(layout.rowSliceRegisters()),
        colOf(layout.columnSliceRegisters()) {}

  LogicalResult run();

private:
  /// What a value differs along; may be both.
  enum Axes : unsigned { Neither = 0, Row = 1, Column = 2, Both = 3 };

  void classify();
  unsigned axesOf(Value value) const { return axes.lookup(value); }
  int64_t alignmentOf(tile::ElementOp element, Coord at);
  LogicalResult emit(Operation &op, Coord at);
  /// Which of the elements of `input` stands next to the one that register `reg` holds.
  int64_t operandIndex(TileType input, int64_t index, int64_t reg) const {
    if (input.getShape() == type.getShape())
      return index;
    return input.getRank() == 1 ? rowOf[reg] : colOf[reg];
  }

  KernelLowering &kl;
  tile::MapOp map;
  Location loc;
  TileType type;
  LinearLayout layout;
  SmallVector<int64_t> rowOf, colOf;
  DenseMap<Value, unsigned> axes; ///< of the region's values; what is not here depends on neither
  /// A value of the region at a row, or a column, or anywhere: what was emitted for it.
  DenseMap<std::pair<Value, int64_t>, Value> emitted;
};
} // namespace

/// Finds out which axes the values of the region depend on.
void MapEmitter::classify() {
  axes[map.getRow()] = Row;
  if (type.getRank() == 2)
    axes[map.getCol()] = Column;
  for (auto [input, argument] : llvm::zip(map.getInputs(), map.getBlock()->getArguments())) {
    auto from = cast<TileType>(input.getType());
    axes[argument] = from.getShape() == type.getShape() ? Both : from.getRank() == 1 ? Row : Column;
  }
  for (Operation &op : map.getBlock()->without_terminator()) {
    unsigned all = Neither;
    for (Value operand : op.getOperands())
      all |= axesOf(operand);
    for (Value result : op.getResults())
      axes[result] = all;
  }
}

/// What the address of an element is a multiple of. Where the elements of a row are neighbours,
/// LLVM joins loads of several that are known to be aligned.
int64_t MapEmitter::alignmentOf(tile::ElementOp element, Coord at) {
  if (type.getRank() == 2 && !element.getIndices().empty() &&
      element.getIndices().back() == map.getCol())
    return columnAlignment(kl, element.getView(), type, map.getCol0(), at.col);
  return kl.elementBytes(element.getView());
}

/// Emits `op` for the element at `at` of this thread, or takes what an earlier element has of it.
LogicalResult MapEmitter::emit(Operation &op, Coord at) {
  auto element = dyn_cast<tile::ElementOp>(op);
  if (!element && !isScalarOp(&op))
    return op.emitOpError("is not supported in a map by the PTX back end");
  Value result = op.getResult(0);
  unsigned along = axesOf(result);
  Value *known = nullptr;
  if (along != Both) {
    known = &emitted[{result, along == Row ? at.row : along == Column ? at.col : 0}];
    if (*known) {
      kl.scalars.map(result, *known);
      return success();
    }
  }
  if (element) {
    FailureOr<Value> value = loadElement(kl, element, kl.scalars, alignmentOf(element, at));
    if (failed(value))
      return failure();
    kl.scalars.map(result, *value);
  } else {
    kl.builder.clone(op, kl.scalars);
  }
  if (known)
    *known = kl.scalars.lookup(result);
  return success();
}

LogicalResult MapEmitter::run() {
  classify();
  KernelLowering::ArithmeticTable arithmetic;
  llvm::SaveAndRestore straight(kl.emittedArithmetic, &arithmetic);
  SmallVector<int64_t> live = kl.liveRegisters(type);
  Block &body = *map.getBlock();
  bool usesRow = !map.getRow().use_empty();
  bool usesCol = type.getRank() == 2 && !map.getCol().use_empty();
  Value rowBase, colBase;
  if (usesRow)
    rowBase =
        kl.add(loc, kl.scalars.lookup(map.getRow0()), kl.laneCoordinate(loc, type, /*row=*/true));
  if (usesCol)
    colBase =
        kl.add(loc, kl.scalars.lookup(map.getCol0()), kl.laneCoordinate(loc, type, /*row=*/false));
  Fragment result;
  for (auto [index, reg] : llvm::enumerate(live)) {
    for (auto [input, arg] : llvm::zip(map.getInputs(), body.getArguments())) {
      int64_t at = operandIndex(cast<TileType>(input.getType()), index, reg);
      kl.scalars.map(arg, kl.fragments[input][at]); // overwritten for each element
    }
    Coord at = layout.apply(reg, 0, 0);
    if (usesRow)
      kl.scalars.map(map.getRow(), kl.coordinate(loc, rowBase, at.row));
    if (usesCol)
      kl.scalars.map(map.getCol(), kl.coordinate(loc, colBase, at.col));
    for (Operation &op : body.without_terminator())
      if (failed(emit(op, at)))
        return failure();
    result.push_back(kl.scalars.lookup(cast<tile::YieldOp>(body.getTerminator()).getValue()));
  }
  kl.fragments[map.getResult()] = result;
  return success();
}

/// The map in a branch that a warp takes if one of its factors is not 1.
static LogicalResult lowerMapUnlessOne(KernelLowering &kl, tile::MapOp map) {
  Location loc = map.getLoc();
  OpBuilder &b = kl.builder;
  Fragment kept = kl.fragments[map.getInputs()[0]];
  Value one = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1.0)), some;
  for (Value factor : kl.fragments[map.getInputs()[1]]) {
    Value changes = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, factor, one);
    some = some ? Value(arith::OrIOp::create(b, loc, some, changes)) : changes;
  }
  Value warpChanges = NVVM::VoteSyncOp::create(b, loc, b.getI1Type(), kl.i32(loc, -1), some,
                                               NVVM::VoteSyncKind::any);
  auto branch = scf::IfOp::create(b, loc, ValueRange(kept).getTypes(), warpChanges,
                                  /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    if (failed(MapEmitter(kl, map).run()))
      return failure();
    scf::YieldOp::create(b, loc, kl.fragments[map.getResult()]);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, loc, kept);
  }
  kl.fragments[map.getResult()] = Fragment(branch.getResults());
  return success();
}

static bool hasProduct(tile::MapOp map) {
  return llvm::any_of(map.getInputs(), [](Value input) {
    return isa_and_nonnull<tile::DotOp, tile::DotWaitOp>(input.getDefiningOp());
  });
}

/// Whether `map` takes up one product and is taken up with another one.
static bool isBetweenProducts(tile::MapOp map) {
  auto user = map.getResult().hasOneUse() ? dyn_cast<tile::MapOp>(*map.getResult().user_begin())
                                          : tile::MapOp();
  return user && hasProduct(map) && hasProduct(user) &&
         map.getResult().getType().getElementType().isF32();
}

/// Keeps what is computed where it is. LLVM would move it to where it is used, in another block,
/// and keep all that it is computed from in registers until then.
static void pin(KernelLowering &kl, Location loc, ArrayRef<Value> values) {
  std::string constraints(2 * values.size() - 1, ',');
  for (size_t i = 0; i < values.size(); ++i)
    constraints[2 * i] = 'f';
  LLVM::InlineAsmOp::create(
      kl.builder, loc, TypeRange(), values, /*asm_string=*/"", constraints,
      /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(kl.builder.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr());
}

static LogicalResult lowerMap(KernelLowering &kl, tile::MapOp map) {
  constexpr size_t kManyElements = 16;
  bool isFew = map.getInputs().empty() || kl.fragments[map.getInputs()[0]].size() < kManyElements;
  if (map->hasAttr("tile.skip_one") && !isFew)
    return lowerMapUnlessOne(kl, map);
  if (failed(MapEmitter(kl, map).run()))
    return failure();
  if (isBetweenProducts(map))
    pin(kl, map.getLoc(), kl.fragments[map.getResult()]);
  return success();
}

void attnc::registerElementwise(NVVMOpTable &table) {
  table.add(lowerFill);
  table.add(lowerCast);
  table.add(lowerMap);
}
