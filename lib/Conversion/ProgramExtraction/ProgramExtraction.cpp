// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads a program off the IR. Tensors, sizes and parameters are named there; from here on they are
// numbers.
#include "attnc/Conversion/ProgramExtraction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

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

static llvm::StringRef textOf(Attribute attribute) {
  auto text = dyn_cast_or_null<StringAttr>(attribute);
  return text ? text.getValue() : llvm::StringRef();
}

namespace {
/// Builds the tables of a program, and launches that refer to them. `owner` is a kernel or a
/// program: what has the arguments that callers pass.
class ProgramBuilder {
public:
  ProgramBuilder(Operation *owner, ArrayAttr argAttrs, ProgramTarget target)
      : owner(owner), argAttrs(argAttrs), target(target) {}

  void setName(llvm::StringRef name) { program.signature.name = name.str(); }

  /// Adds what the caller passes for `argument`.
  LogicalResult addArgument(BlockArgument argument) {
    unsigned index = argument.getArgNumber();
    llvm::StringRef binding = textOf(attributeOf(index, "tile.binding"));
    auto [kind, name] = binding.split(':');
    Type type = argument.getType();
    if (auto view = dyn_cast<tile::ViewType>(type)) {
      if (kind != "tensor")
        return owner->emitOpError("expects a view to be bound to `tensor:NAME`, found ") << binding;
      return addTensor(argument, view, name);
    }
    if (kind == "size" && type.isInteger(32)) {
      scalars[argument] = {KernelArg::Kind::Size, spaceOf(name), 0};
      return success();
    }
    if (kind == "param") {
      if (indexOf(program.signature.params, name) < 0) {
        ParamDecl param;
        param.name = name.str();
        param.isInteger = !type.isF32();
        param.hasDefault = false;
        program.signature.params.push_back(std::move(param));
      }
      scalars[argument] = {KernelArg::Kind::Param, indexOf(program.signature.params, name), 0};
      return success();
    }
    return owner->emitOpError("expects a scalar to be bound to `size:SPACE` (i32) or `param:NAME`, "
                              "found ")
           << binding << " of type " << type;
  }

  LogicalResult addWorkspace(tile::WorkspaceOp op) {
    WorkspaceTensor tensor;
    tensor.name = op.getName().str();
    std::optional<DType> dtype = dtypeOf(op.getType().getElementType());
    if (!dtype)
      return op.emitOpError("expects a view of f32, f16, bf16, i32 or i1, found ") << op.getType();
    tensor.dtype = *dtype;
    for (Value size : op.getSizes())
      if (!appendFormula(size, tensor.axes.emplace_back()))
        return op.emitOpError("has a size of more than ") << maxFormulaSteps << " steps";
    workspaces[op.getResult()] = static_cast<int32_t>(program.workspaces.size());
    program.workspaces.push_back(std::move(tensor));
    return success();
  }

  /// Adds a launch of `kernel`, with a grid yet to be filled in.
  KernelLaunch &addLaunch(tile::KernelOp kernel, ValueRange values) {
    KernelLaunch launch;
    launch.symbol = kernel.getSymName().str();
    launch.numWarps = kernel.getNumWarps();
    for (Value value : values)
      passValue(value, launch.args);
    if (target == ProgramTarget::GPU) {
      if (auto bytes = kernel->getAttrOfType<IntegerAttr>("tile.shared_bytes"))
        launch.sharedBytes = bytes.getInt();
      for (int32_t dim : {1, 2}) // what convert-tile-to-nvvm adds to the signature
        launch.args.push_back({KernelArg::Kind::GridStart, 0, dim});
    }
    program.launches.push_back(std::move(launch));
    return program.launches.back();
  }

  int32_t spaceOf(llvm::StringRef name) {
    auto found = llvm::find(program.spaces, name);
    if (found == program.spaces.end())
      found = program.spaces.insert(found, name.str());
    return static_cast<int32_t>(found - program.spaces.begin());
  }

  /// Appends what `value` is computed by, in postfix order; false if it becomes too long.
  bool appendFormula(Value value, SizeFormula &formula) {
    APInt number;
    if (auto scalar = scalars.find(value); scalar != scalars.end()) {
      formula.push_back({SizeStep::Op::Size, scalar->second.index});
    } else if (matchPattern(value, m_ConstantInt(&number))) {
      formula.push_back({SizeStep::Op::Number, number.getSExtValue()});
    } else {
      Operation *op = value.getDefiningOp();
      for (Value operand : op->getOperands())
        if (!appendFormula(operand, formula))
          return false;
      formula.push_back({stepOf(op), 0});
    }
    return formula.size() <= maxFormulaSteps;
  }

  FailureOr<Program> finish() {
    if (std::string wrong = checkProgram(program); !wrong.empty())
      return owner->emitOpError("cannot be launched: ") << wrong;
    return std::move(program);
  }

private:
  Attribute attributeOf(unsigned index, llvm::StringRef name) const {
    return argAttrs && index < argAttrs.size() ? cast<DictionaryAttr>(argAttrs[index]).get(name)
                                               : Attribute();
  }

  LogicalResult addTensor(BlockArgument argument, tile::ViewType view, llvm::StringRef name) {
    unsigned index = argument.getArgNumber();
    TensorDecl tensor;
    tensor.name = name.str();
    tensor.dtype = dtypeOf(view.getElementType());
    if (!tensor.dtype)
      return owner->emitOpError("expects views of f32, f16, bf16, i32 or i1, found ") << view;
    tensor.unitLastStride = view.getUnitStride();
    auto alignment = dyn_cast_or_null<IntegerAttr>(attributeOf(index, "tile.row_alignment"));
    if (alignment && target == ProgramTarget::GPU)
      tensor.rowAlignment = alignment.getInt();
    tensor.mayAlias = textOf(attributeOf(index, "tile.may_alias")).str();
    auto axes = dyn_cast_or_null<ArrayAttr>(attributeOf(index, "tile.axes"));
    if (!axes || static_cast<int64_t>(axes.size()) != view.getRank())
      return owner->emitOpError("expects `tile.axes` with ")
             << view.getRank() << " strings on the argument of tensor '" << name << "'";
    for (Attribute axis : axes) {
      auto text = dyn_cast<StringAttr>(axis);
      if (!text)
        return owner->emitOpError("expects strings in `tile.axes`, found ") << axis;
      AxisDecl &decl = tensor.axes.emplace_back();
      if (text.getValue().getAsInteger(10, decl.size))
        decl = {text.getValue().str(), -1};
    }
    bool isOutput = attributeOf(index, "tile.output") != nullptr;
    std::vector<TensorDecl> &group =
        isOutput ? program.signature.outputs : program.signature.inputs;
    tensors[argument] = {isOutput, static_cast<int32_t>(group.size())};
    group.push_back(std::move(tensor));
    return success();
  }

  void passValue(Value value, std::vector<KernelArg> &args) {
    using Kind = KernelArg::Kind;
    auto view = dyn_cast<tile::ViewType>(value.getType());
    if (!view) {
      args.push_back(scalars.at(value));
      return;
    }
    auto workspace = workspaces.find(value);
    bool isWorkspace = workspace != workspaces.end();
    int32_t index = isWorkspace ? workspace->second : tensorIndex(value);
    args.push_back({isWorkspace ? Kind::WorkspacePointer : Kind::Pointer, index, 0});
    for (int32_t dim = 0; dim < view.getRank(); ++dim)
      args.push_back({isWorkspace ? Kind::WorkspaceStride : Kind::Stride, index, dim});
  }

  /// Inputs come before outputs.
  int32_t tensorIndex(Value value) const {
    auto [isOutput, index] = tensors.at(value);
    return isOutput ? static_cast<int32_t>(program.signature.inputs.size()) + index : index;
  }

  static SizeStep::Op stepOf(Operation *op) {
    using Op = SizeStep::Op;
    return llvm::TypeSwitch<Operation *, Op>(op)
        .Case([](arith::AddIOp) { return Op::Add; })
        .Case([](arith::SubIOp) { return Op::Sub; })
        .Case([](arith::MulIOp) { return Op::Mul; })
        .Case([](arith::FloorDivSIOp) { return Op::FloorDiv; })
        .Case([](arith::CeilDivSIOp) { return Op::CeilDiv; })
        .Case([](arith::MinSIOp) { return Op::Min; })
        .Case([](arith::MaxSIOp) { return Op::Max; });
  }

  Operation *owner;
  ArrayAttr argAttrs;
  ProgramTarget target;
  Program program;
  DenseMap<Value, KernelArg> scalars;
  DenseMap<Value, std::pair<bool, int32_t>> tensors; ///< whether it is an output, and which
  DenseMap<Value, int32_t> workspaces;
};
} // namespace

/// The program that launches `kernel` once, over the grid that it names.
static FailureOr<Program> programOf(tile::KernelOp kernel, ProgramTarget target) {
  if (!kernel.getGridSpaces())
    return kernel.emitOpError("expects a tile.program that launches it, or a grid of its own");
  ProgramBuilder builder(kernel, kernel.getArgAttrsAttr(), target);
  builder.setName(kernel.getSymName());
  auto arguments = kernel.getBody().getArguments();
  for (BlockArgument argument : arguments)
    if (failed(builder.addArgument(argument)))
      return failure();
  KernelLaunch &launch = builder.addLaunch(kernel, ValueRange(arguments));
  for (unsigned i = 0; i < 3; ++i) {
    int32_t space = builder.spaceOf(cast<StringAttr>((*kernel.getGridSpaces())[i]).getValue());
    launch.grid[i] = {{SizeStep::Op::Size, space},
                      {SizeStep::Op::Number, (*kernel.getGridTiles())[i]},
                      {SizeStep::Op::CeilDiv, 0}};
  }
  return builder.finish();
}

static FailureOr<Program> programOf(tile::ProgramOp op, ModuleOp module, ProgramTarget target) {
  ProgramBuilder builder(op, op.getArgAttrsAttr(), target);
  builder.setName(op.getName());
  for (BlockArgument argument : op.getBody().getArguments())
    if (failed(builder.addArgument(argument)))
      return failure();
  for (Operation &each : op.getBody().front()) {
    if (auto workspace = dyn_cast<tile::WorkspaceOp>(each))
      if (failed(builder.addWorkspace(workspace)))
        return failure();
    auto launch = dyn_cast<tile::LaunchOp>(each);
    if (!launch)
      continue;
    KernelLaunch &added = builder.addLaunch(module.lookupSymbol<tile::KernelOp>(launch.getKernel()),
                                            launch.getArgs());
    for (auto [formula, points] :
         llvm::zip(added.grid, ValueRange{launch.getX(), launch.getY(), launch.getZ()}))
      if (!builder.appendFormula(points, formula))
        return launch.emitOpError("has a grid of more than ") << maxFormulaSteps << " steps";
  }
  return builder.finish();
}

FailureOr<Program> attnc::extractProgram(ModuleOp module, ProgramTarget target) {
  auto programs = llvm::to_vector(module.getOps<tile::ProgramOp>());
  if (programs.size() == 1)
    return programOf(programs.front(), module, target);
  auto kernels = llvm::to_vector(module.getOps<tile::KernelOp>());
  if (programs.empty() && kernels.empty())
    return module.emitError("the module has no tile kernels");
  if (!programs.empty() || kernels.size() != 1)
    return module.emitError("expects one tile.program, or one tile.kernel and none, found ")
           << programs.size() << " programs and " << kernels.size() << " kernels";
  return programOf(kernels.front(), target);
}
