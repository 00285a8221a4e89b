// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Removing entries of the code cache. A folder that somebody names by mistake must lose nothing:
// what is removed has the place and the name that entries have, and is a regular file.
#include "Owner.h"
#include "attnc/Runtime/CodeCache.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace attnc;
using llvm::createStringError;
using llvm::formatv;

namespace {
struct CloseFolder {
  void operator()(DIR *folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// A file of a cache: `name` in the shelf `shelf`.
struct Entry {
  std::string shelf, name;
  uint64_t bytes;
  timespec used;
};
} // namespace

static bool isHexadecimal(llvm::StringRef text) {
  return llvm::all_of(text, [](char c) { return llvm::isDigit(c) || (c >= 'a' && c <= 'f'); });
}

static bool isShelf(llvm::StringRef name) { return name.size() == 2 && isHexadecimal(name); }

/// As lookup and store name files: the hash that starts with the shelf's name.
static bool isEntry(llvm::StringRef shelf, llvm::StringRef name) {
  return name.consume_back(".attncc") && name.size() == 64 && name.starts_with(shelf) &&
         isHexadecimal(name);
}

/// The folder `name` of an open one, if it is ours; null if not.
static Folder openShelf(int directory, const std::string &name) {
  int shelf = ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (shelf < 0)
    return nullptr;
  Folder folder(whyNotOurs(shelf, name).empty() ? ::fdopendir(shelf) : nullptr);
  if (!folder)
    ::close(shelf);
  return folder;
}

/// The names in an open folder.
static std::vector<std::string> namesIn(DIR *folder) {
  std::vector<std::string> names;
  while (dirent *entry = ::readdir(folder))
    names.push_back(entry->d_name);
  return names;
}

static std::vector<Entry> entriesOf(DIR *directory) {
  std::vector<Entry> entries;
  for (const std::string &shelf : namesIn(directory)) {
    Folder folder = isShelf(shelf) ? openShelf(::dirfd(directory), shelf) : nullptr;
    if (!folder)
      continue;
    for (const std::string &name : namesIn(folder.get())) {
      struct stat status;
      if (isEntry(shelf, name) &&
          ::fstatat(::dirfd(folder.get()), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISREG(status.st_mode))
        entries.push_back({shelf, name, static_cast<uint64_t>(status.st_size), status.st_mtim});
    }
  }
  return entries;
}

/// Removes an entry; one that is gone already is as good. Errno if that fails.
static int removeEntry(DIR *directory, const Entry &entry) {
  Folder folder = openShelf(::dirfd(directory), entry.shelf);
  if (!folder || ::unlinkat(::dirfd(folder.get()), entry.name.c_str(), 0) == 0 || errno == ENOENT)
    return 0;
  return errno;
}

llvm::Expected<std::pair<CacheUse, CacheUse>> attnc::pruneCache(llvm::StringRef directory,
                                                                const CacheLimits &limits) {
  std::string path = directory.str();
  auto fail = [&](const std::string &why) {
    return createStringError(formatv("cannot prune the code cache in {0}: {1}", path, why));
  };
  Folder folder(::opendir(path.c_str()));
  if (!folder && errno == ENOENT)
    return std::pair<CacheUse, CacheUse>();
  if (!folder)
    return fail(std::strerror(errno));
  if (std::string why = whyNotOurs(::dirfd(folder.get()), path); !why.empty())
    return fail(why);
  std::vector<Entry> entries = entriesOf(folder.get());
  llvm::sort(entries, [](const Entry &a, const Entry &b) { // what was used last comes first
    return std::pair(a.used.tv_sec, a.used.tv_nsec) > std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  CacheUse before, after;
  time_t now = std::time(nullptr);
  bool isFull = false;
  for (const Entry &entry : entries) {
    ++before.entries;
    before.bytes += entry.bytes;
    // A clock that was set back makes no entry old.
    uint64_t unused = now > entry.used.tv_sec ? uint64_t(now - entry.used.tv_sec) : 0;
    // What was used before the first one that does not fit goes too, however small it is. A damaged
    // entry may be empty, and nothing fits into 0 bytes.
    isFull |= std::max<uint64_t>(entry.bytes, 1) > limits.bytes - after.bytes;
    if (!isFull && unused <= limits.seconds) {
      ++after.entries;
      after.bytes += entry.bytes;
    } else if (int error = removeEntry(folder.get(), entry)) {
      return fail(formatv("{0}/{1}: {2}", entry.shelf, entry.name, std::strerror(error)));
    }
  }
  return std::pair(before, after);
}
