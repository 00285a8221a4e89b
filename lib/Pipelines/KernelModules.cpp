// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Modules of kernels, taken apart and put together.
#include "attnc/Pipelines/KernelModules.h"
#include "attnc/Conversion/Passes.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/ThreadPool.h"

using namespace mlir;
using namespace attnc;

/// Something to compile, and not what others use: a function or a kernel with a body.
static bool isKernel(Operation *op) {
  return llvm::any_of(op->getRegions(), [](Region &region) { return !region.empty(); }) &&
         (isa<FunctionOpInterface>(op) || isa<tile::KernelOp>(op));
}

bool attnc::hasSeveralKernels(ModuleOp module) {
  return llvm::count_if(*module.getBody(), [](Operation &op) { return isKernel(&op); }) > 1;
}

/// The operations of `body` that stand together, each group in the order of `body`, groups in the
/// order of their first operations.
static SmallVector<SmallVector<Operation *>> groupBySymbols(Block &body) {
  llvm::StringMap<Operation *> symbols;
  for (Operation &op : body)
    if (auto name = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName()))
      symbols[name] = &op;
  llvm::EquivalenceClasses<Operation *> together;
  for (Operation &op : body) {
    together.insert(&op);
    if (std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(&op))
      for (const SymbolTable::SymbolUse &use : *uses)
        if (Operation *used = symbols.lookup(use.getSymbolRef().getRootReference()))
          together.unionSets(&op, used);
  }
  llvm::MapVector<Operation *, SmallVector<Operation *>> groups;
  for (Operation &op : body)
    groups[together.getLeaderValue(&op)].push_back(&op);
  return llvm::map_to_vector(groups, [](auto &group) { return group.second; });
}

static size_t sizeOf(ModuleOp module) {
  size_t size = 0;
  module->walk([&](Operation *) { ++size; });
  return size;
}

KernelModules::KernelModules(ModuleOp module) : outer(module), modules({module}), order({0}) {
  Block &body = *module.getBody();
  if (!hasSeveralKernels(module))
    return;
  for (auto program : llvm::make_early_inc_range(body.getOps<tile::ProgramOp>()))
    program.erase();
  SmallVector<SmallVector<Operation *>> groups = groupBySymbols(body);
  if (groups.size() < 2)
    return;
  OpBuilder builder = OpBuilder::atBlockEnd(&body);
  modules.clear();
  for (ArrayRef<Operation *> group : groups) {
    auto inner = ModuleOp::create(builder, group.front()->getLoc());
    inner->setDiscardableAttrs(module->getDiscardableAttrDictionary());
    for (Operation *op : group)
      op->moveBefore(inner.getBody(), inner.getBody()->end());
    modules.push_back(inner);
  }
  SmallVector<size_t> sizes = llvm::map_to_vector(modules, sizeOf);
  order = llvm::to_vector(llvm::seq<size_t>(0, modules.size()));
  llvm::sort(order,
             [&](size_t a, size_t b) { return std::pair(sizes[b], a) < std::pair(sizes[a], b); });
  for (size_t i : order)
    modules[i]->moveBefore(&body, body.end());
}

KernelModules::~KernelModules() {
  if (!areApart())
    return;
  for (ModuleOp inner : modules) {
    Block &body = *outer.getBody();
    body.getOperations().splice(body.end(), inner.getBody()->getOperations());
    inner.erase();
  }
}

CompileThreads::CompileThreads(MLIRContext &context, unsigned count) : context(context) {
  if (count < 2 || context.isMultithreadingEnabled())
    return;
  pool = std::make_unique<llvm::DefaultThreadPool>(llvm::hardware_concurrency(count));
  context.setThreadPool(*pool);
}

CompileThreads::~CompileThreads() {
  if (pool)
    context.disableMultithreading();
}
