// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The module attnc._native: the C API for the package, and the fast path of its calls.
#include "Calls.h"
#include "Handles.h"

using namespace attnc::python;

static PyObject *load(PyObject *, PyObject *path) {
  return guarded([&]() -> PyObject * {
    PyObject *bytes = nullptr;
    if (!PyUnicode_FSConverter(path, &bytes))
      return nullptr;
    Ref owned(bytes);
    if (attnc::Failure failure = loadLibrary(PyBytes_AsString(bytes))) {
      PyErr_SetString(PyExc_OSError, failure.message().c_str());
      return nullptr;
    }
    Py_RETURN_NONE;
  });
}

static PyObject *version(PyObject *, PyObject *) {
  return isLoaded() ? PyUnicode_FromString(library().version()) : nullptr;
}

static PyObject *runMain(PyObject *, PyObject *list) {
  return guarded([&]() -> PyObject * {
    std::vector<std::string> texts;
    for (Py_ssize_t i = 0; i < PySequence_Size(list); ++i) {
      Ref item(PySequence_GetItem(list, i));
      char *text = item ? PyBytes_AsString(item.get()) : nullptr;
      if (!text)
        return nullptr;
      texts.emplace_back(text);
    }
    if (PyErr_Occurred() || !isLoaded())
      return nullptr;
    std::vector<char *> argv;
    for (std::string &text : texts)
      argv.push_back(text.data());
    argv.push_back(nullptr);
    int status;
    {
      Unlocked unlocked;
      status = library().main(static_cast<int>(texts.size()), argv.data());
    }
    return PyLong_FromLong(status);
  });
}

/// What a capsule of `__dlpack__` holds; it stays unused.
static PyObject *dlpack(PyObject *, PyObject *capsule) {
  return guarded([&]() -> PyObject * {
    auto *tensor = static_cast<const DLTensor *>(PyCapsule_GetPointer(capsule, "dltensor"));
    if (!tensor)
      return nullptr;
    auto tupleOf = [&](const int64_t *sizes) -> Ref {
      if (!sizes)
        return Ref::to(Py_None);
      Ref tuple(PyTuple_New(tensor->ndim));
      for (int i = 0; tuple && i < tensor->ndim; ++i)
        PyTuple_SetItem(tuple.get(), i, PyLong_FromLongLong(sizes[i]));
      return tuple;
    };
    int64_t none = 0;
    Ref shape = tupleOf(tensor->shape ? tensor->shape : &none), strides = tupleOf(tensor->strides);
    Ref address(PyLong_FromVoidPtr(tensor->data));
    if (!shape || !strides || !address)
      return nullptr;
    return Py_BuildValue("OiiiOOK", address.get(), int(tensor->dtype.code), int(tensor->dtype.bits),
                         int(tensor->dtype.lanes), shape.get(), strides.get(),
                         static_cast<unsigned long long>(tensor->byte_offset));
  });
}

static PyObject *useNumPyArrays(PyObject *, PyObject *type) { return useNumPy(type); }

static PyObject *useTorchTensors(PyObject *, PyObject *args) {
  return guarded([&]() -> PyObject * {
    PyObject *types, *exchange, *isGradEnabled, *isNeg;
    if (!PyArg_ParseTuple(args, "O!OOO", &PyTuple_Type, &types, &exchange, &isGradEnabled, &isNeg))
      return nullptr;
    return useTorch(types, exchange, isGradEnabled, isNeg);
  });
}

static PyObject *keepAllHandles(PyObject *, PyObject *) {
  keepHandles();
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"load", &load, METH_O, "load(path): loads libattnc; OSError if that cannot be done."},
    {"version", &version, METH_NOARGS, "attnc_version()"},
    {"main", &runMain, METH_O, "main(arguments): attnc_main, with a list of bytes."},
    {"dlpack", &dlpack, METH_O,
     "dlpack(capsule): (address, code, bits, lanes, shape, strides or None, byte offset)"},
    {"use_numpy", &useNumPyArrays, METH_O, "use_numpy(ndarray): the type of arrays."},
    {"use_torch", &useTorchTensors, METH_VARARGS,
     "use_torch(types, exchange table or None, is_grad_enabled, is_neg): PyTorch's tensors."},
    {"keep_handles", &keepAllHandles, METH_NOARGS,
     "keep_handles(): the process ends; nothing is released any more."},
    {nullptr, nullptr, 0, nullptr}};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                 "attnc._native",
                                 "The C API of attnc, and the fast path of calls. Private.",
                                 -1,
                                 functions,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr};

PyMODINIT_FUNC PyInit__native(void) {
  Ref module(PyModule_Create(&definition));
  if (!module || PyModule_AddStringConstant(module.get(), "VERSION", ATTNC_VERSION) != 0)
    return nullptr;
  for (auto [name, make] : {std::pair("Spec", &makeSpecType), std::pair("Kernel", &makeKernelType),
                            std::pair("Calls", &makeCallsType)}) {
    Ref type(make());
    if (!type || PyModule_AddObjectRef(module.get(), name, type.get()) != 0)
      return nullptr;
  }
  return module.release();
}
