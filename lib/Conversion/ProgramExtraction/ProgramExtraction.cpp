// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads a program off the signatures of kernels. Tensors, sizes and parameters are named in the IR;
// from here on they are numbers.
#include "attnc/Conversion/ProgramExtraction.h"

using namespace mlir;
using namespace attnc;

static std::optional<DType> dtypeOf(Type type) {
  if (type.isF32())
    return DType::F32;
  if (type.isF16())
    return DType::F16;
  if (type.isBF16())
    return DType::BF16;
  if (type.isInteger(32))
    return DType::I32;
  if (type.isInteger(1))
    return DType::Bool;
  return std::nullopt;
}

/// Position of the item called `name`, or -1.
template <typename T> static int32_t indexOf(const std::vector<T> &items, llvm::StringRef name) {
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].name == name)
      return static_cast<int32_t>(i);
  return -1;
}

namespace {
/// Makes the program of one kernel.
class ProgramBuilder {
public:
  ProgramBuilder(tile::KernelOp kernel, ProgramTarget target) : kernel(kernel), target(target) {}

  FailureOr<Program> run() {
    program.signature.name = kernel.getSymName().str();
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i)
      if (failed(addArgument(i)))
        return failure();
    KernelLaunch launch;
    launch.symbol = kernel.getSymName().str();
    launch.numWarps = kernel.getNumWarps();
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i)
      passArgument(i, launch);
    for (unsigned i = 0; i < 3; ++i)
      launch.grid[i] = gridOf(i);
    if (target == ProgramTarget::GPU)
      addForGPU(launch);
    program.launches.push_back(std::move(launch));
    if (std::string wrong = checkProgram(program); !wrong.empty())
      return kernel.emitOpError("cannot be launched: ") << wrong;
    return std::move(program);
  }

private:
  LogicalResult addArgument(unsigned index) {
    auto [kind, name] = kernel.getBinding(index).split(':');
    Type type = kernel.getArgumentTypes()[index];
    if (auto view = dyn_cast<tile::ViewType>(type)) {
      if (kind != "tensor")
        return kernel.emitOpError("expects a view to be bound to `tensor:NAME`, found ")
               << kernel.getBinding(index);
      return addTensor(index, view, name);
    }
    if (kind == "size" && type.isInteger(32)) {
      spaceOf(name);
      return success();
    }
    if (kind == "param") {
      ParamDecl param;
      param.name = name.str();
      param.isInteger = !type.isF32();
      param.hasDefault = false;
      if (indexOf(program.signature.params, name) < 0)
        program.signature.params.push_back(std::move(param));
      return success();
    }
    return kernel.emitOpError("expects a scalar to be bound to `size:SPACE` (i32) or `param:NAME`, "
                              "found ")
           << kernel.getBinding(index) << " of type " << type;
  }

  LogicalResult addTensor(unsigned index, tile::ViewType view, llvm::StringRef name) {
    TensorDecl tensor;
    tensor.name = name.str();
    tensor.dtype = dtypeOf(view.getElementType());
    if (!tensor.dtype)
      return kernel.emitOpError("expects views of f32, f16, bf16, i32 or i1, found ") << view;
    tensor.unitLastStride = view.getUnitStride();
    auto alignment = kernel.getArgAttrOfType<IntegerAttr>(index, "tile.row_alignment");
    if (alignment && target == ProgramTarget::GPU)
      tensor.rowAlignment = alignment.getInt();
    auto axes = kernel.getArgAttrOfType<ArrayAttr>(index, "tile.axes");
    if (!axes || static_cast<int64_t>(axes.size()) != view.getRank())
      return kernel.emitOpError("expects `tile.axes` with ")
             << view.getRank() << " strings on the argument of tensor '" << name << "'";
    for (Attribute axis : axes) {
      auto text = dyn_cast<StringAttr>(axis);
      if (!text)
        return kernel.emitOpError("expects strings in `tile.axes`, found ") << axis;
      AxisDecl &decl = tensor.axes.emplace_back();
      if (text.getValue().getAsInteger(10, decl.size))
        decl = {text.getValue().str(), -1};
    }
    bool isOutput = kernel.getArgAttr(index, "tile.output") != nullptr;
    (isOutput ? program.signature.outputs : program.signature.inputs).push_back(std::move(tensor));
    return success();
  }

  int32_t spaceOf(llvm::StringRef name) {
    auto found = llvm::find(program.spaces, name);
    if (found == program.spaces.end())
      found = program.spaces.insert(found, name.str());
    return static_cast<int32_t>(found - program.spaces.begin());
  }

  void passArgument(unsigned index, KernelLaunch &launch) {
    using Kind = KernelArg::Kind;
    auto [kind, name] = kernel.getBinding(index).split(':');
    if (auto view = dyn_cast<tile::ViewType>(kernel.getArgumentTypes()[index])) {
      int32_t tensor = indexOf(program.signature.inputs, name);
      if (tensor < 0)
        tensor = static_cast<int32_t>(program.signature.inputs.size()) +
                 indexOf(program.signature.outputs, name);
      launch.args.push_back({Kind::Pointer, tensor, 0});
      for (int32_t dim = 0; dim < view.getRank(); ++dim)
        launch.args.push_back({Kind::Stride, tensor, dim});
    } else if (kind == "size") {
      launch.args.push_back({Kind::Size, spaceOf(name), 0});
    } else {
      launch.args.push_back({Kind::Param, indexOf(program.signature.params, name), 0});
    }
  }

  /// Dimension i has ceil(size / tile) points.
  SizeFormula gridOf(unsigned dim) {
    auto space = cast<StringAttr>(kernel.getGridSpaces()[dim]).getValue();
    return {{SizeStep::Op::Size, spaceOf(space)},
            {SizeStep::Op::Number, kernel.getGridTiles()[dim]},
            {SizeStep::Op::CeilDiv, 0}};
  }

  /// What scheduling has found, and what convert-tile-to-nvvm adds to the signature.
  void addForGPU(KernelLaunch &launch) {
    if (auto bytes = kernel->getAttrOfType<IntegerAttr>("tile.shared_bytes"))
      launch.sharedBytes = bytes.getInt();
    for (int32_t dim : {1, 2})
      launch.args.push_back({KernelArg::Kind::GridStart, 0, dim});
  }

  tile::KernelOp kernel;
  ProgramTarget target;
  Program program;
};
} // namespace

FailureOr<Program> attnc::extractProgram(ModuleOp module, ProgramTarget target) {
  auto kernels = llvm::to_vector(module.getOps<tile::KernelOp>());
  if (kernels.empty())
    return module.emitError("the module has no tile kernels");
  if (kernels.size() != 1)
    return module.emitError("expects one kernel, found ") << kernels.size();
  return ProgramBuilder(kernels.front(), target).run();
}
