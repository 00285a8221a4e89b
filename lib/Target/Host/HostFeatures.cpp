// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Features of x86-64 CPUs, by the tables that LLVM has of levels and of what a feature implies.
#include "attnc/Target/Host/HostFeatures.h"
#include "attnc/Runtime/CpuFeatures.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/X86TargetParser.h"

using namespace attnc;
using llvm::createStringError;
using llvm::formatv;

namespace {
constexpr llvm::StringLiteral kLevels[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

/// True for each feature that is there, false for one that LLVM can detect and that is not.
using FeatureSet = llvm::StringMap<bool>;
} // namespace

/// What LLVM finds, without what a process may not use: Linux gives the registers of a matrix unit
/// only to those that ask, and may refuse.
static const FeatureSet &detected() {
  static const FeatureSet features = [] {
    FeatureSet found = llvm::sys::getHostCPUFeatures();
    for (auto &feature : found)
      if (feature.second && feature.first().starts_with("amx-"))
        feature.second = missingCpuFeatures({feature.first().str()}).empty();
    return found;
  }();
  return features;
}

static std::vector<std::string> namesIn(const FeatureSet &features) {
  std::vector<std::string> names;
  for (auto &feature : features)
    if (feature.second && detected().count(feature.first()))
      names.push_back(feature.first().str());
  llvm::sort(names);
  return names;
}

const HostFeatures &HostFeatures::native() {
  static const HostFeatures features = [] {
    HostFeatures result;
    result.isa = hostISAOf(detected());
    result.cpu = llvm::sys::getHostCPUName().str();
    result.required = namesIn(detected());
    for (auto &feature : detected())
      result.changes.push_back((feature.second ? "+" : "-") + feature.first().str());
    return result;
  }();
  return features;
}

/// What LLVM says of a level, with all that it implies.
static FeatureSet featuresOf(llvm::StringRef level) {
  llvm::SmallVector<llvm::StringRef> names;
  llvm::X86::getFeaturesForCPU(level, names);
  FeatureSet features;
  for (llvm::StringRef name : names) {
    features[name] = true;
    llvm::X86::updateImpliedFeatures(name, /*Enabled=*/true, features);
  }
  return features;
}

/// The known feature that `name` may be meant to be, as a hint; empty if none is near.
static std::string hintFor(llvm::StringRef name) {
  llvm::StringRef nearest;
  unsigned distance = 3; // further away is no typing error
  for (auto &feature : detected())
    if (unsigned d = name.edit_distance(feature.first(), /*AllowReplacements=*/true, distance);
        d < distance || (d == distance && !nearest.empty() && feature.first() < nearest)) {
      distance = d;
      nearest = feature.first();
    }
  return nearest.empty() ? "" : formatv("; did you mean `{0}`?", nearest).str();
}

llvm::Expected<HostFeatures> HostFeatures::parse(llvm::StringRef text) {
  llvm::SmallVector<llvm::StringRef> parts;
  text.split(parts, ',');
  HostFeatures result = native();
  FeatureSet features = detected();
  bool changed = false;
  for (auto [i, part] : llvm::enumerate(parts)) {
    llvm::StringRef name = part;
    bool add = name.consume_front("+");
    if (!add && !name.consume_front("-")) {
      if (i == 0 && part == "native")
        continue;
      if (i != 0 || !llvm::is_contained(kLevels, part))
        return createStringError(
            formatv("`{0}`: expected native, x86-64, x86-64-v2, x86-64-v3 or x86-64-v4, then "
                    "features such as +avx2 or -fma, separated by commas",
                    part));
      result.cpu = part.str();
      result.changes.clear();
      features = featuresOf(part);
      changed = true;
      continue;
    }
    if (!detected().count(name))
      return createStringError(
          formatv("`{0}` is no feature of x86-64 CPUs{1}", name, hintFor(name)));
    features[name] = add;
    llvm::X86::updateImpliedFeatures(name, add, features);
    result.changes.push_back(part.str());
    changed = true;
  }
  if (changed) {
    result.isa = hostISAOf(features);
    result.required = namesIn(features);
  }
  return result;
}
