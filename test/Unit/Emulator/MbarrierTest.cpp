// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every form of mbarrier, in long random sequences that one thread executes: states, answers and
// counts are compared with a model of the object, whose three numbers the manual describes. How
// mbarriers order memory is in HopperTest.cpp and ClusterTest.cpp.
#include "FormGrid.h"
#include "InstructionTest.h"

#include <deque>

namespace attnc::emu::test {
namespace {

/// The operands are the same everywhere: the mbarrier in %r1 or, for generic addresses, %d1;
/// counts, bytes and parities in %r2, states in %d2, answers in %p1, the time limit in %r5.
std::string address(const std::string &space) { return space.empty() ? "[%d1]" : "[%r1]"; }

struct MbarrierForms {
  std::vector<std::string> init, inval, expect, complete, arrive, test, attempt;
  MbarrierForms() {
    const std::vector<std::string> own = {"", ".shared", ".shared::cta"},
                                   all = {"", ".shared", ".shared::cta", ".shared::cluster"};
    for (const std::string &s : own) {
      init.push_back("mbarrier.init" + s + ".b64 " + address(s) + ", %r2;");
      inval.push_back("mbarrier.inval" + s + ".b64 " + address(s) + ";");
    }
    for (const std::string &s : all)
      for (std::string order : {"", ".relaxed.cta", ".relaxed.cluster"}) {
        expect.push_back("mbarrier.expect_tx" + order + s + ".b64 " + address(s) + ", %r2;");
        complete.push_back("mbarrier.complete_tx" + order + s + ".b64 " + address(s) + ", %r2;");
      }
    for (std::string op : {"arrive", "arrive_drop"})
      for (std::string kind : {"", ".expect_tx", ".noComplete"})
        for (std::string order :
             {"", ".release.cta", ".release.cluster", ".relaxed.cta", ".relaxed.cluster"})
          for (const std::string &s : all)
            for (std::string state : {"_", "%d2"})
              for (std::string count : {"", ", %r2"}) {
                if ((count.empty() && !kind.empty()) || (s == all[3] && state != "_") ||
                    (kind == ".noComplete" &&
                     (s == all[3] || (!order.empty() && order != ".release.cta"))))
                  continue;
                arrive.push_back("mbarrier." + op + kind + order + s + ".b64 " + state + ", " +
                                 address(s) + count + ";");
              }
    for (bool tries : {false, true})
      for (bool parity : {false, true})
        for (std::string order :
             {"", ".acquire.cta", ".acquire.cluster", ".relaxed.cta", ".relaxed.cluster"})
          for (const std::string &s : own)
            for (std::string hint : {"", ", %r5"})
              if (tries || hint.empty())
                (tries ? attempt : test)
                    .push_back(std::string("mbarrier.") + (tries ? "try_wait" : "test_wait") +
                               (parity ? ".parity" : "") + order + s + ".b64 %p1, " + address(s) +
                               ", " + (parity ? "%r2" : "%d2") + hint + ";");
  }
};

class MbarrierGrid : public FormGrid {};

TEST_F(MbarrierGrid, ExactlyTheFormsThatExist) {
  MbarrierForms forms;
  std::set<std::string> tested = {"mbarrier.pending_count.b64 %r1, %d1;"};
  for (const auto &list : {forms.init, forms.inval, forms.expect, forms.complete, forms.arrive,
                           forms.test, forms.attempt})
    tested.insert(list.begin(), list.end());
  std::vector<std::string> grid = {"mbarrier.pending_count.b64 %r1, %d1;",
                                   "mbarrier.pending_count.shared.b64 %r1, %d1;"};
  const std::vector<std::string> spaces = {"", ".shared", ".shared::cta", ".shared::cluster"},
                                 orders = {"", ".relaxed", ".release", ".acquire"},
                                 scopes = {"", ".cta", ".cluster", ".gpu"};
  for (const std::string &s : spaces) {
    grid.push_back("mbarrier.init" + s + ".b64 " + address(s) + ", %r2;");
    grid.push_back("mbarrier.init.relaxed.cta" + s + ".b64 " + address(s) + ", %r2;");
    grid.push_back("mbarrier.inval" + s + ".b64 " + address(s) + ";");
    for (const std::string &order : orders)
      for (const std::string &scope : scopes) {
        for (std::string op : {"expect_tx", "complete_tx"})
          grid.push_back("mbarrier." + op + order + scope + s + ".b64 " + address(s) + ", %r2;");
        for (std::string op : {"arrive", "arrive_drop"})
          for (std::string kind : {"", ".expect_tx", ".noComplete", ".expect_tx.noComplete"})
            for (std::string state : {"", "_, ", "%d2, "})
              for (std::string count : {"", ", %r2"})
                grid.push_back("mbarrier." + op + kind + order + scope + s + ".b64 " + state +
                               address(s) + count + ";");
        for (std::string op : {"test_wait", "try_wait"})
          for (bool parity : {false, true})
            for (std::string hint : {"", ", %r5"})
              grid.push_back("mbarrier." + op + (parity ? ".parity" : "") + order + scope + s +
                             ".b64 %p1, " + address(s) + ", " + (parity ? "%r2" : "%d2") + hint +
                             ";");
      }
  }
  expectExactly(grid, tested);
}

/// The object, as the manual describes it.
struct Model {
  int expected = 0, pending = 0, bytes = 0;
  unsigned phase = 0;
  void test() {
    if (pending == 0 && bytes == 0)
      ++phase, pending = expected;
  }
};

class Mbarriers : public Instructions {
protected:
  Mbarriers() : Instructions("sm_90a") {}
  static std::string kernel(const std::string &name, const std::string &body) {
    return ".visible .entry " + name +
           "(.param .u64 out) {\n.reg .b32 %r<40>;\n.reg .b64 %d<40>;\n.reg .pred %p<4>;\n"
           ".shared .align 8 .b64 bar;\nld.param.u64 %d20, [out];\nmov.u32 %r1, bar;\n"
           "cvt.u64.u32 %d1, %r1;\ncvta.shared.u64 %d1, %d1;\nmov.u32 %r5, 100;\n" +
           body + "ret;\n}\n";
  }
  LaunchResult execute(const std::string &body, uint64_t out) {
    std::string text = ".version 9.0\n.target sm_90a\n.address_size 64\n" + kernel("k", body);
    assemble(text);
    return run(*machine.load(text), "k", {{1}, {1}}, Params().add(out));
  }
};

TEST_F(Mbarriers, RandomSequencesAgreeWithTheModel) {
  MbarrierForms forms;
  std::mt19937 rng(5);
  auto below = [&](int n) { return int(rng() % unsigned(n)); };
  std::string body;
  std::vector<uint32_t> want;
  std::set<std::string> executed;
  Model m;
  std::deque<std::pair<int, unsigned>> states; ///< register %d<10..17> and phase, of arrivals
  int nextState = 0;
  auto emit = [&](const std::string &form, int value) {
    body += "mov.u32 %r2, " + std::to_string(value) + ";\n" + form + "\n";
    executed.insert(form);
  };
  auto record = [&](const std::string &reg, uint32_t value) {
    body += "st.global.u32 [%d20+" + std::to_string(4 * want.size()) + "], " + reg + ";\n";
    want.push_back(value);
  };
  auto any = [&](const std::vector<std::string> &list) {
    return list[size_t(below(int(list.size())))];
  };
  auto begin = [&] {
    m = Model();
    m.expected = m.pending = 1 + below(20);
    states.clear();
    emit(any(forms.init), m.expected);
  };
  /// Ends the phase with ordinary arrivals, so that the next instruction has room.
  auto finishPhase = [&] {
    unsigned phase = m.phase;
    while (m.phase == phase) {
      if (m.bytes > 0) {
        emit(any(forms.complete), m.bytes);
        m.bytes = 0;
      } else if (m.bytes < 0) {
        emit(any(forms.expect), -m.bytes);
        m.bytes = 0;
      } else {
        emit("mbarrier.arrive.shared.b64 _, [%r1], %r2;", m.pending);
        m.pending = 0;
      }
      m.test();
    }
  };
  auto arrive = [&](const std::string &form) {
    bool drop = form.find("_drop") != form.npos, expects = form.find("expect_tx") != form.npos,
         noComplete = form.find("noComplete") != form.npos,
         counted = !expects && form.find("%r2") != form.npos, state = form.find("%d2") != form.npos;
    while (m.pending < (noComplete ? 2 : 1) || (drop && m.expected < 4)) {
      if (m.expected < 4) {
        emit(any(forms.inval), 0);
        begin();
      } else {
        finishPhase();
      }
    }
    int count = 1, bytes = 0;
    if (counted)
      count = 1 + below(noComplete ? m.pending - 1 : m.pending);
    if (drop && m.expected - count < 2)
      count = 1;
    if (expects)
      m.bytes += bytes = below(1000);
    // Bytes that came too early must be expected before the last arrival.
    if (m.bytes < 0 && count == m.pending) {
      emit(any(forms.expect), -m.bytes);
      m.bytes = bytes;
    }
    emit(form, expects ? bytes : count);
    if (state) {
      body += "mbarrier.pending_count.b64 %r6, %d2;\nmov.b64 %d" + std::to_string(10 + nextState) +
              ", %d2;\n";
      record("%r6", uint32_t(m.pending));
      states.push_back({10 + nextState, m.phase});
      nextState = (nextState + 1) % 8;
      if (states.size() > 8)
        states.pop_front();
    }
    m.expected -= drop ? count : 0;
    m.pending -= count;
    m.test();
  };
  auto wait = [&](const std::string &form, bool tries) {
    bool parity = form.find(".parity") != form.npos;
    int value = below(2);
    unsigned phase = 0;
    if (!parity) {
      while (!states.empty() && m.phase > states.front().second + 1)
        states.pop_front();
      if (states.empty())
        arrive("mbarrier.arrive.b64 %d2, [%d1];");
      auto [reg, of] = states[size_t(below(int(states.size())))];
      phase = of;
      if (tries && m.phase == phase)
        finishPhase();
      body += "mov.b64 %d2, %d" + std::to_string(reg) + ";\n";
    } else if (tries) {
      value = int(m.phase & 1) ^ 1; // the phase before this one
    }
    emit(form, value);
    body += "selp.u32 %r6, 1, 0, %p1;\n";
    record("%r6", parity ? (m.phase & 1) != unsigned(value) : m.phase != phase);
  };
  begin();
  std::vector<std::string> order;
  for (int round = 0; round < 3; ++round) {
    for (const auto &list :
         {forms.expect, forms.complete, forms.arrive, forms.test, forms.attempt, forms.inval})
      order.insert(order.end(), list.begin(), list.end());
  }
  std::shuffle(order.begin(), order.end(), rng);
  auto contains = [](const std::vector<std::string> &list, const std::string &s) {
    return std::find(list.begin(), list.end(), s) != list.end();
  };
  for (const std::string &form : order) {
    if (contains(forms.arrive, form)) {
      arrive(form);
    } else if (contains(forms.test, form) || contains(forms.attempt, form)) {
      wait(form, contains(forms.attempt, form));
    } else if (contains(forms.inval, form)) {
      emit(form, 0);
      begin();
    } else {
      if (m.pending == 0) // what is still to come completes the phase
        finishPhase();
      int bytes = below(500);
      emit(form, bytes);
      m.bytes += contains(forms.expect, form) ? bytes : -bytes;
      m.test();
    }
    if (m.bytes > 100000 || m.bytes < -100000)
      finishPhase();
  }
  for (const std::string &form : forms.init)
    emit(forms.inval[0], 0), emit(form, 1);
  uint64_t out = reserve<uint32_t>(want.size());
  LaunchResult r = execute(body, out);
  ASSERT_TRUE(r.ok) << r.report;
  EXPECT_EQ(download<uint32_t>(out, want.size()), want);
  EXPECT_EQ(executed.size(), forms.init.size() + forms.inval.size() + forms.expect.size() +
                                 forms.complete.size() + forms.arrive.size() + forms.test.size() +
                                 forms.attempt.size());
}

TEST_F(Mbarriers, Limits) {
  uint64_t out = reserve<uint32_t>(4);
  auto expect = [&](const std::string &body, const char *kind, const char *words) {
    LaunchResult r = execute("mov.u32 %r2, 3;\nmbarrier.init.shared.b64 [%r1], %r2;\n" + body, out);
    EXPECT_EQ(r.kind, kind) << body << r.report;
    EXPECT_NE(r.report.find(words), r.report.npos) << r.report;
  };
  expect("mbarrier.arrive.noComplete.shared.b64 %d2, [%r1], %r2;\n", "mbarrier-phase",
         "noComplete completes phase 0");
  expect("mov.u32 %r2, 4;\nmbarrier.arrive.shared.b64 %d2, [%r1], %r2;\n", "mbarrier-overflow",
         "expects only 3 more");
  expect("mov.u32 %r2, 1048575;\nmbarrier.expect_tx.shared.b64 [%r1], %r2;\n"
         "mbarrier.arrive.expect_tx.shared.b64 %d2, [%r1], 1;\n",
         "mbarrier-overflow", "wait for 1048576 bytes");
  expect("mov.u32 %r2, 1048575;\nmbarrier.complete_tx.shared.b64 [%r1], %r2;\n"
         "mbarrier.complete_tx.shared.b64 [%r1], 1;\n",
         "mbarrier-overflow", "wait for -1048576 bytes");
  expect("mbarrier.arrive.b64 %d2, [%d20];\n", "invalid-operand", "no generic address of shared");
  LaunchResult r = execute("mov.u32 %r2, 1048575;\nmbarrier.init.shared.b64 [%r1], %r2;\n"
                           "mbarrier.expect_tx.shared.b64 [%r1], %r2;\n",
                           out);
  EXPECT_TRUE(r.ok) << r.report;
  r = execute("mov.u32 %r2, 1048576;\nmbarrier.init.shared.b64 [%r1], %r2;\n", out);
  EXPECT_EQ(r.kind, "invalid-operand") << r.report;
}

} // namespace
} // namespace attnc::emu::test
