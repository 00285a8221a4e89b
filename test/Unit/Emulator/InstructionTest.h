// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The harness of the instruction tests: one kernel per instruction. Random and special operands go
// in, and every result is compared with the scalar oracle. Exact instructions must match to the
// bit; approximate ones must stay within the error bound of the PTX manual. When ptxas is installed
// the whole module must assemble, so that a test cannot exercise an instruction that does not
// exist.
#pragma once

#include "EmulatorTest.h"
#include "Oracle.h"

#include <cstdlib>
#include <functional>
#include <random>
#include <unistd.h>

namespace attnc::emu::test {

using Oracle = std::function<uint64_t(uint64_t, uint64_t, uint64_t)>;

/// `widths` are the register widths of d, a, b, c ('h' 16, 'w' 32, 'd' 64, 'p' predicate result).
struct Instruction {
  std::string text; ///< with $d, $a, $b, $c
  std::string widths;
  Oracle oracle;
  double ulps = 0; ///< f32 results may differ by this many units in the last place
};

inline uint64_t corpus(std::mt19937_64 &rng, char width, int i) {
  static const uint64_t special32[] = {
      0,          0x80000000, 1,          0xffffffff, 0x7fffffff, 0x3f800000, 0xbf800000,
      0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x00800000, 0x007fffff,
      0x80000001, 0x7f7fffff, 0x3f000000, 0x40490fdb, 0x4b000000, 0xcb800001, 31,
      32,         33,         0x3c003c00, 0x7c00fc00, 0x7e000001, 0x04000400, 0xfbff7bff,
      0x3f803f80, 0x7f807fc0, 0x00ff8001};
  static const uint64_t special64[] = {0,
                                       1,
                                       ~0ull,
                                       1ull << 63,
                                       ~0ull >> 1,
                                       0x3ff0000000000000,
                                       0x7ff0000000000000,
                                       0x7ff8000000000001,
                                       0x0010000000000000,
                                       0x000fffffffffffff,
                                       0xbff0000000000000,
                                       0x7fefffffffffffff,
                                       0x8000000000000001,
                                       63,
                                       64,
                                       65,
                                       0x41dfffffffc00000,
                                       0x41f0000000000000,
                                       0x43e0000000000000,
                                       0xc3e0000000000000};
  constexpr int n32 = sizeof special32 / 8, n64 = sizeof special64 / 8;
  uint64_t r = rng();
  if (width == 'd') {
    if (i % 4 == 0)
      return special64[r % n64];
    if (i % 4 == 1) // doubles of moderate size
      return bits<uint64_t>(std::ldexp(double(int64_t(r)) / 9.2e18, int(r % 61) - 30));
    return i % 4 == 2 ? r : r >> (r % 64);
  }
  uint64_t mask = width == 'h' ? 0xffff : 0xffffffff;
  if (i % 4 == 0)
    return special32[r % n32] & mask;
  if (width == 'w' && i % 4 == 1)
    return bits<uint32_t>(std::ldexp(float(int32_t(r)) / 2.1e9f, int((r >> 32) % 41) - 20));
  return i % 4 == 2 ? r & mask : (r & mask) >> (r % 32);
}

inline const char *registers =
    ".reg .pred %p<4>;\n.reg .b16 %h<8>;\n.reg .b32 %r<16>;\n.reg .b64 %rd<16>;\n";

inline std::string kernelText(const Instruction &in, int index) {
  auto reg = [&](int i) {
    char w = in.widths[i];
    return (w == 'h' ? "%h" : w == 'w' ? "%r1" : w == 'd' ? "%rd1" : "%p") + std::to_string(i);
  };
  std::string s =
      ".visible .entry k" + std::to_string(index) + "(.param .u64 in, .param .u64 out) {\n" +
      registers +
      "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 "
      "%rd2, %r0, 24;\n"
      "add.u64 %rd0, %rd0, %rd2;\nmul.wide.u32 %rd2, %r0, 8;\nadd.u64 %rd1, %rd1, %rd2;\n";
  for (size_t i = 1; i < in.widths.size(); ++i) {
    std::string offset = "[%rd0+" + std::to_string(8 * (i - 1)) + "]";
    s += "ld.global." +
         std::string(in.widths[i] == 'h'   ? "u16 "
                     : in.widths[i] == 'w' ? "u32 "
                                           : "u64 ") +
         reg(int(i)) + ", " + offset + ";\n";
  }
  std::string body = in.text;
  for (int i = 0; i < 4; ++i) {
    std::string key = std::string("$") + "dabc"[i];
    for (size_t at; (at = body.find(key)) != std::string::npos;)
      body.replace(at, 2, reg(i));
  }
  s += body + "\n";
  if (in.widths[0] == 'p')
    s += "selp.u64 %rd3, 1, 0, %p0;\nst.global.u64 [%rd1], %rd3;\n";
  else if (in.widths[0] == 'd')
    s += "st.global.u64 [%rd1], " + reg(0) + ";\n";
  else
    s += std::string("cvt.u64.") + (in.widths[0] == 'h' ? "u16" : "u32") + " %rd3, " + reg(0) +
         ";\nst.global.u64 [%rd1], %rd3;\n";
  return s + "ret;\n}\n";
}

inline bool within(uint64_t got, uint64_t want, double ulps) {
  float g = asFloat(got), w = asFloat(want);
  if (std::isnan(g) || std::isnan(w))
    return std::isnan(g) == std::isnan(w);
  if (got == want)
    return true;
  if (std::isinf(g) || std::isinf(w))
    return false;
  return std::fabs(double(g) - double(w)) <=
         ulps * std::ldexp(1.0, std::max(-149, std::ilogb(w == 0 ? 1e-45f : w) - 23));
}

class Instructions : public EmulatorTest {
protected:
  explicit Instructions(const char *p = "sm_80") : EmulatorTest(p) {}
  void check(const std::vector<Instruction> &list, const char *version = "8.0") {
    std::string text = std::string(".version ") + version + "\n.target " + machine.profile().name +
                       "\n.address_size 64\n";
    for (size_t i = 0; i < list.size(); ++i)
      text += kernelText(list[i], static_cast<int>(i));
    assemble(text);
    auto module = machine.load(text);
    const int lanes = 1024;
    for (size_t i = 0; i < list.size(); ++i) {
      const Instruction &in = list[i];
      std::mt19937_64 rng(i * 77 + 1);
      std::vector<uint64_t> operands(3 * lanes);
      for (int l = 0; l < lanes; ++l)
        for (size_t k = 1; k < in.widths.size(); ++k)
          operands[3 * l + k - 1] = corpus(rng, in.widths[k], int(rng() % 16));
      uint64_t din = upload(operands), dout = reserve<uint64_t>(lanes);
      LaunchResult r = run(*module, ("k" + std::to_string(i)).c_str(), {{1}, {lanes}},
                           Params().add(din).add(dout));
      ASSERT_TRUE(r.ok) << in.text << "\n" << r.report;
      std::vector<uint64_t> got = download<uint64_t>(dout, lanes);
      int shown = 0;
      for (int l = 0; l < lanes && shown < 3; ++l) {
        const uint64_t *o = &operands[3 * l];
        uint64_t want = in.oracle(o[0], o[1], o[2]);
        bool ok = in.ulps > 0 ? within(got[l], want, in.ulps) : got[l] == want;
        EXPECT_TRUE(ok) << in.text << std::hex << " a=" << o[0] << " b=" << o[1] << " c=" << o[2]
                        << " got " << got[l] << " want " << want;
        shown += !ok;
      }
      machine.memory().free(din);
      machine.memory().free(dout);
    }
  }
  void assemble(const std::string &text) {
    if (std::system("ptxas --version >/dev/null 2>&1") != 0)
      return;
    std::string path = ::testing::TempDir() + "attnc_emu_" + std::to_string(getpid()) + ".ptx";
    std::ofstream(path) << text;
    std::string command =
        "ptxas -O0 -arch=" + machine.profile().name + " -o /dev/null " + path + " 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << "ptxas rejects a fixture";
    remove(path.c_str());
  }
};

} // namespace attnc::emu::test
