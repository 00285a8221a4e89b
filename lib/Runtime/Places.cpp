// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What of a checked run depends on where its tensors are.
#include "attnc/Runtime/Places.h"
#include <algorithm>

using namespace attnc;

static TensorPlace placeOf(const TensorDecl &decl, const TensorView &view, bool isOutput) {
  TensorPlace place;
  place.isOutput = isOutput;
  if (std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end())
    return place; // no element, no memory
  int64_t unit = dtypeSize(view.dtype);
  place.end = unit;
  // checkBindings has seen that the span fits 64 bits.
  for (size_t i = 0; i < view.shape.size(); ++i) {
    int64_t span = view.strides[i] * (view.shape[i] - 1) * unit;
    (span < 0 ? place.begin : place.end) += span;
  }
  // Both are powers of two.
  place.alignment = static_cast<uint64_t>(std::max(unit, decl.rowAlignment));
  return place;
}

std::vector<TensorPlace> attnc::placesOf(const Program &program, const LaunchInputs &inputs,
                                         const PackedArguments &packed) {
  std::vector<TensorPlace> places;
  for (size_t i = 0; i < program.numTensors(); ++i) {
    const TensorDecl &decl = program.tensor(i);
    places.push_back(placeOf(decl, inputs.tensors.at(decl.name), program.isOutput(i)));
  }
  size_t slot = 0;
  for (const PackedLaunch &run : packed.launches)
    for (const KernelArg &arg : program.launches[run.launch].args) {
      if (arg.kind == KernelArg::Kind::Pointer)
        places[arg.index].slots.push_back(slot);
      ++slot;
    }
  return places;
}

bool attnc::plainlyFit(const std::vector<TensorPlace> &places,
                       const std::vector<uint64_t> &addresses) {
  for (size_t i = 0; i < places.size(); ++i) {
    const TensorPlace &place = places[i];
    if (place.begin == place.end)
      continue;
    if (addresses[i] == 0 || addresses[i] % place.alignment != 0)
      return false;
    for (size_t j = 0; place.isOutput && j < places.size(); ++j) {
      const TensorPlace &other = places[j];
      if (i == j || other.begin == other.end)
        continue;
      // A distance of 64 bits that wraps around: no sum of an address and a length can overflow.
      auto gap = static_cast<int64_t>(addresses[j] - addresses[i]);
      bool isApart = gap >= place.end - other.begin || gap <= place.begin - other.end;
      if (!isApart)
        return false;
    }
  }
  return true;
}
