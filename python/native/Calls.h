// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calls that have been made before: what a call with tensors of these shapes, strides, dtypes and
// devices launches is kept, and another such call patches addresses only. Everything that the C API
// checks about addresses and parameters it checks in each of them. What is not known, or fails, is
// left to Python, whose checks say what is wrong.
#ifndef ATTNC_PYTHON_NATIVE_CALLS_H
#define ATTNC_PYTHON_NATIVE_CALLS_H

#include "Tensors.h"
#include "Values.h"
#include <memory>
#include <unordered_map>

namespace attnc::python {

/// Most tensors and parameters of a spec whose calls are kept.
constexpr size_t mostTensors = 24, mostParams = 24;
/// Plans that are kept for a spec: with more, all are forgotten.
constexpr size_t mostPlans = 256;

/// A call as it comes.
struct Call {
  std::array<PyObject *, mostTensors> inputs{}, outputs{}; ///< borrowed; null: not given
  std::array<bool, mostParams> isGiven{};
  std::array<double, mostParams> params{};
};

/// A launch that the library has checked, for some values of parameters.
struct Prepared {
  std::vector<attnc_param> params;
  attnc_launch *launch = nullptr;

  Prepared() = default;
  Prepared(const Prepared &) = delete;
  Prepared &operator=(const Prepared &) = delete;
  ~Prepared() { library().launch_destroy(launch); }
};

/// What calls with the same key launch. Tensors are in the order of the spec: inputs, outputs.
struct Plan {
  std::vector<uint64_t> key;
  Ref kernel; ///< goes last: it waits for a GPU before it unloads code
  PackedTensors tensors;
  std::vector<Ref> makers; ///< of outputs: makes one that is not given
  std::vector<Ref> dtypes; ///< those that the key names
  bool needsWorkspace = false;
  bool isWorthUnlocking = false;
  /// The last ones, for calls that take turns with a few values of parameters.
  std::array<std::shared_ptr<Prepared>, 4> prepared;
  size_t next = 0;
};

/// The plans of a spec or kernel.
class Calls {
public:
  /// inputs, outputs: tuples of names; aliases: other names of the inputs, or the same ones;
  /// params: a tuple of (name, whether a plan depends on its value, whether it is const). False
  /// with an exception.
  bool declare(PyObject *inputs, PyObject *aliases, PyObject *outputs, PyObject *params);

  /// The result, a new reference; NotImplemented if Python has to make this call; null with an
  /// exception.
  PyObject *call(PyObject *tensors, PyObject *named, PyObject *out, PyObject *lse, PyObject *given,
                 bool returnLse, bool returnOutputs);
  /// The outputs as a tuple, for all tensors and then all parameters in `args`; as `call`
  /// otherwise.
  PyObject *positional(PyObject *args);
  /// Keeps a call that Python has made.
  PyObject *store(PyObject *inputs, PyObject *outputs, PyObject *params, PyObject *kernel,
                  PyObject *packed, PyObject *makers, bool needsWorkspace);

  size_t size() const { return plans.size(); }
  void clear() { plans.clear(); }

private:
  using Outputs = std::array<Ref, mostTensors>;
  enum class Result : uint8_t { Done, Unknown, Error };

  bool fill(Call &call, PyObject *name, PyObject *value) const;
  bool fillOutput(Call &call, PyObject *name, PyObject *value) const;
  bool lookUp(const Call &call, Gradients gradients, Key &key, Place *places) const;
  std::shared_ptr<Plan> find(const Key &key) const;
  /// Makes the outputs that are not given, and launches.
  Result run(const Call &call, Gradients gradients, Outputs &outputs);
  Result launch(Plan &plan, const Call &call, const Place *places);
  PyObject *answer(const Outputs &outputs, bool returnLse, bool returnOutputs) const;

  struct Param {
    std::string text;
    bool isInKey = false, isConst = false;
  };
  std::vector<Ref> inputs, aliases, outputs, paramNames; ///< interned
  std::vector<Param> params;
  size_t out = SIZE_MAX, lse = SIZE_MAX; ///< of the outputs
  std::unordered_multimap<uint64_t, std::shared_ptr<Plan>> plans;
};

/// The type attnc._native.Calls; null with an exception.
PyObject *makeCallsType();

} // namespace attnc::python

#endif // ATTNC_PYTHON_NATIVE_CALLS_H
