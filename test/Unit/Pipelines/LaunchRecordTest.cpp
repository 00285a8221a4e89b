// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Launch records: what is read off a kernel, their text, and where it stands in an artefact.
#include "attnc/Pipelines/Phases.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace attnc;

namespace {

constexpr const char *kKernel = R"(
tile.kernel @copy(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["q", "32"], tile.row_alignment = 16 : i64},
                  %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32, tile.shared_bytes = 512 : i64} {
  tile.return
})";

struct LaunchRecordTest : ::testing::Test {
  LaunchRecordTest() {
    mlir::DialectRegistry registry;
    registerCompilerDialects(registry);
    context.appendDialectRegistry(registry);
  }
  mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef text) {
    return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  }
  LaunchRecord recordFor(llvm::StringRef target) {
    mlir::OwningOpRef<mlir::ModuleOp> module = parse(kKernel);
    mlir::FailureOr<LaunchRecord> record =
        extractLaunchRecord(*module, llvm::cantFail(Target::parse(target)));
    EXPECT_TRUE(mlir::succeeded(record));
    return *record;
  }
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};

TEST_F(LaunchRecordTest, SaysWhatATargetAdds) {
  LaunchRecord host = recordFor("host"), gpu = recordFor("sm_80");
  EXPECT_EQ(host.target, "host");
  EXPECT_EQ(gpu.target, "sm_80");
  // A pointer, two strides and a size; a GPU's code has the starts of the grid besides.
  EXPECT_EQ(host.program.launches[0].args.size(), 4u);
  EXPECT_EQ(gpu.program.launches[0].args.size(), 6u);
  EXPECT_EQ(host.program.tensor(0).rowAlignment, 1);
  EXPECT_EQ(gpu.program.tensor(0).rowAlignment, 16);
  EXPECT_EQ(host.program.launches[0].sharedBytes, 0);
  EXPECT_EQ(gpu.program.launches[0].sharedBytes, 512);
  EXPECT_EQ(evaluate(gpu.program.launches[0].grid[0], {33}), 3); // tiles of 16
}

TEST_F(LaunchRecordTest, NeedsAKernel) {
  std::string message;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    message += diagnostic.str();
    return mlir::success();
  });
  mlir::OwningOpRef<mlir::ModuleOp> module = parse("module {}");
  EXPECT_TRUE(mlir::failed(extractLaunchRecord(*module, Target())));
  EXPECT_EQ(message, "the module has no tile kernels");
}

TEST_F(LaunchRecordTest, SurvivesEachPlace) {
  LaunchRecord record = recordFor("host");
  record.cpuFeatures = {"avx2", "fma"};
  record.program.launches[0].scratchBytes = 4096;
  std::string text = serializeLaunchRecord(record);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(serializeLaunchRecord(llvm::cantFail(parseLaunchRecord(text))), text);

  mlir::OwningOpRef<mlir::ModuleOp> module = parse("module {}");
  EXPECT_FALSE(llvm::cantFail(launchRecordOf(*module)).has_value());
  setLaunchRecord(*module, record);
  EXPECT_EQ(serializeLaunchRecord(*llvm::cantFail(launchRecordOf(*module))), text);

  // The code may hold anything, as an ELF file does.
  std::string binary("\x7f"
                     "ELF\0attnc\0launch\n",
                     18);
  for (const char *comment : {"// ", "# ", ""}) {
    std::string code = withLaunchRecord(binary, comment, record);
    EXPECT_NE(code, binary);
    EXPECT_EQ(serializeLaunchRecord(*llvm::cantFail(takeLaunchRecord(code, comment))), text);
    EXPECT_EQ(code, binary);
    EXPECT_FALSE(llvm::cantFail(takeLaunchRecord(code, comment)).has_value());
  }
}

TEST_F(LaunchRecordTest, IsNotTrusted) {
  std::string good = serializeLaunchRecord(recordFor("host"));
  auto problemOf = [](const std::string &text) {
    llvm::Expected<LaunchRecord> record = parseLaunchRecord(text);
    return record ? "" : llvm::toString(record.takeError());
  };
  EXPECT_EQ(problemOf(good), "");
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_NE(problemOf(good.substr(0, length)), "") << length;
  for (const char *text : {"[]", "{}", R"({"target": "host", "cpu_features": [], "program": []})",
                           R"({"target": "host", "cpu_features": [7], "program": {}})",
                           R"({"target": "host", "cpu_features": [], "program": {}})"})
    EXPECT_NE(problemOf(text).find("the launch record is malformed"), std::string::npos) << text;
  std::string code = "code\n# attnc.launch {\"target\":\n";
  llvm::Expected<std::optional<LaunchRecord>> taken = takeLaunchRecord(code, "# ");
  EXPECT_FALSE(bool(taken));
  llvm::consumeError(taken.takeError());
}

// Each target's phases are in the order of the enumeration, and their names lead back to them.
TEST(Phases, HaveNamesAndAnOrder) {
  for (Target::Kind kind : {Target::Kind::Host, Target::Kind::NVPTX}) {
    const PhaseInfo *previous = nullptr;
    for (const PhaseInfo &info : phasesOf(kind)) {
      EXPECT_TRUE(!previous || previous->phase < info.phase) << info.name;
      EXPECT_EQ(parsePhase(info.name, kind), info.phase);
      EXPECT_EQ(phaseName(info.phase), info.name);
      EXPECT_EQ(isCode(info.phase), llvm::StringRef(info.suffix) != "mlir") << info.name;
      previous = &info;
    }
  }
  EXPECT_FALSE(parsePhase("nvvm", Target::Kind::Host).has_value());
  EXPECT_FALSE(parsePhase("asm", Target::Kind::NVPTX).has_value());
}

} // namespace
