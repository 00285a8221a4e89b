// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code cache must return what was stored, and never trust a damaged entry.
#include "attnc/Runtime/CodeCache.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <thread>

using namespace attnc;

namespace {

CompiledCode sample(const std::string &text) {
  CompiledCode code;
  code.target = "sm_80";
  code.code = text;
  code.abi.symbol = "causal";
  code.abi.args = {{KernelArg::Kind::Pointer, "Q", 0},
                   {KernelArg::Kind::Stride, "Q", 2},
                   {KernelArg::Kind::Size, "kv", 0},
                   {KernelArg::Kind::ParamF32, "cap", 0}};
  code.abi.tensors = {{"Q", DType::BF16, {"b", "h", "q", "64"}, true, false, 16}};
  code.abi.gridSpaces = {"q", "h", "b"};
  code.abi.gridTiles = {64, 1, 1};
  code.abi.sharedBytes = 40960;
  code.abi.paramDefaults = {{"cap", 0.1}};
  return code;
}

class CodeCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("attnc-cache", directory));
  }
  void TearDown() override { llvm::sys::fs::remove_directories(directory); }
  std::string onlyFile() {
    std::error_code error;
    for (llvm::sys::fs::recursive_directory_iterator i(directory, error), end; i != end && !error;
         i.increment(error))
      if (llvm::StringRef(i->path()).ends_with(".attncc"))
        return i->path();
    return {};
  }
  llvm::SmallString<128> directory;
};

TEST_F(CodeCacheTest, RoundTripThroughDisk) {
  std::string key = cacheKey({"spec", "options"});
  {
    CodeCache cache(directory.str().str());
    EXPECT_FALSE(cache.lookup(key).has_value());
    cache.store(key, sample("ptx"));
  }
  CodeCache fresh(directory.str().str());
  auto found = fresh.lookup(key);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->code, "ptx");
  EXPECT_EQ(found->target, "sm_80");
  EXPECT_EQ(serializeABI(found->abi), serializeABI(sample("ptx").abi));
  EXPECT_EQ(found->abi.tensors[0].axes[3], "64");
  EXPECT_EQ(found->abi.paramDefaults.at("cap"), 0.1);
}

TEST_F(CodeCacheTest, EveryDamagedByteIsNoticed) {
  std::string key = cacheKey({"spec"});
  CodeCache(directory.str().str()).store(key, sample("code"));
  std::string path = onlyFile();
  std::ifstream in(path, std::ios::binary);
  std::stringstream whole;
  whole << in.rdbuf();
  std::string bytes = whole.str();
  for (size_t i = 0; i < bytes.size(); i += 7) {
    std::string damaged = bytes;
    damaged[i] ^= 0x20;
    std::ofstream(path, std::ios::binary) << damaged;
    CodeCache cache(directory.str().str());
    int warnings = 0;
    cache.onWarning = [&](llvm::StringRef) { ++warnings; };
    EXPECT_FALSE(cache.lookup(key).has_value()) << "byte " << i;
    EXPECT_EQ(warnings, 1);
  }
  for (size_t length : {size_t(0), size_t(5), bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, length);
    EXPECT_FALSE(CodeCache(directory.str().str()).lookup(key).has_value());
  }
}

TEST_F(CodeCacheTest, UnwritableDirectoryIsAWarning) {
  std::string file = (directory + "/plain").str();
  std::ofstream(file) << "not a directory";
  CodeCache cache(file);
  std::string warning;
  cache.onWarning = [&](llvm::StringRef text) { warning = text.str(); };
  cache.store("00", sample("x"));
  EXPECT_NE(warning.find("ATTNC_CACHE_DIR"), std::string::npos);
  EXPECT_TRUE(cache.lookup("00").has_value()); // still in memory
}

TEST_F(CodeCacheTest, ConcurrentWritersLeaveAWholeEntry) {
  std::string key = cacheKey({"shared"});
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&] {
      for (int j = 0; j < 20; ++j)
        CodeCache(directory.str().str()).store(key, sample(std::string(10000, 'p')));
    });
  for (std::thread &writer : writers)
    writer.join();
  auto found = CodeCache(directory.str().str()).lookup(key);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->code.size(), 10000u);
}

TEST(CacheKey, PartsDoNotRunTogether) {
  EXPECT_NE(cacheKey({"ab", "c"}), cacheKey({"a", "bc"}));
  EXPECT_EQ(cacheKey({"ab", "c"}), cacheKey({"ab", "c"}));
}

TEST(KernelABI, MalformedTextIsAnError) {
  for (const char *text : {"", "{", "[]", "{}", R"({"symbol": "x"})"}) {
    auto abi = parseABI(text);
    EXPECT_FALSE(static_cast<bool>(abi)) << text;
    llvm::consumeError(abi.takeError());
  }
}

} // namespace
