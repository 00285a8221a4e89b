// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Matrix products by wgmma: four warps multiply 64 rows, each its 16, in steps of a depth of 16.
//
// The right operand is read from shared memory, and so is a left one that is not in registers; how
// they lie there is #tile.shared with panels. Accumulators and left operands in registers are the
// fragments of mma.sync, warp by warp (PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk16").
//
// The instruction is asynchronous, and LLVM does not know that its registers are in use until they
// are waited for. A product is one asm statement: nothing, not even a copy of a register, comes
// between its steps. A wait has the sums as operands that it leaves where they are.
#include "Products.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlir;
using namespace attnc;
using tile::TileType;

namespace {

/// Builds asm statements: their operands, by class of register.
class Assembly {
public:
  Assembly(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  /// A value that is read.
  void input(Value value, char registerClass) {
    inputs.push_back(value);
    inputConstraints += llvm::formatv(",{0}", registerClass);
  }
  /// A value that is written, and read first if `value` is not null.
  void output(Type type, Value value, char registerClass) {
    outputConstraints += llvm::formatv("{0}={1}", outputTypes.empty() ? "" : ",", registerClass);
    if (value) {
      ties.push_back(value);
      tieConstraints += llvm::formatv(",{0}", outputTypes.size());
    }
    outputTypes.push_back(type);
  }
  /// `text`, with $0 for the first output, and inputs behind outputs and what they read.
  SmallVector<Value> emit(const Twine &text) {
    MLIRContext *context = builder.getContext();
    SmallVector<Value> operands(ties);
    llvm::append_range(operands, inputs);
    std::string constraints = outputConstraints + tieConstraints + inputConstraints;
    constraints += constraints.empty() ? "~{memory}" : ",~{memory}";
    StringRef given = constraints;
    given.consume_front(",");
    Type result;
    if (outputTypes.size() == 1)
      result = outputTypes.front();
    else if (!outputTypes.empty())
      result = LLVM::LLVMStructType::getLiteral(context, outputTypes);
    auto statement = LLVM::InlineAsmOp::create(
        builder, loc, result ? TypeRange(result) : TypeRange(), operands, text.str(), given,
        /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
        LLVM::AsmDialectAttr::get(context, LLVM::AsmDialect::AD_ATT), ArrayAttr());
    if (outputTypes.size() == 1)
      return {statement.getResult(0)};
    SmallVector<Value> results;
    for (size_t i = 0; i < outputTypes.size(); ++i)
      results.push_back(LLVM::ExtractValueOp::create(builder, loc, statement.getResult(0), i));
    return results;
  }

private:
  OpBuilder &builder;
  Location loc;
  SmallVector<Type> outputTypes;
  SmallVector<Value> ties, inputs;
  std::string outputConstraints, tieConstraints, inputConstraints;
};

/// An operand in shared memory, as wgmma is told of it: PTX ISA, "Matrix Descriptor Format".
class SharedOperand {
public:
  /// `rowBase` is how many rows of the stage come before (i32; null: none). `alongRows`: depth runs
  /// along the tile's rows, not across them.
  SharedOperand(KernelLowering &kl, tile::ReadOp read, Value rowBase, bool alongRows)
      : layout(read.getSlot().getType().getBuffer().getLayout()), alongRows(alongRows) {
    OpBuilder &b = kl.builder;
    Location loc = read.getLoc();
    Value base = kl.fragments[read.getSlot()].front();
    if (rowBase)
      base = kl.add(loc, base, kl.mul(loc, rowBase, kl.i32(loc, layout.getPitch())));
    Value address = LLVM::PtrToIntOp::create(b, loc, b.getI32Type(),
                                             kl.offsetPointer(loc, kl.sharedBase, base));
    // 18 bits of address, in sixteens.
    address = arith::AndIOp::create(b, loc, address, kl.i32(loc, 0x3ffff));
    address = arith::ShRUIOp::create(b, loc, address, kl.i32(loc, 4));
    Value low = arith::ExtUIOp::create(b, loc, b.getI64Type(), address);
    descriptor = arith::OrIOp::create(b, loc, low, kl.i64(loc, constantBits()));
  }

  Value first() const { return descriptor; }
  /// What is added to the first descriptor for the 16 depths from 16 `step`.
  int64_t offset(int64_t step) const {
    if (!alongRows)
      return step * 16 * layout.getPitch() >> 4;
    int64_t perPanel = layout.getPitch() / 32; // 16 columns: 32 bytes
    return (step / perPanel * layout.getPanelBytes() + step % perPanel * 32) >> 4;
  }

private:
  /// Eight rows of a panel are what a swizzle covers: `stride` apart from the next. The panels of
  /// an operand whose depth goes across rows are `leading` apart.
  int64_t constantBits() const {
    int64_t swizzle = layout.getPitch() == 128 ? 1 : layout.getPitch() == 64 ? 2 : 3;
    int64_t stride = 8 * layout.getPitch(), leading = alongRows ? 16 : layout.getPanelBytes();
    return leading >> 4 << 16 | stride >> 4 << 32 | swizzle << 62;
  }

  tile::SharedLayoutAttr layout;
  bool alongRows;
  Value descriptor;
};

} // namespace

void attnc::fenceForWarpgroups(KernelLowering &kl, Location loc) {
  MLIRContext *context = kl.builder.getContext();
  NVVM::FenceProxyOp::create(kl.builder, loc,
                             NVVM::ProxyKindAttr::get(context, NVVM::ProxyKind::async_shared),
                             NVVM::SharedSpaceAttr::get(context, NVVM::SharedSpace::shared_cta));
}

namespace {

/// The text of a product: its operands are numbered as Assembly numbers them.
class ProductText {
public:
  ProductText(tile::DotStartOp dot, size_t sums)
      : element(dot.getLhs().getType().getElementType().isBF16() ? "bf16" : "f16"),
        isRightTurned(!dot.getTransposeRhs()), columns(2 * sums) {
    for (size_t i = 0; i < sums; ++i)
      registers += llvm::formatv("{0}${1}", i ? ", " : "", i);
    text = "{\n.reg .b64 left, right;\nwgmma.fence.sync.aligned;\n";
  }

  /// `name` is operand `first` and `offset` more.
  void describe(StringRef name, size_t first, int64_t offset) {
    text += llvm::formatv("add.s64 {0}, ${1}, {2};\n", name, first, offset);
  }
  /// Another 16 depths. `left` is "left" or registers in braces.
  void multiply(StringRef left, bool fromZero) {
    // scale-d, the signs of both operands, and which of those in shared memory run across their
    // rows.
    text += llvm::formatv("wgmma.mma_async.sync.aligned.m64n{0}k16.f32.{1}.{1} ", columns, element);
    text += "{" + registers + "}, " + left.str() + ", right, ";
    text += llvm::formatv("{0}, 1, 1{1}, {2};\n", fromZero ? 0 : 1, left == "left" ? ", 0" : "",
                          isRightTurned ? 1 : 0);
  }
  std::string finish() { return text + "wgmma.commit_group.sync.aligned;\n}"; }

private:
  StringRef element;
  bool isRightTurned;
  size_t columns;
  std::string registers, text;
};

} // namespace

static LogicalResult lowerDotStart(KernelLowering &kl, tile::DotStartOp dot) {
  Location loc = dot.getLoc();
  TileType accType = dot.getAcc().getType();
  if (!isMmaFragment(accType, kl.numThreads) || rowTiles(accType, kl.numThreads) != 1)
    return dot.emitOpError("expects accumulators in mma fragments, 16 rows to a warp, found ")
           << accType;
  if (!kl.sharedReads.count(dot.getRhs()))
    return dot.emitOpError("expects a right operand in shared memory");
  Fragment acc = kl.fragments[dot.getAcc()];
  auto fill = dot.getAcc().getDefiningOp<tile::FillOp>();
  bool fromZero = fill && matchPattern(fill.getValue(), m_PosZeroFloat());
  Assembly assembly(kl.builder, loc);
  for (Value sum : acc)
    assembly.output(sum.getType(), fromZero ? Value() : sum, 'f');
  size_t next = (fromZero ? 1 : 2) * acc.size();

  SharedOperand right(kl, kl.sharedReads[dot.getRhs()], /*rowBase=*/{}, dot.getTransposeRhs());
  assembly.input(right.first(), 'l');
  size_t rightAt = next++;
  std::optional<SharedOperand> left;
  if (kl.sharedReads.count(dot.getLhs())) {
    Value rows; // before those of this warpgroup
    if (kl.numThreads > 128)
      rows = kl.mul(loc, kl.warpgroupId(loc), kl.i32(loc, 64));
    left.emplace(kl, kl.sharedReads[dot.getLhs()], rows, /*alongRows=*/true);
    assembly.input(left->first(), 'l');
  } else {
    for (Value pair : kl.fragments[dot.getLhs()])
      assembly.input(LLVM::BitcastOp::create(kl.builder, loc, kl.builder.getI32Type(), pair), 'r');
  }
  ProductText text(dot, acc.size());
  for (int64_t step = 0; step < dot.getLhs().getType().getCols() / 16; ++step) {
    std::string operand = "left";
    text.describe("right", rightAt, right.offset(step));
    if (left)
      text.describe("left", next, left->offset(step));
    else
      operand = llvm::formatv("{${0}, ${1}, ${2}, ${3}}", next + 4 * step, next + 4 * step + 1,
                              next + 4 * step + 2, next + 4 * step + 3);
    text.multiply(operand, fromZero && step == 0);
  }
  kl.fragments[dot.getProduct()] = assembly.emit(text.finish());
  return success();
}

/// Keeps ptxas from moving what computes `values` behind what comes next, by a branch on them
/// around an instruction without effect; it is not taken unless they add up to -inf.
static void stayBefore(KernelLowering &kl, Location loc, ArrayRef<Value> values) {
  if (values.empty())
    return;
  OpBuilder &b = kl.builder;
  Value sum = values.front();
  for (Value value : values.drop_front())
    sum = arith::AddFOp::create(b, loc, sum, value);
  Value never = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(-INFINITY));
  Value taken = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, sum, never);
  auto branch = scf::IfOp::create(b, loc, taken, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Assembly(b, loc).emit("nanosleep.u32 0;");
}

/// The sums are the same registers before and behind the wait: nothing that needs them comes
/// before.
static LogicalResult lowerDotWait(KernelLowering &kl, tile::DotWaitOp wait) {
  Location loc = wait.getLoc();
  SmallVector<Value> before;
  for (Value tile : wait.getBefore())
    llvm::append_range(before, kl.fragments[tile]);
  stayBefore(kl, loc, before);
  Assembly assembly(kl.builder, loc);
  for (Value product : wait.getProducts())
    for (Value sum : kl.fragments[product])
      assembly.output(sum.getType(), sum, 'f');
  SmallVector<Value> sums =
      assembly.emit(llvm::formatv("wgmma.wait_group.sync.aligned {0};", wait.getPending()).str());
  kl.distribute(wait.getResults(), sums);
  return success();
}

void attnc::registerWarpgroupProduct(NVVMOpTable &table) {
  table.add(lowerDotStart);
  table.add(lowerDotWait);
}
