// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads a program off the IR. Tensors, sizes and parameters are named there; from here on they are
// numbers.
#include "attnc/Conversion/ProgramExtraction.h"
#include "attnc/Sizes/SizeArithmetic.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/Path.h"

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
    if (isa<tile::TensorMapType>(type)) // of a kernel that is its own program
      return addMapped(argument, kind, name);
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
      if (failed(appendFormula(op, size, tensor.axes.emplace_back())))
        return failure();
    for (Value first : op.getFirst())
      if (failed(appendFormula(op, first, tensor.first.emplace_back())))
        return failure();
    workspaces[op.getResult()] = static_cast<int32_t>(program.workspaces.size());
    program.workspaces.push_back(std::move(tensor));
    return success();
  }

  /// Begins a loop of what is launched from here on. All spaces have been added.
  LogicalResult beginLoop(tile::ChunksOp op) {
    auto index = static_cast<int32_t>(program.numSizes());
    ChunkLoop loop;
    loop.firstLaunch = static_cast<int32_t>(program.launches.size());
    for (auto [i, size] : llvm::enumerate(op.getSizes())) {
      ChunkAxis &axis = loop.axes.emplace_back();
      axis.step = op.getSteps()[i];
      if (failed(appendFormula(op, size, axis.size)))
        return failure();
      scalars[op.getFirst(i)] = {KernelArg::Kind::Size, index++, 0};
      scalars[op.getCount(i)] = {KernelArg::Kind::Size, index++, 0};
    }
    program.loops.push_back(std::move(loop));
    return success();
  }
  void endLoop() {
    ChunkLoop &loop = program.loops.back();
    loop.numLaunches = static_cast<int32_t>(program.launches.size()) - loop.firstLaunch;
  }

  LogicalResult addRequirement(tile::RequireOp op) {
    Requirement &requirement = program.requirements.emplace_back();
    requirement.message = op.getMessage().str();
    return appendFormula(op, op.getNumber(), requirement.number);
  }

  /// Adds a launch of `kernel` over `grid`, as formulas. `user` launches it.
  LogicalResult addLaunch(Operation *user, tile::KernelOp kernel, ValueRange values,
                          std::array<SizeFormula, 3> grid) {
    KernelLaunch launch;
    launch.symbol = kernel.getSymName().str();
    launch.grid = std::move(grid);
    launch.numWarps = kernel.getBlockWarps();
    if (auto place = user->getLoc()->findInstanceOf<FileLineColLoc>())
      launch.line =
          (llvm::sys::path::filename(place.getFilename()) + ":" + llvm::Twine(place.getLine()))
              .str();
    for (auto [value, type] : llvm::zip_equal(values, kernel.getArgumentTypes())) {
      if (auto map = dyn_cast<tile::TensorMapType>(type)) {
        if (failed(passMap(user, value, map, launch)))
          return failure();
      } else if (failed(passValue(user, value, launch.args))) {
        return failure();
      }
    }
    if (target == ProgramTarget::GPU) {
      if (auto bytes = kernel->getAttrOfType<IntegerAttr>("tile.shared_bytes"))
        launch.sharedBytes = bytes.getInt();
      for (int32_t dim : {1, 2}) // what convert-tile-to-nvvm adds to the signature
        launch.args.push_back({KernelArg::Kind::GridStart, 0, dim});
    }
    program.launches.push_back(std::move(launch));
    return success();
  }

  /// Adds a declared space; its size stands for the result from here on.
  LogicalResult addSpace(tile::SpaceOp op) {
    SpaceDecl space;
    space.name = op.getName().str();
    space.isFull = op.getFull();
    space.isOptional = op.getOptional();
    if (op.getParent())
      space.parent = program.signature.spaceNames[scalars.at(op.getParent()).index];
    if (failed(appendFormula(op, op.getExtent(), space.extent)) ||
        (op.getStride() && failed(appendFormula(op, op.getStride(), space.stride))))
      return failure();
    scalars[op.getSize()] = {KernelArg::Kind::Size, spaceOf(op.getName()), 0};
    program.signature.spaces.push_back(std::move(space));
    return success();
  }

  int32_t spaceOf(llvm::StringRef name) {
    std::vector<std::string> &names = program.signature.spaceNames;
    auto found = llvm::find(names, name);
    if (found == names.end())
      found = names.insert(found, name.str());
    return static_cast<int32_t>(found - names.begin());
  }

  /// Appends what `value` is computed by. Fails, after an error at `user`, if that is too long.
  LogicalResult appendFormula(Operation *user, Value value, SizeFormula &formula) {
    auto leaf = [&](Value scalar) -> std::optional<SizeStep> {
      auto found = scalars.find(scalar);
      if (found == scalars.end())
        return std::nullopt;
      if (found->second.kind == KernelArg::Kind::Scalar)
        return std::nullopt; // computed once more
      bool isSize = found->second.kind == KernelArg::Kind::Size;
      return SizeStep{isSize ? SizeStep::Op::Size : SizeStep::Op::Param, found->second.index};
    };
    switch (attnc::appendFormula(value, ArithmeticOf::Program, leaf, formula)) {
    case FormulaProblem::None:
      return success();
    case FormulaProblem::TooLong:
      return user->emitOpError("has a number that is computed in more than ")
             << maxFormulaSteps << " steps";
    case FormulaProblem::NoArithmetic:
      break;
    }
    return user->emitOpError("has a number that is no arithmetic on sizes and parameters");
  }

  FailureOr<Program> finish() {
    if (attnc::Failure failure = checkProgram(program))
      return owner->emitOpError("cannot be launched: ") << failure.message();
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

  LogicalResult passValue(Operation *user, Value value, std::vector<KernelArg> &args) {
    using Kind = KernelArg::Kind;
    auto view = dyn_cast<tile::ViewType>(value.getType());
    if (!view) {
      if (failed(addScalar(user, value)))
        return failure();
      args.push_back(scalars.at(value));
      return success();
    }
    auto workspace = workspaces.find(value);
    bool isWorkspace = workspace != workspaces.end();
    int32_t index = isWorkspace ? workspace->second : tensorIndex(value);
    args.push_back({isWorkspace ? Kind::WorkspacePointer : Kind::Pointer, index, 0});
    for (int32_t dim = 0; dim < view.getRank(); ++dim)
      args.push_back({isWorkspace ? Kind::WorkspaceStride : Kind::Stride, index, dim});
    return success();
  }

  /// Lets `argument` stand for the tensor that it is a map of.
  LogicalResult addMapped(BlockArgument argument, llvm::StringRef kind, llvm::StringRef name) {
    for (auto [value, place] : tensors) {
      auto [isOutput, index] = place;
      auto &group = isOutput ? program.signature.outputs : program.signature.inputs;
      if (kind == "map" && group[index].name == name) {
        tensors[argument] = place;
        return success();
      }
    }
    return owner->emitOpError("expects a tensor map to be bound to `map:NAME` of a tensor before "
                              "it, found ")
           << kind << ":" << name;
  }

  /// Passes a map of the tensor `value`: itself, whether it is there, and what it is made from.
  LogicalResult passMap(Operation *user, Value value, tile::TensorMapType map,
                        KernelLaunch &launch) {
    using Kind = KernelArg::Kind;
    if (!tensors.contains(value))
      return user->emitOpError("expects a map of a tensor that callers pass");
    int32_t index = tensorIndex(value), box = static_cast<int32_t>(launch.boxes.size());
    launch.boxes.push_back({static_cast<int32_t>(map.getRowDim()),
                            static_cast<int32_t>(map.getRows()),
                            static_cast<int32_t>(map.getColumns())});
    launch.args.push_back({Kind::TensorMap, index, box});
    launch.args.push_back({Kind::HasMap, index, box});
    for (int32_t dim = 0; dim < map.getRank(); ++dim)
      launch.args.push_back({Kind::Extent, index, dim});
    return success();
  }

  /// Makes what is computed from sizes and parameters a scalar of the program, once.
  LogicalResult addScalar(Operation *user, Value value) {
    if (scalars.contains(value))
      return success();
    SizeFormula formula;
    if (failed(appendFormula(user, value, formula)))
      return failure();
    scalars[value] = {KernelArg::Kind::Scalar, static_cast<int32_t>(program.scalars.size()), 0};
    program.scalars.push_back(std::move(formula));
    return success();
  }

  /// Inputs come before outputs.
  int32_t tensorIndex(Value value) const {
    auto [isOutput, index] = tensors.at(value);
    return isOutput ? static_cast<int32_t>(program.signature.inputs.size()) + index : index;
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
  std::array<SizeFormula, 3> grid;
  for (unsigned i = 0; i < 3; ++i) {
    int32_t space = builder.spaceOf(cast<StringAttr>((*kernel.getGridSpaces())[i]).getValue());
    grid[i] = {{SizeStep::Op::Size, space},
               {SizeStep::Op::Number, (*kernel.getGridTiles())[i]},
               {SizeStep::Op::CeilDiv, 0}};
  }
  if (failed(builder.addLaunch(kernel, kernel, ValueRange(arguments), std::move(grid))))
    return failure();
  return builder.finish();
}

static LogicalResult addLaunch(ProgramBuilder &builder, tile::LaunchOp launch, ModuleOp module) {
  std::array<SizeFormula, 3> grid;
  std::array<Value, 3> points{launch.getX(), launch.getY(), launch.getZ()};
  for (unsigned i = 0; i < 3; ++i)
    if (failed(builder.appendFormula(launch, points[i], grid[i])))
      return failure();
  auto kernel = module.lookupSymbol<tile::KernelOp>(launch.getKernel());
  return builder.addLaunch(launch, kernel, launch.getArgs(), std::move(grid));
}

/// Adds what the ops of a program, or of chunks in it, say.
static LogicalResult addBody(ProgramBuilder &builder, Block &body, ModuleOp module) {
  for (Operation &each : body) {
    LogicalResult added =
        llvm::TypeSwitch<Operation *, LogicalResult>(&each)
            .Case([&](tile::WorkspaceOp op) { return builder.addWorkspace(op); })
            .Case([&](tile::RequireOp op) { return builder.addRequirement(op); })
            .Case([&](tile::LaunchOp op) { return addLaunch(builder, op, module); })
            .Case([&](tile::ChunksOp op) -> LogicalResult {
              if (failed(builder.beginLoop(op)) ||
                  failed(addBody(builder, op.getBody().front(), module)))
                return failure();
              builder.endLoop();
              return success();
            })
            .Default([](Operation *) { return success(); });
    if (failed(added))
      return failure();
  }
  return success();
}

static FailureOr<Program> programOf(tile::ProgramOp op, ModuleOp module, ProgramTarget target) {
  ProgramBuilder builder(op, op.getArgAttrsAttr(), target);
  builder.setName(op.getName());
  for (BlockArgument argument : op.getBody().getArguments())
    if (failed(builder.addArgument(argument)))
      return failure();
  for (auto space : op.getBody().getOps<tile::SpaceOp>())
    if (failed(builder.addSpace(space)))
      return failure();
  if (failed(addBody(builder, op.getBody().front(), module)))
    return failure();
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
