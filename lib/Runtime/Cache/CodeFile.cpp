// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled code as bytes: "ATTNCC06", then for each of key, target, CPU features, program and code
// a 64-bit little-endian length and the bytes, then the SHA-256 of all that in hexadecimal. The
// hash tells damage, not malice: whoever may write the file may write the hash. So all that is read
// is checked, and where it is read from is the reader's concern (see CodeCache.cpp).
#include "attnc/Runtime/CodeCache.h"
#include "attnc/Support/FileWriter.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"
#include <sys/stat.h>

using namespace attnc;
using llvm::createStringError;
using llvm::formatv;

static constexpr llvm::StringLiteral kMagic = "ATTNCC06";

static std::string sha256(llvm::StringRef data) {
  llvm::SHA256 hash;
  hash.update(data);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

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
  return sha256(all);
}

std::string attnc::encodeCode(llvm::StringRef key, const CompiledCode &code) {
  std::string bytes = kMagic.str();
  appendPart(bytes, key);
  appendPart(bytes, code.target);
  appendPart(bytes, llvm::join(code.cpuFeatures, ","));
  appendPart(bytes, serializeProgram(code.program));
  appendPart(bytes, code.code);
  return bytes + sha256(bytes);
}

llvm::Expected<CompiledCode> attnc::decodeCode(llvm::StringRef bytes, llvm::StringRef key) {
  constexpr size_t kHashLength = 64;
  auto bad = [](const char *why) { return createStringError(why); };
  if (bytes.size() < kMagic.size() + kHashLength || !bytes.starts_with("ATTNCC"))
    return bad("it is not compiled code, or is damaged");
  if (!bytes.starts_with(kMagic))
    return bad("it was written by another version of attnc");
  llvm::StringRef body = bytes.drop_back(kHashLength);
  if (sha256(body) != bytes.take_back(kHashLength))
    return bad("it is damaged: its checksum does not fit");
  body = body.drop_front(kMagic.size());
  llvm::StringRef parts[5];
  for (llvm::StringRef &part : parts) {
    if (body.size() < 8)
      return bad("it is damaged: a part is missing");
    uint64_t length = llvm::support::endian::read64le(body.data());
    body = body.drop_front(8);
    if (length > body.size())
      return bad("it is damaged: a part is cut short");
    part = body.take_front(length);
    body = body.drop_front(length);
  }
  if (!body.empty() || parts[0] != key)
    return bad("it is damaged: it is the code of something else");
  llvm::Expected<Program> program = parseProgram(parts[3]);
  if (!program)
    return program.takeError();
  CompiledCode code{std::move(*program), parts[1].str(), parts[4].str(), {}};
  llvm::SmallVector<llvm::StringRef> features;
  parts[2].split(features, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (llvm::StringRef feature : features)
    code.cpuFeatures.push_back(feature.str());
  return code;
}

llvm::Error attnc::writeCodeFile(llvm::StringRef path, llvm::StringRef key,
                                 const CompiledCode &code) {
  if (std::string message = writeFile(path.str(), encodeCode(key, code)); !message.empty())
    return createStringError(message);
  return llvm::Error::success();
}

llvm::Expected<CompiledCode> attnc::readCodeFile(llvm::StringRef path, llvm::StringRef key) {
  // What is no regular file, as a device, may have no end.
  struct stat status;
  if (::stat(path.str().c_str(), &status) == 0 && !S_ISREG(status.st_mode) &&
      !S_ISDIR(status.st_mode))
    return createStringError(formatv("cannot read `{0}`: it is not a regular file", path));
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false,
                                  /*IsVolatile=*/true);
  if (!buffer)
    return createStringError(formatv("cannot read `{0}`: {1}", path, buffer.getError().message()));
  llvm::Expected<CompiledCode> code = decodeCode((*buffer)->getBuffer(), key);
  if (!code)
    return createStringError(formatv("`{0}`: {1}", path, llvm::toString(code.takeError())));
  return code;
}
