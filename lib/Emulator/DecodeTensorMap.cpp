// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decoding of the instructions on tensor maps: tensormap.replace, tensormap.cp_fenceproxy and
// fence.proxy.tensormap::generic.
#include "Access.h"
#include "Decode.h"
#include "TensorMapOps.h"

namespace attnc::emu {
namespace {

MapScope takeScope(Decoder &d) {
  int i = d.mods->takeOneOf({"cta", "cluster", "gpu", "sys"});
  if (i < 0)
    d.fail("expects a scope");
  return i == 0 ? MapScope::Block : i == 1 ? MapScope::Cluster : MapScope::Device;
}

int64_t constantOperand(Decoder &d, size_t i, int64_t most, const char *what) {
  const Operand &o = d.operand(i);
  if (o.kind != Operand::Imm || o.imm < 0 || o.imm > most)
    d.fail("expects a constant from 0 to " + std::to_string(most) + " for " + what);
  return o.imm;
}

void expectSize(Decoder &d, size_t i) {
  if (d.operand(i).kind != Operand::Imm || d.operand(i).imm != 128)
    d.fail("a tensor map has 128 bytes");
}

void replace(Decoder &d) {
  struct Field {
    const char *name;
    bool wide, ordinal;
    int most; ///< of a constant value; -1: any value
  };
  static constexpr Field fields[] = {
      {"global_address", true, false, -1}, {"rank", false, false, -1},
      {"box_dim", false, true, -1},        {"global_dim", false, true, -1},
      {"global_stride", true, true, -1},   {"element_stride", false, true, -1},
      {"elemtype", false, false, 12},      {"interleave_layout", false, false, 2},
      {"swizzle_mode", false, false, 3},   {"fill_mode", false, false, 1}};
  if (!d.mods->take("tile"))
    d.fail("expects .tile");
  unsigned index = 0;
  while (index < std::size(fields) && !d.mods->take(fields[index].name))
    ++index;
  if (index == std::size(fields))
    d.fail("expects a field of a tensor map");
  const Field &field = fields[index];
  Space space = d.mods->take("global")        ? Space::Global
                : d.mods->take("shared::cta") ? Space::Shared
                                              : Space::Generic;
  if (!d.mods->take("b1024"))
    d.fail("expects .b1024");
  Type type = needType(d);
  if (type != (field.wide ? Type::B64 : Type::B32))
    d.fail(std::string(".") + field.name + " needs " + (field.wide ? ".b64" : ".b32"));
  size_t last = field.ordinal ? 2 : 1;
  d.expectOperands(last + 1, last + 1);
  int64_t ordinal = field.ordinal ? constantOperand(d, 1, 4, "the dimension") : 0;
  if (field.most >= 0)
    constantOperand(d, last, field.most, field.name);
  Rec staging;
  d.address(staging, d.operand(0), space);
  uint32_t value = d.use(d.operand(last), type);
  Rec &r = d.emit(tensorMapReplace);
  r.o[0] = staging.o[0];
  r.o[1] = value;
  r.imm = staging.imm;
  r.aux = staging.aux | static_cast<uint32_t>(space) << memSpaceShift;
  r.aux2 = index | static_cast<uint32_t>(ordinal) << 8 | uint32_t(field.wide) << 16;
  r.counter = d.newCounter();
}

void copyAndFence(Decoder &d) {
  for (const char *m :
       {"global", "shared::cta", "tensormap::generic", "release", "sync", "aligned"})
    if (!d.mods->take(m))
      d.fail(std::string("expects .") + m);
  MapScope scope = takeScope(d);
  d.expectOperands(3, 3);
  expectSize(d, 2);
  Rec to, from;
  d.address(to, d.operand(0), Space::Global);
  d.address(from, d.operand(1), Space::Shared);
  Rec &r = d.emit(tensorMapCopy);
  r.o[0] = to.o[0];
  r.o[1] = from.o[0];
  r.imm = static_cast<uint32_t>(to.imm) | from.imm << 32;
  r.aux2 = static_cast<uint32_t>(scope) | (from.aux & memAddress64 ? 1u << 8 : 0);
  r.counter = d.newCounter();
}

} // namespace

void decodeTensorMap(Decoder &d) {
  if (d.profile.major < 9)
    d.fail("needs sm_90");
  if (d.mods->take("replace"))
    return replace(d);
  if (d.mods->take("cp_fenceproxy"))
    return copyAndFence(d);
  d.fail("unsupported form of tensormap");
}

void decodeTensorMapFence(Decoder &d) {
  bool acquire = d.mods->take("acquire");
  if (!acquire && !d.mods->take("release"))
    d.fail("expects .release or .acquire");
  MapScope scope = takeScope(d);
  d.expectOperands(acquire ? 2 : 0, acquire ? 2 : 0);
  Rec staging;
  if (acquire) {
    expectSize(d, 1);
    d.address(staging, d.operand(0), Space::Generic);
  }
  Rec &r = d.emit(acquire ? tensorMapAcquire : tensorMapRelease);
  r.o[0] = staging.o[0];
  r.imm = staging.imm;
  r.aux2 = static_cast<uint32_t>(scope);
}

} // namespace attnc::emu
