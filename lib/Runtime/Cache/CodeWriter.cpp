// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled code as bytes. lib/Runtime/CodeFile.cpp reads it, and says what the bytes are.
#include "attnc/Runtime/CodeCache.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/FileWriter.h"
#include "attnc/Support/Sha256.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"

using namespace attnc;

static void appendPart(std::string &out, llvm::StringRef part) {
  char length[8];
  llvm::support::endian::write64le(length, part.size());
  out.append(length, 8);
  out.append(part.data(), part.size());
}

std::string attnc::cacheKey(llvm::ArrayRef<llvm::StringRef> parts) {
  std::string all;
  for (llvm::StringRef part : parts)
    appendPart(all, part);
  return sha256Hex(all);
}

std::string attnc::encodeCode(llvm::StringRef key, const CompiledCode &code) {
  std::string bytes(codeFileMagic);
  appendPart(bytes, key);
  appendPart(bytes, code.target);
  appendPart(bytes, llvm::join(code.cpuFeatures, ","));
  appendPart(bytes, serializeProgram(code.program));
  appendPart(bytes, code.code);
  return bytes + sha256Hex(bytes);
}

llvm::Error attnc::writeCodeFile(llvm::StringRef path, llvm::StringRef key,
                                 const CompiledCode &code) {
  return toError(writeFile(path.str(), encodeCode(key, code)));
}
