// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads a kernel's ABI off its argument attributes.
#include "attnc/Conversion/KernelABIExtraction.h"

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

static LogicalResult addTensor(tile::KernelOp kernel, unsigned index, tile::ViewType view,
                               llvm::StringRef name, KernelABI &abi) {
  std::optional<DType> dtype = dtypeOf(view.getElementType());
  if (!dtype)
    return kernel.emitOpError("expects views of f32, f16, bf16, i32 or i1, found ") << view;
  KernelTensor tensor;
  tensor.name = name.str();
  tensor.dtype = *dtype;
  tensor.unitLastStride = view.getUnitStride();
  tensor.isOutput = kernel.getArgAttr(index, "tile.output") != nullptr;
  if (auto alignment = kernel.getArgAttrOfType<IntegerAttr>(index, "tile.row_alignment"))
    tensor.rowAlignment = alignment.getInt();
  auto axes = kernel.getArgAttrOfType<ArrayAttr>(index, "tile.axes");
  if (!axes || static_cast<int64_t>(axes.size()) != view.getRank())
    return kernel.emitOpError("expects `tile.axes` with ")
           << view.getRank() << " strings on the argument of tensor '" << name << "'";
  for (Attribute axis : axes) {
    auto text = dyn_cast<StringAttr>(axis);
    if (!text)
      return kernel.emitOpError("expects strings in `tile.axes`, found ") << axis;
    tensor.axes.push_back(text.getValue().str());
  }
  abi.tensors.push_back(std::move(tensor));
  abi.args.push_back({KernelArg::Kind::Pointer, name.str(), 0});
  for (int32_t dim = 0; dim < view.getRank(); ++dim)
    abi.args.push_back({KernelArg::Kind::Stride, name.str(), dim});
  return success();
}

FailureOr<KernelABI> attnc::extractKernelABI(tile::KernelOp kernel) {
  KernelABI abi;
  abi.symbol = kernel.getSymName().str();
  abi.numWarps = kernel.getNumWarps();
  for (unsigned i = 0; i < 3; ++i) {
    abi.gridSpaces[i] = cast<StringAttr>(kernel.getGridSpaces()[i]).getValue().str();
    abi.gridTiles[i] = kernel.getGridTiles()[i];
  }
  for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes())) {
    auto [kind, name] = kernel.getBinding(i).split(':');
    if (auto view = dyn_cast<tile::ViewType>(type)) {
      if (kind != "tensor")
        return kernel.emitOpError("expects a view to be bound to `tensor:NAME`, found ")
               << kernel.getBinding(i);
      if (failed(addTensor(kernel, i, view, name, abi)))
        return failure();
    } else if (kind == "size" && type.isInteger(32)) {
      abi.args.push_back({KernelArg::Kind::Size, name.str(), 0});
    } else if (kind == "param") {
      abi.args.push_back(
          {type.isF32() ? KernelArg::Kind::ParamF32 : KernelArg::Kind::ParamI32, name.str(), 0});
    } else {
      return kernel.emitOpError(
                 "expects a scalar to be bound to `size:SPACE` (i32) or `param:NAME`, "
                 "found ")
             << kernel.getBinding(i) << " of type " << type;
    }
  }
  return abi;
}
