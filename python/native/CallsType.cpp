// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The type attnc._native.Calls.
#include "Calls.h"

using namespace attnc::python;

namespace {

struct CallsObject {
  PyObject_HEAD Calls *calls;
};

Calls &callsOf(PyObject *self) { return *reinterpret_cast<CallsObject *>(self)->calls; }

PyObject *create(PyTypeObject *type, PyObject *args, PyObject *) {
  return guarded([&]() -> PyObject * {
    PyObject *inputs, *aliases, *outputs, *params;
    if (!isLoaded() || !PyArg_ParseTuple(args, "O!O!O!O!", &PyTuple_Type, &inputs, &PyTuple_Type,
                                         &aliases, &PyTuple_Type, &outputs, &PyTuple_Type, &params))
      return nullptr;
    auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
    Ref self(allocate(type, 0));
    if (!self)
      return nullptr;
    auto *calls = new Calls;
    reinterpret_cast<CallsObject *>(self.get())->calls = calls;
    return calls->declare(inputs, aliases, outputs, params) ? self.release() : nullptr;
  });
}

void destroy(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  delete reinterpret_cast<CallsObject *>(self)->calls;
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(reinterpret_cast<PyObject *>(type));
}

/// TypeError and true for a wrong number of arguments.
bool hasOthers(Py_ssize_t count, Py_ssize_t wanted) {
  if (count == wanted)
    return false;
  PyErr_Format(PyExc_TypeError, "expected %zd arguments, found %zd", wanted, count);
  return true;
}

PyObject *call(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  return guarded([&]() -> PyObject * {
    if (hasOthers(count, 7))
      return nullptr;
    if (!PyTuple_Check(args[0]) || !PyDict_Check(args[1])) {
      PyErr_SetString(PyExc_TypeError, "expected a tuple of tensors and a dict of what has names");
      return nullptr;
    }
    int returnLse = PyObject_IsTrue(args[5]), returnOutputs = PyObject_IsTrue(args[6]);
    if (returnLse < 0 || returnOutputs < 0)
      return nullptr;
    return callsOf(self).call(args[0], args[1], args[2], args[3], args[4], returnLse,
                              returnOutputs);
  });
}

PyObject *positional(PyObject *self, PyObject *args) {
  return guarded([&]() -> PyObject * {
    if (PyTuple_Check(args))
      return callsOf(self).positional(args);
    PyErr_SetString(PyExc_TypeError, "expected a tuple");
    return nullptr;
  });
}

PyObject *store(PyObject *self, PyObject *args) {
  return guarded([&]() -> PyObject * {
    PyObject *inputs, *outputs, *params, *kernel, *packed, *makers;
    int needsWorkspace;
    if (!PyArg_ParseTuple(args, "O!O!O!OOO!p", &PyDict_Type, &inputs, &PyDict_Type, &outputs,
                          &PyDict_Type, &params, &kernel, &packed, &PyDict_Type, &makers,
                          &needsWorkspace))
      return nullptr;
    return callsOf(self).store(inputs, outputs, params, kernel, packed, makers, needsWorkspace);
  });
}

Py_ssize_t length(PyObject *self) { return static_cast<Py_ssize_t>(callsOf(self).size()); }

// The casts are those that Python's own modules make: a method's type is in its flags.
PyMethodDef methods[] = {
    {"call", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)), METH_FASTCALL,
     "call(tensors, named, out, lse, outputs, return_lse, return_outputs): the result, or "
     "NotImplemented for a call that Python has to make."},
    {"positional", &positional, METH_O,
     "positional((*tensors, *params)): all outputs as a tuple, or NotImplemented. For PyTorch's "
     "dispatcher: gradients are not looked at."},
    {"store", &store, METH_VARARGS,
     "store(inputs, outputs, params, kernel, packed, makers, needs_workspace): keeps a call that "
     "has been made."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc,
     const_cast<char *>("Calls(inputs, aliases, outputs, params): what calls of a spec or a "
                        "kernel launch, by the layout of their tensors.")},
    {Py_tp_new, reinterpret_cast<void *>(&create)},
    {Py_tp_dealloc, reinterpret_cast<void *>(&destroy)},
    {Py_tp_methods, methods},
    {Py_sq_length, reinterpret_cast<void *>(&length)},
    {0, nullptr}};

PyType_Spec spec = {"attnc._native.Calls", sizeof(CallsObject), 0, Py_TPFLAGS_DEFAULT, slots};

} // namespace

PyObject *attnc::python::makeCallsType() { return PyType_FromSpec(&spec); }
