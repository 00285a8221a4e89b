// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Call-threaded execution. The plain loop `rec = rec->fn(warp, rec)` has one indirect call for all
// instructions, which the CPU cannot predict: on real kernels that costs more than the work itself.
// So each kernel gets a strip of machine code that calls its handlers one after another; every call
// site has one target for ever, and predicts perfectly. Nothing else changes: handlers, records and
// results are those of the loop, which remains for other processors, for machines that forbid
// executable memory, and as a second opinion (`ATTNC_EMU_ENGINE=loop`).
#pragma once

#include "Machine.h"

namespace attnc::emu {

class ThreadedCode {
public:
  /// Null when the engine is unavailable or switched off.
  static std::shared_ptr<ThreadedCode> build(const Kernel &kernel);
  ~ThreadedCode();
  ThreadedCode(const ThreadedCode &) = delete;

  /// Executes from `start` until control leaves the strip; returns the record to go on with, or
  /// null when the warp has stopped. (The function sanitizer looks for a signature in front of a
  /// callee, which the strip has not.)
#if defined(__clang__)
  __attribute__((no_sanitize("function")))
#endif
  const Rec *run(Warp &w, const Rec *start) const {
    return enter(&w, w.recs, code + entries[static_cast<size_t>(start - w.recs)]);
  }

private:
  ThreadedCode() = default;
  using Enter = const Rec *(*)(Warp *, const Rec *, const unsigned char *);
  Enter enter = nullptr;
  unsigned char *code = nullptr;
  size_t bytes = 0;
  std::vector<uint32_t> entries; ///< offset of each record's call
};

} // namespace attnc::emu
