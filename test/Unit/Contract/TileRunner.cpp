// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// TileRunner.h explains.
#include "TileRunner.h"
#include "attnc/Emulator/Emulator.h"
#include "attnc/Emulator/Memory.h"
#include "attnc/Pipelines/Phases.h"
#include "attnc/Target/Host/HostLink.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include <cstring>

using namespace attnc;
using namespace attnc::testing;

TileData testing::tileData() {
  TileData data;
  for (int64_t i = 0; i < kSize; ++i) {
    for (int64_t j = 0; j < kSize; ++j) {
      int64_t value = (i * 7 + j * 3 + i * j) % 11 - 5;
      data.x.push_back(float(value));
      // f16 holds these numbers exactly: sign, exponent and the bits behind the first one.
      int64_t magnitude = std::abs(value), exponent = 0;
      while (magnitude >> (exponent + 1))
        ++exponent;
      uint16_t bits =
          value == 0 ? 0 : ((exponent + 15) << 10) | ((magnitude << (10 - exponent)) & 0x3ff);
      data.half.push_back(value < 0 ? bits | 0x8000 : bits);
    }
    data.indices.push_back(i % 5 == 4 ? (i % 2 ? -1 : 1000) : (i * 5) % kSize);
  }
  data.y.assign(kSize * kSize, kUnwritten);
  data.z.assign(kSize, kUnwritten);
  return data;
}

static std::string kernelText(const std::string &body, int warps) {
  return R"(tile.kernel @k(
    %X: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["n", "64"]},
    %H: !tile.view<2xf16, unit> {tile.binding = "tensor:H", tile.axes = ["n", "64"]},
    %I: !tile.view<1xi32> {tile.binding = "tensor:I", tile.axes = ["n"]},
    %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["n", "64"], tile.output},
    %Z: !tile.view<1xf32> {tile.binding = "tensor:Z", tile.axes = ["n"], tile.output},
    %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1000, 1000, 1000>, num_warps = )" +
         std::to_string(std::max(warps, 1)) +
         R"( : i32, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = )" +
         std::to_string(std::max(warps, 1)) + R"(, vector_bytes = 4, precision = f32>} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
)" + body +
         "\n  tile.return\n}\n";
}

static std::string runOnHost(const std::string &code, TileData &data) {
  llvm::Expected<std::unique_ptr<HostImage>> loaded = loadHostObject(code);
  if (!loaded)
    return llvm::toString(loaded.takeError());
  HostKernelFn kernel = (*loaded)->lookup("k");
  if (!kernel)
    return "the code does not have the kernel";
  std::vector<uint64_t> slots;
  auto matrix = [&](void *pointer) {
    slots.insert(slots.end(), {reinterpret_cast<uint64_t>(pointer), kSize, 1});
  };
  auto vector = [&](void *pointer) {
    slots.insert(slots.end(), {reinterpret_cast<uint64_t>(pointer), 1});
  };
  matrix(data.x.data());
  matrix(data.half.data());
  vector(data.indices.data());
  matrix(data.y.data());
  vector(data.z.data());
  slots.push_back(static_cast<uint32_t>(data.n));
  std::vector<char> scratch((1 << 20) + 64, char(0xff)); // NaN, where nothing was written
  auto aligned = (reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64;
  kernel(slots.data(), 0, 0, 0, reinterpret_cast<void *>(aligned));
  return {};
}

static std::string runOnEmulator(const std::string &ptx, int warps, int64_t sharedBytes,
                                 TileData &data) {
  emu::Options options;
  options.thorough = true;
  emu::Machine machine(emu::profileFor("sm_80"), options);
  std::unique_ptr<emu::LoadedModule> module = machine.load(ptx);
  std::vector<char> params;
  auto add = [&](auto value) {
    params.resize((params.size() + sizeof(value) - 1) / sizeof(value) * sizeof(value));
    const char *bytes = reinterpret_cast<const char *>(&value);
    params.insert(params.end(), bytes, bytes + sizeof(value));
  };
  std::vector<uint64_t> addresses;
  auto upload = [&](auto &values, int rank) {
    uint64_t bytes = values.size() * sizeof(values[0]);
    addresses.push_back(machine.memory().allocate(bytes));
    machine.memory().write(addresses.back(), values.data(), bytes);
    add(addresses.back());
    if (rank == 2)
      add(int64_t(kSize));
    add(int64_t(1));
  };
  upload(data.x, 2);
  upload(data.half, 2);
  upload(data.indices, 1);
  upload(data.y, 2);
  upload(data.z, 1);
  for (int32_t value : {data.n, 0, 0}) // with the first points of two grid dimensions
    add(value);
  emu::LaunchConfig config;
  config.block = {uint32_t(32 * warps), 1, 1};
  config.dynamicSharedBytes = sharedBytes;
  emu::LaunchResult result =
      machine.launch(*module->kernel("k"), config, params.data(), params.size());
  if (!result.ok)
    return result.report;
  machine.memory().read(addresses[3], data.y.data(), data.y.size() * sizeof(float));
  machine.memory().read(addresses[4], data.z.data(), data.z.size() * sizeof(float));
  return {};
}

std::string testing::runTile(const std::string &body, int warps, TileData &data) {
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    diagnostics += diagnostic.str() + "\n";
    return mlir::success();
  });
  auto module = mlir::parseSourceString<mlir::ModuleOp>(kernelText(body, warps), &context);
  if (!module)
    return "the kernel does not parse: " + diagnostics;
  CompileRequest request;
  request.options.target = llvm::cantFail(Target::parse(warps ? "sm_80" : "host"));
  request.from = Phase::Tile;
  request.to = warps ? Phase::Scheduled : Phase::Object;
  auto compiled = runPhases(*module, request);
  if (!compiled)
    return llvm::toString(compiled.takeError()) + ": " + diagnostics;
  if (!warps)
    return runOnHost(compiled->code, data);
  auto kernel = *module->getOps<tile::KernelOp>().begin();
  auto shared = kernel->getAttrOfType<mlir::IntegerAttr>("tile.shared_bytes");
  int64_t sharedBytes = shared ? shared.getInt() : 0;
  request.from = Phase::Scheduled;
  request.to = Phase::PTX;
  auto lowered = runPhases(*module, request);
  if (!lowered)
    return llvm::toString(lowered.takeError()) + ": " + diagnostics;
  return runOnEmulator(lowered->code, warps, sharedBytes, data);
}
