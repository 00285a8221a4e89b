// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decoding of control flow, barriers, warp-wide exchanges and matrix instructions.
#include "Decode.h"
#include "Inline.h"
#include "Launch.h"
#include "WarpOps.h"

namespace attnc::emu {
namespace {

void bra(Decoder &d) {
  d.mods->take("uni");
  d.expectOperands(1, 1);
  if (d.operand(0).kind != Operand::Label)
    d.fail("expects a label");
  d.emit(branch);
}

void leave(Decoder &d) {
  d.mods->take("uni");
  d.expectOperands(0, 0);
  d.emit(exitLanes);
}

/// What expandCalls has left.
void call(Decoder &d) {
  d.mods->take("uni");
  const Function *callee = calleeOf(d.module, d.instr());
  if (callee) {
    d.emit(callTooDeep);
    return;
  }
  std::string name;
  for (const Operand &o : d.instr().operands)
    if (o.kind == Operand::Symbol)
      name = o.name;
  if (name != "__assertfail")
    d.fail("calls '" + name + "', which the module does not define");
  d.emit(assertionFailed);
}

/// Number and thread count of a barrier, as far as they are constants.
void checkBarrierConstants(Decoder &d, const Operand &id, const Operand *threads) {
  if (id.kind == Operand::Imm && (id.imm < 0 || id.imm > 15))
    d.fail("there are 16 barriers");
  if (threads && threads->kind == Operand::Imm && (threads->imm <= 0 || threads->imm % 32))
    d.fail("the number of threads must be a positive multiple of 32");
}

void barrier(Decoder &d) {
  const bool isBar = d.instr().opcode == "bar";
  if (d.mods->take("warp")) {
    if (!d.mods->take("sync"))
      d.fail("expects bar.warp.sync");
    d.expectOperands(1, 1);
    uint32_t mask = d.use(d.operand(0), Type::B32);
    d.emit(warpSync).o[0] = mask;
    return;
  }
  if (d.mods->take("cluster"))
    return decodeClusterBarrier(d);
  d.mods->take("cta");
  int kind = d.mods->takeOneOf({"sync", "arrive", "red"});
  if (kind < 0)
    d.fail("unsupported form of barrier");
  uint32_t aux = kind == 1 ? barArrive : 0;
  if (isBar || d.mods->take("aligned"))
    aux |= barAligned;
  if (kind == 2) {
    int red = d.mods->takeOneOf({"popc", "and", "or"});
    Type t = needType(d);
    if (red < 0 || (red == 0) != (t == Type::U32))
      d.fail("expects .popc.u32, .and.pred or .or.pred");
    aux |= static_cast<uint32_t>(red + 1) << barReduceShift;
    d.expectOperands(3, 4);
    checkBarrierConstants(d, d.operand(1), d.operandCount() == 4 ? &d.operand(2) : nullptr);
    uint32_t result = red == 0 ? d.def(d.operand(0), Type::U32) : d.defPredicate(d.operand(0));
    uint32_t id = d.use(d.operand(1), Type::U32), count = 0;
    if (d.operandCount() == 4) {
      count = d.use(d.operand(2), Type::U32);
      aux |= barCounted;
    }
    bool negated;
    uint32_t p = d.usePredicate(d.operand(d.operandCount() - 1), negated);
    Rec &r = d.emit(barrierOp);
    r.o[0] = id, r.o[1] = count, r.o[2] = p, r.o[3] = result;
    r.aux = aux | (negated ? barNegated : 0);
    return;
  }
  d.expectOperands(kind == 1 ? 2 : 1, 2);
  checkBarrierConstants(d, d.operand(0), d.operandCount() == 2 ? &d.operand(1) : nullptr);
  uint32_t id = d.use(d.operand(0), Type::U32), count = 0;
  if (d.operandCount() == 2) {
    count = d.use(d.operand(1), Type::U32);
    aux |= barCounted;
  }
  Rec &r = d.emit(barrierOp);
  r.o[0] = id, r.o[1] = count;
  r.aux = aux;
}

void shfl(Decoder &d) {
  if (!d.mods->take("sync"))
    d.fail("only shfl.sync is supported");
  int mode = d.mods->takeOneOf({"up", "down", "bfly", "idx"});
  if (mode < 0)
    d.fail("expects a shuffle mode");
  Type t = needType(d);
  if (t != Type::B32)
    d.fail("expects .b32");
  d.expectOperands(5, 5);
  uint32_t a = d.use(d.operand(1), t), b = d.use(d.operand(2), Type::U32),
           c = d.use(d.operand(3), Type::U32);
  uint32_t mask = d.use(d.operand(4), Type::B32);
  bool wantsPredicate = d.operand(0).pair >= 0;
  uint32_t p = d.defPredicateIndex(d.operand(0).pair), dst = d.def(d.operand(0), t);
  Rec &r = d.emit(shuffle);
  r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[3] = c, r.o[4] = mask, r.o[5] = p;
  r.aux = static_cast<uint32_t>(mode) | (wantsPredicate ? 4 : 0);
}

void voteOp(Decoder &d) {
  if (!d.mods->take("sync"))
    d.fail("only vote.sync is supported");
  int mode = d.mods->takeOneOf({"all", "any", "uni", "ballot"});
  if (mode < 0)
    d.fail("expects a vote mode");
  if (needType(d) != (mode == 3 ? Type::B32 : Type::Pred))
    d.fail("expects .pred, or .b32 for .ballot");
  d.expectOperands(3, 3);
  bool negated;
  uint32_t p = d.usePredicate(d.operand(1), negated), mask = d.use(d.operand(2), Type::B32);
  uint32_t dst = mode == 3 ? d.def(d.operand(0), Type::B32) : d.defPredicate(d.operand(0));
  Rec &r = d.emit(vote);
  r.o[0] = dst, r.o[1] = p, r.o[2] = mask;
  r.aux = static_cast<uint32_t>(mode) | (negated ? 4 : 0);
}

void matchOp(Decoder &d) {
  bool all = d.mods->take("all");
  if ((!all && !d.mods->take("any")) || !d.mods->take("sync"))
    d.fail("expects match.any.sync or match.all.sync");
  Type t = needType(d);
  if (t != Type::B32 && t != Type::B64)
    d.fail("expects .b32 or .b64");
  d.expectOperands(3, 3);
  uint32_t a = d.use(d.operand(1), t), mask = d.use(d.operand(2), Type::B32);
  bool wantsPredicate = d.operand(0).pair >= 0;
  if (wantsPredicate && !all)
    d.fail("only match.all has a predicate");
  uint32_t p = d.defPredicateIndex(d.operand(0).pair), dst = d.def(d.operand(0), Type::B32);
  Rec &r = d.emit(match);
  r.o[0] = dst, r.o[1] = a, r.o[2] = mask, r.o[3] = p;
  r.aux = (all ? 1 : 0) | (bitsOf(t) == 64 ? 2 : 0) | (wantsPredicate ? 4 : 0);
}

void reduxOp(Decoder &d) {
  if (!d.mods->take("sync"))
    d.fail("expects redux.sync");
  int op = d.mods->takeOneOf({"add", "min", "max", "and", "or", "xor"});
  Type t = needType(d);
  bool isSigned = t == Type::S32;
  if (op < 0 || (op < 3 ? t != Type::U32 && t != Type::S32 : t != Type::B32))
    d.fail("unsupported form of redux");
  static constexpr uint32_t codes[2][6] = {{0, 1, 2, 5, 6, 7}, {0, 3, 4, 5, 6, 7}};
  d.expectOperands(3, 3);
  uint32_t a = d.use(d.operand(1), t), mask = d.use(d.operand(2), Type::B32),
           dst = d.def(d.operand(0), t);
  Rec &r = d.emit(redux);
  r.o[0] = dst, r.o[1] = a, r.o[2] = mask;
  r.aux = codes[isSigned][op];
}

void electOp(Decoder &d) {
  if (!d.mods->take("sync"))
    d.fail("expects elect.sync");
  d.expectOperands(2, 2);
  if (d.operand(0).pair < 0)
    d.fail("expects a predicate: d|p");
  uint32_t mask = d.use(d.operand(1), Type::B32);
  uint32_t p = d.defPredicateIndex(d.operand(0).pair), dst = d.def(d.operand(0), Type::B32);
  Rec &r = d.emit(elect);
  r.o[0] = dst, r.o[1] = p, r.o[2] = mask;
}

void activeMaskOp(Decoder &d) {
  if (needType(d) != Type::B32)
    d.fail("expects .b32");
  d.expectOperands(1, 1);
  uint32_t dst = d.def(d.operand(0), Type::B32);
  d.emit(activeMask).o[0] = dst;
}

void expectSyncAligned(Decoder &d) {
  if (!d.mods->take("sync") || !d.mods->take("aligned"))
    d.fail("expects .sync.aligned");
}

/// ldmatrix, stmatrix: .sync.aligned.m8n8.x{1,2,4}{.trans}{.shared}.b16
void matrixMove(Decoder &d) {
  bool store = d.instr().opcode == "stmatrix";
  expectSyncAligned(d);
  if (store && d.profile.major < 9)
    d.fail("needs sm_90");
  if (!d.mods->take("m8n8"))
    d.fail("only .m8n8 is supported");
  static constexpr unsigned counts[] = {1, 2, 4};
  int count = d.mods->takeOneOf({"x1", "x2", "x4"});
  bool trans = d.mods->take("trans");
  Space space = d.mods->takeOneOf({"shared", "shared::cta"}) >= 0 ? Space::Shared : Space::Generic;
  Type t = needType(d);
  if (count < 0 || t != Type::B16)
    d.fail("expects .x1, .x2 or .x4 and .b16");
  d.expectOperands(2, 2);
  const Operand &regs = d.operand(store ? 1 : 0), &where = d.operand(store ? 0 : 1);
  std::vector<Operand> list =
      regs.kind == Operand::Vector ? regs.elems : std::vector<Operand>{regs};
  if (list.size() != counts[count])
    d.fail("expects " + std::to_string(counts[count]) + " registers");
  std::vector<uint32_t> places;
  for (const Operand &o : list)
    places.push_back(store ? d.use(o, Type::B32) : d.def(o, Type::B32));
  Rec staging;
  d.address(staging, where, space);
  Rec &r = d.emit(store ? stmatrix : ldmatrix);
  r.o[0] = staging.o[0];
  r.imm = staging.imm;
  r.aux = staging.aux | static_cast<uint32_t>(space) << memSpaceShift;
  r.aux2 = counts[count] | (trans ? 16u : 0u);
  r.counter = d.newCounter();
  d.ext(r, places);
}

void moveMatrix(Decoder &d) {
  for (const char *m : {"sync", "aligned", "m8n8", "trans"})
    if (!d.mods->take(m))
      d.fail(std::string("expects .") + m);
  if (needType(d) != Type::B16)
    d.fail("expects .b16");
  d.expectOperands(2, 2);
  uint32_t a = d.use(d.operand(1), Type::B32), dst = d.def(d.operand(0), Type::B32);
  Rec &r = d.emit(movmatrix);
  r.o[0] = dst, r.o[1] = a;
}

/// Registers of a fragment: `bits` of data per lane in 32-bit registers.
void fragment(Decoder &d, std::vector<uint32_t> &places, const Operand &o, unsigned registers,
              bool isDef, Type type) {
  std::vector<Operand> list = o.kind == Operand::Vector ? o.elems : std::vector<Operand>{o};
  if (list.size() != registers)
    d.fail("fragment needs " + std::to_string(registers) + " registers, found " +
           std::to_string(list.size()));
  for (const Operand &e : list)
    places.push_back(isDef ? d.def(e, type) : d.use(e, type));
}

void mma(Decoder &d) {
  expectSyncAligned(d);
  unsigned m = 0, n = 0, k = 0;
  std::string shape;
  d.mods->takeIf([&](const std::string &s) {
    return sscanf(s.c_str(), "m%un%uk%u", &m, &n, &k) == 3 && (shape = s, true);
  });
  if (!d.mods->take("row") || !d.mods->take("col"))
    d.fail("expects .row.col");
  bool sat = d.mods->take("satfinite");
  bool kind = d.mods->take("kind::f8f6f4");
  Type td = needType(d), ta = needType(d), tb = needType(d), tc = needType(d);
  Handler h = handlers().mma(m << 16 | n << 8 | k, ta, tb, tc, td, sat);
  if (!h)
    d.fail("unsupported shape or types of mma");
  bool fp8 = ta == Type::E4M3 || ta == Type::E5M2;
  if (fp8 && d.profile.number() < 89)
    d.fail("fp8 operands need sm_89");
  if (kind && (!fp8 || d.profile.major < 12))
    d.fail(".kind::f8f6f4 is for fp8 operands on sm_120");
  unsigned accumulators = td == Type::F16 ? 2 : 4;
  unsigned halves = k * bitsOf(ta) / 128; // an A or B register covers 128 bits of k per row
  d.expectOperands(4, 4);
  std::vector<uint32_t> places;
  fragment(d, places, d.operand(0), accumulators, true, Type::B32);
  fragment(d, places, d.operand(1), 2 * halves, false, Type::B32);
  fragment(d, places, d.operand(2), halves, false, Type::B32);
  fragment(d, places, d.operand(3), accumulators, false, Type::B32);
  Rec &r = d.emit(h);
  r.aux = m * n * k * 2;
  r.aux2 = tensorMark;
  r.imm = halves;
  d.ext(r, places);
}

} // namespace

void addWarpOpcodes(std::unordered_map<std::string, DecodeFn> &t) {
  t["bra"] = bra;
  t["call"] = call;
  t["ret"] = t["exit"] = leave;
  t["trap"] = [](Decoder &d) { d.emit(trap); };
  t["bar"] = t["barrier"] = barrier;
  t["shfl"] = shfl;
  t["vote"] = voteOp;
  t["match"] = matchOp;
  t["redux"] = reduxOp;
  t["elect"] = electOp;
  t["activemask"] = activeMaskOp;
  t["ldmatrix"] = t["stmatrix"] = matrixMove;
  t["movmatrix"] = moveMatrix;
  t["mma"] = mma;
}

} // namespace attnc::emu
