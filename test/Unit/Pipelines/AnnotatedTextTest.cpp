// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Locations in text become comments; what only looks like one stays.
#include "attnc/Pipelines/AnnotatedText.h"
#include "attnc/Pipelines/Phases.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace attnc;

namespace {

std::string annotated(llvm::StringRef text) {
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  EXPECT_TRUE(module);
  std::string result = annotatedText(*module);
  // It is the same IR.
  mlir::OwningOpRef<mlir::ModuleOp> again =
      mlir::parseSourceString<mlir::ModuleOp>(result, &context);
  EXPECT_TRUE(again) << result;
  std::string before, after;
  llvm::raw_string_ostream(before) << *module;
  llvm::raw_string_ostream(after) << *again;
  EXPECT_EQ(before, after);
  return result;
}

TEST(AnnotatedText, NamesValuesAndSaysLinesOnce) {
  std::string text = annotated(R"(
module {
  %0 = arith.constant 1 : i32 loc("folder/a (b).attn":7:3)
  %1 = arith.addi %0, %0 : i32 loc("two"("folder/a (b).attn":7:9))
  %2 = arith.addi %0, %1 : i32 loc(fused["x.attn":8:1, "y.attn":9:1])
  %3 = arith.addi %0, %2 : i32 loc(unknown)
} loc(unknown))");
  EXPECT_EQ(text, "module {\n"
                  "  %c1_i32 = arith.constant 1 : i32  // a (b).attn:7\n"
                  "  %two = arith.addi %c1_i32, %c1_i32 : i32\n"
                  "  %0 = arith.addi %c1_i32, %two : i32  // x.attn:8\n"
                  "  %1 = arith.addi %c1_i32, %0 : i32\n"
                  "}\n");
}

TEST(AnnotatedText, LeavesStringsAlone) {
  std::string text = annotated(R"(
module attributes {x.a = "x loc(\22f\22:1:2) \\", x.b = " loc("} {
} loc("f.attn":3:1))");
  EXPECT_NE(text.find(R"(x.a = "x loc(\22f\22:1:2) \\")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(x.b = " loc(")"), std::string::npos) << text;
  EXPECT_NE(text.find("}  // f.attn:3\n"), std::string::npos) << text;
}

} // namespace
