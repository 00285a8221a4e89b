// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The syntax tree of a PTX module, and the reader that makes it from text.
//
// PTX looks like assembly but is closer to a small language: registers are typed and scoped by
// braces, labels are scoped the same way, modifiers may come in any order, and operands nest
// (`[map, {c0, c1}]`). The reader resolves what can be resolved without knowing instructions:
// register names become indices, labels become statement indices, `d|p` becomes one operand with a
// second register. What an instruction *means*, and whether its modifiers are legal together, is
// the decoder's business (lib/Emulator/Decode*.cpp); the tree keeps the modifiers as written.
//
// Every node carries line and column, because an emulator that cannot say where is of no use.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace attnc::emu {

/// A position in the PTX text, counted from 1.
struct SourcePos {
  uint32_t line = 0;
  uint32_t column = 0;
};

/// A malformed or unsupported module. `what()` is the whole message, with line, column and, for an
/// instruction, its text.
class PtxError : public std::runtime_error {
public:
  PtxError(SourcePos pos, const std::string &message);
  SourcePos pos;
};

/// The fundamental types of PTX. Registers are only a width (`B*` or `Pred`); the type that matters
/// is written on the instruction.
enum class Type : uint8_t {
  None,
  Pred,
  B8,
  B16,
  B32,
  B64,
  B128,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  BF16,
  F32,
  F64,
  F16x2,
  BF16x2,
  F32x2,
  TF32,
  E4M3,
  E5M2,
  E4M3x2,
  E5M2x2,
  S4,
  U4,
  B1,
  U16x2,
  S16x2,
};

/// The bits of a value of type `t`; 0 for None and Pred.
unsigned bitsOf(Type t);
/// Parses a type name without its dot; None when it is not one.
Type parseType(std::string_view name);
/// The name without its dot.
const char *nameOf(Type t);

/// State spaces a variable or an access can name. `Generic` is an access without a space.
/// `SharedCluster` is the shared memory of any block of the cluster.
enum class Space : uint8_t { Generic, Global, Shared, Local, Param, Const, SharedCluster };

/// Special registers. The order is that of `specialNames` in Parser.cpp.
enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NWarpId,
  SmId,
  NSmId,
  GridId,
  LanemaskEq,
  LanemaskLe,
  LanemaskLt,
  LanemaskGe,
  LanemaskGt,
  Clock,
  ClockHi,
  Clock64,
  GlobalTimer,
  GlobalTimerLo,
  GlobalTimerHi,
  DynamicSmemSize,
  TotalSmemSize,
  AggrSmemSize,
  ClusterIdX,
  ClusterIdY,
  ClusterIdZ,
  NClusterIdX,
  NClusterIdY,
  NClusterIdZ,
  ClusterCtaidX,
  ClusterCtaidY,
  ClusterCtaidZ,
  ClusterNctaidX,
  ClusterNctaidY,
  ClusterNctaidZ,
  ClusterCtaRank,
  ClusterNctaRank,
  IsExplicitCluster,
};
/// The name as written, for example `%tid.x`.
const char *nameOf(Special s);

/// One operand. Which fields are meaningful depends on `kind`.
struct Operand {
  enum Kind : uint8_t {
    Reg, ///< `reg`; `negated` for `!%p`; `pair` is the second register of `d|p`
    Imm, ///< integer in `imm`
    F32, ///< single-precision bits in `imm`
    F64, ///< double-precision bits in `imm`
    SpecialReg,
    Symbol,  ///< `name` plus byte offset `imm`: a variable, a parameter or a function
    Label,   ///< branch target; `imm` is the statement index once the function is read
    Vector,  ///< `{a, b, ..}` in `elems`
    Address, ///< `[elems[0] + imm]`; further elems are the coordinates of a tensor address
    List,    ///< `(a, b)` of a call
    Sink,    ///< `_`
  };
  Kind kind = Sink;
  bool negated = false;
  Special special{};
  int32_t reg = -1;
  int32_t pair = -1;
  int64_t imm = 0;
  std::string name;
  std::vector<Operand> elems;
  SourcePos pos;
};

/// One instruction with its guard. `mods` are the dot-separated parts after the first.
struct Instr {
  std::string opcode;
  std::vector<std::string> mods;
  std::vector<Operand> operands;
  int32_t guard = -1; ///< predicate register or -1
  bool guardNegated = false;
  SourcePos pos;
  uint32_t locFile = 0; ///< the `.loc` in force: file number and line, 0 when there is none
  uint32_t locLine = 0;
  std::string text; ///< as written, white space collapsed
};

/// A declared register. Names repeat in inner scopes, indices do not.
struct Register {
  std::string name;
  Type type = Type::None; ///< B16, B32, B64, B128 or Pred
};

/// A variable or a formal parameter.
struct Variable {
  std::string name;
  Space space = Space::Generic;
  uint32_t align = 1;
  uint64_t size = 0; ///< bytes; 0 for `extern .shared x[]`
  bool isExtern = false;
  std::vector<uint8_t> init; ///< initial bytes, shorter than `size` when the rest is zero
  /// Addresses stored inside `init`: byte offset -> symbol.
  std::vector<std::pair<uint64_t, std::string>> relocations;
  uint64_t offset = 0; ///< for parameters: byte offset in the parameter buffer
  SourcePos pos;
};

/// A kernel (`.entry`) or a device function (`.func`).
struct Function {
  std::string name;
  bool isEntry = false;
  bool isDeclaration = false;
  std::vector<Variable> returns;
  std::vector<Variable> params;
  uint64_t paramBytes = 0;
  std::vector<Register> registers;
  std::vector<Variable> variables; ///< function-scope .shared, .local and .param variables
  std::vector<Instr> body;
  uint32_t maxntid[3] = {0, 0, 0};
  uint32_t reqntid[3] = {0, 0, 0};
  uint32_t reqCluster[3] = {0, 0, 0};
  uint32_t maxClusterRank = 0;
  bool explicitCluster = false; ///< a launch must say how large its clusters are
  uint32_t maxnreg = 0;
  uint32_t minnctapersm = 0;
  SourcePos pos;
};

/// A whole PTX file.
struct Module {
  uint32_t versionMajor = 0, versionMinor = 0;
  std::string target;              ///< for example "sm_90a"
  unsigned targetNumber = 0;       ///< 90 for sm_90a
  std::vector<Variable> variables; ///< module-scope .global, .const and .shared
  std::vector<Function> functions;
  std::map<uint32_t, std::string> files; ///< `.file` directives

  const Function *findFunction(std::string_view name) const;
  const Variable *findVariable(std::string_view name) const;
};

/// Reads a module. Throws PtxError with line and column.
Module parsePtx(std::string_view text);

} // namespace attnc::emu
