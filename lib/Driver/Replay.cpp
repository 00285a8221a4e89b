// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See Replay.h.
#include "Replay.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/MemoryLimit.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/DecidingOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

static attn::VariantOp variantOf(mlir::ModuleOp module) {
  return *module.getOps<attn::VariantOp>().begin();
}

attn::VariantOp Replay::variant() const { return variantOf(*module); }

/// The names of decisions by those of the outputs that say them.
static std::map<std::string, std::string> decisionsOf(attn::VariantOp variant) {
  attn::DecisionNames names(variant);
  std::map<std::string, std::string> result;
  variant.walk([&](mlir::Operation *op) {
    if (attn::decidesScalar(op) || mlir::isa<attn::SelectOp>(op))
      result[names.outputOf(op)] = names.of(op);
  });
  return result;
}

/// Takes lists of tiles out: the reference goes by the mask that they follow from, for the rows
/// that are compared only. Their stages read nothing then; each op stays or has one in its place,
/// since decisions are named by the places of ops.
static void removeLists(attn::VariantOp variant) {
  llvm::SetVector<mlir::Operation *> lists; // users first
  for (auto attend : variant.getBody().getOps<attn::AttendOp>())
    if (mlir::Value visits = attend.getVisits()) {
      lists.insert(visits.getDefiningOp());
      attend.getVisitsMutable().clear();
      attend.removeVisitKeysAttr();
    }
  for (size_t next = 0; next < lists.size(); ++next) {
    mlir::Operation *list = lists[next];
    bool isRead = llvm::any_of(list->getUsers(), [&](mlir::Operation *user) {
      return !lists.contains(variant.getBody().front().findAncestorOpInBlock(*user));
    });
    if (isRead || !mlir::isa<attn::ComputeOp, attn::CumsumOp>(list))
      continue;
    llvm::SmallVector<attn::ReadOp> reads;
    list->walk([&](mlir::Operation *inner) {
      for (mlir::Value operand : inner->getOperands())
        if (mlir::isa<attn::AttnTensorType>(operand.getType()))
          lists.insert(operand.getDefiningOp());
      if (auto read = mlir::dyn_cast<attn::ReadOp>(inner))
        reads.push_back(read);
    });
    for (attn::ReadOp read : reads) {
      mlir::OpBuilder builder(read);
      mlir::TypedAttr zero = builder.getZeroAttr(read.getType());
      read.replaceAllUsesWith(
          mlir::arith::ConstantOp::create(builder, read.getLoc(), zero).getResult());
      read.erase();
    }
  }
}

/// What is kept of a decision while runs are compared: outcomes and keys of the executor, of the
/// reference and of its run in f32 and one perturbed, in f64, and how far keys are off.
static constexpr int64_t bytesOfDecision = 80;

/// `bound` for `variant`, which has other spaces and more outputs than the spec.
static llvm::Expected<BoundSpec> boundFor(attn::VariantOp variant, const BoundSpec &bound,
                                          std::string &tooMany) {
  BoundSpec result;
  llvm::Expected<Signature> signature = reference::signatureOf(variant);
  if (!signature)
    return signature.takeError();
  result.signature = std::move(*signature);
  result.sizes = bound.sizes;
  for (const ParamDecl &param : result.signature.params)
    if (auto value = bound.params.find(param.name); value != bound.params.end())
      result.params.insert(*value);
  Outcome<std::vector<double>> values = checkParams(result.signature, result.params);
  if (!values)
    return toError(values.takeError());
  if (Failure failure = sizeDeclaredSpaces(result.signature, *values, result.sizes))
    return toError(std::move(failure));
  long double bytes = 0;
  for (const TensorDecl &decl : result.signature.outputs)
    if (!bound.outputs.count(decl.name))
      bytes += bytesOf(shapeOf(decl, result.sizes), bytesOfDecision);
  tooMany = checkMemory("replaying all of them", bytes).message();
  if (!tooMany.empty())
    return result;
  for (const TensorDecl &decl : result.signature.inputs)
    result.inputs[decl.name] = copyOf(bound.inputs.at(decl.name));
  for (const TensorDecl &decl : result.signature.outputs)
    if (auto known = bound.outputs.find(decl.name); known != bound.outputs.end())
      result.outputs[decl.name] = poisoned(known->second.view.shape, known->second.view.dtype);
    else
      result.outputs[decl.name] =
          poisoned(shapeOf(decl, result.sizes), decl.dtype.value_or(result.sizes.operandDType));
  return result;
}

static bool areEqualBits(const TensorView &x, const TensorView &y) {
  for (int64_t i = 0; i < x.numElements(); ++i) {
    double a = elementOf(x, i), b = elementOf(y, i);
    if (std::memcmp(&a, &b, sizeof a) != 0 && !(std::isnan(a) && std::isnan(b)))
      return false;
  }
  return true;
}

llvm::Expected<std::optional<Replay>> driver::replayDecisions(const Options &options, Spec &spec,
                                                              BoundSpec &bound,
                                                              const Device &device,
                                                              std::string &tooMany) {
  llvm::Expected<CompileOptions> compile = compileOptionsFor(options, spec, bound, device);
  if (!compile)
    return compile.takeError();
  Replay replay;
  // Kernels that say what they decide are cut like those that do not.
  auto formed = formKernels(spec, *compile);
  if (!formed)
    return formed.takeError();
  replay.module = std::move(*formed);
  std::map<std::string, std::string> decisions = decisionsOf(replay.variant());
  if (decisions.empty())
    return std::nullopt;

  mlir::OwningOpRef<mlir::ModuleOp> exporting = replay.module->clone();
  mlir::PassManager passes(&spec.context());
  passes.addPass(createAttnExportDecisions());
  if (failed(passes.run(*exporting)))
    return createStringError("the decisions of this spec cannot be exported");
  llvm::Expected<BoundSpec> wider = boundFor(variantOf(*exporting), bound, tooMany);
  if (!wider)
    return wider.takeError();
  if (!tooMany.empty())
    return std::nullopt;
  std::unique_ptr<CodeCache> cache = openCache(options);
  llvm::Expected<CompiledCode> code =
      compileRewritten(spec, *exporting, Phase::Kernels, *compile, cache.get());
  if (!code)
    return code.takeError();
  llvm::Expected<std::unique_ptr<Executable>> executable = load(device, std::move(*code));
  if (!executable)
    return executable.takeError();
  if (llvm::Error error = execute(device, **executable, *wider))
    return std::move(error);

  for (auto &[name, tensor] : wider->outputs) {
    if (bound.outputs.count(name)) {
      if (!areEqualBits(tensor.view, bound.outputs.at(name).view))
        return createStringError(formatv("`{0}` is another one where the kernels say what they "
                                         "decide, so that they cannot be held to it",
                                         name));
      continue;
    }
    reference::Decision &taken = replay.taken.byName[decisions.at(name)];
    taken.shape = tensor.view.shape;
    for (int64_t i = 0; i < tensor.view.numElements(); ++i)
      taken.values.push_back(elementOf(tensor.view, i));
  }
  removeLists(replay.variant());
  return std::move(replay);
}
