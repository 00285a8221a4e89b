// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The ptx-emu command as a user meets it: results in .npy files, reports on stderr, exit status 0,
// 1 or 2.
#include "EmulatorTest.h"

#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

namespace attnc::emu::test {

class Tool : public ::testing::Test {
protected:
  void SetUp() override {
    folder = ::testing::TempDir() + "attnc_emu_tool_" + std::to_string(getpid());
    ASSERT_EQ(std::system(("mkdir -p " + folder).c_str()), 0);
  }
  void TearDown() override { EXPECT_EQ(std::system(("rm -r " + folder).c_str()), 0); }
  /// Runs ptx-emu in the test's folder; returns the exit status, and stdout and stderr in `text`.
  int run(const std::string &arguments) { return run("", arguments); }
  int run(const std::string &environment, const std::string &arguments) {
    std::string command = "cd " + folder + " && " + environment + " " + ATTNC_EMU_TOOL + " " +
                          arguments + " > log 2>&1";
    int status = std::system(command.c_str());
    std::ifstream in(folder + "/log");
    text.assign(std::istreambuf_iterator<char>(in), {});
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void writeFloats(const std::string &name, const std::vector<float> &v) {
    std::string header =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(v.size()) + ",), }";
    header.resize(117, ' ');
    header += '\n';
    std::ofstream out(folder + "/" + name, std::ios::binary);
    out.write("\x93NUMPY\x01\x00\x76\x00", 10);
    out << header;
    out.write(reinterpret_cast<const char *>(v.data()), static_cast<std::streamsize>(4 * v.size()));
  }
  std::string folder, text;
  std::string basics = std::string(ATTNC_EMU_FIXTURES) + "/basics.ptx";
};

TEST_F(Tool, RunsAKernelOnFiles) {
  writeFloats("x.npy", std::vector<float>(100, 2));
  writeFloats("y.npy", std::vector<float>(100, 1));
  ASSERT_EQ(run(basics + " --kernel saxpy --grid 1 --block 128 i32:100 f32:3 in:x.npy "
                         "inout:y.npy:z.npy --counters c.json"),
            0)
      << text;
  std::ifstream in(folder + "/z.npy", std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  ASSERT_GE(bytes.size(), 400u);
  float last;
  memcpy(&last, bytes.data() + bytes.size() - 4, 4);
  EXPECT_EQ(last, 7.0f);
  std::ifstream counters(folder + "/c.json");
  EXPECT_NE(std::string(std::istreambuf_iterator<char>(counters), {}).find("\"sectors\""),
            std::string::npos);
}

TEST_F(Tool, PrintsTotals) {
  writeFloats("x.npy", std::vector<float>(100, 2));
  ASSERT_EQ(run(basics + " --kernel saxpy --grid 1 --block 128 i32:100 f32:3 in:x.npy "
                         "inout:x.npy:z.npy --totals"),
            0)
      << text;
  EXPECT_NE(text.find("global memory: 800 bytes read, 400 written, 39 sectors"), std::string::npos)
      << text;
}

TEST_F(Tool, ArbitraryMemoryMayBeRead) {
  writeFloats("x.npy", std::vector<float>(100, 2));
  std::string command = basics + " --kernel saxpy --grid 1 --block 128 i32:100 f32:3 in:x.npy "
                                 "out:z.npy:f32:100 ";
  EXPECT_EQ(run(command), 1);
  EXPECT_NE(text.find("uninitialized-read"), std::string::npos) << text;
  EXPECT_EQ(run(command + "--arbitrary global"), 0) << text;
  EXPECT_EQ(run("ATTNC_EMU_GLOBAL=arbitrary", command), 0) << text;
  EXPECT_EQ(run(command + "--arbitrary both --delivery all"), 1);
  EXPECT_NE(text.find("delivery-dependent"), std::string::npos) << text;
}

TEST_F(Tool, FaultsExitWithOne) {
  writeFloats("x.npy", std::vector<float>(100, 2));
  EXPECT_EQ(
      run(basics + " --kernel saxpy --grid 1 --block 128 i32:101 f32:3 in:x.npy inout:x.npy:z.npy"),
      1);
  EXPECT_NE(text.find("out-of-bounds in kernel 'saxpy'"), std::string::npos) << text;
}

TEST_F(Tool, MistakesExitWithTwoAndSayWhat) {
  auto expect = [&](const std::string &arguments, const std::string &message) {
    EXPECT_EQ(run(arguments), 2) << arguments;
    EXPECT_NE(text.find(message), std::string::npos) << arguments << ": " << text;
  };
  expect("", "no PTX file given");
  expect("nowhere.ptx", "cannot open 'nowhere.ptx'");
  expect(basics, "choose one kernel with --kernel: saxpy blockSum");
  expect(basics + " --kernel nope", "no kernel 'nope'");
  expect(basics + " --kernel saxpy i32:1", "kernel takes 4 arguments, got 1");
  expect(basics + " --kernel saxpy i32:one", "'one' is not a number");
  expect(basics + " --frob", "unknown option '--frob'");
  expect(basics + " --device sm_10", "unknown device profile 'sm_10'");
  expect(basics + " --kernel saxpy in:missing.npy", "cannot open 'missing.npy'");
  expect(basics + " --arbitrary parameters", "--arbitrary needs global, shared or both");
  EXPECT_EQ(run("ATTNC_EMU_GLOBAL=zero", basics), 2);
  EXPECT_NE(text.find("ATTNC_EMU_GLOBAL must be unwritten or arbitrary, found 'zero'"),
            std::string::npos)
      << text;
  expect(basics + " --delivery sometimes", "must be early, late, random:SEED or all");
  std::ofstream(folder + "/bad.ptx") << ".version 8.0\n.target sm_80\n.frob\n";
  expect("bad.ptx", "bad.ptx:3:1: error: unsupported directive '.frob'");
  std::ofstream(folder + "/bad.npy") << "not an array";
  expect(basics + " --kernel saxpy in:bad.npy", "is not a .npy file");
  expect(basics + " --kernel saxpy out:z.npy:f32:4294967296,4294967296",
         "an array of more than 2^63 bytes");
  EXPECT_EQ(run("--help"), 0);
  EXPECT_NE(text.find("usage: ptx-emu"), std::string::npos);
}

} // namespace attnc::emu::test
