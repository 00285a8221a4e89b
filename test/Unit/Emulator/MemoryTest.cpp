// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads and stores of every width, atomics against plain C++, traffic counters on access patterns
// whose cost is known, and the two execution engines against each other.
#include "EmulatorTest.h"

#include <cstdlib>
#include <functional>

namespace attnc::emu::test {

class MemoryOps : public EmulatorTest {
protected:
  explicit MemoryOps(const char *profile = "sm_80") : EmulatorTest(profile) {}
  std::string kernel(const std::string &body) {
    return ".version 8.0\n.target " + machine.profile().name +
           "\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out) {\n.reg .b16 "
           "%h<10>;\n.reg .b32 %r<40>;\n"
           ".reg .b64 %rd<20>;\n.reg .f32 %f<20>;\n.reg .pred %p<10>;\n.shared .align 128 .b8 "
           "tile[16384];\n"
           "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\nshl.b32 "
           "%r1, %r0, 2;\n"
           "cvt.u64.u32 %rd2, %r1;\nadd.u64 %rd3, %rd0, %rd2;\nadd.u64 %rd4, %rd1, %rd2;\nmov.u32 "
           "%r2, tile;\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, uint64_t in, uint64_t out, uint32_t threads = 32) {
    loaded = machine.load(kernel(body));
    return run(*loaded, "k", {{1}, {threads}}, Params().add(in).add(out));
  }
  std::unique_ptr<LoadedModule> loaded;
};

TEST_F(MemoryOps, NarrowLoadsExtendByType) {
  uint64_t in = upload(std::vector<uint32_t>{0x80ff7f81, 0, 0, 0}), out = reserve<uint32_t>(8);
  LaunchResult r =
      execute("ld.global.u8 %r3, [%rd0];\nld.global.s8 %r4, [%rd0];\nld.global.u16 %r5, "
              "[%rd0+2];\nld.global.s16 %r6, [%rd0+2];\n"
              "ld.global.s8 %h1, [%rd0+2];\ncvt.u32.u16 %r7, %h1;\nld.global.s8 %rd5, "
              "[%rd0];\nshr.u64 %rd5, %rd5, 32;\ncvt.u32.u64 %r8, %rd5;\n"
              "st.global.v4.u32 [%rd1], {%r3, %r4, %r5, %r6};\nst.global.v2.u32 [%rd1+16], {%r7, "
              "%r8};\nst.global.u8 [%rd1+24], %r3;\nst.global.u16 [%rd1+26], %r4;",
              in, out, 1);
  ASSERT_TRUE(r.ok) << r.report;
  EXPECT_EQ(download<uint32_t>(out, 6),
            (std::vector<uint32_t>{0x81, 0xffffff81, 0x80ff, 0xffff80ff, 0xffff, 0xffffffff}));
  EXPECT_EQ(download<uint8_t>(out + 24, 1)[0], 0x81);
  EXPECT_EQ(download<uint16_t>(out + 26, 1)[0], 0xff81);
}

// Triton takes a parameter's address in 32 bits and makes it generic, nvcc takes it in 64.
TEST_F(MemoryOps, AddressOfAParameter) {
  uint64_t in = upload(std::vector<uint32_t>(8, 0)), out = reserve<uint64_t>(3);
  LaunchResult r = execute(
      "mov.b32 %r3, in;\ncvt.u64.u32 %rd5, %r3;\ncvta.param.u64 %rd6, %rd5;\n"
      "ld.u64 %rd7, [%rd6];\nst.global.u64 [%rd1], %rd7;\n"
      "mov.b64 %rd5, in;\ncvta.param.u64 %rd6, %rd5;\nld.u64 %rd7, [%rd6];\n"
      "st.global.u64 [%rd1+8], %rd7;\nld.param.u64 %rd7, [%rd5];\nst.global.u64 [%rd1+16], %rd7;",
      in, out, 1);
  ASSERT_TRUE(r.ok) << r.report;
  EXPECT_EQ(download<uint64_t>(out, 3), (std::vector<uint64_t>{in, in, in}));
}

TEST_F(MemoryOps, VectorsOfEveryWidth) {
  std::vector<uint16_t> v(64);
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<uint16_t>(i * 1001);
  uint64_t in = upload(v), out = reserve<uint16_t>(64);
  LaunchResult r = execute(
      "ld.global.v4.b16 {%h1,%h2,%h3,%h4}, [%rd0];\nst.global.v4.b16 [%rd1], {%h1,%h2,%h3,%h4};\n"
      "ld.global.v2.b64 {%rd5,%rd6}, [%rd0+16];\nst.global.v2.b64 [%rd1+16], {%rd5,%rd6};\n"
      "ld.global.v4.f32 {%f1,%f2,%f3,%f4}, [%rd0+32];\nst.global.v4.f32 [%rd1+32], "
      "{%f1,%f2,%f3,%f4};\n"
      "ld.global.v2.b32 {%r3,_}, [%rd0+48];\nst.global.b32 [%rd1+48], %r3;",
      in, out, 1);
  ASSERT_TRUE(r.ok) << r.report;
  for (auto [from, count] : {std::pair{0, 4}, {8, 8}, {16, 8}, {24, 2}}) {
    auto got = download<uint16_t>(out + 2 * from, count);
    for (int i = 0; i < count; ++i)
      EXPECT_EQ(got[i], v[from + i]);
  }
}

TEST_F(MemoryOps, Atomics) {
  struct Case {
    const char *op;
    uint32_t start;
    std::function<uint32_t(uint32_t, uint32_t)> f;
  };
  // Every lane applies its own value, 3 * lane + 1; lanes run in order.
  for (const Case &c :
       {Case{"add.u32", 5, [](uint32_t a, uint32_t b) { return a + b; }},
        Case{"min.s32", 40,
             [](uint32_t a, uint32_t b) { return uint32_t(std::min(int32_t(a), int32_t(b))); }},
        Case{"min.s32", 0xfffffff0,
             [](uint32_t a, uint32_t b) { return uint32_t(std::min(int32_t(a), int32_t(b))); }},
        Case{"max.u32", 50, [](uint32_t a, uint32_t b) { return std::max(a, b); }},
        Case{"and.b32", ~0u, [](uint32_t a, uint32_t b) { return a & b; }},
        Case{"or.b32", 0, [](uint32_t a, uint32_t b) { return a | b; }},
        Case{"xor.b32", 9, [](uint32_t a, uint32_t b) { return a ^ b; }},
        Case{"exch.b32", 9, [](uint32_t, uint32_t b) { return b; }},
        Case{"inc.u32", 3, [](uint32_t a, uint32_t b) { return a >= b ? 0 : a + 1; }},
        Case{"dec.u32", 3, [](uint32_t a, uint32_t b) { return a == 0 || a > b ? b : a - 1; }}}) {
    uint64_t cell = upload(std::vector<uint32_t>{c.start}), old = reserve<uint32_t>(32);
    LaunchResult r = execute(std::string("mad.lo.u32 %r3, %r0, 3, 1;\natom.global.") + c.op +
                                 " %r4, [%rd0], %r3;\nst.global.u32 [%rd4], %r4;",
                             cell, old);
    ASSERT_TRUE(r.ok) << r.report;
    auto got = download<uint32_t>(old, 32);
    uint32_t v = c.start;
    for (uint32_t l = 0; l < 32; ++l) {
      EXPECT_EQ(got[l], v) << c.op << " lane " << l;
      v = c.f(v, 3 * l + 1);
    }
    EXPECT_EQ(download<uint32_t>(cell, 1)[0], v) << c.op;
  }
  uint64_t cell = upload(std::vector<uint32_t>{7}), old = reserve<uint32_t>(32);
  ASSERT_TRUE(execute("add.u32 %r3, %r0, 7;\nadd.u32 %r5, %r0, 8;\natom.global.cas.b32 %r4, "
                      "[%rd0], %r3, %r5;\nst.global.u32 [%rd4], %r4;",
                      cell, old)
                  .ok);
  EXPECT_EQ(download<uint32_t>(cell, 1)[0], 39u); // each lane finds what the one before left
  uint64_t f = upload(std::vector<float>{0.5f});
  ASSERT_TRUE(execute("cvt.rn.f32.u32 %f1, %r0;\nred.global.add.f32 [%rd0], %f1;", f, old).ok);
  EXPECT_EQ(download<float>(f, 1)[0], 496.5f);
  uint64_t h = upload(std::vector<uint16_t>{toHalf(1), toHalf(2)});
  ASSERT_TRUE(
      execute("mov.b32 %r3, 0x40003c00;\nred.global.add.noftz.f16x2 [%rd0], %r3;", h, old).ok);
  EXPECT_EQ(download<uint16_t>(h, 2), (std::vector<uint16_t>{toHalf(33), toHalf(66)}));
}

class Traffic : public MemoryOps {
protected:
  Traffic() { machine.options().counters = true; }
  MemoryCounters measure(const std::string &body, const std::string &instruction) {
    uint64_t in = upload(std::vector<uint32_t>(16384, 1)),
             out = upload(std::vector<uint32_t>(1024, 0));
    LaunchResult r = execute(body, in, out);
    EXPECT_TRUE(r.ok) << r.report;
    for (const LineCounters &l : r.counters.lines)
      if (functionOf(*loaded->kernel("k")).body[l.instr].text.find(instruction) !=
          std::string::npos)
        return l.memory;
    ADD_FAILURE() << "no instruction " << instruction;
    return {};
  }
};

TEST_F(Traffic, GlobalSectors) {
  MemoryCounters c = measure("ld.global.u32 %r3, [%rd3];", "ld.global.u32");
  EXPECT_EQ(c.requests, 1u);
  EXPECT_EQ(c.bytes, 128u);
  EXPECT_EQ(c.sectors, 4u); // 128 contiguous bytes
  EXPECT_EQ(c.minSectors, 4u);
  c = measure("mul.wide.u32 %rd5, %r0, 128;\nadd.u64 %rd5, %rd5, %rd0;\nld.global.u32 %r3, [%rd5];",
              "ld.global.u32");
  EXPECT_EQ(c.sectors, 32u); // one sector per lane
  EXPECT_EQ(c.minSectors, 4u);
  c = measure("ld.global.u32 %r3, [%rd0];", "ld.global.u32");
  EXPECT_EQ(c.sectors, 1u); // all lanes the same word
  EXPECT_EQ(c.minSectors, 1u);
}

TEST_F(Traffic, SharedBankConflicts) {
  auto ways = [&](int stride) {
    return measure("mul.lo.u32 %r3, %r0, " + std::to_string(stride) +
                       ";\nadd.u32 %r3, %r3, %r2;\nst.shared.u32 [%r3], %r0;",
                   "st.shared")
        .wavefronts;
  };
  EXPECT_EQ(ways(4), 1u);
  EXPECT_EQ(ways(8), 2u);
  EXPECT_EQ(ways(128), 32u);
  EXPECT_EQ(ways(132), 1u); // the usual padding
  EXPECT_EQ(ways(0), 1u);   // the same word is broadcast
  // 16 bytes per lane: four quarter-warp passes at best.
  MemoryCounters c = measure(
      "shl.b32 %r3, %r0, 4;\nadd.u32 %r3, %r3, %r2;\nst.shared.v4.u32 [%r3], {%r0,%r0,%r0,%r0};",
      "st.shared");
  EXPECT_EQ(c.wavefronts, 4u);
  EXPECT_EQ(c.minWavefronts, 4u);
}

TEST_F(Traffic, TotalsAddUpAllLines) {
  LaunchResult r =
      execute("shl.b32 %r3, %r0, 3;\nadd.u32 %r3, %r3, %r2;\n"
              "ld.global.u32 %r4, [%rd3];\nst.shared.u32 [%r3], %r4;\nbar.sync 0;\n"
              "ld.shared.u32 %r5, [%r3];\nst.global.u32 [%rd1], %r5;\n"
              "red.global.add.u32 [%rd0], %r5;",
              upload(std::vector<uint32_t>(64, 1)), upload(std::vector<uint32_t>(64, 0)));
  ASSERT_TRUE(r.ok) << r.report;
  const MemoryCounters &m = r.counters.memory;
  EXPECT_EQ(m.globalRead, 128u + 128u); // the load, and each lane's reduction
  EXPECT_EQ(m.globalWritten, 128u + 128u);
  EXPECT_EQ(m.sectors, 4u + 1 + 1); // the load; all lanes write one word, and add to one
  EXPECT_EQ(m.minSectors, 4u + 1 + 1);
  EXPECT_EQ(m.sharedRead, 128u);
  EXPECT_EQ(m.sharedWritten, 128u);
  EXPECT_EQ(m.wavefronts, 4u); // two ways for each
  EXPECT_EQ(m.bankConflicts(), 2u);
  MemoryCounters sum;
  for (const LineCounters &l : r.counters.lines) {
    std::string text = functionOf(*loaded->kernel("k")).body[l.instr].text;
    bool memory = text.find("ld.") == 0 || text.find("st.") == 0 || text.find("red.") == 0;
    EXPECT_EQ(l.hasMemory, memory) << text; // arithmetic moves nothing
    sum.add(l.memory);
  }
  EXPECT_EQ(sum.bytes, m.bytes);
  EXPECT_EQ(sum.wavefronts, m.wavefronts);
  const Kernel &k = *loaded->kernel("k");
  EXPECT_NE(totalsOf(k, r.counters)
                .find("256 bytes read, 256 written, 6 sectors of 32 bytes (6 at "
                      "least)"),
            std::string::npos)
      << totalsOf(k, r.counters);
  EXPECT_NE(totalsOf(k, r.counters).find("4 wavefronts (2 at least), 2 of them bank conflicts"),
            std::string::npos);
  EXPECT_NE(toJson(k, r.counters).find("\"bank_conflicts\": 2}"), std::string::npos);
}

TEST_F(Traffic, LdmatrixConflictsAndInstructionCounts) {
  std::string fill = "mov.u32 %r4, 0;\nF: mad.lo.u32 %r5, %r0, 4, %r4;\nadd.u32 %r5, %r5, "
                     "%r2;\nst.shared.u32 [%r5], %r0;\nadd.u32 %r4, %r4, 128;\nsetp.lt.u32 %p1, "
                     "%r4, 8192;\n@%p1 bra F;\nbar.sync 0;\n";
  auto wavefronts = [&](int stride) {
    return measure(
               fill + "mad.lo.u32 %r3, %r0, " + std::to_string(stride) +
                   ", %r2;\nldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10,%r11,%r12,%r13}, [%r3];",
               "ldmatrix")
        .wavefronts;
  };
  EXPECT_EQ(wavefronts(16), 4u);   // one pass per matrix
  EXPECT_EQ(wavefronts(128), 32u); // all rows in the same banks
  EXPECT_EQ(wavefronts(144), 4u);  // padded
  LaunchResult r =
      execute(fill, upload(std::vector<uint32_t>(4)), upload(std::vector<uint32_t>(4)));
  for (const LineCounters &l : r.counters.lines)
    if (functionOf(*loaded->kernel("k")).body[l.instr].opcode == "setp") {
      EXPECT_EQ(l.warps, 64u);
      EXPECT_EQ(l.threads, 64u * 32);
    }
  std::string json = toJson(*loaded->kernel("k"), r.counters);
  EXPECT_NE(json.find("\"emulated\": true"), std::string::npos);
  EXPECT_NE(json.find("\"warps\": 64"), std::string::npos);
}

TEST_F(MemoryOps, LoopAndThreadedEnginesAgree) {
  std::vector<uint32_t> results[2];
  uint64_t instructions[2];
  for (int engine = 0; engine < 2; ++engine) {
    engine ? setenv("ATTNC_EMU_ENGINE", "loop", 1) : unsetenv("ATTNC_EMU_ENGINE");
    auto module = machine.load(readFixture("basics.ptx"));
    unsetenv("ATTNC_EMU_ENGINE");
    uint64_t out = reserve<uint32_t>(500);
    LaunchResult r = run(*module, "collatz", {{4}, {128}}, Params().add(500).add(out));
    ASSERT_TRUE(r.ok) << r.report;
    results[engine] = download<uint32_t>(out, 500);
    instructions[engine] = r.counters.warpInstructions;
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(instructions[0], instructions[1]);
}

} // namespace attnc::emu::test
