// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device functions, 128-bit registers, what sm_100 adds to the scalar set, bulk reductions, and the
// sentences with which unsupported instructions are refused.
#include "InstructionTest.h"
#include "attnc/Emulator/TensorMap.h"

namespace attnc::emu::test {

class Extended : public Instructions {
protected:
  explicit Extended(const char *profile = "sm_90a") : Instructions(profile) {}
  /// %r0 thread, %rd0 in + 32 * thread, %rd1 out + 32 * thread.
  std::string text(const std::string &body, const std::string &functions = "") {
    return ".version 8.8\n.target " + machine.profile().name + "\n.address_size 64\n" + functions +
           ".visible .entry k(.param .u64 in, .param .u64 out) {\n.reg .b16 %h<4>;\n"
           ".reg .b32 %r<40>;\n.reg .b64 %rd<20>;\n.reg .b128 %q<6>;\n.reg .pred %p<8>;\n"
           ".shared .align 128 .b8 tile[2048];\n.shared .align 8 .b64 bar;\n"
           "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\n"
           "mul.wide.u32 %rd2, %r0, 32;\nadd.u64 %rd0, %rd0, %rd2;\nadd.u64 %rd1, %rd1, %rd2;\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, const std::string &functions = "",
                       uint32_t threads = 32) {
    std::string ptx = text(body, functions);
    assemble(ptx);
    auto module = machine.load(ptx);
    std::vector<uint32_t> data(512);
    for (uint32_t i = 0; i < 512; ++i)
      data[i] = i * 2654435761u;
    in = upload(data);
    out = upload(std::vector<uint32_t>(512, 0));
    return run(*module, "k", {{1}, {threads}}, Params().add(in).add(out));
  }
  void expectClean(const std::string &body, const std::string &functions = "",
                   uint32_t threads = 32) {
    LaunchResult r = execute(body, functions, threads);
    EXPECT_TRUE(r.ok) << body << r.report;
  }
  void expectRefused(const std::string &instruction, const char *words) {
    std::string ptx = text(instruction);
    try {
      machine.load(ptx);
      ADD_FAILURE() << instruction;
    } catch (const PtxError &e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find(instruction.substr(0, 6)), std::string::npos)
          << e.what();
      EXPECT_GT(e.pos.line, 10u);
    }
  }
  uint32_t at(uint32_t thread, uint32_t word = 0) {
    return download<uint32_t>(out + 32 * thread + 4 * word, 1)[0];
  }
  uint64_t in = 0, out = 0;
};

static const char *factorial =
    ".func (.param .b32 result) factorial(.param .b32 n) {\n.reg .b32 %r<5>;\n.reg .pred %p;\n"
    "ld.param.b32 %r0, [n];\nsetp.le.u32 %p, %r0, 1;\n@%p bra ONE;\nsub.u32 %r1, %r0, 1;\n"
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), factorial, (a);\n"
    "ld.param.b32 %r2, [b]; }\nmul.lo.u32 %r0, %r0, %r2;\nst.param.b32 [result], %r0;\nret;\n"
    "ONE: mov.u32 %r3, 1;\nst.param.b32 [result], %r3;\nret;\n}\n";
static std::string callFactorial(const char *n, const char *guard = "") {
  return std::string("mov.u32 %r5, 77; { .param .b32 x; .param .b32 y; st.param.b32 [x], ") + n +
         "; st.param.b32 [y], %r5; " + guard +
         "call (y), factorial, (x); ld.param.b32 %r5, [y]; } st.global.u32 [%rd1], %r5;";
}

TEST_F(Extended, RecursionWithDivergentDepths) {
  expectClean("and.b32 %r1, %r0, 7;" + callFactorial("%r1"), factorial);
  const uint32_t want[] = {1, 1, 2, 6, 24, 120, 720, 5040};
  for (uint32_t t = 0; t < 32; ++t)
    EXPECT_EQ(at(t), want[t % 8]);
}

TEST_F(Extended, GuardedCalls) {
  expectClean("setp.lt.u32 %p1, %r0, 4;" + callFactorial("%r0", "@%p1 "), factorial);
  EXPECT_EQ(at(3), 6u);
  EXPECT_EQ(at(4), 77u);
  expectClean("setp.lt.u32 %p1, %r0, 4;" + callFactorial("%r0", "@!%p1 "), factorial);
  EXPECT_EQ(at(3), 77u);
  EXPECT_EQ(at(5), 120u);
}

TEST_F(Extended, RecursionHasALimit) {
  expectClean("mov.u32 %r1, 30;" + callFactorial("%r1"), factorial);
  LaunchResult r = execute("mov.u32 %r1, 40;" + callFactorial("%r1"), factorial);
  EXPECT_EQ(r.kind, "call-depth");
  EXPECT_NE(r.report.find("call.uni (b), factorial, (a)"), std::string::npos) << r.report;
}

TEST_F(Extended, BranchingRecursion) {
  // Two calls per level: what is expanded stays bounded, and shallow recursion works.
  const char *fib =
      ".func (.param .b32 result) fib(.param .b32 n) {\n.reg .b32 %r<6>;\n.reg .pred %p;\n"
      "ld.param.b32 %r0, [n];\nsetp.lt.u32 %p, %r0, 2;\n@%p bra SMALL;\n"
      "{ .param .b32 a; .param .b32 b; sub.u32 %r1, %r0, 1; st.param.b32 [a], %r1;\n"
      "call (b), fib, (a); ld.param.b32 %r2, [b]; }\n"
      "{ .param .b32 a; .param .b32 b; sub.u32 %r1, %r0, 2; st.param.b32 [a], %r1;\n"
      "call (b), fib, (a); ld.param.b32 %r3, [b]; }\nadd.u32 %r0, %r2, %r3;\n"
      "SMALL: st.param.b32 [result], %r0;\n}\n";
  std::string body = "and.b32 %r1, %r0, 7; { .param .b32 x; .param .b32 y; st.param.b32 [x], %r1; "
                     "call (y), fib, (x); ld.param.b32 %r2, [y]; } st.global.u32 [%rd1], %r2;";
  expectClean(body, fib);
  const uint32_t want[] = {0, 1, 1, 2, 3, 5, 8, 13};
  for (uint32_t t = 0; t < 32; ++t)
    EXPECT_EQ(at(t), want[t % 8]);
}

TEST_F(Extended, FunctionsWithArraysLocalsAndSharedMemory) {
  // A struct by value, no result; a function in a function; one shared variable for all calls.
  const char *functions =
      ".func sum(.param .align 8 .b8 pair[16], .param .b64 to) {\n.reg .b64 %d<6>;\n.reg .b32 "
      "%c<4>;\n"
      ".local .align 8 .b8 mine[16];\n.shared .align 4 .b32 calls;\nld.param.b64 %d0, [pair];\n"
      "ld.param.b64 %d1, [pair+8];\nst.local.b64 [mine], %d0;\nst.local.b64 [mine+8], %d1;\n"
      "ld.local.b64 %d2, [mine];\nld.local.b64 %d3, [mine+8];\nadd.u64 %d2, %d2, %d3;\n"
      "ld.param.b64 %d4, [to];\nst.global.u64 [%d4], %d2;\natom.shared.add.u32 %c0, [calls], 1;\n"
      "bar.warp.sync -1;\nld.shared.u32 %c1, [calls];\nst.global.u32 [%d4+8], %c1;\nret;\n}\n"
      ".func twice(.param .b64 v, .param .b64 to) {\n.reg .b64 %d<6>;\nld.param.b64 %d0, [v];\n"
      "ld.param.b64 %d1, [to];\n{ .param .align 8 .b8 p[16]; .param .b64 q; st.param.b64 [p], %d0; "
      "st.param.b64 [p+8], %d0; st.param.b64 [q], %d1; call sum, (p, q); }\nret;\n}\n";
  // The counter must be initialised through the function's own variable: the first call of all
  // lanes is an uninitialised read, which is what the check must say.
  LaunchResult r =
      execute("cvt.u64.u32 %rd3, %r0; { .param .b64 v; .param .b64 t; st.param.b64 [v], "
              "%rd3; st.param.b64 [t], %rd1; call twice, (v, t); }",
              functions);
  EXPECT_EQ(r.kind, "uninitialized-read");
  std::string fixed = functions;
  size_t where = fixed.find("atom.shared");
  fixed.insert(where, ".reg .pred %z; setp.eq.u64 %z, %d0, 0; mov.u32 %c2, 0; @%z st.shared.u32 "
                      "[calls], %c2; bar.sync 0;\n");
  expectClean("cvt.u64.u32 %rd3, %r0; { .param .b64 v; .param .b64 t; st.param.b64 [v], %rd3; "
              "st.param.b64 [t], %rd1; call twice, (v, t); }",
              fixed);
  EXPECT_EQ(at(7), 14u);
  EXPECT_EQ(at(7, 2), 32u);
}

TEST_F(Extended, WrongCalls) {
  auto fails = [&](const std::string &body, const std::string &functions, const char *words) {
    try {
      machine.load(text(body, functions));
      ADD_FAILURE() << body;
    } catch (const PtxError &e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
    }
  };
  fails("{ .param .b32 x; call factorial, (x); }", factorial, "the function has 1");
  fails("call nothing;", ".extern .func nothing;\n", "which the module does not define");
  fails("{ .param .b32 y; call (y), %rd0, (y), p; }",
        ".func (.param .b32 r) p(.param .b32 a) { ret; }\n", "only direct calls");
  LaunchResult r = execute("setp.eq.u32 %p1, %r0, 3; @!%p1 bra L; call __assertfail; L:",
                           ".extern .func __assertfail;\n");
  EXPECT_EQ(r.kind, "trap");
  EXPECT_NE(r.report.find("lane 3"), std::string::npos) << r.report;
}

TEST_F(Extended, QuadRegisters) {
  expectClean("ld.global.b128 %q0, [%rd0]; mov.b128 {%rd3, %rd4}, %q0; mov.b128 %q1, {%rd4, %rd3};"
              "mov.b128 %q2, %q1; st.global.b128 [%rd1], %q2;");
  auto x = download<uint64_t>(in, 128), y = download<uint64_t>(out, 128);
  for (int t = 0; t < 32; ++t) {
    EXPECT_EQ(y[4 * t], x[4 * t + 1]);
    EXPECT_EQ(y[4 * t + 1], x[4 * t]);
  }
  EXPECT_EQ(execute("ld.global.b128 %q0, [%rd0+8]; st.global.b128 [%rd1], %q0;").kind,
            "misaligned-address");
  EXPECT_EQ(execute("st.global.b128 [%rd1], %q0;").kind, "uninitialized-register");
  // Exchange and compare-and-swap, both outcomes.
  expectClean("ld.global.b128 %q0, [%rd0]; ld.global.b128 %q1, [%rd1]; "
              "atom.relaxed.gpu.global.cas.b128 %q2, [%rd1], %q1, %q0; "
              "atom.relaxed.gpu.global.cas.b128 %q3, [%rd1], %q1, %q2; "
              "atom.relaxed.gpu.global.exch.b128 %q4, [%rd1+16], %q3;");
  y = download<uint64_t>(out, 128);
  for (int t = 0; t < 32; ++t)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(y[4 * t + i], x[4 * t + i % 2]) << t;
}

class Sm100 : public Extended {
protected:
  Sm100() : Extended("sm_100a") {}
};

TEST_F(Sm100, WideVectors) {
  expectClean("ld.global.v8.b32 {%r1,%r2,%r3,%r4,%r5,%r6,%r7,%r8}, [%rd0]; "
              "st.global.v8.b32 [%rd1], {%r8,%r7,%r6,%r5,%r4,%r3,%r2,%r1};");
  auto x = download<uint32_t>(in, 256), y = download<uint32_t>(out, 256);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(y[i], x[i ^ 7]);
  expectClean("ld.global.v4.b64 {%rd3,%rd4,%rd5,%rd6}, [%rd0]; st.global.v4.b64 [%rd1], "
              "{%rd4,%rd3,%rd6,%rd5};");
  y = download<uint32_t>(out, 256);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(y[i], x[i ^ 2]);
  EXPECT_EQ(execute("ld.global.v8.b32 {%r1,%r2,%r3,%r4,%r5,%r6,%r7,%r8}, [%rd0+16];").kind,
            "misaligned-address");
}

TEST_F(Sm100, PackedSingles) {
  std::vector<Instruction> v;
  auto packed = [](Round round, bool ftz, char op) -> Oracle {
    return [=](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
      uint64_t result = 0;
      for (int i = 0; i < 2; ++i) {
        auto part = [&](uint64_t x) {
          uint32_t w = uint32_t(x >> 32 * i);
          return ftz && !(w & 0x7f800000) ? w & 0x80000000 : w;
        };
        float x = asFloat(part(a)), y = asFloat(part(b)), z = asFloat(part(c));
        float ieee = op == '+' ? x + y : op == '*' ? x * y : std::fma(x, y, z);
        uint64_t bits32;
        if (std::isnan(ieee))
          bits32 = 0x7fffffff;
        else if (std::isinf(x) || std::isinf(y) || (op == 'f' && std::isinf(z)))
          bits32 = bits<uint32_t>(ieee);
        else {
          Quad q = op == '+'   ? sticky(Quad(x), Quad(y))
                   : op == '*' ? Quad(x) * Quad(y)
                               : sticky(Quad(x) * Quad(y), Quad(z));
          // The sign of an exact zero depends on the rounding only when the terms cancel.
          bool negative = std::signbit(ieee);
          if (q == 0 && op != '*') {
            bool sx = op == '+' ? std::signbit(x) : std::signbit(x) != std::signbit(y);
            bool sz = std::signbit(op == '+' ? y : z);
            negative = sx == sz ? sx : round == Round::Down;
          }
          bits32 = roundTo(q, single, round, negative);
          if (ftz && !(bits32 & 0x7f800000))
            bits32 &= 0x80000000;
        }
        result |= bits32 << 32 * i;
      }
      return result;
    };
  };
  struct Mode {
    const char *name;
    Round round;
  };
  for (Mode m : {Mode{"rn", Round::Nearest}, Mode{"rz", Round::Zero}, Mode{"rm", Round::Down},
                 Mode{"rp", Round::Up}})
    for (bool ftz : {false, true}) {
      std::string s = std::string(".") + m.name + (ftz ? ".ftz" : "") + ".f32x2 $d, $a, $b";
      v.push_back({"add" + s + ";", "ddd", packed(m.round, ftz, '+')});
      v.push_back({"mul" + s + ";", "ddd", packed(m.round, ftz, '*')});
      v.push_back({"fma" + s + ", $c;", "dddd", packed(m.round, ftz, 'f')});
    }
  check(v, "8.7");
}

TEST_F(Extended, BulkReductions) {
  // 64 threads fill 256 bytes of shared memory; one instruction combines them with global memory.
  struct Case {
    const char *form, *type;
    std::function<uint32_t(uint32_t, uint32_t)> want; ///< of (global, shared)
  };
  auto halves = [](auto f) {
    return [f](uint32_t a, uint32_t b) {
      return uint32_t(f(uint16_t(a), uint16_t(b))) |
             uint32_t(f(uint16_t(a >> 16), uint16_t(b >> 16))) << 16;
    };
  };
  using U = uint32_t;
  std::vector<Case> cases = {
      {"add", "u32", [](U a, U b) { return a + b; }},
      {"add", "s32", [](U a, U b) { return a + b; }},
      {"min", "u32", [](U a, U b) { return std::min(a, b); }},
      {"max", "u32", [](U a, U b) { return std::max(a, b); }},
      {"min", "s32", [](U a, U b) { return U(std::min(int32_t(a), int32_t(b))); }},
      {"max", "s32", [](U a, U b) { return U(std::max(int32_t(a), int32_t(b))); }},
      {"inc", "u32", [](U a, U b) { return a >= b ? 0 : a + 1; }},
      {"dec", "u32", [](U a, U b) { return a == 0 || a > b ? b : a - 1; }},
      {"and", "b32", [](U a, U b) { return a & b; }},
      {"or", "b32", [](U a, U b) { return a | b; }},
      {"xor", "b32", [](U a, U b) { return a ^ b; }},
      {"add.noftz", "f16",
       halves([](uint16_t a, uint16_t b) { return toHalf(fromHalf(a) + fromHalf(b)); })},
      {"min", "f16",
       halves([](uint16_t a, uint16_t b) { return fromHalf(a) < fromHalf(b) ? a : b; })},
      {"max", "f16",
       halves([](uint16_t a, uint16_t b) { return fromHalf(a) > fromHalf(b) ? a : b; })},
      {"add.noftz", "bf16",
       halves([](uint16_t a, uint16_t b) { return toBf16(fromBf16(a) + fromBf16(b)); })},
      {"min", "bf16",
       halves([](uint16_t a, uint16_t b) { return fromBf16(a) < fromBf16(b) ? a : b; })},
      {"max", "bf16",
       halves([](uint16_t a, uint16_t b) { return fromBf16(a) > fromBf16(b) ? a : b; })},
      {"add", "f32", [](U a, U b) { return bits<U>(asFloat(a) + asFloat(b)); }}};
  std::mt19937 rng(3);
  auto module = [&](const Case &c) {
    std::string ptx =
        text("mov.u32 %r1, tile; shl.b32 %r2, %r0, 2; add.u32 %r3, %r1, %r2; mul.wide.u32 "
             "%rd3, %r0, 28; sub.u64 %rd4, %rd0, %rd3; ld.global.u32 %r4, [%rd4]; "
             "st.shared.u32 [%r3], %r4; fence.proxy.async; bar.sync 0; setp.eq.u32 %p0, "
             "%r0, 0; @%p0 cp.reduce.async.bulk.global.shared::cta.bulk_group." +
             std::string(c.form) + "." + c.type +
             " [%rd1], [%r1], 256; cp.async.bulk.commit_group; "
             "cp.async.bulk.wait_group 0;");
    assemble(ptx);
    return machine.load(ptx);
  };
  for (const Case &c : cases) {
    bool isHalf = std::string(c.type) == "f16" || std::string(c.type) == "bf16";
    std::vector<uint32_t> a(64), b(64);
    auto value = [&](int i) -> uint32_t {
      if (isHalf) // finite, so that the oracles above are whole
        return (rng() & 0xbfffbfff);
      if (std::string(c.type) == "f32")
        return bits<uint32_t>(float(int(rng() % 2000) - 1000) / 7);
      return i % 5 ? rng() % 7 : rng();
    };
    for (int i = 0; i < 64; ++i)
      a[i] = value(i), b[i] = value(i + 1);
    uint64_t da = upload(a), db = upload(b);
    LaunchResult r = run(*module(c), "k", {{1}, {64}}, Params().add(db).add(da));
    ASSERT_TRUE(r.ok) << c.form << c.type << r.report;
    auto got = download<uint32_t>(da, 64);
    for (int i = 0; i < 64; ++i)
      EXPECT_EQ(got[i], c.want(a[i], b[i]))
          << c.form << "." << c.type << std::hex << " " << a[i] << " " << b[i];
  }
}

TEST_F(Extended, TensorReductions) {
  uint64_t dims[] = {16, 4}, strides[] = {64};
  uint32_t box[] = {16, 4}, es[] = {1, 1};
  struct Case {
    const char *op;
    uint32_t want; ///< of 12 (global) and 10 (shared)
  };
  for (Case c : {Case{"add", 22}, Case{"min", 10}, Case{"max", 12}, Case{"inc", 0}, Case{"dec", 10},
                 Case{"and", 8}, Case{"or", 14}, Case{"xor", 6}}) {
    uint64_t data = upload(std::vector<uint32_t>(64, 12));
    TensorMap m;
    ASSERT_EQ(encodeTiled(m, 2, 2, data, dims, strides, box, es, 0, 0, 0), "");
    std::string ptx =
        std::string(".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry "
                    "k(.param .align 64 .b8 map[128]) {\n.reg .b32 %r<8>;\n.reg .b64 "
                    "%rd<4>;\n.reg .pred %p;\n.shared .align 128 .b8 tile[256];\n"
                    "mov.u32 %r0, %tid.x; mov.u32 %r1, tile; shl.b32 %r2, %r0, 2; add.u32 "
                    "%r2, %r2, %r1; mov.u32 %r3, 10; st.shared.u32 [%r2], %r3; "
                    "fence.proxy.async; bar.sync 0; mov.b64 %rd0, map; setp.eq.u32 %p, "
                    "%r0, 0;\n@%p cp.reduce.async.bulk.tensor.2d.global.shared::cta.") +
        c.op +
        ".tile.bulk_group [%rd0, {0, 1}], [%r1];\ncp.async.bulk.commit_group; "
        "cp.async.bulk.wait_group 0; ret;\n}\n";
    assemble(ptx);
    Params p;
    p.bytes.resize(128);
    memcpy(p.bytes.data(), &m, 128);
    LaunchResult r = run(*machine.load(ptx), "k", {{1}, {64}}, p);
    ASSERT_TRUE(r.ok) << r.report;
    auto got = download<uint32_t>(data, 64);
    for (int i = 0; i < 64; ++i) // the last row of the box is outside
      EXPECT_EQ(got[i], i < 16 ? 12 : c.want) << c.op << " " << i;
  }
}

TEST_F(Extended, ProgrammaticDependentLaunch) {
  // Grids run one after another, so both are no more than legal.
  expectClean("griddepcontrol.wait; st.global.u32 [%rd1], %r0; griddepcontrol.launch_dependents;");
  EXPECT_EQ(at(9), 9u);
  expectRefused("griddepcontrol.nothing;", ".wait or .launch_dependents");
}

TEST_F(Extended, UnsupportedInstructionsSayWhatAndWhere) {
  expectRefused(
      "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
      "[%r1], [%rd0, {%r2, %r2, %r2}], [%r1], {%h0};",
      "im2col");
  expectRefused("tcgen05.wait::ld.sync.aligned;", "tcgen05");
  expectRefused("add.rn.f32x2 %rd3, %rd4, %rd5;", "needs sm_100");
  expectRefused("ld.global.v8.b32 {%r1,%r2,%r3,%r4,%r5,%r6,%r7,%r8}, [%rd0];", "sm_100");
  expectRefused("cp.reduce.async.bulk.global.shared::cta.bulk_group.min.f32 [%rd1], [%r1], 256;",
                "bulk reduction");
  TensorMap m;
  uint64_t dims[] = {64, 64, 64}, strides[] = {128, 8192};
  uint32_t box[] = {8, 8, 8}, es[] = {1, 1, 1};
  EXPECT_NE(encodeTiled(m, 9, 3, 4096, dims, strides, box, es, 1, 0, 0).find("interleaved"),
            std::string::npos);
}

} // namespace attnc::emu::test
