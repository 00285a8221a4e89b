// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Levels and features of x86-64 CPUs, and the assembler.
#include "attnc/Runtime/CpuFeatures.h"
#include "attnc/Target/Host/HostCodegen.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/TargetParser/Host.h"
#include <gtest/gtest.h>

using namespace attnc;

namespace {

HostFeatures parsed(llvm::StringRef text) { return llvm::cantFail(HostFeatures::parse(text)); }

bool needs(const HostFeatures &features, llvm::StringRef name) {
  return llvm::is_contained(features.required, name);
}

TEST(HostFeatures, LevelsGrow) {
  const std::pair<const char *, HostISA> levels[] = {{"x86-64", HostISA::Generic},
                                                     {"x86-64-v2", HostISA::Generic},
                                                     {"x86-64-v3", HostISA::AVX2},
                                                     {"x86-64-v4", HostISA::AVX512}};
  std::vector<std::string> below;
  for (auto [name, isa] : levels) {
    HostFeatures features = parsed(name);
    EXPECT_EQ(features.isa, isa) << name;
    EXPECT_EQ(features.cpu, name);
    EXPECT_TRUE(llvm::is_sorted(features.required));
    for (const std::string &feature : below)
      EXPECT_TRUE(needs(features, feature)) << name << " " << feature;
    EXPECT_GT(features.required.size(), below.size());
    below = features.required;
  }
}

TEST(HostFeatures, ChangesImply) {
  HostFeatures bf16 = parsed("x86-64-v3,+avx512bf16");
  EXPECT_TRUE(needs(bf16, "avx512f")); // what it needs comes with it
  EXPECT_FALSE(needs(bf16, "avx512vl"));
  EXPECT_EQ(bf16.isa, HostISA::AVX2); // 512-bit code needs more than that
  EXPECT_EQ(parsed("x86-64-v4,+avx512bf16").isa, HostISA::AVX512BF16);
  HostFeatures amx = parsed("x86-64-v4,+avx512bf16,+amx-bf16");
  EXPECT_TRUE(needs(amx, "amx-tile"));
  EXPECT_EQ(amx.isa, HostISA::AMX);
  EXPECT_EQ(parsed("x86-64-v4,+amx-bf16").isa, HostISA::AVX512); // tiles are narrowed by AVX-512's
  HostFeatures noAVX = parsed("x86-64-v4,-avx");
  for (const char *gone : {"avx", "avx2", "fma", "avx512f", "avx512vl"})
    EXPECT_FALSE(needs(noAVX, gone)) << gone;
  EXPECT_TRUE(needs(noAVX, "sse4.2"));
  EXPECT_EQ(noAVX.isa, HostISA::Generic);
  EXPECT_EQ(parsed("x86-64-v3,-fma").isa, HostISA::Generic);
}

TEST(HostFeatures, NativeIsTheDefaultBase) {
  EXPECT_EQ(parsed("native").required, HostFeatures::native().required);
  EXPECT_TRUE(missingCpuFeatures(HostFeatures::native().required).empty());
  EXPECT_EQ(parsed("-sse3").required, parsed("native,-sse3").required);
  EXPECT_EQ(parsed("-sse3").cpu, HostFeatures::native().cpu);
  EXPECT_EQ(missingCpuFeatures({"no-such-feature", "sse2"}),
            std::vector<std::string>{"no-such-feature"});
}

TEST(HostFeatures, NamesWhatIsUnknown) {
  auto problemOf = [](llvm::StringRef text) {
    llvm::Expected<HostFeatures> features = HostFeatures::parse(text);
    return features ? "" : llvm::toString(features.takeError());
  };
  EXPECT_EQ(problemOf("x86-64-v3,+avx512bf15"),
            "`avx512bf15` is no feature of x86-64 CPUs; did you mean `avx512bf16`?");
  EXPECT_EQ(problemOf("+quantum-leaps"), "`quantum-leaps` is no feature of x86-64 CPUs");
  for (const char *text : {"", "v3", "x86-64-v3,", "x86-64-v3,native", "haswell"})
    EXPECT_NE(problemOf(text).find("expected native, x86-64, x86-64-v2"), std::string::npos)
        << text;
}

TEST(HostAssembler, SaysWhereATextIsWrong) {
  HostFeatures features = parsed("x86-64-v2");
  llvm::Expected<std::string> object =
      assembleHost(".text\n.globl f\nf:\n\tretq\n", "good.s", features);
  ASSERT_TRUE(bool(object)) << llvm::toString(object.takeError());
  EXPECT_EQ(object->substr(1, 3), "ELF");
  llvm::Expected<std::string> bad = assembleHost("f:\n\taddl %eax\n\tretx\n", "bad.s", features);
  ASSERT_FALSE(bool(bad));
  std::string message = llvm::toString(bad.takeError());
  EXPECT_NE(message.find("bad.s:2:2: error: too few operands for instruction"), std::string::npos)
      << message;
  EXPECT_NE(message.find("bad.s:3:2: error: invalid instruction mnemonic 'retx'"),
            std::string::npos)
      << message;
}

} // namespace

/// The runtime asks the CPU itself: its table has the names that LLVM has, and says the same of
/// this CPU.
TEST(HostFeatures, TheRuntimeKnowsThem) {
  const std::vector<std::string> &known = knownCpuFeatures();
  EXPECT_TRUE(llvm::is_sorted(known));
  // Where Linux does not give a process the matrix unit, LLVM finds it and the runtime does not.
  bool mayUseTiles = missingCpuFeatures({"amx-tile"}).empty();
  for (auto &feature : llvm::sys::getHostCPUFeatures()) {
    std::string name = feature.first().str();
    EXPECT_TRUE(llvm::is_contained(known, name)) << name;
    bool expected = feature.second && (mayUseTiles || !feature.first().starts_with("amx-"));
    EXPECT_EQ(missingCpuFeatures({name}).empty(), expected) << name;
  }
}
