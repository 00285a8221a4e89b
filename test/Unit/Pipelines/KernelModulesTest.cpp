// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Modules of kernels that are taken apart, put together again, and compiled by several threads.
#include "attnc/Pipelines/KernelModules.h"
#include "attnc/Pipelines/Phases.h"
#include "attnc/Target/PTX/PTX.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace attnc;

namespace {

/// `count` kernels, each of one operation more than the one before.
std::string copies(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::string name = "copy" + std::to_string(i);
    text += "tile.kernel @" + name + R"((%x: !tile.view<2xf32, unit> {tile.binding = "tensor:X"},
        %n: i32 {tile.binding = "size:q"})
        attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
      %c = arith.constant 0 : i32
    )";
    for (int j = 0; j <= i; ++j)
      text += "  %v" + std::to_string(j) + " = arith.addi %n, %c : i32\n";
    text += "  tile.return\n}\n";
  }
  return text;
}

struct KernelModulesTest : ::testing::Test {
  KernelModulesTest() {
    mlir::DialectRegistry registry;
    registerCompilerDialects(registry);
    context.appendDialectRegistry(registry);
  }
  mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef text) {
    return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  }
  static std::string print(mlir::ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream os(text);
    module.print(os);
    return text;
  }
  /// The names of the symbols of a module.
  static std::vector<std::string> symbols(mlir::ModuleOp module) {
    std::vector<std::string> names;
    for (mlir::Operation &op : *module.getBody())
      if (auto name = op.getAttrOfType<mlir::StringAttr>("sym_name"))
        names.push_back(name.str());
    return names;
  }
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};

TEST_F(KernelModulesTest, GoBackInTheOrderOfBefore) {
  mlir::OwningOpRef<mlir::ModuleOp> module = parse(copies(4));
  std::string before = print(*module);
  {
    KernelModules kernels(*module);
    ASSERT_TRUE(kernels.areApart());
    ASSERT_EQ(kernels.inOrder().size(), 4u);
    EXPECT_EQ(symbols(kernels.inOrder()[1]), std::vector<std::string>{"copy1"});
    EXPECT_EQ(kernels.largestFirst(), llvm::ArrayRef<size_t>({3, 2, 1, 0}));
    EXPECT_TRUE(symbols(*module).empty());
    // Where passes meet them, the largest comes first too.
    auto first = *module->getBody()->getOps<mlir::ModuleOp>().begin();
    EXPECT_EQ(symbols(first), std::vector<std::string>{"copy3"});
  }
  EXPECT_EQ(print(*module), before);
}

TEST_F(KernelModulesTest, StayTogetherWithWhatTheyUse) {
  mlir::OwningOpRef<mlir::ModuleOp> module = parse(R"(
    module attributes {some.attribute = 1 : i32} {
      llvm.mlir.global external @shared() : i32
      llvm.func @a() { %p = llvm.mlir.addressof @shared : !llvm.ptr llvm.return }
      llvm.func @alone() { llvm.return }
      llvm.func @b() { %p = llvm.mlir.addressof @shared : !llvm.ptr llvm.return }
    })");
  KernelModules kernels(*module);
  ASSERT_EQ(kernels.inOrder().size(), 2u);
  EXPECT_EQ(symbols(kernels.inOrder()[0]), (std::vector<std::string>{"shared", "a", "b"}));
  EXPECT_EQ(symbols(kernels.inOrder()[1]), std::vector<std::string>{"alone"});
  EXPECT_TRUE(kernels.inOrder()[0]->hasAttr("some.attribute"));
}

TEST_F(KernelModulesTest, LeaveASingleKernelWhereItIs) {
  mlir::OwningOpRef<mlir::ModuleOp> module = parse(R"(
    llvm.mlir.global external @unused() : i32
    llvm.func @declared()
    llvm.func @only() { llvm.return })");
  KernelModules kernels(*module);
  EXPECT_FALSE(kernels.areApart());
  EXPECT_EQ(kernels.inOrder().front(), *module);
}

TEST_F(KernelModulesTest, GiveTheSameTextWithAnyNumberOfThreads) {
  std::vector<std::string> texts;
  for (unsigned threads : {1u, 2u, 5u}) {
    mlir::OwningOpRef<mlir::ModuleOp> module = parse(R"(
      llvm.func @a() attributes {nvvm.kernel} { llvm.return }
      llvm.func @b() attributes {nvvm.kernel} { llvm.return }
      llvm.func @c() attributes {nvvm.kernel} { llvm.return })");
    CompileRequest request;
    request.options.target = llvm::cantFail(Target::parse("sm_80"));
    request.from = Phase::LLVM;
    request.threads = threads;
    llvm::Expected<CompileResult> result = runPhases(*module, request);
    ASSERT_TRUE(bool(result)) << llvm::toString(result.takeError());
    texts.push_back(result->code);
    EXPECT_FALSE(context.isMultithreadingEnabled()); // threads are given back
  }
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_EQ(texts[0], texts[2]);
  llvm::StringRef text = texts[0];
  EXPECT_EQ(text.count(".address_size"), 1u);
  EXPECT_LT(text.find(".entry a("), text.find(".entry b("));
  EXPECT_LT(text.find(".entry b("), text.find(".entry c("));
}

TEST(JoinPTX, KeepsOneHeadAndNumbersLabelsOn) {
  std::string head = "//\n.version 7.0\n.target sm_80\n.address_size 64\n\n";
  std::string joined = joinPTX({head + ".visible .entry a(\n$L__BB0_2:\nbra $L__BB0_2;\n",
                                head + ".visible .entry b(\n$L__BB0_1:\nbra $L__BB0_1;\n"});
  EXPECT_EQ(joined, head + ".visible .entry a(\n$L__BB0_2:\nbra $L__BB0_2;\n"
                           ".visible .entry b(\n$L__BB1_1:\nbra $L__BB1_1;\n");
}

} // namespace
