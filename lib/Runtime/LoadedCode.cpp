// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading of compiled code, and its launches.
#include "attnc/Runtime/LoadedCode.h"
#include "attnc/Runtime/CpuFeatures.h"
#include "attnc/Support/Format.h"

using namespace attnc;

/// An instruction that a CPU lacks would end the process.
static Failure checkCPU(const CompiledCode &code) {
  std::vector<std::string> missing = missingCpuFeatures(code.cpuFeatures);
  if (missing.empty())
    return Failure::success();
  std::string names;
  for (size_t i = 0; i < missing.size() && i < 8; ++i)
    names += (i ? ", " : "") + missing[i];
  if (missing.size() > 8)
    names += formatText(" and {0} more features", missing.size() - 8);
  return Failure(formatText(
      "the code was compiled for another CPU: this one lacks {0}; compile the spec here", names));
}

Outcome<std::unique_ptr<LoadedCode>> LoadedCode::loadHost(CompiledCode code,
                                                          std::shared_ptr<HostLauncher> launcher) {
  if (Failure failure = checkCPU(code))
    return failure;
  std::unique_ptr<LoadedCode> result(new LoadedCode());
  Outcome<std::unique_ptr<HostImage>> image = HostImage::load(code.code);
  if (!image)
    return image.takeError();
  for (const KernelLaunch &launch : code.program.launches) {
    HostKernelFn kernel = (*image)->lookup(launch.symbol);
    if (!kernel)
      return Failure(formatText("the host code has no kernel `{0}`", launch.symbol));
    result->kernels.push_back(kernel);
  }
  result->image = std::move(*image);
  result->launcher = std::move(launcher);
  result->description = std::move(code.program);
  result->targetName = std::move(code.target);
  return result;
}

Outcome<std::unique_ptr<LoadedCode>> LoadedCode::loadCUDA(CompiledCode code,
                                                          std::shared_ptr<cuda::Device> device) {
  std::unique_ptr<LoadedCode> result(new LoadedCode());
  result->description = code.program;
  result->targetName = code.target;
  Outcome<std::unique_ptr<cuda::LoadedProgram>> loaded =
      cuda::LoadedProgram::load(std::move(device), code.code, std::move(code.program));
  if (!loaded)
    return loaded.takeError();
  result->loaded = std::move(*loaded);
  return result;
}

Outcome<PackedArguments> LoadedCode::prepare(const LaunchInputs &inputs) const {
  return packArguments(description, inputs);
}

Failure LoadedCode::run(const PackedArguments &arguments, cuda::Stream stream,
                        WorkspaceBlock workspace, LaunchTimes *times) {
  if (loaded)
    return loaded->launch(arguments, workspace, stream, times);
  return launcher->run(description, kernels, arguments, workspace, times);
}
