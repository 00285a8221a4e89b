// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Specs and kernels of the C API as objects of Python.
#ifndef ATTNC_PYTHON_NATIVE_HANDLES_H
#define ATTNC_PYTHON_NATIVE_HANDLES_H

#include "Library.h"

namespace attnc::python {

/// The types attnc._native.Spec and attnc._native.Kernel; null with an exception.
PyObject *makeSpecType();
PyObject *makeKernelType();

/// The kernel of a Kernel; null with an exception if the object is none.
attnc_kernel *kernelOf(PyObject *object);

/// From now on no handle is released: the process ends, and gives everything back in an order of
/// its own.
void keepHandles();

} // namespace attnc::python

#endif // ATTNC_PYTHON_NATIVE_HANDLES_H
