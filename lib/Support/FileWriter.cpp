// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Atomic replacement of files. The new file has no name while it is written (O_TMPFILE), so that
// nothing is left behind even by SIGKILL; where a file system cannot do that it has a temporary one
// from the start. A name is then given in two steps, link and rename, because a link cannot
// replace.
#include "attnc/Support/FileWriter.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace attnc;

namespace {
/// A descriptor that is closed at the end.
class Descriptor {
public:
  explicit Descriptor(int number) : number(number) {}
  Descriptor(const Descriptor &) = delete;
  ~Descriptor() { close(); }
  int get() const { return number; }
  bool isOpen() const { return number >= 0; }
  /// False, with errno, if what was written before turns out not to be.
  bool close() {
    int closing = number;
    number = -1;
    return closing < 0 || ::close(closing) == 0;
  }

private:
  int number;
};

/// What errno says.
Failure systemFailure() { return Failure(std::strerror(errno)); }

bool writeAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR)
      return false;
    if (written > 0)
      bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

/// Forces a file or directory to disk; file systems that have no such thing are as good as they
/// get.
bool synchronize(int descriptor) {
  return ::fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

/// A name that no other process or thread uses now.
std::string temporaryName(const std::string &name) {
  static std::atomic<unsigned> counter{0};
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  char suffix[64];
  std::snprintf(suffix, sizeof suffix, ".%ld-%lx-%u.tmp", static_cast<long>(getpid()),
                static_cast<unsigned long>(now.tv_nsec), counter++);
  // A name has at most 255 bytes.
  return name.substr(0, 200) + suffix;
}

/// A new file in a directory.
class NewFile {
public:
  NewFile(int directory, const std::string &name, mode_t mode) : directory(directory) {
    // Without /proc it could not be given a name.
    if (::access("/proc/self/fd", X_OK) == 0)
      descriptor = ::openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    if (descriptor >= 0)
      return;
    temporary = temporaryName(name);
    descriptor =
        ::openat(directory, temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
    if (descriptor < 0)
      temporary.clear();
  }
  ~NewFile() {
    int saved = errno;
    if (descriptor >= 0)
      ::close(descriptor);
    if (!temporary.empty())
      ::unlinkat(directory, temporary.c_str(), 0);
    errno = saved;
  }
  int get() const { return descriptor; }

  /// Gives it its name, in place of the file that has it. False, with errno, if that fails.
  bool publish(const std::string &name) {
    if (temporary.empty()) {
      std::string linked = temporaryName(name);
      std::string self = "/proc/self/fd/" + std::to_string(descriptor);
      if (::linkat(AT_FDCWD, self.c_str(), directory, linked.c_str(), AT_SYMLINK_FOLLOW) != 0)
        return false;
      temporary = linked;
    }
    int closing = descriptor;
    descriptor = -1;
    if (::close(closing) != 0 ||
        ::renameat(directory, temporary.c_str(), directory, name.c_str()) != 0)
      return false;
    temporary.clear();
    return true;
  }

private:
  int directory, descriptor = -1;
  std::string temporary; ///< the name that it has meanwhile
};

/// Where a path leads: the directory and the name of the file at the end of its links.
struct Place {
  std::string directory, name;
  int descriptor = -1; ///< of this process, if the path names one
};

/// The descriptor that a path stands for, or -1.
int descriptorOf(const std::string &path) {
  if (path == "/dev/stdin")
    return 0;
  if (path == "/dev/stdout")
    return 1;
  if (path == "/dev/stderr")
    return 2;
  for (const char *folder : {"/dev/fd/", "/proc/self/fd/"}) {
    size_t length = std::strlen(folder);
    if (path.compare(0, length, folder) != 0 || path.size() == length || path.size() > length + 6)
      continue;
    if (path.find_first_not_of("0123456789", length) == std::string::npos)
      return std::stoi(path.substr(length));
  }
  return -1;
}

/// Follows symbolic links by hand, as a name is needed and not only the file. False, with errno, on
/// a circle.
bool follow(std::string path, Place &place) {
  for (int links = 0; links < 40; ++links) {
    if ((place.descriptor = descriptorOf(path)) >= 0)
      return true;
    size_t slash = path.rfind('/');
    place.directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    place.name = slash == std::string::npos ? path : path.substr(slash + 1);
    std::vector<char> target(4096);
    ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0)
      return true; // no link, or nothing at all yet
    std::string to(target.data(), static_cast<size_t>(length));
    path = to.empty() || to[0] != '/' ? place.directory + "/" + to : to;
  }
  errno = ELOOP;
  return false;
}

Failure writeInPlace(int descriptor, std::string_view bytes) {
  Descriptor file(descriptor);
  if (!file.isOpen() || !writeAll(file.get(), bytes) || !file.close())
    return systemFailure();
  return Failure::success();
}

/// Gives a new file the permissions of the one that it replaces, and its owner where this user may.
bool takeOver(int descriptor, const struct stat &old) {
  struct stat mine;
  if (::fstat(descriptor, &mine) != 0)
    return false;
  mode_t mode = old.st_mode & 07777;
  bool sameOwner = mine.st_uid == old.st_uid && mine.st_gid == old.st_gid;
  if (!sameOwner && ::fchown(descriptor, old.st_uid, old.st_gid) != 0)
    mode &= 0777; // set-user-id would now mean another user
  return ::fchmod(descriptor, mode) == 0;
}

Failure replace(const std::string &path, std::string_view bytes) {
  Place place;
  if (!follow(path, place))
    return systemFailure();
  if (place.descriptor >= 0)
    return writeInPlace(::fcntl(place.descriptor, F_DUPFD_CLOEXEC, 3), bytes);
  std::string target = place.directory == "." ? place.name : place.directory + place.name;
  if (place.name.empty())
    return Failure(std::strerror(path.empty() ? ENOENT : EISDIR));
  struct stat old;
  bool exists = ::stat(target.c_str(), &old) == 0;
  if (!exists && errno != ENOENT)
    return systemFailure();
  if (exists && S_ISDIR(old.st_mode))
    return Failure(std::strerror(EISDIR));
  if (exists && !S_ISREG(old.st_mode))
    return writeInPlace(::open(target.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC), bytes);
  // A rename would replace a file that its owner has protected.
  if (exists && ::faccessat(AT_FDCWD, target.c_str(), W_OK, AT_EACCESS) != 0)
    return systemFailure();

  Descriptor directory(::open(place.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.isOpen())
    return systemFailure();
  NewFile file(directory.get(), place.name, exists ? 0600 : 0666);
  if (file.get() < 0)
    return Failure("cannot create a file beside it: " + systemFailure().message());
  if (!writeAll(file.get(), bytes) || (exists && !takeOver(file.get(), old)) ||
      !synchronize(file.get()) || !file.publish(place.name))
    return systemFailure();
  return synchronize(directory.get()) ? Failure::success() : systemFailure();
}
} // namespace

Failure attnc::writeFile(const std::string &path, std::string_view bytes) {
  if (Failure failure = replace(path, bytes))
    return Failure("cannot write `" + path + "`: " + failure.message());
  return Failure::success();
}

Failure attnc::writePrivateFile(int directory, const std::string &name, std::string_view bytes) {
  NewFile file(directory, name, 0600);
  if (file.get() < 0 || !writeAll(file.get(), bytes) || !file.publish(name))
    return systemFailure();
  return Failure::success();
}
