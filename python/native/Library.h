// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API of libattnc, found when it is loaded: the extension is not linked to it, so that it is
// compiled without LLVM and $ATTNC_LIBRARY can name another library.
#ifndef ATTNC_PYTHON_NATIVE_LIBRARY_H
#define ATTNC_PYTHON_NATIVE_LIBRARY_H

#include "Object.h"
#include "attnc/Support/Failure.h"
#include "attnc/attnc.h"
#include <string>

/// Every function of the C API that the package calls.
#define ATTNC_FOR_EACH_FUNCTION(DO)                                                                \
  DO(version)                                                                                      \
  DO(last_error)                                                                                   \
  DO(main)                                                                                         \
  DO(spec_parse)                                                                                   \
  DO(spec_signature_json)                                                                          \
  DO(spec_definition_json)                                                                         \
  DO(spec_output_shapes_json)                                                                      \
  DO(spec_reference)                                                                               \
  DO(spec_destroy)                                                                                 \
  DO(kernel_compile)                                                                               \
  DO(kernel_launch_with_workspace)                                                                 \
  DO(kernel_workspace_size)                                                                        \
  DO(kernel_destroy)                                                                               \
  DO(launch_prepare)                                                                               \
  DO(launch_run_with_workspace)                                                                    \
  DO(launch_run_on)                                                                                \
  DO(launch_workspace_size)                                                                        \
  DO(launch_destroy)

namespace attnc::python {

struct Library {
#define ATTNC_MEMBER(name) decltype(&attnc_##name) name = nullptr;
  ATTNC_FOR_EACH_FUNCTION(ATTNC_MEMBER)
#undef ATTNC_MEMBER
};

/// Its functions; null ones before loadLibrary has succeeded.
const Library &library();

/// Loads the file.
Failure loadLibrary(const char *path);

/// Sets the exception of attnc.errors that a status stands for, with the library's text for this
/// thread. Returns null.
PyObject *raise(attnc_status status);

/// Sets LibraryError and returns false if no library is loaded.
bool isLoaded();

} // namespace attnc::python

#endif // ATTNC_PYTHON_NATIVE_LIBRARY_H
