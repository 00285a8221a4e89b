// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Instructions in which lanes or warps talk to each other: which forms exist, and each of them on
// random operands, among random members, against an oracle that looks at one lane at a time.
#include "FormGrid.h"
#include "InstructionTest.h"

namespace attnc::emu::test {
namespace {

class WarpGrid : public FormGrid {};

TEST_F(WarpGrid, ExchangesWithinAWarp) {
  std::set<std::string> tested;
  std::vector<std::string> grid;
  auto add = [&](const std::string &text, bool exists) {
    grid.push_back(text);
    if (exists)
      tested.insert(text);
  };
  const std::vector<std::string> types = {"b16", "b32", "b64", "u32", "s32",
                                          "f32", "f64", "u64", "pred"};
  auto reg = [](const std::string &t) -> std::string {
    return t == "pred"              ? "%p1"
           : t.find("16") != t.npos ? "%h1"
           : t.find("64") != t.npos ? "%d1"
                                    : "%r1";
  };
  for (const std::string &t : types) {
    for (std::string mode : {"up", "down", "bfly", "idx"})
      for (std::string p : {"", "|%p2"}) {
        add("shfl.sync." + mode + "." + t + " " + reg(t) + p + ", " + reg(t) + ", %r2, %r3, %r4;",
            t == "b32");
        add("shfl." + mode + "." + t + " " + reg(t) + p + ", " + reg(t) + ", %r2, %r3;", false);
      }
    for (std::string mode : {"all", "any", "uni", "ballot"})
      for (std::string p : {"%p2", "!%p2"})
        add("vote.sync." + mode + "." + t + " " + reg(t) + ", " + p + ", %r4;",
            t == (mode == "ballot" ? "b32" : "pred"));
    for (std::string mode : {"all", "any"})
      for (std::string p : {"", "|%p2"})
        add("match." + mode + ".sync." + t + " %r5" + p + ", " + reg(t) + ", %r4;",
            (t == "b32" || t == "b64") && (mode == "all" || p.empty()));
    for (std::string op : {"add", "min", "max", "and", "or", "xor"})
      for (std::string flag : {"", ".abs", ".NaN"})
        add("redux.sync." + op + flag + "." + t + " " + reg(t) + ", " + reg(t) + ", %r4;",
            flag.empty() &&
                (op == "and" || op == "or" || op == "xor" ? t == "b32" : t == "u32" || t == "s32"));
    add("activemask." + t + " " + reg(t) + ";", t == "b32");
    add("movmatrix.sync.aligned.m8n8.trans." + t + " %r1, %r2;", t == "b16");
    add("movmatrix.sync.aligned.m8n8." + t + " %r1, %r2;", false);
    for (std::string mode : {"", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"})
      add("prmt." + t + mode + " " + reg(t) + ", " + reg(t) + ", " + reg(t) + ", %r4;", t == "b32");
  }
  add("elect.sync %r1|%p1, %r2;", true);
  add("elect.sync _|%p1, %r2;", true);
  add("elect.sync %r1, %r2;", false);
  for (std::string mask : {"%r1", "-1", "0xff"})
    add("bar.warp.sync " + mask + ";", true);
  add("bar.warp.sync.aligned %r1;", false);
  expectExactly(grid, tested);
}

TEST_F(WarpGrid, Barriers) {
  std::set<std::string> tested;
  std::vector<std::string> grid;
  auto add = [&](const std::string &text, bool exists) {
    grid.push_back(text);
    if (exists)
      tested.insert(text);
  };
  for (std::string op : {"bar", "bar.cta", "barrier", "barrier.cta"})
    for (std::string aligned : {"", ".aligned"}) {
      bool named = aligned.empty() || op.substr(0, 4) == "barr";
      for (std::string at : {"0", "15", "16", "%r1"})
        for (std::string threads : {"", ", 64", ", 33", ", %r2"}) {
          bool fine = named && at != "16" && threads != ", 33";
          add(op + ".sync" + aligned + " " + at + threads + ";", fine);
          add(op + ".arrive" + aligned + " " + at + threads + ";", fine && !threads.empty());
          for (std::string red : {"popc.u32", "and.pred", "or.pred", "xor.pred", "popc.s32"})
            for (std::string p : {"%p2", "!%p2"}) {
              size_t dot = red.find('.');
              add(op + ".red." + red.substr(0, dot) + aligned + red.substr(dot) +
                      (red[0] == 'p' ? " %r5, " : " %p1, ") + at + threads + ", " + p + ";",
                  fine && red != "xor.pred" && red != "popc.s32");
            }
        }
    }
  for (std::string op : {"arrive", "wait"})
    for (std::string order : {"", ".relaxed", ".release", ".acquire"})
      for (std::string aligned : {"", ".aligned"})
        add("barrier.cluster." + op + order + aligned + ";",
            order.empty() || (order == ".acquire") == (op == "wait"));
  expectExactly(grid, tested);
}

/// What else sm_90 has, and the hints, of which nothing comes but errors.
TEST_F(WarpGrid, ClustersRegistersAndHints) {
  std::set<std::string> tested, notYet;
  std::vector<std::string> grid;
  auto add = [&](const std::string &text, bool exists) {
    grid.push_back(text);
    if (exists)
      tested.insert(text);
  };
  for (std::string space : {"", ".shared::cluster", ".shared::cta", ".shared", ".global"})
    for (std::string t : {"u32", "u64", "b32"}) {
      std::string bank = t == "u64" ? "%d" : "%r",
                  map = "mapa" + space + "." + t + " " + bank + "1, " + bank + "2, %r3;",
                  rank = "getctarank" + space + "." + t + " %r1, " + bank + "2;";
      bool exists = (t == "u32" || t == "u64") && (space.empty() || space == ".shared::cluster");
      // Generic addresses of 32 bits belong to .address_size 32.
      if (exists && space.empty() && t == "u32")
        notYet.insert({map, rank}), exists = false;
      add(map, exists), add(rank, exists);
    }
  for (std::string direction : {".inc", ".dec", ""})
    for (std::string sync : {".sync.aligned", ".sync", ""})
      for (std::string n : {"24", "40", "256", "16", "30", "264", "%r1"}) {
        add("setmaxnreg" + direction + sync + ".u32 " + n + ";",
            !direction.empty() && sync == ".sync.aligned" &&
                (n == "24" || n == "40" || n == "256"));
      }
  for (std::string form : {"fence", "commit_group", "wait_group"})
    for (std::string sync : {".sync.aligned", ".sync", ""})
      for (std::string n : {"", " 0", " 7", " %r1"}) {
        std::string text = "wgmma." + form + sync + n + ";";
        bool operand = form == "wait_group", fine = operand ? n == " 0" || n == " 7" : n.empty();
        if (fine && sync == ".sync") // the manual has .aligned everywhere
          notYet.insert(text);
        add(text, fine && sync == ".sync.aligned");
      }
  for (std::string space : {"", ".global", ".local", ".shared", ".const", ".param"})
    for (std::string level :
         {".L1", ".L2", ".L2::evict_last", ".L2::evict_normal", ".L2::evict_first", ".tensormap"})
      add("prefetch" + space + level + " [%d1];",
          level == ".tensormap" ? space.empty() || space == ".const" || space == ".param"
          : level.size() == 3
              ? space.empty() || space == ".global" || space == ".local"
              : level != ".L2::evict_first" && (space.empty() || space == ".global"));
  add("prefetchu.L1 [%d1];", true);
  add("prefetchu.L2 [%d1];", false);
  for (std::string space : {"", ".global", ".shared"})
    for (std::string bytes : {"128", "64"}) {
      bool fine = space != ".shared" && bytes == "128";
      add("applypriority" + space + ".L2::evict_normal [%d1], " + bytes + ";", fine);
      add("applypriority" + space + ".L2::evict_last [%d1], " + bytes + ";", false);
      add("discard" + space + ".L2 [%d1], " + bytes + ";", fine);
    }
  for (std::string n : {"%r1", "20"})
    add("nanosleep.u32 " + n + ";", true);
  add("nanosleep.u64 %d1;", false);
  for (std::string mask : {"", ".mask"})
    for (std::string n : {"3", "%r1"})
      add("pmevent" + mask + " " + n + ";", n == "3");
  for (std::string kind : {".fractional", ".range", ".range.global"})
    for (std::string first : {"last", "normal", "first", "unchanged"})
      for (std::string second : {"", "last", "normal", "first", "unchanged"}) {
        std::string form = "createpolicy" + kind + ".L2::evict_" + first +
                           (second.empty() ? "" : ".L2::evict_" + second) + ".b64 %d1",
                    range = kind == ".fractional" ? ", 0f3F800000" : ", [%d2], %r1, %r2";
        bool fine = second.empty() || second == "first" || second == "unchanged";
        add(form + range + ";", fine);
        if (second.empty())
          add(form + ";", kind == ".fractional");
      }
  add("createpolicy.cvt.L2.b64 %d1, %d2;", true);
  for (std::string level : {"", ".L2"})
    for (std::string space : {"", ".global"})
      for (bool policy : {false, true})
        for (std::string what : {"", ".tensor.1d", ".tensor.2d"}) {
          std::string where = what.empty()           ? "[%d1], %r3"
                              : what == ".tensor.1d" ? "[%d1, {%r10}]"
                                                     : "[%d1, {%r10,%r11}]";
          add("cp.async.bulk.prefetch" + what + level + space +
                  (policy ? ".L2::cache_hint " : " ") + where + (policy ? ", %d3;" : ";"),
              !level.empty() && !space.empty());
        }
  expectExactly(grid, tested, notYet);
}

/// Lanes of `members` execute an instruction on random values; all of them must agree with `f`.
class WarpForms : public Instructions {
protected:
  WarpForms() : Instructions("sm_90a") {}
  using Lanes = std::vector<uint64_t>;

  /// The instruction uses %r1 or %d1 (the value), %r2, %r3 (more words), %p1 (bit 0 of the value)
  /// and %r4 (the members), and leaves %r5 and %p2.
  void check(const std::string &text,
             std::function<std::pair<uint32_t, bool>(int lane, uint32_t members, const Lanes &value,
                                                     const Lanes &second, const Lanes &third)>
                 f,
             std::function<void(Lanes &, Lanes &, Lanes &)> prepare = nullptr,
             bool wholeWarp = false) {
    std::string ptx =
        ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 in, .param "
        ".u64 out, .param .u32 members) {\n.reg .b32 %r<10>;\n.reg .b64 %d<8>;\n.reg .pred %p<8>;\n"
        "ld.param.u64 %d2, [in];\nld.param.u64 %d3, [out];\nld.param.u32 %r4, [members];\n"
        "mov.u32 %r0, %tid.x;\nmul.wide.u32 %d4, %r0, 24;\nadd.u64 %d2, %d2, %d4;\n"
        "mul.wide.u32 %d4, %r0, 8;\nadd.u64 %d3, %d3, %d4;\nld.global.u64 %d1, [%d2];\n"
        "ld.global.u32 %r1, [%d2];\nld.global.u32 %r2, [%d2+8];\nld.global.u32 %r3, [%d2+16];\n"
        "and.b32 %r6, %r1, 1;\nsetp.ne.u32 %p1, %r6, 0;\nsetp.ne.u32 %p2, %r0, %r0;\n"
        "mov.u32 %r5, 0;\nshr.u32 %r6, %r4, %r0;\nand.b32 %r6, %r6, 1;\nsetp.eq.u32 %p3, %r6, 0;\n"
        "@%p3 bra END;\n" +
        text + "\nselp.u32 %r6, 1, 0, %p2;\nst.global.v2.u32 [%d3], {%r5,%r6};\nEND: ret;\n}\n";
    assemble(ptx);
    auto module = machine.load(ptx);
    std::mt19937_64 rng(17);
    for (int round = 0; round < 12; ++round) {
      uint32_t members = round < 4 || wholeWarp ? ~0u : uint32_t(rng()) | 1u << (rng() % 32);
      Lanes value(32), second(32), third(32);
      for (int l = 0; l < 32; ++l)
        value[l] = rng() >> (rng() % 64), second[l] = uint32_t(rng()), third[l] = uint32_t(rng());
      if (round % 2)
        for (int l = 0; l < 32; ++l) // few different values
          value[l] = round % 4 == 1 ? 5 : rng() % 3;
      if (prepare)
        prepare(value, second, third);
      std::vector<uint64_t> in;
      for (int l = 0; l < 32; ++l)
        in.insert(in.end(), {value[l], second[l], third[l]});
      uint64_t din = upload(in), dout = upload(std::vector<uint32_t>(64, 0xabcd));
      LaunchResult r = run(*module, "k", {{1}, {32}}, Params().add(din).add(dout).add(members));
      ASSERT_TRUE(r.ok) << text << r.report;
      auto got = download<uint32_t>(dout, 64);
      for (int l = 0; l < 32; ++l) {
        auto want = members >> l & 1 ? f(l, members, value, second, third)
                                     : std::pair<uint32_t, bool>{0xabcd, false};
        ASSERT_EQ(got[2 * l], want.first)
            << text << " lane " << l << " members " << std::hex << members;
        if (members >> l & 1) {
          ASSERT_EQ(got[2 * l + 1], uint32_t(want.second))
              << text << " lane " << l << " members " << std::hex << members;
        }
      }
    }
  }
};

TEST_F(WarpForms, Shuffles) {
  // The manual's pseudocode. Reading a lane that does not take part is undefined, and an error
  // here: such lanes are given a shift of zero, which reads the lane itself.
  for (std::string mode : {"up", "down", "bfly", "idx"})
    for (std::string p : {"", "|%p2"}) {
      auto source = [=](int lane, uint32_t b, uint32_t c) -> std::pair<int, bool> {
        int bval = int(b & 31), cval = int(c & 31), mask = int(c >> 8 & 31);
        int maxLane = (lane & mask) | (cval & ~mask), minLane = lane & mask, j;
        bool in;
        if (mode == "up")
          j = lane - bval, in = j >= maxLane;
        else if (mode == "down")
          j = lane + bval, in = j <= maxLane;
        else if (mode == "bfly")
          j = lane ^ bval, in = j <= maxLane;
        else
          j = minLane | (bval & ~mask), in = j <= maxLane;
        return {in ? j : lane, in};
      };
      check(
          "shfl.sync." + mode + ".b32 %r5" + p + ", %r1, %r2, %r3, %r4;",
          [=](int lane, uint32_t, const Lanes &value, const Lanes &b, const Lanes &c) {
            auto [j, in] = source(lane, uint32_t(b[lane]), uint32_t(c[lane]));
            return std::pair<uint32_t, bool>{uint32_t(value[j]), in && !p.empty()};
          },
          [=, members = uint64_t(0)](Lanes &, Lanes &b, Lanes &c) mutable {
            // The members are drawn as in check(), but not known here; even lanes only ever read
            // lane 0 or themselves, and the whole warp takes part in the first rounds.
            bool whole = members++ < 4;
            for (int l = 0; l < 32; ++l)
              if (!whole) {
                b[l] = mode == "idx" ? uint64_t(l) : 0;
                c[l] = mode == "up" ? 0 : 31;
              }
          });
    }
}

TEST_F(WarpForms, Votes) {
  for (bool negated : {false, true})
    for (std::string mode : {"all", "any", "uni", "ballot"})
      check("vote.sync." + mode + (mode == "ballot" ? ".b32 %r5, " : ".pred %p2, ") +
                (negated ? "!%p1" : "%p1") + ", %r4;",
            [=](int, uint32_t members, const Lanes &value, const Lanes &, const Lanes &) {
              uint32_t yes = 0;
              for (int l = 0; l < 32; ++l)
                if (members >> l & 1)
                  yes |= uint32_t((value[l] & 1) != negated) << l;
              if (mode == "ballot")
                return std::pair<uint32_t, bool>{yes, false};
              return std::pair<uint32_t, bool>{0, mode == "all"   ? yes == members
                                                  : mode == "any" ? yes != 0
                                                                  : yes == 0 || yes == members};
            });
}

TEST_F(WarpForms, Matches) {
  for (bool wide : {false, true}) {
    auto equal = [=](int lane, uint32_t members, const Lanes &value) {
      uint64_t mask = wide ? ~0ull : 0xffffffff;
      uint32_t same = 0;
      for (int l = 0; l < 32; ++l)
        if (members >> l & 1 && ((value[l] ^ value[lane]) & mask) == 0)
          same |= 1u << l;
      return same;
    };
    std::string type = wide ? ".b64 " : ".b32 ", from = wide ? "%d1" : "%r1";
    check("match.any.sync" + type + "%r5, " + from + ", %r4;",
          [=](int lane, uint32_t members, const Lanes &value, const Lanes &, const Lanes &) {
            return std::pair<uint32_t, bool>{equal(lane, members, value), false};
          });
    for (std::string p : {"", "|%p2"})
      check("match.all.sync" + type + "%r5" + p + ", " + from + ", %r4;",
            [=](int lane, uint32_t members, const Lanes &value, const Lanes &, const Lanes &) {
              bool all = equal(lane, members, value) == members;
              return std::pair<uint32_t, bool>{all ? members : 0, all && !p.empty()};
            });
  }
}

TEST_F(WarpForms, Reductions) {
  using Fold = std::function<int64_t(int64_t, int64_t)>;
  const std::pair<const char *, Fold> list[] = {
      {"add.u32", [](int64_t a, int64_t b) { return a + b; }},
      {"add.s32", [](int64_t a, int64_t b) { return a + b; }},
      {"min.u32", [](int64_t a, int64_t b) { return std::min(a, b); }},
      {"min.s32", [](int64_t a, int64_t b) { return std::min(a, b); }},
      {"max.u32", [](int64_t a, int64_t b) { return std::max(a, b); }},
      {"max.s32", [](int64_t a, int64_t b) { return std::max(a, b); }},
      {"and.b32", [](int64_t a, int64_t b) { return a & b; }},
      {"or.b32", [](int64_t a, int64_t b) { return a | b; }},
      {"xor.b32", [](int64_t a, int64_t b) { return a ^ b; }}};
  for (const auto &entry : list) {
    const std::string form = entry.first;
    const Fold &fold = entry.second;
    bool isSigned = form.find(".s") != std::string::npos;
    check("redux.sync." + form + " %r5, %r1, %r4;",
          [&, isSigned](int, uint32_t members, const Lanes &value, const Lanes &, const Lanes &) {
            bool first = true;
            int64_t result = 0;
            for (int l = 0; l < 32; ++l)
              if (members >> l & 1) {
                int64_t v = isSigned ? int64_t(int32_t(value[l])) : int64_t(uint32_t(value[l]));
                result = first ? v : fold(result, v);
                first = false;
              }
            return std::pair<uint32_t, bool>{uint32_t(result), false};
          });
  }
}

TEST_F(WarpForms, MasksAndElections) {
  check("activemask.b32 %r5;",
        [](int, uint32_t members, const Lanes &, const Lanes &, const Lanes &) {
          return std::pair<uint32_t, bool>{members, false};
        });
  auto lowest = [](uint32_t members) { return uint32_t(__builtin_ctz(members)); };
  check("elect.sync %r5|%p2, %r4;",
        [=](int lane, uint32_t members, const Lanes &, const Lanes &, const Lanes &) {
          return std::pair<uint32_t, bool>{lowest(members), uint32_t(lane) == lowest(members)};
        });
  check("elect.sync _|%p2, %r4;",
        [=](int lane, uint32_t members, const Lanes &, const Lanes &, const Lanes &) {
          return std::pair<uint32_t, bool>{0, uint32_t(lane) == lowest(members)};
        });
}

TEST_F(WarpForms, PermutationsOfBytes) {
  // The manual's tables; the low two bits of the selector count, except in the default mode.
  struct Mode {
    const char *name;
    int bytes[4][4]; ///< by selector, least significant first
  };
  const Mode modes[] = {{".f4e", {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}}},
                        {".b4e", {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}}},
                        {".rc8", {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}},
                        {".ecl", {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}}},
                        {".ecr", {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}}},
                        {".rc16", {{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}}}};
  auto byte = [](uint32_t a, uint32_t b, int i) {
    return uint32_t((uint64_t(b) << 32 | a) >> 8 * i & 0xff);
  };
  for (const Mode &m : modes)
    check(std::string("prmt.b32") + m.name + " %r5, %r1, %r2, %r3;",
          [&](int l, uint32_t, const Lanes &a, const Lanes &b, const Lanes &c) {
            uint32_t d = 0;
            for (int i = 0; i < 4; ++i)
              d |= byte(uint32_t(a[l]), uint32_t(b[l]), m.bytes[c[l] & 3][i]) << 8 * i;
            return std::pair<uint32_t, bool>{d, false};
          });
  check("prmt.b32 %r5, %r1, %r2, %r3;",
        [&](int l, uint32_t, const Lanes &a, const Lanes &b, const Lanes &c) {
          uint32_t d = 0;
          for (int i = 0; i < 4; ++i) {
            uint32_t select = uint32_t(c[l]) >> 4 * i & 15,
                     v = byte(uint32_t(a[l]), uint32_t(b[l]), int(select & 7));
            if (select & 8)
              v = v & 0x80 ? 0xff : 0;
            d |= v << 8 * i;
          }
          return std::pair<uint32_t, bool>{d, false};
        });
}

TEST_F(WarpForms, TransposedMatrices) {
  check(
      "movmatrix.sync.aligned.m8n8.trans.b16 %r5, %r1;",
      [](int lane, uint32_t, const Lanes &value, const Lanes &, const Lanes &) {
        auto element = [&](int row, int column) {
          return uint32_t(value[4 * row + column / 2] >> 16 * (column % 2) & 0xffff);
        };
        int row = lane / 4, column = lane % 4 * 2;
        return std::pair<uint32_t, bool>{element(column, row) | element(column + 1, row) << 16,
                                         false};
      },
      nullptr, true);
}

/// Each warp contributes predicates; warps of the count take part, the others do not.
TEST_F(WarpForms, ReductionsAcrossABarrier) {
  for (std::string op : {"bar", "bar.cta", "barrier", "barrier.cta"})
    for (std::string aligned : {"", ".aligned"})
      for (std::string red : {"popc.u32", "and.pred", "or.pred"})
        for (std::string p : {"%p1", "!%p1"})
          for (bool counted : {false, true}) {
            if (!aligned.empty() && op.substr(0, 7) != "barrier")
              continue;
            size_t dot = red.find('.');
            std::string form = op + ".red." + red.substr(0, dot) + aligned + red.substr(dot),
                        result = red[0] == 'p' ? "%r5" : "%p2";
            std::string text =
                ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 "
                "in, .param .u64 out) {\n.reg .b32 %r<10>;\n.reg .b64 %d<8>;\n.reg .pred %p<8>;\n"
                "ld.param.u64 %d0, [in];\nld.param.u64 %d1, [out];\nmov.u32 %r0, %tid.x;\n"
                "mul.wide.u32 %d2, %r0, 4;\nadd.u64 %d0, %d0, %d2;\nadd.u64 %d1, %d1, %d2;\n"
                "ld.global.u32 %r1, [%d0];\nsetp.ne.u32 %p1, %r1, 0;\nmov.u32 %r2, 3;\n"
                "mov.u32 %r3, 64;\nsetp.ge.u32 %p3, %r0, " +
                std::string(counted ? "64" : "96") + ";\n@%p3 bra END;\n" + form + " " + result +
                ", %r2, " + (counted ? "%r3, " : "") + p + ";\n" +
                (red[0] == 'p' ? "" : "selp.u32 %r5, 1, 0, %p2;\n") +
                "st.global.u32 [%d1], %r5;\nEND: ret;\n}\n";
            auto module = machine.load(text);
            for (int density : {0, 1, 3, 100}) {
              std::vector<uint32_t> in(96);
              std::mt19937 rng(7);
              int members = counted ? 64 : 96, yes = 0;
              for (int i = 0; i < 96; ++i) {
                in[i] = density == 100 || (density && rng() % unsigned(density + 1) == 0);
                yes += i < members && (in[i] != 0) == (p[0] != '!');
              }
              uint32_t want = red[0] == 'p'   ? uint32_t(yes)
                              : red[0] == 'a' ? yes == members
                                              : yes != 0;
              uint64_t din = upload(in), dout = reserve<uint32_t>(96);
              LaunchResult r = run(*module, "k", {{1}, {96}}, Params().add(din).add(dout));
              ASSERT_TRUE(r.ok) << form << r.report;
              EXPECT_EQ(download<uint32_t>(dout, size_t(members)),
                        std::vector<uint32_t>(size_t(members), want))
                  << form << " " << p << " " << density;
            }
          }
}

} // namespace
} // namespace attnc::emu::test
