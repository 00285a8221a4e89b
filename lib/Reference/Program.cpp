// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compilation of regions. Each scalar op is one line of a table: what it computes in double
// precision.
#include "Program.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;
using Instruction = Program::Instruction;

static double wrap(int64_t value) { return wrapInt(value); }
static int64_t whole(double value) { return static_cast<int64_t>(value); }

template <double (*f)(double)>
static void unary(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *a = slots[in.operands[0]];
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i)
    r[i] = f(a[i * in.steps[0]]);
}

template <double (*f)(double, double)>
static void binary(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *a = slots[in.operands[0]], *b = slots[in.operands[1]];
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i)
    r[i] = f(a[i * in.steps[0]], b[i * in.steps[1]]);
}

static void select(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *c = slots[in.operands[0]], *a = slots[in.operands[1]], *b = slots[in.operands[2]];
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i)
    r[i] = c[i * in.steps[0]] != 0 ? a[i * in.steps[1]] : b[i * in.steps[2]];
}

static void compareInts(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *a = slots[in.operands[0]], *b = slots[in.operands[1]];
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i) {
    // Both are whole numbers of 32 bits; unsigned predicates compare them modulo 2^32.
    int64_t x = whole(a[i * in.steps[0]]), y = whole(b[i * in.steps[1]]);
    r[i] = arith::applyCmpPredicate(static_cast<arith::CmpIPredicate>(in.predicate),
                                    APInt(64, x, true), APInt(64, y, true));
  }
}

static bool compareReals(arith::CmpFPredicate predicate, double x, double y) {
  return arith::applyCmpPredicate(predicate, APFloat(x), APFloat(y));
}

template <arith::CmpIPredicate predicate>
static void compareInt(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *a = slots[in.operands[0]], *b = slots[in.operands[1]];
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i) {
    double x = a[i * in.steps[0]], y = b[i * in.steps[1]];
    r[i] = predicate == arith::CmpIPredicate::eq    ? x == y
           : predicate == arith::CmpIPredicate::ne  ? x != y
           : predicate == arith::CmpIPredicate::slt ? x < y
           : predicate == arith::CmpIPredicate::sle ? x <= y
           : predicate == arith::CmpIPredicate::sgt ? x > y
                                                    : x >= y;
  }
}

static void compareReal(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *a = slots[in.operands[0]], *b = slots[in.operands[1]];
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i)
    r[i] = compareReals(static_cast<arith::CmpFPredicate>(in.predicate), a[i * in.steps[0]],
                        b[i * in.steps[1]]);
}

/// Indices are clamped to their axes. A tensor without elements reads as 0.
static void read(const Instruction &in, double *const *slots, unsigned lanes) {
  const double *data = slots[in.tensor];
  double *r = slots[in.result];
  bool isEmpty = llvm::is_contained(in.shape, 0);
  for (unsigned i = 0; i < lanes; ++i) {
    int64_t offset = 0;
    for (size_t axis = 0; axis < in.operands.size(); ++axis) {
      int64_t index = whole(slots[in.operands[axis]][i * in.steps[axis]]);
      offset += std::clamp<int64_t>(index, 0, std::max<int64_t>(0, in.shape[axis] - 1)) *
                in.strides[axis];
    }
    r[i] = isEmpty ? 0 : data[offset];
  }
}

/// The first word of Philox4x32-10 with key (seed, 0), as a multiple of 2^-24 in [0, 1).
static void uniform(const Instruction &in, double *const *slots, unsigned lanes) {
  for (unsigned i = 0; i < lanes; ++i) {
    auto word = [&](size_t operand) {
      return operand < in.operands.size()
                 ? static_cast<uint32_t>(whole(slots[in.operands[operand]][i * in.steps[operand]]))
                 : 0u;
    };
    uint32_t key[2] = {word(0), 0}, counter[4] = {word(1), word(2), word(3), word(4)};
    for (unsigned round = 0; round < 10; ++round) {
      uint64_t a = uint64_t(0xD2511F53u) * counter[0], b = uint64_t(0xCD9E8D57u) * counter[2];
      uint32_t next[4] = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b),
                          uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
      std::copy_n(next, 4, counter);
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    slots[in.result][i] = static_cast<double>(counter[0] >> 8) * 0x1p-24;
  }
}

static double floorDivide(double a, double b) {
  if (b == 0)
    return 0; // undefined in arith; the frontend never emits it
  int64_t x = whole(a), y = whole(b), quotient = x / y;
  return wrap(quotient - ((x % y != 0) && ((x < 0) != (y < 0))));
}
static double ceilDivide(double a, double b) {
  return b == 0 ? 0 : wrap(-whole(floorDivide(-a, b)));
}
static double truncDivide(double a, double b) { return b == 0 ? 0 : wrap(whole(a) / whole(b)); }
static double truncRemainder(double a, double b) { return b == 0 ? 0 : wrap(whole(a) % whole(b)); }
static double maximum(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b);
}
static double minimum(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b);
}
static double toInt(double a) {
  return std::isnan(a) ? 0 : std::clamp(std::trunc(a), -2147483648.0, 2147483647.0);
}
static double identity(double a) { return a; }
/// Counts are from 0 to 31: others are undefined in arith, and the frontend never emits them.
static double shiftLeft(double a, double b) {
  return wrap(whole(a) * (int64_t(1) << (whole(b) & 31)));
}
static double shiftRight(double a, double b) { return whole(a) >> (whole(b) & 31); }

static const llvm::StringMap<Program::Kernel> &kernels() {
  struct Functions {
    static double addI(double a, double b) { return wrap(whole(a) + whole(b)); }
    static double subI(double a, double b) { return wrap(whole(a) - whole(b)); }
    static double mulI(double a, double b) { return wrap(whole(a) * whole(b)); }
    static double andI(double a, double b) { return wrap(whole(a) & whole(b)); }
    static double orI(double a, double b) { return wrap(whole(a) | whole(b)); }
    static double xorI(double a, double b) { return wrap(whole(a) ^ whole(b)); }
    static double minI(double a, double b) { return std::min(a, b); }
    static double maxI(double a, double b) { return std::max(a, b); }
    static double addF(double a, double b) { return a + b; }
    static double subF(double a, double b) { return a - b; }
    static double mulF(double a, double b) { return a * b; }
    static double divF(double a, double b) { return a / b; }
    static double remF(double a, double b) { return std::fmod(a, b); }
    static double negF(double a) { return -a; }
    static double fmin(double a, double b) { return std::fmin(a, b); }
    static double fmax(double a, double b) { return std::fmax(a, b); }
    static double pow(double a, double b) { return std::pow(a, b); }
    static double absI(double a) { return wrap(std::llabs(whole(a))); }
    static double absF(double a) { return std::fabs(a); }
    static double floor(double a) { return std::floor(a); }
    static double ceil(double a) { return std::ceil(a); }
    static double round(double a) { return std::nearbyint(a); }
    static double exp(double a) { return std::exp(a); }
    static double exp2(double a) { return std::exp2(a); }
    static double ln(double a) { return std::log(a); }
    static double log2(double a) { return std::log2(a); }
    static double sqrt(double a) { return std::sqrt(a); }
    static double rsqrt(double a) { return 1 / std::sqrt(a); }
    static double tanh(double a) { return std::tanh(a); }
    static double sin(double a) { return std::sin(a); }
    static double cos(double a) { return std::cos(a); }
    static double erf(double a) { return std::erf(a); }
  };
  using F = Functions;
  static const llvm::StringMap<Program::Kernel> table = {
      {"arith.addi", binary<F::addI>},
      {"arith.subi", binary<F::subI>},
      {"arith.muli", binary<F::mulI>},
      {"arith.andi", binary<F::andI>},
      {"arith.ori", binary<F::orI>},
      {"arith.xori", binary<F::xorI>},
      {"arith.minsi", binary<F::minI>},
      {"arith.maxsi", binary<F::maxI>},
      {"arith.floordivsi", binary<floorDivide>},
      {"arith.ceildivsi", binary<ceilDivide>},
      {"arith.divsi", binary<truncDivide>},
      {"arith.remsi", binary<truncRemainder>},
      {"arith.shli", binary<shiftLeft>},
      {"arith.shrsi", binary<shiftRight>},
      {"arith.addf", binary<F::addF>},
      {"arith.subf", binary<F::subF>},
      {"arith.mulf", binary<F::mulF>},
      {"arith.divf", binary<F::divF>},
      {"arith.remf", binary<F::remF>},
      {"arith.negf", unary<F::negF>},
      {"arith.minimumf", binary<minimum>},
      {"arith.maximumf", binary<maximum>},
      {"arith.minnumf", binary<F::fmin>},
      {"arith.maxnumf", binary<F::fmax>},
      {"arith.sitofp", unary<identity>},
      {"arith.uitofp", unary<identity>},
      {"arith.extui", unary<identity>},
      {"arith.extf", unary<identity>}, // types say what executors store, here as in tensors
      {"arith.truncf", unary<identity>},
      {"arith.fptosi", unary<toInt>},
      {"arith.select", select},
      {"math.absi", unary<F::absI>},
      {"math.absf", unary<F::absF>},
      {"math.floor", unary<F::floor>},
      {"math.ceil", unary<F::ceil>},
      {"math.roundeven", unary<F::round>},
      {"math.exp", unary<F::exp>},
      {"math.exp2", unary<F::exp2>},
      {"math.log", unary<F::ln>},
      {"math.log2", unary<F::log2>},
      {"math.sqrt", unary<F::sqrt>},
      {"math.rsqrt", unary<F::rsqrt>},
      {"math.tanh", unary<F::tanh>},
      {"math.sin", unary<F::sin>},
      {"math.cos", unary<F::cos>},
      {"math.erf", unary<F::erf>},
      {"math.powf", binary<F::pow>},
  };
  return table;
}

static Program::Kernel compareKernel(arith::CmpIPredicate predicate) {
  using P = arith::CmpIPredicate;
  switch (predicate) {
  case P::eq:
    return compareInt<P::eq>;
  case P::ne:
    return compareInt<P::ne>;
  case P::slt:
    return compareInt<P::slt>;
  case P::sle:
    return compareInt<P::sle>;
  case P::sgt:
    return compareInt<P::sgt>;
  case P::sge:
    return compareInt<P::sge>;
  default:
    return compareInts;
  }
}

unsigned Program::newSlot(Value value, bool isVarying) {
  varies.push_back(isVarying);
  unsigned slot = varies.size() - 1;
  if (value)
    slots[value] = slot;
  return slot;
}

llvm::Expected<unsigned> Program::slotOf(Value value, const Environment &environment) {
  if (auto it = slots.find(value); it != slots.end())
    return it->second;
  Operation *op = value.getDefiningOp();
  if (!op) { // an index of the surrounding recurrence
    unsigned slot = newSlot(value, false);
    captures.emplace_back(value, slot);
    return slot;
  }
  if (llvm::Error error = append(op, environment, prologue))
    return std::move(error);
  return slots.lookup(value);
}

llvm::Error Program::appendRead(attn::ReadOp op, const Environment &environment, Instruction &in) {
  auto found = llvm::find_if(tensors, [&](auto &entry) { return entry.first == op.getTensor(); });
  if (found == tensors.end()) {
    tensors.emplace_back(op.getTensor(), newSlot({}, false));
    found = std::prev(tensors.end());
  }
  in.tensor = found->second;
  std::vector<int64_t> shape = environment.shapeOf(op.getTensor().getType());
  in.shape.assign(shape.begin(), shape.end());
  for (size_t i = 0; i < shape.size(); ++i)
    in.strides.push_back(strideOf(shape, i));
  in.kernel = read;
  return llvm::Error::success();
}

llvm::Error Program::appendLoop(attn::ReduceOp op, const Environment &environment,
                                std::vector<Instruction> &into) {
  auto loop = std::make_shared<Loop>();
  loop->kind = op.getKind();
  loop->count = environment.sizeOf(op.getSpace());
  loop->isInteger = op.getType().isInteger(32);
  if (op.getBlock()) {
    llvm::Expected<unsigned> block = slotOf(op.getIndex(), environment);
    if (!block)
      return block.takeError();
    loop->isBlock = true;
    loop->block = *block;
    loop->blockVaries = varies[*block];
    loop->limit = loop->count;
    loop->numBlocks = environment.sizeOf(*op.getBlock());
    if (*op.getBlock() == "g") {
      loop->stride = loop->count =
          environment.sizeOf("h") / std::max<int64_t>(1, environment.sizeOf("g"));
    } else {
      const SpaceSize &size = environment.sizes.declared.at(op.getBlock()->str());
      loop->stride = size.stride;
      loop->count = std::min(size.extent, loop->limit); // a block can be longer than its space
    }
  }
  for (auto [bound, slot, varying] :
       {std::tuple(op.getLower(), &loop->lower, &loop->lowerVaries),
        std::tuple(op.getUpper(), &loop->upper, &loop->upperVaries)}) {
    if (!bound)
      continue;
    llvm::Expected<unsigned> found = slotOf(bound, environment);
    if (!found)
      return found.takeError();
    *slot = *found;
    *varying = varies[*found];
  }
  Block &body = op.getBody().front();
  loop->index = newSlot(body.getArgument(0), loop->blockVaries);
  for (Operation &inner : body.without_terminator())
    if (llvm::Error error = append(&inner, environment, loop->body))
      return error;
  auto yield = cast<attn::YieldOp>(body.getTerminator());
  llvm::Expected<unsigned> value = slotOf(yield.getValues()[0], environment);
  if (!value)
    return value.takeError();
  loop->value = *value;
  loop->valueVaries = varies[*value];
  if (yield.getValues().size() == 2) {
    llvm::Expected<unsigned> condition = slotOf(yield.getValues()[1], environment);
    if (!condition)
      return condition.takeError();
    loop->hasCondition = true;
    loop->condition = *condition;
    loop->conditionVaries = varies[*condition];
  }
  Instruction in;
  in.kernel = loopKernel(environment.options.arithmetic);
  in.options = &environment.options;
  in.varies = loop->valueVaries || loop->conditionVaries || loop->blockVaries ||
              loop->lowerVaries || loop->upperVaries;
  in.result = newSlot(op.getResult(), in.varies);
  loop->scratch = newSlot({}, in.varies);
  in.loop = std::move(loop);
  into.push_back(std::move(in));
  return instrument(op, environment, into);
}

llvm::Error Program::append(Operation *op, const Environment &environment,
                            std::vector<Instruction> &into) {
  auto setConstant = [&](double value) {
    constants.emplace_back(newSlot(op->getResult(0), false), value);
    return llvm::Error::success();
  };
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto real = dyn_cast<FloatAttr>(constant.getValue()))
      return setConstant(real.getValueAsDouble());
    auto integer = dyn_cast<IntegerAttr>(constant.getValue());
    if (!integer)
      return llvm::createStringError("the reference evaluates scalar constants only");
    // i1 true is 1, not -1.
    return setConstant(integer.getType().isInteger(1) ? integer.getValue().getBoolValue()
                                                      : static_cast<double>(integer.getInt()));
  }
  if (auto size = dyn_cast<attn::SizeOp>(op)) {
    auto it = environment.sizes.spaces.find(size.getSpace().str());
    if (it == environment.sizes.spaces.end())
      return llvm::createStringError("the size of `" + size.getSpace() +
                                     "` is not known from the inputs");
    return setConstant(static_cast<double>(it->second));
  }
  if (auto param = dyn_cast<attn::ParamOp>(op))
    return setConstant(environment.params.at(param.getName().str()));
  if (auto reduce = dyn_cast<attn::ReduceOp>(op))
    return appendLoop(reduce, environment, into);

  Instruction in;
  for (Value operand : op->getOperands()) {
    if (isa<attn::AttnTensorType>(operand.getType()))
      continue;
    llvm::Expected<unsigned> slot = slotOf(operand, environment);
    if (!slot)
      return slot.takeError();
    in.operands.push_back(*slot);
    in.steps.push_back(varies[*slot]);
    in.varies |= varies[*slot];
  }
  if (auto position = dyn_cast<attn::PositionOp>(op)) {
    double shift = position.getAlign() == attn::Align::BottomRight
                       ? static_cast<double>(environment.sizeOf("kv") - environment.sizeOf("q"))
                       : 0.0;
    unsigned slot = newSlot({}, false);
    constants.emplace_back(slot, shift);
    in.operands.push_back(slot);
    in.steps.push_back(0);
    in.kernel = kernels().lookup("arith.addi");
  } else if (auto readOp = dyn_cast<attn::ReadOp>(op)) {
    if (llvm::Error error = appendRead(readOp, environment, in))
      return error;
  } else if (isa<attn::UniformOp>(op)) {
    in.kernel = uniform;
  } else if (auto compare = dyn_cast<arith::CmpIOp>(op)) {
    in.predicate = static_cast<int>(compare.getPredicate());
    in.kernel = compareKernel(compare.getPredicate());
  } else if (auto compare = dyn_cast<arith::CmpFOp>(op)) {
    in.predicate = static_cast<int>(compare.getPredicate());
    in.kernel = compareReal;
  } else {
    in.kernel = kernels().lookup(op->getName().getStringRef());
  }
  if (!in.kernel || op->getNumResults() != 1)
    return llvm::createStringError("the reference cannot evaluate `" +
                                   op->getName().getStringRef() + "`");
  in.result = newSlot(op->getResult(0), in.varies);
  into.push_back(std::move(in));
  return instrument(op, environment, into);
}

llvm::Expected<Program> Program::compile(Region &region, const Environment &environment,
                                         llvm::ArrayRef<unsigned> varying) {
  Program program;
  Block &block = region.front();
  for (BlockArgument arg : block.getArguments())
    program.newSlot(arg, llvm::is_contained(varying, arg.getArgNumber()));
  // Ops in order, so that the recursion of slotOf only follows captures.
  for (Operation &op : block.without_terminator())
    if (llvm::Error error = program.append(&op, environment, program.instructions))
      return std::move(error);
  for (Value value : cast<attn::YieldOp>(block.getTerminator()).getValues()) {
    llvm::Expected<unsigned> slot = program.slotOf(value, environment);
    if (!slot)
      return slot.takeError();
    program.results.push_back(*slot);
  }
  return program;
}

unsigned Program::constantSlot(double value) {
  unsigned slot = newSlot({}, false);
  constants.emplace_back(slot, value);
  return slot;
}

/// What `op` makes of slots that do not vary.
unsigned Program::computed(llvm::StringRef op, ArrayRef<unsigned> operands) {
  Instruction in;
  in.kernel = kernels().lookup(op);
  in.operands.assign(operands.begin(), operands.end());
  in.steps.assign(operands.size(), 0);
  in.result = newSlot({}, false);
  instructions.push_back(std::move(in));
  return instructions.back().result;
}

unsigned Program::distanceOf(Value condition) {
  Operation *op = condition.getDefiningOp();
  if (auto compare = dyn_cast_or_null<arith::CmpFOp>(op)) {
    unsigned lhs = slots.lookup(compare.getLhs()), rhs = slots.lookup(compare.getRhs());
    using Predicate = arith::CmpFPredicate;
    switch (compare.getPredicate()) {
    case Predicate::OLT:
    case Predicate::OLE:
      return computed("arith.subf", {rhs, lhs});
    case Predicate::OGT:
    case Predicate::OGE:
      return computed("arith.subf", {lhs, rhs});
    case Predicate::OEQ:
      return computed("arith.negf", computed("math.absf", computed("arith.subf", {lhs, rhs})));
    case Predicate::UNE:
      return computed("math.absf", computed("arith.subf", {lhs, rhs}));
    default:
      return constantSlot(NAN);
    }
  }
  if (isa_and_nonnull<arith::AndIOp>(op))
    return computed("arith.minimumf",
                    {distanceOf(op->getOperand(0)), distanceOf(op->getOperand(1))});
  if (isa_and_nonnull<arith::OrIOp>(op))
    return computed("arith.maximumf",
                    {distanceOf(op->getOperand(0)), distanceOf(op->getOperand(1))});
  if (isa_and_nonnull<arith::XOrIOp>(op)) {
    bool negates = matchPattern(op->getOperand(1), m_One());
    return negates ? computed("arith.negf", distanceOf(op->getOperand(0))) : constantSlot(NAN);
  }
  // Of ints, or a condition that is given: exact.
  bool isExact = !op || isa<arith::CmpIOp, arith::ConstantOp, attn::ReadOp>(op);
  if (!isExact || !slots.count(condition))
    return constantSlot(NAN);
  double infinity = std::numeric_limits<double>::infinity();
  return computed("arith.select",
                  {slots.lookup(condition), constantSlot(infinity), constantSlot(-infinity)});
}

void Program::addDistance(Region &region) {
  auto yield = cast<attn::YieldOp>(region.front().getTerminator());
  results.push_back(distanceOf(yield.getValue()));
}

llvm::Expected<Program> Program::compile(Value value, const Environment &environment) {
  Program program;
  llvm::Expected<unsigned> slot = program.slotOf(value, environment);
  if (!slot)
    return slot.takeError();
  program.results.push_back(*slot);
  return program;
}

Program::Frame Program::makeFrame(const Memory &memory, unsigned lanes) const {
  Frame frame;
  size_t total = 0;
  for (bool isVarying : varies)
    total += isVarying ? lanes : 1;
  frame.storage.assign(total, NAN);
  size_t offset = 0;
  for (bool isVarying : varies) {
    frame.slots.push_back(frame.storage.data() + offset);
    offset += isVarying ? lanes : 1;
  }
  for (auto [slot, value] : constants)
    *frame.slots[slot] = value;
  for (auto [value, slot] : tensors) // reads never write through it
    frame.slots[slot] = const_cast<double *>(memory.tensor(value).data.data());
  updateScalars(frame, memory);
  return frame;
}

llvm::Expected<int64_t> Program::count(llvm::StringRef what) const {
  if (!tensors.empty())
    return llvm::createStringError("`" + what + "` is known before tensors are read");
  Memory none;
  Frame frame = makeFrame(none, 1);
  run(frame, 1);
  int64_t number = whole(*result(frame));
  if (number < 1)
    return llvm::createStringError("`" + what + "` is at least 1, found " + llvm::Twine(number));
  return number;
}

void Program::updateScalars(Frame &frame, const Memory &memory) const {
  for (auto [value, slot] : captures)
    *frame.slots[slot] = memory.scalar(value);
}

void Program::run(Frame &frame, unsigned lanes) const {
  for (const auto *list : {&prologue, &instructions})
    for (const Instruction &in : *list)
      in.kernel(in, frame.slots.data(), in.varies ? lanes : 1);
}
