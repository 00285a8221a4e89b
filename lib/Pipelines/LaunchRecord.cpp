// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Extraction of launch records, and their text in artefacts.
#include "attnc/Pipelines/LaunchRecord.h"
#include "attnc/Conversion/ProgramExtraction.h"
#include "attnc/Runtime/CodeCache.h"
#include "attnc/Runtime/ProgramReader.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace attnc;
using llvm::createStringError;

/// Name of the attribute, and what the line of a record begins with.
static constexpr llvm::StringLiteral kName = "attnc.launch";

FailureOr<LaunchRecord> attnc::extractLaunchRecord(ModuleOp module, const attnc::Target &target) {
  LaunchRecord record;
  record.target = target.name;
  bool host = target.kind == attnc::Target::Kind::Host;
  FailureOr<Program> program =
      extractProgram(module, host ? ProgramTarget::Host : ProgramTarget::GPU);
  if (failed(program))
    return failure();
  record.program = std::move(*program);
  return record;
}

std::string attnc::serializeLaunchRecord(const LaunchRecord &record) {
  return llvm::formatv(
      "{0}",
      llvm::json::Value(llvm::json::Object{
          {"target", record.target},
          {"cpu_features", llvm::json::Array(record.cpuFeatures)},
          {"program", llvm::cantFail(llvm::json::parse(serializeProgram(record.program)))}}));
}

llvm::Expected<LaunchRecord> attnc::parseLaunchRecord(llvm::StringRef text) {
  auto malformed = [](const llvm::Twine &what) {
    return createStringError("the launch record is malformed: " + what);
  };
  // Not by LLVM's reader, which recurses as deep as the text nests.
  Outcome<attnc::json::Value> value = attnc::json::parse(text, maxProgramDepth + 1);
  if (!value)
    return malformed(value.takeError().message());
  const attnc::json::Object *object = value->getAsObject();
  auto target = object ? object->getString("target") : std::nullopt;
  const attnc::json::Array *features = object ? object->getArray("cpu_features") : nullptr;
  const attnc::json::Value *program = object ? object->get("program") : nullptr;
  if (!target || !features || !program)
    return malformed("expected `target`, `cpu_features` and `program`");
  LaunchRecord record;
  record.target = *target;
  for (const attnc::json::Value &feature : *features) {
    auto name = feature.getAsString();
    if (!name)
      return malformed("a CPU feature is no string");
    record.cpuFeatures.emplace_back(*name);
  }
  Outcome<Program> parsed = programOf(*program);
  if (!parsed)
    return malformed(parsed.takeError().message());
  record.program = std::move(*parsed);
  return record;
}

void attnc::setLaunchRecord(ModuleOp module, const LaunchRecord &record) {
  module->setAttr(kName, StringAttr::get(module.getContext(), serializeLaunchRecord(record)));
}

/// The record in `text`, as something that may not be there.
static llvm::Expected<std::optional<LaunchRecord>> parseOptional(llvm::StringRef text) {
  llvm::Expected<LaunchRecord> record = parseLaunchRecord(text);
  if (!record)
    return record.takeError();
  return std::optional<LaunchRecord>(std::move(*record));
}

llvm::Expected<std::optional<LaunchRecord>> attnc::launchRecordOf(ModuleOp module) {
  auto text = module->getAttrOfType<StringAttr>(kName);
  return text ? parseOptional(text.getValue())
              : llvm::Expected<std::optional<LaunchRecord>>(std::nullopt);
}

std::string attnc::withLaunchRecord(llvm::StringRef code, llvm::StringRef comment,
                                    const LaunchRecord &record) {
  return (code + comment + kName + " " + serializeLaunchRecord(record) + "\n").str();
}

llvm::Expected<std::optional<LaunchRecord>> attnc::takeLaunchRecord(std::string &code,
                                                                    llvm::StringRef comment) {
  std::string start = (comment + kName + " ").str();
  size_t at = code.rfind(start);
  if (at == std::string::npos)
    return std::nullopt;
  llvm::Expected<std::optional<LaunchRecord>> record =
      parseOptional(llvm::StringRef(code).drop_front(at + start.size()).trim());
  code.resize(at);
  return record;
}
