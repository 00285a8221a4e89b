// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors, numbers and sizes of Python as the C API takes them.
#include "Values.h"

using namespace attnc::python;

bool attnc::python::textOf(PyObject *object, std::string &text) {
  Py_ssize_t size = 0;
  const char *bytes = PyUnicode_AsUTF8AndSize(object, &size);
  if (bytes)
    text.assign(bytes, static_cast<size_t>(size));
  return bytes != nullptr;
}

bool attnc::python::pointerOf(PyObject *object, void *&pointer) {
  pointer = nullptr;
  if (object == Py_None)
    return true;
  pointer = PyLong_AsVoidPtr(object);
  return pointer || !PyErr_Occurred();
}

static bool sizesOf(PyObject *tuple, std::vector<int64_t> &sizes) {
  Py_ssize_t count = PyTuple_Size(tuple);
  for (Py_ssize_t i = 0; i < count; ++i) {
    long long size = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
    if (size == -1 && PyErr_Occurred())
      return false;
    sizes.push_back(size);
  }
  return count >= 0;
}

bool PackedTensors::add(PyObject *packed) {
  PyObject *name, *address, *shape, *strides;
  int deviceType, deviceId, code, bits;
  unsigned long long offset;
  if (!PyArg_ParseTuple(packed, "UO(ii)(ii)O!O!K", &name, &address, &deviceType, &deviceId, &code,
                        &bits, &PyTuple_Type, &shape, &PyTuple_Type, &strides, &offset))
    return false;
  DLTensor &tensor = tensors.emplace_back();
  std::vector<int64_t> &dims = sizes.emplace_back(), &steps = sizes.emplace_back();
  void *data = nullptr;
  if (!textOf(name, names.emplace_back()) || !pointerOf(address, data) || !sizesOf(shape, dims) ||
      !sizesOf(strides, steps))
    return false;
  if (dims.size() != steps.size()) {
    PyErr_SetString(PyExc_ValueError, "a tensor has as many strides as sizes");
    return false;
  }
  tensor.data = data;
  tensor.device = {static_cast<DLDeviceType>(deviceType), deviceId};
  tensor.ndim = static_cast<int32_t>(dims.size());
  tensor.dtype = {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
  tensor.shape = dims.data();
  tensor.strides = steps.data();
  tensor.byte_offset = offset;
  named.push_back({names.back().c_str(), &tensor});
  return true;
}

bool PackedTensors::parse(PyObject *sequence) {
  Py_ssize_t count = PySequence_Size(sequence);
  for (Py_ssize_t i = 0; i < count; ++i)
    if (Ref item(PySequence_GetItem(sequence, i)); !item || !add(item.get()))
      return false;
  return count >= 0;
}

static bool numberOf(PyObject *object, double &number) {
  number = PyFloat_AsDouble(object);
  return number != -1 || !PyErr_Occurred();
}

static bool numberOf(PyObject *object, int64_t &number) {
  number = PyLong_AsLongLong(object);
  return number != -1 || !PyErr_Occurred();
}

template <typename Named> bool PackedNumbers<Named>::parse(PyObject *dict) {
  if (!PyDict_Check(dict)) {
    PyErr_SetString(PyExc_TypeError, "numbers by name are a dict");
    return false;
  }
  PyObject *key, *value;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
    Named entry;
    if (!textOf(key, names.emplace_back()) || !numberOf(value, entry.value))
      return false;
    entry.name = names.back().c_str();
    named.push_back(entry);
  }
  return true;
}

template class attnc::python::PackedNumbers<attnc_param>;
template class attnc::python::PackedNumbers<attnc_size>;
