// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Errors about a spec. A diagnostic is located at a FileLineColLoc, which every MLIR handler
// understands; the underlined range and the suggested replacement travel as metadata, for
// SpecDiagnosticPrinter.
#ifndef ATTNC_LIB_FRONTEND_REPORTER_H
#define ATTNC_LIB_FRONTEND_REPORTER_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/SourceMgr.h"

#include <optional>
#include <string>

namespace attnc::frontend {

/// Reports errors and counts them. After `maxErrors` it says so once and stays silent.
class Reporter {
public:
  static constexpr unsigned maxErrors = 20;

  /// One error under construction: notes may be added; it is emitted when it goes out of scope.
  class Error {
  public:
    Error(Reporter &reporter, mlir::InFlightDiagnostic diagnostic)
        : reporter(&reporter), diagnostic(std::move(diagnostic)) {}
    Error(Error &&) = default;
    /// Adds a note that points at `range`.
    Error &note(llvm::SMRange range, const llvm::Twine &message);
    /// Adds the note `message` with the text that would replace `range`.
    Error &fix(llvm::SMRange range, llvm::StringRef replacement, const llvm::Twine &message);

  private:
    Reporter *reporter;
    mlir::InFlightDiagnostic diagnostic;
  };

  Reporter(llvm::SourceMgr &sources, mlir::MLIRContext *context);

  Error error(llvm::SMRange range, const llvm::Twine &message);
  /// Says what is allowed and probably not meant; no error.
  void warn(llvm::SMRange range, const llvm::Twine &message);
  unsigned getNumErrors() const { return numErrors; }
  bool hasErrors() const { return numErrors != 0; }

  /// The start of `range` as a location in the file.
  mlir::FileLineColLoc location(llvm::SMRange range) const;
  mlir::MLIRContext *getContext() const { return context; }

private:
  mlir::FileLineColRange rangeLocation(llvm::SMRange range) const;

  llvm::SourceMgr &sources;
  mlir::MLIRContext *context;
  mlir::StringAttr fileName;
  unsigned numErrors = 0;
};

/// The candidate that `name` is probably a misspelling of.
std::optional<llvm::StringRef> nearestName(llvm::StringRef name,
                                           llvm::ArrayRef<llvm::StringRef> candidates);

} // namespace attnc::frontend

#endif // ATTNC_LIB_FRONTEND_REPORTER_H
