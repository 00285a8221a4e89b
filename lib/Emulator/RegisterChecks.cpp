// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The dataflow analyses and the run-time part of the checks on registers; see RegisterChecks.h.
//
// Both wgmma analyses are forward "may" problems over the few registers that a wgmma names: a
// register is in flight from a wgmma to the wait that covers it (InFlight.h), and accessed from an
// instruction to the next wgmma.fence. The manual
// (9.7.15.7.1) asks for a fence between an access and a wgmma that accesses the same register,
// unless both are wgmma of one shape with it as an accumulator. Two that only read it, an A
// fragment, have no order to keep, and compilers share fragments; that is not reported.
#include "RegisterChecks.h"
#include "Cluster.h"
#include "Hopper.h"

#include <algorithm>

namespace attnc::emu {
namespace {

using Set = std::vector<bool>;

/// Solves a forward union problem; `transfer(instr index, set)` updates a set in place. Returns the
/// sets at the beginnings of the blocks.
template <class Transfer>
std::vector<Set> solveForward(const FlowGraph &flow, size_t size, Transfer transfer) {
  std::vector<Set> in(flow.blocks.size(), Set(size));
  std::vector<bool> waiting(flow.blocks.size(), true);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = 0; b < flow.blocks.size(); ++b) {
      if (!waiting[b])
        continue;
      waiting[b] = false;
      Set now = in[b];
      for (uint32_t i = flow.blocks[b].begin; i < flow.blocks[b].end; ++i)
        transfer(i, now);
      for (uint32_t s : flow.blocks[b].successors)
        for (size_t k = 0; k < size; ++k)
          if (now[k] && !in[s][k])
            in[s][k] = waiting[s] = changed = true;
    }
  }
  return in;
}

bool contains(const std::vector<int32_t> &list, int32_t r) {
  return std::find(list.begin(), list.end(), r) != list.end();
}

void addOnce(std::vector<int32_t> &list, int32_t r) {
  if (!contains(list, r))
    list.push_back(r);
}

class Analysis {
public:
  Analysis(const FlowGraph &flow, const InFlight &inFlight, size_t numRegisters)
      : flow(flow), inFlight(inFlight) {
    checks.at.resize(flow.instrs.size());
    checks.tracked.assign(numRegisters, -1);
  }

  RegisterChecks run(const std::vector<int32_t> &uninitialized) {
    findUnwritten(uninitialized);
    if (!inFlight.registers().empty()) {
      findInFlight();
      findAccessed();
    }
    return std::move(checks);
  }

private:
  void track(int32_t r) {
    if (checks.tracked[r] < 0)
      checks.tracked[r] = static_cast<int32_t>(checks.numTracked++);
  }

  /// Registers that some path reads before any unconditional write, and copies of such: a copy
  /// hands "never written" on instead of reporting it, since compilers copy undefined values.
  void findUnwritten(const std::vector<int32_t> &uninitialized) {
    for (int32_t r : uninitialized)
      track(r);
    for (bool changed = !uninitialized.empty(); changed;) {
      changed = false;
      for (const FlowInstr &i : flow.instrs) {
        if (i.role != FlowInstr::Copy || std::none_of(i.uses.begin(), i.uses.end(), [&](int32_t r) {
              return checks.tracked[r] >= 0;
            }))
          continue;
        for (int32_t d : i.defs) {
          changed |= checks.tracked[d] < 0;
          track(d);
        }
      }
    }
    for (size_t i = 0; i < flow.instrs.size() && checks.numTracked; ++i) {
      for (int32_t r : flow.instrs[i].uses)
        if (checks.tracked[r] >= 0)
          addOnce(checks.at[i].requireWritten, r);
      for (int32_t r : flow.instrs[i].defs)
        if (checks.tracked[r] >= 0)
          addOnce(checks.at[i].markWritten, r);
    }
  }

  void findInFlight() {
    Set asked(inFlight.registers().size());
    for (size_t b = 0; b < flow.blocks.size(); ++b) {
      InFlight::State now = inFlight.atBlock(b);
      for (uint32_t i = flow.blocks[b].begin; i < flow.blocks[b].end; ++i) {
        const FlowInstr &instr = flow.instrs[i];
        for (const std::vector<int32_t> *list : {&instr.uses, &instr.defs})
          for (int32_t r : *list)
            if (int32_t k = inFlight.indexOf(r);
                k >= 0 && now[k] != InFlight::landed && !contains(instr.inFlight, r)) {
              track(r);
              asked[k] = true;
              addOnce(checks.at[i].requireLanded, r);
            }
        inFlight.step(i, now);
      }
    }
    for (size_t i = 0; i < flow.instrs.size(); ++i)
      for (int32_t r : flow.instrs[i].inFlight)
        if (asked[inFlight.indexOf(r)])
          checks.at[i].enterFlight.push_back(r);
  }

  /// The bit of a shape. Kernels have a handful; more than there are bits share the last.
  uint32_t shapeBit(uint32_t shape) {
    size_t i = std::find(shapes.begin(), shapes.end(), shape) - shapes.begin();
    if (i == shapes.size())
      shapes.push_back(shape);
    return accumulatorBit << std::min<size_t>(i, 28);
  }

  /// What an instruction does to registers of wgmma, as calls of f(register, bit).
  template <class F> void forAccesses(const FlowInstr &instr, F f) {
    if (instr.inFlight.empty()) {
      for (int32_t r : instr.uses)
        if (inFlight.indexOf(r) >= 0)
          f(r, readBit);
      for (int32_t r : instr.defs)
        if (inFlight.indexOf(r) >= 0)
          f(r, modifiedBit);
      return;
    }
    for (size_t k = 0; k < instr.inFlight.size(); ++k)
      f(instr.inFlight[k], k < instr.accumulators ? shapeBit(instr.shape) : fragmentBit);
  }

  static void add(std::vector<std::pair<uint32_t, std::vector<int32_t>>> &lists, uint32_t bits,
                  int32_t r) {
    for (auto &[b, registers] : lists)
      if (b == bits)
        return addOnce(registers, r);
    lists.push_back({bits, {r}});
  }

  void findAccessed() {
    for (const FlowInstr &i : flow.instrs)
      if (!i.inFlight.empty())
        shapeBit(i.shape);
    const size_t bits = 3 + std::min<size_t>(shapes.size(), 29);
    auto index = [&](int32_t r, uint32_t bit) {
      return inFlight.indexOf(r) * bits + __builtin_ctz(bit);
    };
    auto transfer = [&](uint32_t i, Set &now) {
      const FlowInstr &instr = flow.instrs[i];
      if (instr.role == FlowInstr::WgmmaFence && !instr.partial)
        now.assign(now.size(), false);
      forAccesses(instr, [&](int32_t r, uint32_t bit) { now[index(r, bit)] = true; });
    };
    auto in = solveForward(flow, inFlight.registers().size() * bits, transfer);
    Set asked(inFlight.registers().size() * bits);
    for (size_t b = 0; b < flow.blocks.size(); ++b) {
      Set now = in[b];
      for (uint32_t i = flow.blocks[b].begin; i < flow.blocks[b].end; ++i) {
        const FlowInstr &instr = flow.instrs[i];
        if (!instr.inFlight.empty())
          forAccesses(instr, [&](int32_t r, uint32_t mine) {
            uint32_t harmless = mine == fragmentBit ? fragmentBit | readBit : mine, found = 0;
            for (size_t k = 0; k < bits; ++k)
              if (now[inFlight.indexOf(r) * bits + k] && !(harmless >> k & 1)) {
                found |= 1u << k;
                asked[inFlight.indexOf(r) * bits + k] = true;
              }
            if (found) {
              track(r);
              add(checks.at[i].requireFenced, found, r);
            }
          });
        transfer(i, now);
      }
    }
    for (size_t i = 0; i < flow.instrs.size(); ++i)
      forAccesses(flow.instrs[i], [&](int32_t r, uint32_t bit) {
        if (asked[index(r, bit)])
          add(checks.at[i].markAccessed, bit, r);
      });
  }

  const FlowGraph &flow;
  const InFlight &inFlight;
  std::vector<uint32_t> shapes;
  RegisterChecks checks;
};

const std::string &nameOfRegister(const Warp &w, uint32_t reg) {
  return w.cta->launch->kernel->function->registers[reg].name;
}

} // namespace

RegisterChecks findRegisterChecks(const FlowGraph &flow, const InFlight &inFlight,
                                  const std::vector<int32_t> &uninitialized, size_t numRegisters) {
  return Analysis(flow, inFlight, numRegisters).run(uninitialized);
}

const Rec *requireWritten(Warp &w, const Rec *r) {
  uint32_t lanes = w.exec;
  if (r->aux2)
    lanes &= *place<uint32_t>(w, r->o[0]) ^ (r->o[1] ? ~0u : 0u);
  if (!w.cta->launch->options.checks)
    return r + 1;
  for (uint32_t i = 0; i < r->aux; ++i)
    if (uint32_t missing = lanes & ~w.registers->written[r->ext[2 * i]])
      return fault(w, r, __builtin_ctz(missing), "uninitialized-register",
                   "reads register '%s', which this thread has never written",
                   nameOfRegister(w, r->ext[2 * i + 1]).c_str());
  return r + 1;
}

const Rec *markWritten(Warp &w, const Rec *r) {
  for (uint32_t i = 0; i < r->aux; ++i)
    w.registers->written[r->ext[2 * i]] |= w.exec;
  return r + 1;
}

const Rec *copyWritten(Warp &w, const Rec *r) {
  uint32_t any = 0;
  for (uint32_t i = r->aux; i < r->aux + r->aux2; ++i)
    any |= w.registers->written[r->ext[2 * i]];
  for (uint32_t i = 0; i < r->aux; ++i) {
    uint32_t &lanes = w.registers->written[r->ext[2 * i]];
    lanes = (lanes & ~w.exec) | (any & w.exec);
  }
  return r + 1;
}

const Rec *requireLanded(Warp &w, const Rec *r) {
  const Launch &L = *w.cta->launch;
  for (uint32_t i = 0; i < r->aux && L.options.checks; ++i)
    if (uint32_t t = r->ext[2 * i]; w.registers->flights[t])
      return fault(w, r, -1, "missing-wait",
                   "touches register '%s', which a wgmma still uses\n    %s\n"
                   "  no wgmma.wait_group covers that wgmma yet",
                   nameOfRegister(w, r->ext[2 * i + 1]).c_str(),
                   describe(*L.kernel, w.registers->flight[t]).c_str());
  return r + 1;
}

/// Follows its wgmma.
const Rec *enterFlight(Warp &w, const Rec *r) {
  WgmmaOp &op = w.cta->hopper->warps[w.id].openWgmma.back();
  for (uint32_t i = 0; i < r->aux; ++i) {
    uint32_t t = r->ext[2 * i];
    ++w.registers->flights[t];
    w.registers->flight[t] = r;
    op.tracked.push_back(t);
  }
  return r + 1;
}

const Rec *requireFenced(Warp &w, const Rec *r) {
  for (uint32_t i = 0; i < r->aux && w.cta->launch->options.checks; ++i) {
    uint32_t found = w.registers->accessed[r->ext[2 * i]] & r->aux2;
    if (!found)
      continue;
    const char *how = found & modifiedBit   ? "was modified"
                      : found & readBit     ? "was read"
                      : found & fragmentBit ? "was in an A fragment"
                                            : "was an accumulator of a wgmma of another kind";
    return fault(w, r, -1, "missing-wgmma-fence",
                 "register '%s' of this wgmma %s after the last wgmma.fence",
                 nameOfRegister(w, r->ext[2 * i + 1]).c_str(), how);
  }
  return r + 1;
}

const Rec *markAccessed(Warp &w, const Rec *r) {
  for (uint32_t i = 0; i < r->aux; ++i)
    w.registers->accessed[r->ext[2 * i]] |= r->aux2;
  return r + 1;
}

} // namespace attnc::emu
