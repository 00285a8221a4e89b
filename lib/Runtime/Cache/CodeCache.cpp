// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code cache in memory and on disk. Directories are held open while they are used, and what is
// asked about them and their files is asked of the open descriptor: nobody can put something else
// in their place in between.
#include "attnc/Runtime/CodeCache.h"
#include "Owner.h"
#include "attnc/Support/Environment.h"
#include "attnc/Support/FileWriter.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace attnc;
using llvm::formatv;
namespace fs = llvm::sys::fs;

/// The directory that an entry's file lies in.
class CodeCache::Shelf {
public:
  explicit Shelf(int descriptor) : descriptor(descriptor) {}
  Shelf(Shelf &&other) : descriptor(std::exchange(other.descriptor, -1)) {}
  ~Shelf() {
    if (descriptor >= 0)
      ::close(descriptor);
  }
  int get() const { return descriptor; }
  static std::string nameOf(llvm::StringRef key) { return (key + ".attncc").str(); }

private:
  int descriptor;
};

std::string attnc::whyNotOurs(int descriptor, llvm::StringRef path) {
  struct stat status;
  if (::fstat(descriptor, &status) != 0)
    return std::strerror(errno);
  if (status.st_uid != ::geteuid())
    return formatv("it belongs to another user (uid {0})", status.st_uid);
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    return formatv("others may write to it; `chmod go-w {0}` forbids that", path);
  return "";
}

std::string CodeCache::defaultDirectory() {
  if (const char *given = readVariable(Variable::CacheDir))
    return given;
  llvm::SmallString<128> path;
  if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    path = xdg;
  else if (const char *home = std::getenv("HOME"); home && *home) {
    path = home;
    llvm::sys::path::append(path, ".cache");
  } else {
    return {};
  }
  llvm::sys::path::append(path, "attnc");
  return std::string(path);
}

void CodeCache::warn(const llvm::Twine &message) const {
  if (onWarning)
    onWarning(message.str());
}

std::optional<CodeCache::Shelf> CodeCache::open(llvm::StringRef key, bool create) {
  auto refuse = [&](const std::string &why) {
    isRefused = true;
    warn("the code cache in " + llvm::Twine(directory) + " is not used: " + why);
    return std::nullopt;
  };
  auto fail = [&](const std::string &why) {
    if (create)
      warn("cannot write the code cache in " + llvm::Twine(directory) + ": " + why +
           " (set ATTNC_CACHE_DIR to a writable directory, or use --no-cache)");
    return std::nullopt;
  };
  if (create)
    if (std::error_code error =
            fs::create_directories(directory, /*IgnoreExisting=*/true, fs::owner_all))
      return fail(error.message());
  Shelf outer(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (outer.get() < 0)
    return fail(std::strerror(errno));
  if (std::string why = whyNotOurs(outer.get(), directory); !why.empty())
    return refuse(why);
  std::string name = key.take_front(2).str();
  if (create && ::mkdirat(outer.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(std::strerror(errno));
  Shelf inner(::openat(outer.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (inner.get() < 0)
    return errno == ENOTDIR || errno == ELOOP ? refuse("`" + name + "` in it is no directory")
                                              : fail(std::strerror(errno));
  if (std::string why = whyNotOurs(inner.get(), directory + "/" + name); !why.empty())
    return refuse("`" + name + "` in it: " + why);
  return inner;
}

std::optional<CompiledCode> CodeCache::lookup(llvm::StringRef key) {
  std::lock_guard<std::mutex> lock(mutex);
  if (auto found = memory.find(key.str()); found != memory.end())
    return found->second;
  if (directory.empty() || isRefused)
    return std::nullopt;
  std::optional<Shelf> shelf = open(key, /*create=*/false);
  if (!shelf)
    return std::nullopt;
  std::string name = Shelf::nameOf(key);
  std::string entry = "cache entry " + directory + "/" + key.take_front(2).str() + "/" + name;
  auto anew = [&](const std::string &why) {
    warn(entry + why + " and is compiled anew");
    return std::nullopt;
  };
  // Not blocking: a FIFO of that name would wait for a writer.
  Shelf file(::openat(shelf->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0)
    return errno == ENOENT  ? std::nullopt
           : errno == ELOOP ? anew(" is a symbolic link")
                            : anew(" cannot be read (" + std::string(std::strerror(errno)) + ")");
  struct stat status;
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return anew(" is no regular file");
  if (std::string why = whyNotOurs(file.get(), name); !why.empty())
    return anew(" is not used (" + why + ")");
  auto buffer = llvm::MemoryBuffer::getOpenFile(file.get(), name, status.st_size,
                                                /*RequiresNullTerminator=*/false,
                                                /*IsVolatile=*/true);
  if (!buffer)
    return anew(" cannot be read (" + buffer.getError().message() + ")");
  Outcome<CompiledCode> code = decodeCode((*buffer)->getBuffer(), key);
  if (!code)
    return anew(" is damaged");
  // What pruneCache goes by. A file system that is read-only keeps the old time.
  (void)::futimens(file.get(), nullptr);
  memory[key.str()] = *code;
  return std::move(*code);
}

void CodeCache::store(llvm::StringRef key, const CompiledCode &code) {
  std::lock_guard<std::mutex> lock(mutex);
  memory[key.str()] = code;
  if (directory.empty() || isRefused)
    return;
  std::optional<Shelf> shelf = open(key, /*create=*/true);
  if (!shelf)
    return;
  if (Failure failure = writePrivateFile(shelf->get(), Shelf::nameOf(key), encodeCode(key, code)))
    warn("cannot write the code cache in " + llvm::Twine(directory) + ": " + failure.message() +
         " (set ATTNC_CACHE_DIR to a writable directory, or use --no-cache)");
}
