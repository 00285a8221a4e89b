// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Regions of the attn ops: syntax and verification.
#include "VerifyRegions.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;
using namespace attnc::attn;

bool attn::isIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

ParseResult attn::parseArgumentRegion(OpAsmParser &parser, Region &region) {
  SmallVector<OpAsmParser::Argument> args;
  if (parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren, /*allowType=*/true))
    return failure();
  return parser.parseRegion(region, args);
}

void attn::printArgumentRegion(OpAsmPrinter &printer, Operation *, Region &region) {
  printer << "(";
  llvm::interleaveComma(region.getArguments(), printer,
                        [&](BlockArgument arg) { printer.printRegionArgument(arg); });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
}

ParseResult attn::parseNamedRegion(OpAsmParser &parser, StringRef keyword, Region &region) {
  return failure(parser.parseKeyword(keyword) || parseArgumentRegion(parser, region));
}

void attn::printNamedRegion(OpAsmPrinter &printer, Operation *op, StringRef keyword,
                            Region &region) {
  printer.printNewline();
  printer << "  " << keyword;
  printArgumentRegion(printer, op, region);
}

ParseResult attn::parseOptionalRegion(OpAsmParser &parser, StringRef keyword, Region &region) {
  if (failed(parser.parseOptionalKeyword(keyword)))
    return success();
  return parseArgumentRegion(parser, region);
}

void attn::printOptionalRegion(OpAsmPrinter &printer, Operation *op, StringRef keyword,
                               Region &region) {
  if (!region.empty())
    printNamedRegion(printer, op, keyword, region);
}

LogicalResult attn::verifyRegionFrame(Operation *op, StringRef what, Region &region,
                                      TypeRange arguments) {
  Block &block = region.front();
  // attn.attend C3, attn.compute C1, attn.reduce C2, attn.quantize C1, attn.recur C2
  if (block.getArgumentTypes() != arguments) {
    InFlightDiagnostic diagnostic = op->emitOpError() << "expects arguments (";
    llvm::interleaveComma(arguments, diagnostic);
    diagnostic << ") of the " << what << " region, found (";
    llvm::interleaveComma(block.getArgumentTypes(), diagnostic);
    diagnostic << ")";
    return diagnostic;
  }
  if (block.empty() || !isa<YieldOp>(block.back()))
    return op->emitOpError() << "expects the " << what << " region to end with attn.yield";
  return success();
}

LogicalResult attn::verifyScalarOps(Operation *op, StringRef what, Region &region) {
  // attn.attend C5, attn.compute C3, attn.reduce C4, attn.quantize C5
  for (Operation &inner : region.front().without_terminator()) {
    StringRef dialect = inner.getName().getDialectNamespace();
    bool isScalar = (dialect == "arith" || dialect == "math") && inner.getNumRegions() == 0 &&
                    llvm::none_of(inner.getResultTypes(), llvm::IsaPred<ShapedType>);
    if (isScalar || isa<ReadOp, PositionOp, SizeOp, ReduceOp, UniformOp>(inner))
      continue;
    InFlightDiagnostic diagnostic =
        op->emitOpError() << "expects scalar arithmetic, attn.read, attn.position, attn.size, "
                             "attn.reduce and attn.uniform in the "
                          << what << " region, found `" << inner.getName() << "`";
    diagnostic.attachNote(inner.getLoc()) << "found here";
    return diagnostic;
  }
  return success();
}

Type attn::elementScalar(AttnTensorType type) {
  Type element = type.getElementType();
  return isa<IntegerType>(element) ? element : Type(Float32Type::get(type.getContext()));
}

LogicalResult attn::verifyScalarRegion(Operation *op, StringRef what, Region &region,
                                       TypeRange arguments, TypeRange results) {
  if (region.empty())
    return success();
  if (failed(verifyRegionFrame(op, what, region, arguments)))
    return failure();
  // attn.attend C4, attn.compute C2, attn.scan C3
  auto yield = cast<YieldOp>(region.front().back());
  if (yield.getValues().getTypes() != results) {
    InFlightDiagnostic diagnostic = op->emitOpError()
                                    << "expects the " << what << " region to yield ";
    llvm::interleaveComma(results, diagnostic);
    diagnostic << ", found ";
    llvm::interleaveComma(yield.getValues().getTypes(), diagnostic);
    diagnostic.attachNote(yield.getLoc()) << "yielded here";
    return diagnostic;
  }
  return verifyScalarOps(op, what, region);
}
