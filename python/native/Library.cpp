// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading of libattnc, and its statuses as exceptions.
#include "Library.h"
#include <dlfcn.h>

using namespace attnc;
using namespace attnc::python;

static Library loaded;

const Library &attnc::python::library() { return loaded; }

Failure attnc::python::loadLibrary(const char *path) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return Failure(dlerror());
  Library found;
#define ATTNC_LOOKUP(name)                                                                         \
  found.name = reinterpret_cast<decltype(&attnc_##name)>(dlsym(handle, "attnc_" #name));           \
  if (!found.name)                                                                                 \
    return Failure("it has no function attnc_" #name);
  ATTNC_FOR_EACH_FUNCTION(ATTNC_LOOKUP)
#undef ATTNC_LOOKUP
  loaded = found; // for as long as the process lives
  return Failure::success();
}

/// A class of attnc.errors; null with an exception if there is none.
static Ref errorClass(const char *name) {
  Ref module(PyImport_ImportModule("attnc.errors"));
  return Ref(module ? PyObject_GetAttrString(module.get(), name) : nullptr);
}

static const char *classOf(attnc_status status) {
  switch (status) {
  case ATTNC_INVALID_ARGUMENT:
    return "ArgumentError";
  case ATTNC_INVALID_SPEC:
    return "SpecError";
  case ATTNC_COMPILE_ERROR:
    return "CompileError";
  case ATTNC_DEVICE_ERROR:
    return "DeviceError";
  case ATTNC_OUT_OF_MEMORY:
    return "OutOfMemoryError";
  default:
    return "AttncError";
  }
}

PyObject *attnc::python::raise(attnc_status status) {
  std::string said = loaded.last_error(); // before anything else is called on this thread
  Ref text(PyUnicode_DecodeUTF8(said.data(), static_cast<Py_ssize_t>(said.size()), "replace"));
  Ref type = errorClass(classOf(status));
  if (text && type)
    PyErr_SetObject(type.get(), text.get());
  return nullptr;
}

bool attnc::python::isLoaded() {
  if (loaded.version)
    return true;
  if (Ref type = errorClass("LibraryError"))
    PyErr_SetString(type.get(), "libattnc is not loaded: call attnc._library.load() first");
  return false;
}
