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

/// A message may quote what was written, which can be megabytes long: the middle of a long
/// quotation is left out.
static std::string clipQuotations(const Twine &message) {
  constexpr size_t most = 80;
  std::string whole = message.str(), text;
  if (whole.size() <= most)
    return whole;
  StringRef rest = whole;
  while (!rest.empty()) {
    auto [before, behind] = rest.split('`');
    text += before;
    bool isQuoted = before.size() < rest.size() && behind.contains('`');
    if (!isQuoted) {
      text += rest.drop_front(before.size());
      break;
    }
    auto [quoted, after] = behind.split('`');
    text += quoted.size() <= most
                ? ("`" + quoted + "`").str()
                : ("`" + quoted.take_front(most / 2) + "..." + quoted.take_back(20) + "`").str();
    rest = after;
  }
  return text;
}

Reporter::Error Reporter::error(SMRange range, const Twine &message) {
  ++numErrors;
  if (numErrors > maxErrors) {
    if (numErrors == maxErrors + 1)
      emitError(location(range), "too many errors; the rest is not shown");
    return Error(*this, InFlightDiagnostic()); // inactive: notes are ignored
  }
  InFlightDiagnostic diagnostic = emitError(location(range), clipQuotations(message));
  diagnostic.getUnderlyingDiagnostic()->getMetadata().push_back(
      DiagnosticArgument(Attribute(rangeLocation(range))));
  return Error(*this, std::move(diagnostic));
}

void Reporter::warn(SMRange range, const Twine &message) {
  InFlightDiagnostic diagnostic = emitWarning(location(range), clipQuotations(message));
  diagnostic.getUnderlyingDiagnostic()->getMetadata().push_back(
      DiagnosticArgument(Attribute(rangeLocation(range))));
}

Reporter::Error &Reporter::Error::note(SMRange range, const Twine &message) {
  // What is declared by itself (Q, K, V) has no place that a note could show.
  if (!diagnostic.getUnderlyingDiagnostic() || reporter->numErrors > maxErrors || !range.isValid())
    return *this;
  Diagnostic &note = diagnostic.attachNote(reporter->location(range)) << clipQuotations(message);
  note.getMetadata().push_back(DiagnosticArgument(Attribute(reporter->rangeLocation(range))));
  return *this;
}

Reporter::Error &Reporter::Error::fix(SMRange range, StringRef replacement, const Twine &message) {
  if (!diagnostic.getUnderlyingDiagnostic() || reporter->numErrors > maxErrors)
    return *this;
  Diagnostic &note = diagnostic.attachNote(reporter->location(range)) << clipQuotations(message);
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
  llvm::SMDiagnostic message = sources.GetMessage(toPointer(at.getLine(), at.getColumn()), kind,
                                                  diagnostic.str(), ranges, fixes);
  if (message.getLineContents().size() <= kLongestLine)
    message.print(nullptr, os, /*ShowColors=*/false);
  else
    printClipped(message, range);
}

/// A message about a line that is too long to be shown: what stands around the caret.
void SpecDiagnosticPrinter::printClipped(const llvm::SMDiagnostic &message, SMRange range) {
  StringRef line = message.getLineContents(), ellipsis = "...";
  size_t caret = std::min<size_t>(message.getColumnNo(), line.size());
  size_t from = caret - std::min<size_t>(caret, kLongestLine / 2);
  size_t to = std::min(line.size(), from + kLongestLine);
  std::string shown = line.slice(from, to).str();
  for (char &c : shown)
    c = static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  size_t indent = from ? ellipsis.size() : 0;
  std::string marks(indent + (caret - from), ' ');
  marks += '^';
  if (range.isValid()) {
    size_t length = std::min<size_t>(range.End.getPointer() - range.Start.getPointer(), to - caret);
    marks.append(length > 1 ? length - 1 : 0, '~');
  }
  os << message.getFilename() << ':' << message.getLineNo() << ':' << caret + 1 << ": "
     << (message.getKind() == llvm::SourceMgr::DK_Note      ? "note: "
         : message.getKind() == llvm::SourceMgr::DK_Warning ? "warning: "
                                                            : "error: ")
     << message.getMessage() << '\n'
     << (from ? ellipsis : "") << shown << (to < line.size() ? ellipsis : "") << '\n'
     << marks << '\n';
  for (const llvm::SMFixIt &fix : message.getFixIts())
    os << std::string(indent + (caret - from), ' ') << fix.getText() << '\n';
}
