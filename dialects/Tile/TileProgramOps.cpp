// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers and custom syntax of programs of kernels. Each check names the constraint that it
// enforces.
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace attnc::tile;

/// A comparison that a program may have: signed, or one of the language's reals.
static bool isProgramComparison(Operation *op) {
  if (auto compare = dyn_cast<arith::CmpIOp>(op)) {
    using Predicate = arith::CmpIPredicate;
    Predicate predicate = compare.getPredicate();
    return compare.getLhs().getType().isInteger(32) && predicate != Predicate::ult &&
           predicate != Predicate::ule && predicate != Predicate::ugt &&
           predicate != Predicate::uge;
  }
  using Predicate = arith::CmpFPredicate;
  auto compare = dyn_cast<arith::CmpFOp>(op);
  return compare && llvm::is_contained({Predicate::OEQ, Predicate::OLT, Predicate::OLE,
                                        Predicate::OGT, Predicate::OGE, Predicate::UNE},
                                       compare.getPredicate());
}

/// True if `value` is the size of an index space: an argument of a program, or a declared space.
static bool isSize(Value value) {
  if (value.getDefiningOp<SpaceOp>())
    return true;
  auto argument = dyn_cast<BlockArgument>(value);
  auto program = argument ? dyn_cast<ProgramOp>(argument.getOwner()->getParentOp()) : ProgramOp();
  return program && program.getBinding(argument.getArgNumber()).starts_with("size:");
}

//===----------------------------------------------------------------------===//
// ProgramOp
//===----------------------------------------------------------------------===//

/// SizeArithmetic.cpp makes formulas of these.
bool ProgramOp::isArithmetic(Operation *op) {
  if (isa<arith::ExtUIOp, arith::UIToFPOp>(op))
    return op->getOperand(0).getType().isInteger(1);
  if (isa<arith::AndIOp, arith::OrIOp, arith::XOrIOp>(op))
    return op->getResult(0).getType().isInteger(1) || op->getResult(0).getType().isInteger(32);
  if (isa<arith::ExtSIOp, arith::TruncIOp>(op))
    return op->getOperand(0).getType().isInteger(isa<arith::ExtSIOp>(op) ? 32 : 64) &&
           op->getResult(0).getType().isInteger(isa<arith::ExtSIOp>(op) ? 64 : 32);
  if (isa<arith::SelectOp>(op))
    return !isa<ViewType>(op->getResult(0).getType());
  return isProgramComparison(op) ||
         isa<arith::ConstantOp, arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::FloorDivSIOp,
             arith::CeilDivSIOp, arith::MinSIOp, arith::MaxSIOp, arith::ShLIOp, arith::ShRSIOp,
             arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp,
             arith::MinimumFOp, arith::MaximumFOp, arith::MinNumFOp, arith::MaxNumFOp,
             arith::SIToFPOp, arith::FPToSIOp, arith::ExtFOp, arith::TruncFOp, math::FloorOp,
             math::CeilOp>(op);
}

ParseResult ProgramOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> arguments;
  if (parser.parseAttribute(name, getNameAttrName(result.name), result.attributes) ||
      parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren, /*allowType=*/true,
                               /*allowAttrs=*/true) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  Builder &builder = parser.getBuilder();
  SmallVector<Attribute> attributes;
  for (OpAsmParser::Argument &argument : arguments)
    attributes.push_back(argument.attrs ? argument.attrs : builder.getDictionaryAttr({}));
  if (!attributes.empty())
    result.addAttribute(getArgAttrsAttrName(result.name), builder.getArrayAttr(attributes));
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, arguments))
    return failure();
  if (body->empty())
    body->emplaceBlock();
  return success();
}

void ProgramOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getNameAttr() << '(';
  llvm::interleaveComma(getBody().getArguments(), printer, [&](BlockArgument argument) {
    NamedAttrList attributes;
    if (auto all = getArgAttrsAttr(); all && argument.getArgNumber() < all.size())
      attributes = NamedAttrList(cast<DictionaryAttr>(all[argument.getArgNumber()]));
    printer.printRegionArgument(argument, attributes.getAttrs());
  });
  printer << ')';
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                           {getNameAttrName(), getArgAttrsAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

Attribute ProgramOp::getArgAttr(unsigned index, llvm::StringRef name) {
  ArrayAttr all = getArgAttrsAttr();
  return all && index < all.size() ? cast<DictionaryAttr>(all[index]).get(name) : Attribute();
}

llvm::StringRef ProgramOp::getBinding(unsigned index) {
  auto binding = dyn_cast_or_null<StringAttr>(getArgAttr(index, "tile.binding"));
  return binding ? binding.getValue() : llvm::StringRef();
}

/// True if something of type `type` can be bound to what `binding` says.
static bool isBindable(Type type, llvm::StringRef binding) {
  auto [kind, name] = binding.split(':');
  if (name.empty())
    return false;
  if (isa<ViewType>(type))
    return kind == "tensor";
  return (kind == "param" && (type.isF32() || type.isInteger(32))) ||
         (kind == "size" && type.isInteger(32));
}

static LogicalResult verifyAlias(ProgramOp program, unsigned index) {
  auto alias = dyn_cast_or_null<StringAttr>(program.getArgAttr(index, "tile.may_alias"));
  if (!alias)
    return success();
  Block &body = program.getBody().front();
  Type type = body.getArgument(index).getType();
  for (BlockArgument other : body.getArguments())
    if (program.getBinding(other.getArgNumber()) == ("tensor:" + alias.getValue()).str() &&
        program.getArgAttr(index, "tile.output") &&
        !program.getArgAttr(other.getArgNumber(), "tile.output") && other.getType() == type)
      return success();
  return program.emitOpError("expects `tile.may_alias` on an output, naming an input of its type, "
                             "found \"")
         << alias.getValue() << "\" on argument " << index;
}

/// A type that values in a program have.
static bool isProgramType(Type type) {
  return isa<ViewType>(type) || type.isInteger(1) || type.isInteger(32) || type.isInteger(64) ||
         type.isF32() || type.isF64();
}

LogicalResult ProgramOp::verify() {
  llvm::StringSet<> names;
  for (BlockArgument argument : getBody().getArguments()) {
    unsigned i = argument.getArgNumber();
    if (!isBindable(argument.getType(), getBinding(i))) // tile.program C1
      return emitOpError("expects a view bound to `tensor:NAME`, i32 to `size:SPACE` or "
                         "`param:NAME`, or f32 to `param:NAME`, found ")
             << argument.getType() << " bound to `" << getBinding(i) << "`";
    if (!names.insert(getBinding(i)).second) // tile.program C2
      return emitOpError("expects one argument for each binding, found two for `")
             << getBinding(i) << "`";
    auto view = dyn_cast<ViewType>(argument.getType());
    auto axes = dyn_cast_or_null<ArrayAttr>(getArgAttr(i, "tile.axes"));
    if (view && (!axes || static_cast<int64_t>(axes.size()) != view.getRank() ||
                 !llvm::all_of(axes, llvm::IsaPred<StringAttr>))) // tile.program C3
      return emitOpError("expects `tile.axes` with ")
             << view.getRank() << " strings on the argument of " << getBinding(i);
    if (failed(verifyAlias(*this, i))) // tile.program C4
      return failure();
  }
  for (Operation &op : getBody().front()) {
    if (!isa<LaunchOp, RequireOp, SpaceOp, WorkspaceOp, ChunksOp>(op) &&
        !isArithmetic(&op)) // tile.program C5
      return op.emitOpError("is no op of a program: expected tile.launch, tile.workspace, "
                            "tile.chunks, tile.space and arithmetic of sizes");
    if (!llvm::all_of(op.getResultTypes(), isProgramType)) // tile.program C6
      return op.emitOpError("expects scalars of i1, i32, i64, f32 or f64");
    if (auto space = dyn_cast<SpaceOp>(op);
        space && !names.insert(("size:" + space.getName()).str()).second) // tile.program C2
      return space.emitOpError("expects a name of its own, found a second \"")
             << space.getName() << "\"";
  }
  WalkResult named = walk([&](WorkspaceOp workspace) -> WalkResult {
    if (names.insert(("tensor:" + workspace.getName()).str()).second)
      return WalkResult::advance();
    return workspace.emitOpError("expects a name of its own, found a second \"")
           << workspace.getName() << "\""; // tile.program C2, tile.chunks C3
  });
  return failure(named.wasInterrupted());
}

//===----------------------------------------------------------------------===//
// ChunksOp
//===----------------------------------------------------------------------===//

ParseResult ChunksOp::parse(OpAsmParser &parser, OperationState &result) {
  Type i32 = parser.getBuilder().getI32Type();
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<int64_t> steps;
  auto parseAxis = [&]() -> ParseResult {
    OpAsmParser::UnresolvedOperand size;
    OpAsmParser::Argument first, count;
    if (parser.parseLParen() || parser.parseArgument(first) || parser.parseComma() ||
        parser.parseArgument(count) || parser.parseRParen() || parser.parseKeyword("of") ||
        parser.parseOperand(size) || parser.resolveOperand(size, i32, result.operands) ||
        parser.parseKeyword("by") || parser.parseInteger(steps.emplace_back()))
      return failure();
    first.type = count.type = i32;
    arguments.append({first, count});
    return success();
  };
  if (parser.parseCommaSeparatedList(parseAxis) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  result.addAttribute(getStepsAttrName(result.name),
                      parser.getBuilder().getDenseI64ArrayAttr(steps));
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, arguments))
    return failure();
  return success();
}

void ChunksOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  llvm::interleaveComma(llvm::seq<unsigned>(0, getSizes().size()), printer, [&](unsigned i) {
    printer << '(' << getFirst(i) << ", " << getCount(i) << ") of " << getSizes()[i] << " by "
            << getSteps()[i];
  });
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {getStepsAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult ChunksOp::verify() {
  if (getSizes().empty() || getSteps().size() != getSizes().size() ||
      getBody().getNumArguments() != 2 * getSizes().size() ||
      !llvm::all_of(getSteps(), [](int64_t step) { return step >= 1; }) ||
      !llvm::all_of(getBody().getArgumentTypes(),
                    [](Type type) { return type.isInteger(32); })) // tile.chunks C1
    return emitOpError("expects a step of at least 1 and two i32 arguments for each size, found ")
           << getSizes().size() << " sizes, " << getSteps().size() << " steps and "
           << getBody().getNumArguments() << " arguments";
  for (Operation &op : getBody().front())
    if (!isa<LaunchOp, WorkspaceOp>(op) && !ProgramOp::isArithmetic(&op)) // tile.chunks C2
      return op.emitOpError("is no op of chunks: expected tile.launch, tile.workspace and "
                            "arithmetic of sizes");
  return success();
}

//===----------------------------------------------------------------------===//
// SpaceOp, WorkspaceOp, LaunchOp
//===----------------------------------------------------------------------===//

LogicalResult WorkspaceOp::verify() {
  ViewType view = getResult().getType();
  if (!view.getUnitStride() ||
      static_cast<int64_t>(getSizes().size()) != view.getRank()) // tile.workspace C1
    return emitOpError("expects a view with a unit last stride and a size for each dimension, "
                       "found ")
           << getSizes().size() << " sizes for " << view;
  if (!getFirst().empty() && getFirst().size() != getSizes().size()) // tile.workspace C2
    return emitOpError("expects a number behind `from` for each dimension, found ")
           << getFirst().size() << " for " << view;
  return success();
}

LogicalResult SpaceOp::verify() {
  if (getParent() && !isSize(getParent())) // tile.space C1
    return emitOpError("expects blocks of an index space: the size of one behind `of`");
  if (!getParent() && (getStride() || getFull())) // tile.space C2
    return emitOpError("expects `stride` and `full` for blocks only, behind `of`");
  if (getParent() && getOptional())
    return emitOpError("expects `optional` without `of`");
  return success();
}

/// True if two operands may be the same memory: one tensor, or an output and what it may alias.
static bool maySharePlace(ProgramOp program, Value a, Value b) {
  auto names = [&](Value output, Value input) {
    auto written = dyn_cast<BlockArgument>(output), read = dyn_cast<BlockArgument>(input);
    auto alias = written ? dyn_cast_or_null<StringAttr>(
                               program.getArgAttr(written.getArgNumber(), "tile.may_alias"))
                         : StringAttr();
    return read && alias &&
           program.getBinding(read.getArgNumber()) == ("tensor:" + alias.getValue()).str();
  };
  // Numbers of chunks are arguments too, of a block of their own.
  return isa<ViewType>(a.getType()) && isa<ViewType>(b.getType()) &&
         (a == b || names(a, b) || names(b, a));
}

/// Arguments of a kernel that may be the same memory are marked.
static LogicalResult verifyMarks(LaunchOp launch, KernelOp kernel) {
  auto program = launch->getParentOfType<ProgramOp>();
  auto isMarked = [&](size_t i) { return kernel.getArgAttr(i, "tile.may_alias") != nullptr; };
  // Only reads go through a map, of what the kernel has as a view too.
  auto isMap = [&](size_t i) { return isa<TensorMapType>(kernel.getArgumentTypes()[i]); };
  for (auto [i, first] : llvm::enumerate(launch.getArgs()))
    for (auto [j, second] : llvm::enumerate(launch.getArgs()))
      if (i < j && !isMap(i) && !isMap(j) && maySharePlace(program, first, second) &&
          !(isMarked(i) && isMarked(j))) // tile.launch C3
        return launch.emitOpError("expects kernel @")
               << kernel.getSymName() << " to mark arguments " << i << " and " << j
               << " with `tile.may_alias`: they may be the same memory";
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel) // tile.launch C1
    return emitOpError("expects a tile.kernel of the module, found ") << getKernelAttr();
  // A map is made from a view at the launch.
  auto passes = [](Type argument, Type operand) {
    auto map = dyn_cast<TensorMapType>(argument);
    auto view = dyn_cast<ViewType>(operand);
    return map ? view && map.isOf(view) : argument == operand;
  };
  ArrayRef<Type> types = kernel.getArgumentTypes();
  if (types.size() != getArgs().size() ||
      !llvm::all_of_zip(types, getArgs().getTypes(), passes)) // tile.launch C2
    return emitOpError("expects operands of types ") << types << ", found " << getArgs().getTypes();
  return verifyMarks(*this, kernel);
}
