// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a variant takes, and whether tensors fit it. Used by the reference, the driver and the C
// API, before anything computes; no MLIR here.
#ifndef ATTNC_SUPPORT_BINDING_H
#define ATTNC_SUPPORT_BINDING_H

#include "attnc/Runtime/Tensor.h"
#include "attnc/Support/Element.h"
#include "attnc/Support/Failure.h"
#include "attnc/Support/SizeFormula.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace attnc {

/// An axis of a declared tensor: a named index space, or a fixed size if `space` is empty.
struct AxisDecl {
  std::string space;
  int64_t size = -1;
};

/// How seeded test values are drawn; the clause `sample` of the language. See `fillSample`.
struct SampleDecl {
  enum Distribution : uint8_t { Uniform, Normal, Sorted, Bernoulli, Geometric } distribution;
  struct Arg {
    double number = 0;
    std::string space; ///< if not empty, the argument is the size of this space
  };
  std::vector<Arg> args;
};

/// A tensor that a variant takes or yields. Without a dtype it has the one that Q, K and V share.
struct TensorDecl {
  std::string name;
  std::optional<DType> dtype;
  std::vector<AxisDecl> axes;
  std::optional<SampleDecl> sample;
  // What compiled code asks of the tensor's memory.
  bool unitLastStride = false;
  /// Every row (all dimensions but the last) must start at a multiple of this many bytes; 1 = any.
  int64_t rowAlignment = 1;
  /// An output that may be exactly this input (same memory, shape and strides): an update in place.
  std::string mayAlias = {};
};

/// A parameter of a variant.
struct ParamDecl {
  std::string name;
  bool isInteger = true;
  bool isConst = false;
  double defaultValue = 0;
  bool hasDefault = true;
};

/// An index space that a variant declares: slots, or blocks of `parent`. Block i holds the members
/// from i * stride up to i * stride + extent, as far as there are so many.
struct SpaceDecl {
  std::string name;
  std::string parent;      ///< empty for slots
  SizeFormula extent;      ///< none: slots, as many as a tensor over them has indices
  SizeFormula stride;      ///< none: the extent
  bool isFull = false;     ///< only blocks that have all of their members
  bool isOptional = false; ///< of slots: there may be none
};

/// Extent and stride of a declared space.
struct SpaceSize {
  int64_t extent = 0, stride = 0;
};

/// Everything that a variant takes and yields.
struct Signature {
  std::string name;
  std::vector<ParamDecl> params;
  std::vector<std::string> spaceNames; ///< the index spaces that formulas refer to, by index
  std::vector<SpaceDecl> spaces;       ///< in the order of their declaration
  std::vector<TensorDecl> inputs;      ///< Q, K and V among them
  std::vector<TensorDecl> outputs;
  std::vector<std::string> steps; ///< the index spaces that recurrences go along
};

/// The steps that a kernel takes at a time which suits sequences of at least as many: from there
/// on, chunks were faster than single steps in each of eight recurrences measured on the host, and
/// five of them counted on the emulator.
inline constexpr int64_t usualChunk = 64;

/// `usualChunk` if a recurrence of `signature` goes along a space of at least as many indices, else
/// 0.
int64_t suitableChunk(const Signature &signature, const std::map<std::string, int64_t> &sizes);

/// Sizes of the index spaces, and the dtype of Q, K and V.
struct BoundSizes {
  std::map<std::string, int64_t> spaces;
  std::map<std::string, SpaceSize> declared; ///< of the declared ones
  DType operandDType = DType::F32;
};

/// What tensors and parameters are bound to.
enum class BoundTo : uint8_t {
  /// The definition of a spec, in any strides. Outputs are bound or not.
  Definition,
  /// What it is compiled to, for the dtypes and fixed sizes that its signature has. Every output is
  /// bound, and memory is as loads and stores need it.
  Code,
};

/// Most indices of an axis of compiled code: coordinates are i32, with room for a tile beyond the
/// end. The definition takes any number that an i32 has.
inline constexpr int64_t maxCodeAxisSize = INT32_MAX - 65536;
/// Most elements of a tensor that a variant computes: sizes beyond it are errors, not allocations.
inline constexpr int64_t maxTensorElements = int64_t(1) << 36;

/// Checks that `inputs` binds every input of `signature` with fitting dtype, rank, shape and
/// strides, that the sizes agree with each other and that heads divide into groups, and fills in
/// `sizes`. Tensors in `outputs` are checked in the same way where they are bound; no element of
/// one shares memory with another tensor. `params` are checked by `checkParams` first, so that
/// sizes that depend on them are those of a run. The failure names the tensor, what is expected and
/// what was found: the one text of the reference, the host, CUDA, the C API and Python.
Failure checkBindings(const Signature &signature, const std::map<std::string, TensorView> &inputs,
                      const std::map<std::string, TensorView> &outputs, BoundSizes &sizes,
                      const std::map<std::string, double> &params = {},
                      BoundTo to = BoundTo::Definition);

/// The message for a name that is not `what` ("an input") of `owner`, which has those in `known`.
std::string unknownName(const std::string &name, const std::string &what, const std::string &owner,
                        const std::vector<std::string> &known);

/// Computes the sizes of the declared spaces from the others and from `params`, what `checkParams`
/// makes of the parameters. One that a tensor has fixed already must agree.
Failure sizeDeclaredSpaces(const Signature &signature, const std::vector<double> &params,
                           BoundSizes &sizes);

/// Kinds, and values for formulas, of the parameters of `signature`.
std::vector<NumberKind> kindsOfParams(const Signature &signature);
std::vector<SizeValue> valuesOfParams(const Signature &signature,
                                      const std::vector<double> &params);

/// Checks names and ranges of bound parameters; the rest have their defaults, if they have one.
/// Yields one number for each parameter of `signature`, as the kernel sees it.
Outcome<std::vector<double>> checkParams(const Signature &signature,
                                         const std::map<std::string, double> &bound,
                                         BoundTo to = BoundTo::Definition);

/// Shape of `decl` with these sizes.
std::vector<int64_t> shapeOf(const TensorDecl &decl, const BoundSizes &sizes);

/// Fills a dense row-major tensor with seeded test values. Without a sampling clause reals are
/// normal(0, 1), ints uniform(0, size(kv)) and conditions bernoulli(0.75). The values depend on the
/// seed, the name of the tensor and its shape, and are the same on every platform.
void fillSample(const TensorDecl &decl, const BoundSizes &sizes, uint64_t seed, TensorView tensor);

} // namespace attnc

#endif // ATTNC_SUPPORT_BINDING_H
