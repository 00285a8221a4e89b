// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ptx-emu: runs one kernel of a PTX file on .npy arguments under the emulator's checks. Exit
// status: 0 when the kernel ran clean, 1 when a check reported, 2 when the command line or a file
// is wrong.
#include "Npy.h"
#include "attnc/Emulator/Emulator.h"
#include "attnc/Emulator/Memory.h"
#include "attnc/Emulator/TensorMap.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

using namespace attnc::emu;
using namespace attnc::emu::tool;

static const char *usage = R"(usage: ptx-emu FILE.ptx [options] [ARGUMENT...]

Runs a kernel of a PTX file on the CPU, checks every memory access and
synchronization, and writes results and counters. Says nothing about speed.

options:
  --kernel NAME        the entry to run (default: the only one)
  --grid X[,Y[,Z]]     thread blocks (default 1)
  --block X[,Y[,Z]]    threads per block (default 32)
  --cluster X[,Y[,Z]]  thread blocks per cluster (default 1)
  --shared BYTES       dynamic shared memory (default 0)
  --device NAME        sm_80 (default), sm_86, sm_89, sm_90, sm_90a, sm_100a, sm_120a
  --delivery POLICY    of asynchronous copies: early, late (default), random:SEED,
                       all (under each; results must be equal)
  --schedule POLICY    of warps: rr (default), random:SEED
  --no-checks          only bounds and alignment
  --arbitrary MEMORY   let unwritten memory be read; it begins with NaNs (early
                       delivery), zeros (late) or random bytes: global, shared, both
  --thorough           also races in global memory and between lanes of a warp
  --repeat N           run N times and print the emulator's own speed, which says
                       nothing about the kernel's on a device
  --counters FILE      write counters per kernel and PTX line as JSON ('-': stdout)
  --totals             print bytes, sectors, wavefronts and bank conflicts of the launch
  --list               list the kernels and their parameters and exit
  --help

arguments, in the order of the kernel's parameters:
  i32:N u32:N i64:N u64:N f32:X f64:X        a scalar
  in:FILE.npy                                an array to read
  inout:FILE.npy:RESULT.npy                  an array to read and write
  out:RESULT.npy:TYPE:D0,D1,..               an uninitialized array to write
  map:BOX:SWIZZLE:ARRAY                      a tensor map of one of these arrays: box as
                                             D0,D1,.., swizzle 0, 32, 64 or 128 bytes
)";

namespace {

struct Output {
  std::string path;
  uint64_t address;
  Array array;
};

struct Command {
  std::string file, kernel, device = "sm_80", counters;
  LaunchConfig config;
  Options options = optionsFromEnvironment();
  bool list = false, totals = false;
  uint64_t repeat = 1;
  std::vector<std::string> arguments;
  std::vector<char> params;
  std::vector<Output> outputs;
};

[[noreturn]] void bad(const std::string &message) { throw std::runtime_error(message); }

std::vector<uint64_t> numbers(const std::string &text, const std::string &what) {
  std::vector<uint64_t> list;
  std::stringstream in(text);
  for (std::string item; std::getline(in, item, ',');) {
    char *end = nullptr;
    list.push_back(std::strtoull(item.c_str(), &end, 10));
    if (item.empty() || *end)
      bad(what + " needs numbers separated by commas, found '" + text + "'");
  }
  return list;
}

Dim3 dimensions(const std::string &text, const std::string &what) {
  std::vector<uint64_t> n = numbers(text, what);
  if (n.empty() || n.size() > 3)
    bad(what + " needs one to three numbers, found '" + text + "'");
  n.resize(3, 1);
  return {static_cast<uint32_t>(n[0]), static_cast<uint32_t>(n[1]), static_cast<uint32_t>(n[2])};
}

/// Policies are spelled as in the environment, and go through the same reader.
void setPolicy(Command &c, const char *variable, const char *value) {
  Options before = c.options;
  setenv(variable, value, 1);
  c.options = optionsFromEnvironment();
  c.options.counters = before.counters;
  c.options.checks = before.checks;
  c.options.thorough = before.thorough;
  c.options.arbitraryGlobal = before.arbitraryGlobal;
  c.options.arbitraryShared = before.arbitraryShared;
}

void setArbitrary(Command &c, const std::string &memory) {
  if (memory != "global" && memory != "shared" && memory != "both")
    bad("--arbitrary needs global, shared or both, found '" + memory + "'");
  c.options.arbitraryGlobal |= memory != "shared";
  c.options.arbitraryShared |= memory != "global";
}

Command parseCommand(int argc, char **argv) {
  Command c;
  c.config.block.x = 32;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    auto value = [&]() -> const char * {
      if (++i >= argc)
        bad("option " + a + " needs a value");
      return argv[i];
    };
    if (a == "--help")
      fputs(usage, stdout), exit(0);
    else if (a == "--kernel")
      c.kernel = value();
    else if (a == "--grid")
      c.config.grid = dimensions(value(), a);
    else if (a == "--block")
      c.config.block = dimensions(value(), a);
    else if (a == "--cluster")
      c.config.cluster = dimensions(value(), a);
    else if (a == "--shared")
      c.config.dynamicSharedBytes = static_cast<uint32_t>(numbers(value(), a).at(0));
    else if (a == "--device")
      c.device = value();
    else if (a == "--delivery")
      setPolicy(c, "ATTNC_EMU_DELIVERY", value());
    else if (a == "--schedule")
      setPolicy(c, "ATTNC_EMU_SCHEDULE", value());
    else if (a == "--no-checks")
      c.options.checks = false;
    else if (a == "--arbitrary")
      setArbitrary(c, value());
    else if (a == "--thorough")
      c.options.thorough = true;
    else if (a == "--counters")
      c.counters = value(), c.options.counters = true;
    else if (a == "--repeat")
      c.repeat = std::max<uint64_t>(1, numbers(value(), a).at(0));
    else if (a == "--totals")
      c.totals = c.options.counters = true;
    else if (a == "--list")
      c.list = true;
    else if (a[0] == '-' && a.size() > 1)
      bad("unknown option '" + a + "'; see --help");
    else if (c.file.empty())
      c.file = a;
    else
      c.arguments.push_back(a);
  }
  if (c.file.empty())
    bad("no PTX file given; see --help");
  return c;
}

template <class T> void push(Command &c, T v) {
  c.params.resize((c.params.size() + sizeof v - 1) / sizeof v * sizeof v);
  c.params.insert(c.params.end(), reinterpret_cast<char *>(&v),
                  reinterpret_cast<char *>(&v) + sizeof v);
}

std::vector<std::string> split(const std::string &text) {
  std::vector<std::string> part;
  std::stringstream in(text);
  for (std::string item; std::getline(in, item, ':');)
    part.push_back(item);
  return part;
}

struct Placed {
  uint64_t address;
  std::string descr;
  std::vector<uint64_t> shape;
};

/// An array argument, in device memory.
Placed placeArray(Command &c, Machine &m, const std::string &text) {
  std::vector<std::string> part = split(text);
  auto need = [&](size_t n) {
    if (part.size() != n)
      bad("malformed argument '" + text + "'; see --help");
  };
  const std::string kind = part.empty() ? "" : part[0];
  Array a;
  std::string result;
  if (kind == "in") {
    need(2);
    a = readNpy(part[1]);
  } else if (kind == "inout") {
    need(3);
    a = readNpy(part[1]);
    result = part[2];
  } else if (kind == "out") {
    need(4);
    a.descr = descrFor(part[2]);
    a.shape = numbers(part[3], "shape");
    result = part[1];
  } else {
    bad("unknown kind of argument '" + text + "'; see --help");
  }
  uint64_t bytes = a.byteCount();
  uint64_t p = m.memory().allocate(std::max<uint64_t>(bytes, 1), text);
  if (!p)
    bad("no device memory for argument '" + text + "'");
  m.memory().write(p, a.bytes.data(), a.bytes.size());
  Placed placed{p, a.descr, a.shape};
  if (!result.empty())
    c.outputs.push_back({result, p, std::move(a)});
  return placed;
}

/// Appends the tensor map of an array, dense and in its own type.
void pushMap(Command &c, const Placed &array, std::vector<uint64_t> box, uint64_t swizzle) {
  static constexpr const char *types[] = {"|u1", "<u2", "<u4", "<i4", "<u8",
                                          "<i8", "<f2", "<f4", "<f8"}; // in the driver's order
  const auto *type = std::find(std::begin(types), std::end(types), array.descr);
  size_t rank = array.shape.size();
  if (type == std::end(types) || box.size() != rank || rank < 1 || rank > 5)
    bad("a tensor map needs an array of 1 to 5 dimensions, a box of as many, and a type that the "
        "driver knows");
  uint64_t dims[5], strides[5], pitch = array.descr[2] - '0';
  uint32_t boxes[5], steps[5] = {1, 1, 1, 1, 1};
  for (size_t i = 0; i < rank; ++i) {
    dims[i] = array.shape[rank - 1 - i];
    boxes[i] = static_cast<uint32_t>(box[rank - 1 - i]);
    pitch *= dims[i];
    strides[i] = pitch;
  }
  TensorMap map;
  std::string why = encodeTiled(map, static_cast<int>(type - types), static_cast<uint32_t>(rank),
                                array.address, dims, strides, boxes, steps, 0,
                                swizzle == 0     ? 0
                                : swizzle == 32  ? 1
                                : swizzle == 64  ? 2
                                : swizzle == 128 ? 3
                                                 : -1,
                                0);
  if (!why.empty())
    bad("tensor map: " + why);
  c.params.resize((c.params.size() + 63) / 64 * 64);
  const char *bytes = reinterpret_cast<const char *>(&map);
  c.params.insert(c.params.end(), bytes, bytes + sizeof map);
}

void addArgument(Command &c, Machine &m, const std::string &text) {
  std::vector<std::string> part = split(text);
  auto need = [&](size_t n) {
    if (part.size() != n)
      bad("malformed argument '" + text + "'; see --help");
  };
  const std::string kind = part.empty() ? "" : part[0];
  auto number = [&](auto parse) {
    need(2);
    char *end = nullptr;
    auto v = parse(part[1].c_str(), &end);
    if (part[1].empty() || *end)
      bad("'" + part[1] + "' is not a number in argument '" + text + "'");
    return v;
  };
  auto integer = [&] {
    return number([](const char *s, char **e) { return std::strtoll(s, e, 0); });
  };
  auto real = [&] { return number([](const char *s, char **e) { return std::strtod(s, e); }); };
  if (kind == "i32" || kind == "u32")
    return push(c, static_cast<uint32_t>(integer()));
  if (kind == "i64" || kind == "u64")
    return push(c, static_cast<uint64_t>(integer()));
  if (kind == "f32")
    return push(c, static_cast<float>(real()));
  if (kind == "f64")
    return push(c, real());
  if (kind == "map") {
    if (part.size() < 4)
      bad("malformed argument '" + text + "'; see --help");
    size_t array = part[0].size() + part[1].size() + part[2].size() + 3;
    Placed placed = placeArray(c, m, text.substr(array));
    return pushMap(c, placed, numbers(part[1], "box"), numbers(part[2], "swizzle").at(0));
  }
  push(c, placeArray(c, m, text).address);
}

const Kernel &chooseKernel(const Command &c, const LoadedModule &module) {
  std::string names;
  const Kernel *only = nullptr;
  int count = 0;
  for (const Function &f : module.syntax().functions)
    if (f.isEntry && !f.isDeclaration) {
      names += " " + f.name;
      only = module.kernel(f.name);
      ++count;
    }
  const Kernel *k = c.kernel.empty() ? (count == 1 ? only : nullptr) : module.kernel(c.kernel);
  if (!k)
    bad(c.kernel.empty() ? "choose one kernel with --kernel:" + names
                         : "no kernel '" + c.kernel + "'; there are:" + names);
  return *k;
}

int listKernels(const LoadedModule &module) {
  for (const Function &f : module.syntax().functions) {
    if (!f.isEntry || f.isDeclaration)
      continue;
    const Kernel &k = *module.kernel(f.name);
    printf("%s: %zu parameters, %u bytes static shared memory, at most %u registers live\n",
           f.name.c_str(), f.params.size(), staticSharedBytes(k), maxLiveRegisters(k));
    for (const Variable &p : f.params)
      printf("  %s: %llu bytes at offset %llu\n", p.name.c_str(),
             static_cast<unsigned long long>(p.size), static_cast<unsigned long long>(p.offset));
  }
  return 0;
}

/// Of this thread, which is all the emulator uses; wall time would measure who else is on the
/// machine.
double processorSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

int execute(Command &c) {
  std::ifstream in(c.file);
  if (!in)
    bad("cannot open '" + c.file + "'");
  std::stringstream text;
  text << in.rdbuf();
  Machine machine(profileFor(c.device), c.options);
  std::unique_ptr<LoadedModule> module;
  try {
    module = machine.load(text.str());
  } catch (const PtxError &e) {
    bad(c.file + ":" + e.what());
  }
  if (c.list)
    return listKernels(*module);
  const Kernel &kernel = chooseKernel(c, *module);
  for (const std::string &a : c.arguments)
    addArgument(c, machine, a);
  size_t wanted = functionOf(kernel).params.size();
  if (c.arguments.size() != wanted)
    bad("kernel takes " + std::to_string(wanted) + " arguments, got " +
        std::to_string(c.arguments.size()));
  LaunchResult r;
  std::vector<double> seconds;
  for (uint64_t i = 0; i < c.repeat && r.ok; ++i) {
    double start = processorSeconds();
    r = machine.launch(kernel, c.config, c.params.data(), c.params.size());
    seconds.push_back(processorSeconds() - start);
  }
  if (c.repeat > 1 && r.ok) {
    std::sort(seconds.begin(), seconds.end());
    double median = seconds[seconds.size() / 2];
    printf("{\"kernel\": \"%s\", \"emulated\": true, \"median_s\": %.6f, \"best_s\": %.6f, "
           "\"tensor_flops\": %llu, \"warp_instructions\": %llu}\n",
           functionOf(kernel).name.c_str(), median, seconds[0],
           static_cast<unsigned long long>(r.counters.tensorFlops),
           static_cast<unsigned long long>(r.counters.warpInstructions));
  }
  if (c.totals)
    fputs(totalsOf(kernel, r.counters).c_str(), stdout);
  if (!c.counters.empty()) {
    std::string json = toJson(kernel, r.counters);
    if (c.counters == "-")
      fputs(json.c_str(), stdout);
    else if (!(std::ofstream(c.counters) << json))
      bad("cannot write '" + c.counters + "'");
  }
  if (!r.ok) {
    fputs(r.report.c_str(), stderr);
    return 1;
  }
  for (Output &o : c.outputs) {
    o.array.bytes.resize(o.array.byteCount());
    machine.memory().read(o.address, o.array.bytes.data(), o.array.bytes.size());
    if (uint64_t hole = !c.options.checks
                            ? 0
                            : machine.memory().firstUninitialized(o.address, o.array.bytes.size()))
      fprintf(stderr, "ptx-emu: warning: '%s': the kernel left byte %llu unwritten\n",
              o.path.c_str(), static_cast<unsigned long long>(hole - o.address));
    writeNpy(o.path, o.array);
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  try {
    Command c = parseCommand(argc, argv);
    return execute(c);
  } catch (const std::exception &e) {
    fprintf(stderr, "ptx-emu: %s\n", e.what());
    return 2;
  }
}
