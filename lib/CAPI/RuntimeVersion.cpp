// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the runtime library says it is; the whole library says its LLVM too.
#include "attnc/runtime.h"

const char *attnc_version(void) { return "attnc " ATTNC_VERSION " (runtime)"; }
