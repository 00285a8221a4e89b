// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Basic blocks, post-dominators (Cooper, Harvey and Kennedy's iteration on the reversed graph),
// liveness by backward bit-set iteration, and linear-scan assignment of columns; see Flow.h.
#include "Flow.h"

#include "InFlight.h"

#include <algorithm>
#include <functional>
#include <map>

namespace attnc::emu {

void FlowGraph::buildBlocks() {
  size_t n = instrs.size();
  std::vector<bool> leader(n + 1, false);
  if (n)
    leader[0] = true;
  for (size_t i = 0; i < n; ++i) {
    if (instrs[i].target >= 0)
      leader[static_cast<size_t>(instrs[i].target)] = true;
    if (instrs[i].target >= 0 || !instrs[i].fallsThrough)
      leader[i + 1] = true;
  }
  blockOf.assign(n + 1, 0);
  for (size_t i = 0; i < n; ++i) {
    if (leader[i])
      blocks.push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(i), {}, ~0u, false});
    blockOf[i] = static_cast<uint32_t>(blocks.size() - 1);
    blocks.back().end = static_cast<uint32_t>(i + 1);
  }
  blockOf[n] = static_cast<uint32_t>(blocks.size()); // a label at the very end
  for (FlowBlock &b : blocks) {
    const FlowInstr &last = instrs[b.end - 1];
    if (last.target >= 0 && blockOf[static_cast<size_t>(last.target)] < blocks.size())
      b.successors.push_back(blockOf[static_cast<size_t>(last.target)]);
    if (last.fallsThrough && b.end < n)
      b.successors.push_back(blockOf[b.end]);
  }
}

void FlowGraph::findPostDominators() {
  uint32_t n = static_cast<uint32_t>(blocks.size()), end = n; // `end` is the virtual exit
  std::vector<std::vector<uint32_t>> predecessors(n + 1), successors(n + 1);
  for (uint32_t b = 0; b < n; ++b) {
    successors[b] = blocks[b].successors;
    const FlowInstr &last = instrs[blocks[b].end - 1];
    bool leaves = successors[b].empty() || (!last.fallsThrough && last.target < 0);
    if (leaves)
      successors[b].push_back(end);
    for (uint32_t s : successors[b])
      predecessors[s].push_back(b);
  }
  // Post order of the reversed graph from the exit. Blocks that never reach the exit (endless
  // loops) get an edge to it, so that every block has a post-dominator.
  std::vector<uint32_t> order, number(n + 1, ~0u);
  std::vector<bool> seen(n + 1, false);
  auto visit = [&](uint32_t root) {
    std::vector<std::pair<uint32_t, size_t>> stack{{root, 0}};
    seen[root] = true;
    while (!stack.empty()) {
      auto &[b, next] = stack.back();
      if (next < predecessors[b].size()) {
        uint32_t p = predecessors[b][next++];
        if (!seen[p]) {
          seen[p] = true;
          stack.push_back({p, 0});
        }
        continue;
      }
      order.push_back(b);
      stack.pop_back();
    }
  };
  visit(end);
  for (uint32_t b = n; b-- > 0;)
    if (!seen[b]) {
      successors[b].push_back(end);
      predecessors[end].push_back(b);
      order.pop_back(); // the exit stays last
      visit(b);
      order.push_back(end);
    }
  for (uint32_t i = 0; i < order.size(); ++i)
    number[order[i]] = i;
  std::vector<uint32_t> dom(n + 1, ~0u);
  dom[end] = end;
  auto meet = [&](uint32_t a, uint32_t b) {
    while (a != b) {
      while (number[a] < number[b])
        a = dom[a];
      while (number[b] < number[a])
        b = dom[b];
    }
    return a;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order.size() - 1; i-- > 0;) {
      uint32_t b = order[i], best = ~0u;
      for (uint32_t s : successors[b])
        if (dom[s] != ~0u)
          best = best == ~0u ? s : meet(s, best);
      if (best != ~0u && dom[b] != best) {
        dom[b] = best;
        changed = true;
      }
    }
  }
  for (uint32_t b = 0; b < n; ++b) {
    blocks[b].postDominator = dom[b] == end ? ~0u : dom[b];
    if (blocks[b].successors.size() > 1 && blocks[b].postDominator != ~0u)
      blocks[blocks[b].postDominator].isJoin = true;
  }
}

namespace {

using BitSet = std::vector<uint64_t>;
bool get(const BitSet &s, int32_t i) { return s[i >> 6] >> (i & 63) & 1; }
void put(BitSet &s, int32_t i) { s[i >> 6] |= 1ull << (i & 63); }
void drop(BitSet &s, int32_t i) { s[i >> 6] &= ~(1ull << (i & 63)); }

struct Liveness {
  std::vector<BitSet> in, out;
};

Liveness computeLiveness(const FlowGraph &f, size_t registers) {
  size_t words = (registers + 63) / 64, n = f.blocks.size();
  Liveness live{std::vector<BitSet>(n, BitSet(words)), std::vector<BitSet>(n, BitSet(words))};
  std::vector<BitSet> gen(n, BitSet(words)), kill(n, BitSet(words));
  for (size_t b = 0; b < n; ++b)
    for (uint32_t i = f.blocks[b].begin; i < f.blocks[b].end; ++i) {
      const FlowInstr &instr = f.instrs[i];
      for (int32_t u : instr.uses)
        if (!get(kill[b], u))
          put(gen[b], u);
      if (!instr.partial)
        for (int32_t d : instr.defs)
          put(kill[b], d);
    }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = n; b-- > 0;) {
      for (uint32_t s : f.blocks[b].successors)
        for (size_t k = 0; k < words; ++k)
          live.out[b][k] |= live.in[s][k];
      for (size_t k = 0; k < words; ++k) {
        uint64_t v = gen[b][k] | (live.out[b][k] & ~kill[b][k]);
        changed |= v != live.in[b][k];
        live.in[b][k] = v;
      }
    }
  }
  return live;
}

/// The state of registers in flight before each instruction of a block and at its end.
std::vector<InFlight::State> statesIn(const FlowBlock &block, size_t b, const InFlight &inFlight) {
  std::vector<InFlight::State> states{inFlight.atBlock(b)};
  for (uint32_t i = block.begin; i < block.end; ++i) {
    states.push_back(states.back());
    inFlight.step(i, states.back());
  }
  return states;
}

/// The most 32-bit units live or in flight between two instructions.
uint32_t maximumLive(const FlowGraph &f, const Liveness &live, const InFlight &inFlight,
                     const std::vector<Register> &registers) {
  auto units = [&](int32_t r) -> uint32_t {
    switch (registers[r].type) {
    case Type::Pred:
      return 0;
    case Type::B64:
      return 2;
    case Type::B128:
      return 4;
    default:
      return 1;
    }
  };
  auto unitsInFlight = [&](const InFlight::State &state, const BitSet &now) {
    uint32_t count = 0;
    for (size_t k = 0; k < state.size(); ++k)
      if (int32_t r = inFlight.registers()[k]; state[k] != InFlight::landed && !get(now, r))
        count += units(r);
    return count;
  };
  uint32_t most = 0;
  for (size_t b = 0; b < f.blocks.size(); ++b) {
    BitSet now = live.out[b];
    std::vector<InFlight::State> states = statesIn(f.blocks[b], b, inFlight);
    uint32_t count = 0;
    for (size_t r = 0; r < registers.size(); ++r)
      count += get(now, static_cast<int32_t>(r)) ? units(static_cast<int32_t>(r)) : 0;
    most = std::max(most, count + unitsInFlight(states.back(), now));
    for (uint32_t i = f.blocks[b].end; i-- > f.blocks[b].begin;) {
      const FlowInstr &instr = f.instrs[i];
      if (!instr.partial)
        for (int32_t d : instr.defs)
          if (get(now, d)) {
            drop(now, d);
            count -= units(d);
          }
      for (int32_t u : instr.uses)
        if (!get(now, u)) {
          put(now, u);
          count += units(u);
        }
      most = std::max(most, count + unitsInFlight(states[i - f.blocks[b].begin], now));
    }
  }
  return most;
}

struct Interval {
  int32_t reg;
  uint32_t begin = ~0u, end = 0;
  void cover(uint32_t at) {
    begin = std::min(begin, at);
    end = std::max(end, at);
  }
};

} // namespace

SlotAssignment assignSlots(const FlowGraph &f, const InFlight &inFlight,
                           const std::vector<Register> &registers) {
  SlotAssignment result;
  result.slot.assign(registers.size(), 0);
  Liveness live = computeLiveness(f, registers.size());
  result.maxLive32 = maximumLive(f, live, inFlight, registers);
  if (!f.blocks.empty())
    for (size_t r = 0; r < registers.size(); ++r)
      if (get(live.in[0], static_cast<int32_t>(r)))
        result.uninitialized.push_back(static_cast<int32_t>(r));

  std::vector<Interval> intervals(registers.size());
  for (size_t r = 0; r < registers.size(); ++r)
    intervals[r].reg = static_cast<int32_t>(r);
  for (size_t b = 0; b < f.blocks.size(); ++b) {
    const FlowBlock &block = f.blocks[b];
    for (size_t k = 0; k < live.in[b].size(); ++k) {
      for (uint64_t m = live.in[b][k]; m; m &= m - 1)
        intervals[64 * k + static_cast<size_t>(__builtin_ctzll(m))].cover(2 * block.begin);
      for (uint64_t m = live.out[b][k]; m; m &= m - 1)
        intervals[64 * k + static_cast<size_t>(__builtin_ctzll(m))].cover(2 * block.end - 1);
    }
    for (uint32_t i = block.begin; i < block.end; ++i) {
      for (int32_t u : f.instrs[i].uses)
        intervals[u].cover(2 * i);
      // A definition occupies its column from the moment of writing, and handlers read operands
      // and write results lane by lane, so it must not share with a source that dies here unless
      // it is the very same column position; starting at 2*i keeps them apart.
      for (int32_t d : f.instrs[i].defs)
        intervals[d].cover(2 * i), intervals[d].cover(2 * i + 1);
    }
    // Until its wait a wgmma may write its accumulators, also those that nothing reads again.
    InFlight::State state = inFlight.atBlock(b);
    auto coverInFlight = [&](uint32_t at) {
      for (size_t k = 0; k < state.size(); ++k)
        if (state[k] != InFlight::landed)
          intervals[inFlight.registers()[k]].cover(at);
    };
    for (uint32_t i = block.begin; i < block.end && !state.empty(); ++i) {
      coverInFlight(2 * i);
      inFlight.step(i, state);
      coverInFlight(2 * i + 1);
    }
  }
  std::sort(intervals.begin(), intervals.end(), [](const Interval &a, const Interval &b) {
    return a.begin != b.begin ? a.begin < b.begin : a.reg < b.reg;
  });
  struct Pool {
    std::vector<uint32_t> free;
    std::multimap<uint32_t, uint32_t> busy; ///< end -> slot
    uint32_t count = 0;
  } pools[4];
  for (const Interval &v : intervals) {
    if (v.begin == ~0u)
      continue;
    Type t = registers[v.reg].type;
    Pool &p = pools[t == Type::B128 ? 3 : t == Type::Pred ? 2 : t == Type::B64 ? 1 : 0];
    while (!p.busy.empty() && p.busy.begin()->first < v.begin) {
      p.free.push_back(p.busy.begin()->second);
      p.busy.erase(p.busy.begin());
    }
    uint32_t slot = p.count;
    if (p.free.empty()) {
      ++p.count;
    } else {
      slot = p.free.back();
      p.free.pop_back();
    }
    p.busy.emplace(v.end, slot);
    result.slot[v.reg] = slot;
  }
  result.count32 = pools[0].count;
  result.count64 = pools[1].count;
  result.countPred = pools[2].count;
  result.count128 = pools[3].count;
  return result;
}

} // namespace attnc::emu
