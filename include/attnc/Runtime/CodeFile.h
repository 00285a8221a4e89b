// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled code, and how it is read from bytes: what a process needs that has no compiler, and so
// no LLVM. CodeCache.h writes it.
#ifndef ATTNC_RUNTIME_CODEFILE_H
#define ATTNC_RUNTIME_CODEFILE_H

#include "attnc/Runtime/Program.h"
#include "attnc/Support/Failure.h"
#include <string>
#include <string_view>
#include <vector>

namespace attnc {

/// Code of one variant for one target, with what a launch needs to know.
struct CompiledCode {
  Program program;
  std::string target; ///< "host" or "sm_90a"
  std::string code;   ///< PTX text, a cubin, or a linked host image (HostImage.h)
  /// Features of a CPU, by LLVM's names, that host code needs.
  std::vector<std::string> cpuFeatures;
};

/// The format of code files: files of another one are refused.
inline constexpr std::string_view codeFileMagic = "ATTNCC08";
/// The key of a file that a user has saved; a cache's entries have others.
inline constexpr std::string_view savedCodeKey = "saved";

/// The names that code files have for kinds of arguments and steps of formulas, in the order of
/// their enumerations.
extern const char *const kernelArgNames[];
extern const size_t numKernelArgNames;
extern const char *const sizeStepNames[];
extern const size_t numSizeStepNames;

/// Reads the text form of a program (JSON). The text is not trusted: a program that is returned
/// passes checkProgram. The failure says what is malformed.
Outcome<Program> parseProgram(std::string_view text);

/// Reads compiled code from bytes. The failure says why the bytes are none, or damaged.
Outcome<CompiledCode> decodeCode(std::string_view bytes, std::string_view key);

/// Reads a file of compiled code that was written under `key`. Failures name the file.
Outcome<CompiledCode> readCodeFile(const std::string &path, std::string_view key);

} // namespace attnc

#endif // ATTNC_RUNTIME_CODEFILE_H
