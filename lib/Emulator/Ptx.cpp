// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names and sizes of the syntax tree's enumerations, and the two look-ups of a module.
#include "attnc/Emulator/Ptx.h"

namespace attnc::emu {

PtxError::PtxError(SourcePos pos, const std::string &message)
    : std::runtime_error(std::to_string(pos.line) + ":" + std::to_string(pos.column) +
                         ": error: " + message),
      pos(pos) {}

namespace {
struct TypeInfo {
  Type type;
  const char *name;
  unsigned bits;
};
constexpr TypeInfo typeTable[] = {
    {Type::Pred, "pred", 0},      {Type::B8, "b8", 8},          {Type::B16, "b16", 16},
    {Type::B32, "b32", 32},       {Type::B64, "b64", 64},       {Type::B128, "b128", 128},
    {Type::U8, "u8", 8},          {Type::U16, "u16", 16},       {Type::U32, "u32", 32},
    {Type::U64, "u64", 64},       {Type::S8, "s8", 8},          {Type::S16, "s16", 16},
    {Type::S32, "s32", 32},       {Type::S64, "s64", 64},       {Type::F16, "f16", 16},
    {Type::BF16, "bf16", 16},     {Type::F32, "f32", 32},       {Type::F64, "f64", 64},
    {Type::F16x2, "f16x2", 32},   {Type::BF16x2, "bf16x2", 32}, {Type::F32x2, "f32x2", 64},
    {Type::TF32, "tf32", 32},     {Type::E4M3, "e4m3", 8},      {Type::E5M2, "e5m2", 8},
    {Type::E4M3x2, "e4m3x2", 16}, {Type::E5M2x2, "e5m2x2", 16}, {Type::S4, "s4", 4},
    {Type::U4, "u4", 4},          {Type::B1, "b1", 1},          {Type::U16x2, "u16x2", 32},
    {Type::S16x2, "s16x2", 32},
};
constexpr const char *specialNames[] = {
    "%tid.x",
    "%tid.y",
    "%tid.z",
    "%ntid.x",
    "%ntid.y",
    "%ntid.z",
    "%ctaid.x",
    "%ctaid.y",
    "%ctaid.z",
    "%nctaid.x",
    "%nctaid.y",
    "%nctaid.z",
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%smid",
    "%nsmid",
    "%gridid",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%clock",
    "%clock_hi",
    "%clock64",
    "%globaltimer",
    "%globaltimer_lo",
    "%globaltimer_hi",
    "%dynamic_smem_size",
    "%total_smem_size",
    "%aggr_smem_size",
    "%clusterid.x",
    "%clusterid.y",
    "%clusterid.z",
    "%nclusterid.x",
    "%nclusterid.y",
    "%nclusterid.z",
    "%cluster_ctaid.x",
    "%cluster_ctaid.y",
    "%cluster_ctaid.z",
    "%cluster_nctaid.x",
    "%cluster_nctaid.y",
    "%cluster_nctaid.z",
    "%cluster_ctarank",
    "%cluster_nctarank",
    "%is_explicit_cluster",
};
static_assert(sizeof(specialNames) / sizeof(*specialNames) ==
              static_cast<size_t>(Special::IsExplicitCluster) + 1);
} // namespace

unsigned bitsOf(Type t) {
  for (const TypeInfo &i : typeTable)
    if (i.type == t)
      return i.bits;
  return 0;
}

Type parseType(std::string_view name) {
  for (const TypeInfo &i : typeTable)
    if (name == i.name)
      return i.type;
  return Type::None;
}

const char *nameOf(Type t) {
  for (const TypeInfo &i : typeTable)
    if (i.type == t)
      return i.name;
  return "?";
}

const char *nameOf(Special s) { return specialNames[static_cast<size_t>(s)]; }

const Function *Module::findFunction(std::string_view name) const {
  for (const Function &f : functions)
    if (f.name == name && !f.isDeclaration)
      return &f;
  return nullptr;
}

const Variable *Module::findVariable(std::string_view name) const {
  for (const Variable &v : variables)
    if (v.name == name)
      return &v;
  return nullptr;
}

} // namespace attnc::emu
