// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Plans of calls: how they are found, launched and kept.
#include "Calls.h"
#include "Handles.h"
#include <algorithm>

using namespace attnc::python;

/// With fewer elements than this a launch takes some microseconds, less than it can take to get the
/// interpreter's lock back.
constexpr int64_t fewElements = 1 << 14;

static bool namesOf(PyObject *tuple, std::vector<Ref> &names) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(tuple); ++i) {
    PyObject *name = PyTuple_GetItem(tuple, i);
    Py_XINCREF(name);
    PyUnicode_InternInPlace(&name);
    names.emplace_back(name);
  }
  return !PyErr_Occurred();
}

bool Calls::declare(PyObject *inputNames, PyObject *otherNames, PyObject *outputNames,
                    PyObject *paramList) {
  if (!namesOf(inputNames, inputs) || !namesOf(otherNames, aliases) ||
      !namesOf(outputNames, outputs))
    return false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::string name;
    if (!textOf(outputs[i].get(), name))
      return false;
    if (name == "out")
      out = i;
    if (name == "lse")
      lse = i;
  }
  for (Py_ssize_t i = 0; i < PyTuple_Size(paramList); ++i) {
    PyObject *name;
    int isInKey, isConst;
    if (!PyArg_ParseTuple(PyTuple_GetItem(paramList, i), "Upp", &name, &isInKey, &isConst))
      return false;
    Param &param = params.emplace_back();
    param.isInKey = isInKey;
    param.isConst = isConst;
    if (!textOf(name, param.text))
      return false;
    Py_INCREF(name);
    PyUnicode_InternInPlace(&name);
    paramNames.emplace_back(name);
  }
  return !PyErr_Occurred();
}

/// The index of a name; SIZE_MAX if it is not there. Names that a call writes are interned.
static size_t indexOf(const std::vector<Ref> &names, PyObject *name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i].get() == name)
      return i;
  for (size_t i = 0; i < names.size(); ++i)
    if (PyUnicode_Compare(names[i].get(), name) == 0)
      return i;
  return SIZE_MAX;
}

/// A parameter; false, without an exception, for what Python has to look at.
static bool numberOf(PyObject *value, double &number) {
  if (PyFloat_Check(value))
    number = PyFloat_AsDouble(value);
  else if (PyLong_Check(value) && !PyBool_Check(value))
    number = PyLong_AsDouble(value);
  else
    return false;
  if (number != -1 || !PyErr_Occurred())
    return true;
  PyErr_Clear();
  return false;
}

/// False for what Python has to look at: unknown names, names that are given twice.
bool Calls::fill(Call &call, PyObject *name, PyObject *value) const {
  if (!PyUnicode_Check(name))
    return false;
  if (size_t i = indexOf(inputs, name); i != SIZE_MAX) {
    if (call.inputs[i])
      return false;
    call.inputs[i] = value;
    return true;
  }
  if (size_t i = indexOf(paramNames, name); i != SIZE_MAX) {
    call.isGiven[i] = true;
    return numberOf(value, call.params[i]);
  }
  size_t i = indexOf(aliases, name);
  if (i >= inputs.size() || call.inputs[i])
    return false;
  call.inputs[i] = value;
  return true;
}

bool Calls::fillOutput(Call &call, PyObject *name, PyObject *value) const {
  size_t i = PyUnicode_Check(name) ? indexOf(outputs, name) : SIZE_MAX;
  if (i == SIZE_MAX || call.outputs[i] || value == Py_None)
    return false;
  call.outputs[i] = value;
  return true;
}

bool Calls::lookUp(const Call &call, Gradients gradients, Key &key, Place *places) const {
  uint64_t given = 0;
  for (size_t i = 0; i < outputs.size(); ++i)
    given |= uint64_t(call.outputs[i] != nullptr) << i;
  key.add(given);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!call.inputs[i] || !describe(call.inputs[i], gradients, key, places[i]))
      return false;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (call.outputs[i] && !describe(call.outputs[i], gradients, key, places[inputs.size() + i]))
      return false;
  for (size_t i = 0; i < params.size(); ++i)
    if (params[i].isInKey) {
      key.add(uint64_t(call.isGiven[i]));
      if (call.isGiven[i])
        key.add(call.params[i]);
    }
  return key.isWhole();
}

std::shared_ptr<Plan> Calls::find(const Key &key) const {
  auto [from, to] = plans.equal_range(key.hash());
  for (auto it = from; it != to; ++it)
    if (std::equal(it->second->key.begin(), it->second->key.end(), key.data(),
                   key.data() + key.size()))
      return it->second;
  return nullptr;
}

Calls::Result Calls::run(const Call &call, Gradients gradients, Outputs &results) {
  Key key;
  Place places[2 * mostTensors];
  if (!lookUp(call, gradients, key, places))
    return Result::Unknown;
  std::shared_ptr<Plan> plan = find(key); // another thread may forget it while this one launches
  bool isOnGpu = !inputs.empty() && places[0].deviceType == kDLCUDA;
  // Below autograd, workspace on a GPU is PyTorch's.
  if (!plan || (isOnGpu && plan->needsWorkspace && gradients == Gradients::DoNotMatter))
    return Result::Unknown;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (call.outputs[i]) {
      results[i] = Ref::to(call.outputs[i]);
      continue;
    }
    results[i] = Ref(PyObject_CallNoArgs(plan->makers[i].get()));
    if (!results[i])
      return Result::Error;
    // The plan's kernel is for rows at multiples of 16 bytes, as allocators give.
    Key ignored;
    Place &place = places[inputs.size() + i];
    if (!describe(results[i].get(), Gradients::DoNotMatter, ignored, place) || place.address % 16 ||
        place.deviceType != places[0].deviceType || place.deviceId != places[0].deviceId)
      return Result::Unknown;
  }
  return launch(*plan, call, places);
}

/// Whether a launch has been prepared for these parameters, in the same order.
static bool isFor(const Prepared &prepared, const attnc_param *params, size_t count) {
  // Bits, as NaN is a value too.
  auto isSame = [](const attnc_param &a, const attnc_param &b) {
    return a.name == b.name && std::memcmp(&a.value, &b.value, sizeof a.value) == 0;
  };
  return std::equal(prepared.params.begin(), prepared.params.end(), params, params + count, isSame);
}

/// Checks a launch anew, for parameters that there was none for, and runs it.
static attnc_status prepareAndRun(const Plan &plan, void *const *data, Prepared &made,
                                  attnc_kernel *kernel, void *stream) {
  std::vector<DLTensor> described;
  std::vector<attnc_tensor> named(plan.tensors.data(), plan.tensors.data() + plan.tensors.size());
  for (size_t i = 0; i < named.size(); ++i) {
    described.push_back(plan.tensors[i]);
    described.back().data = data[i];
    described.back().byte_offset = 0;
  }
  for (size_t i = 0; i < named.size(); ++i)
    named[i].tensor = &described[i];
  attnc_status status = library().launch_prepare(
      kernel, named.data(), named.size(), made.params.data(), made.params.size(), &made.launch);
  return status ? status : library().launch_run_with_workspace(made.launch, nullptr, 0, stream);
}

Calls::Result Calls::launch(Plan &plan, const Call &call, const Place *places) {
  attnc_param given[mostParams];
  size_t count = 0;
  for (size_t i = 0; i < params.size(); ++i)
    if (call.isGiven[i] && !params[i].isConst)
      given[count++] = {params[i].text.c_str(), call.params[i]};
  void *data[2 * mostTensors];
  size_t numTensors = inputs.size() + outputs.size();
  for (size_t i = 0; i < numTensors; ++i)
    data[i] = reinterpret_cast<void *>(static_cast<uintptr_t>(places[i].address));
  bool isOnGpu = places[0].deviceType == kDLCUDA;
  void *stream = nullptr;
  if (isOnGpu && !currentStream(places[0].deviceId, stream))
    return Result::Unknown;
  std::shared_ptr<Prepared> prepared;
  for (const std::shared_ptr<Prepared> &each : plan.prepared)
    if (each && isFor(*each, given, count))
      prepared = each;
  attnc_status status;
  bool isWorthUnlocking = plan.isWorthUnlocking || isOnGpu;
  if (prepared) {
    Unlocked unlocked(isWorthUnlocking);
    status = library().launch_run_on(prepared->launch, data, numTensors, nullptr, 0, stream);
  } else {
    attnc_kernel *kernel = kernelOf(plan.kernel.get());
    prepared = std::make_shared<Prepared>();
    prepared->params.assign(given, given + count);
    {
      Unlocked unlocked(isWorthUnlocking);
      status = prepareAndRun(plan, data, *prepared, kernel, stream);
    }
    if (status == ATTNC_OK)
      plan.prepared[plan.next++ % plan.prepared.size()] = prepared;
  }
  if (status == ATTNC_OK)
    return Result::Done;
  if (status == ATTNC_INVALID_ARGUMENT)
    return Result::Unknown; // nothing was written; Python says what does not fit
  raise(status);
  return Result::Error;
}

static PyObject *notImplemented() { return Ref::to(Py_NotImplemented).release(); }

PyObject *Calls::answer(const Outputs &results, bool returnLse, bool returnOutputs) const {
  if (!returnOutputs && returnLse)
    return PyTuple_Pack(2, results[out].get(), results[lse].get());
  if (!returnOutputs && (out != SIZE_MAX || outputs.size() == 1))
    return Ref(results[out != SIZE_MAX ? out : 0]).release();
  Ref dict(PyDict_New());
  for (size_t i = 0; dict && i < outputs.size(); ++i)
    if (PyDict_SetItem(dict.get(), outputs[i].get(), results[i].get()) != 0)
      return nullptr;
  return dict.release();
}

PyObject *Calls::call(PyObject *tensors, PyObject *named, PyObject *givenOut, PyObject *givenLse,
                      PyObject *given, bool returnLse, bool returnOutputs) {
  Call call;
  auto count = static_cast<size_t>(PyTuple_Size(tensors));
  if (plans.empty() || count > inputs.size() || (returnLse && (out == SIZE_MAX || lse == SIZE_MAX)))
    return notImplemented();
  for (size_t i = 0; i < count; ++i)
    call.inputs[i] = PyTuple_GetItem(tensors, static_cast<Py_ssize_t>(i));
  PyObject *name, *value;
  for (Py_ssize_t at = 0; PyDict_Next(named, &at, &name, &value);)
    if (!fill(call, name, value))
      return notImplemented();
  for (auto [which, index] : {std::pair(givenOut, out), std::pair(givenLse, lse)}) {
    if (which == Py_None)
      continue;
    if (index == SIZE_MAX)
      return notImplemented();
    call.outputs[index] = which;
  }
  if (given != Py_None && !PyDict_Check(given))
    return notImplemented();
  for (Py_ssize_t at = 0; given != Py_None && PyDict_Next(given, &at, &name, &value);)
    if (!fillOutput(call, name, value))
      return notImplemented();
  Outputs results;
  switch (run(call, Gradients::Matter, results)) {
  case Result::Done:
    return answer(results, returnLse, returnOutputs);
  case Result::Unknown:
    return notImplemented();
  case Result::Error:
    break;
  }
  return nullptr;
}

PyObject *Calls::positional(PyObject *args) {
  Call call;
  auto count = static_cast<size_t>(PyTuple_Size(args));
  if (plans.empty() || count != inputs.size() + params.size())
    return notImplemented();
  for (size_t i = 0; i < count; ++i) {
    PyObject *value = PyTuple_GetItem(args, static_cast<Py_ssize_t>(i));
    if (i < inputs.size()) {
      call.inputs[i] = value;
      continue;
    }
    call.isGiven[i - inputs.size()] = true;
    if (!numberOf(value, call.params[i - inputs.size()]))
      return notImplemented();
  }
  Outputs results;
  switch (run(call, Gradients::DoNotMatter, results)) {
  case Result::Done:
    break;
  case Result::Unknown:
    return notImplemented();
  case Result::Error:
    return nullptr;
  }
  Ref tuple(PyTuple_New(static_cast<Py_ssize_t>(outputs.size())));
  for (size_t i = 0; tuple && i < outputs.size(); ++i)
    PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i), results[i].release());
  return tuple.release();
}

static int64_t elementsOf(const DLTensor &tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor.ndim; ++i)
    count = std::min(count * std::min(tensor.shape[i], fewElements), fewElements);
  return count;
}

PyObject *Calls::store(PyObject *inputValues, PyObject *outputValues, PyObject *paramValues,
                       PyObject *kernel, PyObject *packed, PyObject *makers, bool needsWorkspace) {
  if (inputs.size() > mostTensors || outputs.size() > mostTensors || params.size() > mostParams)
    Py_RETURN_NONE;
  Call call;
  auto plan = std::make_shared<Plan>();
  auto borrow = [](PyObject *dict, const Ref &name) {
    return PyDict_GetItemWithError(dict, name.get());
  };
  for (size_t i = 0; i < inputs.size(); ++i)
    call.inputs[i] = borrow(inputValues, inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) {
    call.outputs[i] = borrow(outputValues, outputs[i]);
    plan->makers.push_back(Ref::to(borrow(makers, outputs[i])));
    if (!call.outputs[i] && !plan->makers.back())
      Py_RETURN_NONE;
  }
  for (size_t i = 0; i < params.size(); ++i)
    if (PyObject *value = borrow(paramValues, paramNames[i])) {
      call.isGiven[i] = true;
      if (!numberOf(value, call.params[i]))
        Py_RETURN_NONE;
    }
  Key key;
  Place places[2 * mostTensors];
  // The call has been made, so that gradients did not matter to it.
  if (PyErr_Occurred() || !kernelOf(kernel) || !plan->tensors.parse(packed))
    return nullptr;
  if (plan->tensors.size() != inputs.size() + outputs.size() ||
      !lookUp(call, Gradients::DoNotMatter, key, places))
    Py_RETURN_NONE;
  for (const auto &values : {call.inputs, call.outputs})
    for (PyObject *value : values)
      if (value) {
        Ref dtype(PyObject_GetAttrString(value, "dtype"));
        if (!dtype)
          return nullptr;
        plan->dtypes.push_back(std::move(dtype));
      }
  plan->key.assign(key.data(), key.data() + key.size());
  plan->kernel = Ref::to(kernel);
  plan->needsWorkspace = needsWorkspace;
  int64_t elements = 0;
  for (size_t i = 0; i < plan->tensors.size(); ++i)
    elements += elementsOf(plan->tensors[i]);
  plan->isWorthUnlocking = elements >= fewElements;
  auto [from, to] = plans.equal_range(key.hash());
  for (auto it = from; it != to; ++it)
    if (it->second->key == plan->key) {
      it->second.swap(plan); // the old one goes when nothing refers to the map's any more
      Py_RETURN_NONE;
    }
  if (plans.size() >= mostPlans) {
    // What goes may call back into Python, which may look at the map.
    auto gone = std::move(plans);
    plans.clear();
  }
  plans.emplace(key.hash(), std::move(plan));
  Py_RETURN_NONE;
}
