// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores race by value. Two warps that store the same value to the same word used to be a race,
// which stopped every Triton kernel with a layout that is replicated over warps, although no order
// of the two changes what is in memory. Different values are one, also where the stores overlap in
// part or have different sizes, and whichever quick way of the detector they take.
#include "InstructionTest.h"

#include <array>
#include <set>

namespace attnc::emu::test {

class ValueRace : public Instructions {
protected:
  ValueRace() : Instructions("sm_90a") {}
  /// %r0 lane, %r1 warp, %r2 a piece of shared memory of this lane's own, 64 bytes apart, of which
  /// warp 0 has written the first 32 as zeros; %rd0 a word of `in`; %p0, %p1, %p2 the warp is 0,
  /// 1, 2.
  std::string kernel(const std::string &body) {
    std::string ptx =
        ".version 8.7\n.target sm_90a\n.address_size 64\n"
        ".visible .entry k(.param .u64 in) {\n.reg .b16 %h<20>;\n.reg .b32 %r<40>;\n"
        ".reg .b64 %rd<20>;\n.reg .pred %p<8>;\n.shared .align 128 .b8 tile[4096];\n"
        "ld.param.u64 %rd0, [in];\nmov.u32 %r3, %tid.x;\nand.b32 %r0, %r3, 31;\n"
        "shr.u32 %r1, %r3, 5;\nshl.b32 %r4, %r0, 6;\nmov.u32 %r2, tile;\nadd.u32 %r2, %r2, %r4;\n"
        "setp.eq.u32 %p0, %r1, 0;\nsetp.eq.u32 %p1, %r1, 1;\nsetp.eq.u32 %p2, %r1, 2;\n"
        "mov.u64 %rd1, 0;\n@%p0 st.shared.v2.u64 [%r2], {%rd1, %rd1};\n"
        "@%p0 st.shared.v2.u64 [%r2+16], {%rd1, %rd1};\nbar.sync 0;\n" +
        body + "\nret;\n}\n";
    return ptx;
  }
  LaunchResult execute(const std::string &body) {
    std::string ptx = kernel(body);
    auto module = machine.load(ptx);
    uint64_t in = upload(std::vector<uint32_t>(64, 0x01010101));
    LaunchResult r = run(*module, "k", {{1}, {96}}, Params().add(in));
    machine.memory().free(in);
    return r;
  }
  void expectRace(const std::string &body, const std::string &words) {
    assemble(kernel(body));
    LaunchResult r = execute(body);
    EXPECT_EQ(r.kind, "race") << body << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << body << r.report;
  }
  void expectClean(const std::string &body, uint64_t sameValueStores) {
    assemble(kernel(body));
    LaunchResult r = execute(body);
    EXPECT_TRUE(r.ok) << body << r.report;
    EXPECT_EQ(r.counters.sameValueStores, sameValueStores) << body;
  }
};

TEST_F(ValueRace, TheSameValueIsNoRaceAndADifferentOneNamesBoth) {
  expectClean("mov.u32 %r5, 7; st.shared.u32 [%r2], %r5; bar.sync 0; ld.shared.u32 %r6, [%r2];",
              64);
  expectRace("add.u32 %r5, %r1, 7; st.shared.u32 [%r2], %r5;",
             "which wrote 0x00000007 there; this writes 0x00000008\n");
  // The difference in one lane of many is enough.
  expectRace("mov.u32 %r5, 7; setp.eq.and.u32 %p4, %r0, 31, %p1; selp.u32 %r5, 9, 7, %p4; "
             "st.shared.u32 [%r2], %r5;",
             "which wrote 0x00000007 there; this writes 0x00000009\n");
}

TEST_F(ValueRace, StoresOfOtherSizes) {
  std::string word = "mov.u32 %r5, 0x04030201; @%p0 st.shared.u32 [%r2+4], %r5;\n";
  expectClean(word + "mov.u32 %r6, 2; @%p1 st.shared.u8 [%r2+5], %r6;", 32);
  expectRace(word + "mov.u32 %r6, 7; @%p1 st.shared.u8 [%r2+5], %r6;",
             "which wrote 0x02 there; this writes 0x07\n");
  expectClean(word + "mov.u16 %h0, 0x0403; @%p1 st.shared.u16 [%r2+6], %h0;", 32);
  expectRace(word + "mov.u16 %h0, 0x0503; @%p1 st.shared.u16 [%r2+6], %h0;",
             "which wrote 0x0403 there; this writes 0x0503\n");
  expectClean(word + "mov.u32 %r6, 9; @%p1 st.shared.v4.u32 [%r2], {%r6, %r5, %r6, %r6};", 32);
  expectRace(word + "mov.u32 %r6, 9; @%p1 st.shared.v4.u32 [%r2], {%r5, %r6, %r6, %r6};",
             "which wrote 0x04030201 there; this writes 0x00000009\n");
  // A whole chunk of sixteen bytes, then a word of it.
  std::string chunk = "mov.u32 %r5, 3; @%p0 st.shared.v4.u32 [%r2], {%r5, %r5, %r5, %r5};\n";
  expectClean(chunk + "@%p1 st.shared.u32 [%r2+8], %r5;", 32);
  expectRace(chunk + "@%p1 st.shared.u32 [%r2+8], %r0;", "which wrote 0x00000003 there");
}

TEST_F(ValueRace, EveryWriterCounts) {
  // Warps 0 and 1 agree, warp 2 has heard of warp 1 only.
  std::string two = "mov.u32 %r5, 7; @!%p2 st.shared.u32 [%r2], %r5; @!%p0 bar.sync 1, 64;\n";
  expectRace(two + "@%p2 st.shared.u32 [%r2], %r0;", "is not ordered after warp 0");
  expectClean(two + "@%p2 ld.shared.u32 %r6, [%r2];", 32);
  // Neighbours in a word: the reader has heard of one.
  std::string halves = "mov.u16 %h0, 7; @%p0 st.shared.u16 [%r2], %h0; @%p1 st.shared.u16 "
                       "[%r2+2], %h0; @!%p0 bar.sync 1, 64;\n";
  expectRace(halves + "@%p2 ld.shared.u32 %r6, [%r2];", "is not ordered after warp 0");
  expectClean(halves + "@%p2 ld.shared.u16 %h1, [%r2+2];", 0);
  // One warp writes its own value, the common one, and its own again.
  expectRace("mov.u32 %r5, 7; st.shared.u32 [%r2], %r5; @%p2 st.shared.u32 [%r2], %r0;",
             "this writes 0x00000000");
}

TEST_F(ValueRace, CopiesAndReadsDoNotAskForTheValue) {
  // Zeros lie there already, but a copy brings what it brings later.
  std::string copy = "@%p0 cp.async.ca.shared.global [%r2], [%rd0], 16; cp.async.wait_all;\n";
  expectRace("mov.u32 %r5, 0x01010101; " + copy + "@%p1 st.shared.u32 [%r2], %r5;",
             "is not ordered after the asynchronous copy issued by warp 0");
  expectRace("mov.u32 %r5, 0x01010101; @%p0 st.shared.u32 [%r2], %r5;\n"
             "@%p1 cp.async.ca.shared.global [%r2], [%rd0], 16; cp.async.wait_all;",
             "asynchronous write after write");
  expectRace("@%p0 ld.shared.u32 %r5, [%r2]; mov.u32 %r6, 0; @%p1 st.shared.u32 [%r2], %r6;",
             "write after read");
}

TEST_F(ValueRace, MatricesAndOtherBlocks) {
  std::string rows = "shl.b32 %r6, %r0, 4; mov.u32 %r7, tile; add.u32 %r7, %r7, %r6;\n";
  for (const char *trans : {"", ".trans"}) {
    std::string store = "stmatrix.sync.aligned.m8n8.x4" + std::string(trans) +
                        ".shared.b16 [%r7], {%r5, %r5, %r5, %r5};";
    expectClean(rows + "mov.u32 %r5, %r0;" + store, 64 * 4);
    expectRace(rows + "add.u32 %r5, %r0, %r1;" + store, "; this writes 0x");
  }
  // Two blocks of a cluster store to the memory of the first.
  auto remote = [](const std::string &value) {
    return ".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry k()\n"
           ".reqnctapercluster 2 {\n.reg .b32 %r<9>;\n.shared .align 4 .b32 word;\n"
           "barrier.cluster.arrive; barrier.cluster.wait;\nmov.u32 %r1, word;\n"
           "mov.u32 %r2, %cluster_ctarank;\nmapa.shared::cluster.u32 %r3, %r1, 0;\n" +
           value +
           "\nst.shared::cluster.u32 [%r3], %r4;\n"
           "barrier.cluster.arrive; barrier.cluster.wait;\nret;\n}\n";
  };
  for (bool same : {true, false}) {
    auto module = machine.load(remote(same ? "mov.u32 %r4, 5;" : "add.u32 %r4, %r2, 5;"));
    LaunchResult r = run(*module, "k", {{2}, {1}}, Params());
    EXPECT_EQ(r.kind, same ? "" : "race") << r.report;
    if (!same)
      EXPECT_NE(r.report.find("which wrote 0x00000006 there; this writes 0x00000005"),
                std::string::npos)
          << r.report;
  }
}

/// A random program of three warps without branches, and what a byte by byte model says of it.
struct RandomProgram {
  std::string text;
  bool races = false;

  explicit RandomProgram(uint32_t seed) : rng(seed) {
    unsigned phases = 1 + rng() % 3;
    for (unsigned phase = 0; phase < phases; ++phase) {
      for (int warp = 0; warp < 3; ++warp)
        for (unsigned n = rng() % 3; n--;)
          step(warp);
      text += "bar.sync 0;\n";
      for (Byte &b : bytes)
        b.writers.clear(), b.copiers.clear(), b.readers.clear();
    }
  }

private:
  struct Byte {
    int value = 0;
    std::set<int> writers, copiers, readers; ///< since the last barrier
  };

  void step(int warp) {
    unsigned bytesOf[] = {1, 2, 4, 8, 16}, kind = rng() % 8, size = bytesOf[rng() % 5];
    if (kind == 0)
      size = 16;
    unsigned at = rng() % (32 / size) * size;
    std::string where = "[%r2+" + std::to_string(at) + "]", guard = "@%p" + std::to_string(warp);
    if (kind == 0) {
      text += guard + " cp.async.ca.shared.global " + where + ", [%rd0], 16; cp.async.wait_all;\n";
      for (unsigned i = at; i < at + size; ++i) {
        conflict(warp, bytes[i].writers), conflict(warp, bytes[i].readers);
        bytes[i].value = 1;
        bytes[i].writers = bytes[i].copiers = {warp};
      }
      return;
    }
    if (kind <= 2) {
      static const std::map<unsigned, std::string> loads = {
          {1, "ld.shared.u8 %r5, "},
          {2, "ld.shared.u16 %h0, "},
          {4, "ld.shared.u32 %r5, "},
          {8, "ld.shared.v2.u32 {%r5, %r6}, "},
          {16, "ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, "}};
      text += guard + " " + loads.at(size) + where + ";\n";
      for (unsigned i = at; i < at + size; ++i) {
        if (!bytes[i].writers.count(warp))
          conflict(warp, bytes[i].writers);
        bytes[i].readers.insert(warp);
      }
      return;
    }
    int value = rng() % 4 == 0; // every byte of it
    std::string v = value ? "0x01010101" : "0";
    text += "mov.u32 %r9, " + v + "; mov.u16 %h1, " + v.substr(0, 6) + ";\n" + guard;
    text += size == 1   ? " st.shared.u8 " + where + ", %r9;\n"
            : size == 2 ? " st.shared.u16 " + where + ", %h1;\n"
            : size == 4 ? " st.shared.u32 " + where + ", %r9;\n"
            : size == 8 ? " st.shared.v2.u32 " + where + ", {%r9, %r9};\n"
                        : " st.shared.v4.u32 " + where + ", {%r9, %r9, %r9, %r9};\n";
    for (unsigned i = at; i < at + size; ++i) {
      Byte &b = bytes[i];
      conflict(warp, b.readers), conflict(warp, b.copiers);
      if (b.value != value)
        conflict(warp, b.writers);
      b.value = value;
      b.copiers.clear(); // ordered before this, or reported
      b.writers.insert(warp);
    }
  }
  void conflict(int warp, const std::set<int> &others) {
    races |= others.size() > others.count(warp);
  }

  std::mt19937 rng;
  std::array<Byte, 32> bytes;
};

TEST_F(ValueRace, RandomProgramsAgreeWithAModelOfBytes) {
  unsigned races = 0, clean = 0;
  for (uint32_t seed = 0; seed < 600 && !HasFailure(); ++seed) {
    RandomProgram p(seed);
    for (bool thorough : {false, true}) {
      machine.options().thorough = thorough;
      LaunchResult r = execute(p.text);
      EXPECT_EQ(r.ok, !p.races) << "seed " << seed << "\n" << p.text << r.report;
    }
    (p.races ? races : clean) += 1;
  }
  EXPECT_GT(races, 100u);
  EXPECT_GT(clean, 100u);
}

} // namespace attnc::emu::test
