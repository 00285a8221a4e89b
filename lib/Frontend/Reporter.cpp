// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Errors about a spec: construction, and printing with caret, range and replacement.
#include "Reporter.h"
#include "attnc/Frontend/Frontend.h"
#include "mlir/IR/Builders.h"

using namespace attnc::frontend;
using namespace mlir;
using llvm::SMRange;
using llvm::StringRef;
using llvm::Twine;

Reporter::Reporter(llvm::SourceMgr &sources, MLIRContext *context)
    : sources(sources), context(context) {
  StringRef name = sources.getMemoryBuffer(sources.getMainFileID())->getBufferIdentifier();
  fileName = StringAttr::get(context, name.empty() ? "-" : name);
}

FileLineColLoc Reporter::location(SMRange range) const {
  if (!range.isValid())
    return FileLineColLoc::get(fileName, 1, 1);
  auto [line, column] = sources.getLineAndColumn(range.Start, sources.getMainFileID());
  return FileLineColLoc::get(fileName, line, column);
}

FileLineColRange Reporter::rangeLocation(SMRange range) const {
  if (!range.isValid())
    return FileLineColRange::get(fileName, 1, 1, 1, 1);
  auto [line, column] = sources.getLineAndColumn(range.Start, sources.getMainFileID());
  auto [endLine, endColumn] = sources.getLineAndColumn(range.End, sources.getMainFileID());
  return FileLineColRange::get(fileName, line, column, endLine, endColumn);
}

Reporter::Error Reporter::error(SMRange range, const Twine &message) {
  ++numErrors;
  if (numErrors > maxErrors) {
    if (numErrors == maxErrors + 1)
      emitError(location(range), "too many errors; the rest is not shown");
    return Error(*this, InFlightDiagnostic()); // inactive: notes are ignored
  }
  InFlightDiagnostic diagnostic = emitError(location(range), message);
  diagnostic.getUnderlyingDiagnostic()->getMetadata().push_back(
      DiagnosticArgument(Attribute(rangeLocation(range))));
  return Error(*this, std::move(diagnostic));
}

Reporter::Error &Reporter::Error::note(SMRange range, const Twine &message) {
  // What is declared by itself (Q, K, V) has no place that a note could show.
  if (!diagnostic.getUnderlyingDiagnostic() || reporter->numErrors > maxErrors || !range.isValid())
    return *this;
  Diagnostic &note = diagnostic.attachNote(reporter->location(range)) << message;
  note.getMetadata().push_back(DiagnosticArgument(Attribute(reporter->rangeLocation(range))));
  return *this;
}

Reporter::Error &Reporter::Error::fix(SMRange range, StringRef replacement, const Twine &message) {
  if (!diagnostic.getUnderlyingDiagnostic() || reporter->numErrors > maxErrors)
    return *this;
  Diagnostic &note = diagnostic.attachNote(reporter->location(range)) << message;
  note.getMetadata().push_back(DiagnosticArgument(Attribute(reporter->rangeLocation(range))));
  note.getMetadata().push_back(
      DiagnosticArgument(Attribute(StringAttr::get(reporter->context, replacement))));
  return *this;
}

std::optional<StringRef> attnc::frontend::nearestName(StringRef name,
                                                      llvm::ArrayRef<StringRef> candidates) {
  unsigned limit = std::max<unsigned>(1, static_cast<unsigned>(name.size() + 2) / 3);
  std::optional<StringRef> best;
  for (StringRef candidate : candidates) {
    // Every short name is near every other short name: one edit in one letter says nothing.
    if (candidate.size() <= 1 || name.size() <= 1)
      continue;
    unsigned distance = name.edit_distance_insensitive(candidate, true, limit);
    if (distance <= limit && (!best || distance < name.edit_distance_insensitive(*best)))
      best = candidate;
  }
  return best;
}

SpecDiagnosticPrinter::SpecDiagnosticPrinter(llvm::SourceMgr &sources, MLIRContext *context,
                                             llvm::raw_ostream &os)
    : ScopedDiagnosticHandler(context), sources(sources), os(os) {
  setHandler([this](Diagnostic &diagnostic) {
    print(diagnostic);
    for (Diagnostic &note : diagnostic.getNotes())
      print(note);
    return success();
  });
}

void SpecDiagnosticPrinter::print(Diagnostic &diagnostic) {
  auto kind = diagnostic.getSeverity() == DiagnosticSeverity::Error ? llvm::SourceMgr::DK_Error
              : diagnostic.getSeverity() == DiagnosticSeverity::Warning
                  ? llvm::SourceMgr::DK_Warning
              : diagnostic.getSeverity() == DiagnosticSeverity::Note ? llvm::SourceMgr::DK_Note
                                                                     : llvm::SourceMgr::DK_Remark;
  auto at = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>();
  unsigned buffer = sources.getMainFileID();
  StringRef bufferName = sources.getMemoryBuffer(buffer)->getBufferIdentifier();
  bool here = at && (at.getFilename().getValue() == bufferName ||
                     (bufferName.empty() && at.getFilename().getValue() == "-"));
  if (!here || at.getLine() == 0) {
    os << diagnostic.getLocation() << ": "
       << (kind == llvm::SourceMgr::DK_Error  ? "error: "
           : kind == llvm::SourceMgr::DK_Note ? "note: "
                                              : "warning: ")
       << diagnostic.str() << "\n";
    return;
  }
  auto toPointer = [&](unsigned line, unsigned column) {
    return sources.FindLocForLineAndColumn(buffer, line, column);
  };
  llvm::SmallVector<SMRange> ranges;
  llvm::SmallVector<llvm::SMFixIt> fixes;
  SMRange range;
  for (DiagnosticArgument &argument : diagnostic.getMetadata()) {
    if (argument.getKind() != DiagnosticArgument::DiagnosticArgumentKind::Attribute)
      continue;
    if (auto where = dyn_cast<FileLineColRange>(argument.getAsAttribute())) {
      range = SMRange(toPointer(where.getStartLine(), where.getStartColumn()),
                      toPointer(where.getEndLine(), where.getEndColumn()));
      if (range.isValid() && range.Start != range.End)
        ranges.push_back(range);
    } else if (auto text = dyn_cast<StringAttr>(argument.getAsAttribute())) {
      if (range.isValid())
        fixes.emplace_back(range, text.getValue());
    }
  }
  sources.PrintMessage(os, toPointer(at.getLine(), at.getColumn()), kind, diagnostic.str(), ranges,
                       fixes, /*ShowColors=*/false);
}
