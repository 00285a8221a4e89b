// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registers that a wgmma may still write keep their place until the wait that covers it. They did
// not when nothing read them after that wait: the allocator gave their column to a value that was
// written while the wgmma ran, and late delivery silently destroyed it.
#include "EmulatorTest.h"

#include <deque>
#include <random>

namespace attnc::emu::test {

class InFlight : public EmulatorTest {
protected:
  InFlight() : EmulatorTest("sm_90a") {}
  /// A kernel of 128 threads; %r0 is the thread, %rd0 a descriptor of ones in shared memory (no
  /// swizzle), %rd1 the address of this thread's word of `out`.
  std::string kernel(const std::string &body) {
    return ".version 8.4\n.target sm_90a\n.address_size 64\n"
           ".visible .entry k(.param .u64 out) .reqntid 128 {\n"
           ".reg .f32 %f<64>;\n.reg .b32 %a<8>;\n.reg .b32 %r<400>;\n.reg .b64 %rd<8>;\n"
           ".reg .pred %p<4>;\n.shared .align 1024 .b8 tile[4096];\n"
           "ld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\n"
           "shl.b32 %r2, %r0, 5;\nadd.u32 %r2, %r2, %r1;\nmov.b32 %r3, 0x3c003c00;\n"
           "st.shared.v4.b32 [%r2], {%r3, %r3, %r3, %r3};\n"
           "st.shared.v4.b32 [%r2+16], {%r3, %r3, %r3, %r3};\n"
           "fence.proxy.async.shared::cta;\nbar.sync 0;\nbfe.u32 %r4, %r1, 4, 14;\n"
           "cvt.u64.u32 %rd0, %r4;\nor.b64 %rd0, %rd0, 0x0000000800010000;\n"
           "mul.wide.u32 %rd2, %r0, 4;\nadd.s64 %rd1, %rd1, %rd2;\n" +
           body + "\nret;\n}\n";
  }
  std::vector<uint32_t> execute(const std::string &body, Delivery delivery) {
    auto module = machine.load(kernel(body));
    machine.options().delivery = delivery;
    uint64_t out = reserve<uint32_t>(128);
    LaunchResult r = run(*module, "k", {{1}, {128}}, Params().add(out));
    EXPECT_TRUE(r.ok) << body << r.report;
    return download<uint32_t>(out, 128);
  }
  void expectSameUnderAllDeliveries(const std::string &body) {
    auto early = execute(body, Delivery::Early);
    EXPECT_EQ(execute(body, Delivery::Late), early) << body;
    EXPECT_EQ(execute(body, Delivery::Random), early) << body;
  }
};

/// m64n8k16 on accumulators %f<4 * set> and the next three, which start at zero.
static std::string wgmma(int set) {
  std::string acc;
  for (int i = 0; i < 4; ++i)
    acc += (i ? ", %f" : "%f") + std::to_string(4 * set + i);
  return "wgmma.fence.sync.aligned;\n"
         "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {" +
         acc + "}, %rd0, %rd0, 0, 1, 1, 0, 0;\n";
}
static const std::string commit = "wgmma.commit_group.sync.aligned;\n";
static std::string wait(int groups) {
  return "wgmma.wait_group.sync.aligned " + std::to_string(groups) + ";\n";
}

TEST_F(InFlight, AccumulatorsThatNothingReadsKeepTheirPlace) {
  // %r5 is written while the wgmma runs and read after it; all but %f0 are never read.
  std::string body = wgmma(0) + commit + "and.b32 %r5, %r0, 96;\n" + wait(0) +
                     "cvt.rzi.u32.f32 %r6, %f0; shl.b32 %r6, %r6, 16; or.b32 %r7, %r5, %r6;\n"
                     "st.global.b32 [%rd1], %r7;\n";
  for (Delivery d : {Delivery::Early, Delivery::Late}) {
    auto out = execute(body, d);
    for (uint32_t t = 0; t < 128; ++t)
      EXPECT_EQ(out[t], (t & 96) | 16u << 16);
  }
}

TEST_F(InFlight, AWaitForFewerGroupsEndsOnlyTheOlderFlights) {
  // The second group runs on past the first wait, and past the branch that follows it.
  expectSameUnderAllDeliveries(wgmma(0) + commit + wgmma(1) + commit + wait(1) +
                               "add.u32 %r5, %r0, 7; setp.lt.u32 %p0, %r0, 64;\n"
                               "@%p0 bra A; add.u32 %r6, %r0, 9; bra B; A: xor.b32 %r6, %r0, 5; "
                               "B: add.u32 %r7, %r5, %r6; cvt.rzi.u32.f32 %r8, %f0;\n" +
                               wait(0) + "add.u32 %r7, %r7, %r8; st.global.b32 [%rd1], %r7;\n");
}

TEST_F(InFlight, FlightsGoRoundALoop) {
  // The wgmma of an iteration lands in the next one, where nothing reads it.
  expectSameUnderAllDeliveries("mov.u32 %r5, 0; mov.u32 %r6, 0;\nL: add.u32 %r7, %r5, %r0;\n" +
                               wait(0) + wgmma(0) + commit +
                               "mul.lo.u32 %r8, %r7, 3; add.u32 %r6, %r6, %r8;\n"
                               "add.u32 %r5, %r5, 1; setp.lt.u32 %p0, %r5, 4; @%p0 bra L;\n"
                               "xor.b32 %r9, %r6, 77; add.u32 %r10, %r6, 1; add.u32 %r11, %r6, 2;\n"
                               "add.u32 %r12, %r6, 3; add.u32 %r13, %r6, 4;\n" +
                               wait(0) +
                               "xor.b32 %r9, %r9, %r10; xor.b32 %r9, %r9, %r11;\n"
                               "xor.b32 %r9, %r9, %r12; xor.b32 %r9, %r9, %r13;\n"
                               "st.global.b32 [%rd1], %r9;\n");
}

TEST_F(InFlight, OverlappingAccumulatorsOfAnotherOrderAreDeliveredFirst) {
  std::string other = "wgmma.fence.sync.aligned;\n"
                      "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f3, %f2, %f1, %f0}, "
                      "%rd0, %rd0, 1, 1, 1, 0, 0;\n";
  std::string body = wgmma(0) + commit + other + commit + wait(0) +
                     "cvt.rzi.u32.f32 %r6, %f1; st.global.b32 [%rd1], %r6;\n";
  for (Delivery d : {Delivery::Early, Delivery::Late})
    EXPECT_EQ(execute(body, d), std::vector<uint32_t>(128, 32));
}

/// Random programs: groups of wgmma on one of eight sets of accumulators, some of which are read
/// after they landed, between integer arithmetic whose values live across the flights.
static std::string randomProgram(uint32_t seed) {
  std::mt19937 rng(seed);
  std::string text = "mov.u32 %r10, %r0;\n";
  std::deque<std::vector<int>> groups; ///< committed, oldest first
  std::vector<int> open, idle = {0, 1, 2, 3, 4, 5, 6, 7}, values;
  int next = 11;
  auto fold = [&](const std::string &reg) { text += "mad.lo.u32 %r10, %r10, 31, " + reg + ";\n"; };
  auto waitFor = [&](size_t left) {
    text += wait(static_cast<int>(left));
    for (; groups.size() > left; groups.pop_front())
      for (int set : groups.front()) {
        idle.push_back(set);
        if (rng() % 3 == 0) { // read some of what has landed
          std::string n = std::to_string(next++);
          text +=
              "cvt.rzi.u32.f32 %r" + n + ", %f" + std::to_string(4 * set + int(rng() % 4)) + ";\n";
          fold("%r" + n);
        }
      }
  };
  for (int step = 0; step < 60; ++step)
    switch (rng() % 8) {
    case 0:
    case 1:
      if (!idle.empty()) {
        size_t i = rng() % idle.size();
        text += wgmma(idle[i]);
        open.push_back(idle[i]);
        idle.erase(idle.begin() + static_cast<long>(i));
      }
      break;
    case 2:
      text += commit;
      groups.push_back(open);
      open.clear();
      break;
    case 3:
      waitFor(rng() % 3);
      break;
    case 4:
      if (!values.empty()) {
        size_t i = rng() % values.size();
        fold("%r" + std::to_string(values[i]));
        values.erase(values.begin() + static_cast<long>(i));
      }
      break;
    default:
      text += "mad.lo.u32 %r" + std::to_string(next) + ", %r0, " + std::to_string(rng() % 1000) +
              ", " + std::to_string(rng() % 1000) + ";\n";
      values.push_back(next++);
    }
  for (int v : values)
    fold("%r" + std::to_string(v));
  text += commit;
  groups.push_back(open);
  waitFor(0);
  return text + "st.global.b32 [%rd1], %r10;\n";
}

TEST_F(InFlight, RandomProgramsDoNotDependOnDelivery) {
  for (uint32_t seed = 0; seed < 100 && !HasFailure(); ++seed)
    expectSameUnderAllDeliveries(randomProgram(seed));
}

} // namespace attnc::emu::test
