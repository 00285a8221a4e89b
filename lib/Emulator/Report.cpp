// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reports for people. Only the first report of a launch is kept: what follows a race or a wild
// pointer is noise. The deadlock report lists every warp that has not ended with what it waits for,
// because the bug is usually in the warp that is *not* there.
#include "Cluster.h"
#include "Hopper.h"
#include "Launch.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace attnc::emu {

std::string describe(const Kernel &k, const Rec *r) {
  if (!r || r->instr == noRecord)
    return "the end of the kernel";
  const Instr &i = k.function->body[r->instr];
  std::string s = "line " + std::to_string(i.pos.line);
  if (i.locLine) {
    auto it = k.module->files.find(i.locFile);
    s += " (" + (it == k.module->files.end() ? "file " + std::to_string(i.locFile) : it->second) +
         ":" + std::to_string(i.locLine) + ")";
  }
  return s + ": " + i.text;
}

const Rec *fault(Warp &w, const Rec *r, int lane, const char *kind, const char *format, ...) {
  char message[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  Launch &L = *w.cta->launch;
  w.stop = Stop::Fault;
  if (L.failed)
    return nullptr;
  L.failed = true;
  L.kind = kind;
  L.line = r && r->instr != noRecord ? L.kernel->function->body[r->instr].pos.line : 0;
  char where[256];
  const uint32_t *c = w.cta->ctaid;
  if (lane >= 0) {
    uint32_t t = w.id * 32 + static_cast<uint32_t>(lane);
    const Dim3 &b = L.config.block;
    snprintf(where, sizeof where, "block (%u,%u,%u), warp %u, lane %d = thread (%u,%u,%u)", c[0],
             c[1], c[2], w.id, lane, t % b.x, t / b.x % b.y, t / b.x / b.y);
  } else {
    snprintf(where, sizeof where, "block (%u,%u,%u), warp %u", c[0], c[1], c[2], w.id);
  }
  L.report = "ptx emulator: " + std::string(kind) + " in kernel '" + L.kernel->function->name +
             "'\n  " + message + "\n  at " + describe(*L.kernel, r) + "\n  in " + where + "\n";
  return nullptr;
}

static std::string describeWait(const Warp &w) {
  char text[128];
  switch (w.wait) {
  case Wait::Barrier: {
    const NamedBarrier &b = w.cta->barriers[w.waitArg];
    if (b.expectedThreads)
      snprintf(text, sizeof text,
               "waits at barrier %" PRIu64 ", where %u of %u threads have arrived", w.waitArg,
               b.arrivedThreads, b.expectedThreads);
    else
      snprintf(text, sizeof text, "waits at barrier %" PRIu64 ", where %u of %u warps have arrived",
               w.waitArg, b.arrivedWarps, w.cta->liveWarps);
    return text;
  }
  case Wait::Mbarrier:
    snprintf(text, sizeof text,
             "waits for phase parity %u of the mbarrier at shared address 0x%" PRIx64, w.waitArg2,
             w.waitArg);
    return text;
  case Wait::Cluster:
    return "waits at the cluster barrier";
  case Wait::Registers:
    snprintf(text, sizeof text,
             "waits for %" PRIu64 " more registers per thread; the pool of the block has %u",
             w.waitArg, w.cta->hopper->freeRegisters);
    return text;
  case Wait::Warpgroup:
    snprintf(text, sizeof text,
             "waits for a wgmma-group that warp %" PRIu64 " of its warpgroup has not committed",
             w.waitArg);
    return text;
  case Wait::Converge:
    return "waits for other lanes of its warp";
  default:
    return "runs without making progress";
  }
}

/// Called when no warp of a cluster can go on.
void reportDeadlock(const Cluster &cluster) {
  Launch &L = *cluster.blocks[0]->launch;
  if (L.failed)
    return;
  L.failed = true;
  L.kind = "deadlock";
  L.report = "ptx emulator: deadlock in kernel '" + L.kernel->function->name + "'\n";
  for (auto &cta : cluster.blocks) {
    std::string name = "block (" + std::to_string(cta->ctaid[0]) + "," +
                       std::to_string(cta->ctaid[1]) + "," + std::to_string(cta->ctaid[2]) + ")";
    if (cluster.blocks.size() > 1)
      name += ", rank " + std::to_string(cta->rank) + " of its cluster,";
    if (cta->ended) {
      L.report += "  " + name + " has ended\n";
      continue;
    }
    L.report += "  no warp of " + name + " can go on:\n";
    for (uint32_t i = 0; i < cta->numWarps; ++i) {
      const Warp &w = *cta->warps[i];
      L.report += "  warp " + std::to_string(i) + " ";
      if (w.stop == Stop::Done) {
        L.report += "has ended\n";
        continue;
      }
      L.report += describeWait(w) + "\n    at " + describe(*L.kernel, w.waitRec) + "\n";
      if (w.waitRec && w.waitRec->instr != noRecord && !L.line)
        L.line = L.kernel->function->body[w.waitRec->instr].pos.line;
    }
  }
}

} // namespace attnc::emu
