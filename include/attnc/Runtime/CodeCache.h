// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A cache of compiled code: in memory, and on disk across processes.
//
// Entries are content-addressed: the key is a hash of everything the code depends on (spec,
// options, target, compiler version), so an entry is never out of date. On disk an entry is one
// file with a magic number, its key, and a checksum; a file that does not check is ignored and
// written anew. Writers create a temporary file and rename it, so that readers see a whole entry or
// none, from any number of processes.
#ifndef ATTNC_RUNTIME_CODECACHE_H
#define ATTNC_RUNTIME_CODECACHE_H

#include "attnc/Runtime/KernelABI.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace attnc {

/// Code of one variant for one target, with what a launch needs to know.
struct CompiledCode {
  KernelABI abi;
  std::string target; ///< "host" or "sm_90a"
  std::string code;   ///< PTX text, or a host object file
};

/// Text form of an ABI (JSON) and back. The error says what is malformed.
std::string serializeABI(const KernelABI &abi);
llvm::Expected<KernelABI> parseABI(llvm::StringRef text);

/// SHA-256 of the parts, in hexadecimal; parts cannot run into each other.
std::string cacheKey(llvm::ArrayRef<llvm::StringRef> parts);

/// One entry as a file of its own: written whole or not at all, checked when read. `key` must
/// agree.
llvm::Error writeCodeFile(llvm::StringRef path, llvm::StringRef key, const CompiledCode &code);
llvm::Expected<CompiledCode> readCodeFile(llvm::StringRef path, llvm::StringRef key);

class CodeCache {
public:
  /// `directory` empty: memory only.
  explicit CodeCache(std::string directory) : directory(std::move(directory)) {}

  /// $ATTNC_CACHE_DIR, else $XDG_CACHE_HOME/attnc, else ~/.cache/attnc; empty if none is set.
  static std::string defaultDirectory();

  /// The entry, from memory or disk. A damaged file counts as absent; `onWarning` is told.
  std::optional<CompiledCode> lookup(llvm::StringRef key);
  /// Stores in memory and on disk. A directory that cannot be written is a warning, not an error:
  /// the code is there.
  void store(llvm::StringRef key, const CompiledCode &code);

  /// Receives warnings; may be empty.
  std::function<void(llvm::StringRef)> onWarning;

private:
  std::string pathOf(llvm::StringRef key) const;
  void warn(const llvm::Twine &message) const;

  std::string directory;
  std::mutex mutex;
  std::unordered_map<std::string, CompiledCode> memory;
};

} // namespace attnc

#endif // ATTNC_RUNTIME_CODECACHE_H
