// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table; see Forms.h. `{a|b}` stands for one of its parts, `[a]` for an optional one, and a
// capital letter for one of the lists below. An empty alternative of `{..}` is allowed.
#include "Forms.h"
#include "attnc/Emulator/Emulator.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace attnc::emu {
namespace {

const std::map<char, const char *> lists = {
    {'I', "{u16|u32|u64|s16|s32|s64}"},
    {'J', "{u32|u64|s32|s64}"},
    {'B', "{b16|b32|b64}"},
    {'N', "{u8|u16|u32|u64|s8|s16|s32|s64}"},
    {'R', "{rn|rz|rm|rp}"},
    {'Q', "{rni|rzi|rmi|rpi}"},
    {'C', "{eq|ne|lt|le|gt|ge}"},
    {'D', "{eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan}"},
    {'L', "[.{and|or|xor}]"},
    {'H', "{f16|f16x2}"},
    {'K', "{bf16|bf16x2}"},
};

const char *const table[] = {
    // Integers.
    "add.I",
    "sub.I",
    "{add|sub}.sat.s32",
    "{add|sub}.cc.J",
    "{addc|subc}[.cc].J",
    "mul.{lo|hi}.I",
    "mul.wide.{u16|u32|s16|s32}",
    "mad.{lo|hi}.I",
    "mad.wide.{u16|u32|s16|s32}",
    "mad.hi.sat.s32",
    "mad.lo.cc.{u32|s32}",
    "madc.{lo|hi}[.cc].{u32|s32}",
    "mul24.lo.{u32|s32}",
    "mad24.lo.{u32|s32}",
    "{div|rem|sad|min|max}.I",
    "{add|min|max}.{u16x2|s16x2}",
    "{min|max}.relu.{s32|s16x2}",
    "{neg|abs}.{s16|s32|s64}",
    "{and|or|xor|not}.{pred|b16|b32|b64}",
    "cnot.B",
    "lop3.b32",
    "shl.B",
    "shr.{b16|b32|b64|u16|u32|u64|s16|s32|s64}",
    "shf.{l|r}.{wrap|clamp}.b32",
    "{popc|clz|brev}.{b32|b64}",
    "bfind[.shiftamt].J",
    "bfe.J",
    "bfi.{b32|b64}",
    "prmt.b32[.{f4e|b4e|rc8|ecl|ecr|rc16}]",
    "dp4a.{u32|s32}.{u32|s32}",
    "dp2a.{lo|hi}.{u32|s32}.{u32|s32}",
    "bmsk.{wrap|clamp}.b32",
    "szext.{wrap|clamp}.{u32|s32}",
    // Floats.
    "{add|sub|mul}[.R][.ftz][.sat].f32",
    "{add|sub|mul}[.R].f64",
    "{add|sub|mul}[.rn][.ftz][.sat].H",
    "{add|sub|mul}[.rn].K",
    "{add|sub|mul}[.R][.ftz].f32x2",
    "{fma|mad}.R[.ftz][.sat].f32",
    "{fma|mad}.R.f64",
    "fma.rn[.ftz][.{sat|relu}].H",
    "fma.rn[.relu].K",
    "fma.R[.ftz].f32x2",
    "div.{approx|full|rn|rz|rm|rp}[.ftz].f32",
    "div.R.f64",
    "{neg|abs}[.ftz].f32",
    "{neg|abs}.f64",
    "{neg|abs}[.ftz].H",
    "{neg|abs}.K",
    "{min|max}[.ftz][.NaN][.xorsign.abs].f32",
    "{min|max}.f64",
    "{min|max}[.ftz][.NaN][.xorsign.abs].H",
    "{min|max}[.NaN][.xorsign.abs].K",
    "{rcp|sqrt}.{approx|rn|rz|rm|rp}[.ftz].f32",
    "{rcp|sqrt}.R.f64",
    "rsqrt.approx[.ftz].f32",
    "rsqrt.approx.f64",
    "{ex2|lg2|sin|cos}.approx[.ftz].f32",
    "ex2.approx.H",
    "ex2.approx.ftz.K",
    "tanh.approx.{f32|f16|f16x2|bf16|bf16x2}",
    "testp.{finite|infinite|number|notanumber|normal|subnormal}.{f32|f64}",
    "copysign.{f32|f64}",
    // Comparisons and selections.
    "setp.{eq|ne}L.B",
    "setp.CL.I",
    "setp.{lo|ls|hi|hs}L.{u16|u32|u64}",
    "setp.DL[.ftz].f32",
    "setp.DL.f64",
    "setp.DL[.ftz].f16",
    "setp.DL.bf16",
    "setp.DL[.ftz].f16x2",
    "setp.DL.bf16x2",
    "set.{eq|ne}L.{u32|s32|f32}.B",
    "set.CL.{u32|s32|f32}.I",
    "set.{lo|ls|hi|hs}L.{u32|s32|f32}.{u16|u32|u64}",
    "set.DL[.ftz].{u32|s32|f32}.f32",
    "set.DL.{u32|s32|f32}.f64",
    "set.DL[.ftz].{u16|s16|u32|s32|f16}.f16",
    "set.DL.{u16|s16|u32|s32|bf16}.bf16",
    "set.DL[.ftz].{u32|s32|f16x2}.f16x2",
    "set.DL.{u32|s32|bf16x2}.bf16x2",

    "selp.{b16|b32|b64|u16|u32|u64|s16|s32|s64|f32|f64}",
    "mov.{pred|b16|b32|b64|b128|u16|u32|u64|s16|s32|s64|f32|f64}",
    // Conversions.
    "cvt.N.N",
    // .sat only where the destination cannot hold every value of the source.
    "cvt.sat.{u8|s8}.{u16|u32|u64|s16|s32|s64}",
    "cvt.sat.{u8.s8|s8.u8|u16.s8|u16.s16|s16.u16}",
    "cvt.sat.{u16|s16}.{u32|u64|s32|s64}",
    "cvt.sat.{u32|s32}.{u64|s64}",
    "cvt.sat.u32.{s8|s16|s32}",
    "cvt.sat.s32.u32",
    "cvt.sat.u64.{s8|s16|s32|s64}",
    "cvt.sat.s64.u64",

    "cvt.R[.sat].{f16|f32|f64}.N",
    "cvt.Q[.ftz][.sat].N.f32",
    "cvt.Q[.sat].N.{f16|f64}",
    "cvt.R[.ftz][.sat].f32.f64",
    "cvt[.ftz][.sat].{f32.f16|f64.f32}",
    "cvt[.sat].f64.f16",
    "cvt.{rn|rz|rm|rp}[.ftz][.sat].f16.f32",
    "cvt.{rn|rz|rm|rp}[.sat].f16.f64",
    "cvt.{rn|rz}.relu.f16.f32",
    "cvt.{rn|rz}[.relu].bf16.f32",
    "cvt.f32.bf16",
    "cvt[.Q][.ftz][.sat].f32.f32",
    "cvt[.Q][.sat].f64.f64",
    "cvt[.Q][.sat].f16.f16",
    "cvt.{rn|rz}[.relu].{f16x2|bf16x2}.f32",
    "cvt.rna[.satfinite].tf32.f32",
    "cvt.{rn|rz}[.relu].tf32.f32",
    "cvt.{rn|rz}.satfinite[.relu].{f16|bf16|f16x2|bf16x2}.f32",
    "cvt.R.{f16.bf16|bf16.f16|bf16.f64}",
    "cvt.{rm|rp}.bf16.f32",
    "cvt.R.ftz.bf16.f32",
    "cvt[.Q].bf16.bf16",
    "cvt.R.bf16.I",
    "cvt.Q.I.bf16",
    "cvt.f64.bf16",
    "cvt.ftz.f32.bf16",

    "cvt.rn.satfinite[.relu].{e4m3x2|e5m2x2}.{f32|f16x2}",
    "cvt.rn[.relu].f16x2.{e4m3x2|e5m2x2}",
};

/// Atomics and reductions, without state space, ordering, scope and cache hints. Vectors exist in
/// global memory only.
const char *const atomicTable[] = {
    "{atom|red}.add.{u32|s32|u64|f32|f64}",
    "{atom|red}.{min|max}.{u32|s32|u64|s64}",
    "{atom|red}.{and|or|xor}.{b32|b64}",
    "{atom|red}.{inc|dec}.u32",
    "atom.exch.{b32|b64|b128}",
    "atom.cas.{b16|b32|b64|b128}",
    "{atom|red}.add.noftz.{f16|f16x2|bf16|bf16x2}",
    "{atom|red}.add.{v2|v4}.f32",
    "{atom|red}.{add|min|max}.noftz.{v2|v4|v8}.{f16|bf16}",
    "{atom|red}.{add|min|max}.noftz.{v2|v4}.{f16x2|bf16x2}",
};

using Strings = std::vector<std::string>;

/// All spellings of a pattern.
Strings expand(const std::string &p) {
  size_t at = p.find_first_of("{[");
  if (at == p.npos)
    return {p};
  char open = p[at], close = open == '{' ? '}' : ']';
  size_t end = at;
  for (int depth = 0;; ++end) { // the matching bracket
    depth += (p[end] == '{' || p[end] == '[') - (p[end] == '}' || p[end] == ']');
    if (!depth)
      break;
  }
  std::string inside = p.substr(at + 1, end - at - 1);
  Strings choices;
  if (open == '[') {
    choices = {"", inside};
  } else {
    for (size_t from = 0;;) {
      size_t bar = inside.find('|', from);
      choices.push_back(inside.substr(from, bar == inside.npos ? bar : bar - from));
      if (bar == inside.npos)
        break;
      from = bar + 1;
    }
  }
  (void)close;
  Strings result;
  for (const std::string &c : choices)
    for (std::string &s : expand(p.substr(0, at) + c + p.substr(end + 1)))
      result.push_back(std::move(s));
  return result;
}

std::string substituteLists(const char *pattern) {
  std::string s;
  for (const char *c = pattern; *c; ++c) {
    // A list stands where a modifier would: after a dot, or as the suffix of a comparison.
    auto it = lists.find(*c);
    bool alone = c == pattern || c[-1] == '.' || (*c == 'L' && c[-1] != 'N');
    s += it != lists.end() && alone && !(c[0] == 'N' && c[1] == 'a') ? it->second
                                                                     : std::string(1, *c);
  }
  return s;
}

Strings split(const std::string &s) {
  Strings parts;
  for (size_t from = 0;;) {
    size_t dot = s.find('.', from);
    parts.push_back(s.substr(from, dot == s.npos ? dot : dot - from));
    if (dot == s.npos)
      return parts;
    from = dot + 1;
  }
}

/// Modifiers in an order of their own; types keep theirs, because their order has a meaning.
std::string canonical(const Strings &mods) {
  Strings flags, types;
  for (const std::string &m : mods)
    (parseType(m) == Type::None ? flags : types).push_back(m);
  std::sort(flags.begin(), flags.end());
  std::string key;
  for (const Strings *list : {&flags, &types})
    for (const std::string &m : *list)
      key += "." + m;
  return key;
}

/// The patterns of each opcode, unexpanded.
const std::unordered_map<std::string, Strings> &patterns() {
  static const auto map = [] {
    std::unordered_map<std::string, Strings> m;
    for (const char *t : table) {
      std::string p = substituteLists(t);
      size_t end = p[0] == '{' ? p.find('}') + 1 : p.find_first_of(".[");
      for (const std::string &op : expand(p.substr(0, end)))
        m[op].push_back(op + p.substr(end));
    }
    return m;
  }();
  return map;
}

} // namespace

bool hasForms(const std::string &opcode) { return patterns().count(opcode); }

bool isForm(const Instr &i) {
  static std::unordered_map<std::string, std::set<std::string>> expanded;
  auto [it, isNew] = expanded.try_emplace(i.opcode);
  if (isNew)
    for (const std::string &p : patterns().at(i.opcode))
      for (const std::string &form : expand(p)) {
        Strings parts = split(form);
        it->second.insert(canonical(Strings(parts.begin() + 1, parts.end())));
      }
  return it->second.count(canonical(i.mods));
}

bool isAtomicForm(const std::string &form) {
  static const std::set<std::string> all = [] {
    Strings forms = atomicForms();
    return std::set<std::string>(forms.begin(), forms.end());
  }();
  return all.count(form);
}

std::vector<std::string> atomicForms() {
  Strings all;
  for (const char *t : atomicTable)
    for (std::string &form : expand(t))
      all.push_back(std::move(form));
  return all;
}

std::vector<std::string> scalarForms() {
  std::set<std::string> all;
  for (auto &[op, list] : patterns())
    for (const std::string &p : list)
      for (const std::string &form : expand(p))
        all.insert(form);
  return {all.begin(), all.end()};
}

} // namespace attnc::emu
