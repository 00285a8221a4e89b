// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decoding of the sm_90 instructions: mbarrier, bulk copies, wgmma, setmaxnreg, and what clusters
// of thread blocks have of their own.
#include "Cluster.h"
#include "Decode.h"
#include "Hopper.h"
#include "Launch.h"

#include <algorithm>

namespace attnc::emu {
namespace {

/// Base column and offset of an address in shared memory.
struct SharedOperand {
  uint32_t place;
  uint32_t offset;
  bool wide;
  bool generic = false;
  /// As the handlers of mbarriers want it in aux2.
  uint32_t flags() const { return uint32_t(wide) | uint32_t(generic) << 1; }
};
SharedOperand sharedOperand(Decoder &d, const Operand &o, bool generic = false) {
  Rec staging;
  d.address(staging, o, generic ? Space::Generic : Space::Shared);
  return {staging.o[0], static_cast<uint32_t>(staging.imm), (staging.aux >> 16 & 1) != 0, generic};
}

/// Ordering, scope, state space and type of an mbarrier instruction.
struct MbarrierModifiers {
  uint32_t relaxed = 0; ///< mbarRelaxed or 0
  bool generic = false, cluster = false;
};
/// `strong` is the ordering besides .relaxed that the instruction has, or null. Ordering and scope
/// come together or not at all.
MbarrierModifiers takeMbarrierModifiers(Decoder &d, const char *strong, bool mayBeRelaxed = true,
                                        bool mayBeCluster = true) {
  MbarrierModifiers m;
  bool relaxed = mayBeRelaxed && d.mods->take("relaxed"), ordered = strong && d.mods->take(strong);
  int scope = d.mods->takeOneOf({"cta", "cluster"});
  if ((relaxed || ordered) != (scope >= 0) || (scope == 1 && !mayBeCluster))
    d.fail("expects an ordering and a scope, or neither");
  int space = d.mods->takeOneOf({"shared", "shared::cta", "shared::cluster"});
  m.generic = space < 0;
  m.cluster = space == 2;
  m.relaxed = relaxed ? mbarRelaxed : 0;
  if (d.mods->takeType() != Type::B64)
    d.fail("expects .b64");
  return m;
}

void mbarrierArriveForm(Decoder &d, bool drop) {
  uint32_t aux = drop ? mbarDrop : 0;
  bool expectTx = d.mods->take("expect_tx"), noComplete = d.mods->take("noComplete");
  aux |= (expectTx ? mbarExpectTx : 0) | (noComplete ? mbarNoComplete : 0);
  MbarrierModifiers m = takeMbarrierModifiers(d, "release", !noComplete, !noComplete);
  aux |= m.relaxed;
  d.expectOperands(expectTx || noComplete ? 3 : 2, 3);
  if (noComplete && (expectTx || m.cluster))
    d.fail("unsupported form of mbarrier");
  bool hasState = d.operand(0).kind != Operand::Sink;
  if (hasState && m.cluster)
    d.fail("an arrival at .shared::cluster gives no state");
  SharedOperand where = sharedOperand(d, d.operand(1), m.generic);
  uint32_t count = 0, state = 0;
  if (d.operandCount() > 2) {
    count = d.use(d.operand(2), Type::U32);
    aux |= expectTx ? 0 : mbarCount;
  }
  if (hasState) {
    state = d.def(d.operand(0), Type::B64);
    aux |= mbarState;
  }
  Rec &r = d.emit(mbarrierArrive);
  r.o[0] = where.place, r.o[1] = count, r.o[2] = state;
  r.imm = where.offset;
  r.aux = aux;
  r.aux2 = where.flags();
}

void mbarrier(Decoder &d) {
  // .arrive.expect_tx carries two of the names; arrive must win.
  int op = d.mods->takeOneOf({"init", "inval", "arrive", "arrive_drop", "expect_tx", "complete_tx",
                              "test_wait", "try_wait", "pending_count"});
  if (op < 0)
    d.fail("unsupported form of mbarrier");
  if (op == 2 || op == 3)
    return mbarrierArriveForm(d, op == 3);
  if (op == 8) {
    if (d.mods->takeType() != Type::B64)
      d.fail("expects .b64");
    d.expectOperands(2, 2);
    uint32_t state = d.use(d.operand(1), Type::B64), dst = d.def(d.operand(0), Type::U32);
    Rec &r = d.emit(mbarrierPendingCount);
    r.o[0] = dst, r.o[1] = state;
    return;
  }
  bool wait = op >= 6, bytes = op == 4 || op == 5;
  bool parity = wait && d.mods->take("parity");
  MbarrierModifiers m = takeMbarrierModifiers(d, wait ? "acquire" : nullptr, wait || bytes);
  if (m.cluster && !bytes)
    d.fail("does not exist for .shared::cluster");
  SharedOperand where = sharedOperand(d, d.operand(wait ? 1 : 0), m.generic);
  uint32_t value = 0, p = 0;
  if (wait) {
    d.expectOperands(3, op == 7 ? 4 : 3); // try_wait may have a time limit
    value = d.use(d.operand(2), parity ? Type::U32 : Type::B64);
    if (d.operandCount() == 4)
      d.use(d.operand(3), Type::U32);
    p = d.defPredicate(d.operand(0));
  } else {
    d.expectOperands(op == 1 ? 1 : 2, op == 1 ? 1 : 2);
    if (op != 1)
      value = d.use(d.operand(1), Type::U32);
  }
  Rec &r = d.emit(op == 0   ? mbarrierInit
                  : op == 1 ? mbarrierInval
                  : wait    ? mbarrierWait
                            : mbarrierTx);
  r.o[0] = where.place, r.o[1] = value, r.o[2] = p;
  r.imm = where.offset;
  r.aux = wait ? (parity ? mbarParity : 0) | (op == 7 ? mbarTry : 0) | m.relaxed : op == 5;
  r.aux2 = where.flags();
  r.counter = d.newCounter();
}

/// The AtomicOp of a reduction plus one, as Rec::aux wants it.
uint32_t takeReduction(Decoder &d) {
  static constexpr AtomicOp list[] = {AtomicOp::Add, AtomicOp::Min, AtomicOp::Max, AtomicOp::Inc,
                                      AtomicOp::Dec, AtomicOp::And, AtomicOp::Or,  AtomicOp::Xor};
  int op = d.mods->takeOneOf({"add", "min", "max", "inc", "dec", "and", "or", "xor"});
  if (op < 0)
    d.fail("expects a reduction operation");
  return static_cast<uint32_t>(list[op]) + 1;
}

/// State spaces and completion of a bulk copy.
struct BulkDirection {
  unsigned kind; ///< bulkLoad, bulkStore or bulkPeer
  bool own;      ///< the destination is .shared::cta, this block and no other
};
BulkDirection takeBulkDirection(Decoder &d) {
  d.mods->takeIf([](const std::string &m) { return m == "tile"; });
  if (d.mods->takeIf([](const std::string &m) {
        return m.compare(0, 6, "im2col") == 0 || m.compare(0, 4, "tile") == 0;
      }))
    d.fail("only tiled tensor copies are supported, not im2col or tile::gather4/scatter4");
  // The destination is written before the source.
  std::vector<std::string> spaces;
  for (const std::string &m : d.instr().mods)
    if (m == "global" || m == "shared::cta" || m == "shared::cluster") {
      spaces.push_back(m);
      d.mods->take(m);
    }
  bool toBarrier = d.mods->take("mbarrier::complete_tx::bytes"),
       toGroup = d.mods->take("bulk_group");
  if (spaces.size() == 2 && toBarrier != toGroup) {
    const std::string &to = spaces[0], &from = spaces[1];
    if (toGroup && to == "global" && from == "shared::cta")
      return {bulkStore, false};
    if (toBarrier && to != "global" && from == "global")
      return {bulkLoad, to == "shared::cta"};
    if (toBarrier && to == "shared::cluster" && from == "shared::cta")
      return {bulkPeer, false};
  }
  d.fail("unsupported direction of a bulk copy");
}

/// Optional last operands: multicast mask, then cache policy. `at` is the first of them. Returns
/// the place of the mask.
uint32_t trailingOperands(Decoder &d, size_t at, bool multicast, bool hinted) {
  size_t n = at + multicast + hinted;
  d.expectOperands(n, n);
  uint32_t mask = multicast ? d.use(d.operand(at), Type::U16) : 0;
  if (hinted)
    d.use(d.operand(n - 1), Type::B64);
  return mask;
}

bool hasCacheHint(Decoder &d) {
  return d.mods->takeIf([](const std::string &m) { return m == "L2::cache_hint"; });
}

void tensorForm(Decoder &d, uint32_t reduction) {
  int rank = d.mods->takeOneOf({"1d", "2d", "3d", "4d", "5d"});
  if (rank < 0)
    d.fail("expects .1d to .5d");
  bool hinted = hasCacheHint(d), multicast = d.mods->take("multicast::cluster");
  auto [kind, own] = takeBulkDirection(d);
  if (kind == bulkPeer || (multicast && (kind != bulkLoad || own)) ||
      (reduction && kind != bulkStore))
    d.fail("unsupported form of tensor copy");
  size_t fixed = kind == bulkLoad ? 3 : 2;
  uint32_t mask = trailingOperands(d, fixed, multicast, hinted);
  const Operand &map = d.operand(kind == bulkLoad ? 1 : 0);
  if (map.kind != Operand::Address || map.elems.size() != 2 || map.elems[1].kind != Operand::Vector)
    d.fail("expects [tensorMap, {coordinates}]");
  if (map.elems[1].elems.size() != size_t(rank) + 1)
    d.fail("expects " + std::to_string(rank + 1) + " coordinates, found " +
           std::to_string(map.elems[1].elems.size()));
  Operand base = map;
  base.elems.resize(1);
  Rec staging;
  d.address(staging, base, Space::Generic);
  SharedOperand shared = sharedOperand(d, d.operand(kind == bulkLoad ? 0 : 1));
  SharedOperand bar{};
  if (kind == bulkLoad)
    bar = sharedOperand(d, d.operand(2));
  std::vector<uint32_t> places = {staging.o[0], shared.place, bar.place, mask};
  for (const Operand &c : map.elems[1].elems)
    places.push_back(d.use(c, Type::S32));
  d.out.copiesCompleteOnMbarriers |= kind == bulkLoad;
  Rec &r = d.emit(tensorCopy);
  r.counter = d.newCounter();
  r.imm = staging.imm;
  r.aux = kind | reduction << 2 | uint32_t(shared.wide) << 8 | uint32_t(bar.wide) << 10 |
          uint32_t(multicast) << 11 | uint32_t(own) << 12;
  r.o[5] = shared.offset, r.o[6] = bar.offset, r.o[7] = static_cast<uint32_t>(rank) + 1;
  d.ext(r, places);
}

/// Whether a reduction of a type exists: to global memory by bulk copies, to shared memory by bulk
/// copies, and of registers.
enum class Reducer { Global, Shared, Register };
bool reductionExists(AtomicOp op, Type t, Reducer where) {
  bool toGlobal = where == Reducer::Global;
  switch (op) {
  case AtomicOp::Add:
    return t == Type::U32 || t == Type::S32 || t == Type::U64 ||
           (where == Reducer::Register && t == Type::S64) ||
           (toGlobal && (t == Type::F16 || t == Type::BF16 || t == Type::F32 || t == Type::F64));
  case AtomicOp::Min:
  case AtomicOp::Max:
    return t == Type::U32 || t == Type::S32 ||
           (toGlobal && (t == Type::U64 || t == Type::S64 || t == Type::F16 || t == Type::BF16));
  case AtomicOp::Inc:
  case AtomicOp::Dec:
    return t == Type::U32;
  default:
    return t == Type::B32 || (toGlobal && t == Type::B64);
  }
}

void bulkForm(Decoder &d, uint32_t reduction) {
  bool hinted = hasCacheHint(d), multicast = d.mods->take("multicast::cluster"),
       noFlush = d.mods->take("noftz");
  auto [kind, own] = takeBulkDirection(d);
  Type type = reduction ? needType(d) : Type::None;
  AtomicOp op = static_cast<AtomicOp>(reduction - 1);
  bool halfSum = reduction && op == AtomicOp::Add && (type == Type::F16 || type == Type::BF16);
  if (reduction &&
      (kind == bulkLoad ||
       !reductionExists(op, type, kind == bulkStore ? Reducer::Global : Reducer::Shared)))
    d.fail("unsupported type of a bulk reduction");
  if (noFlush != halfSum)
    d.fail(halfSum ? "sums of half precision need .noftz" : "has no .noftz");
  if ((multicast && (kind != bulkLoad || reduction || own)) || (hinted && kind == bulkPeer))
    d.fail("unsupported form of bulk copy");
  uint32_t mask = trailingOperands(d, kind == bulkStore ? 3 : 4, multicast, hinted);
  Rec to, from;
  d.address(to, d.operand(0), kind == bulkStore ? Space::Global : Space::Shared);
  d.address(from, d.operand(1), kind == bulkLoad ? Space::Global : Space::Shared);
  uint32_t size = d.use(d.operand(2), Type::U32);
  SharedOperand bar{};
  if (kind != bulkStore)
    bar = sharedOperand(d, d.operand(3));
  d.out.copiesCompleteOnMbarriers |= kind != bulkStore;
  Rec &r = d.emit(bulkCopy);
  r.counter = d.newCounter();
  r.o[4] = bar.offset;
  r.imm = static_cast<uint32_t>(to.imm) | from.imm << 32;
  r.aux = kind | reduction << 2 | (to.aux >> 16 & 1) << 8 | (from.aux >> 16 & 1) << 9 |
          uint32_t(bar.wide) << 10 | uint32_t(multicast) << 11 | uint32_t(own) << 12;
  r.aux2 = static_cast<uint32_t>(type);
  d.ext(r, {to.o[0], from.o[0], size, bar.place, mask});
}

/// fence, commit_group and wait_group; false if it is none of them.
bool wgmmaGroup(Decoder &d) {
  if (d.mods->take("fence")) {
    d.expectOperands(0, 0);
    d.flowInstr().role = FlowInstr::WgmmaFence;
    d.emit(wgmmaFence);
    return true;
  }
  if (d.mods->take("commit_group")) {
    d.expectOperands(0, 0);
    d.flowInstr().role = FlowInstr::WgmmaCommit;
    d.emit(wgmmaCommit);
    return true;
  }
  if (d.mods->take("wait_group")) {
    d.expectOperands(1, 1);
    if (d.operand(0).kind != Operand::Imm)
      d.fail("expects a constant number of groups");
    d.flowInstr().role = FlowInstr::WgmmaWait;
    d.flowInstr().pendingGroups = static_cast<uint64_t>(d.operand(0).imm);
    d.emit(wgmmaWait).imm = static_cast<uint64_t>(d.operand(0).imm);
    return true;
  }
  return false;
}

/// Whether there is a product of m64, n and k with these types of the result and the operands.
bool isWgmma(unsigned n, unsigned k, Type td, Type ta, Type tb) {
  auto is8 = [](Type t) { return t == Type::E4M3 || t == Type::E5M2; };
  auto isInt = [](Type t) { return t == Type::S8 || t == Type::U8; };
  bool integer = td == Type::S32;
  if (n < 8 || n > 256 || n % (integer && n > 32 ? 16 : 8) != 0 || k * bitsOf(ta) != 256)
    return false;
  if (integer)
    return isInt(ta) && isInt(tb);
  if (td != Type::F32 && td != Type::F16)
    return false;
  bool isWide = td == Type::F32 && (ta == Type::BF16 || ta == Type::TF32);
  return (is8(ta) && is8(tb)) || (ta == tb && (ta == Type::F16 || isWide));
}

void wgmmaProduct(Decoder &d) {
  unsigned n = 0, k = 0;
  d.mods->takeIf([&](const std::string &s) { return sscanf(s.c_str(), "m64n%uk%u", &n, &k) == 2; });
  bool sat = d.mods->take("satfinite");
  Type td = needType(d), ta = needType(d), tb = needType(d);
  bool integer = td == Type::S32;
  if (!isWgmma(n, k, td, ta, tb) || (sat && !integer))
    d.fail("unsupported shape or types of wgmma");
  bool fragmentA = d.operand(1).kind == Operand::Vector;
  unsigned transposes = bitsOf(ta) == 16 ? (fragmentA ? 1 : 2) : 0, scales = integer ? 0 : 2;
  d.expectOperands(4, 4 + scales + transposes);
  const auto &acc = d.operand(0).elems;
  if (acc.size() != (td == Type::F16 ? n / 4 : n / 2))
    d.fail("fragment needs " + std::to_string(td == Type::F16 ? n / 4 : n / 2) +
           " registers, found " + std::to_string(acc.size()));
  std::vector<uint32_t> places;
  std::vector<int32_t> &inFlight = d.flowInstr().inFlight;
  inFlight.clear();
  auto flies = [&](const Operand &o) {
    if (o.kind == Operand::Reg)
      inFlight.push_back(o.reg);
  };
  for (const Operand &o : acc) {
    flies(o);
    d.use(o, Type::B32);
    places.push_back(d.def(o, Type::B32));
  }
  d.flowInstr().accumulators = static_cast<uint32_t>(inFlight.size());
  d.flowInstr().shape = n | k << 16;
  if (fragmentA && d.operand(1).elems.size() != 4)
    d.fail("the A fragment needs 4 registers");
  if (fragmentA)
    for (const Operand &o : d.operand(1).elems) {
      flies(o);
      places.push_back(d.use(o, Type::B32));
    }
  else
    places.push_back(d.use(d.operand(1), Type::B64));
  places.push_back(d.use(d.operand(2), Type::B64));
  bool negated = false;
  uint32_t scaleD = d.usePredicate(d.operand(3), negated);
  auto constant = [&](size_t i, int64_t otherwise) {
    if (d.operandCount() <= i)
      return otherwise;
    if (d.operand(i).kind != Operand::Imm)
      d.fail("expects a constant");
    return d.operand(i).imm;
  };
  bool negateA = scales && constant(4, 1) < 0, negateB = scales && constant(5, 1) < 0;
  bool transA = transposes == 2 && constant(6, 0),
       transB = transposes && constant(fragmentA ? 6 : 7, 0);
  Rec &r = d.emit(wgmmaMma);
  r.o[0] = scaleD;
  r.o[1] = negated;
  r.o[2] = n;
  r.o[3] = k;
  r.o[4] =
      static_cast<uint32_t>(td) | static_cast<uint32_t>(ta) << 8 | static_cast<uint32_t>(tb) << 16;
  r.o[5] = uint32_t(fragmentA) | uint32_t(negateA) << 1 | uint32_t(negateB) << 2 |
           uint32_t(transA) << 3 | uint32_t(transB) << 4 | uint32_t(sat) << 5;
  r.o[6] = static_cast<uint32_t>(acc.size());
  r.aux = 64 * n * k * 2 / 4; // FLOPs per warp; four warps share the instruction
  r.aux2 = tensorMark;
  std::vector<uint32_t> sorted(places.begin(), places.begin() + static_cast<long>(acc.size()));
  std::sort(sorted.begin(), sorted.end());
  places.insert(places.end(), sorted.begin(), sorted.end());
  r.o[7] = static_cast<uint32_t>(places.size() - acc.size());
  d.ext(r, places);
}

void wgmma(Decoder &d) {
  if (!d.mods->take("sync") || !d.mods->take("aligned"))
    d.fail("expects .sync.aligned");
  if (wgmmaGroup(d))
    return;
  if (!d.mods->take("mma_async"))
    d.fail("unsupported form of wgmma");
  wgmmaProduct(d);
}

void setMaxNReg(Decoder &d) {
  bool inc = d.mods->take("inc");
  if (!inc && !d.mods->take("dec"))
    d.fail("expects .inc or .dec");
  if (!d.mods->take("sync") || !d.mods->take("aligned"))
    d.fail("expects .sync.aligned");
  if (needType(d) != Type::U32)
    d.fail("expects .u32");
  d.expectOperands(1, 1);
  int64_t n = d.operand(0).imm;
  if (d.operand(0).kind != Operand::Imm || n < 24 || n > 256 || n % 8)
    d.fail("register count must be a constant multiple of 8 from 24 to 256");
  Rec &r = d.emit(setMaxRegisters);
  r.imm = static_cast<uint64_t>(n);
  r.aux = inc;
}

/// mapa and getctarank.
void clusterAddress(Decoder &d) {
  bool map = d.instr().opcode == "mapa", shared = d.mods->take("shared::cluster");
  Type t = needType(d);
  if (t != Type::U32 && t != Type::U64)
    d.fail("expects .u32 or .u64");
  if (!shared && t == Type::U32)
    d.fail("generic addresses need 64 bits");
  d.expectOperands(map ? 3 : 2, map ? 3 : 2);
  uint32_t a = d.use(d.operand(1), t), rank = map ? d.use(d.operand(2), Type::U32) : 0;
  uint32_t dst = d.def(d.operand(0), map ? t : Type::U32);
  Rec &r = d.emit(map ? mapAddress : rankOfAddress);
  r.o[0] = dst, r.o[1] = a, r.o[2] = rank;
  r.aux = t == Type::U64;
  r.aux2 = shared;
}

} // namespace

/// The forms of cp that begin cp.async.bulk, cp.reduce.async.bulk and cp.async.mbarrier.
bool decodeBulk(Decoder &d) {
  if (d.mods->take("mbarrier")) {
    if (!d.mods->take("arrive"))
      d.fail("expects cp.async.mbarrier.arrive");
    bool noinc = d.mods->take("noinc");
    bool generic = d.mods->takeOneOf({"shared", "shared::cta"}) < 0;
    if (d.mods->takeType() != Type::B64)
      d.fail("expects .b64");
    d.expectOperands(1, 1);
    SharedOperand where = sharedOperand(d, d.operand(0), generic);
    Rec &r = d.emit(cpAsyncMbarrierArrive);
    r.o[0] = where.place;
    r.imm = where.offset;
    r.aux = noinc;
    r.aux2 = where.wide;
    return true;
  }
  if (!d.mods->take("bulk"))
    return false;
  uint32_t reduction = d.mods->take("reduce") ? takeReduction(d) : 0;
  if (d.mods->take("commit_group")) {
    d.expectOperands(0, 0);
    d.emit(bulkCommit);
    return true;
  }
  if (d.mods->take("wait_group")) {
    bool read = d.mods->take("read");
    d.expectOperands(1, 1);
    if (d.operand(0).kind != Operand::Imm)
      d.fail("expects a constant number of groups");
    Rec &r = d.emit(bulkWait);
    r.imm = static_cast<uint64_t>(d.operand(0).imm);
    r.aux = read;
    return true;
  }
  if (d.mods->take("prefetch")) {
    bool tensor = d.mods->take("tensor");
    if (tensor) {
      d.mods->take("tile");
      if (d.mods->takeOneOf({"1d", "2d", "3d", "4d", "5d"}) < 0)
        d.fail("expects .1d to .5d");
    }
    size_t n = (tensor ? 1 : 2) + size_t(hasCacheHint(d));
    if (!d.mods->take("L2") || !d.mods->take("global"))
      d.fail("expects .L2.global");
    d.expectOperands(n, n);
    d.emit(nothing);
    return true;
  }
  d.mods->take("tensor") ? tensorForm(d, reduction) : bulkForm(d, reduction);
  return true;
}

/// fence.proxy.* and fence.mbarrier_init; false when the instruction is an ordinary fence.
bool decodeProxyFence(Decoder &d) {
  if (d.mods->take("mbarrier_init")) {
    if (!d.mods->take("release") || !d.mods->take("cluster"))
      d.fail("expects .release.cluster");
    d.expectOperands(0, 0);
    d.emit(mbarrierInitFence);
    return true;
  }
  if (!d.mods->take("proxy"))
    return false;
  int kind = d.mods->takeOneOf({"async", "alias", "tensormap::generic"});
  if (kind < 0 || (kind != 1 && d.instr().opcode == "membar"))
    d.fail("unsupported proxy");
  if (kind == 2) {
    decodeTensorMapFence(d);
    return true;
  }
  int space = kind == 0 ? d.mods->takeOneOf({"shared::cta", "shared::cluster", "global"}) : -1;
  d.expectOperands(0, 0);
  Rec &rec = d.emit(kind == 0 ? proxyFence : nothing);
  rec.aux = space < 0 ? proxyShared | proxyGlobal : space == 2 ? proxyGlobal : proxyShared;
  return true;
}

/// barrier.cluster.{arrive,wait}
void decodeClusterBarrier(Decoder &d) {
  bool arrive = d.mods->take("arrive");
  if (!arrive && !d.mods->take("wait"))
    d.fail("expects .arrive or .wait");
  int order = d.mods->takeOneOf({"relaxed", "release", "acquire"});
  if (order >= 0 && (order == 2) == arrive)
    d.fail(arrive ? "expects .release or .relaxed" : "expects .acquire");
  bool aligned = d.mods->take("aligned");
  d.expectOperands(0, 0);
  d.emit(arrive ? clusterArrive : clusterWait).aux = uint32_t(aligned) | (order == 0 ? 2 : 0);
}

/// st.async and red.async, recognised by their .async; false when it is another instruction.
bool decodeStoreAsync(Decoder &d) {
  if (!d.mods->take("async"))
    return false;
  bool reduction = d.instr().opcode == "red";
  if (reduction && (!d.mods->take("relaxed") || !d.mods->take("cluster")))
    d.fail("expects .relaxed.cluster");
  if (!reduction)
    d.mods->take("weak");
  int space = reduction ? d.mods->takeOneOf({"shared::cluster"})
                        : d.mods->takeOneOf({"shared::cluster", "shared::cta", "shared"});
  if (!d.mods->take("mbarrier::complete_tx::bytes"))
    d.fail("expects .mbarrier::complete_tx::bytes");
  uint32_t op = reduction ? takeReduction(d) : 0;
  int vector = reduction ? -1 : d.mods->takeOneOf({"v2", "v4"});
  unsigned count = vector < 0 ? 1 : vector ? 4 : 2;
  Type type = needType(d);
  unsigned bytes = bitsOf(type) / 8;
  if ((bytes != 4 && bytes != 8) || type == Type::F16x2 || type == Type::BF16x2)
    d.fail("expects a type of 32 or 64 bits");
  if (count * bytes > 16)
    d.fail("accesses wider than 16 bytes do not exist");
  if (reduction && !reductionExists(static_cast<AtomicOp>(op - 1), type, Reducer::Register))
    d.fail("unsupported type of red.async");
  d.expectOperands(3, 3);
  Rec to, bar;
  Space addressed = space < 0 ? Space::Generic : Space::Shared;
  d.address(to, d.operand(0), addressed);
  d.address(bar, d.operand(2), addressed);
  std::vector<uint32_t> places = {to.o[0], bar.o[0]};
  const Operand &data = d.operand(1);
  if ((data.kind == Operand::Vector) != (count > 1) || (count > 1 && data.elems.size() != count))
    d.fail("expects " + std::to_string(count) + " values");
  for (unsigned i = 0; i < count; ++i)
    places.push_back(d.use(count > 1 ? data.elems[i] : data, type));
  d.out.copiesCompleteOnMbarriers = true;
  Rec &r = d.emit(storeAsync);
  r.imm = static_cast<uint32_t>(to.imm) | bar.imm << 32;
  r.aux = bytes | count << 8 | (to.aux & 1u << 16) | (bar.aux & 1u << 16) << 1 |
          uint32_t(space < 0) << 18 | uint32_t(space > 0) << 19;
  r.aux2 = op | static_cast<uint32_t>(type) << 8;
  if (!reduction)
    r.aux2 = 0;
  d.ext(r, places);
  return true;
}

void addHopperOpcodes(std::unordered_map<std::string, DecodeFn> &t) {
  t["mbarrier"] = mbarrier;
  t["tensormap"] = decodeTensorMap;
  t["wgmma"] = wgmma;
  t["setmaxnreg"] = setMaxNReg;
  t["mapa"] = t["getctarank"] = clusterAddress;
  t["griddepcontrol"] = [](Decoder &d) {
    if (d.mods->takeOneOf({"wait", "launch_dependents"}) < 0)
      d.fail("expects .wait or .launch_dependents");
    d.expectOperands(0, 0);
    d.emit(nothing); // grids run one after another
  };
}

} // namespace attnc::emu
