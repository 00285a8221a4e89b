// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A cache of compiled code: in memory, and on disk across processes.
//
// Entries are content-addressed: the key is a hash of everything the code depends on (spec,
// options, target, the build of the compiler), so an entry is never out of date. On disk an entry
// is one file with a magic number, its key, and a checksum; a file that does not check is ignored
// and written anew. Writers rename a finished file, so that readers see a whole entry or none, from
// any number of processes.
//
// What is in the cache is executed. So directories (0700) and files (0600) must belong to this user
// and be writable by nobody else, links among them are not followed, and a directory or entry that
// is not so is left alone, with a warning.
#ifndef ATTNC_RUNTIME_CODECACHE_H
#define ATTNC_RUNTIME_CODECACHE_H

#include "attnc/Runtime/CodeFile.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace attnc {

/// Text form of a program (JSON); parseProgram reads it.
std::string serializeProgram(const Program &program);

/// SHA-256 of the parts, in hexadecimal; parts cannot run into each other.
std::string cacheKey(llvm::ArrayRef<llvm::StringRef> parts);

/// Compiled code as bytes; decodeCode reads them.
std::string encodeCode(llvm::StringRef key, const CompiledCode &code);

/// Compiled code as a file of its own: written whole or not at all; readCodeFile reads it. Errors
/// name the file.
llvm::Error writeCodeFile(llvm::StringRef path, llvm::StringRef key, const CompiledCode &code);

/// What is in a cache on disk.
struct CacheUse {
  uint64_t entries = 0, bytes = 0;
};

/// Which entries of a cache may stay.
struct CacheLimits {
  uint64_t bytes = UINT64_MAX;   ///< of all together: those that were not used for longest go
  uint64_t seconds = UINT64_MAX; ///< since an entry was last used
};

/// Removes entries beyond the limits from the cache in `directory`, and returns what there was
/// before and is now. Processes that use it meanwhile compile anew. Only entries are removed, from
/// directories that are this user's; one that does not exist is empty. The error names the
/// directory.
llvm::Expected<std::pair<CacheUse, CacheUse>> pruneCache(llvm::StringRef directory,
                                                         const CacheLimits &limits);

class CodeCache {
public:
  /// `directory` empty: memory only.
  explicit CodeCache(std::string directory) : directory(std::move(directory)) {}

  /// $ATTNC_CACHE_DIR, else $XDG_CACHE_HOME/attnc, else ~/.cache/attnc; empty if none is set.
  static std::string defaultDirectory();

  /// The entry, from memory or disk, whose file is then one that was just used. A damaged file, and
  /// one that others could have written, counts as absent; `onWarning` is told.
  std::optional<CompiledCode> lookup(llvm::StringRef key);
  /// Stores in memory and on disk. A directory that cannot be written is a warning, not an error:
  /// the code is there.
  void store(llvm::StringRef key, const CompiledCode &code);

  /// Receives warnings; may be empty.
  std::function<void(llvm::StringRef)> onWarning;

private:
  class Shelf;
  /// The open directory that holds an entry's file; creates it if asked to.
  std::optional<Shelf> open(llvm::StringRef key, bool create);
  void warn(const llvm::Twine &message) const;

  std::string directory;
  bool isRefused = false; ///< the directory is not ours alone: neither read nor written, told once
  std::mutex mutex;
  std::unordered_map<std::string, CompiledCode> memory;
};

} // namespace attnc

#endif // ATTNC_RUNTIME_CODECACHE_H
