// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What `attnc --version` prints. The commit is only here, and not in the version of the library:
// that one is part of keys of the code cache, which know the build by its build-id.
#include "Options.h"
#include "attnc/JIT/Compiler.h"

static constexpr llvm::StringLiteral commit =
#include "lib/Driver/Commit.inc"
    ;

void attnc::driver::printVersion(llvm::raw_ostream &out) {
  out << compilerVersion() << "\n";
  if (!commit.empty())
    out << "commit " << commit << "\n";
}
