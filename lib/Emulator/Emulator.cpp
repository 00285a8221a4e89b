// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Machine: device profiles, options from the environment, loading modules and launching kernels.
#include "AccessHistory.h"
#include "Decode.h"
#include "Inline.h"
#include "Launch.h"

#include <cstdlib>
#include <cstring>

namespace attnc::emu {

Profile profileFor(std::string_view name) {
  //                               shared memory per block by opt-in, per SM; number of SMs
  static const Profile table[] = {{"sm_80", 8, 0, 49152, 163 * 1024, 164 * 1024, 108},
                                  {"sm_86", 8, 6, 49152, 99 * 1024, 100 * 1024, 84},
                                  {"sm_89", 8, 9, 49152, 99 * 1024, 100 * 1024, 128},
                                  {"sm_90", 9, 0, 49152, 227 * 1024, 228 * 1024, 132},
                                  {"sm_90a", 9, 0, 49152, 227 * 1024, 228 * 1024, 132},
                                  {"sm_100a", 10, 0, 49152, 227 * 1024, 228 * 1024, 148},
                                  {"sm_120a", 12, 0, 49152, 99 * 1024, 100 * 1024, 170}};
  std::string names;
  for (const Profile &p : table) {
    if (p.name == name)
      return p;
    names += " " + p.name;
  }
  throw std::invalid_argument("unknown device profile '" + std::string(name) + "'; known:" + names);
}

Options optionsFromEnvironment() {
  Options o;
  auto get = [](const char *name) -> std::string {
    const char *v = std::getenv(name);
    return v ? v : "";
  };
  auto seeded = [&](const char *name, const std::string &v) {
    if (v == "random")
      return true;
    if (v.compare(0, 7, "random:") != 0)
      return false;
    char *end = nullptr;
    o.seed = std::strtoull(v.c_str() + 7, &end, 10);
    if (v.size() == 7 || *end)
      throw std::invalid_argument(std::string(name) + " needs a number after 'random:', found '" +
                                  v + "'");
    return true;
  };
  std::string checks = get("ATTNC_EMU_CHECKS");
  if (!checks.empty() && checks != "0" && checks != "1" && checks != "2")
    throw std::invalid_argument("ATTNC_EMU_CHECKS must be 0, 1 or 2, found '" + checks + "'");
  o.checks = checks != "0";
  o.thorough = checks == "2";
  std::string delivery = get("ATTNC_EMU_DELIVERY");
  if (delivery == "early")
    o.delivery = Delivery::Early;
  else if (seeded("ATTNC_EMU_DELIVERY", delivery))
    o.delivery = Delivery::Random;
  else if (delivery == "all")
    o.delivery = Delivery::All;
  else if (!delivery.empty() && delivery != "late")
    throw std::invalid_argument(
        "ATTNC_EMU_DELIVERY must be early, late, random:SEED or all, found '" + delivery + "'");
  std::string schedule = get("ATTNC_EMU_SCHEDULE");
  if (seeded("ATTNC_EMU_SCHEDULE", schedule))
    o.shuffle = true;
  else if (!schedule.empty() && schedule != "rr")
    throw std::invalid_argument("ATTNC_EMU_SCHEDULE must be rr or random:SEED, found '" + schedule +
                                "'");
  auto arbitrary = [&](const char *name) {
    std::string v = get(name);
    if (!v.empty() && v != "unwritten" && v != "arbitrary")
      throw std::invalid_argument(std::string(name) + " must be unwritten or arbitrary, found '" +
                                  v + "'");
    return v == "arbitrary";
  };
  o.arbitraryShared = arbitrary("ATTNC_EMU_SHARED");
  o.arbitraryGlobal = arbitrary("ATTNC_EMU_GLOBAL");
  o.counters = !get("ATTNC_EMU_COUNTERS").empty();
  return o;
}

const Function &functionOf(const Kernel &kernel) { return *kernel.function; }
uint32_t staticSharedBytes(const Kernel &kernel) { return kernel.staticSharedBytes; }
uint32_t localBytes(const Kernel &kernel) { return kernel.localBytes; }
uint32_t maxLiveRegisters(const Kernel &kernel) { return kernel.maxLive32; }

LoadedModule::~LoadedModule() {
  if (memory)
    for (auto &g : globals)
      memory->free(g.second.first);
}

const Kernel *LoadedModule::kernel(std::string_view name) const {
  for (auto &k : kernels)
    if (k->function->name == name)
      return k.get();
  return nullptr;
}

bool LoadedModule::global(std::string_view name, uint64_t &address, uint64_t &bytes) const {
  for (auto &g : globals)
    if (g.first == name) {
      address = g.second.first;
      bytes = g.second.second;
      return true;
    }
  return false;
}

Machine::Machine(Profile profile, Options options)
    : prof(std::move(profile)), opts(options), mem(std::make_unique<DeviceMemory>()) {}
Machine::~Machine() = default;

/// A module for sm_90a needs exactly that architecture; a plain one runs on any newer device.
static void checkTarget(const Module &m, const Profile &p) {
  char suffix = m.target.back();
  bool specific = suffix == 'a' || suffix == 'f';
  bool ok = specific
                ? (suffix == 'a' ? m.target == p.name
                                 : m.targetNumber / 10 == p.major && m.targetNumber <= p.number())
                : m.targetNumber <= p.number();
  if (!ok)
    throw PtxError({1, 1}, "module is for " + m.target + ", but the emulated device is " + p.name);
}

std::unique_ptr<LoadedModule> Machine::load(std::string_view ptx) {
  std::unique_ptr<LoadedModule> loaded(new LoadedModule());
  loaded->memory = mem.get();
  loaded->module = std::make_unique<Module>(parsePtx(ptx));
  const Module &m = *loaded->module;
  checkTarget(m, prof);
  std::unordered_map<std::string, uint64_t> symbols;
  for (const Variable &v : m.variables) {
    if (v.space == Space::Shared)
      continue;
    uint64_t address = mem->allocate(std::max<uint64_t>(v.size, 1), v.name);
    if (!address)
      throw PtxError(v.pos, "no device memory for variable '" + v.name + "' of " +
                                std::to_string(v.size) + " bytes");
    symbols[v.name] = address;
    loaded->globals.push_back({v.name, {address, v.size}});
    // The loader zero-fills what the initializer leaves out, and module variables without one.
    std::vector<uint8_t> bytes = v.init;
    bytes.resize(v.size, 0);
    mem->write(address, bytes.data(), bytes.size());
  }
  for (const Variable &v : m.variables)
    for (auto &[offset, name] : v.relocations) {
      auto it = symbols.find(name);
      if (it == symbols.end())
        throw PtxError(v.pos,
                       "initializer of '" + v.name + "' names unknown variable '" + name + "'");
      uint64_t value;
      mem->read(symbols[v.name] + offset, &value, 8);
      value += it->second;
      mem->write(symbols[v.name] + offset, &value, 8);
    }
  for (const Function &f : m.functions) {
    if (!f.isEntry || f.isDeclaration)
      continue;
    auto k = std::make_unique<Kernel>();
    k->module = &m;
    k->function = &f;
    if (hasCalls(f)) {
      k->expanded = std::make_unique<Function>(expandCalls(m, f));
      k->function = k->expanded.get();
    }
    Decoder(m, *k->function, prof, symbols, *mem, *k).run();
    loaded->kernels.push_back(std::move(k));
  }
  return loaded;
}

void runLaunch(Launch &L);
Counters collectCounters(const Launch &L);

static std::string checkCluster(const Function &f, const LaunchConfig &c, const Profile &p) {
  auto n = [](uint64_t v) { return std::to_string(v); };
  uint64_t size = c.cluster.count();
  if (f.reqCluster[0] && (f.reqCluster[0] != c.cluster.x || f.reqCluster[1] != c.cluster.y ||
                          f.reqCluster[2] != c.cluster.z))
    return "cluster differs from .reqnctapercluster " + n(f.reqCluster[0]) + ", " +
           n(f.reqCluster[1]) + ", " + n(f.reqCluster[2]);
  if (!size)
    return "cluster must not be empty";
  if (f.explicitCluster && size == 1 && !c.clusterGiven)
    return ".explicitcluster needs a launch that says how large its clusters are";
  if (size == 1)
    return "";
  if (p.major < 9)
    return p.name + " has no clusters";
  if (c.grid.x % c.cluster.x || c.grid.y % c.cluster.y || c.grid.z % c.cluster.z)
    return "grid is no multiple of the cluster";
  uint64_t limit = c.nonPortableCluster ? 16 : 8;
  if (size > limit)
    return "cluster has " + n(size) + " blocks, the limit is " + n(limit);
  if (f.maxClusterRank && size > f.maxClusterRank)
    return "cluster has " + n(size) + " blocks, but .maxclusterrank allows " + n(f.maxClusterRank);
  return "";
}

/// Why a configuration cannot run on this device; empty when it can.
static std::string checkConfig(const Kernel &k, const LaunchConfig &c, const Profile &p,
                               size_t paramBytes) {
  const Function &f = *k.function;
  uint64_t threads = c.block.count(), shared = k.staticSharedBytes + uint64_t(c.dynamicSharedBytes);
  auto n = [](uint64_t v) { return std::to_string(v); };
  if (!threads || !c.grid.count())
    return "grid and block must not be empty";
  if (threads > 1024)
    return "block has " + n(threads) + " threads, the limit is 1024";
  if (c.grid.y > 65535 || c.grid.z > 65535 || c.grid.x > 0x7fffffffu)
    return "grid is too large";
  if (shared > p.sharedPerBlockOptin)
    return "kernel needs " + n(shared) + " bytes of shared memory, the limit is " +
           n(p.sharedPerBlockOptin);
  if (paramBytes < f.paramBytes)
    return "kernel takes " + n(f.paramBytes) + " bytes of parameters, got " + n(paramBytes);
  if (f.reqntid[0] &&
      (f.reqntid[0] != c.block.x || f.reqntid[1] != c.block.y || f.reqntid[2] != c.block.z))
    return "block differs from .reqntid " + n(f.reqntid[0]) + ", " + n(f.reqntid[1]) + ", " +
           n(f.reqntid[2]);
  if (f.maxntid[0] && threads > uint64_t(f.maxntid[0]) * f.maxntid[1] * f.maxntid[2])
    return "block has " + n(threads) + " threads, but .maxntid allows " +
           n(uint64_t(f.maxntid[0]) * f.maxntid[1] * f.maxntid[2]);
  return "";
}

LaunchResult Machine::launchOnce(const Kernel &kernel, const LaunchConfig &wanted,
                                 const void *params, size_t paramBytes, const Options &options) {
  LaunchResult result;
  LaunchConfig config = wanted;
  const uint32_t *required = kernel.function->reqCluster;
  if (required[0] && !config.clusterGiven &&
      config.cluster.count() == 1) // a launch without the attribute takes the kernel's
    config.cluster = {required[0], required[1], required[2]};
  std::string why = checkConfig(kernel, config, prof, paramBytes);
  bool wrongCluster = why.empty();
  if (wrongCluster)
    why = checkCluster(*kernel.function, config, prof);
  if (!why.empty()) {
    result.ok = false;
    result.kind = wrongCluster ? "invalid-cluster" : "invalid-launch";
    result.report =
        "ptx emulator: invalid launch of kernel '" + kernel.function->name + "': " + why + "\n";
    return result;
  }
  Launch L;
  L.kernel = &kernel;
  L.profile = &prof;
  L.memory = mem.get();
  L.config = config;
  L.options = options;
  L.params.assign(static_cast<const char *>(params),
                  static_cast<const char *>(params) + paramBytes);
  runLaunch(L);
  result.ok = !L.failed;
  result.kind = L.kind;
  result.report = L.report;
  result.line = L.line;
  result.counters = collectCounters(L);
  return result;
}

LaunchResult Machine::launchAllDeliveries(const Kernel &kernel, const LaunchConfig &config,
                                          const void *params, size_t paramBytes) {
  auto nameOf = [](const Options &o) {
    return o.delivery == Delivery::Early  ? std::string("early")
           : o.delivery == Delivery::Late ? std::string("late")
                                          : "random:" + std::to_string(o.seed);
  };
  std::vector<DeviceMemory::Image> before = mem->save(), first;
  LaunchResult result;
  for (uint64_t run = 0; run < 7; ++run) {
    Options o = opts;
    o.delivery = run == 0 ? Delivery::Early : run == 1 ? Delivery::Late : Delivery::Random;
    if (run > 1)
      o.seed = run - 1;
    if (run > 0)
      mem->restore(before);
    result = launchOnce(kernel, config, params, paramBytes, o);
    if (!result.ok) {
      result.report += "  with " + nameOf(o) + " delivery of asynchronous copies\n";
      return result;
    }
    if (run == 0) {
      first = mem->save();
      continue;
    }
    uint64_t at = mem->firstDifference(first, opts.arbitraryGlobal);
    if (!at)
      continue;
    const DeviceMemory::Block *b = mem->find(at);
    result.ok = false;
    result.kind = "delivery-dependent";
    result.report = "ptx emulator: delivery-dependent in kernel '" + kernel.function->name +
                    "'\n  byte " + std::to_string(at - b->begin) + " of " +
                    (b->name.empty() ? "an allocation" : "'" + b->name + "'") + " of " +
                    std::to_string(b->end - b->begin) +
                    " bytes ends up different when asynchronous copies arrive early and when they "
                    "arrive " +
                    nameOf(o) + "\n";
    return result;
  }
  return result;
}

LaunchResult Machine::launch(const Kernel &kernel, const LaunchConfig &config, const void *params,
                             size_t paramBytes) {
  return opts.delivery == Delivery::All ? launchAllDeliveries(kernel, config, params, paramBytes)
                                        : launchOnce(kernel, config, params, paramBytes, opts);
}

} // namespace attnc::emu
