// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Maps linked host code: copies it, fills in addresses, and takes away the right to write.
#include "attnc/Runtime/HostImage.h"
#include "attnc/Support/Format.h"
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

using namespace attnc;

const std::map<std::string_view, const void *> &attnc::hostImports() {
  static const std::map<std::string_view, const void *> functions = {
      {"memcpy", reinterpret_cast<const void *>(&std::memcpy)},
      {"memmove", reinterpret_cast<const void *>(&std::memmove)},
      {"memset", reinterpret_cast<const void *>(&std::memset)}};
  return functions;
}

namespace {
/// Takes numbers and names off the front of an image.
class Header {
public:
  explicit Header(std::string_view bytes) : rest(bytes) {}
  template <typename T> bool number(T &value) {
    if (rest.size() < sizeof value)
      return false;
    std::memcpy(&value, rest.data(), sizeof value);
    rest.remove_prefix(sizeof value);
    return true;
  }
  bool place(std::string_view &name, uint64_t &offset) {
    uint32_t length;
    if (!number(length) || rest.size() < length)
      return false;
    name = rest.substr(0, length);
    rest.remove_prefix(length);
    return number(offset);
  }
  std::string_view left() const { return rest; }

private:
  std::string_view rest;
};
} // namespace

HostImage::~HostImage() {
  if (memory)
    ::munmap(memory, size);
}

HostKernelFn HostImage::lookup(std::string_view symbol) const {
  auto found = kernels.find(symbol);
  if (found == kernels.end())
    return nullptr;
  return reinterpret_cast<HostKernelFn>(static_cast<char *>(memory) + found->second);
}

Outcome<std::unique_ptr<HostImage>> HostImage::load(std::string_view bytes) {
  auto damaged = [] { return Failure("the host code is damaged, or of another version"); };
  if (bytes.substr(0, hostImageMagic.size()) != hostImageMagic)
    return damaged();
  Header header(bytes.substr(hostImageMagic.size()));
  uint64_t codeBytes, allBytes;
  uint32_t count;
  std::map<uint64_t, const void *> addresses;
  std::unique_ptr<HostImage> image(new HostImage());
  std::string_view name;
  uint64_t offset;
  if (!header.number(codeBytes) || !header.number(allBytes) || !header.number(count) ||
      codeBytes == 0 || codeBytes % hostImagePage != 0 || codeBytes > allBytes)
    return damaged();
  for (uint32_t i = 0; i < count; ++i) {
    if (!header.place(name, offset) || offset < codeBytes || allBytes < sizeof(void *) ||
        offset > allBytes - sizeof(void *))
      return damaged();
    auto function = hostImports().find(name);
    if (function == hostImports().end())
      return Failure(formatText("the host code calls `{0}`, which nobody has here", name));
    addresses[offset] = function->second;
  }
  if (!header.number(count))
    return damaged();
  for (uint32_t i = 0; i < count; ++i) {
    if (!header.place(name, offset) || offset >= codeBytes)
      return damaged();
    image->kernels.emplace(name, offset);
  }
  if (header.left().size() != allBytes)
    return damaged();
  if (static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) != hostImagePage)
    return Failure("host code needs a system with memory pages of 4096 bytes");

  auto system = [](const char *what) {
    return Failure(formatText("cannot {0} memory for host code: {1}", what, std::strerror(errno)));
  };
  void *memory =
      ::mmap(nullptr, allBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return system("map");
  image->memory = memory;
  image->size = allBytes;
  auto *base = static_cast<char *>(memory);
  std::memcpy(base, header.left().data(), allBytes);
  for (auto &[place, address] : addresses)
    std::memcpy(base + place, &address, sizeof address);
  if (::mprotect(base, codeBytes, PROT_READ | PROT_EXEC) != 0 ||
      (allBytes > codeBytes && ::mprotect(base + codeBytes, allBytes - codeBytes, PROT_READ) != 0))
    return system("protect");
  return image;
}
