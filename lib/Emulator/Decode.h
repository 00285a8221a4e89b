// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From syntax to records. A function is decoded twice by the same code: the first pass only notes
// which registers each instruction reads and writes, from which Flow.cpp derives control flow,
// reconvergence points, liveness and the place of every register; the second pass emits records
// with those places. So there is one description of each instruction and no patching.
//
// Strictness comes from two rules. Every modifier must be taken by the code that understands it,
// and what is left over is an error; and every operand goes through `use` or `def`, which check
// that its register has the width of the instruction's type.
#pragma once

#include "Alu.h"
#include "Flow.h"
#include "Machine.h"
#include "RegisterChecks.h"
#include "attnc/Emulator/Memory.h"

#include <functional>
#include <unordered_map>

namespace attnc::emu {

/// The modifiers of one instruction, in any order; `take` removes.
class Modifiers {
public:
  explicit Modifiers(const Instr &i) : instr(i), taken(i.mods.size(), false) {}
  bool take(std::string_view name);
  /// The first of `names` that is present, or -1.
  int takeOneOf(std::initializer_list<const char *> names);
  /// The next type in written order; None when there is none left.
  Type takeType();
  /// The first modifier nobody took, or null.
  const std::string *leftover() const;
  /// A modifier not yet taken for which `f` returns true.
  bool takeIf(const std::function<bool(const std::string &)> &f);

private:
  const Instr &instr;
  std::vector<bool> taken;
};

/// A 128-bit register is a column of low halves and, so many bytes later, one of high halves.
constexpr uint32_t quadHalf = 256;

class Decoder {
public:
  Decoder(const Module &m, const Function &f, const Profile &p,
          const std::unordered_map<std::string, uint64_t> &symbols, const DeviceMemory &memory,
          Kernel &out);
  void run();

  // The services below are for the decode functions of the instruction families.
  const Instr &instr() const { return *current; }
  size_t operandCount() const { return current->operands.size(); }
  const Operand &operand(size_t i) const;
  void expectOperands(size_t least, size_t most) const;
  [[noreturn]] void fail(const std::string &message) const;

  /// Place of a source: register, immediate, special register or address of a symbol.
  uint32_t use(const Operand &o, Type t);
  uint32_t def(const Operand &o, Type t);
  /// Like use/def for loads, stores and conversions, where a register may be wider than the type.
  uint32_t useWide(const Operand &o, Type t, unsigned &regBytes);
  uint32_t defWide(const Operand &o, Type t, unsigned &regBytes);
  uint32_t usePredicate(const Operand &o, bool &negated);
  uint32_t defPredicate(const Operand &o);
  uint32_t defPredicateIndex(int32_t reg);
  uint32_t scratchPredicate() const { return 0; }
  uint32_t carryPredicate() const { return 4; }
  uint32_t scratchColumn() const { return scratch; }
  /// Eight more scratch columns of 32 bits, for instructions made of several records.
  uint32_t scratchColumns() {
    needsScratch = true;
    return moreScratch;
  }
  uint32_t constant(uint64_t bits, bool wide);
  Type registerType(const Operand &o) const;

  Rec &emit(Handler h);
  Rec &emitAlu(const AluKey &k);
  uint32_t *ext(Rec &r, const std::vector<uint32_t> &places);
  /// From one: the counter 0 belongs to the records that touch no memory.
  uint32_t newCounter() { return ++out.numMemoryRecs; }
  bool collecting() const { return pass == 1; }
  /// What the first pass notes of the current instruction.
  FlowInstr &flowInstr() { return flow.instrs[currentIndex]; }

  /// o[0], imm and memAddress64 for an address operand; `space` may be refined by a symbol.
  void address(Rec &r, const Operand &o, Space space);
  uint64_t symbolAddress(const Operand &o, Space *space = nullptr);
  /// Whether an address names a .param variable of a call, which lives in local memory.
  bool isCallParameter(const Operand &address) const {
    return !address.elems.empty() && localOffsets.count(address.elems[0].name);
  }
  /// Where the generic window of shared, local or parameter memory begins.
  uint64_t memoryWindow(Space s) const {
    return s == Space::Shared  ? memory.sharedWindow()
           : s == Space::Param ? memory.paramWindow()
                               : memory.localWindow();
  }

  const Profile &profile;
  Kernel &out;
  const Module &module;
  const Function &function;
  Modifiers *mods = nullptr;

private:
  void layoutVariables();
  void decodeAll();
  void decodeOne(size_t index);
  void layoutFile(const SlotAssignment &slots);
  uint32_t registerPlace(int32_t reg, bool isDef);
  void emitCheck(Handler h, const std::vector<int32_t> &registers);
  void emitChecksBefore();
  void emitChecksAfter();

  int pass = 1;
  const Instr *current = nullptr;
  size_t currentIndex = 0;
  FlowGraph flow;
  RegisterChecks checks;
  const std::unordered_map<std::string, uint64_t> &symbols;
  const DeviceMemory &memory;
  std::unordered_map<std::string, uint64_t> sharedOffsets, localOffsets, paramOffsets;
  std::vector<uint32_t> places; ///< by register
  std::unordered_map<uint8_t, uint32_t> specialPlaces;
  std::unordered_map<std::string, uint32_t> constantPlaces;
  std::vector<char> constantBytes;
  uint32_t scratch = 64, moreScratch = 0;
  bool needsScratch = false;
  std::vector<uint32_t> blockStart; ///< record index of each block
  Rec discard;
};

// Shared between the instruction families.
bool isFloatType(Type t);
Rnd takeRounding(Decoder &d);
Type needType(Decoder &d);
/// Fails where the device lacks the packed and clamped integers of sm_90.
void needPacked16(Decoder &d);
void emitUniform(Decoder &d, const AluKey &k, unsigned sources);
void integerAddSub(Decoder &d, bool add, Type type, bool carryOut);
void integerMul(Decoder &d, bool add, Type type);

bool decodeBulk(Decoder &d);
bool decodeStoreAsync(Decoder &d);
bool decodeProxyFence(Decoder &d);
void decodeTensorMap(Decoder &d);
/// fence.proxy.tensormap::generic, behind that modifier.
void decodeTensorMapFence(Decoder &d);
void decodeClusterBarrier(Decoder &d);

using DecodeFn = void (*)(Decoder &);
/// Each family adds its opcodes.
void addAluOpcodes(std::unordered_map<std::string, DecodeFn> &);
void addFloatOpcodes(std::unordered_map<std::string, DecodeFn> &);
void addMemoryOpcodes(std::unordered_map<std::string, DecodeFn> &);
void addWarpOpcodes(std::unordered_map<std::string, DecodeFn> &);
void addHopperOpcodes(std::unordered_map<std::string, DecodeFn> &);

} // namespace attnc::emu
