// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The thorough race detector (Options::thorough): races in global memory between any two threads of
// a launch, and races between lanes of one warp in global and shared memory.
//
// It remembers for each word the last write and two reads, lane by lane, and asks of each access
// whether it is ordered after them:
//   same lane                always
//   lanes of one warp        by bar.warp.sync, or whatever else advances the warp's clock
//   warps of one cluster     by the vector clocks that the shared-memory detector uses as well
//   different clusters       by a release and an acquire at the same word, as PTX defines them:
//                            .release/.acquire operations, or relaxed ones with fences around
// Bulk copies need a fence.proxy.async after the ordinary writes that they read or overwrite.
// Strong accesses (atomics, volatile, relaxed) do not race with each other, nor do two plain stores
// of the same value; where a store is not ordered after the last one, of other bytes or of the same
// value, the word remembers both.
//
// It errs on the silent side: what one warp acquires from another block counts for its whole
// cluster, bar.warp.sync of some lanes counts for all, and a word forgets all but the last
// accesses.
#pragma once

#include "Cluster.h"

#include <memory>
#include <unordered_map>

namespace attnc::emu {

class AccessHistory {
public:
  /// Checks and records one access of a lane, or of asynchronous work of its warp. False after a
  /// report. `agent` is who does it, at its present time. A store that is not asynchronous comes
  /// with its `store`, of which it is the lane `from`.
  bool access(Warp &w, const Rec *r, int lane, unsigned agent, Space space, uint64_t address,
              uint32_t bytes, Mode mode, bool strong, const Access *store = nullptr, int from = 0);

private:
  struct Past {
    uint32_t cluster = 0; ///< serial number, from one; 0 for none
    uint32_t time = 0;
    uint32_t rec = noRecord;
    uint16_t agent = 0;
    uint8_t lane = 0;
    uint8_t mask : 4, strong : 1;
    Past() : mask(0), strong(0) {}
  };
  struct Word {
    Past write, other; ///< the last, and one that it is not ordered after
    Past reads[2];
  };
  static constexpr uint64_t pageWords = 1024;
  bool ordered(const Warp &w, int lane, unsigned agent, const Past &past, bool wrote) const;
  /// Whether a bulk copy of the warp that is ordered after the access may rely on it.
  bool visibleToAsync(const Warp &w, const Past &past) const;
  bool report(Warp &w, const Rec *r, int lane, Space space, uint64_t address, const char *what,
              const Past &past, const std::string &values = "");
  bool reportProxy(Warp &w, const Rec *r, int lane, uint64_t address, const char *what,
                   const Past &past);
  std::string nameOf(const Warp &w, const Past &past) const;
  Word *wordsAt(uint64_t index);

  std::unordered_map<uint64_t, std::unique_ptr<Word[]>> pages;
  uint64_t lastPage = ~0ull;
  Word *last = nullptr;
};

/// Releases and acquires at words of global memory.
class SyncWords {
public:
  void release(Warp &w, uint64_t address, bool now);
  void acquire(Warp &w, uint64_t address, bool now);
  void fence(Warp &w);

private:
  std::unordered_map<uint64_t, Knowledge> words;
};

/// Both, of a launch. Shared memory has a history per block.
struct ThoroughState {
  AccessHistory global;
  SyncWords sync;
};

/// The thorough checks of a resolved access. False after a report.
bool checkThoroughly(Warp &w, const Rec *r, const Access &a);
/// The same for the destination of cp.async or st.async, which `agent` writes.
bool checkCopyThoroughly(Warp &w, const Rec *r, const Access &a, unsigned agent);
/// The same for the global side of a bulk copy.
bool checkBulkThoroughly(Warp &w, const Rec *r, int lane, unsigned agent, uint64_t address,
                         uint32_t bytes, bool write, bool strong);

/// fence and membar; aux: 1 when its scope reaches other blocks.
const Rec *memoryFence(Warp &, const Rec *);

} // namespace attnc::emu
