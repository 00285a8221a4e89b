// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names of the vector instruction levels, and what features they need.
#include "attnc/Conversion/TileToVector/HostTarget.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/TargetParser/Host.h"

using namespace attnc;

llvm::StringRef attnc::stringifyHostISA(HostISA isa) {
  switch (isa) {
  case HostISA::Generic:
    return "generic";
  case HostISA::AVX2:
    return "avx2";
  case HostISA::AVX512:
    return "avx512";
  case HostISA::AVX512BF16:
    return "avx512bf16";
  case HostISA::AMX:
    return "amx";
  }
  return "generic";
}

std::optional<HostISA> attnc::parseHostISA(llvm::StringRef name) {
  return llvm::StringSwitch<std::optional<HostISA>>(name)
      .Case("native", detectHostISA())
      .Case("generic", HostISA::Generic)
      .Case("avx2", HostISA::AVX2)
      .Case("avx512", HostISA::AVX512)
      .Case("avx512bf16", HostISA::AVX512BF16)
      .Case("amx", HostISA::AMX)
      .Default(std::nullopt);
}

HostISA attnc::hostISAOf(const llvm::StringMap<bool> &features) {
  auto all = [&](std::initializer_list<const char *> names) {
    return llvm::all_of(names, [&](const char *name) { return features.lookup(name); });
  };
  if (!all({"avx2", "fma", "f16c"}))
    return HostISA::Generic;
  if (!all({"avx512f", "avx512bw", "avx512dq", "avx512vl"}))
    return HostISA::AVX2;
  if (!all({"avx512bf16"}))
    return HostISA::AVX512;
  return all({"amx-tile", "amx-bf16"}) ? HostISA::AMX : HostISA::AVX512BF16;
}

HostISA attnc::detectHostISA() {
  static const HostISA isa = hostISAOf(llvm::sys::getHostCPUFeatures());
  return isa;
}
