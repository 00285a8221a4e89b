// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The machine that executes decoded PTX: records, warps, thread blocks, a launch.
//
// A PTX instruction becomes one *record*: a function pointer and the places of its operands. A warp
// executes by `while (rec) rec = rec->fn(warp, rec)`; there are no fibers, because all state of a
// warp is in the `Warp` object and a handler that must wait simply returns null.
//
// Where registers live. A virtual register of 32 bits or less is a *column* of 32 u32, one per lane
// (128 bytes); 64-bit registers are 32 u64 (256 bytes); a predicate is one u32 with a bit per lane.
// Flow.cpp shares columns between registers that are never live at once. Columns of different
// width never share memory: under divergence two lanes may be at different places of the program,
// and lane 5 of a u64 column would overlap lane 10 of a u32 column. Immediates are columns too, in
// a pool shared by all warps, so that handlers need no variants: bit 0 of an operand says which
// pool.
#pragma once

#include "attnc/Emulator/Emulator.h"
#include "attnc/Emulator/Ptx.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace attnc::emu {

struct Warp;
struct Cta;
struct Launch;
struct Cluster;
struct Rec;
class DeviceMemory;
class RaceDetector;
class AccessHistory;
struct ThoroughState;
class ThreadedCode;
struct AsyncState;
struct RegisterState;
struct HopperState;

using Handler = const Rec *(*)(Warp &, const Rec *);

constexpr uint32_t noRecord = ~0u;
constexpr uint32_t allLanes = ~0u;

/// One executable step. What `o`, `imm` and `aux` mean is the handler's contract.
struct Rec {
  Handler fn = nullptr;
  Handler inner = nullptr; ///< the real handler when `fn` is the guard
  uint32_t o[8] = {};      ///< operand places
  uint64_t imm = 0;
  const uint32_t *ext = nullptr; ///< operand places of instructions with more than eight
  uint32_t guard = 0;            ///< predicate place; bit 0 set when negated
  uint32_t aux = 0;
  uint32_t aux2 = 0;
  uint32_t index = 0;        ///< position in Kernel::recs
  uint32_t instr = noRecord; ///< index in Function::body, noRecord for block heads
  uint32_t counter = 0;      ///< index of the memory counters of this record
  bool straight = false;     ///< always continues with the next record
  uint8_t advance = 1;       ///< records it executes; 2 for the first of a fused pair
};

/// Rec::aux2 of tensor instructions, whose aux is then their number of operations.
constexpr uint32_t tensorMark = 0x4d4d41;

/// A basic block after decoding, for counters and reports.
struct BlockInfo {
  uint32_t firstInstr, endInstr;
};

/// A decoded kernel, ready to run. Immutable after decoding.
struct Kernel {
  const Module *module = nullptr;
  const Function *function = nullptr;
  std::unique_ptr<Function> expanded; ///< what `function` is when the kernel calls others
  std::vector<Rec> recs;
  std::vector<std::unique_ptr<uint32_t[]>> extPool;
  std::vector<BlockInfo> blocks;
  std::vector<char> constants; ///< immediate columns, 64-byte aligned by `constantBase`
  uint32_t numPredicates = 1;
  uint32_t fileBytes = 0; ///< register file of one warp
  /// Special registers the kernel reads and the column of each.
  std::vector<std::pair<Special, uint32_t>> specials;
  uint32_t staticSharedBytes = 0; ///< static shared variables
  uint32_t dynamicSharedAlign = 16;
  uint32_t localBytes = 0; ///< per thread
  uint32_t maxLive32 = 0;  ///< most 32-bit register units live at once (64-bit count two)
  uint32_t numMemoryRecs = 0;
  uint32_t numTracked = 0; ///< registers with run-time checks, see RegisterChecks.h
  bool copiesCompleteOnMbarriers = false;
  std::shared_ptr<ThreadedCode> code; ///< null: execute by the loop
  const char *constantBase() const {
    auto p = reinterpret_cast<uintptr_t>(constants.data());
    return reinterpret_cast<const char *>((p + 63) & ~uintptr_t(63));
  }
};

/// Lanes of a warp that are at the same place. See ControlOps.cpp for how splits meet again.
struct Split {
  uint32_t pc;
  uint32_t mask;
  int32_t join;
  bool blocked;
};

/// The place where diverged lanes meet: the immediate post-dominator of the branch that parted
/// them.
struct Join {
  uint32_t pc;
  uint32_t expected;
  uint32_t arrived;
  int32_t parent;
  bool open;
};

/// Why a warp is not running; used by the scheduler and in the deadlock report.
enum class Wait : uint8_t { None, Barrier, Mbarrier, Cluster, Converge, Warpgroup, Registers };

enum class Stop : uint8_t { Yield, Blocked, Done, Fault };

struct Warp {
  char *base[2] = {nullptr, nullptr}; ///< register file, constant pool
  uint32_t exec = 0;                  ///< lanes the running handler acts on
  uint32_t active = 0;                ///< lanes of the running split
  uint32_t joinPc = noRecord;
  uint32_t budget = 0; ///< backward branches left before the warp yields
  const Rec *recs = nullptr;
  Cta *cta = nullptr;
  uint32_t id = 0;
  uint32_t member = 0; ///< index among the warps of the cluster
  uint32_t live = 0;   ///< lanes that have not exited
  Stop stop = Stop::Yield;
  int32_t current = -1; ///< running split
  std::vector<Split> splits;
  std::vector<Join> joins;
  Wait wait = Wait::None;
  uint64_t waitArg = 0;  ///< barrier id or mbarrier address
  uint32_t waitArg2 = 0; ///< parity
  const Rec *waitRec = nullptr;
  uint64_t executed = 0; ///< block heads passed, for %clock
  bool polled = false;   ///< stopped because a wait condition was false, not for the budget
  std::unique_ptr<AsyncState> async;
  std::unique_ptr<RegisterState> registers;
  char *file = nullptr;
  char *local = nullptr; ///< 32 x Kernel::localBytes
  ~Warp();
  Warp();
  Warp(const Warp &) = delete;
};

/// One of the sixteen barriers of a thread block.
struct NamedBarrier {
  uint32_t expectedThreads = 0; ///< 0: every warp that has not exited
  uint32_t arrivedThreads = 0, arrivedWarps = 0;
  uint64_t waiters = 0;   ///< warps blocked here
  uint32_t reduction = 0; ///< as barReduceShift has it
  bool reduceAll = true;
  uint64_t reducePopc = 0;
  const Rec *first = nullptr;  ///< the first arrival of this phase
  std::vector<uint32_t> clock; ///< the race detector's join of all arrivals
};

/// One thread block and its shared memory.
struct Cta {
  Launch *launch = nullptr;
  Cluster *cluster = nullptr;
  uint32_t ctaid[3] = {0, 0, 0};
  uint32_t linear = 0;
  uint32_t rank = 0; ///< within the cluster
  uint32_t nextWarp = 0;
  uint32_t numWarps = 0;
  uint32_t liveWarps = 0;
  char *shared = nullptr; ///< so that shared + offset is the byte at that shared address
  uint32_t sharedBegin = 0, sharedEnd = 0;
  std::vector<uint8_t> mbarrierChunks; ///< 16-byte chunks that have held one; empty: none has
  std::vector<uint8_t> sharedInit;     ///< one bit mask of four bytes per word, from address 0
  std::vector<std::unique_ptr<Warp>> warps;
  NamedBarrier barriers[16];
  std::unique_ptr<RaceDetector> races;
  std::unique_ptr<AccessHistory> history; ///< of shared memory, see Options::thorough
  std::unique_ptr<HopperState> hopper;    ///< sm_90 machinery, see Hopper.h
  std::vector<char> sharedStore, fileStore, localStore;
  bool progressed = false;
  bool ended = false; ///< all warps have exited and the checks at the end have been made
  Cta();
  ~Cta();
};

/// The register column or predicate an operand names.
template <class T> inline T *place(Warp &w, uint32_t operand) {
  return reinterpret_cast<T *>(w.base[operand & 1] + (operand & ~1u));
}

/// Stops the warp and records the first report of the launch; returns null so that handlers can
/// `return fault(...)`. `lane` < 0 when the whole warp is to blame.
const Rec *fault(Warp &w, const Rec *r, int lane, const char *kind, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/// Merges neighbouring records where one handler can do the work of both (Fuse.cpp).
void fuse(Kernel &k);

/// `line 12 (file.cu:7): ld.shared.b32 ...`
std::string describe(const Kernel &k, const Rec *r);

/// Blocks the running split so that it resumes at `resume`; returns the next record to execute or
/// null when no split of the warp can run.
const Rec *blockSplit(Warp &w, const Rec *resume, Wait why, const Rec *at);
/// Makes all blocked splits of a warp runnable.
void wake(Warp &w);
/// Starts a warp with `live` lanes at the kernel's first record.
void startWarp(Warp &w, uint32_t live);
/// Runs until the warp stops.
void runWarp(Warp &w);

} // namespace attnc::emu
