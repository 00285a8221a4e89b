// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code cache must return what was stored, and never trust a damaged entry.
#include "attnc/Runtime/CodeCache.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

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
  code.abi.unusedInputs = {"doc"};
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
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= i % 2 ? 0x20 : 0x01;
    std::ofstream(path, std::ios::binary) << damaged;
    CodeCache cache(directory.str().str());
    int warnings = 0;
    cache.onWarning = [&](llvm::StringRef) { ++warnings; };
    EXPECT_FALSE(cache.lookup(key).has_value()) << "byte " << i;
    EXPECT_EQ(warnings, 1);
    if (i % 32 != 0)
      continue;
    // What is compiled anew takes its place.
    cache.store(key, sample("code"));
    EXPECT_TRUE(CodeCache(directory.str().str()).lookup(key).has_value());
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

TEST_F(CodeCacheTest, IsForItsOwnerAlone) {
  mode_t old = umask(0);
  llvm::SmallString<128> inner(directory);
  llvm::sys::path::append(inner, "made", "anew");
  CodeCache(inner.str().str()).store("aabb", sample("code"));
  umask(old);
  std::string file = onlyFile();
  auto modeOf = [](llvm::StringRef path) {
    struct stat status = {};
    stat(path.str().c_str(), &status);
    return status.st_mode & 0777;
  };
  EXPECT_EQ(modeOf(file), 0600u);
  for (llvm::StringRef path = llvm::sys::path::parent_path(file); path != directory;
       path = llvm::sys::path::parent_path(path))
    EXPECT_EQ(modeOf(path), 0700u) << path.str();
}

/// What a fresh cache says about the key "aabb", and whether it has it.
struct Answer {
  bool found;
  std::vector<std::string> warnings;
};
Answer ask(llvm::StringRef directory) {
  Answer answer;
  CodeCache cache(directory.str());
  cache.onWarning = [&](llvm::StringRef text) { answer.warnings.push_back(text.str()); };
  answer.found = cache.lookup("aabb").has_value();
  cache.store("aabb", sample("new")); // the second look at a directory says nothing more
  EXPECT_TRUE(cache.lookup("aabb").has_value());
  return answer;
}

TEST_F(CodeCacheTest, WhatOthersMayWriteIsNotUsed) {
  CodeCache(directory.str().str()).store("aabb", sample("code"));
  std::string file = onlyFile(), shelf = llvm::sys::path::parent_path(file).str();
  EXPECT_TRUE(ask(directory).found);
  for (const std::string &path : {directory.str().str(), shelf, file})
    for (mode_t mode : {020, 002}) {
      struct stat status = {};
      ASSERT_EQ(stat(path.c_str(), &status), 0);
      chmod(path.c_str(), (status.st_mode & 07777) | mode);
      Answer answer = ask(directory);
      EXPECT_FALSE(answer.found) << path;
      ASSERT_EQ(answer.warnings.size(), 1u) << path;
      EXPECT_NE(answer.warnings[0].find("others may write to it; `chmod go-w "), std::string::npos)
          << answer.warnings[0];
      chmod(path.c_str(), status.st_mode & 07777);
      EXPECT_TRUE(ask(directory).found);
    }
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can give files away";
  for (const std::string &path : {file, shelf, directory.str().str()}) {
    ASSERT_EQ(chown(path.c_str(), 12345, 12345), 0);
    Answer answer = ask(directory);
    EXPECT_FALSE(answer.found) << path;
    ASSERT_EQ(answer.warnings.size(), 1u) << path;
    EXPECT_NE(answer.warnings[0].find("it belongs to another user (uid 12345)"), std::string::npos)
        << answer.warnings[0];
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  }
}

TEST_F(CodeCacheTest, LinksAndSpecialFilesAreNotFollowed) {
  CodeCache(directory.str().str()).store("aabb", sample("code"));
  std::string file = onlyFile(), shelf = llvm::sys::path::parent_path(file).str();
  std::string elsewhere = (directory + "/elsewhere").str();
  ASSERT_EQ(rename(file.c_str(), elsewhere.c_str()), 0);
  ASSERT_EQ(symlink(elsewhere.c_str(), file.c_str()), 0);
  EXPECT_FALSE(ask(directory).found);
  EXPECT_TRUE(ask(directory).found); // the link was replaced by a file
  unlink(file.c_str());
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_FALSE(ask(directory).found); // and did not wait for a writer
  // A directory behind a link.
  ASSERT_EQ(rename(shelf.c_str(), (shelf + "-real").c_str()), 0);
  ASSERT_EQ(symlink((shelf + "-real").c_str(), shelf.c_str()), 0);
  Answer answer = ask(directory);
  EXPECT_FALSE(answer.found);
  ASSERT_EQ(answer.warnings.size(), 1u);
  EXPECT_NE(answer.warnings[0].find("`aa` in it is no directory"), std::string::npos);
}

TEST(CodeFile, KeepsTheFeaturesOfTheCPU) {
  CompiledCode code = sample("object");
  code.target = "host";
  code.cpuFeatures = {"avx2", "fma"};
  auto again = decodeCode(encodeCode("key", code), "key");
  ASSERT_TRUE(static_cast<bool>(again));
  EXPECT_EQ(again->cpuFeatures, code.cpuFeatures);
}

TEST(CodeFile, SaysWhatIsWrong) {
  auto reasonOf = [](llvm::StringRef bytes, llvm::StringRef key = "key") {
    auto code = decodeCode(bytes, key);
    return code ? std::string() : llvm::toString(code.takeError());
  };
  std::string good = encodeCode("key", sample("text"));
  EXPECT_EQ(reasonOf(good), "");
  EXPECT_EQ(reasonOf(good, "other"), "it is damaged: it is the code of something else");
  EXPECT_EQ(reasonOf("junk"), "it is not compiled code, or is damaged");
  EXPECT_EQ(reasonOf("ATTNCC01" + good.substr(8)), "it was written by another version of attnc");
  EXPECT_EQ(reasonOf(good.substr(0, good.size() - 1)), "it is damaged: its checksum does not fit");
}

TEST(KernelABI, InfiniteDefaultsAreKept) {
  KernelABI abi = sample("").abi;
  abi.paramDefaults = {{"cap", INFINITY}, {"floor", -INFINITY}, {"third", 1.0 / 3}};
  auto again = parseABI(serializeABI(abi));
  ASSERT_TRUE(static_cast<bool>(again));
  EXPECT_EQ(again->paramDefaults, abi.paramDefaults);
}

TEST(CacheKey, PartsDoNotRunTogether) {
  EXPECT_NE(cacheKey({"ab", "c"}), cacheKey({"a", "bc"}));
  EXPECT_EQ(cacheKey({"ab", "c"}), cacheKey({"ab", "c"}));
}

TEST(KernelABI, MalformedTextIsAnError) {
  std::string good = serializeABI(sample("").abi);
  ASSERT_TRUE(static_cast<bool>(parseABI(good)));
  auto with = [&](const std::string &from, const std::string &to) {
    size_t at = good.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    std::string text = good;
    return text.replace(at, from.size(), to);
  };
  const std::string texts[] = {
      "",
      "{",
      "[]",
      "{}",
      R"({"symbol": "x"})",
      std::string(1000000, '['),
      with(R"("dim":2)", R"("dim":4)"),
      with(R"("dim":2)", R"("dim":-1)"),
      with(R"("dim":2)", R"("dim":4294967296)"),
      with(R"("row_alignment":16)", R"("row_alignment":0)"),
      with(R"("row_alignment":16)", R"("row_alignment":3)"),
      with(R"("num_warps":4)", R"("num_warps":4294967300)"),
      with(R"("scratch_bytes":0)", R"("scratch_bytes":-1)"),
      with(R"("grid_tiles":[64,)", R"("grid_tiles":[9223372036854775807,)"),
      with(R"("name":"Q")", R"("name":"K")"),
      with(R"("symbol":"causal")", R"("symbol":"")"),
      with(R"("cap":"0.1")", R"("cap":"0.1x")")};
  for (const std::string &text : texts) {
    auto abi = parseABI(text);
    EXPECT_FALSE(static_cast<bool>(abi)) << text.substr(0, 2000);
    llvm::consumeError(abi.takeError());
  }
}

} // namespace
