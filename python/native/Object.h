// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Python's limited API, references that are owned, and the guard of every entry. The extension is
// compiled against the part of the API that every Python from 3.10 on has, so that one file serves
// all of them; what is newer does not compile here.
#ifndef ATTNC_PYTHON_NATIVE_OBJECT_H
#define ATTNC_PYTHON_NATIVE_OBJECT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <new>
#include <utility>

namespace attnc::python {

/// A reference that is given back. To be made and destroyed with the interpreter's lock.
class Ref {
public:
  Ref() = default;
  /// Takes over a new reference; null is fine.
  explicit Ref(PyObject *owned) : object(owned) {}
  static Ref to(PyObject *borrowed) {
    Py_XINCREF(borrowed);
    return Ref(borrowed);
  }
  Ref(const Ref &other) : object(other.object) { Py_XINCREF(object); }
  Ref(Ref &&other) noexcept : object(std::exchange(other.object, nullptr)) {}
  Ref &operator=(Ref other) noexcept {
    std::swap(object, other.object);
    return *this;
  }
  ~Ref() { Py_XDECREF(object); }

  PyObject *get() const { return object; }
  PyObject *release() { return std::exchange(object, nullptr); }
  explicit operator bool() const { return object != nullptr; }

private:
  PyObject *object = nullptr;
};

/// Runs the body of an entry: no C++ exception reaches the interpreter.
template <typename Body> PyObject *guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return PyErr_NoMemory();
  } catch (...) {
    PyErr_SetString(PyExc_SystemError, "attnc: internal error in the extension");
    return nullptr;
  }
}

/// Gives the interpreter's lock away while it lives.
class Unlocked {
public:
  explicit Unlocked(bool isWorthIt = true) : state(isWorthIt ? PyEval_SaveThread() : nullptr) {}
  ~Unlocked() {
    if (state)
      PyEval_RestoreThread(state);
  }
  Unlocked(const Unlocked &) = delete;
  Unlocked &operator=(const Unlocked &) = delete;

private:
  PyThreadState *state;
};

} // namespace attnc::python

#endif // ATTNC_PYTHON_NATIVE_OBJECT_H
