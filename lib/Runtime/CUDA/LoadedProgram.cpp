// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading a program's module, and launching its kernels in order.
#include "attnc/Runtime/CUDA/LoadedProgram.h"
#include "DriverApi.h"
#include "StreamMarks.h"
#include "TensorMaps.h"
#include <algorithm>
#include <cstring>
#include <thread>

using namespace attnc;
using namespace attnc::cuda;

LoadedProgram::LoadedProgram() = default;

Outcome<std::unique_ptr<LoadedProgram>>
LoadedProgram::load(std::shared_ptr<Device> device, std::string_view image, Program program) {
  Device::Impl &d = device->impl();
  if (Failure error = d.makeCurrent())
    return error;
  for (const KernelLaunch &launch : program.launches)
    if (launch.sharedBytes > d.info.sharedMemoryLimit)
      return Failure(formatText(
          "kernel `{0}` needs {1} bytes of shared memory, {2} has {3}: compile with fewer stages "
          "or smaller tiles",
          launch.symbol, launch.sharedBytes, d.info.name, d.info.sharedMemoryLimit));
  auto loaded = std::unique_ptr<LoadedProgram>(new LoadedProgram());
  loaded->device = device;
  loaded->description = std::move(program);
  std::string text(image); // the driver wants a terminator
  std::string log(16 * 1024, '\0');
  int options[] = {kJitErrorLog, kJitErrorLogSize};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  Result result = d.api.cuModuleLoadDataEx(&loaded->module, text.c_str(), 2, options, values);
  if (result != 0) {
    loaded->module = nullptr;
    std::string reason = d.check(result, "cuModuleLoadDataEx").message();
    log.resize(std::strlen(log.c_str()));
    return Failure(formatText("{0}{1}{2}", reason, log.empty() ? "" : "\n", log));
  }
  if (Failure error = loaded->findKernels())
    return error;
  return loaded;
}

Failure LoadedProgram::findKernels() {
  Device::Impl &d = device->impl();
  for (const KernelLaunch &launch : description.launches) {
    void *&function = functions.emplace_back();
    if (Failure error = d.check(d.api.cuModuleGetFunction(&function, module, launch.symbol.c_str()),
                                "cuModuleGetFunction"))
      return error;
    std::vector<std::unique_ptr<TensorMaps>> &own = maps.emplace_back();
    for (size_t i = 0; i < launch.args.size(); ++i)
      if (launch.args[i].kind == KernelArg::Kind::TensorMap)
        own.push_back(std::make_unique<TensorMaps>(description, launch, i));
    // More than 48 KiB needs an explicit request.
    if (launch.sharedBytes > 48 * 1024)
      if (Failure error = d.check(d.api.cuFuncSetAttribute(function, kFuncMaxDynamicShared,
                                                           static_cast<int>(launch.sharedBytes)),
                                  "cuFuncSetAttribute"))
        return error;
  }
  return Failure::success();
}

LoadedProgram::~LoadedProgram() {
  if (!module)
    return;
  Device::Impl &d = device->impl();
  if (Failure error = d.makeCurrent())
    return;
  for (StreamBlock &block : blocks)
    d.api.cuMemFree_v2(block.data);
  d.api.cuModuleUnload(module);
}

Failure LoadedProgram::launch(const PackedArguments &arguments, WorkspaceBlock workspace,
                              Stream stream, LaunchTimes *times) {
  if (Failure failure = checkWorkspace(workspace, arguments.workspaceBytes))
    return failure;
  if (Failure error = device->impl().makeCurrent())
    return error;
  if (workspace.data || arguments.workspaceBytes == 0)
    return launchAll(arguments, reinterpret_cast<uintptr_t>(workspace.data), stream, times);
  // Two threads that launch on one stream share its block: one after the other.
  std::lock_guard<std::mutex> lock(mutex);
  Outcome<DevicePtr> own = ownWorkspace(arguments.workspaceBytes, stream);
  return own ? launchAll(arguments, *own, stream, times) : own.takeError();
}

/// The handle of the default stream of the calling thread.
static const Stream perThreadStream = reinterpret_cast<Stream>(2);

Outcome<DevicePtr> LoadedProgram::ownWorkspace(int64_t bytes, Stream stream) {
  Device::Impl &d = device->impl();
  int isCapturing = 0;
  if (Failure error =
          d.check(d.api.cuStreamIsCapturing(stream, &isCapturing), "cuStreamIsCapturing"))
    return error;
  if (isCapturing)
    return Failure::invalidArgument(formatText(
        "`{0}` needs {1} bytes of workspace, and a stream that is captured takes none of "
        "its own: pass a workspace of that size",
        description.signature.name, bytes));
  size_t thread =
      stream == perThreadStream ? std::hash<std::thread::id>()(std::this_thread::get_id()) : 0;
  auto block = std::find_if(blocks.begin(), blocks.end(), [&](const StreamBlock &candidate) {
    return candidate.stream == stream && candidate.thread == thread;
  });
  if (block != blocks.end() && block->bytes >= bytes)
    return block->data;
  Outcome<DevicePtr> data = device->allocate(static_cast<size_t>(bytes));
  if (!data)
    return data.takeError();
  if (block == blocks.end()) {
    blocks.push_back({stream, thread, *data, bytes});
    return *data;
  }
  // Kernels that are under way may use the smaller one.
  std::swap(block->data, *data);
  block->bytes = bytes;
  if (Failure error = device->synchronize())
    return error;
  if (Failure error = device->free(*data))
    return error;
  return block->data;
}

Failure LoadedProgram::launchAll(const PackedArguments &arguments, uint64_t workspace,
                                 Stream stream, LaunchTimes *times) {
  StreamMarks marks(device);
  const uint64_t *slots = arguments.slots.data();
  SlotBuffer bound;
  for (const PackedLaunch &each : arguments.launches) {
    const KernelLaunch &launch = description.launches[each.launch];
    bound.resize(launch.args.size());
    bindWorkspace(launch, slots, workspace, bound.data());
    if (times)
      if (Failure error = marks.add(stream))
        return error;
    if (Failure error = launchKernel(each.launch, bound, each.grid, stream))
      return error;
    slots += launch.args.size();
  }
  if (!times)
    return Failure::success();
  if (Failure error = marks.add(stream))
    return error;
  Outcome<std::vector<double>> between = marks.milliseconds();
  if (!between)
    return between.takeError();
  times->assign(description.launches.size(), 0);
  for (size_t i = 0; i < between->size(); ++i)
    (*times)[arguments.launches[i].launch] += (*between)[i];
  return Failure::success();
}

/// Most thread blocks in grid dimensions 1 and 2 (CUDA programming guide, compute capabilities).
static constexpr uint32_t maxGridYZ = 65535;

Failure LoadedProgram::launchKernel(size_t index, SlotBuffer &slots,
                                    const std::array<int64_t, 3> &points, Stream stream) {
  const KernelLaunch &kernel = description.launches[index];
  uint32_t grid[3];
  for (int i = 0; i < 3; ++i)
    grid[i] = static_cast<uint32_t>(points[i]);
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0)
    return Failure::success(); // no rows: nothing to write
  bool isLarge = grid[1] > maxGridYZ || grid[2] > maxGridYZ;
  if (isLarge && std::none_of(kernel.args.begin(), kernel.args.end(), [](const KernelArg &arg) {
        return arg.kind == KernelArg::Kind::GridStart;
      }))
    return Failure(formatText("kernel `{0}` has no parameters for a grid of {1} x {2} x {3}",
                              kernel.symbol, grid[0], grid[1], grid[2]));
  Device::Impl &d = device->impl();
  InlineBuffer<void *, 128> arguments;
  arguments.resize(slots.size());
  for (size_t i = 0; i < slots.size(); ++i)
    arguments.data()[i] = &slots.data()[i];
  InlineBuffer<TensorMap, 4> made;
  made.resize(maps[index].size());
  for (size_t i = 0; i < made.size(); ++i) {
    TensorMaps &of = *maps[index][i];
    arguments.data()[of.argument()] = &made.data()[i];
    slots.data()[of.argument() + 1] = of.get(d.api, slots.data(), made.data()[i]);
  }
  // Nearly always one slice. The driver copies the arguments of each launch.
  for (uint32_t z = 0; z < grid[2]; z += std::min(grid[2] - z, maxGridYZ))
    for (uint32_t y = 0; y < grid[1]; y += std::min(grid[1] - y, maxGridYZ)) {
      for (size_t i = 0; i < kernel.args.size(); ++i)
        if (const KernelArg &arg = kernel.args[i]; arg.kind == KernelArg::Kind::GridStart)
          slots.data()[i] = arg.dim == 1 ? y : arg.dim == 2 ? z : 0;
      if (Failure error = d.check(
              d.api.cuLaunchKernel(functions[index], grid[0], std::min(grid[1] - y, maxGridYZ),
                                   std::min(grid[2] - z, maxGridYZ), 32 * kernel.numWarps, 1, 1,
                                   static_cast<unsigned>(kernel.sharedBytes), stream,
                                   arguments.data(), nullptr),
              "cuLaunchKernel"))
        return error;
    }
  return Failure::success();
}
