// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From `.attn` source to the attn dialect, and from `.attn` source to its canonical layout. The
// language is described in docs/Language.md.
#ifndef ATTNC_FRONTEND_FRONTEND_H
#define ATTNC_FRONTEND_FRONTEND_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

#include <optional>
#include <string>
#include <vector>

namespace attnc::frontend {

/// The output that `NAME` is where it is dumped and a `transform` makes it of an input: the input
/// has the name.
inline std::string transformedName(const std::string &name) { return name + ".transformed"; }

/// Tensors that a variant computes and does not put out, to be outputs of their names.
struct Dumps {
  /// Of which variant; empty: of the only one.
  std::string variant;
  /// Names of `let`, `transform`, `quantize` and the like, of results of branches (`near.out`), and
  /// `out`, `lse` and `p` of an attention of its own.
  std::vector<std::string> names;
};

/// Parses and checks the main buffer of `sources` and emits one `attn.variant` for each `attention`
/// in it. Errors go to the diagnostic handler of `context`, several in one run; the result is null
/// if there was one. Every op has the location (file, line, column) of the text it comes from.
mlir::OwningOpRef<mlir::ModuleOp> parseSpec(llvm::SourceMgr &sources, mlir::MLIRContext *context,
                                            const Dumps &dumps = {});

/// The main buffer of `sources` in canonical layout: comments and line breaks within a statement
/// stay, everything else is normalised. Formatting the result again changes nothing. Null after a
/// syntax error, which is reported as by `parseSpec`.
std::optional<std::string> formatSpec(llvm::SourceMgr &sources, mlir::MLIRContext *context);

/// While it lives, prints the diagnostics of `context` with the source line, a caret, the
/// underlined range and a suggested replacement where one is known. Of a line that is longer than
/// kLongestLine characters, only what stands around the caret is shown. Diagnostics about other
/// files print without source.
class SpecDiagnosticPrinter : public mlir::ScopedDiagnosticHandler {
public:
  SpecDiagnosticPrinter(llvm::SourceMgr &sources, mlir::MLIRContext *context,
                        llvm::raw_ostream &os = llvm::errs());

  static constexpr size_t kLongestLine = 240;

private:
  void print(mlir::Diagnostic &diagnostic);
  void printClipped(const llvm::SMDiagnostic &message, llvm::SMRange range);

  llvm::SourceMgr &sources;
  llvm::raw_ostream &os;
};

} // namespace attnc::frontend

#endif // ATTNC_FRONTEND_FRONTEND_H
