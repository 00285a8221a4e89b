// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc cache: what the code cache holds, and removing what was not used for long. Entries are
// never out of date, only no longer asked for: each build of the compiler has its own.
#include "Options.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace attnc;
using namespace attnc::driver;
using llvm::formatv;

static std::string megabytes(uint64_t bytes) { return formatv("{0:F1} MB", double(bytes) / 1e6); }

llvm::Error driver::runCache(const Options &options) {
  std::string directory = CodeCache::defaultDirectory();
  if (directory.empty())
    return llvm::createStringError(
        "there is no code cache: neither ATTNC_CACHE_DIR, XDG_CACHE_HOME "
        "nor HOME is set");
  CacheLimits limits;
  if (options.maxSize >= 0)
    limits.bytes = static_cast<uint64_t>(options.maxSize) * 1000000;
  if (options.unusedFor >= 0)
    limits.seconds = static_cast<uint64_t>(options.unusedFor) * 86400;
  llvm::Expected<std::pair<CacheUse, CacheUse>> pruned = pruneCache(directory, limits);
  if (!pruned)
    return pruned.takeError();
  auto [before, after] = *pruned;
  if (options.json) {
    llvm::outs() << formatv("{0:2}\n", llvm::json::Value(llvm::json::Object{
                                           {"directory", directory},
                                           {"entries", after.entries},
                                           {"bytes", after.bytes},
                                           {"removed", before.entries - after.entries}}));
    return llvm::Error::success();
  }
  llvm::outs() << formatv("{0}: {1} entries, {2}", directory, after.entries,
                          megabytes(after.bytes));
  if (options.maxSize >= 0 || options.unusedFor >= 0)
    llvm::outs() << formatv("; removed {0}, {1}", before.entries - after.entries,
                            megabytes(before.bytes - after.bytes));
  llvm::outs() << "\n";
  return llvm::Error::success();
}
