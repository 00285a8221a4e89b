// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decoding of loads, stores, atomics, non-bulk asynchronous copies, fences and the hints that do
// nothing here. Cache operators are hints; `.volatile`, `.relaxed`, `.acquire` and `.release` mark
// an access as synchronizing, which exempts it from the race detector.
#include "AccessHistory.h"
#include "AsyncOps.h"
#include "Decode.h"
#include "Forms.h"

#include <cstring>
#include <map>

namespace attnc::emu {
namespace {

/// The state space among the modifiers; Generic when there is none.
Space takeSpace(Decoder &d) {
  static constexpr Space list[] = {Space::Global,        Space::Shared, Space::Shared,
                                   Space::SharedCluster, Space::Local,  Space::Param,
                                   Space::Param,         Space::Param,  Space::Const};
  int i = d.mods->takeOneOf({"global", "shared", "shared::cta", "shared::cluster", "local", "param",
                             "param::entry", "param::func", "const"});
  return i < 0 ? Space::Generic : list[i];
}

/// Ordering semantics and scope.
struct Ordering {
  bool strong = false, plain = false; ///< plain: none, or .weak
  uint32_t bits = 0;                  ///< memAcquire, memRelease, memCtaScope
};
/// Of atom and red, where both may be left out.
Ordering takeOrdering(Decoder &d) {
  int order = d.mods->takeOneOf({"relaxed", "acquire", "release", "acq_rel"});
  Ordering o;
  o.strong = order >= 0;
  o.bits = order == 1   ? memAcquire
           : order == 2 ? memRelease
           : order == 3 ? memAcquire | memRelease
                        : 0;
  if (d.mods->takeOneOf({"cta", "cluster", "gpu", "sys"}) == 0)
    o.bits |= memCtaScope;
  return o;
}

/// Of ld and st: orderings other than .weak and .volatile have a scope, and no place but global and
/// shared memory has any.
Ordering takeAccessOrdering(Decoder &d, bool store, Space space) {
  Ordering o;
  bool mmio = d.mods->take("mmio"), isVolatile = !mmio && d.mods->take("volatile");
  bool relaxed = !isVolatile && d.mods->take("relaxed"),
       fenced = !isVolatile && !relaxed && d.mods->take(store ? "release" : "acquire");
  o.strong = isVolatile || relaxed || fenced;
  if (!o.strong)
    d.mods->take("weak");
  o.plain = !o.strong;
  o.bits = !fenced ? 0 : store ? memRelease : memAcquire;
  int scope = d.mods->takeOneOf({"cta", "cluster", "gpu", "sys"});
  if ((scope >= 0) != (relaxed || fenced))
    d.fail("an ordering needs a scope, and a scope an ordering");
  if (scope == 0)
    o.bits |= memCtaScope;
  bool global = space == Space::Global || space == Space::Generic;
  if (mmio && (!relaxed || scope != 3 || !global))
    d.fail(".mmio accesses are .relaxed.sys and global");
  if (o.strong && !global && space != Space::Shared && space != Space::SharedCluster)
    d.fail("orderings exist in global and shared memory only");
  return o;
}

/// Cache operators and hints, of which nothing comes but errors. Returns whether a cache policy
/// follows the operands.
bool takeAccessHints(Decoder &d, bool store, Space space, const Ordering &order, bool nonCoherent,
                     bool wide) {
  static constexpr std::initializer_list<const char *> loads = {"ca", "cg", "cs", "lu", "cv"},
                                                       stores = {"wb", "cg", "cs", "wt"};
  int op = d.mods->takeOneOf(store ? stores : loads);
  bool isVolatile = order.strong && !order.bits;
  for (const std::string &m : d.instr().mods)
    isVolatile = isVolatile && m != "relaxed";
  int first = d.mods->takeOneOf({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first",
                                 "L1::evict_last", "L1::no_allocate"});
  int second = d.mods->takeOneOf({"L2::evict_normal", "L2::evict_first", "L2::evict_last"});
  bool policy = d.mods->take("L2::cache_hint");
  int prefetch = store ? -1 : d.mods->takeOneOf({"L2::64B", "L2::128B", "L2::256B"});
  if (op >= 0 && (!order.plain || first >= 0 || second >= 0 || (nonCoherent && op > 2)))
    d.fail("cache operators do not go with other orderings or hints");
  if ((first >= 0 || second >= 0 || policy || prefetch >= 0) && space != Space::Global &&
      space != Space::Generic)
    d.fail("hints are for global memory");
  if (isVolatile && (first >= 0 || policy))
    d.fail("volatile accesses have no hints");
  if (second >= 0 && !wide)
    d.fail(".L2::evict_* are for accesses of 32 bytes");
  return policy;
}

unsigned takeVector(Decoder &d) {
  static constexpr unsigned list[] = {2, 4, 8};
  int i = d.mods->takeOneOf({"v2", "v4", "v8"});
  return i < 0 ? 1 : list[i];
}

std::vector<Operand> elements(Decoder &d, const Operand &o, unsigned count) {
  if (count == 1 && o.kind != Operand::Vector)
    return {o};
  if (o.kind != Operand::Vector || o.elems.size() != count)
    d.fail("expects a vector of " + std::to_string(count) + " registers");
  return o.elems;
}

bool isSignedType(Type t) {
  return t == Type::S8 || t == Type::S16 || t == Type::S32 || t == Type::S64;
}

void loadStore(Decoder &d, bool store) {
  Space space = takeSpace(d);
  bool nonCoherent = !store && d.mods->take("nc");
  Ordering order = takeAccessOrdering(d, store, space);
  unsigned count = takeVector(d);
  Type type = needType(d);
  bool quad = type == Type::B128; // moves as two halves
  unsigned bytes = quad ? 8 : bitsOf(type) / 8;
  if (bytes == 0 || bytes > 8 || type == Type::F16 || type == Type::BF16 || type == Type::F16x2 ||
      type == Type::BF16x2 || type == Type::TF32)
    d.fail("unsupported access type ." + std::string(nameOf(type)));
  if (nonCoherent && (space != Space::Global || order.strong))
    d.fail(".nc is for plain loads of global memory");
  bool wide = count * bytes * (quad ? 2 : 1) > 16;
  if (wide && (space != Space::Global || d.profile.major < 10 || quad || count * bytes > 32))
    d.fail("accesses wider than 16 bytes are for global memory on sm_100 and later");
  if (count == 8 && bytes != 4)
    d.fail("vectors of eight are of 32-bit elements");
  bool policy = takeAccessHints(d, store, space, order, nonCoherent, wide);
  d.expectOperands(policy ? 3 : 2, policy ? 3 : 2);
  const Operand &data = d.operand(store ? 1 : 0), &where = d.operand(store ? 0 : 1);
  if (d.operandCount() == 3)
    d.use(d.operand(2), Type::B64);
  unsigned regBytes = 4;
  std::vector<uint32_t> places;
  for (const Operand &o : elements(d, data, count)) {
    unsigned one = 4;
    places.push_back(store ? d.useWide(o, type, one) : d.defWide(o, type, one));
    if (quad && o.kind != Operand::Reg)
      d.fail("expects a 128-bit register");
    if (quad)
      places.push_back(places.back() + quadHalf), one = 8;
    if (o.kind != Operand::Sink)
      regBytes = one;
  }
  if (quad)
    count *= 2;
  if (space == Space::Param && d.isCallParameter(where))
    space = Space::Local;
  Rec staging;
  d.address(staging, where, space);
  Rec &r = d.emit(store ? storeOp : loadOp);
  r.o[0] = staging.o[0];
  r.imm = staging.imm;
  r.aux = staging.aux | bytes | count << memCountShift |
          (isSignedType(type) && !store ? memSigned : 0) | (nonCoherent ? memNonCoherent : 0) |
          (order.strong ? memSync : 0) | static_cast<uint32_t>(space) << memSpaceShift |
          regBytes << memRegShift;
  r.aux2 = order.bits;
  r.counter = d.newCounter();
  d.ext(r, places);
}

/// atom.exch and atom.cas of 128 bits. ext: b, c, d, each as two halves (c only for .cas); aux2 bit
/// 0: compare and swap.
const Rec *atomic128(Warp &w, const Rec *r) {
  Access a;
  gatherAddresses(w, r, a);
  a.mode = Mode::Atomic;
  a.bytes = 16;
  a.space = static_cast<Space>((r->aux >> memSpaceShift) & 0xf);
  a.synchronizing = true;
  if (!resolve(w, r, a))
    return nullptr;
  bool cas = r->aux2 & 1;
  auto half = [&](unsigned i, int l) { return place<uint64_t>(w, r->ext[i])[l]; };
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t old[2], b[2] = {half(0, l), half(1, l)}, c[2] = {half(2, l), half(3, l)};
    memcpy(old, a.host[l], 16);
    if (!cas)
      memcpy(a.host[l], b, 16);
    else if (old[0] == b[0] && old[1] == b[1])
      memcpy(a.host[l], c, 16);
    place<uint64_t>(w, r->ext[4])[l] = old[0];
    place<uint64_t>(w, r->ext[5])[l] = old[1];
  }
  return r + 1;
}

void decodeAtomic128(Decoder &d, AtomicOp op, Space space, uint32_t ordering, bool policy) {
  bool cas = op == AtomicOp::Cas;
  size_t operands = (cas ? 4 : 3) + size_t(policy);
  if (d.profile.major < 9)
    d.fail("128-bit atomics need sm_90");
  d.expectOperands(operands, operands);
  if (policy)
    d.use(d.operand(operands - 1), Type::B64);
  uint32_t b = d.use(d.operand(2), Type::B128), c = cas ? d.use(d.operand(3), Type::B128) : b,
           dst = d.def(d.operand(0), Type::B128);
  Rec staging;
  d.address(staging, d.operand(1), space);
  Rec &r = d.emit(atomic128);
  r.o[0] = staging.o[0];
  r.imm = staging.imm;
  r.aux = staging.aux | static_cast<uint32_t>(space) << memSpaceShift;
  r.aux2 = cas | ordering;
  r.counter = d.newCounter();
  d.ext(r, {b, b + quadHalf, c, c + quadHalf, dst, dst + quadHalf});
}

void atomic(Decoder &d) {
  bool reduction = d.instr().opcode == "red";
  Space space = takeSpace(d);
  if (space != Space::Generic && space != Space::Global && space != Space::Shared &&
      space != Space::SharedCluster)
    d.fail("exists in global and shared memory only");
  for (const std::string &m : d.instr().mods)
    if (m == "weak" || m == "volatile" || m == "mmio" ||
        (reduction && (m == "acquire" || m == "acq_rel")))
      d.fail("cannot be ." + m);
  Ordering order = takeOrdering(d);
  bool noFlush = d.mods->take("noftz");
  unsigned count = takeVector(d);
  bool policy = d.mods->take("L2::cache_hint");
  if (policy && space != Space::Global && space != Space::Generic)
    d.fail("hints are for global memory");
  static constexpr AtomicOp list[] = {AtomicOp::Add, AtomicOp::Min, AtomicOp::Max,  AtomicOp::And,
                                      AtomicOp::Or,  AtomicOp::Xor, AtomicOp::Exch, AtomicOp::Cas,
                                      AtomicOp::Inc, AtomicOp::Dec};
  static constexpr std::initializer_list<const char *> names = {"add", "min",  "max", "and", "or",
                                                                "xor", "exch", "cas", "inc", "dec"};
  int op = d.mods->takeOneOf(names);
  if (op < 0)
    d.fail("expects an atomic operation");
  Type type = needType(d);
  std::string form = d.instr().opcode + "." + names.begin()[op] + (noFlush ? ".noftz" : "") +
                     (count > 1 ? ".v" + std::to_string(count) : "") + "." +
                     std::string(nameOf(type));
  if (!isAtomicForm(form))
    d.fail(form + " does not exist");
  if (count > 1 && space != Space::Global && space != Space::Generic)
    d.fail("vectors exist in global memory only");
  if ((count > 1 || type == Type::BF16 || type == Type::BF16x2) && d.profile.major < 9)
    d.fail(form + " needs sm_90");
  if (type == Type::B128)
    return decodeAtomic128(d, list[op], space, order.bits, policy);
  bool cas = list[op] == AtomicOp::Cas;
  unsigned first = reduction ? 0 : 1, operands = first + 2 + (cas ? 1 : 0) + (policy ? 1 : 0);
  d.expectOperands(operands, operands);
  if (policy)
    d.use(d.operand(operands - 1), Type::B64);
  std::vector<uint32_t> places;
  for (const Operand &o : elements(d, d.operand(first + 1), count))
    places.push_back(d.use(o, type));
  places.push_back(cas ? d.use(d.operand(first + 2), type) : d.scratchColumn());
  if (!reduction)
    for (const Operand &o : elements(d, d.operand(0), count))
      places.push_back(d.def(o, type));
  Rec staging;
  d.address(staging, d.operand(first), space);
  Rec &r = d.emit(atomicOp);
  unsigned bytes = bitsOf(type) / 8;
  r.o[0] = staging.o[0];
  r.imm = staging.imm;
  r.aux = staging.aux | bytes | count << memCountShift | memSync |
          static_cast<uint32_t>(space) << memSpaceShift | (bytes == 8 ? 8u : 4u) << memRegShift;
  r.aux2 = static_cast<uint32_t>(list[op]) | static_cast<uint32_t>(type) << 8 |
           (reduction ? 0 : 1u << 16) | order.bits;
  r.counter = d.newCounter();
  d.ext(r, places);
}

void copyAsync(Decoder &d) {
  if (d.mods->take("commit_group")) {
    d.expectOperands(0, 0);
    d.emit(cpAsyncCommit);
    return;
  }
  if (d.mods->take("wait_all")) {
    d.expectOperands(0, 0);
    d.emit(cpAsyncWait).aux = 1;
    return;
  }
  if (d.mods->take("wait_group")) {
    d.expectOperands(1, 1);
    if (d.operand(0).kind != Operand::Imm)
      d.fail("expects a constant number of groups");
    d.emit(cpAsyncWait).imm = static_cast<uint64_t>(d.operand(0).imm);
    return;
  }
  bool bypass = d.mods->take("cg");
  if (!bypass && !d.mods->take("ca"))
    d.fail("unsupported form of cp.async");
  for (const std::string &m : d.instr().mods) // the destination is written before the source
    if (m == "global" || m == "shared" || m == "shared::cta") {
      if (m == "global")
        d.fail("expects .shared.global");
      d.mods->take(m);
      break;
    }
  if (!d.mods->take("global"))
    d.fail("expects .shared.global");
  bool policy = d.mods->take("L2::cache_hint");
  d.mods->takeOneOf({"L2::64B", "L2::128B", "L2::256B"});
  d.expectOperands(3 + size_t(policy), 4 + size_t(policy));
  if (policy)
    d.use(d.operand(d.operandCount() - 1), Type::B64);
  const Operand &size = d.operand(2);
  if (size.kind != Operand::Imm || (size.imm != 16 && (bypass || (size.imm != 4 && size.imm != 8))))
    d.fail(bypass ? "cp.async.cg copies 16 bytes" : "cp.async copies 4, 8 or 16 bytes");
  uint32_t extra = 0, kind = 0;
  if (d.operandCount() - policy == 4) {
    const Operand &o = d.operand(3);
    if (d.registerType(o) == Type::Pred) {
      bool negated;
      extra = d.usePredicate(o, negated);
      kind = 2 | (negated ? 4 : 0);
    } else {
      extra = d.use(o, Type::U32);
      kind = 1;
    }
  }
  Rec to, from;
  d.address(to, d.operand(0), Space::Shared);
  d.address(from, d.operand(1), Space::Global);
  Rec &r = d.emit(cpAsync);
  r.o[0] = to.o[0];
  r.o[1] = from.o[0];
  r.o[2] = extra;
  r.imm = static_cast<uint32_t>(to.imm) | (from.imm & 0xffffffffu) << 32;
  r.aux = to.aux | static_cast<uint32_t>(size.imm);
  r.aux2 = kind;
  r.counter = d.newCounter();
}

void cp(Decoder &d) {
  if (!d.mods->take("async"))
    d.fail("unsupported form of cp");
  if (decodeBulk(d))
    return;
  copyAsync(d);
}

/// Fences change nothing about values, which are sequentially consistent here; they are events for
/// the race detector.
void fence(Decoder &d) {
  if (decodeProxyFence(d))
    return;
  bool old = d.instr().opcode == "membar";
  if (!old)
    d.mods->takeOneOf({"sc", "acq_rel", "acquire", "release"});
  int scope = old ? d.mods->takeOneOf({"cta", "gl", "sys"})
                  : d.mods->takeOneOf({"cta", "cluster", "gpu", "sys"});
  if (scope < 0)
    d.fail("expects a scope");
  d.expectOperands(0, 0);
  d.emit(memoryFence).aux = scope > 0;
}

/// Hints and policies as they are spelled, with the number of their operands; nothing comes of them
/// but errors.
const std::map<std::string, std::pair<unsigned, unsigned>> &hintForms() {
  static const auto forms = [] {
    std::map<std::string, std::pair<unsigned, unsigned>> m;
    for (std::string space : {"", ".global", ".local"})
      for (std::string level : {".L1", ".L2"})
        m["prefetch" + space + level] = {1, 1};
    for (std::string space : {"", ".global"}) {
      for (std::string level : {".L2::evict_last", ".L2::evict_normal"})
        m["prefetch" + space + level] = {1, 1};
      m["applypriority" + space + ".L2::evict_normal"] = m["discard" + space + ".L2"] = {2, 2};
    }
    for (std::string space : {"", ".const", ".param"})
      m["prefetch" + space + ".tensormap"] = {1, 1};
    m["prefetchu.L1"] = m["nanosleep.u32"] = m["pmevent"] = m["pmevent.mask"] = {1, 1};
    for (std::string first : {"last", "normal", "first", "unchanged"})
      for (std::string second : {"", ".L2::evict_first", ".L2::evict_unchanged"}) {
        std::string rest = ".L2::evict_" + first + second + ".b64";
        m["createpolicy.fractional" + rest] = {second.empty() ? 1 : 2, 2};
        m["createpolicy.range" + rest] = m["createpolicy.range.global" + rest] = {4, 4};
      }
    m["createpolicy.cvt.L2.b64"] = {2, 2};
    return m;
  }();
  return forms;
}
void takeHint(Decoder &d) {
  std::string form = d.instr().opcode;
  for (const std::string &m : d.instr().mods) {
    form += "." + m;
    d.mods->take(m);
  }
  auto it = hintForms().find(form);
  if (it == hintForms().end())
    d.fail("unsupported form of " + d.instr().opcode);
  d.expectOperands(it->second.first, it->second.second);
}

void hint(Decoder &d) {
  takeHint(d);
  const std::string &op = d.instr().opcode;
  const Operand &last = d.operand(d.operandCount() - 1);
  if ((op == "applypriority" || op == "discard") && (last.kind != Operand::Imm || last.imm != 128))
    d.fail("is for 128 bytes");
  if (op == "pmevent" && last.kind != Operand::Imm)
    d.fail("expects a constant");
  d.emit(nothing);
}

/// createpolicy writes a register that only hints use.
const Rec *zeroPolicy(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1)
    place<uint64_t>(w, r->o[0])[__builtin_ctz(m)] = 0;
  return r + 1;
}
void createPolicy(Decoder &d) {
  takeHint(d);
  uint32_t dst = d.def(d.operand(0), Type::B64);
  d.emit(zeroPolicy).o[0] = dst;
}

} // namespace

void addMemoryOpcodes(std::unordered_map<std::string, DecodeFn> &t) {
  t["ld"] = [](Decoder &d) { loadStore(d, false); };
  t["ldu"] = [](Decoder &d) {
    for (const std::string &m : d.instr().mods)
      if (m != "global" && m != "v2" && m != "v4" && parseType(m) == Type::None)
        d.fail("has no ." + m);
    loadStore(d, false);
  };
  t["st"] = [](Decoder &d) {
    if (!decodeStoreAsync(d))
      loadStore(d, true);
  };
  t["atom"] = atomic;
  t["red"] = [](Decoder &d) {
    if (!decodeStoreAsync(d))
      atomic(d);
  };
  t["cp"] = cp;
  t["fence"] = t["membar"] = fence;
  t["prefetch"] = t["prefetchu"] = t["applypriority"] = t["discard"] = hint;
  t["pmevent"] = t["nanosleep"] = hint;
  t["createpolicy"] = createPolicy;
}

} // namespace attnc::emu
