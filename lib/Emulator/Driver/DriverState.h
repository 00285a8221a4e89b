// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the entry points of the emulated CUDA Driver API share. The ABI types are our own, so that
// neither the CUDA toolkit nor its licence is needed to build; DriverTest.cpp calls the library
// through dlsym exactly as a runtime would.
//
// The driver is synchronous: a launch returns when the kernel has ended, and returns its error at
// once. As with the real driver the error of a kernel is sticky: it corrupts the context, every
// call returns it, and only a new context (cuDevicePrimaryCtxReset, or destroying this one) helps.
#pragma once

#include "attnc/Emulator/Emulator.h"
#include "attnc/Emulator/Memory.h"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUstream = void *;

#define ATTNC_EMU_EXPORT extern "C" __attribute__((visibility("default")))

namespace attnc::emu::driver {

enum : CUresult {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  noDevice = 100,
  invalidDevice = 101,
  invalidContext = 201,
  noBinaryForGpu = 209,
  invalidPtx = 218,
  invalidHandle = 400,
  illegalState = 401,
  notFound = 500,
  illegalAddress = 700,
  launchTimeout = 702,
  illegalInstruction = 715,
  misalignedAddress = 716,
  launchFailed = 719,
  notSupported = 801,
  captureUnsupported = 900,
  invalidClusterSize = 912,
};

struct FunctionHandle {
  const Kernel *kernel = nullptr;
  int maxDynamicShared = 0;
  int attributes[16] = {};
};

struct ModuleHandle {
  std::unique_ptr<LoadedModule> loaded;
  std::map<std::string, std::unique_ptr<FunctionHandle>> functions;
};

struct EventHandle {
  bool recorded = false;
  unsigned long long at = 0; ///< warp instructions executed before the record
};

/// A launch with all that it needs.
struct PendingLaunch {
  FunctionHandle *function = nullptr;
  LaunchConfig config;
  std::vector<char> arguments;
};

/// What a stream was given while it was captured: launches, one after the other.
struct GraphHandle {
  std::vector<PendingLaunch> launches;
  bool isRelaxed = false; ///< captured so that calls which wait or allocate are allowed
};

/// The whole driver: one device, one context.
struct State {
  std::mutex lock;
  bool initialized = false;
  std::string failure; ///< why cuInit failed, for the report
  std::unique_ptr<Machine> machine;
  std::string deviceName;
  std::set<ModuleHandle *> modules;
  std::set<FunctionHandle *> functions;
  std::set<EventHandle *> events;
  std::set<void *> streams;
  std::map<CUstream, GraphHandle> captures; ///< of the streams that are captured
  std::set<GraphHandle *> graphs;           ///< as captured, and those to be launched
  std::map<void *, size_t> hostAllocations;
  std::string lastReport;
  unsigned long long instructions = 0; ///< warp instructions of all launches, the emulated clock
  int primaryRetains = 0;
  CUresult sticky = success; ///< the error of the kernel that corrupted the context
};

/// The one instance; never destroyed, since callers may use the driver from their own destructors.
State &state();

/// The context handle, and whether this thread has made it current.
void *contextHandle();
bool &contextIsCurrent();

/// Frees all that belongs to the context and gives it a fresh device memory.
void destroyContext(State &s);

/// The default streams (null, 1 and 2) always exist.
bool isKnown(const State &s, CUstream stream);
/// Whether a call that waits or allocates would be an error, since a stream is captured.
bool refusesToWait(const State &s);
/// Runs the kernel. The state is locked.
CUresult runLaunch(State &s, const PendingLaunch &launch);

/// Stores a report for attnc_emu_last_report and prints it to stderr once.
void publishReport(State &s, const std::string &report);

/// Locks the state and checks that the driver and a context are ready; for most entry points.
#define ATTNC_EMU_ENTER(s)                                                                         \
  State &s = state();                                                                              \
  std::lock_guard<std::mutex> guard(s.lock);                                                       \
  if (!s.initialized)                                                                              \
    return notInitialized;                                                                         \
  if (!contextIsCurrent())                                                                         \
    return invalidContext;                                                                         \
  if (s.sticky != success)                                                                         \
  return s.sticky

} // namespace attnc::emu::driver
