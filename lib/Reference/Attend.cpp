// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.attend: its operands, its regions, and which keys a row sees. AttendSoftmax.cpp computes.
#include "Attend.h"
#include "llvm/ADT/STLExtras.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

AttendStage::AttendStage(attn::AttendOp op, const Environment &environment)
    : op(op), environment(environment) {
  attn::AttnTensorType query = op.getQuery().getType();
  std::vector<int64_t> shape = environment.shapeOf(query);
  for (unsigned i = 0; i + 1 < query.getRank(); ++i)
    spaces.push_back(query.getAxisName(i).str());
  llvm::SmallVector<llvm::StringRef> names(spaces.begin(), spaces.end());
  rowAxis = environment.demand.axisOf(op, names);
  outer.assign(shape.begin(), shape.end() - 2);
  numRows = shape[shape.size() - 2];
  dim = shape.back();
  std::vector<int64_t> values = environment.shapeOf(op.getValue().getType());
  numKeys = values[values.size() - 2];
  valueDim = values.back();
}

/// Finds how the index on axis `space` of another tensor follows from the row's: directly, or as
/// the block of another index.
llvm::Expected<AttendStage::IndexRule> AttendStage::ruleFor(llvm::StringRef space) const {
  IndexRule rule;
  std::string name = space.str();
  while (true) {
    auto it = llvm::find(spaces, name);
    if (it != spaces.end()) {
      rule.axis = static_cast<size_t>(it - spaces.begin());
      return rule;
    }
    llvm::StringRef parent = attn::blockParent(op, name);
    attn::SpaceOp declared = attn::findSpace(op, name);
    if (parent.empty() || (declared && declared.getStride()))
      return llvm::createStringError("the index on `" + space +
                                     "` does not follow from the query's");
    rule.divisor *= name == "g"
                        ? environment.sizeOf("h") / std::max<int64_t>(1, environment.sizeOf("g"))
                        : environment.sizes.declared.at(name).extent;
    name = parent.str();
  }
}

/// The rules of all axes of `tensor` but the last `numInner`.
llvm::Error AttendStage::prepareOperand(Value tensor, unsigned numInner, Operand &operand) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  std::vector<int64_t> shape = environment.shapeOf(type);
  for (unsigned i = 0; i + numInner < type.getRank(); ++i) {
    llvm::Expected<IndexRule> rule = ruleFor(type.getAxisName(i));
    if (!rule)
      return rule.takeError();
    rule->stride = strideOf(shape, i);
    rule->size = shape[i];
    operand.rules.push_back(*rule);
  }
  operand.tensor = tensor;
  return llvm::Error::success();
}

llvm::Error AttendStage::prepare() {
  for (auto [value, numInner, operand] :
       {std::tuple(op.getQuery(), 2u, &query), std::tuple(op.getKey(), 2u, &key),
        std::tuple(op.getValue(), 2u, &value)})
    if (llvm::Error error = prepareOperand(value, numInner, *operand))
      return error;
  if (op.getSet()) {
    if (llvm::Error error = prepareOperand(op.getSet(), 1, set))
      return error;
    attn::AttnTensorType type = op.getSet().getType();
    setSpace = type.getAxisName(type.getRank() - 1).str();
  }
  if (op.getVisits()) {
    if (llvm::Error error = prepareOperand(op.getVisits(), 1, visits))
      return error;
  }
  if (op.getScale()) {
    llvm::Expected<Program> compiled = Program::compile(op.getScale(), environment);
    if (!compiled)
      return compiled.takeError();
    scale = std::move(*compiled);
  }
  for (auto [value, number, what] : {std::tuple(op.getTile(), &tile, "tile"),
                                     std::tuple(op.getWeightGroup(), &weightGroup, "group")}) {
    if (!value)
      continue;
    llvm::Expected<Program> compiled = Program::compile(value, environment);
    if (!compiled)
      return compiled.takeError();
    llvm::Expected<int64_t> count = compiled->count(what);
    if (!count)
      return count.takeError();
    *number = *count;
  }
  if (op.getParts())
    numParts = environment.sizeOf(op.getParts()->getSpace().getValue());
  if (op.getSkipRows())
    rowsTogether = environment.sizes.declared.at(op.getSkipRows()->str()).extent;
  unsigned numPoint = static_cast<unsigned>(spaces.size());
  const unsigned scoreVarying[] = {0, numPoint + 1}, maskVarying[] = {numPoint};
  for (auto [region, program, varying] :
       {std::tuple(&op.getScore(), &score, llvm::ArrayRef<unsigned>(scoreVarying)),
        std::tuple(&op.getMask(), &mask, llvm::ArrayRef<unsigned>(maskVarying)),
        std::tuple(&op.getSink(), &sink, llvm::ArrayRef<unsigned>()),
        std::tuple(&op.getSkip(), &skip, llvm::ArrayRef<unsigned>())}) {
    if (region->empty())
      continue;
    llvm::Expected<Program> compiled = Program::compile(*region, environment, varying);
    if (!compiled)
      return compiled.takeError();
    *program = std::move(*compiled);
  }
  return prepareDecisions();
}

llvm::Error AttendStage::prepareDecisions() {
  if (!environment.decisions)
    return llvm::Error::success();
  std::vector<int64_t> keys = outer, tiles = outer;
  keys.insert(keys.end(), {numRows, numKeys});
  if (tile)
    tiles.insert(tiles.end(), {llvm::divideCeilSigned(numRows, rowsTogether),
                               llvm::divideCeilSigned(numKeys, tile)});
  auto prepare = [&](bool isTaken, const DecisionSite *&site, const std::vector<int64_t> &shape,
                     llvm::StringRef part) -> llvm::Error {
    if (!isTaken)
      return llvm::Error::success();
    if (!coordinatesOf(op, environment).empty())
      return llvm::createStringError("`skip` and rounded weights within a recurrence: their "
                                     "decisions cannot be recorded");
    auto found = environment.decisions->site(op, environment, shape, part);
    if (!found)
      return found.takeError();
    site = *found;
    return llvm::Error::success();
  };
  if (llvm::Error error = prepare(skip.has_value(), skipSite, tiles, "skip"))
    return error;
  if (skipSite)
    skip->addDistance(op.getSkip());
  if (llvm::Error error = prepare(bool(op.getWeightFormat()), codeSite, keys, "code"))
    return error;
  return prepare(op.getWeightFormat() && weightGroup, groupSite, keys, "scale");
}

AttendStage::Scratch AttendStage::makeScratch(const Memory &memory) const {
  Scratch scratch;
  for (auto [program, frame] : {std::pair(&score, &scratch.score), std::pair(&mask, &scratch.mask),
                                std::pair(&sink, &scratch.sink), std::pair(&skip, &scratch.skip)})
    if (*program)
      *frame = (*program)->makeFrame(memory);
  scratch.scores.resize(static_cast<size_t>(numKeys));
  scratch.attended.resize(static_cast<size_t>(numKeys));
  scratch.point.resize(spaces.size());
  return scratch;
}

int64_t AttendStage::baseOf(const Operand &operand, const Scratch &scratch) const {
  int64_t offset = 0;
  for (const IndexRule &rule : operand.rules) // a row behind the last whole block reads that block
    offset += std::clamp<int64_t>(scratch.point[rule.axis] / rule.divisor, 0,
                                  std::max<int64_t>(0, rule.size - 1)) *
              rule.stride;
  return offset;
}

void AttendStage::setPoint(const Program &program, Program::Frame &frame, unsigned first,
                           const Scratch &scratch) const {
  for (size_t i = 0; i < spaces.size(); ++i)
    *program.argument(frame, first + static_cast<unsigned>(i)) =
        static_cast<double>(scratch.point[i]);
}

/// Which keys the set holds: those of its blocks, or those it names.
void AttendStage::keysOfSet(const Memory &memory, Scratch &scratch) const {
  if (!op.getSet()) {
    std::fill(scratch.attended.begin(), scratch.attended.end(), 1);
    return;
  }
  std::fill(scratch.attended.begin(), scratch.attended.end(), 0);
  if (memory.tensor(op.getSet()).data.empty())
    return;
  const double *flags = memory.tensor(op.getSet()).data.data() + baseOf(set, scratch);
  if (setSpace == op.getKeySpace()) {
    for (int64_t j = 0; j < numKeys; ++j)
      scratch.attended[static_cast<size_t>(j)] = flags[j] != 0;
    return;
  }
  // Blocks, or blocks of blocks: what a block covers is a range of keys in each case.
  for (int64_t p = 0, n = environment.sizeOf(setSpace); p < n; ++p) {
    if (flags[p] == 0)
      continue;
    int64_t first = p, last = p;
    for (std::string space = setSpace; space != op.getKeySpace();
         space = attn::blockParent(op, space).str()) {
      const SpaceSize &size = environment.sizes.declared.at(space);
      int64_t members = environment.sizeOf(attn::blockParent(op, space));
      first = first * size.stride;
      last = std::min(last * size.stride + size.extent, members) - 1;
    }
    for (int64_t j = first; j <= last; ++j)
      scratch.attended[static_cast<size_t>(j)] = 1;
  }
}

/// Keys of blocks that are not visited take no part, and those of blocks that are seen whole all
/// do.
void AttendStage::keepVisited(const Memory &memory, Scratch &scratch) const {
  const Tensor64 &lists = memory.tensor(op.getVisits());
  const double *list = lists.data.data() + baseOf(visits, scratch);
  int64_t block = *op.getVisitKeys();
  std::vector<char> attended(scratch.attended.size(), 0);
  int64_t numWhole = static_cast<int64_t>(list[0]), numVisited = static_cast<int64_t>(list[1]);
  for (int64_t i = 0; i < numVisited; ++i) {
    int64_t first = static_cast<int64_t>(list[2 + i]) * block;
    for (int64_t j = first; j < std::min(first + block, numKeys); ++j) {
      auto at = static_cast<size_t>(j);
      attended[at] = i < numWhole ? char(1) : scratch.attended[at];
    }
  }
  scratch.attended = std::move(attended);
}

void AttendStage::maskRow(const Memory &memory, Scratch &scratch) const {
  keysOfSet(memory, scratch);
  maskKeys(memory, scratch);
  if (op.getVisits())
    keepVisited(memory, scratch);
}

void AttendStage::maskKeys(const Memory &memory, Scratch &scratch) const {
  if (!mask)
    return;
  setPoint(*mask, scratch.mask, 0, scratch);
  for (int64_t first = 0; first < numKeys; first += Program::maxLanes) {
    unsigned lanes = static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, numKeys - first));
    double *keys = mask->argument(scratch.mask, static_cast<unsigned>(spaces.size()));
    for (unsigned i = 0; i < lanes; ++i)
      keys[i] = static_cast<double>(first + i);
    mask->run(scratch.mask, lanes);
    const double *result = mask->result(scratch.mask);
    for (unsigned i = 0; i < lanes; ++i)
      scratch.attended[static_cast<size_t>(first + i)] &= result[i * mask->resultStep()] != 0;
  }
}

std::vector<char> AttendStage::maskOfHead(const Memory &memory,
                                          llvm::ArrayRef<int64_t> head) const {
  std::vector<char> flags;
  Scratch scratch = makeScratch(memory);
  std::copy(head.begin(), head.end(), scratch.point.begin());
  for (int64_t row = 0; row < numRows; ++row) {
    scratch.point.back() = row;
    maskRow(memory, scratch);
    flags.insert(flags.end(), scratch.attended.begin(), scratch.attended.end());
  }
  return flags;
}

StageResult attnc::reference::makeAttend(attn::AttendOp op, const Environment &environment) {
  auto stage = std::make_unique<AttendStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}
