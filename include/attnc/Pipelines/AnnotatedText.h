// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// IR as text for people: values have the names that the spec and the passes give them, and a
// comment says which line of the spec what follows comes from. MLIR reads it as any other text.
#ifndef ATTNC_PIPELINES_ANNOTATEDTEXT_H
#define ATTNC_PIPELINES_ANNOTATEDTEXT_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace attnc {

/// `module` as text. Down to the phase where values are split between threads, a value whose
/// location has a name is called by it (`%K`); a line ends in
/// `// causal.attn:7` where its op is of another line of a file than the op before.
std::string annotatedText(mlir::ModuleOp module);

} // namespace attnc

#endif // ATTNC_PIPELINES_ANNOTATEDTEXT_H
