// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Traffic counters and their JSON. What is counted follows from addresses alone, so it is exact for
// hardware too: 32-byte sectors of global memory touched by a warp-wide access, and passes over the
// 32 four-byte banks of shared memory. Accesses of 8 and 16 bytes per lane are served a half and a
// quarter warp at a time; matrix instructions serve eight 16-byte rows per pass.
#include "Access.h"
#include "Hopper.h"

#include <algorithm>
#include <cinttypes>
#include <map>

namespace attnc::emu {

/// Passes needed for lanes [from, to): the most distinct words any bank must deliver.
static unsigned bankPasses(const Access &a, unsigned from, unsigned to) {
  uint32_t words[32][32];
  unsigned count[32] = {};
  unsigned most = 0;
  for (unsigned l = from; l < to; ++l) {
    if (!(a.lanes >> l & 1))
      continue;
    for (uint32_t b = 0; b < std::max(4u, a.bytes); b += 4) {
      uint32_t word = static_cast<uint32_t>((a.address[l] + b) >> 2), bank = word & 31;
      bool known = false;
      for (unsigned i = 0; i < count[bank]; ++i)
        known |= words[bank][i] == word;
      if (!known && count[bank] < 32)
        words[bank][count[bank]++] = word;
      most = std::max(most, count[bank]);
    }
  }
  return most;
}

void MemoryCounters::add(const MemoryCounters &o) {
  requests += o.requests, lanes += o.lanes, bytes += o.bytes;
  globalRead += o.globalRead, globalWritten += o.globalWritten;
  sharedRead += o.sharedRead, sharedWritten += o.sharedWritten;
  sectors += o.sectors, minSectors += o.minSectors;
  wavefronts += o.wavefronts, minWavefronts += o.minWavefronts;
}

void countBulk(Launch &L, const Rec *r, const BulkOp &op, unsigned targets) {
  MemoryCounters &c = L.memoryCounters[r->counter];
  uint64_t sector = 0, inGlobal = 0, inShared = 0; // device memory does not begin at zero
  for (const BulkPiece &p : op.pieces) {
    inShared += p.bytes;
    if (!p.global || op.kind == BulkOp::Peer)
      continue;
    inGlobal += p.bytes;
    for (uint64_t s = p.global / 32; s <= (p.global + p.bytes - 1) / 32; ++s) {
      c.sectors += s != sector; // the chunks of a row follow each other
      sector = s;
    }
  }
  ++c.requests;
  ++c.lanes;
  c.bytes += inShared;
  c.minSectors += (inGlobal + 31) / 32;
  if (op.kind == BulkOp::Load) {
    c.globalRead += inGlobal;
    c.sharedWritten += inShared * targets;
  } else if (op.kind == BulkOp::Peer) {
    c.sharedRead += inShared;
    c.sharedWritten += inShared;
  } else {
    c.sharedRead += inShared;
    c.globalWritten += inGlobal;
    c.globalRead += op.reduction >= 0 ? inGlobal : 0;
  }
}

void countAccess(Warp &w, const Rec *r, const Access &a) {
  MemoryCounters &c = w.cta->launch->memoryCounters[r->counter];
  unsigned lanes = static_cast<unsigned>(__builtin_popcount(a.lanes));
  ++c.requests;
  c.lanes += lanes;
  const uint64_t bytes = uint64_t(lanes) * a.bytes;
  const uint64_t read = a.mode == Mode::Store ? 0 : bytes,
                 written = a.mode == Mode::Load ? 0 : bytes;
  c.bytes += bytes;
  if (a.space == Space::Shared) {
    c.sharedRead += read, c.sharedWritten += written;
    unsigned group = a.bytes <= 4 ? 32 : a.bytes == 8 ? 16 : 8;
    for (unsigned from = 0; from < 32; from += group)
      if (unsigned passes = bankPasses(a, from, from + group)) {
        c.wavefronts += passes;
        ++c.minWavefronts;
      }
  } else if (a.space == Space::Global || a.space == Space::Const) {
    c.globalRead += read, c.globalWritten += written;
    uint64_t sectors[64];
    unsigned n = 0;
    for (uint32_t m = a.lanes; m; m &= m - 1)
      sectors[n++] = a.address[__builtin_ctz(m)] / 32;
    std::sort(sectors, sectors + n);
    unsigned distinct = static_cast<unsigned>(std::unique(sectors, sectors + n) - sectors);
    c.sectors += distinct;
    // The least: distinct bytes packed densely.
    uint64_t starts[32];
    unsigned k = 0;
    for (uint32_t m = a.lanes; m; m &= m - 1)
      starts[k++] = a.address[__builtin_ctz(m)];
    std::sort(starts, starts + k);
    k = static_cast<unsigned>(std::unique(starts, starts + k) - starts);
    c.minSectors += (uint64_t(k) * a.bytes + 31) / 32;
  }
}

Counters collectCounters(const Launch &L) {
  Counters out;
  const Kernel &k = *L.kernel;
  out.maxLive32 = k.maxLive32;
  out.sharedBytes = k.staticSharedBytes + L.config.dynamicSharedBytes;
  out.divergentBranches = L.divergentBranches;
  out.barrierWaits = L.barrierWaits;
  out.sameValueStores = L.sameValueStores;
  out.ctas = L.config.grid.count();
  std::map<uint32_t, LineCounters> lines;
  for (size_t b = 0; b < k.blocks.size(); ++b)
    for (uint32_t i = k.blocks[b].firstInstr; i < k.blocks[b].endInstr; ++i) {
      LineCounters &line = lines[i];
      line.instr = i;
      line.warps += L.blockCounts[b].warps;
      line.threads += L.blockCounts[b].threads;
    }
  for (const Rec &r : k.recs) {
    if (r.instr == noRecord)
      continue;
    LineCounters &line = lines[r.instr];
    if (r.aux2 == tensorMark)
      out.tensorFlops += line.warps * r.aux;
    if (r.counter && L.memoryCounters[r.counter].requests) {
      line.hasMemory = true;
      line.memory.add(L.memoryCounters[r.counter]);
      out.memory.add(L.memoryCounters[r.counter]);
    }
  }
  for (auto &[index, line] : lines) {
    out.warpInstructions += line.warps;
    out.threadInstructions += line.threads;
    out.lines.push_back(line);
  }
  return out;
}

static std::string quoted(const std::string &s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

/// Coarse instruction classes; what a reader wants to see first.
static const char *classOf(const Instr &i) {
  static const std::map<std::string, const char *> table = {{"mma", "tensor"},
                                                            {"wgmma", "tensor"},
                                                            {"ldmatrix", "matrix-move"},
                                                            {"stmatrix", "matrix-move"},
                                                            {"movmatrix", "matrix-move"},
                                                            {"ex2", "mufu"},
                                                            {"lg2", "mufu"},
                                                            {"rcp", "mufu"},
                                                            {"rsqrt", "mufu"},
                                                            {"sqrt", "mufu"},
                                                            {"sin", "mufu"},
                                                            {"cos", "mufu"},
                                                            {"tanh", "mufu"},
                                                            {"cvt", "convert"},
                                                            {"bra", "control"},
                                                            {"ret", "control"},
                                                            {"exit", "control"},
                                                            {"bar", "barrier"},
                                                            {"barrier", "barrier"},
                                                            {"mbarrier", "barrier"},
                                                            {"shfl", "exchange"},
                                                            {"vote", "exchange"},
                                                            {"redux", "exchange"},
                                                            {"match", "exchange"},
                                                            {"ld", "load"},
                                                            {"st", "store"},
                                                            {"atom", "atomic"},
                                                            {"red", "atomic"},
                                                            {"cp", "async-copy"}};
  auto it = table.find(i.opcode);
  if (it != table.end())
    return it->second;
  for (const std::string &m : i.mods)
    if (m == "f32" || m == "f64" || m == "f16" || m == "bf16" || m == "f16x2" || m == "bf16x2")
      return "float";
  return "integer";
}

std::string totalsOf(const Kernel &k, const Counters &c) {
  char text[1024];
  const MemoryCounters &m = c.memory;
  snprintf(text, sizeof text,
           "kernel '%s' (emulated): %" PRIu64 " blocks, %" PRIu64 " warp instructions, %" PRIu64
           " FLOP of tensor instructions\n"
           "  global memory: %" PRIu64 " bytes read, %" PRIu64 " written, %" PRIu64
           " sectors of 32 bytes (%" PRIu64 " at least)\n"
           "  shared memory: %" PRIu64 " bytes read, %" PRIu64 " written, %" PRIu64
           " wavefronts (%" PRIu64 " at least), %" PRIu64 " of them bank conflicts\n",
           k.function->name.c_str(), c.ctas, c.warpInstructions, c.tensorFlops, m.globalRead,
           m.globalWritten, m.sectors, m.minSectors, m.sharedRead, m.sharedWritten, m.wavefronts,
           m.minWavefronts, m.bankConflicts());
  return text;
}

std::string toJson(const Kernel &k, const Counters &c) {
  std::map<std::string, uint64_t> classes;
  for (const LineCounters &l : c.lines)
    classes[classOf(k.function->body[l.instr])] += l.warps;
  auto number = [](const char *key, uint64_t v) {
    return std::string("\"") + key + "\": " + std::to_string(v);
  };
  std::string out = "{\n  \"kernel\": " + quoted(k.function->name) + ",\n  \"emulated\": true,\n  ";
  out += number("ctas", c.ctas) + ",\n  " + number("warp_instructions", c.warpInstructions) +
         ",\n  " + number("thread_instructions", c.threadInstructions) + ",\n  " +
         number("tensor_flops", c.tensorFlops) + ",\n  " +
         number("divergent_branches", c.divergentBranches) + ",\n  " +
         number("barrier_waits", c.barrierWaits) + ",\n  " +
         number("same_value_stores", c.sameValueStores) + ",\n  " +
         number("max_live_registers", c.maxLive32) + ",\n  " +
         number("shared_bytes", c.sharedBytes) + ",\n  \"totals\": {" +
         number("global_read_bytes", c.memory.globalRead) + ", " +
         number("global_written_bytes", c.memory.globalWritten) + ", " +
         number("sectors", c.memory.sectors) + ", " + number("min_sectors", c.memory.minSectors) +
         ",\n    " + number("shared_read_bytes", c.memory.sharedRead) + ", " +
         number("shared_written_bytes", c.memory.sharedWritten) + ", " +
         number("wavefronts", c.memory.wavefronts) + ", " +
         number("min_wavefronts", c.memory.minWavefronts) + ", " +
         number("bank_conflicts", c.memory.bankConflicts()) + "},\n  \"classes\": {";
  bool first = true;
  for (auto &[name, n] : classes) {
    out += (first ? "" : ", ") + number(name.c_str(), n);
    first = false;
  }
  out += "},\n  \"lines\": [";
  first = true;
  for (const LineCounters &l : c.lines) {
    if (!l.warps)
      continue;
    const Instr &i = k.function->body[l.instr];
    out += std::string(first ? "" : ",") + "\n    {" + number("line", i.pos.line) +
           ", \"text\": " + quoted(i.text) + ", " + number("warps", l.warps) + ", " +
           number("threads", l.threads);
    if (l.hasMemory) {
      const MemoryCounters &m = l.memory;
      out += ", " + number("requests", m.requests) + ", " + number("lanes", m.lanes) + ", " +
             number("bytes", m.bytes);
      if (m.sectors)
        out += ", " + number("sectors", m.sectors) + ", " + number("min_sectors", m.minSectors);
      if (m.wavefronts)
        out += ", " + number("wavefronts", m.wavefronts) + ", " +
               number("min_wavefronts", m.minWavefronts);
    }
    out += "}";
    first = false;
  }
  return out + "\n  ]\n}\n";
}

} // namespace attnc::emu
