// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The public face of the PTX emulator: a `Machine` with device memory that loads PTX modules and
// launches their kernels, with the checks of docs/Emulator.md switched on by default.
//
//   attnc::emu::Machine machine(attnc::emu::profileFor("sm_80"));
//   uint64_t x = machine.memory().allocate(4096);
//   auto module = machine.load(ptxText);              // throws PtxError
//   auto result = machine.launch(*module->kernel("saxpy"), {{16}, {256}}, params, paramBytes);
//   if (!result.ok) fputs(result.report.c_str(), stderr);
//
// The same machine is behind the CUDA Driver API of libattnc_emu_cuda. Nothing here says anything
// about time: the emulator executes instructions one warp at a time on the CPU.
#pragma once

#include "attnc/Emulator/Ptx.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attnc::emu {

struct Kernel;
class DeviceMemory;

/// The limits of an emulated device. Only what changes which programs are legal.
struct Profile {
  std::string name; ///< "sm_90a"
  unsigned major = 8, minor = 0;
  uint32_t sharedPerBlock = 48 * 1024; ///< without opting in
  uint32_t sharedPerBlockOptin = 163 * 1024;
  uint32_t sharedPerSm = 164 * 1024;
  uint32_t numSms = 108;
  unsigned number() const { return major * 10 + minor; }
};
/// The profile called `name` ("sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100a", "sm_120a").
/// Throws std::invalid_argument with the list of names otherwise.
Profile profileFor(std::string_view name);

/// When an asynchronous copy takes effect. Every legal program gives the same result under all.
/// `All` runs a launch under each, random with five seeds, on the same memory, and reports a
/// difference in what it leaves there.
enum class Delivery : uint8_t { Early, Late, Random, All };

/// How a launch is executed and checked.
struct Options {
  bool checks = true;    ///< initialisation, races, pending copies; bounds are always checked
  bool thorough = false; ///< with `checks`: races in global memory and between lanes; slow
  Delivery delivery = Delivery::Late;
  uint64_t seed = 1;    ///< of Random delivery and of the scheduler when `shuffle` is set
  bool shuffle = false; ///< run ready warps in random instead of round-robin order
  /// Shared memory begins with bytes that depend on the delivery and may be read, instead of
  /// unwritten.
  bool arbitraryShared = false;
  /// The same of global memory: at each launch what nothing has written gets new bytes.
  bool arbitraryGlobal = false;
  bool counters = false; ///< collect the memory counters (instruction counts always are)
};
/// Reads ATTNC_EMU_CHECKS, ATTNC_EMU_DELIVERY, ATTNC_EMU_SCHEDULE, ATTNC_EMU_SHARED,
/// ATTNC_EMU_GLOBAL and ATTNC_EMU_COUNTERS. Throws std::invalid_argument for a value it does not
/// know.
Options optionsFromEnvironment();

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

struct LaunchConfig {
  Dim3 grid, block;
  uint32_t dynamicSharedBytes = 0;
  Dim3 cluster = {};               ///< 1 x 1 x 1 without clusters
  bool nonPortableCluster = false; ///< up to 16 blocks instead of 8
  bool clusterGiven = false;       ///< `cluster` was asked for, even if it is one block
};

/// What memory instructions did. Sectors are 32 bytes of global memory, wavefronts are passes over
/// the 32 banks of shared memory; `min*` is the least any layout could have needed. Bulk copies are
/// in the bytes and sectors; the passes of bulk copies and wgmma over shared memory are not
/// counted.
struct MemoryCounters {
  uint64_t requests = 0, lanes = 0, bytes = 0;
  /// The bytes, by what was done with them; atomics read and write. A bulk copy that goes to
  /// several blocks writes to each.
  uint64_t globalRead = 0, globalWritten = 0, sharedRead = 0, sharedWritten = 0;
  uint64_t sectors = 0, minSectors = 0;
  uint64_t wavefronts = 0, minWavefronts = 0;
  uint64_t bankConflicts() const { return wavefronts - minWavefronts; }
  void add(const MemoryCounters &other);
};

/// Counts of one PTX instruction over a launch.
struct LineCounters {
  uint32_t instr = 0;   ///< index in Function::body
  uint64_t warps = 0;   ///< executions by a warp
  uint64_t threads = 0; ///< executions by a thread; guards are not subtracted
  bool hasMemory = false;
  MemoryCounters memory;
};

struct Counters {
  std::vector<LineCounters> lines;
  uint64_t warpInstructions = 0, threadInstructions = 0;
  uint64_t divergentBranches = 0, barrierWaits = 0, ctas = 0;
  /// Stores of a thread to shared memory that are not ordered after a store of the same value.
  uint64_t sameValueStores = 0;
  uint64_t tensorFlops = 0;
  MemoryCounters memory; ///< of all lines together
  uint32_t maxLive32 = 0, sharedBytes = 0;
};

/// How a launch ended. When `ok` is false, `kind` is a short identifier such as "out-of-bounds" and
/// `report` the text for people.
struct LaunchResult {
  bool ok = true;
  std::string kind;
  std::string report;
  uint32_t line = 0; ///< PTX line of the report
  Counters counters;
};

/// What a caller may ask of a decoded kernel without seeing its insides.
const Function &functionOf(const Kernel &kernel);
uint32_t staticSharedBytes(const Kernel &kernel);
uint32_t localBytes(const Kernel &kernel);
/// The most 32-bit registers live at once in the PTX; ptxas may need more or fewer.
uint32_t maxLiveRegisters(const Kernel &kernel);

/// What the decoder knows, for tests of coverage: the opcodes, every form of the scalar ones as it
/// is written, such as "fma.rn.ftz.f32", and every form of atom and red without state space,
/// ordering and scope, such as "red.add.noftz.v2.f16".
std::vector<std::string> decodedOpcodes();
std::vector<std::string> scalarForms();
std::vector<std::string> atomicForms();

/// The totals of a launch in a few lines for people.
std::string totalsOf(const Kernel &kernel, const Counters &counters);
/// Writes counters as JSON, per kernel and per PTX line.
std::string toJson(const Kernel &kernel, const Counters &counters);

/// A parsed and decoded module. Owns its kernels; its variables live in device memory.
class LoadedModule {
public:
  ~LoadedModule();
  /// Null when there is no such entry.
  const Kernel *kernel(std::string_view name) const;
  /// Address and size of a module-scope variable; false when there is none.
  bool global(std::string_view name, uint64_t &address, uint64_t &bytes) const;
  const Module &syntax() const { return *module; }

private:
  friend class Machine;
  LoadedModule() = default;
  DeviceMemory *memory = nullptr;
  std::unique_ptr<Module> module;
  std::vector<std::unique_ptr<Kernel>> kernels;
  std::vector<std::pair<std::string, std::pair<uint64_t, uint64_t>>> globals;
};

class Machine {
public:
  explicit Machine(Profile profile, Options options = {});
  ~Machine();
  DeviceMemory &memory() { return *mem; }
  const Profile &profile() const { return prof; }
  Options &options() { return opts; }

  /// Reads and decodes a module for this profile. Throws PtxError; every instruction that the
  /// emulator does not implement is such an error.
  std::unique_ptr<LoadedModule> load(std::string_view ptx);

  /// Runs a kernel to its end. `params` is the parameter buffer laid out as the entry declares.
  LaunchResult launch(const Kernel &kernel, const LaunchConfig &config, const void *params,
                      size_t paramBytes);

private:
  LaunchResult launchOnce(const Kernel &kernel, const LaunchConfig &config, const void *params,
                          size_t paramBytes, const Options &options);
  LaunchResult launchAllDeliveries(const Kernel &kernel, const LaunchConfig &config,
                                   const void *params, size_t paramBytes);

  Profile prof;
  Options opts;
  std::unique_ptr<DeviceMemory> mem;
};

} // namespace attnc::emu
