// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vocabulary between the decoder and the arithmetic handlers: an `AluKey` names one concrete
// instruction (operation, types, rounding, flags), and a HandlerTable maps keys to handlers. A null
// handler means "no such instruction", which the decoder reports as a load error.
//
// Operand convention of every arithmetic handler: o[0] destination, o[1..3] sources a, b, c.
// Handlers that write a predicate as well say so at their entry.
#pragma once

#include "Machine.h"

namespace attnc::emu {

enum class Alu : uint8_t {
  Add,
  Sub,
  MulLo,
  MulHi,
  MulWide,
  MadLo,
  MadHi,
  MadWide,
  Mul24,
  Mad24,
  Div,
  Rem,
  Min,
  Max,
  Neg,
  Abs,
  And,
  Or,
  Xor,
  Not,
  Cnot,
  Shl,
  Shr,
  ShfLWrap,
  ShfLClamp,
  ShfRWrap,
  ShfRClamp,
  Bfe,
  Bfi,
  Bfind,
  BfindShift,
  Clz,
  Popc,
  Brev,
  Lop3,
  Sad,
  Dp4a,
  Dp2aLo,
  Dp2aHi,
  BmskWrap,
  BmskClamp,
  SzextWrap,
  SzextClamp,
  AddCC,
  AddC,
  SubCC,
  SubC,
  MadLoCC,
  MadHiCC,
  MadLoC,
  MadHiC,
  Prmt,
  PrmtF4e,
  PrmtB4e,
  PrmtRc8,
  PrmtEcl,
  PrmtEcr,
  PrmtRc16,
  Mov,
  Selp,
  Setp,
  Set,
  Slct,
  Cvt,
  CvtPack,
  Copysign,
  Testp,
  Mul,
  Fma,
  Rcp,
  Sqrt,
  Rsqrt,
  Ex2,
  Lg2,
  Sin,
  Cos,
  Tanh,
  Szext,
  PredAnd,
  PredOr,
  PredXor,
  PredNot,
  PredMov,
  PredSelp,
};

enum class Cmp : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan };
enum class BoolOp : uint8_t { None, And, Or, Xor };
enum class Rnd : uint8_t { None, Rn, Rz, Rm, Rp, Rna, Rni, Rzi, Rmi, Rpi, Approx, Full };

struct AluKey {
  Alu op{};
  Type type = Type::None;   ///< operand type; for Cvt the destination
  Type source = Type::None; ///< Cvt: source type. Dp4a: type of b. Set: operand type
  Rnd rnd = Rnd::None;
  bool ftz = false, sat = false, nan = false, relu = false, xorsignAbs = false, oob = false;
};

/// The handlers of one instruction set.
struct HandlerTable {
  const char *isa;
  Handler (*integer)(const AluKey &);
  Handler (*floating)(const AluKey &);
  Handler (*half)(const AluKey &);
  Handler (*convert)(const AluKey &);
  Handler (*compare)(const AluKey &);
  /// The arithmetic of wgmma; see WgmmaMath.cpp.
  void (*wgmma)(float *acc, const float *a, const float *b, unsigned k, unsigned n);
  void (*wgmmaOperand)(const char *base, const uint32_t *offsets, Type t, const float *byteTable,
                       bool mnMajor, bool evenOdd, unsigned count, unsigned k, float *out);
  /// mma.sync: `shape` is m<<16|n<<8|k.
  Handler (*mma)(uint32_t shape, Type a, Type b, Type c, Type d, bool satfinite);
  /// For a handler of `mma`: the one that executes two such records with the same A, or null.
  Handler (*mmaPair)(Handler);
};

/// The best table for this CPU. `ATTNC_EMU_ISA` (base, v3, v4) overrides, for tests.
const HandlerTable &handlers();

} // namespace attnc::emu
