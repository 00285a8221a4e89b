// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A spec bound to tensors, and its execution on any device: what `run` and `bench` share.
#ifndef ATTNC_LIB_DRIVER_EXECUTE_H
#define ATTNC_LIB_DRIVER_EXECUTE_H

#include "Options.h"
#include "attnc/Reference/Reference.h"
#include "attnc/Support/Binding.h"

namespace attnc::driver {

/// A tensor with its memory.
struct OwnedTensor {
  std::vector<char> storage;
  TensorView view;
};

/// The inputs and outputs of one execution.
struct BoundSpec {
  Signature signature;
  BoundSizes sizes;
  std::map<std::string, OwnedTensor> inputs, outputs;
  std::map<std::string, double> params;

  /// What a launch is given. An input that an output reuses is the memory of the output, so that
  /// `inputs` stay as they are.
  LaunchInputs launchInputs();
  /// Copies inputs that are reused to where a launch reads them.
  void fillReused();
  /// Outputs that reuse an input, and which.
  std::vector<std::pair<std::string, std::string>> reused() const;
};

/// A dense tensor with all bits set, which is NaN.
OwnedTensor poisoned(std::vector<int64_t> shape, DType dtype);
/// The same tensor, as it lies in memory.
OwnedTensor copyOf(const OwnedTensor &tensor);

/// What a spec takes, and the sizes and parameters that the options say, before any tensor is
/// there.
llvm::Expected<BoundSpec> sizeSpec(const Options &options, Spec &spec);

/// Loads or draws the inputs and allocates poisoned outputs (all bits set: NaN), as the options
/// say. Sizes come from the files that are bound, else from the options.
llvm::Expected<BoundSpec> bindSpec(const Options &options, Spec &spec);

/// Reads the --result files into the outputs of `bound`, and takes those without a file out of it.
/// Fails if a file has another type or shape than the output.
llvm::Error readResults(const Options &options, BoundSpec &bound);

/// A device that was chosen by --device.
struct Device {
  enum class Kind { Reference, Host, CUDA } kind = Kind::Host;
  std::shared_ptr<cuda::Device> cuda;
  std::shared_ptr<HostLauncher> host;
  std::string name;
  bool emulated = false;
};
llvm::Expected<Device> openDevice(const Options &options);

/// The target to compile for on `device`: --target, or what the device runs.
llvm::Expected<Target> targetFor(const Options &options, const Device &device);

/// What the spec is compiled with for the device's target: dims and row alignment are what the
/// tensors have.
llvm::Expected<CompileOptions> compileOptionsFor(const Options &options, Spec &spec,
                                                 const BoundSpec &bound, const Device &device);

/// Compiles for the device's target.
llvm::Expected<std::unique_ptr<Executable>> prepare(const Options &options, Spec &spec,
                                                    BoundSpec &bound, const Device &device,
                                                    CompileReport &report);

/// Code as it runs on `device`.
llvm::Expected<std::unique_ptr<Executable>> load(const Device &device, CompiledCode code);

/// Copies of the tensors in device memory for the life of this object.
class DeviceTensors {
public:
  static llvm::Expected<std::unique_ptr<DeviceTensors>> upload(const Device &device,
                                                               BoundSpec &bound);
  ~DeviceTensors();
  const LaunchInputs &inputs() const { return launch; }
  llvm::Error download(BoundSpec &bound);

private:
  std::shared_ptr<cuda::Device> device;
  LaunchInputs launch;
  std::map<std::string, cuda::DevicePtr> pointers;
};

/// Runs once and leaves the outputs in `bound`. `times` null: launches are not timed.
llvm::Error execute(const Device &device, Executable &executable, BoundSpec &bound,
                    LaunchTimes *times = nullptr);

/// What the reference is given of `bound`.
reference::Bindings bindingsOf(const BoundSpec &bound);

/// The reference's outputs.
llvm::Expected<std::map<std::string, reference::Tensor64>> runReference(Spec &spec,
                                                                        BoundSpec &bound);

/// Element `index` (in row-major order of the shape) as a double.
double elementOf(const TensorView &view, int64_t index);
/// Numbers rounded to a dtype.
std::vector<double> roundTo(DType dtype, const std::vector<double> &values);
/// Stores a double, rounded to the dtype.
void setElement(const TensorView &view, int64_t index, double value);

/// The variant of `spec` at the end of phase `kernels`. Fails where it cannot be compiled.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> formKernels(Spec &spec,
                                                              const CompileOptions &compile);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_EXECUTE_H
