// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code cache must return what was stored, and never trust a damaged entry.
#include "attnc/Runtime/CodeCache.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace attnc;

namespace {

CompiledCode sample(const std::string &text) {
  CompiledCode code;
  code.target = "sm_80";
  code.code = text;
  Program &program = code.program;
  program.signature.name = "causal";
  TensorDecl query{"Q", DType::BF16, {{"b"}, {"h"}, {"q"}, {"", 64}}, std::nullopt};
  query.unitLastStride = true;
  query.rowAlignment = 16;
  program.signature.inputs = {query};
  program.signature.params = {{"cap", false, false, 0.1}};
  program.unusedInputs = {"doc"};
  program.signature.spaceNames = {"q", "h", "b"};
  using Op = SizeStep::Op;
  program.workspaces = {{"partial", DType::F32, {{{Op::Size, 2}}, {{Op::Number, 32}}}, {}}};
  KernelLaunch launch;
  launch.symbol = "causal";
  using Kind = KernelArg::Kind;
  launch.args = {
      {Kind::Pointer, 0, 0},         {Kind::Stride, 0, 2}, {Kind::WorkspacePointer, 0, 0},
      {Kind::WorkspaceStride, 0, 1}, {Kind::Size, 0, 0},   {Kind::Param, 0, 0}};
  launch.grid = {SizeFormula{{Op::Size, 0}, {Op::Number, 64}, {Op::CeilDiv}},
                 SizeFormula{{Op::Size, 1}}, SizeFormula{{Op::Size, 2}}};
  launch.sharedBytes = 40960;
  program.launches = {launch};
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
  EXPECT_EQ(serializeProgram(found->program), serializeProgram(sample("ptx").program));
  EXPECT_EQ(found->program.signature.inputs[0].axes[3].size, 64);
  EXPECT_EQ(found->program.signature.params[0].defaultValue, 0.1);
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

/// Runs `body` in a process of its own; its result is the exit status.
template <typename Body> int inChild(Body body) {
  pid_t child = fork();
  if (child == 0)
    _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(CodeCacheTest, SixteenProcessesOnAColdCache) {
  llvm::SmallString<128> cold(directory);
  llvm::sys::path::append(cold, "cold");
  std::string key = cacheKey({"shared"}), text(100000, 'p');
  std::vector<pid_t> children;
  for (int i = 0; i < 16; ++i) {
    children.push_back(fork());
    if (children.back() != 0)
      continue;
    CodeCache cache(cold.str().str());
    bool hasWarned = false;
    cache.onWarning = [&](llvm::StringRef) { hasWarned = true; };
    // What another process has stored is whole already.
    std::optional<CompiledCode> found = cache.lookup(key);
    if (!found)
      cache.store(key, sample(text));
    bool isRight = CodeCache(cold.str().str()).lookup(key)->code == text;
    _exit(isRight && !hasWarned && (!found || found->code == text) ? 0 : 1);
  }
  for (pid_t child : children) {
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(CodeCacheTest, KilledWhileStoringLeavesWholeEntries) {
  std::string key = cacheKey({"killed"});
  constexpr size_t size = 2 << 20;
  CodeCache(directory.str().str()).store(key, sample(std::string(size, 'a')));
  for (int round = 0; round < 20; ++round) {
    pid_t child = fork();
    if (child == 0)
      for (char letter = 'b';; letter = letter == 'z' ? 'b' : static_cast<char>(letter + 1))
        CodeCache(directory.str().str()).store(key, sample(std::string(size, letter)));
    usleep(1000 + 2300 * static_cast<unsigned>(round));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    CodeCache cache(directory.str().str());
    cache.onWarning = [](llvm::StringRef text) { ADD_FAILURE() << text.str(); };
    std::optional<CompiledCode> found = cache.lookup(key);
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->code, std::string(size, found->code[0]));
  }
}

TEST_F(CodeCacheTest, AFullDiskIsAWarning) {
  std::string key = cacheKey({"small"}), large = cacheKey({"large"});
  // In a mount namespace of its own, so that nothing of it stays.
  int status = inChild([&] {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=128k,mode=700") != 0)
      return 77;
    CodeCache(directory.str().str()).store(key, sample("small"));
    CodeCache cache(directory.str().str());
    std::string warning;
    cache.onWarning = [&](llvm::StringRef text) { warning = text.str(); };
    cache.store(large, sample(std::string(1 << 20, 'x')));
    if (!llvm::StringRef(warning).contains("No space left on device"))
      return 1;
    warning.clear();
    CodeCache fresh(directory.str().str());
    fresh.onWarning = cache.onWarning;
    bool isKept = fresh.lookup(key) && fresh.lookup(key)->code == "small";
    // Nothing of the other one is there, not even a part that would be called damaged.
    return isKept && !fresh.lookup(large) && warning.empty() ? 0 : 2;
  });
  if (status == 77)
    GTEST_SKIP() << "a file system cannot be mounted here";
  EXPECT_EQ(status, 0);
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

/// A key as cacheKey makes them.
std::string keyOf(unsigned number) { return cacheKey({std::to_string(number)}); }

/// Sets when the entry of a key was used last.
void setAge(llvm::StringRef directory, const std::string &key, time_t seconds) {
  std::string file = (directory + "/" + key.substr(0, 2) + "/" + key + ".attncc").str();
  timespec times[2] = {};
  times[0].tv_sec = times[1].tv_sec = std::time(nullptr) - seconds;
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0) << file;
}

TEST_F(CodeCacheTest, PruningRemovesWhatWasNotUsedForLongest) {
  for (unsigned i = 0; i < 6; ++i) {
    CodeCache(directory.str().str()).store(keyOf(i), sample("code"));
    setAge(directory, keyOf(i), 1000 * (i + 1));
  }
  auto nothing = pruneCache(directory, {});
  ASSERT_TRUE(bool(nothing));
  EXPECT_EQ(nothing->first.entries, 6u);
  EXPECT_EQ(nothing->second.entries, 6u);
  uint64_t each = nothing->first.bytes / 6;
  // A use makes the oldest the newest.
  EXPECT_TRUE(CodeCache(directory.str().str()).lookup(keyOf(5)).has_value());
  auto pruned = pruneCache(directory, {UINT64_MAX, 3500});
  ASSERT_TRUE(bool(pruned));
  EXPECT_EQ(pruned->second.entries, 4u);
  pruned = pruneCache(directory, {2 * each + each / 2, UINT64_MAX});
  ASSERT_TRUE(bool(pruned));
  EXPECT_EQ(pruned->second.entries, 2u);
  EXPECT_EQ(pruned->second.bytes, 2 * each);
  CodeCache cache(directory.str().str());
  for (unsigned i = 0; i < 6; ++i)
    EXPECT_EQ(cache.lookup(keyOf(i)).has_value(), i == 5 || i == 0) << i;
  pruned = pruneCache(directory, {0, UINT64_MAX});
  ASSERT_TRUE(bool(pruned));
  EXPECT_EQ(pruned->second.entries, 0u);
}

TEST_F(CodeCacheTest, PruningRemovesNothingElse) {
  std::string key = keyOf(1), shelf = (directory + "/" + key.substr(0, 2)).str();
  CodeCache(directory.str().str()).store(key, sample("code"));
  std::vector<std::string> others = {(directory + "/" + key + ".attncc").str(),
                                     shelf + "/notes.txt", shelf + "/short.attncc"};
  for (const std::string &file : others)
    std::ofstream(file) << "mine";
  std::string linked = shelf + "/" + key.substr(0, 2) + std::string(62, 'a') + ".attncc";
  ASSERT_EQ(symlink(others[0].c_str(), linked.c_str()), 0);
  auto pruned = pruneCache(directory, {0, UINT64_MAX});
  ASSERT_TRUE(bool(pruned));
  EXPECT_EQ(pruned->first.entries, 1u);
  EXPECT_EQ(pruned->second.entries, 0u);
  for (const std::string &file : others)
    EXPECT_TRUE(llvm::sys::fs::exists(file)) << file;
  EXPECT_TRUE(llvm::sys::fs::is_symlink_file(linked));

  // What others may write is left alone, and a cache that is not there is empty.
  CodeCache(directory.str().str()).store(key, sample("code"));
  ASSERT_EQ(chmod(shelf.c_str(), 0777), 0);
  pruned = pruneCache(directory, {0, UINT64_MAX});
  ASSERT_TRUE(bool(pruned));
  EXPECT_EQ(pruned->first.entries, 0u);
  ASSERT_EQ(chmod(shelf.c_str(), 0700), 0);
  ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
  auto refused = pruneCache(directory, {0, UINT64_MAX});
  ASSERT_FALSE(bool(refused));
  EXPECT_NE(llvm::toString(refused.takeError()).find("others may write to it"), std::string::npos);
  ASSERT_EQ(chmod(directory.c_str(), 0700), 0);
  EXPECT_TRUE(CodeCache(directory.str().str()).lookup(key).has_value());
  auto absent = pruneCache((directory + "/none").str(), {0, UINT64_MAX});
  ASSERT_TRUE(bool(absent));
  EXPECT_EQ(absent->first.entries, 0u);
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
    return code ? std::string() : code.takeError().message();
  };
  std::string good = encodeCode("key", sample("text"));
  EXPECT_EQ(reasonOf(good), "");
  EXPECT_EQ(reasonOf(good, "other"), "it is damaged: it is the code of something else");
  EXPECT_EQ(reasonOf("junk"), "it is not compiled code, or is damaged");
  EXPECT_EQ(reasonOf("ATTNCC02" + good.substr(8)), "it was written by another version of attnc");
  EXPECT_EQ(reasonOf(good.substr(0, good.size() - 1)), "it is damaged: its checksum does not fit");
}

TEST(ProgramText, InfiniteDefaultsAreKept) {
  Program program = sample("").program;
  program.signature.params = {{"cap", false, false, INFINITY},
                              {"floor", false, false, -INFINITY},
                              {"third", false, false, 1.0 / 3}};
  auto again = parseProgram(serializeProgram(program));
  ASSERT_TRUE(static_cast<bool>(again));
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(again->signature.params[i].defaultValue, program.signature.params[i].defaultValue);
}

/// Gives `launch` tensor `index` as a view, and a map of it.
static void addMap(const Program &program, KernelLaunch &launch, int32_t index, TensorBox box) {
  using Kind = KernelArg::Kind;
  auto rank = static_cast<int32_t>(program.tensor(index).axes.size());
  launch.args.push_back({Kind::Pointer, index, 0});
  for (int32_t dim = 0; dim < rank; ++dim)
    launch.args.push_back({Kind::Stride, index, dim});
  launch.args.push_back({Kind::TensorMap, index, static_cast<int32_t>(launch.boxes.size())});
  launch.args.push_back({Kind::HasMap, index, static_cast<int32_t>(launch.boxes.size())});
  for (int32_t dim = 0; dim < rank; ++dim)
    launch.args.push_back({Kind::Extent, index, dim});
  launch.boxes.push_back(box);
}

TEST(ProgramText, EveryPartIsKept) {
  Program program = sample("").program;
  program.signature.params[0].hasDefault = false;
  TensorDecl state = program.signature.inputs[0];
  state.name = "state";
  state.mayAlias = "Q";
  program.signature.outputs = {state};
  using Op = SizeStep::Op;
  for (Op op : {Op::Add, Op::Sub, Op::Mul, Op::FloorDiv, Op::Min, Op::Max, Op::BitAnd, Op::BitOr,
                Op::BitXor, Op::ShiftLeft, Op::ShiftRight})
    program.workspaces.push_back({"w" + std::to_string(int(op)),
                                  DType::Bool,
                                  {{{Op::Size, 0}, {Op::Number, -3}, {op}}},
                                  {}});
  program.launches.push_back(program.launches[0]);
  program.workspaces.push_back({"part", DType::F32, {{{Op::Size, 4}}}, {{{Op::Size, 3}}}});
  program.launches[1].args.push_back({KernelArg::Kind::WorkspacePointer, 12, 0});
  program.launches[1].args.push_back({KernelArg::Kind::GridStart, 0, 2});
  program.loops = {{1, 1, {{{{Op::Size, 0}}, 64}}}};
  addMap(program, program.launches[1], 0, {0, 128, 64});
  std::string text = serializeProgram(program);
  auto again = parseProgram(text);
  ASSERT_TRUE(static_cast<bool>(again)) << again.takeError().message();
  EXPECT_EQ(serializeProgram(*again), text);
  EXPECT_FALSE(again->signature.params[0].hasDefault);
  EXPECT_EQ(again->signature.outputs[0].mayAlias, "Q");
  ASSERT_EQ(again->workspaces.size(), 13u);
  EXPECT_EQ(again->workspaces[12].first.at(0).at(0).value, 3);
  EXPECT_EQ(again->loops.at(0).firstLaunch, 1);
  EXPECT_EQ(again->loops.at(0).axes.at(0).step, 64);
  EXPECT_EQ(again->workspaces[4].axes[0][2].op, Op::FloorDiv);
  EXPECT_EQ(again->workspaces[11].axes[0][2].op, Op::ShiftRight);
  EXPECT_EQ(again->workspaces[4].axes[0][1].value, -3);
  EXPECT_EQ(again->launches.size(), 2u);
  EXPECT_EQ(again->launches[1].args.back().kind, KernelArg::Kind::Extent);
  ASSERT_EQ(again->launches[1].boxes.size(), 1u);
  EXPECT_EQ(again->launches[1].boxes[0].rows, 128);
  EXPECT_EQ(again->launches[1].boxes[0].columns, 64);
}

TEST(CacheKey, PartsDoNotRunTogether) {
  EXPECT_NE(cacheKey({"ab", "c"}), cacheKey({"a", "bc"}));
  EXPECT_EQ(cacheKey({"ab", "c"}), cacheKey({"ab", "c"}));
}

TEST(ProgramText, MalformedTextIsAnError) {
  std::string good = serializeProgram(sample("").program);
  ASSERT_TRUE(static_cast<bool>(parseProgram(good)));
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
      R"({"name": "x"})",
      std::string(1000000, '['),
      with(R"("dim":2)", R"("dim":4)"),
      with(R"("dim":2)", R"("dim":-1)"),
      with(R"("dim":2)", R"("dim":4294967296)"),
      with(R"("row_alignment":16)", R"("row_alignment":0)"),
      with(R"("row_alignment":16)", R"("row_alignment":3)"),
      with(R"("num_warps":4)", R"("num_warps":4294967300)"),
      with(R"("scratch_bytes":0)", R"("scratch_bytes":-1)"),
      with(R"("index":0,"kind":"pointer")", R"("index":1,"kind":"pointer")"),
      with(R"("index":0,"kind":"workspace_pointer")", R"("index":1,"kind":"workspace_pointer")"),
      with(R"("index":0,"kind":"size")", R"("index":3,"kind":"size")"),
      with(R"("index":0,"kind":"param")", R"("index":1,"kind":"param")"),
      with(R"("kind":"param")", R"("kind":"none")"),
      with(R"([{"size":0},64,"ceildiv"])", R"([{"size":3},64,"ceildiv"])"),
      with(R"([{"size":0},64,"ceildiv"])", R"([{"size":-1},64,"ceildiv"])"),
      with(R"([{"size":0},64,"ceildiv"])", R"([64,"ceildiv"])"),
      with(R"([{"size":0},64,"ceildiv"])", R"([{"size":0},64,1,"ceildiv"])"),
      with(R"([{"size":0},64,"ceildiv"])", R"([])"),
      with(R"([{"size":0},64,"ceildiv"])", R"([64,"number"])"),
      with(R"([{"size":2}]])", R"([{"size":2}],[1]])"),
      with(R"("may_alias":"")", R"("may_alias":"Q")"),
      with(R"("name":"partial")", R"("name":"Q")"),
      with(R"("spaces":["q","h","b"])", R"("spaces":["q","h","q"])"),
      with(R"("loops":[])", R"("loops":[{"axes":[],"first_launch":0,"num_launches":1}])"),
      with(R"("loops":[])",
           R"("loops":[{"axes":[{"size":[1]}],"first_launch":0,"num_launches":1}])"),
      with(R"("symbol":"causal")", R"("symbol":"")"),
      with(R"("name":"causal")", R"("name":"")"),
      with(R"("default":"0.1")", R"("default":"0.1x")")};
  for (const std::string &text : texts) {
    auto program = parseProgram(text);
    EXPECT_FALSE(static_cast<bool>(program)) << text.substr(0, 2000);
  }
}

} // namespace
