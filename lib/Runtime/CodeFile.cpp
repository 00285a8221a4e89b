// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled code as bytes: the magic, then for each of key, target, CPU features, program and code
// a 64-bit little-endian length and the bytes, then the SHA-256 of all that in hexadecimal. The
// hash tells damage, not malice: whoever may write the file may write the hash. So all that is read
// is checked, and where it is read from is the reader's concern (see CodeCache.cpp).
#include "attnc/Runtime/CodeFile.h"
#include "attnc/Support/Format.h"
#include "attnc/Support/Sha256.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace attnc;

/// Takes a length and as many bytes off `body`. False if they are not there.
static bool takePart(std::string_view &body, std::string_view &part) {
  uint64_t length = 0;
  if (body.size() < sizeof length)
    return false;
  std::memcpy(&length, body.data(), sizeof length);
  body.remove_prefix(sizeof length);
  if (length > body.size())
    return false;
  part = body.substr(0, length);
  body.remove_prefix(length);
  return true;
}

Outcome<CompiledCode> attnc::decodeCode(std::string_view bytes, std::string_view key) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  constexpr size_t kHashLength = 64;
  constexpr std::string_view family = codeFileMagic.substr(0, 6);
  auto bad = [](const char *why) { return Failure(why); };
  if (bytes.size() < codeFileMagic.size() + kHashLength || bytes.substr(0, family.size()) != family)
    return bad("it is not compiled code, or is damaged");
  if (bytes.substr(0, codeFileMagic.size()) != codeFileMagic)
    return bad("it was written by another version of attnc");
  std::string_view body = bytes.substr(0, bytes.size() - kHashLength);
  if (sha256Hex(body) != bytes.substr(body.size()))
    return bad("it is damaged: its checksum does not fit");
  body.remove_prefix(codeFileMagic.size());
  std::string_view parts[5];
  for (std::string_view &part : parts)
    if (!takePart(body, part))
      return bad("it is damaged: a part is missing, or cut short");
  if (!body.empty() || parts[0] != key)
    return bad("it is damaged: it is the code of something else");
  Outcome<Program> program = parseProgram(parts[3]);
  if (!program)
    return program.takeError();
  CompiledCode code{std::move(*program), std::string(parts[1]), std::string(parts[4]), {}};
  for (std::string_view rest = parts[2]; !rest.empty();) {
    size_t length = std::min(rest.find(','), rest.size());
    if (length)
      code.cpuFeatures.emplace_back(rest.substr(0, length));
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return code;
}

/// All bytes of a regular file, or a failure that says why not. What is no regular file, as a
/// device, may have no end.
static Outcome<std::string> readRegularFile(const std::string &path) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  if (file < 0 || ::fstat(file, &status) != 0) {
    Failure failure(std::strerror(errno));
    if (file >= 0)
      ::close(file);
    return failure;
  }
  std::string bytes;
  const char *problem = S_ISDIR(status.st_mode)    ? "it is a directory"
                        : !S_ISREG(status.st_mode) ? "it is not a regular file"
                                                   : nullptr;
  if (!problem)
    bytes.resize(static_cast<size_t>(status.st_size));
  for (size_t at = 0; !problem && at < bytes.size();) {
    ssize_t count = ::read(file, bytes.data() + at, bytes.size() - at);
    if (count > 0)
      at += static_cast<size_t>(count);
    else if (count == 0)
      bytes.resize(at);
    else if (errno != EINTR)
      problem = std::strerror(errno);
  }
  ::close(file);
  if (problem)
    return Failure(problem);
  return bytes;
}

Outcome<CompiledCode> attnc::readCodeFile(const std::string &path, std::string_view key) {
  Outcome<std::string> bytes = readRegularFile(path);
  if (!bytes)
    return Failure(formatText("cannot read `{0}`: {1}", path, bytes.takeError().message()));
  Outcome<CompiledCode> code = decodeCode(*bytes, key);
  if (!code)
    return Failure(formatText("`{0}`: {1}", path, code.takeError().message()));
  return code;
}
