// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What four warps must do alike: a warpgroup executes the same wgmma with the same descriptors, and
// the same setmaxnreg. The warps of a group run one after another here, so each leaves a note of
// its steps, and the others are compared with it.
//
// setmaxnreg moves registers between the warps of a block and a pool that starts empty. How many a
// thread has at launch is ptxas's decision, found out by asking it (13.0): .maxnreg; otherwise,
// with both a block size and .minnctapersm, what the register file allows, but no more than the
// largest setmaxnreg.inc; and otherwise it ignores the instruction, with advisory C7508.
#include "Cluster.h"
#include "Hopper.h"

#include <algorithm>

namespace attnc::emu {

bool warpgroupStep(Warp &w, const Rec *r, uint64_t a, uint64_t b) {
  if (!w.cta->launch->options.checks)
    return true;
  Warpgroup &g = w.cta->hopper->warpgroups[w.id / 4];
  uint32_t at = g.position[w.id % 4]++ - g.firstStep;
  if (at == g.steps.size())
    g.steps.push_back({r, a, b, w.id, 0});
  WarpgroupStep &step = g.steps[at];
  if (step.rec != r) {
    fault(w, r, -1, "divergent-collective",
          "the warps of a warpgroup execute different instructions; warp %u executed\n    %s",
          step.warp, describe(*w.cta->launch->kernel, step.rec).c_str());
    return false;
  }
  if (step.a != a || step.b != b) {
    fault(w, r, -1, "descriptor-mismatch",
          "the descriptor of %s differs between the warps of the warpgroup: 0x%llx here, 0x%llx in "
          "warp %u",
          step.a != a ? "A" : "B", static_cast<unsigned long long>(step.a != a ? a : b),
          static_cast<unsigned long long>(step.a != a ? step.a : step.b), step.warp);
    return false;
  }
  ++step.passed;
  while (!g.steps.empty() && g.steps.front().passed == 4) {
    g.steps.pop_front();
    ++g.firstStep;
  }
  return true;
}

bool checkWarpgroups(Cta &cta) {
  for (const Warpgroup &g : cta.hopper->warpgroups)
    if (!g.steps.empty()) {
      const WarpgroupStep &step = g.steps.front();
      fault(*cta.warps[step.warp], step.rec, -1, "divergent-collective",
            "only %u of the four warps of the warpgroup have executed this", step.passed);
      return false;
    }
  return true;
}

static constexpr uint32_t unknownRegisters = ~0u;

static uint32_t launchRegisters(const Cta &cta) {
  const Kernel &k = *cta.launch->kernel;
  const Function &f = *k.function;
  if (f.maxnreg)
    return f.maxnreg / 8 * 8;
  const uint32_t *block = f.reqntid[0] ? f.reqntid : f.maxntid;
  if (!f.minnctapersm || !block[0])
    return unknownRegisters;
  uint32_t threads = block[0] * block[1] * block[2] * f.minnctapersm;
  uint32_t registers = 65536 / threads / 8 * 8, largest = 0;
  for (const Rec &r : k.recs)
    if ((r.fn == setMaxRegisters || r.inner == setMaxRegisters) && r.aux)
      largest = std::max(largest, static_cast<uint32_t>(r.imm));
  return largest ? std::min(registers, largest) : std::min(registers, 248u);
}

/// imm: registers per thread; aux 1: increase.
const Rec *setMaxRegisters(Warp &w, const Rec *r) {
  HopperState &h = *w.cta->hopper;
  HopperWarp &me = h.warps[w.id];
  uint32_t n = static_cast<uint32_t>(r->imm);
  if (w.exec != allLanes)
    return fault(w, r, -1, "divergent-collective", "setmaxnreg needs all lanes of the warp");
  if (!me.registers)
    me.registers = launchRegisters(*w.cta);
  if (me.registers == unknownRegisters)
    return warpgroupStep(w, r, n, 0) ? r + 1 : nullptr;
  if (r->aux ? n < me.registers : n > me.registers)
    return fault(w, r, -1, "invalid-operand", "setmaxnreg.%s to %u, but the warp has %u registers",
                 r->aux ? "inc" : "dec", n, me.registers);
  if (!me.wantsRegisters && !warpgroupStep(w, r, n, 0))
    return nullptr;
  uint32_t change = r->aux ? n - me.registers : me.registers - n;
  if (r->aux && change > h.freeRegisters) {
    me.wantsRegisters = true;
    w.polled = true;
    w.wait = Wait::Registers;
    w.waitArg = change;
    w.waitRec = r;
    w.splits[w.current].pc = r->index;
    w.stop = Stop::Yield;
    return nullptr;
  }
  h.freeRegisters += r->aux ? 0 - change : change;
  me.registers = n;
  me.wantsRegisters = false;
  w.wait = Wait::None;
  w.cta->progressed = true;
  return r + 1;
}

} // namespace attnc::emu
