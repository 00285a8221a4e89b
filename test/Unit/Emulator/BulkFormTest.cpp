// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every form of cp.async.bulk, cp.reduce.async.bulk, st.async and red.async: two blocks of a
// cluster copy or reduce into each other's shared memory or into global memory, under every
// delivery, and the bytes are compared with an oracle that knows nothing of the emulator. Tensor
// copies are in TensorMapTest.cpp.
#include "FormGrid.h"
#include "FormOracle.h"
#include "InstructionTest.h"

namespace attnc::emu::test {
namespace {

constexpr const char *mbarrierDone = ".mbarrier::complete_tx::bytes";

/// A form such as "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.noftz.f16".
struct BulkForm {
  std::string name;    ///< opcode and modifiers
  char direction;      ///< 'l' load, 's' store, 'p' shared memory of the other block
  std::string op = ""; ///< of a reduction
  std::string type = "";
  bool multicast = false, hint = false;
};

std::vector<BulkForm> bulkForms() {
  std::vector<BulkForm> list;
  const std::string done = mbarrierDone;
  for (bool hint : {false, true}) {
    std::string h = hint ? ".L2::cache_hint" : "";
    list.push_back({"cp.async.bulk.global.shared::cta.bulk_group" + h, 's', "", "", false, hint});
    for (const char *to : {".shared::cta", ".shared::cluster"})
      list.push_back(
          {std::string("cp.async.bulk") + to + ".global" + done + h, 'l', "", "", false, hint});
    list.push_back({"cp.async.bulk.shared::cluster.global" + done + ".multicast::cluster" + h, 'l',
                    "", "", true, hint});
  }
  list.push_back({"cp.async.bulk.shared::cluster.shared::cta" + done, 'p'});
  struct Row {
    const char *op;
    std::vector<const char *> global, peer;
  };
  const Row rows[] = {
      {"add", {"u32", "s32", "u64", "f32", "f64", "f16", "bf16"}, {"u32", "s32", "u64"}},
      {"min", {"u32", "s32", "u64", "s64", "f16", "bf16"}, {"u32", "s32"}},
      {"max", {"u32", "s32", "u64", "s64", "f16", "bf16"}, {"u32", "s32"}},
      {"inc", {"u32"}, {"u32"}},
      {"dec", {"u32"}, {"u32"}},
      {"and", {"b32", "b64"}, {"b32"}},
      {"or", {"b32", "b64"}, {"b32"}},
      {"xor", {"b32", "b64"}, {"b32"}}};
  for (const Row &row : rows) {
    for (bool hint : {false, true})
      for (std::string t : row.global) {
        bool half = std::string(row.op) == "add" && t.find("16") != t.npos;
        list.push_back({std::string("cp.reduce.async.bulk.global.shared::cta.bulk_group") +
                            (hint ? ".L2::cache_hint" : "") + "." + row.op +
                            (half ? ".noftz" : "") + "." + t,
                        's', row.op, t, false, hint});
      }
    for (std::string t : row.peer)
      list.push_back(
          {"cp.reduce.async.bulk.shared::cluster.shared::cta" + done + "." + row.op + "." + t, 'p',
           row.op, t});
  }
  return list;
}

/// The instruction with the operands named; those a form does not have are left out.
std::string spelled(const BulkForm &f, const std::string &to, const std::string &from,
                    const std::string &size, const std::string &bar, const std::string &mask,
                    const std::string &policy) {
  return f.name + " [" + to + "], [" + from + "], " + size +
         (f.direction == 's' ? "" : ", [" + bar + "]") + (f.multicast ? ", " + mask : "") +
         (f.hint ? ", " + policy : "") + ";";
}
std::string inGrid(const BulkForm &f) {
  return spelled(f, f.direction == 's' ? "%d1" : "%r1", f.direction == 'l' ? "%d2" : "%r2", "%r3",
                 "%r4", "%h1", "%d3");
}

class BulkGrid : public FormGrid {};

TEST_F(BulkGrid, CopiesAndReductions) {
  std::set<std::string> tested;
  for (const BulkForm &f : bulkForms())
    tested.insert(inGrid(f));
  std::vector<std::string> grid;
  const std::vector<std::string> spaces = {"", ".global", ".shared", ".shared::cta",
                                           ".shared::cluster"};
  for (const std::string &to : spaces)
    for (const std::string &from : spaces)
      for (std::string how : {"", mbarrierDone, ".bulk_group"})
        for (bool multicast : {false, true})
          for (bool hint : {false, true})
            for (bool bar : {false, true}) {
              BulkForm f{"cp.async.bulk" + to + from + how +
                             (multicast ? ".multicast::cluster" : "") +
                             (hint ? ".L2::cache_hint" : ""),
                         bar ? 'p' : 's',
                         "",
                         "",
                         multicast,
                         hint};
              grid.push_back(spelled(f, to == ".global" ? "%d1" : "%r1",
                                     from == ".global" ? "%d2" : "%r2", "%r3", "%r4", "%h1",
                                     "%d3"));
            }
  for (bool global : {true, false})
    for (bool hint : {false, true})
      for (const char *op : {"add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas"})
        for (const char *flag : {"", ".noftz"})
          for (const char *type : {"b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64",
                                   "f16", "bf16", "f16x2", "bf16x2", "f32", "f64"}) {
            BulkForm f{std::string("cp.reduce.async.bulk") +
                           (global ? ".global.shared::cta.bulk_group"
                                   : ".shared::cluster.shared::cta" + std::string(mbarrierDone)) +
                           (hint ? ".L2::cache_hint" : "") + "." + op + flag + "." + type,
                       global ? 's' : 'p',
                       "",
                       "",
                       false,
                       hint};
            grid.push_back(inGrid(f));
          }
  expectExactly(grid, tested);
}

/// red.async and st.async: `space` is empty for generic addresses.
struct AsyncForm {
  std::string name, op, type, space;
  int count = 1;
  bool wide() const { return type.substr(1) == "64"; }
  bool generic() const { return space.empty(); }
};
std::vector<AsyncForm> redAsyncForms() {
  std::vector<AsyncForm> list;
  for (std::string space : {"", ".shared::cluster"})
    for (auto [op, types] : std::vector<std::pair<const char *, std::vector<const char *>>>{
             {"add", {"u32", "s32", "u64", "s64"}},
             {"min", {"u32", "s32"}},
             {"max", {"u32", "s32"}},
             {"inc", {"u32"}},
             {"dec", {"u32"}},
             {"and", {"b32"}},
             {"or", {"b32"}},
             {"xor", {"b32"}}})
      for (const char *t : types)
        list.push_back({"red.async.relaxed.cluster" + space + mbarrierDone + "." + op + "." + t, op,
                        t, space});
  return list;
}
std::vector<AsyncForm> stAsyncForms() {
  std::vector<AsyncForm> list;
  for (std::string semantics : {"", ".weak"})
    for (std::string space : {"", ".shared::cluster", ".shared::cta", ".shared"})
      for (int count : {1, 2, 4})
        for (const char *t : {"b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"})
          if (AsyncForm f{"st.async" + semantics + space + mbarrierDone +
                              (count > 1 ? ".v" + std::to_string(count) : "") + "." + t,
                          "", t, space, count};
              count < 4 || !f.wide())
            list.push_back(f);
  return list;
}
std::string spelled(const AsyncForm &f, const std::string &to, const std::string &bar) {
  std::string values;
  for (int i = 0; i < f.count; ++i)
    values += (i ? "," : "") + std::string(f.wide() ? "%d" : "%r") + std::to_string(20 + i);
  return f.name + " [" + to + "], " + (f.count > 1 ? "{" + values + "}" : values) + ", [" + bar +
         "];";
}
std::string inGrid(const AsyncForm &f) {
  return spelled(f, f.generic() ? "%d1" : "%r1", f.generic() ? "%d2" : "%r2");
}

TEST_F(BulkGrid, StoresAndReductionsOfRegisters) {
  std::set<std::string> tested;
  for (const auto &list : {redAsyncForms(), stAsyncForms()})
    for (const AsyncForm &f : list)
      tested.insert(inGrid(f));
  std::vector<std::string> grid;
  for (const char *op : {"add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas"})
    for (const char *flag : {"", ".noftz"})
      for (const char *type :
           {"b32", "b64", "u32", "u64", "s32", "s64", "f16x2", "bf16x2", "f32", "f64"})
        for (const char *order : {"", ".relaxed", ".release", ".relaxed.cluster", ".relaxed.cta",
                                  ".cluster", ".release.cluster", ".weak.cluster"})
          for (std::string space : {"", ".shared::cluster", ".shared::cta", ".shared"})
            grid.push_back(inGrid(AsyncForm{std::string("red.async") + order + space +
                                                mbarrierDone + "." + op + flag + "." + type,
                                            op, type, space}));
  for (int count : {1, 2, 4, 8})
    for (const char *type : {"b32", "b64", "u32", "u64", "s32", "s64", "f32", "f64", "f16x2"})
      for (const char *order :
           {"", ".weak", ".relaxed", ".release", ".weak.cluster", ".relaxed.cluster", ".weak.cta"})
        for (std::string space : {"", ".shared::cluster", ".shared::cta", ".shared"})
          grid.push_back(
              inGrid(AsyncForm{std::string("st.async") + order + space + mbarrierDone +
                                   (count > 1 ? ".v" + std::to_string(count) : "") + "." + type,
                               "", type, space, count}));
  expectExactly(grid, tested);
}

/// What an element becomes; without an operation, the new value.
FormOracle oracleOf(const std::string &op, const std::string &type) {
  if (op.empty())
    return [](uint64_t, uint64_t b, uint64_t) { return b; };
  if (op == "inc")
    return [](uint64_t old, uint64_t b, uint64_t) { return old < b ? old + 1 : 0; };
  if (op == "dec")
    return [](uint64_t old, uint64_t b, uint64_t) { return old - 1 < b ? old - 1 : b; };
  for (const FormType &t : formTypes())
    if (t.name == type) {
      FormFlags flags;
      flags.ftz = op == "add" && type == "f32"; // as the manual says of bulk reductions
      return arithmeticOracle(op, t, flags);
    }
  return nullptr;
}
bool same(const std::string &type, uint64_t got, uint64_t want) {
  for (const FormType &t : formTypes())
    if (t.name == type)
      return sameResult(t, got, want, 0);
  return got == want;
}
int bytesOf(const std::string &type) {
  return type.empty() ? 4 : type.find("64") != type.npos ? 8 : type.find("16") != type.npos ? 2 : 4;
}

class BulkForms : public Instructions {
protected:
  BulkForms() : Instructions("sm_90a") {}
  static constexpr int blockBytes = 512; ///< of the source, and of the destination, of each block

  /// %r0 thread, %r1 rank, %r2 `from`, %r3 `to`, %r4 `bar`, %r5 and %r6 `to` and `bar` of the other
  /// block, %d0 and %d1 the block's global source and destination, %p0 first thread.
  static std::string kernel(size_t index, const std::string &body) {
    return ".visible .entry k" + std::to_string(index) +
           "(.param .u64 source, .param .u64 cells, .param .u32 bytes) .reqnctapercluster 2 {\n"
           ".reg .b16 %h<4>;\n.reg .b32 %r<40>;\n.reg .b64 %d<40>;\n.reg .pred %p<4>;\n"
           ".shared .align 128 .b8 from[512];\n.shared .align 128 .b8 to[512];\n"
           ".shared .align 8 .b64 bar;\n"
           "ld.param.u64 %d0, [source];\nld.param.u64 %d1, [cells];\nld.param.u32 %r7, [bytes];\n"
           "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %cluster_ctarank;\nmov.u32 %r2, from;\n"
           "mov.u32 %r3, to;\nmov.u32 %r4, bar;\nxor.b32 %r8, %r1, 1;\n"
           "mapa.shared::cluster.u32 %r5, %r3, %r8;\nmapa.shared::cluster.u32 %r6, %r4, %r8;\n"
           "mul.wide.u32 %d2, %r1, 512;\nadd.u64 %d0, %d0, %d2;\nadd.u64 %d1, %d1, %d2;\n"
           "mul.wide.u32 %d2, %r0, 16;\nadd.u64 %d3, %d0, %d2;\nadd.u64 %d4, %d1, %d2;\n"
           "shl.b32 %r9, %r0, 4;\nadd.u32 %r10, %r2, %r9;\nadd.u32 %r11, %r3, %r9;\n"
           "ld.global.v4.u32 {%r12,%r13,%r14,%r15}, [%d3];\n"
           "st.shared.v4.u32 [%r10], {%r12,%r13,%r14,%r15};\n"
           "ld.global.v4.u32 {%r12,%r13,%r14,%r15}, [%d4];\n"
           "st.shared.v4.u32 [%r11], {%r12,%r13,%r14,%r15};\n"
           "setp.eq.u32 %p0, %r0, 0;\n@%p0 mbarrier.init.shared.b64 [%r4], 1;\n"
           "fence.proxy.async;\nbar.sync 0;\n"
           "@%p0 mbarrier.arrive.expect_tx.shared.b64 _, [%r4], %r7;\n"
           "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\nmov.u64 %d9, 0;\n" +
           body + "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\nret;\n}\n";
  }
  static std::string waitAndCopyOut() {
    return "WAIT: mbarrier.try_wait.parity.shared.b64 %p1, [%r4], 0;\n@!%p1 bra WAIT;\n"
           "ld.shared.v4.u32 {%r12,%r13,%r14,%r15}, [%r11];\n"
           "st.global.v4.u32 [%d4], {%r12,%r13,%r14,%r15};\n";
  }
  std::string header() const {
    return ".version 9.0\n.target " + machine.profile().name + "\n.address_size 64\n";
  }
  template <class F> void underAllPolicies(F f) {
    for (Delivery d : {Delivery::Early, Delivery::Late, Delivery::Random})
      for (bool shuffle : {false, true}) {
        machine.options().delivery = d;
        machine.options().shuffle = shuffle;
        f();
        if (HasFatalFailure())
          return;
      }
  }
  /// Random bytes of the elements' type, with the special values.
  static std::vector<char> scramble(std::mt19937_64 &rng, int bytes) {
    std::vector<char> v(2 * blockBytes);
    for (size_t at = 0; at < v.size(); at += size_t(bytes)) {
      uint64_t x = corpus(rng, bytes == 2 ? 'h' : bytes == 4 ? 'w' : 'd', int(rng() % 16));
      memcpy(&v[at], &x, size_t(bytes));
    }
    return v;
  }
  /// What elements [begin, end) of `want` become, given those of `source`.
  static void apply(const FormOracle &oracle, int bytes, const char *source, char *want, int size) {
    for (int at = 0; at < size; at += bytes) {
      uint64_t old = 0, b = 0;
      memcpy(&old, want + at, size_t(bytes)), memcpy(&b, source + at, size_t(bytes));
      uint64_t v = oracle(old, b, 0);
      memcpy(want + at, &v, size_t(bytes));
    }
  }
  void compare(const std::string &what, const std::string &type, int bytes,
               const std::vector<char> &before, const std::vector<char> &source,
               const std::vector<char> &got, const std::vector<char> &want) {
    for (size_t at = 0; at < want.size(); at += size_t(bytes)) {
      uint64_t g = 0, w = 0, o = 0, s = 0;
      memcpy(&g, &got[at], size_t(bytes)), memcpy(&w, &want[at], size_t(bytes));
      memcpy(&o, &before[at], size_t(bytes)), memcpy(&s, &source[at], size_t(bytes));
      ASSERT_TRUE(same(type, g, w)) << what << ": byte " << at << std::hex << " was " << o
                                    << " source " << s << " got " << g << " want " << w;
    }
  }
};

TEST_F(BulkForms, AgreeWithTheOracle) {
  auto forms = bulkForms();
  std::string text = header();
  for (size_t i = 0; i < forms.size(); ++i) {
    const BulkForm &f = forms[i];
    std::string to = f.direction == 's'   ? "%d1"
                     : f.direction == 'l' ? "%r3"
                                          : "%r5",
                bar = f.direction == 'p' ? "%r6" : "%r4",
                guard = f.multicast ? "setp.eq.and.u32 %p0, %r1, 1, %p0;\nmov.u16 %h1, 3;\n" : "";
    std::string copy =
        guard + "@%p0 " +
        spelled(f, to, f.direction == 'l' ? "%d0" : "%r2", "%r7", bar, "%h1", "%d9") + "\n";
    text += kernel(i, copy + (f.direction == 's' ? "cp.async.bulk.commit_group;\n"
                                                   "cp.async.bulk.wait_group 0;\n"
                                                 : waitAndCopyOut()));
  }
  assemble(text);
  auto module = machine.load(text);
  std::mt19937_64 rng(7);
  for (size_t i = 0; i < forms.size(); ++i) {
    const BulkForm &f = forms[i];
    FormOracle oracle = oracleOf(f.op, f.type);
    ASSERT_TRUE(oracle) << f.name;
    int bytes = bytesOf(f.type);
    underAllPolicies([&] {
      int size = 16 * (1 + int(rng() % 32));
      auto source = scramble(rng, bytes), before = scramble(rng, bytes), want = before;
      for (int block = 0; block < 2; ++block) {
        int from = f.multicast ? 1 : f.direction == 'p' ? 1 - block : block;
        apply(oracle, bytes, &source[size_t(from * blockBytes)], &want[size_t(block * blockBytes)],
              size);
      }
      uint64_t din = upload(source), dcells = upload(before);
      LaunchResult r = run(*module, ("k" + std::to_string(i)).c_str(), {{2}, {32}},
                           Params().add(din).add(dcells).add(size));
      ASSERT_TRUE(r.ok) << f.name << "\n" << r.report;
      compare(f.name, f.type, bytes, before, source, download<char>(dcells, want.size()), want);
      machine.memory().free(din), machine.memory().free(dcells);
    });
  }
}

TEST_F(BulkForms, OfRegistersAgreeWithTheOracle) {
  std::vector<AsyncForm> forms = redAsyncForms();
  for (const AsyncForm &f : stAsyncForms())
    forms.push_back(f);
  std::string text = header();
  for (size_t i = 0; i < forms.size(); ++i) {
    const AsyncForm &f = forms[i];
    std::string load, bank = f.wide() ? "%d" : "%r", bits = f.wide() ? "64" : "32";
    for (int e = 0; e < f.count; ++e)
      load += "ld.global.b" + bits + " " + bank + std::to_string(20 + e) + ", [%d3+" +
              std::to_string(e * (f.wide() ? 8 : 4)) + "];\n";
    bool own = f.space == ".shared" || f.space == ".shared::cta";
    std::string to = own ? "%r11" : "%r16", bar = own ? "%r4" : "%r6";
    load += "add.u32 %r16, %r5, %r9;\n";
    if (f.generic()) {
      load += "cvt.u64.u32 %d5, %r16;\ncvta.shared::cluster.u64 %d5, %d5;\n"
              "cvt.u64.u32 %d6, %r6;\ncvta.shared::cluster.u64 %d6, %d6;\n";
      to = "%d5", bar = "%d6";
    }
    text += kernel(i, load + spelled(f, to, bar) + "\n" + waitAndCopyOut());
  }
  assemble(text);
  auto module = machine.load(text);
  std::mt19937_64 rng(9);
  for (size_t i = 0; i < forms.size(); ++i) {
    const AsyncForm &f = forms[i];
    FormOracle oracle = oracleOf(f.op, f.type);
    ASSERT_TRUE(oracle) << f.name;
    int bytes = bytesOf(f.type), each = bytes * f.count;
    bool own = f.space == ".shared" || f.space == ".shared::cta";
    underAllPolicies([&] {
      auto source = scramble(rng, bytes), before = scramble(rng, bytes), want = before;
      for (int block = 0; block < 2; ++block)
        for (int t = 0; t < 32; ++t)
          apply(oracle, bytes, &source[size_t((own ? block : 1 - block) * blockBytes + 16 * t)],
                &want[size_t(block * blockBytes + 16 * t)], each);
      uint64_t din = upload(source), dcells = upload(before);
      LaunchResult r = run(*module, ("k" + std::to_string(i)).c_str(), {{2}, {32}},
                           Params().add(din).add(dcells).add(32 * each));
      ASSERT_TRUE(r.ok) << f.name << "\n" << r.report;
      compare(f.name, f.type, bytes, before, source, download<char>(dcells, want.size()), want);
      machine.memory().free(din), machine.memory().free(dcells);
    });
  }
}

TEST_F(BulkForms, DestinationsOfTheWrongBlock) {
  const std::string done = mbarrierDone;
  auto reported = [&](const std::string &body) {
    std::string text = header() + kernel(0, body);
    assemble(text);
    uint64_t memory = upload(std::vector<char>(1024, 1));
    return run(*machine.load(text), "k0", {{2}, {32}}, Params().add(memory).add(memory).add(16));
  };
  for (const std::string &body :
       {"@%p0 cp.async.bulk.shared::cta.global" + done + " [%r5], [%d0], 16, [%r6];\n",
        "st.async.shared::cta" + done + ".b32 [%r5], %r1, [%r6];\n"}) {
    LaunchResult r = reported(body);
    EXPECT_EQ(r.kind, "invalid-operand") << body;
    EXPECT_NE(r.report.find("is .shared::cta, but in block rank"), r.report.npos) << r.report;
  }
  LaunchResult r = reported("@%p0 cp.async.bulk.shared::cluster.shared::cta" + done +
                            " [%r3], [%r2], 16, [%r4];\n");
  EXPECT_EQ(r.kind, "invalid-operand");
  EXPECT_NE(r.report.find("must go to another block"), r.report.npos) << r.report;
  r = reported("red.async.relaxed.cluster" + done + ".add.u32 [%d1], %r1, [%d1];\n");
  EXPECT_EQ(r.kind, "invalid-operand");
  EXPECT_NE(r.report.find("no generic address of shared memory"), r.report.npos) << r.report;
}

} // namespace
} // namespace attnc::emu::test
