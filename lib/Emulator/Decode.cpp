// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The decoder's driver and services: two passes over a function, layout of variables, constants and
// the register file, and the checks that every instruction family shares. See Decode.h.
#include "Decode.h"

#include "Forms.h"
#include "InFlight.h"

#include "Launch.h"
#include "Threaded.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace attnc::emu {

bool Modifiers::take(std::string_view name) {
  return takeIf([&](const std::string &m) { return m == name; });
}

bool Modifiers::takeIf(const std::function<bool(const std::string &)> &f) {
  for (size_t i = 0; i < taken.size(); ++i)
    if (!taken[i] && f(instr.mods[i])) {
      taken[i] = true;
      return true;
    }
  return false;
}

int Modifiers::takeOneOf(std::initializer_list<const char *> names) {
  int index = 0;
  for (const char *n : names) {
    if (take(n))
      return index;
    ++index;
  }
  return -1;
}

Type Modifiers::takeType() {
  for (size_t i = 0; i < taken.size(); ++i)
    if (!taken[i])
      if (Type t = parseType(instr.mods[i]); t != Type::None) {
        taken[i] = true;
        return t;
      }
  return Type::None;
}

const std::string *Modifiers::leftover() const {
  for (size_t i = 0; i < taken.size(); ++i)
    if (!taken[i])
      return &instr.mods[i];
  return nullptr;
}

Decoder::Decoder(const Module &m, const Function &f, const Profile &p,
                 const std::unordered_map<std::string, uint64_t> &symbols,
                 const DeviceMemory &memory, Kernel &out)
    : profile(p), out(out), module(m), function(f), symbols(symbols), memory(memory) {}

void Decoder::fail(const std::string &message) const {
  throw PtxError(current ? current->pos : function.pos,
                 message + (current ? "\n  in: " + current->text : " in '" + function.name + "'"));
}

const Operand &Decoder::operand(size_t i) const {
  if (i >= current->operands.size())
    fail("expects at least " + std::to_string(i + 1) + " operands, found " +
         std::to_string(current->operands.size()));
  return current->operands[i];
}

void Decoder::expectOperands(size_t least, size_t most) const {
  size_t n = current->operands.size();
  if (n >= least && n <= most)
    return;
  std::string want = std::to_string(least) + (most != least ? " to " + std::to_string(most) : "");
  fail("expects " + want + " operands, found " + std::to_string(n));
}

uint32_t Decoder::registerPlace(int32_t reg, bool isDef) {
  if (collecting()) {
    auto &list = isDef ? flow.instrs[currentIndex].defs : flow.instrs[currentIndex].uses;
    list.push_back(reg);
    return 0;
  }
  return places[reg];
}

static unsigned registerBits(Type t) {
  return t == Type::B16 ? 16 : t == Type::B32 ? 32 : t == Type::B64 ? 64 : 128;
}

Type Decoder::registerType(const Operand &o) const {
  return o.kind == Operand::Reg ? function.registers[o.reg].type : Type::None;
}

uint32_t Decoder::constant(uint64_t bits, bool wide) {
  if (collecting())
    return 1;
  std::string key = std::to_string(bits) + (wide ? "w" : "n");
  auto [it, isNew] = constantPlaces.emplace(key, 0);
  if (isNew) {
    uint32_t at = static_cast<uint32_t>(constantBytes.size());
    constantBytes.resize(at + (wide ? 256 : 128));
    for (unsigned l = 0; l < 32; ++l)
      memcpy(&constantBytes[at + l * (wide ? 8 : 4)], &bits, wide ? 8 : 4);
    it->second = at | 1;
  }
  return it->second;
}

uint64_t Decoder::symbolAddress(const Operand &o, Space *space) {
  Space found = Space::Generic;
  uint64_t address = 0;
  if (auto it = sharedOffsets.find(o.name); it != sharedOffsets.end()) {
    found = Space::Shared, address = it->second;
  } else if (auto it = localOffsets.find(o.name); it != localOffsets.end()) {
    found = Space::Local, address = it->second;
  } else if (auto it = paramOffsets.find(o.name); it != paramOffsets.end()) {
    found = Space::Param, address = memory.paramWindow() + it->second;
  } else if (auto it = symbols.find(o.name); it != symbols.end()) {
    found = Space::Global, address = it->second;
  } else {
    fail("symbol '" + o.name + "' has no address here");
  }
  if (space)
    *space = found;
  return address + static_cast<uint64_t>(o.imm);
}

uint32_t Decoder::use(const Operand &o, Type t) {
  unsigned bits = bitsOf(t);
  bool wide = bits == 64;
  switch (o.kind) {
  case Operand::Reg: {
    Type have = function.registers[o.reg].type;
    if (have == Type::Pred || registerBits(have) != std::max(16u, bits))
      fail("operand '" + function.registers[o.reg].name + "' is a ." + nameOf(have) +
           " register, but the instruction needs " + std::to_string(bits) + " bits");
    return registerPlace(o.reg, false);
  }
  case Operand::Imm: {
    if (t == Type::F32 || t == Type::F64) {
      // An integer literal in a float position is its value, as in C.
      double d = static_cast<double>(o.imm);
      float f = static_cast<float>(d);
      uint64_t v = 0;
      t == Type::F32 ? memcpy(&v, &f, 4) : memcpy(&v, &d, 8);
      return constant(v, wide);
    }
    uint64_t v = static_cast<uint64_t>(o.imm);
    return constant(wide ? v : bits == 16 ? v & 0xffffu : v & 0xffffffffu, wide);
  }
  case Operand::F32:
    if (bits != 32)
      fail("a single-precision literal needs a 32-bit operand");
    return constant(static_cast<uint64_t>(o.imm) & 0xffffffffu, false);
  case Operand::F64: {
    if (bits == 32) {
      double d;
      memcpy(&d, &o.imm, 8);
      float f = static_cast<float>(d);
      uint32_t v;
      memcpy(&v, &f, 4);
      return constant(v, false);
    }
    if (bits != 64)
      fail("a double-precision literal needs a 64-bit operand");
    return constant(static_cast<uint64_t>(o.imm), true);
  }
  case Operand::SpecialReg: {
    bool special64 = o.special == Special::Clock64 || o.special == Special::GlobalTimer ||
                     o.special == Special::GridId;
    if (special64 != wide && !(o.special == Special::GridId && bits == 32))
      fail(std::string("special register ") + nameOf(o.special) + " does not have " +
           std::to_string(bits) + " bits");
    auto it = specialPlaces.find(static_cast<uint8_t>(o.special));
    if (it == specialPlaces.end())
      it = specialPlaces.emplace(static_cast<uint8_t>(o.special), 0).first;
    return it->second;
  }
  case Operand::Symbol: {
    // Code that takes a parameter's address in 32 bits takes its offset, and goes on to cvta.param.
    Space space;
    uint64_t address = symbolAddress(o, &space);
    return constant(!wide && space == Space::Param ? address - memory.paramWindow() : address,
                    wide);
  }
  default:
    fail("expects a register or a constant here");
  }
}

uint32_t Decoder::def(const Operand &o, Type t) {
  if (o.kind == Operand::Sink)
    return scratch;
  if (o.kind != Operand::Reg)
    fail("expects a destination register");
  Type have = function.registers[o.reg].type;
  if (have == Type::Pred || registerBits(have) != std::max(16u, bitsOf(t)))
    fail("destination '" + function.registers[o.reg].name + "' is a ." + nameOf(have) +
         " register, but the instruction writes " + std::to_string(bitsOf(t)) + " bits");
  return registerPlace(o.reg, true);
}

uint32_t Decoder::useWide(const Operand &o, Type t, unsigned &regBytes) {
  if (o.kind != Operand::Reg) {
    regBytes = bitsOf(t) == 64 ? 8 : 4;
    if (o.kind == Operand::SpecialReg &&
        (o.special == Special::Clock64 || o.special == Special::GridId))
      regBytes = 8;
    return use(o, o.kind == Operand::SpecialReg ? (regBytes == 8 ? Type::B64 : Type::B32)
                  : bitsOf(t) < 16              ? Type::B16
                                                : t);
  }
  Type have = function.registers[o.reg].type;
  if (have == Type::Pred || registerBits(have) < bitsOf(t))
    fail("register '" + function.registers[o.reg].name +
         "' is narrower than the instruction's type");
  regBytes = registerBits(have) / 8;
  return registerPlace(o.reg, false);
}

uint32_t Decoder::defWide(const Operand &o, Type t, unsigned &regBytes) {
  if (o.kind == Operand::Sink) {
    regBytes = bitsOf(t) == 64 ? 8 : 4;
    return scratch;
  }
  if (o.kind != Operand::Reg)
    fail("expects a destination register");
  Type have = function.registers[o.reg].type;
  if (have == Type::Pred || registerBits(have) < bitsOf(t))
    fail("register '" + function.registers[o.reg].name +
         "' is narrower than the instruction's type");
  regBytes = registerBits(have) / 8;
  return registerPlace(o.reg, true);
}

uint32_t Decoder::usePredicate(const Operand &o, bool &negated) {
  negated = o.negated;
  if (o.kind == Operand::Imm) { // ptxas accepts 0 and 1 as predicates, and LLVM prints them
    negated = o.imm != 0;
    return scratchPredicate() + 8; // a predicate that is always false
  }
  if (o.kind == Operand::SpecialReg && o.special == Special::IsExplicitCluster)
    return specialPlaces.emplace(static_cast<uint8_t>(o.special), 0).first->second;
  if (o.kind != Operand::Reg || function.registers[o.reg].type != Type::Pred)
    fail("expects a predicate register");
  return registerPlace(o.reg, false);
}

uint32_t Decoder::defPredicateIndex(int32_t reg) {
  if (reg < 0)
    return scratchPredicate();
  if (function.registers[reg].type != Type::Pred)
    fail("expects a predicate register");
  return registerPlace(reg, true);
}

uint32_t Decoder::defPredicate(const Operand &o) {
  if (o.kind == Operand::Sink)
    return scratchPredicate();
  if (o.kind != Operand::Reg)
    fail("expects a predicate register");
  return defPredicateIndex(o.reg);
}

Rec &Decoder::emit(Handler h) {
  if (collecting()) {
    discard = Rec();
    return discard;
  }
  Rec r;
  r.fn = h;
  r.index = static_cast<uint32_t>(out.recs.size());
  r.instr = static_cast<uint32_t>(currentIndex);
  out.recs.push_back(r);
  return out.recs.back();
}

Rec &Decoder::emitAlu(const AluKey &k) {
  const HandlerTable &t = handlers();
  Handler h = nullptr;
  if (k.op == Alu::Cvt || k.op == Alu::CvtPack)
    h = t.convert(k);
  else if (k.op == Alu::Setp || k.op == Alu::Set)
    h = t.compare(k);
  else if (!(h = t.integer(k)) && !(h = t.floating(k)))
    h = t.half(k);
  if (!h)
    fail("this combination of type, rounding and modifiers is not supported");
  Rec &r = emit(h);
  r.straight = true;
  return r;
}

uint32_t *Decoder::ext(Rec &r, const std::vector<uint32_t> &list) {
  if (collecting())
    return nullptr;
  out.extPool.push_back(std::make_unique<uint32_t[]>(list.size()));
  std::copy(list.begin(), list.end(), out.extPool.back().get());
  r.ext = out.extPool.back().get();
  return out.extPool.back().get();
}

void Decoder::address(Rec &r, const Operand &o, Space space) {
  if (o.kind != Operand::Address || o.elems.size() != 1)
    fail("expects an address in brackets");
  const Operand &base = o.elems[0];
  r.imm = static_cast<uint64_t>(o.imm);
  if (base.kind == Operand::Symbol || base.kind == Operand::Imm) {
    Space found = space;
    uint64_t a =
        base.kind == Operand::Imm ? static_cast<uint64_t>(base.imm) : symbolAddress(base, &found);
    if (space == Space::Generic && (found == Space::Shared || found == Space::Local))
      fail("symbol '" + base.name + "' needs an access with a state space, or a generic address");
    if (space == Space::SharedCluster && found == Space::Shared)
      found = space;
    if (space != Space::Generic && found != space &&
        !(space == Space::Const && found == Space::Global))
      fail("symbol '" + base.name + "' is not in the state space of the access");
    r.o[0] = constant(a, true);
    r.aux |= 1u << 16;
    return;
  }
  if (base.kind != Operand::Reg)
    fail("expects a register or a symbol as address");
  bool is64 = function.registers[base.reg].type == Type::B64;
  if (!is64 && (space != Space::Shared && space != Space::SharedCluster && space != Space::Local &&
                space != Space::Const && space != Space::Param))
    fail("global and generic addresses need 64 bits");
  r.o[0] = use(base, is64 ? Type::B64 : Type::B32);
  r.aux |= is64 ? 1u << 16 : 0;
}

void Decoder::layoutVariables() {
  uint64_t shared = 1024, local = 0; // the first KiB of shared memory belongs to the system
  auto place = [](uint64_t &at, const Variable &v) {
    at = (at + v.align - 1) / v.align * v.align;
    uint64_t here = at;
    at += v.size;
    return here;
  };
  std::map<std::string, Variable> onStack; ///< sibling scopes may repeat a name
  std::vector<const Variable *> dynamic;
  auto addShared = [&](const Variable &v) {
    if (v.size)
      sharedOffsets[v.name] = place(shared, v);
    else
      dynamic.push_back(&v);
  };
  for (const Variable &v : module.variables)
    if (v.space == Space::Shared)
      addShared(v);
  for (const Variable &v : function.variables) {
    if (v.space == Space::Shared)
      addShared(v);
    else if (auto [it, isNew] = onStack.emplace(v.name, v); !isNew)
      it->second.size = std::max(it->second.size, v.size),
      it->second.align = std::max(it->second.align, v.align);
  }
  for (auto &[name, v] : onStack) // .local variables, and .param variables of calls
    localOffsets[name] = place(local, v);
  uint32_t align = 16;
  for (const Variable *v : dynamic)
    align = std::max(align, v->align);
  shared = (shared + align - 1) / align * align;
  for (const Variable *v : dynamic) // all dynamic arrays start at the same place
    sharedOffsets[v->name] = shared;
  // A launch has a smaller limit; these are the numbers that fit into its fields.
  for (auto [what, bytes] : {std::pair("shared", shared - 1024), {"local", local}})
    if (bytes > INT32_MAX)
      fail("kernel '" + function.name + "' has " + std::to_string(bytes) + " bytes of " + what +
           " variables, more than 2147483647");
  out.dynamicSharedAlign = align;
  out.staticSharedBytes = static_cast<uint32_t>(shared - 1024);
  out.localBytes = static_cast<uint32_t>((local + 15) / 16 * 16);
  for (const Variable &v : function.params)
    paramOffsets[v.name] = v.offset;
}

/// Register file: predicates, then 64-byte aligned columns. Predicate 0 is a sink, 1 the carry
/// flag, 2 always false; column 0 (256 bytes) is a sink.
void Decoder::layoutFile(const SlotAssignment &slots) {
  constexpr uint32_t reservedPredicates = 3;
  uint32_t at = (slots.countPred + reservedPredicates) * 4;
  at = (at + 63) / 64 * 64;
  scratch = at;
  at += 256;
  uint32_t base32 = at, base64 = base32 + slots.count32 * 128;
  uint32_t base128 = base64 + slots.count64 * 256;
  at = base128 + slots.count128 * 2 * quadHalf;
  moreScratch = at;
  at += needsScratch ? 8 * 128 : 0;
  places.resize(function.registers.size());
  for (size_t r = 0; r < places.size(); ++r) {
    Type t = function.registers[r].type;
    places[r] = t == Type::Pred   ? (slots.slot[r] + reservedPredicates) * 4
                : t == Type::B64  ? base64 + slots.slot[r] * 256
                : t == Type::B128 ? base128 + slots.slot[r] * 2 * quadHalf
                                  : base32 + slots.slot[r] * 128;
  }
  for (auto &[special, where] : specialPlaces) {
    where = at;
    at += 256;
    out.specials.push_back({static_cast<Special>(special), where});
  }
  out.fileBytes = at;
  out.maxLive32 = slots.maxLive32;
}

static const std::unordered_map<std::string, DecodeFn> &opcodes() {
  static const std::unordered_map<std::string, DecodeFn> table = [] {
    std::unordered_map<std::string, DecodeFn> t;
    addAluOpcodes(t);
    addFloatOpcodes(t);
    addMemoryOpcodes(t);
    addWarpOpcodes(t);
    addHopperOpcodes(t);
    return t;
  }();
  return table;
}

std::vector<std::string> decodedOpcodes() {
  std::vector<std::string> list;
  for (auto &[name, decode] : opcodes())
    list.push_back(name);
  std::sort(list.begin(), list.end());
  return list;
}

void Decoder::emitCheck(Handler h, const std::vector<int32_t> &registers) {
  if (registers.empty())
    return;
  std::vector<uint32_t> list;
  for (int32_t r : registers) {
    list.push_back(static_cast<uint32_t>(checks.tracked[r]));
    list.push_back(static_cast<uint32_t>(r));
  }
  Rec &rec = emit(h);
  rec.aux = static_cast<uint32_t>(registers.size());
  ext(rec, list);
}

void Decoder::emitChecksBefore() {
  const RegisterChecks::AtInstr &at = checks.at[currentIndex];
  const FlowInstr &f = flow.instrs[currentIndex];
  std::vector<int32_t> read, accumulators;
  for (int32_t r : at.requireWritten) {
    if (r == current->guard || f.role == FlowInstr::Copy)
      continue;
    // The accumulators of a wgmma are read only where scale-d holds.
    bool accumulates = std::find(f.inFlight.begin(), f.inFlight.end(), r) != f.inFlight.end() &&
                       std::find(f.defs.begin(), f.defs.end(), r) != f.defs.end();
    (accumulates ? accumulators : read).push_back(r);
  }
  emitCheck(requireWritten, read);
  if (!accumulators.empty()) {
    bool negated = false;
    uint32_t scale = usePredicate(operand(3), negated);
    emitCheck(requireWritten, accumulators);
    out.recs.back().aux2 = 1;
    out.recs.back().o[0] = scale, out.recs.back().o[1] = negated;
  }
  emitCheck(requireLanded, at.requireLanded);
  for (auto &[bits, registers] : at.requireFenced) {
    emitCheck(requireFenced, registers);
    out.recs.back().aux2 = bits;
  }
}

void Decoder::emitChecksAfter() {
  const RegisterChecks::AtInstr &at = checks.at[currentIndex];
  std::vector<int32_t> copied; // unless some part of what is copied is known to be written
  const FlowInstr &f = flow.instrs[currentIndex];
  if (f.role == FlowInstr::Copy && std::all_of(f.uses.begin(), f.uses.end(), [&](int32_t r) {
        return r == current->guard || checks.tracked[r] >= 0;
      }))
    for (int32_t r : at.requireWritten)
      if (r != current->guard)
        copied.push_back(r);
  if (copied.empty()) {
    emitCheck(markWritten, at.markWritten);
  } else {
    std::vector<int32_t> all = at.markWritten;
    all.insert(all.end(), copied.begin(), copied.end());
    emitCheck(copyWritten, all);
    out.recs.back().aux = static_cast<uint32_t>(at.markWritten.size());
    out.recs.back().aux2 = static_cast<uint32_t>(copied.size());
  }
  for (auto &[bits, registers] : at.markAccessed) {
    emitCheck(markAccessed, registers);
    out.recs.back().aux2 = bits;
  }
  emitCheck(enterFlight, at.enterFlight);
}

void Decoder::decodeOne(size_t index) {
  current = &function.body[index];
  currentIndex = index;
  Modifiers m(*current);
  mods = &m;
  if (current->guard >= 0)
    registerPlace(current->guard, false);
  if (!collecting() && current->guard >= 0 && checks.tracked[current->guard] >= 0)
    emitCheck(requireWritten, {current->guard}); // outside the guard
  size_t firstRec = out.recs.size();
  auto it = opcodes().find(current->opcode);
  if (it == opcodes().end())
    fail("unsupported instruction '" + current->opcode + "'");
  if (!collecting())
    emitChecksBefore();
  it->second(*this);
  if (!collecting())
    emitChecksAfter();
  if (const std::string *left = m.leftover())
    fail("unsupported modifier '." + *left + "' on '" + current->opcode + "'");
  if (collecting() && hasForms(current->opcode) && !isForm(*current))
    fail("no such combination of modifiers and types");
  FlowInstr &f = flow.instrs[index];
  if (collecting()) {
    f.partial = current->guard >= 0;
    if (current->opcode == "mov")
      f.role = FlowInstr::Copy;
    for (const Operand &o : current->operands)
      if (o.kind == Operand::Label && current->opcode == "bra")
        f.target = o.imm;
    bool leaves = current->opcode == "bra" || current->opcode == "ret" ||
                  current->opcode == "exit" || current->opcode == "trap";
    f.fallsThrough = !leaves || current->guard >= 0;
    return;
  }
  for (size_t i = firstRec; current->guard >= 0 && i < out.recs.size(); ++i) {
    Rec &r = out.recs[i];
    r.guard = places[current->guard] | (current->guardNegated ? 1u : 0u);
    if (r.fn == branch) {
      r.fn = branchIf;
    } else {
      r.inner = r.fn;
      r.fn = guarded;
    }
  }
}

void Decoder::decodeAll() {
  size_t n = function.body.size();
  if (collecting()) {
    flow.instrs.assign(n, FlowInstr());
    for (size_t i = 0; i < n; ++i)
      decodeOne(i);
    return;
  }
  blockStart.assign(flow.blocks.size() + 1, 0);
  for (size_t b = 0; b < flow.blocks.size(); ++b) {
    const FlowBlock &block = flow.blocks[b];
    blockStart[b] = static_cast<uint32_t>(out.recs.size());
    current = nullptr;
    Rec &head = emit(blockHead);
    head.instr = noRecord;
    head.aux = static_cast<uint32_t>(b);
    head.aux2 = block.end - block.begin;
    out.blocks.push_back({block.begin, block.end});
    for (uint32_t i = block.begin; i < block.end; ++i)
      decodeOne(i);
  }
  // Running off the end is leaving the kernel.
  current = nullptr;
  currentIndex = n ? n - 1 : 0;
  blockStart.back() = static_cast<uint32_t>(out.recs.size());
  emit(exitLanes).instr = noRecord;
  for (size_t b = 0; b < flow.blocks.size(); ++b) {
    const FlowBlock &block = flow.blocks[b];
    for (Rec &r : out.recs)
      if ((r.fn == branch || r.fn == branchIf) && r.instr == block.end - 1) {
        r.aux = blockStart[flow.blockOf[static_cast<size_t>(flow.instrs[r.instr].target)]];
        r.aux2 = block.postDominator == ~0u ? noRecord : blockStart[block.postDominator];
      }
  }
}

void Decoder::run() {
  layoutVariables();
  pass = 1;
  decodeAll();
  flow.buildBlocks();
  flow.findPostDominators();
  InFlight inFlight(flow, function.registers.size());
  SlotAssignment slots = assignSlots(flow, inFlight, function.registers);
  layoutFile(slots);
  checks = findRegisterChecks(flow, inFlight, slots.uninitialized, function.registers.size());
  out.numTracked = checks.numTracked;
  pass = 2;
  out.numMemoryRecs = 0;
  decodeAll();
  out.constants.assign(constantBytes.size() + 64, 0);
  if (!constantBytes.empty())
    memcpy(const_cast<char *>(out.constantBase()), constantBytes.data(), constantBytes.size());
  fuse(out);
  out.code = ThreadedCode::build(out);
}

} // namespace attnc::emu
