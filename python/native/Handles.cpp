// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Specs and kernels of the C API as objects of Python. Arguments have been checked by the package:
// what is wrong here is what the library says.
#include "Handles.h"
#include "Values.h"

using namespace attnc::python;

namespace {

PyTypeObject *kernelType = nullptr;
bool keepsHandles = false;

struct SpecObject {
  PyObject_HEAD attnc_spec *spec;
};

struct KernelObject {
  PyObject_HEAD attnc_kernel *kernel;
  PyObject *beforeRelease; ///< null, or a function that says whether code may be unloaded
};

SpecObject *specOf(PyObject *self) { return reinterpret_cast<SpecObject *>(self); }
KernelObject *handleOf(PyObject *self) { return reinterpret_cast<KernelObject *>(self); }

PyObject *allocate(PyTypeObject *type) {
  return reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

void giveBack(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(reinterpret_cast<PyObject *>(type));
}

PyObject *textOrNone(const char *text) {
  if (!text)
    Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(strlen(text)), "strict");
}

// Spec

PyObject *createSpec(PyTypeObject *type, PyObject *args, PyObject *) {
  return guarded([&]() -> PyObject * {
    const char *text, *name, *variant;
    if (!isLoaded() || !PyArg_ParseTuple(args, "yyy", &text, &name, &variant))
      return nullptr;
    Ref self(allocate(type));
    if (!self)
      return nullptr;
    attnc_status status;
    {
      Unlocked unlocked;
      status = library().spec_parse(text, name, variant, &specOf(self.get())->spec);
    }
    return status ? raise(status) : self.release();
  });
}

void destroySpec(PyObject *self) {
  if (!keepsHandles && specOf(self)->spec)
    library().spec_destroy(specOf(self)->spec);
  giveBack(self);
}

PyObject *signatureJson(PyObject *self, PyObject *) {
  return textOrNone(library().spec_signature_json(specOf(self)->spec));
}

PyObject *definitionJson(PyObject *self, PyObject *) {
  return textOrNone(library().spec_definition_json(specOf(self)->spec));
}

PyObject *outputShapesJson(PyObject *self, PyObject *args) {
  return guarded([&]() -> PyObject * {
    PyObject *tensorList, *paramDict;
    PackedTensors tensors;
    PackedNumbers<attnc_param> params;
    if (!PyArg_ParseTuple(args, "OO", &tensorList, &paramDict) || !tensors.parse(tensorList) ||
        !params.parse(paramDict))
      return nullptr;
    const char *json = nullptr;
    attnc_status status = library().spec_output_shapes_json(
        specOf(self)->spec, tensors.data(), tensors.size(), params.data(), params.size(), &json);
    return status ? raise(status) : textOrNone(json);
  });
}

PyObject *reference(PyObject *self, PyObject *args) {
  return guarded([&]() -> PyObject * {
    PyObject *tensorList, *paramDict, *outputList;
    int threads;
    PackedTensors tensors, outputs;
    PackedNumbers<attnc_param> params;
    if (!PyArg_ParseTuple(args, "OOOi", &tensorList, &paramDict, &outputList, &threads) ||
        !tensors.parse(tensorList) || !params.parse(paramDict) || !outputs.parse(outputList))
      return nullptr;
    attnc_status status;
    {
      Unlocked unlocked;
      status = library().spec_reference(specOf(self)->spec, tensors.data(), tensors.size(),
                                        params.data(), params.size(), outputs.data(),
                                        outputs.size(), threads);
    }
    if (status)
      return raise(status);
    Py_RETURN_NONE;
  });
}

PyMethodDef specMethods[] = {
    {"signature_json", &signatureJson, METH_NOARGS, "attnc_spec_signature_json"},
    {"definition_json", &definitionJson, METH_NOARGS,
     "attnc_spec_definition_json; None if there is no memory for it"},
    {"output_shapes_json", &outputShapesJson, METH_VARARGS,
     "attnc_spec_output_shapes_json(tensors, params)"},
    {"reference", &reference, METH_VARARGS,
     "attnc_spec_reference(tensors, params, outputs, num_threads)"},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot specSlots[] = {
    {Py_tp_doc, const_cast<char *>("Spec(text, name, variant): a parsed spec, from bytes.")},
    {Py_tp_new, reinterpret_cast<void *>(&createSpec)},
    {Py_tp_dealloc, reinterpret_cast<void *>(&destroySpec)},
    {Py_tp_methods, specMethods},
    {0, nullptr}};

PyType_Spec specSpec = {"attnc._native.Spec", sizeof(SpecObject), 0, Py_TPFLAGS_DEFAULT, specSlots};

// Kernel

PyObject *createKernel(PyTypeObject *type, PyObject *args, PyObject *) {
  return guarded([&]() -> PyObject * {
    const char *text, *name;
    attnc_compile_options options = attnc_default_compile_options();
    PyObject *constParams, *beforeRelease;
    long long headDim, vHeadDim;
    PackedNumbers<attnc_param> params;
    if (!isLoaded() ||
        !PyArg_ParseTuple(args, "yyyyyLLiOpiiO", &text, &name, &options.device, &options.dtype,
                          &options.variant, &headDim, &vHeadDim, &options.row_alignment,
                          &constParams, &options.no_cache, &options.num_threads, &options.chunk,
                          &beforeRelease) ||
        !params.parse(constParams))
      return nullptr;
    options.head_dim = headDim;
    options.v_head_dim = vHeadDim;
    options.const_params = params.data();
    options.num_const_params = params.size();
    Ref self(allocate(type));
    if (!self)
      return nullptr;
    KernelObject *handle = handleOf(self.get());
    if (beforeRelease != Py_None)
      handle->beforeRelease = Ref::to(beforeRelease).release();
    attnc_status status;
    {
      Unlocked unlocked;
      status = library().kernel_compile(text, name, &options, &handle->kernel);
    }
    return status ? raise(status) : self.release();
  });
}

/// Whether a kernel that is going may be unloaded. One that may still run on a GPU is waited for;
/// if that cannot be, it stays.
bool mayRelease(PyObject *beforeRelease) {
  if (!beforeRelease)
    return true;
  // This may be while an exception is on its way.
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  Ref answer(PyObject_CallNoArgs(beforeRelease));
  bool may = answer && PyObject_IsTrue(answer.get()) == 1;
  PyErr_Clear();
  PyErr_Restore(type, value, trace);
  return may;
}

void destroyKernel(PyObject *self) {
  KernelObject *handle = handleOf(self);
  if (!keepsHandles && handle->kernel && mayRelease(handle->beforeRelease))
    library().kernel_destroy(handle->kernel);
  Py_XDECREF(handle->beforeRelease);
  giveBack(self);
}

PyObject *launch(PyObject *self, PyObject *args) {
  return guarded([&]() -> PyObject * {
    PyObject *tensorList, *paramDict, *workspaceAt, *streamAt;
    unsigned long long workspaceBytes;
    void *workspace, *stream;
    PackedTensors tensors;
    PackedNumbers<attnc_param> params;
    if (!PyArg_ParseTuple(args, "OOOKO", &tensorList, &paramDict, &workspaceAt, &workspaceBytes,
                          &streamAt) ||
        !tensors.parse(tensorList) || !params.parse(paramDict) ||
        !pointerOf(workspaceAt, workspace) || !pointerOf(streamAt, stream))
      return nullptr;
    attnc_status status;
    {
      Unlocked unlocked;
      status = library().kernel_launch_with_workspace(handleOf(self)->kernel, tensors.data(),
                                                      tensors.size(), params.data(), params.size(),
                                                      workspace, workspaceBytes, stream);
    }
    if (status)
      return raise(status);
    Py_RETURN_NONE;
  });
}

PyObject *workspaceSize(PyObject *self, PyObject *sizeDict) {
  return guarded([&]() -> PyObject * {
    PackedNumbers<attnc_size> sizes;
    if (!sizes.parse(sizeDict))
      return nullptr;
    size_t bytes = 0;
    attnc_status status =
        library().kernel_workspace_size(handleOf(self)->kernel, sizes.data(), sizes.size(), &bytes);
    return status ? raise(status) : PyLong_FromSize_t(bytes);
  });
}

PyObject *launchWorkspaceSize(PyObject *self, PyObject *args) {
  return guarded([&]() -> PyObject * {
    PyObject *tensorList, *paramDict;
    PackedTensors tensors;
    PackedNumbers<attnc_param> params;
    if (!PyArg_ParseTuple(args, "OO", &tensorList, &paramDict) || !tensors.parse(tensorList) ||
        !params.parse(paramDict))
      return nullptr;
    attnc_launch *prepared = nullptr;
    attnc_status status =
        library().launch_prepare(handleOf(self)->kernel, tensors.data(), tensors.size(),
                                 params.data(), params.size(), &prepared);
    if (status)
      return raise(status);
    size_t bytes = library().launch_workspace_size(prepared);
    library().launch_destroy(prepared);
    return PyLong_FromSize_t(bytes);
  });
}

PyMethodDef kernelMethods[] = {
    {"launch", &launch, METH_VARARGS,
     "attnc_kernel_launch_with_workspace(tensors, params, workspace, workspace_bytes, stream)"},
    {"workspace_size", &workspaceSize, METH_O, "attnc_kernel_workspace_size(sizes)"},
    {"launch_workspace_size", &launchWorkspaceSize, METH_VARARGS,
     "launch_workspace_size(tensors, params): bytes that a launch with these needs"},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot kernelSlots[] = {
    {Py_tp_doc,
     const_cast<char *>("Kernel(text, name, device, dtype, variant, head_dim, v_head_dim, "
                        "row_alignment, const_params, no_cache, num_threads, chunk, "
                        "before_release): a compiled spec; texts are bytes. before_release is "
                        "called when nothing refers to it any more, and says whether it may be "
                        "unloaded; None: at once.")},
    {Py_tp_new, reinterpret_cast<void *>(&createKernel)},
    {Py_tp_dealloc, reinterpret_cast<void *>(&destroyKernel)},
    {Py_tp_methods, kernelMethods},
    {0, nullptr}};

PyType_Spec kernelSpec = {"attnc._native.Kernel", sizeof(KernelObject), 0, Py_TPFLAGS_DEFAULT,
                          kernelSlots};

} // namespace

PyObject *attnc::python::makeSpecType() { return PyType_FromSpec(&specSpec); }

PyObject *attnc::python::makeKernelType() {
  PyObject *type = PyType_FromSpec(&kernelSpec);
  kernelType = reinterpret_cast<PyTypeObject *>(type);
  return type;
}

attnc_kernel *attnc::python::kernelOf(PyObject *object) {
  if (Py_TYPE(object) == kernelType)
    return handleOf(object)->kernel;
  PyErr_SetString(PyExc_TypeError, "expected an attnc._native.Kernel");
  return nullptr;
}

void attnc::python::keepHandles() { keepsHandles = true; }
