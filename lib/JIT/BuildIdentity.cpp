// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The build-id is a note in a segment of the image, so it is in memory as soon as the code is.
#include "BuildIdentity.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"
#include <cstring>
#include <link.h>

using namespace attnc;

/// The build-id among the notes in `notes`, or nothing.
static llvm::ArrayRef<uint8_t> findBuildId(llvm::ArrayRef<uint8_t> notes) {
  auto padded = [](uint64_t size) { return (size + 3) / 4 * 4; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    notes = notes.drop_front(sizeof note);
    uint64_t name = padded(note.n_namesz), description = padded(note.n_descsz);
    if (name > notes.size() || description > notes.size() - name)
      break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data(), "GNU", 4) == 0)
      return notes.slice(name, note.n_descsz);
    notes = notes.drop_front(name + description);
  }
  return {};
}

namespace {
/// The image that holds an address, and what identifies it.
struct Search {
  uintptr_t address;
  std::string identity;
};
} // namespace

static int visitImage(dl_phdr_info *info, size_t, void *data) {
  auto &search = *static_cast<Search *>(data);
  llvm::ArrayRef<ElfW(Phdr)> segments(info->dlpi_phdr, info->dlpi_phnum);
  auto bytesOf = [&](const ElfW(Phdr) & segment) {
    return llvm::ArrayRef(reinterpret_cast<const uint8_t *>(info->dlpi_addr + segment.p_vaddr),
                          segment.p_memsz);
  };
  bool isOurs = llvm::any_of(segments, [&](const ElfW(Phdr) & segment) {
    uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    return segment.p_type == PT_LOAD && search.address >= begin &&
           search.address - begin < segment.p_memsz;
  });
  if (!isOurs)
    return 0;
  for (const ElfW(Phdr) &segment : segments)
    if (llvm::ArrayRef<uint8_t> id;
        segment.p_type == PT_NOTE && !(id = findBuildId(bytesOf(segment))).empty()) {
      search.identity = llvm::toHex(id, /*LowerCase=*/true);
      return 1;
    }
  // Code and constants are as in the file; what is writable is not.
  llvm::SHA256 hash;
  for (const ElfW(Phdr) &segment : segments)
    if (segment.p_type == PT_LOAD && !(segment.p_flags & PF_W))
      hash.update(bytesOf(segment));
  search.identity = llvm::toHex(hash.final(), /*LowerCase=*/true);
  return 1;
}

const std::string &attnc::buildIdentity() {
  static const std::string identity = [] {
    Search search{reinterpret_cast<uintptr_t>(&buildIdentity), {}};
    dl_iterate_phdr(visitImage, &search);
    return search.identity;
  }();
  return identity;
}
