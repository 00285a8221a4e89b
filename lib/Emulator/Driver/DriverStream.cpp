// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Streams and events of the emulated CUDA Driver API. Everything has completed when a call returns,
// so streams only have to exist. The "time" between two events is the number of emulated warp
// instructions divided by a million: it grows with work, and nobody can mistake it for milliseconds
// after reading the device's name.
#include "DriverState.h"

using namespace attnc::emu;
using namespace attnc::emu::driver;

ATTNC_EMU_EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned) {
  ATTNC_EMU_ENTER(s);
  if (!stream)
    return invalidValue;
  *stream = new char;
  s.streams.insert(*stream);
  return success;
}
ATTNC_EMU_EXPORT CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int) {
  return cuStreamCreate(stream, flags);
}

ATTNC_EMU_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  ATTNC_EMU_ENTER(s);
  if (!s.streams.erase(stream))
    return invalidHandle;
  s.captures.erase(stream);
  delete static_cast<char *>(stream);
  return success;
}

bool attnc::emu::driver::isKnown(const State &s, CUstream stream) {
  return reinterpret_cast<size_t>(stream) <= 2 || s.streams.count(stream);
}

ATTNC_EMU_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  ATTNC_EMU_ENTER(s);
  return !isKnown(s, stream)        ? invalidHandle
         : s.captures.count(stream) ? captureUnsupported
                                    : success;
}
ATTNC_EMU_EXPORT CUresult cuStreamQuery(CUstream stream) { return cuStreamSynchronize(stream); }
ATTNC_EMU_EXPORT CUresult cuStreamWaitEvent(CUstream stream, void *, unsigned) {
  return cuStreamSynchronize(stream);
}

ATTNC_EMU_EXPORT CUresult cuStreamIsCapturing(CUstream stream, int *status) {
  ATTNC_EMU_ENTER(s);
  if (!status)
    return invalidValue;
  *status = s.captures.count(stream) != 0;
  return isKnown(s, stream) ? success : invalidHandle;
}

ATTNC_EMU_EXPORT CUresult cuEventCreate(void **event, unsigned) {
  ATTNC_EMU_ENTER(s);
  if (!event)
    return invalidValue;
  auto *e = new EventHandle();
  s.events.insert(e);
  *event = e;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuEventDestroy_v2(void *event) {
  ATTNC_EMU_ENTER(s);
  if (!s.events.erase(static_cast<EventHandle *>(event)))
    return invalidHandle;
  delete static_cast<EventHandle *>(event);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuEventRecord(void *event, CUstream stream) {
  ATTNC_EMU_ENTER(s);
  auto *e = static_cast<EventHandle *>(event);
  if (!s.events.count(e) || !isKnown(s, stream))
    return invalidHandle;
  if (s.captures.count(stream))
    return captureUnsupported; // graphs of launches alone
  e->recorded = true;
  e->at = s.instructions;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuEventSynchronize(void *event) {
  ATTNC_EMU_ENTER(s);
  return s.events.count(static_cast<EventHandle *>(event)) ? success : invalidHandle;
}
ATTNC_EMU_EXPORT CUresult cuEventQuery(void *event) { return cuEventSynchronize(event); }

ATTNC_EMU_EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, void *begin, void *end) {
  ATTNC_EMU_ENTER(s);
  auto *b = static_cast<EventHandle *>(begin), *e = static_cast<EventHandle *>(end);
  if (!milliseconds)
    return invalidValue;
  if (!s.events.count(b) || !s.events.count(e) || !b->recorded || !e->recorded)
    return invalidHandle;
  *milliseconds = static_cast<float>(static_cast<double>(e->at - b->at) / 1e6);
  return success;
}
ATTNC_EMU_EXPORT CUresult cuEventElapsedTime(float *milliseconds, void *begin, void *end) {
  return cuEventElapsedTime_v2(milliseconds, begin, end);
}
