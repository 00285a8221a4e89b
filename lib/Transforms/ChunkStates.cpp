// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ChunkStates.h.
#include "ChunkStates.h"
#include "ChunkScores.h"

using namespace mlir;
using namespace attnc;

ChunkStates::ChunkStates(ChunkBuilder &builder)
    : b(builder), s(builder.spaces), form(builder.form), systems(builder.form.states.size()) {}

ChunkDecay *ChunkStates::decayOf(unsigned state) {
  Expr factor = form.states[state].factor;
  if (!factor)
    return nullptr;
  std::unique_ptr<ChunkDecay> &decay = decays[factor];
  if (!decay)
    decay = std::make_unique<ChunkDecay>(b, factor, state);
  return decay.get();
}

ChunkBuilder::Axes ChunkStates::summedOf(unsigned state) const {
  return b.axesOf(state, form.states[state].summed);
}

ChunkBuilder::Axes ChunkStates::keptOf(unsigned state) const {
  return b.axesOf(state, form.states[state].kept);
}

ChunkStates::Key ChunkStates::keyOf(Part part, unsigned state, Expr weight, Expr column,
                                    bool isNew) const {
  ChunkBuilder::Axes summed = summedOf(state);
  return {
      part, b.getArrayAttr(summed).getAsOpaquePointer(), form.states[state].factor, weight, column,
      isNew};
}

/// Whether outputs read the state.
bool ChunkStates::isNeeded(unsigned state) const {
  return llvm::any_of(form.reads,
                      [&](const StateRead &read) { return read.isPutOut && read.state == state; });
}

/// `first` and then `axes`, behind the batch and the chunks.
static ChunkBuilder::Axes join(const ChunkBuilder &b, ArrayRef<Attribute> first,
                               ArrayRef<Attribute> axes) {
  ChunkBuilder::Axes all(first.begin(), first.end());
  all.append(axes.begin(), axes.end());
  return b.inChunks(all);
}

//===-- Scores, weights and columns -----------------------------------------------------------===//

Value ChunkStates::scores(unsigned number, unsigned write) {
  const StateRead &read = form.reads[number];
  Expr column = form.states[read.state].writes[write].column;
  Value &scores = known[keyOf(Part::Scores, read.state, read.weight, column, read.isNew)];
  if (scores)
    return scores;
  Value weights = b.rows(read.weight, read.state, 0.0);
  Value columns = b.rows(column, read.state, 0.0);
  return scores =
             scoresOf(b, decayOf(read.state), summedOf(read.state), weights, columns, read.isNew);
}

/// Y of a read.
Value ChunkStates::weightsOf(unsigned number) {
  const StateRead &read = form.reads[number];
  Value weights = b.rows(read.weight, read.state, 0.0);
  ChunkDecay *decay = decayOf(read.state);
  if (!decay)
    return weights;
  Value &scaled = known[keyOf(Part::Weights, read.state, read.weight, nullptr, read.isNew)];
  if (scaled)
    return scaled;
  Value before = decay->before(read.isNew);
  return scaled = b.tensor(join(b, s.row, summedOf(read.state)), [&](const NamedIndices &at) {
    return b.mul(b.at(weights, at), b.at(before, at));
  });
}

/// A of a write.
Value ChunkStates::columnsOf(unsigned state, unsigned write) {
  Expr column = form.states[state].writes[write].column;
  Value columns = b.rows(column, state, 0.0);
  ChunkDecay *decay = decayOf(state);
  if (!decay)
    return columns;
  Value &scaled = known[keyOf(Part::Columns, state, nullptr, column, false)];
  if (scaled)
    return scaled;
  Value behind = decay->behind();
  return scaled = b.tensor(join(b, s.row, summedOf(state)), [&](const NamedIndices &at) {
    return b.mul(b.at(columns, at), b.at(behind, at));
  });
}

//===-- The system of a state -----------------------------------------------------------------===//

Value ChunkStates::unknownOf(const System &system, unsigned number, Value step) {
  int64_t count = system.corrected.size();
  return count == 1 ? step : b.add(b.mul(step, b.integer(count)), b.integer(number));
}

Value ChunkStates::ofUnknown(const System &system, Value unknown, WriteFormula formula) {
  int64_t count = system.corrected.size();
  if (count == 1)
    return formula(system.corrected.front(), unknown);
  Value step = b.quotient(unknown, count), number = b.remainder(unknown, count);
  Value result = formula(system.corrected.back(), step);
  for (int64_t i = count - 2; i >= 0; --i)
    result = b.select(b.isEqual(number, b.integer(i)), formula(system.corrected[i], step), result);
  return result;
}

Value ChunkStates::matrixOf(unsigned state) {
  const System &system = systems[state];
  const StateUpdateForm &update = form.states[state];
  // What formulas read stands before them.
  for (unsigned row : system.corrected)
    for (auto [read, factor] : update.writes[row].corrections) {
      b.rows(factor, state, 0.0);
      for (unsigned column : system.corrected)
        scores(read, column);
    }
  return b.tensor(b.inChunks({system.row, system.column}), [&](const NamedIndices &at) {
    return ofUnknown(system, at[system.row], [&](unsigned row, Value step) {
      Value sum;
      for (auto [read, factor] : update.writes[row].corrections) {
        Value g = b.at(b.rows(factor, state, 0.0), at.with(s.row, step));
        Value score =
            ofUnknown(system, at[system.column], [&, read = read](unsigned column, Value before) {
              return b.at(scores(read, column), at.with(s.row, step).with(s.column, before));
            });
        Value term = b.mul(g, score);
        sum = sum ? b.add(sum, term) : term;
      }
      return sum;
    });
  });
}

Value ChunkStates::rowOf(unsigned state, unsigned write, const NamedIndices &at) {
  const System &system = systems[state];
  const auto *found = llvm::find(system.corrected, write);
  if (found == system.corrected.end())
    return b.at(b.rows(form.states[state].writes[write].row, state, 0.0), at);
  unsigned number = found - system.corrected.begin();
  return b.at(system.unknowns, at.with(system.row, unknownOf(system, number, at[s.row])));
}

/// The right side that depends on no state.
Value ChunkStates::knownSide(unsigned state) {
  const System &system = systems[state];
  const StateUpdateForm &update = form.states[state];
  ChunkBuilder::Axes axes = join(b, system.row, keptOf(state));
  for (unsigned write = 0; write < update.writes.size(); ++write)
    if (Expr row = update.writes[write].row) {
      Value rows = b.rows(row, state, 0.0);
      bool isSide = update.writes.size() == 1 &&
                    cast<attn::AttnTensorType>(rows.getType()).getAxes() == ArrayRef(axes);
      if (isSide)
        return rows;
    }
  for (unsigned row : system.corrected)
    for (auto [read, factor] : update.writes[row].corrections)
      for (unsigned plain : system.plain)
        scores(read, plain);
  return b.tensor(axes, [&](const NamedIndices &at) {
    return ofUnknown(system, at[system.row], [&](unsigned row, Value step) {
      const StateWrite &write = update.writes[row];
      NamedIndices in = at.with(s.row, step);
      Value sum = write.row ? b.at(b.rows(write.row, state, 0.0), in) : b.real(0.0);
      for (auto [read, factor] : write.corrections)
        for (unsigned plain : system.plain) {
          Value own = b.sum(s.column, in, [&, read = read](const NamedIndices &each) {
            return b.mul(b.at(scores(read, plain), each),
                         rowOf(state, plain, each.with(s.row, each[s.column])));
          });
          sum = b.add(sum, b.mul(b.at(b.rows(factor, state, 0.0), in), own));
        }
      return sum;
    });
  });
}

/// The right side that the state before the chunk is multiplied with.
Value ChunkStates::weightsSide(unsigned state) {
  const System &system = systems[state];
  const StateUpdateForm &update = form.states[state];
  for (unsigned row : system.corrected)
    for (auto [read, factor] : update.writes[row].corrections)
      weightsOf(read);
  return b.tensor(join(b, system.row, summedOf(state)), [&](const NamedIndices &at) {
    return ofUnknown(system, at[system.row], [&](unsigned row, Value step) {
      NamedIndices in = at.with(s.row, step);
      Value sum;
      for (auto [read, factor] : update.writes[row].corrections) {
        Value term = b.mul(b.at(b.rows(factor, state, 0.0), in), b.at(weightsOf(read), in));
        sum = sum ? b.add(sum, term) : term;
      }
      return sum;
    });
  });
}

void ChunkStates::solve(unsigned state) {
  System &system = systems[state];
  int64_t count = system.corrected.size();
  system.row = s.row;
  system.column = s.column;
  if (count > 1) {
    std::string prefix = s.time.getValue().str();
    system.row = declareSpace(b, b.recur, prefix + "_unknown", count * s.chunk);
    system.column = declareSpace(b, b.recur, prefix + "_unknown_before", count * s.chunk);
  }
  Value matrix = matrixOf(state);
  auto solved = [&](Value side) {
    return attn::SolveOp::create(b, cast<attn::AttnTensorType>(side.getType()), matrix, side,
                                 system.row, system.column)
        .getResult();
  };
  system.known = solved(knownSide(state));
  system.weights = solved(weightsSide(state));
}

/// What writes without reads add to the state in a chunk.
Value ChunkStates::addedOf(unsigned state) {
  const System &system = systems[state];
  if (system.plain.empty())
    return {};
  for (unsigned write : system.plain) {
    columnsOf(state, write);
    b.rows(form.states[state].writes[write].row, state, 0.0);
  }
  auto all = llvm::to_vector(llvm::seq<unsigned>(0, form.indices.of[state].size()));
  return b.tensor(b.inChunks(b.axesOf(state, all)), [&](const NamedIndices &at) {
    Value sum;
    for (unsigned write : system.plain) {
      Value term = b.sum(s.row, at, [&](const NamedIndices &in) {
        return b.mul(b.at(columnsOf(state, write), in), rowOf(state, write, in));
      });
      sum = sum ? b.add(sum, term) : term;
    }
    return sum;
  });
}

void ChunkStates::prepare(unsigned state) {
  System &system = systems[state];
  for (auto [number, write] : llvm::enumerate(form.states[state].writes))
    (write.corrections.empty() ? system.plain : system.corrected).push_back(number);
  if (!system.corrected.empty())
    solve(state);
  system.added = addedOf(state);
  if (ChunkDecay *decay = decayOf(state))
    decay->all();
  for (unsigned write : system.corrected)
    columnsOf(state, write);
}

//===-- The recurrence over chunks ------------------------------------------------------------===//

Value ChunkStates::unknownsOfStep(unsigned state, Value tensor, const NamedIndices &chunk) {
  const System &system = systems[state];
  ChunkBuilder::Axes axes{system.row};
  axes.append(keptOf(state));
  return b.tensor(axes, [&](const NamedIndices &own) {
    NamedIndices at = chunk;
    for (Attribute axis : axes)
      at = at.with(axis, own[axis]);
    Value carried = b.sum(summedOf(state), at, [&](const NamedIndices &in) {
      return b.mul(b.at(system.weights, in), b.at(tensor, in));
    });
    return b.add(b.at(system.known, at), carried);
  });
}

Value ChunkStates::nextState(unsigned state, Value tensor, Value unknowns,
                             const NamedIndices &chunk) {
  const System &system = systems[state];
  ChunkDecay *decay = decayOf(state);
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  return b.tensor(type.getAxes(), [&](const NamedIndices &own) {
    NamedIndices at = chunk;
    for (Attribute axis : type.getAxes())
      at = at.with(axis, own[axis]);
    Value next = b.at(tensor, at);
    if (decay)
      next = b.mul(b.at(decay->all(), at), next);
    if (system.added)
      next = b.add(next, b.at(system.added, at));
    for (auto [number, write] : llvm::enumerate(system.corrected)) {
      Value term = b.sum(s.row, at, [&, n = number, w = write](const NamedIndices &in) {
        NamedIndices row = in.with(system.row, unknownOf(system, n, in[s.row]));
        return b.mul(b.at(columnsOf(state, w), in), b.at(unknowns, row));
      });
      next = b.add(next, term);
    }
    return next;
  });
}

attn::RecurOp ChunkStates::build() {
  for (unsigned state = 0; state < systems.size(); ++state)
    prepare(state);
  Region region;
  Block &body = region.emplaceBlock();
  for (unsigned i = 0; i < b.recur.getBatch().size() + 1; ++i)
    body.addArgument(b.getI32Type(), b.getLoc());
  for (Value state : b.recur.getStates())
    body.addArgument(state.getType(), state.getLoc());
  ChunkBuilder::Axes names = b.inChunks();
  NamedIndices chunk(names, ValueRange(body.getArguments()).take_front(names.size()));
  auto states = body.getArguments().drop_front(names.size());
  SmallVector<Value> outputs, next;
  SmallVector<Value *> keptAs;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(&body);
    for (auto [number, state] : llvm::enumerate(states)) {
      System &system = systems[number];
      Value unknowns = system.corrected.empty() ? Value() : unknownsOfStep(number, state, chunk);
      next.push_back(nextState(number, state, unknowns, chunk));
      if (!isNeeded(number))
        continue;
      outputs.push_back(state);
      keptAs.push_back(&system.states);
      if (unknowns) {
        outputs.push_back(unknowns);
        keptAs.push_back(&system.unknowns);
      }
    }
    SmallVector<Value> yielded(outputs);
    yielded.append(next);
    attn::YieldOp::create(b, yielded);
  }
  SmallVector<Type> types;
  for (Value output : outputs)
    types.push_back(attn::AttnTensorType::get(
        b.getContext(), b.inChunks(cast<attn::AttnTensorType>(output.getType()).getAxes()),
        b.getF32Type()));
  for (Value final : b.recur.getResults().drop_front(b.recur.getNumOutputs()))
    types.push_back(final.getType());
  auto chunked = attn::RecurOp::create(b, types, s.chunks, b.recur.getBatch(), b.recur.getInit(),
                                       /*every=*/Value());
  chunked.getBody().takeBody(region);
  for (auto [number, kept] : llvm::enumerate(keptAs))
    *kept = chunked.getResult(number);
  return chunked;
}

Value ChunkStates::readRows(unsigned number) {
  const StateRead &read = form.reads[number];
  const StateUpdateForm &update = form.states[read.state];
  Value weights = weightsOf(number), states = systems[read.state].states;
  for (unsigned write = 0; write < update.writes.size(); ++write) {
    scores(number, write);
    if (update.writes[write].corrections.empty())
      b.rows(update.writes[write].row, read.state, 0.0);
  }
  return b.tensor(join(b, s.row, keptOf(read.state)), [&](const NamedIndices &at) {
    Value sum = b.sum(summedOf(read.state), at, [&](const NamedIndices &in) {
      return b.mul(b.at(weights, in), b.at(states, in));
    });
    for (unsigned write = 0; write < update.writes.size(); ++write) {
      Value own = b.sum(s.column, at, [&](const NamedIndices &in) {
        return b.mul(b.at(scores(number, write), in),
                     rowOf(read.state, write, in.with(s.row, in[s.column])));
      });
      sum = b.add(sum, own);
    }
    return sum;
  });
}
