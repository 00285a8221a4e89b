// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Diagnostics of passes as the text of an error.
#ifndef ATTNC_LIB_DRIVER_DIAGNOSTICS_H
#define ATTNC_LIB_DRIVER_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FormatVariadic.h"
#include <string>

namespace attnc::driver {

/// Collects diagnostics while it lives, with the place that they are about: `file`, if they do not
/// say it themselves.
class Diagnostics {
public:
  Diagnostics(std::string file, mlir::MLIRContext *context)
      : file(std::move(file)), handler(context, [this](mlir::Diagnostic &d) { return add(d); }) {}

  /// What was reported, or `error` if nothing was.
  llvm::Error explain(llvm::Error error) const {
    std::string reason = llvm::toString(std::move(error));
    return llvm::createStringError(
        text.empty() ? llvm::formatv("{0}: error: {1}", file, reason).str() : text);
  }

private:
  mlir::LogicalResult add(mlir::Diagnostic &diagnostic) {
    std::string where = file;
    if (auto loc = diagnostic.getLocation()->findInstanceOf<mlir::FileLineColLoc>())
      where = llvm::formatv("{0}:{1}:{2}", loc.getFilename().getValue(), loc.getLine(),
                            loc.getColumn());
    text += llvm::formatv("{0}{1}: error: {2}", text.empty() ? "" : "\n", where, diagnostic.str());
    return mlir::success();
  }

  std::string file, text;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_DIAGNOSTICS_H
