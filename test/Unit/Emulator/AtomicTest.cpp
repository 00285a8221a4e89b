// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every form of atom and red in every state space: 32 lanes fall on five cells, and memory and the
// values returned are compared with an oracle that takes the lanes one after the other. Which forms
// exist is asked of ptxas: the decoder must accept the same ones.
#include "FormOracle.h"
#include "InstructionTest.h"

#include <map>
#include <set>

namespace attnc::emu::test {
namespace {

constexpr int lanes = 32, cells = 5, cellBytes = 16;

std::vector<std::string> split(const std::string &s) {
  std::vector<std::string> parts;
  std::stringstream in(s);
  for (std::string part; std::getline(in, part, '.');)
    parts.push_back(part);
  return parts;
}

/// A form such as "atom.add.noftz.v2.f16", taken apart.
struct AtomicForm {
  std::string opcode, op, flags, type;
  int count = 1, bytes = 0; ///< elements, and bytes of each
  bool returns() const { return opcode == "atom"; }
  std::string spelled(const std::string &space) const {
    return opcode + space + "." + op + flags + "." + type;
  }
};
AtomicForm parse(const std::string &form) {
  std::vector<std::string> parts = split(form);
  AtomicForm f{parts[0], parts[1], "", parts.back()};
  for (size_t i = 2; i + 1 < parts.size(); ++i) {
    f.flags += "." + parts[i];
    if (parts[i][0] == 'v')
      f.count = parts[i][1] - '0';
  }
  static const std::map<std::string, int> bytesOf = {
      {"f16", 2}, {"bf16", 2}, {"b16", 2}, {"u16", 2}, {"s16", 2},  {"b64", 8},
      {"u64", 8}, {"s64", 8},  {"f64", 8}, {"b8", 1},  {"b128", 16}};
  auto it = bytesOf.find(f.type);
  f.bytes = it == bytesOf.end() ? 4 : it->second;
  return f;
}

/// Register `i` of a bank for elements of the form: %h, %r, %d or %q.
std::string reg(const AtomicForm &f, int i) {
  return std::string("%") +
         (f.bytes <= 2   ? 'h'
          : f.bytes == 4 ? 'r'
          : f.bytes == 8 ? 'd'
                         : 'q') +
         std::to_string(i);
}
std::string operand(const AtomicForm &f, int first) {
  std::string s;
  for (int i = 0; i < f.count; ++i)
    s += (i ? "," : "") + reg(f, first + i);
  return f.count > 1 ? "{" + s + "}" : s;
}
std::string instruction(const AtomicForm &f, const std::string &space, const std::string &address) {
  return f.spelled(space) + " " + (f.returns() ? operand(f, 8) + ", " : "") + "[" + address +
         "], " + operand(f, 16) + (f.op == "cas" ? ", " + operand(f, 24) : "") + ";\n";
}
const char *const registers = ".reg .b16 %h<40>;\n.reg .b32 %r<40>;\n.reg .b64 %d<40>;\n"
                              ".reg .b128 %q<40>;\n.reg .b64 %a<8>;\n.reg .b32 %s<8>;\n";

/// Moves the elements between registers and memory at [%a<base> + offset].
std::string transfer(const AtomicForm &f, bool load, int first, int base, int offset) {
  std::string s;
  for (int i = 0; i < f.count; ++i) {
    std::string where =
                    "[%a" + std::to_string(base) + "+" + std::to_string(offset + i * f.bytes) + "]",
                what = reg(f, first + i);
    std::string type = ".b" + std::to_string(8 * f.bytes) + " ";
    s += load ? "ld.global" + type + what + ", " + where + ";\n"
              : "st.global" + type + where + ", " + what + ";\n";
  }
  return s;
}

/// Lane l applies the form to cell l mod 5. In shared memory the cells are copied in and out.
std::string kernel(const AtomicForm &f, const std::string &space, bool shared, int index) {
  std::string s = ".visible .entry k" + std::to_string(index) +
                  "(.param .u64 cells, .param .u64 in, .param .u64 out) {\n" + registers +
                  ".shared .align 16 .b8 copy[128];\n"
                  "ld.param.u64 %a0, [cells];\nld.param.u64 %a1, [in];\nld.param.u64 %a2, [out];\n"
                  "mov.u32 %s0, %tid.x;\nmul.wide.u32 %a3, %s0, 32;\nadd.u64 %a1, %a1, %a3;\n"
                  "mul.wide.u32 %a3, %s0, 16;\nadd.u64 %a2, %a2, %a3;\n"
                  "rem.u32 %s1, %s0, 5;\nshl.b32 %s1, %s1, 4;\ncvt.u64.u32 %a3, %s1;\n";
  if (shared)
    s += "mul.wide.u32 %a4, %s0, 4;\nadd.u64 %a5, %a0, %a4;\nmov.u64 %a6, copy;\n"
         "add.u64 %a4, %a4, %a6;\nld.global.u32 %s2, [%a5];\nst.shared.u32 [%a4], %s2;\n"
         "bar.sync 0;\nadd.u64 %a3, %a3, %a6;\n" +
         std::string(space.empty() ? "cvta.shared.u64 %a3, %a3;\n" : "");
  else
    s += "add.u64 %a3, %a3, %a0;\n";
  s += transfer(f, true, 16, 1, 0);
  if (f.op == "cas")
    s += transfer(f, true, 24, 1, 16);
  s += instruction(f, space, "%a3");
  if (f.returns())
    s += transfer(f, false, 8, 2, 0);
  if (shared)
    s += "bar.sync 0;\nld.shared.u32 %s2, [%a4];\nst.global.u32 [%a5], %s2;\n";
  return s + "ret;\n}\n";
}

struct Bits {
  uint64_t lo = 0, hi = 0;
  bool operator==(const Bits &o) const { return lo == o.lo && hi == o.hi; }
};

/// What an element becomes; null when the oracle does not know the form. The manual: sums of f32 in
/// global memory flush subnormal operands and results to zeros of their sign, those in shared
/// memory do not.
std::function<Bits(Bits old, Bits b, Bits c)> oracleOf(const AtomicForm &f, bool shared) {
  if (f.op == "exch")
    return [](Bits, Bits b, Bits) { return b; };
  if (f.op == "cas")
    return [](Bits old, Bits b, Bits c) { return old == b ? c : old; };
  if (f.op == "inc") // counts up to b and begins again
    return [](Bits old, Bits b, Bits) { return old.lo < b.lo ? Bits{old.lo + 1} : Bits{}; };
  if (f.op == "dec") // counts down from b and begins again
    return [](Bits old, Bits b, Bits) {
      return old.lo - 1 < b.lo ? Bits{old.lo - 1} : b; // 0 - 1 is above every b
    };
  for (const FormType &t : formTypes())
    if (t.name == f.type) {
      FormFlags flags;
      flags.ftz = f.op == "add" && t.name == "f32" && !shared;
      FormOracle o = arithmeticOracle(f.op, t, flags);
      if (o)
        return [o](Bits old, Bits b, Bits) { return Bits{o(old.lo, b.lo, 0)}; };
    }
  return nullptr;
}

bool same(const AtomicForm &f, Bits got, Bits want) {
  for (const FormType &t : formTypes())
    if (t.name == f.type)
      return sameResult(t, got.lo, want.lo, 0);
  return got == want;
}

class Atomics : public Instructions {
protected:
  Atomics() : Instructions("sm_100a") {}
  const std::string header = ".version 8.6\n.target sm_100a\n.address_size 64\n";

  bool accepts(const std::string &text) {
    try {
      machine.load(text);
      return true;
    } catch (const std::exception &) {
      return false;
    }
  }
};

Bits element(const char *p, int bytes) {
  Bits b;
  memcpy(&b, p, size_t(bytes));
  return b;
}

TEST_F(Atomics, EveryFormInEverySpace) {
  struct Place {
    const char *space;
    bool shared;
  };
  struct Case {
    AtomicForm form;
    Place place;
  };
  std::vector<Case> list;
  for (const std::string &name : atomicForms())
    for (Place p :
         {Place{".global", false}, Place{"", false}, Place{"", true}, Place{".shared", true},
          Place{".shared::cta", true}, Place{".shared::cluster", true}})
      if (AtomicForm f = parse(name); f.count == 1 || !p.shared)
        list.push_back({f, p});
  std::string text = header;
  for (size_t i = 0; i < list.size(); ++i)
    text += kernel(list[i].form, list[i].place.space, list[i].place.shared, int(i));
  assemble(text);
  auto module = machine.load(text);
  for (size_t i = 0; i < list.size(); ++i) {
    const AtomicForm &f = list[i].form;
    std::string what = f.spelled(list[i].place.space) + (list[i].place.shared ? " (shared)" : "");
    auto oracle = oracleOf(f, list[i].place.shared);
    ASSERT_TRUE(oracle) << what << " has no oracle";
    std::mt19937_64 rng(i + 1);
    const char width = f.bytes == 2 ? 'h' : f.bytes == 4 ? 'w' : 'd';
    // Eight cells, of which the last three must stay as they are.
    std::vector<char> memory(128), in(lanes * 32), old(lanes * 16);
    auto scramble = [&](std::vector<char> &bytes) {
      for (size_t at = 0; at < bytes.size(); at += size_t(std::min(f.bytes, 8))) {
        uint64_t v = corpus(rng, width, int(rng() % 16));
        memcpy(&bytes[at], &v, size_t(std::min(f.bytes, 8)));
      }
    };
    scramble(memory), scramble(in);
    std::vector<char> before = memory, want = memory;
    for (int l = 0; l < lanes; ++l)
      for (int e = 0; e < f.count; ++e) {
        char *cell = &want[size_t(l % cells * cellBytes + e * f.bytes)];
        char *b = &in[size_t(32 * l + e * f.bytes)];
        Bits now = element(cell, f.bytes);
        if (f.op == "cas" && l / cells % 2) // every other lane finds what it expects
          memcpy(b, &now, size_t(f.bytes));
        if ((f.op == "inc" || f.op == "dec") && l / cells % 2) { // close to the wrap
          uint64_t near = now.lo + uint64_t(l % 3) - 1;
          memcpy(b, &near, size_t(f.bytes));
        }
        Bits next = oracle(now, element(b, f.bytes), element(b + 16, f.bytes));
        memcpy(&old[size_t(16 * l + e * f.bytes)], &now, size_t(f.bytes));
        memcpy(cell, &next, size_t(f.bytes));
      }
    uint64_t dcells = upload(memory), din = upload(in), dout = reserve<char>(old.size());
    LaunchResult r = run(*module, ("k" + std::to_string(i)).c_str(), {{1}, {lanes}},
                         Params().add(dcells).add(din).add(dout));
    ASSERT_TRUE(r.ok) << what << "\n" << r.report;
    auto after = download<char>(dcells, memory.size());
    for (int c = 0; c < 8; ++c)
      for (int e = 0; e < f.count; ++e) {
        size_t at = size_t(c * cellBytes + e * f.bytes);
        ASSERT_TRUE(same(f, element(&after[at], f.bytes), element(&want[at], f.bytes)))
            << what << ": cell " << c << " element " << e << std::hex << " was "
            << element(&before[at], f.bytes).lo << " got " << element(&after[at], f.bytes).lo
            << " want " << element(&want[at], f.bytes).lo;
      }
    for (int c = 0; c < 8; ++c) // around the elements nothing changes
      for (int b = c < cells ? f.count * f.bytes : 0; b < cellBytes; ++b)
        ASSERT_EQ(after[size_t(c * cellBytes + b)], before[size_t(c * cellBytes + b)]) << what;
    if (f.returns()) {
      auto got = download<char>(dout, lanes * 16);
      for (int l = 0; l < lanes; ++l)
        for (int e = 0; e < f.count; ++e) {
          size_t at = size_t(16 * l + e * f.bytes);
          ASSERT_TRUE(same(f, element(&got[at], f.bytes), element(&old[at], f.bytes)))
              << what << ": lane " << l << " element " << e << std::hex << " returned "
              << element(&got[at], f.bytes).lo << " want " << element(&old[at], f.bytes).lo;
        }
    }
    for (uint64_t p : {dcells, din, dout})
      machine.memory().free(p);
  }
  RecordProperty("cases", int(list.size()));
}

/// One instruction on generic addresses of both spaces: each lane's sum keeps or flushes subnormals
/// as its own space has it.
TEST_F(Atomics, SubnormalSumsInBothSpacesAtOnce) {
  std::string text =
      header + ".visible .entry k(.param .u64 cells) {\n" + registers +
      ".reg .pred %p0;\n.shared .align 16 .b8 copy[128];\n"
      "ld.param.u64 %a0, [cells];\nmov.u32 %s0, %tid.x;\nmul.wide.u32 %a1, %s0, 4;\n"
      "add.u64 %a0, %a0, %a1;\nmov.u64 %a2, copy;\nadd.u64 %a2, %a2, %a1;\n"
      "mov.b32 %r0, 1;\nst.shared.b32 [%a2], %r0;\ncvta.shared.u64 %a2, %a2;\n"
      "and.b32 %s1, %s0, 1;\nsetp.eq.u32 %p0, %s1, 0;\nselp.b64 %a3, %a0, %a2, %p0;\n"
      "red.add.f32 [%a3], %r0;\nld.b32 %r1, [%a3];\nst.global.b32 [%a0], %r1;\n"
      "ret;\n}\n";
  assemble(text);
  uint64_t cells = upload(std::vector<uint32_t>(lanes, 1));
  LaunchResult r = run(*machine.load(text), "k", {{1}, {lanes}}, Params().add(cells));
  ASSERT_TRUE(r.ok) << r.report;
  auto got = download<uint32_t>(cells, lanes);
  for (uint32_t l = 0; l < lanes; ++l)
    EXPECT_EQ(got[l], l % 2 ? 2u : 0u) << l;
}

/// Every operation with every flag, vector and type, in every space, and every ordering: the
/// decoder accepts what is in the table, and ptxas the same.
TEST_F(Atomics, ExactlyTheFormsThatExist) {
  auto known = atomicForms();
  std::set<std::string> table(known.begin(), known.end());
  struct Candidate {
    std::string name, text;
    bool accepted;
  };
  std::vector<Candidate> list;
  for (const char *opcode : {"atom", "red"})
    for (const char *space : {".global", ".shared", ".local", ""})
      for (const char *op : {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"})
        for (const char *flag : {"", ".noftz"})
          for (const char *vector : {"", ".v2", ".v4", ".v8"})
            for (const char *type : {"b16", "b32", "b64", "b128", "u16", "u32", "u64", "s16", "s32",
                                     "s64", "f16", "f16x2", "bf16", "bf16x2", "f32", "f64"}) {
              std::string name = std::string(opcode) + "." + op + flag + vector + "." + type;
              AtomicForm f = parse(name);
              std::string text = ".visible .entry k" + std::to_string(list.size()) + "() {\n" +
                                 registers + instruction(f, space, "%a0") + "ret;\n}\n";
              bool accepted = accepts(header + text);
              bool expected = table.count(name) && std::string(space) != ".local" &&
                              (f.count == 1 || std::string(space) != ".shared");
              EXPECT_EQ(accepted, expected) << f.spelled(space);
              list.push_back({f.spelled(space), text, accepted});
            }
  for (std::string opcode : {"atom", "red"})
    for (std::string order :
         {"", ".relaxed", ".acquire", ".release", ".acq_rel", ".weak", ".volatile", ".mmio", ".sc"})
      for (std::string scope : {"", ".cta", ".cluster", ".gpu", ".sys"}) {
        std::string form = opcode + order + scope + ".global.add.u32",
                    text = ".visible .entry k" + std::to_string(list.size()) + "() {\n" +
                           registers + form + (opcode == "atom" ? " %r1," : "") +
                           " [%a0], %r2;\nret;\n}\n";
        bool exists = order.empty() || order == ".relaxed" || order == ".release" ||
                      (opcode == "atom" && (order == ".acquire" || order == ".acq_rel"));
        bool accepted = accepts(header + text);
        EXPECT_EQ(accepted, exists) << form;
        list.push_back({form, text, accepted});
      }
  for (std::string opcode : {"atom", "red"})
    for (std::string space : {".global", ".shared", ""})
      for (std::string hint : {"", ".L2::cache_hint", ".L2::128B", ".L1::evict_last", ".ca"})
        for (std::string policy : {"", ", %d1"}) {
          std::string form = opcode + space + ".add" + hint + ".u32" + policy,
                      text = ".visible .entry k" + std::to_string(list.size()) + "() {\n" +
                             registers + opcode + space + ".add" + hint + ".u32" +
                             (opcode == "atom" ? " %r1," : "") + " [%a0], %r2" + policy +
                             ";\nret;\n}\n";
          bool exists = hint.empty()
                            ? policy.empty()
                            : hint == ".L2::cache_hint" && !policy.empty() && space != ".shared";
          bool accepted = accepts(header + text);
          EXPECT_EQ(accepted, exists) << form;
          list.push_back({form, text, accepted});
        }
  if (std::system("ptxas --version >/dev/null 2>&1") != 0)
    return;
  std::string text = header;
  size_t lines = 3;
  std::vector<size_t> begins;
  for (const Candidate &c : list) {
    begins.push_back(lines + 1);
    lines += size_t(std::count(c.text.begin(), c.text.end(), '\n'));
    text += c.text;
  }
  std::string path = ::testing::TempDir() + "attnc_emu_atomics_" + std::to_string(getpid());
  std::ofstream(path + ".ptx") << text;
  EXPECT_NE(
      std::system(
          ("ptxas -O0 -arch=sm_100a -o /dev/null " + path + ".ptx >" + path + ".log 2>&1").c_str()),
      0);
  std::ifstream log(path + ".log");
  std::set<size_t> refused;
  for (std::string line; std::getline(log, line);)
    if (size_t at = line.find(", line "); at != line.npos)
      refused.insert(
          size_t(std::upper_bound(begins.begin(), begins.end(), std::stoul(line.substr(at + 7))) -
                 begins.begin()) -
          1);
  for (size_t i = 0; i < list.size(); ++i)
    EXPECT_EQ(list[i].accepted, !refused.count(i)) << list[i].name << " and ptxas disagree";
  remove((path + ".ptx").c_str());
  remove((path + ".log").c_str());
}

} // namespace
} // namespace attnc::emu::test
