// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Graphs of the emulated CUDA Driver API: launches that were captured from one stream, to be run
// any number of times. Other work that a real graph may hold (copies, events between streams) is
// refused while a stream is captured.
#include "DriverState.h"

using namespace attnc::emu;
using namespace attnc::emu::driver;

bool attnc::emu::driver::refusesToWait(const State &s) {
  for (const auto &[stream, graph] : s.captures)
    if (!graph.isRelaxed)
      return true;
  return false;
}

/// Mode 2 is CU_STREAM_CAPTURE_MODE_RELAXED. The legacy default stream is never captured.
ATTNC_EMU_EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int mode) {
  ATTNC_EMU_ENTER(s);
  if (mode < 0 || mode > 2)
    return invalidValue;
  if (!isKnown(s, stream))
    return invalidHandle;
  if (reinterpret_cast<size_t>(stream) <= 1)
    return captureUnsupported;
  auto [capture, isNew] = s.captures.try_emplace(stream);
  if (!isNew)
    return illegalState;
  capture->second.isRelaxed = mode == 2;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuStreamEndCapture(CUstream stream, void **graph) {
  ATTNC_EMU_ENTER(s);
  if (!graph)
    return invalidValue;
  auto capture = s.captures.find(stream);
  if (capture == s.captures.end())
    return illegalState;
  auto *captured = new GraphHandle(std::move(capture->second));
  s.captures.erase(capture);
  s.graphs.insert(captured);
  *graph = captured;
  return success;
}

/// An executable graph is a copy of the graph.
ATTNC_EMU_EXPORT CUresult cuGraphInstantiateWithFlags(void **executable, void *graph,
                                                      unsigned long long) {
  ATTNC_EMU_ENTER(s);
  auto *captured = static_cast<GraphHandle *>(graph);
  if (!executable)
    return invalidValue;
  if (!s.graphs.count(captured))
    return invalidHandle;
  auto *copy = new GraphHandle(*captured);
  s.graphs.insert(copy);
  *executable = copy;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuGraphLaunch(void *executable, CUstream stream) {
  ATTNC_EMU_ENTER(s);
  auto *graph = static_cast<GraphHandle *>(executable);
  if (!s.graphs.count(graph) || !isKnown(s, stream))
    return invalidHandle;
  if (s.captures.count(stream))
    return captureUnsupported;
  for (const PendingLaunch &launch : graph->launches) {
    if (!s.functions.count(launch.function))
      return invalidHandle; // its module was unloaded
    if (CUresult result = runLaunch(s, launch))
      return result;
  }
  return success;
}

ATTNC_EMU_EXPORT CUresult cuGraphDestroy(void *graph) {
  ATTNC_EMU_ENTER(s);
  auto *captured = static_cast<GraphHandle *>(graph);
  if (!s.graphs.erase(captured))
    return invalidHandle;
  delete captured;
  return success;
}
ATTNC_EMU_EXPORT CUresult cuGraphExecDestroy(void *executable) {
  return cuGraphDestroy(executable);
}
