// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The forms of ld, st, cp.async and fences: which exist, and that each moves the bytes it says.
#include "FormGrid.h"
#include "InstructionTest.h"

namespace attnc::emu::test {
namespace {

struct MemoryForm {
  std::string text;  ///< with %d1 or %r1 as address, data in %h8.., %r8.., %d8.. or %q4
  std::string space; ///< as spelled
  std::string type;
  int count = 1;
  bool store = false;
};

int bytesOf(const std::string &type) { return std::stoi(type.substr(1)) / 8; }
char bankOf(const std::string &type) {
  int b = bytesOf(type);
  return b <= 2 ? 'h' : b == 4 ? 'r' : b == 8 ? 'd' : 'q';
}
MemoryForm memoryForm(bool store, const std::string &before, const std::string &space,
                      const std::string &after, int count, const std::string &type,
                      const std::string &policy = "") {
  MemoryForm f{"", space, type, count, store};
  std::string data;
  for (int i = 0; i < count; ++i)
    data += (i ? ",%" : "%") + std::string(1, bankOf(type)) + std::to_string(8 + i);
  if (count > 1)
    data = "{" + data + "}";
  f.text = std::string(store ? "st" : "ld") + before + space + after +
           (count > 1 ? ".v" + std::to_string(count) : "") + "." + type + " " +
           (store ? "[%d1], " + data : data + ", [%d1]") + policy + ";";
  return f;
}

const std::vector<std::string> types = {"b8",  "b16", "b32", "b64", "u8",  "u16", "u32",
                                        "u64", "s8",  "s16", "s32", "s64", "f32", "f64"};
const std::vector<std::string> spaces = {
    "", ".global", ".shared", ".shared::cta", ".shared::cluster", ".local"};

/// Widths, vectors and spaces; then orderings; then hints, which change nothing.
std::vector<MemoryForm> memoryForms() {
  std::vector<MemoryForm> list;
  for (bool store : {false, true}) {
    for (const std::string &space : spaces) {
      for (int count : {1, 2, 4})
        for (const std::string &type : types)
          if (count * bytesOf(type) <= 16)
            list.push_back(memoryForm(store, "", space, "", count, type));
      list.push_back(memoryForm(store, "", space, "", 1, "b128"));
      for (int count : {1, 2}) {
        list.push_back(memoryForm(store, ".weak", space, "", count, "u32"));
        if (space == ".local")
          continue;
        list.push_back(memoryForm(store, ".volatile", space, "", count, "u32"));
        for (std::string order : {".relaxed", store ? ".release" : ".acquire"})
          for (std::string scope : {".cta", ".cluster", ".gpu", ".sys"})
            list.push_back(memoryForm(store, order + scope, space, "", count, "u32"));
      }
      if (space.empty() || space == ".global")
        list.push_back(memoryForm(store, ".mmio.relaxed.sys", space, "", 1, "u32"));
    }
    std::vector<std::string> operators =
        store ? std::vector<std::string>{".cg", ".cs", ".wb", ".wt"}
              : std::vector<std::string>{".ca", ".cg", ".cs", ".lu", ".cv"};
    for (const std::string &space : spaces)
      for (const std::string &hint : operators)
        list.push_back(memoryForm(store, "", space, hint, 1, "u32"));
    for (std::string space : {"", ".global"})
      for (std::string first : {"", ".L1::evict_normal", ".L1::evict_unchanged", ".L1::evict_first",
                                ".L1::evict_last", ".L1::no_allocate"})
        for (bool policy : {false, true})
          for (std::string prefetch : {"", ".L2::64B", ".L2::128B", ".L2::256B"}) {
            if (store && !prefetch.empty())
              continue;
            for (bool constant : {false, true})
              if (!constant || (!store && space == ".global"))
                list.push_back(memoryForm(store, "", space,
                                          (constant ? ".nc" : "") + first +
                                              (policy ? ".L2::cache_hint" : "") + prefetch,
                                          1, "u32", policy ? ", %d3" : ""));
          }
  }
  for (std::string hint : {".ca", ".cg", ".cs"})
    list.push_back(memoryForm(false, "", ".global", hint + ".nc", 1, "u32"));
  return list;
}

class MemoryGrid : public FormGrid {};

TEST_F(MemoryGrid, LoadsAndStores) {
  std::set<std::string> tested;
  for (const MemoryForm &f : memoryForms())
    tested.insert(f.text);
  std::vector<std::string> grid;
  auto add = [&](const MemoryForm &f) { grid.push_back(f.text); };
  for (bool store : {false, true}) {
    for (const std::string &space : spaces) {
      for (int count : {1, 2, 4, 8})
        for (std::string type : {"b8", "b16", "b32", "b64", "b128", "u8", "u16", "u32", "u64", "s8",
                                 "s16", "s32", "s64", "f16", "f32", "f64"})
          add(memoryForm(store, "", space, "", count, type));
      for (std::string order :
           {"", ".weak", ".volatile", ".relaxed", ".acquire", ".release", ".acq_rel"})
        for (std::string scope : {"", ".cta", ".cluster", ".gpu", ".sys"}) {
          add(memoryForm(store, ".mmio" + order + scope, space, "", 1, "u32"));
          add(memoryForm(store, order + scope, space, "", 1, "u32"));
          add(memoryForm(store, order + scope, space, "", 2, "u32"));
        }
      for (std::string hint : {".ca", ".cg", ".cs", ".lu", ".cv", ".wb", ".wt"})
        for (std::string constant : {"", ".nc"})
          for (std::string order : {"", ".relaxed.gpu", ".volatile"})
            add(memoryForm(store, order, space, hint + constant, 1, "u32"));
      for (std::string first : {"", ".L1::evict_normal", ".L1::evict_unchanged", ".L1::evict_first",
                                ".L1::evict_last", ".L1::no_allocate"})
        for (bool policy : {false, true})
          for (std::string prefetch : {"", ".L2::64B", ".L2::128B", ".L2::256B"})
            for (std::string constant : {"", ".nc"})
              add(memoryForm(store, "", space,
                             constant + first + (policy ? ".L2::cache_hint" : "") + prefetch, 1,
                             "u32", policy ? ", %d3" : ""));
    }
  }
  // The manual has vectors of eight for 32-bit elements only. ptxas takes narrow ones and then,
  // when the values are used, crashes.
  std::set<std::string> notYet;
  for (const std::string &text : grid)
    for (std::string type : {"b8 ", "u8 ", "s8 ", "b16 ", "u16 ", "s16 "})
      if (text.find(".v8." + type) != text.npos)
        notYet.insert(text);
  expectExactly(grid, tested, notYet);
}

/// Each lane's datum of 16 bytes travels by one form, with everything else by plain words.
class MemoryForms : public Instructions {
protected:
  MemoryForms() : Instructions("sm_90a") {}
  static std::string kernel(size_t index, const MemoryForm &f) {
    std::string s = ".visible .entry k" + std::to_string(index) +
                    "(.param .u64 in, .param .u64 out) {\n.reg .b16 %h<16>;\n.reg .b32 %r<20>;\n"
                    ".reg .b64 %d<20>;\n.reg .b128 %q<10>;\n.shared .align 16 .b8 there[512];\n"
                    ".local .align 16 .b8 mine[16];\nld.param.u64 %d4, [in];\n"
                    "ld.param.u64 %d5, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %d6, %r0, 16;\n"
                    "add.u64 %d4, %d4, %d6;\nadd.u64 %d5, %d5, %d6;\nmov.u64 %d3, 0;\n"
                    "mov.u64 %d7, there;\nadd.u64 %d7, %d7, %d6;\n";
    bool shared = f.space.find("shared") != f.space.npos, local = f.space == ".local";
    std::string place = shared  ? ".shared"
                        : local ? ".local"
                                : ".global",
                from = f.store ? "%d4" : "%d5"; // of what stays where it is
    s += shared  ? "mov.u64 %d1, %d7;\n"
         : local ? "mov.u64 %d1, mine;\n"
                 : std::string("mov.u64 %d1, ") + (f.store ? "%d5" : "%d4") + ";\n";
    auto words = [&](const std::string &to, const std::string &toSpace, const std::string &source,
                     const std::string &fromSpace) {
      s += "ld" + fromSpace + ".v4.b32 {%r1,%r2,%r3,%r4}, [" + source + "];\nst" + toSpace +
           ".v4.b32 [" + to + "], {%r1,%r2,%r3,%r4};\n";
    };
    bool apart = shared || local; // the datum is not in `in` or `out` itself
    if (apart)                    // a store overwrites what `out` had, a load reads what `in` has
      words("%d1", place, f.store ? "%d5" : "%d4", ".global");
    std::string bank(1, bankOf(f.type));
    int n = bytesOf(f.type);
    for (int i = 0; i < f.count; ++i) {
      std::string reg = "%" + bank + std::to_string(8 + i),
                  where = "[" + from + "+" + std::to_string(i * n) + "];\n";
      if (f.store)
        s += "ld.global.b" + std::to_string(8 * n) + " " + reg + ", " + where;
    }
    s += f.text + "\n";
    // Loaded values are stored with the width of their register, to see how they are extended.
    for (int i = 0; i < f.count && !f.store; ++i) {
      int wide = bank == "h" ? 2 : n;
      s += "st.global.b" + std::to_string(8 * wide) + " [%d5+" + std::to_string(i * wide) + "], %" +
           bank + std::to_string(8 + i) + ";\n";
    }
    if (f.store && apart)
      words("%d5", ".global", "%d1", place);
    return s + "ret;\n}\n";
  }
};

TEST_F(MemoryForms, MoveTheBytesTheySay) {
  auto forms = memoryForms();
  std::string text = ".version 9.0\n.target sm_90a\n.address_size 64\n";
  for (size_t i = 0; i < forms.size(); ++i)
    text += kernel(i, forms[i]);
  assemble(text);
  auto module = machine.load(text);
  std::mt19937_64 rng(3);
  std::vector<uint8_t> in(512), out(512);
  for (auto *v : {&in, &out})
    for (auto &byte : *v)
      byte = uint8_t(rng());
  uint64_t din = upload(in), dout = upload(out);
  for (size_t i = 0; i < forms.size(); ++i) {
    const MemoryForm &f = forms[i];
    ASSERT_TRUE(machine.memory().write(dout, out.data(), out.size()));
    LaunchResult r =
        run(*module, ("k" + std::to_string(i)).c_str(), {{1}, {32}}, Params().add(din).add(dout));
    ASSERT_TRUE(r.ok) << f.text << "\n" << r.report;
    auto want = out;
    int n = bytesOf(f.type), wide = n == 1 && !f.store ? 2 : n;
    for (size_t l = 0; l < 32; ++l)
      for (size_t e = 0; e < size_t(f.count); ++e)
        for (size_t b = 0; b < size_t(wide); ++b) {
          const uint8_t *from = &in[16 * l + e * size_t(n)];
          uint8_t extension = f.type[0] == 's' && from[n - 1] & 0x80 ? 0xff : 0;
          want[16 * l + e * size_t(wide) + b] = b < size_t(n) ? from[b] : extension;
        }
    ASSERT_EQ(download<uint8_t>(dout, 512), want) << f.text;
  }
}

//===-- cp.async ---------------------------------------------------------------------------------//

struct CopyForm {
  std::string name;
  int size, extra; ///< extra: 0 none, 1 source size, 2 constant source size, 3 and 4 ignore-src
  bool policy;
};
std::string spelled(const CopyForm &f) {
  const char *extras[] = {"", ", %r2", ", 3", ", %p1", ", !%p1"};
  return f.name + " [%r1], [%d1], " + std::to_string(f.size) + extras[f.extra] +
         (f.policy ? ", %d3" : "") + ";";
}
std::vector<CopyForm> copyForms() {
  std::vector<CopyForm> list;
  for (std::string op : {".ca", ".cg"})
    for (std::string space : {".shared", ".shared::cta"})
      for (bool policy : {false, true})
        for (std::string prefetch : {"", ".L2::64B", ".L2::128B", ".L2::256B"})
          for (int size : {4, 8, 16})
            for (int extra = 0; extra < 5; ++extra)
              if (op == ".ca" || size == 16)
                list.push_back({"cp.async" + op + space + ".global" +
                                    (policy ? ".L2::cache_hint" : "") + prefetch,
                                size, extra, policy});
  return list;
}

TEST_F(MemoryGrid, AsynchronousCopiesAndFences) {
  std::set<std::string> tested, notYet;
  for (const CopyForm &f : copyForms())
    tested.insert(spelled(f));
  std::vector<std::string> grid;
  for (std::string op : {"", ".ca", ".cg", ".cs"})
    for (std::string space : {".shared.global", ".shared::cta.global", ".shared::cluster.global",
                              ".global.shared", ".global"})
      for (bool policy : {false, true})
        for (std::string prefetch : {"", ".L2::64B", ".L2::128B", ".L2::256B"})
          for (int size : {2, 4, 8, 12, 16, 32})
            for (int extra = 0; extra < 5; ++extra)
              grid.push_back(
                  spelled({"cp.async" + op + space + (policy ? ".L2::cache_hint" : "") + prefetch,
                           size, extra, policy}));
  auto add = [&](const std::string &text, bool exists) {
    grid.push_back(text);
    if (exists)
      tested.insert(text);
  };
  for (std::string n : {"0", "3", "%r1"})
    for (std::string form :
         {"cp.async.wait_group ", "cp.async.bulk.wait_group ", "cp.async.bulk.wait_group.read "})
      add(form + n + ";", n[0] != '%');
  for (std::string form :
       {"cp.async.wait_all", "cp.async.commit_group", "cp.async.bulk.commit_group"}) {
    add(form + ";", true);
    add(form + " 0;", false);
  }
  for (std::string noinc : {"", ".noinc"})
    for (std::string space : {"", ".shared", ".shared::cta", ".shared::cluster"})
      add("cp.async.mbarrier.arrive" + noinc + space + ".b64 [" + (space.empty() ? "%d1" : "%r1") +
              "];",
          space != ".shared::cluster");
  // Fences: events for the checks, which CheckTest and ClusterTest hold them to.
  for (std::string order : {"", ".sc", ".acq_rel", ".acquire", ".release", ".relaxed"})
    for (std::string scope : {"", ".cta", ".cluster", ".gpu", ".sys", ".gl"})
      add("fence" + order + scope + ";", order != ".relaxed" && !scope.empty() && scope != ".gl");
  for (std::string scope : {"", ".cta", ".cluster", ".gpu", ".sys", ".gl"})
    add("membar" + scope + ";", scope == ".cta" || scope == ".sys" || scope == ".gl");
  for (std::string space : {"", ".global", ".shared", ".shared::cta", ".shared::cluster"}) {
    add("fence.proxy.async" + space + ";", space != ".shared");
    add("fence.proxy.alias" + space + ";", space.empty());
  }
  add("membar.proxy.alias;", true);
  add("membar.proxy.async;", false);
  for (std::string order : {".release", ".acquire"})
    for (std::string scope : {"", ".cta", ".cluster", ".gpu", ".sys"})
      for (std::string range : {"", " [%d1], 128", " [%d1], 64"})
        add("fence.proxy.tensormap::generic" + order + scope + range + ";",
            !scope.empty() && range == (order == ".acquire" ? " [%d1], 128" : ""));
  for (std::string order : {"", ".release", ".acquire"})
    for (std::string scope : {"", ".cta", ".cluster"})
      add("fence.mbarrier_init" + order + scope + ";", order == ".release" && scope == ".cluster");
  for (auto [order, space] : {std::pair{".release", "cta"}, {".acquire", "cluster"}})
    for (std::string proxy : {"", ".proxy.async::generic"}) {
      std::string text = "fence" + proxy + order + ".sync_restrict::shared::" + space + ".cluster;";
      grid.push_back(text);
      notYet.insert(text);
    }
  for (std::string form : {"griddepcontrol.wait", "griddepcontrol.launch_dependents"}) {
    add(form + ";", true);
    add(form + " %r1;", false);
  }
  add("griddepcontrol;", false);
  expectExactly(grid, tested, notYet);
}

TEST_F(MemoryForms, AsynchronousCopiesAgreeWithTheOracle) {
  auto forms = copyForms();
  std::string text = ".version 9.0\n.target sm_90a\n.address_size 64\n";
  for (size_t i = 0; i < forms.size(); ++i)
    text += ".visible .entry k" + std::to_string(i) +
            "(.param .u64 in, .param .u64 out) {\n.reg .b32 %r<20>;\n.reg .b64 %d<20>;\n"
            ".reg .pred %p<4>;\n.shared .align 16 .b8 there[512];\nld.param.u64 %d1, [in];\n"
            "ld.param.u64 %d2, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %d4, %r0, 16;\n"
            "add.u64 %d1, %d1, %d4;\nadd.u64 %d2, %d2, %d4;\nshl.b32 %r3, %r0, 4;\n"
            "mov.u32 %r1, there;\nadd.u32 %r1, %r1, %r3;\nmov.u64 %d3, 0;\n"
            "rem.u32 %r2, %r0, " +
            std::to_string(forms[i].size + 1) +
            ";\nand.b32 %r4, %r0, 2;\nsetp.ne.u32 %p1, %r4, 0;\n"
            "ld.global.v4.u32 {%r5,%r6,%r7,%r8}, [%d2];\nst.shared.v4.u32 [%r1], "
            "{%r5,%r6,%r7,%r8};\n" +
            spelled(forms[i]) +
            "\ncp.async.wait_all;\nld.shared.v4.u32 {%r5,%r6,%r7,%r8}, [%r1];\n"
            "st.global.v4.u32 [%d2], {%r5,%r6,%r7,%r8};\nret;\n}\n";
  assemble(text);
  auto module = machine.load(text);
  std::mt19937_64 rng(4);
  std::vector<uint8_t> in(512), out(512);
  for (auto *v : {&in, &out})
    for (auto &byte : *v)
      byte = uint8_t(1 + rng() % 255);
  uint64_t din = upload(in), dout = upload(out);
  for (size_t i = 0; i < forms.size(); ++i)
    for (Delivery delivery : {Delivery::Early, Delivery::Late}) {
      const CopyForm &f = forms[i];
      machine.options().delivery = delivery;
      ASSERT_TRUE(machine.memory().write(dout, out.data(), out.size()));
      LaunchResult r =
          run(*module, ("k" + std::to_string(i)).c_str(), {{1}, {32}}, Params().add(din).add(dout));
      ASSERT_TRUE(r.ok) << spelled(f) << "\n" << r.report;
      auto want = out;
      for (int l = 0; l < 32; ++l) { // what is not read of the source is zero
        bool odd = l & 2;
        int read = f.extra == 1   ? l % (f.size + 1)
                   : f.extra == 2 ? 3
                   : f.extra == 3 ? (odd ? 0 : f.size)
                   : f.extra == 4 ? (odd ? f.size : 0)
                                  : f.size;
        for (int b = 0; b < f.size; ++b)
          want[size_t(16 * l + b)] = b < read ? in[size_t(16 * l + b)] : 0;
      }
      ASSERT_EQ(download<uint8_t>(dout, 512), want) << spelled(f);
    }
}

} // namespace
} // namespace attnc::emu::test
