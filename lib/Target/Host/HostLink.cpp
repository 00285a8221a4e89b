// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linker for what our code generator makes: position-independent code and constants, and calls of
// memcpy, memmove and memset. All that refers to something does so by the distance to it, so that
// an image can lie at any address; calls go through a jump to an address that the loader fills in.
#include "attnc/Target/Host/HostLink.h"
#include "attnc/Runtime/Failures.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace attnc;
using llvm::createStringError;
using llvm::formatv;
using namespace llvm::object;
namespace endian = llvm::support::endian;
namespace ELF = llvm::ELF;

namespace {
class Linker {
public:
  explicit Linker(const ELF64LEObjectFile &file) : file(file) {}

  llvm::Expected<std::string> link() {
    if (llvm::Error error = placeSections(/*code=*/true))
      return std::move(error);
    if (llvm::Error error = findCalls())
      return std::move(error);
    for (auto &call : calls)
      call.second.stub = take(8, 8);
    codeBytes = llvm::alignTo(std::max<uint64_t>(memory.size(), 1), hostImagePage);
    memory.resize(codeBytes, '\xcc'); // int3
    if (llvm::Error error = placeSections(/*code=*/false))
      return std::move(error);
    for (auto &call : calls)
      call.second.slot = take(8, 8);
    writeStubs();
    if (llvm::Error error = relocate())
      return std::move(error);
    return image();
  }

private:
  struct Call {
    uint64_t stub = 0, slot = 0;
  };

  /// Memory at a multiple of `alignment`; its place.
  uint64_t take(uint64_t bytes, uint64_t alignment) {
    uint64_t place = llvm::alignTo(memory.size(), alignment);
    memory.resize(place + bytes, '\0');
    return place;
  }

  /// True for what is in memory while the code runs. Nobody unwinds through a kernel.
  static bool isLoaded(const ELFSectionRef &section) {
    llvm::Expected<llvm::StringRef> name = section.getName();
    bool isUnwinding = name && *name == ".eh_frame";
    if (!name)
      llvm::consumeError(name.takeError());
    return (section.getFlags() & ELF::SHF_ALLOC) && section.getSize() > 0 && !isUnwinding;
  }

  llvm::Error placeSections(bool code) {
    for (const ELFSectionRef section : file.sections()) {
      if (!isLoaded(section) || bool(section.getFlags() & ELF::SHF_EXECINSTR) != code)
        continue;
      llvm::Expected<llvm::StringRef> contents = section.getContents();
      if (!contents)
        return contents.takeError();
      uint64_t alignment = section.getAlignment().value();
      if ((section.getFlags() & (ELF::SHF_WRITE | ELF::SHF_TLS)) || section.isVirtual() ||
          alignment > hostImagePage)
        return createStringError(
            formatv("host code has a section that is no code and no constants: `{0}`",
                    llvm::cantFail(section.getName())));
      uint64_t place = take(contents->size(), alignment);
      memory.replace(place, contents->size(), contents->data(), contents->size());
      places[section.getIndex()] = place;
    }
    return llvm::Error::success();
  }

  /// Calls `visit` for each reference in what is loaded: where it is, what kind it is, the symbol,
  /// and the addend.
  template <typename Visit> llvm::Error forEachReference(Visit visit) {
    for (const ELFSectionRef section : file.sections()) {
      llvm::Expected<section_iterator> target = section.getRelocatedSection();
      if (!target)
        return target.takeError();
      if (*target == file.section_end() || !isLoaded(ELFSectionRef(**target)))
        continue;
      for (const ELFRelocationRef reference : section.relocations()) {
        symbol_iterator symbol = reference.getSymbol();
        llvm::Expected<int64_t> addend = reference.getAddend();
        if (!addend)
          return addend.takeError();
        if (symbol == file.symbol_end() || reference.getOffset() + 4 > (*target)->getSize())
          return createStringError("host code has a reference to nothing");
        auto placed = places.find((*target)->getIndex());
        uint64_t place = placed == places.end() ? 0 : placed->second;
        if (llvm::Error error =
                visit(place + reference.getOffset(), reference.getType(), *symbol, *addend))
          return error;
      }
    }
    return llvm::Error::success();
  }

  static llvm::Expected<bool> isUndefined(const SymbolRef &symbol) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    return bool(*flags & BasicSymbolRef::SF_Undefined);
  }

  llvm::Error findCalls() {
    return forEachReference(
        [&](uint64_t, uint64_t, const SymbolRef &symbol, int64_t) -> llvm::Error {
          llvm::Expected<bool> outside = isUndefined(symbol);
          llvm::Expected<llvm::StringRef> name = symbol.getName();
          if (!outside || !name)
            return llvm::joinErrors(outside.takeError(), name.takeError());
          if (!*outside)
            return llvm::Error::success();
          if (!hostImports().count(*name))
            return createStringError(
                formatv("host code calls `{0}`, which is not there for it", *name));
          calls.insert({*name, Call()});
          return llvm::Error::success();
        });
  }

  /// `jmp *slot(%rip)`.
  void writeStubs() {
    for (auto &[name, call] : calls) {
      memory[call.stub] = '\xff';
      memory[call.stub + 1] = '\x25';
      endian::write32le(&memory[call.stub + 2], static_cast<uint32_t>(call.slot - call.stub - 6));
    }
  }

  llvm::Error relocate() {
    return forEachReference([&](uint64_t place, uint64_t type, const SymbolRef &symbol,
                                int64_t addend) -> llvm::Error {
      llvm::Expected<bool> outside = isUndefined(symbol);
      llvm::Expected<llvm::StringRef> name = symbol.getName();
      llvm::Expected<section_iterator> section = symbol.getSection();
      if (!outside || !name || !section)
        return llvm::joinErrors(llvm::joinErrors(outside.takeError(), name.takeError()),
                                section.takeError());
      uint64_t target;
      bool isDistance = type == ELF::R_X86_64_PC32 || type == ELF::R_X86_64_PLT32;
      bool isAddressSlot = type == ELF::R_X86_64_GOTPCREL || type == ELF::R_X86_64_GOTPCRELX ||
                           type == ELF::R_X86_64_REX_GOTPCRELX;
      if (*outside && isDistance) {
        target = calls[*name].stub;
      } else if (*outside && isAddressSlot) {
        target = calls[*name].slot;
      } else if (!*outside && isDistance && *section != file.section_end() &&
                 places.count((*section)->getIndex())) {
        llvm::Expected<uint64_t> value = symbol.getValue();
        if (!value)
          return value.takeError();
        target = places[(*section)->getIndex()] + *value;
      } else {
        return createStringError(
            formatv("host code refers to `{0}` in a way that an image cannot keep (relocation {1})",
                    *name, type));
      }
      int64_t distance = static_cast<int64_t>(target) + addend - static_cast<int64_t>(place);
      if (!llvm::isInt<32>(distance))
        return createStringError("host code is larger than 2 GiB");
      endian::write32le(&memory[place], static_cast<uint32_t>(distance));
      return llvm::Error::success();
    });
  }

  llvm::Expected<std::string> image() {
    std::string bytes(hostImageMagic);
    auto number = [&](auto value) {
      char text[sizeof value];
      endian::write(text, value, llvm::endianness::little);
      bytes.append(text, sizeof value);
    };
    auto place = [&](llvm::StringRef name, uint64_t offset) {
      number(static_cast<uint32_t>(name.size()));
      bytes += name;
      number(offset);
    };
    number(codeBytes);
    number(static_cast<uint64_t>(memory.size()));
    number(static_cast<uint32_t>(calls.size()));
    for (auto &[name, call] : calls)
      place(name, call.slot);
    std::vector<std::pair<llvm::StringRef, uint64_t>> kernels;
    for (const ELFSymbolRef symbol : file.symbols()) {
      if (symbol.getBinding() != ELF::STB_GLOBAL || symbol.getELFType() != ELF::STT_FUNC)
        continue;
      llvm::Expected<llvm::StringRef> name = symbol.getName();
      llvm::Expected<section_iterator> section = symbol.getSection();
      llvm::Expected<uint64_t> value = symbol.getValue();
      if (!name || !section || !value)
        return llvm::joinErrors(llvm::joinErrors(name.takeError(), section.takeError()),
                                value.takeError());
      if (*section != file.section_end() && places.count((*section)->getIndex()))
        kernels.emplace_back(*name, places[(*section)->getIndex()] + *value);
    }
    number(static_cast<uint32_t>(kernels.size()));
    for (auto &[name, offset] : kernels)
      place(name, offset);
    return bytes + memory;
  }

  const ELF64LEObjectFile &file;
  std::string memory;
  uint64_t codeBytes = 0;
  std::map<uint64_t, uint64_t> places; ///< of sections, by index
  llvm::MapVector<llvm::StringRef, Call> calls;
};
} // namespace

llvm::Expected<std::string> attnc::linkHostObject(llvm::StringRef object) {
  llvm::Expected<std::unique_ptr<ObjectFile>> file =
      ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "object"));
  if (!file)
    return file.takeError();
  auto *elf = llvm::dyn_cast<ELF64LEObjectFile>(file->get());
  if (!elf || elf->getArch() != llvm::Triple::x86_64 || !elf->isRelocatableObject())
    return createStringError("host code is no relocatable object for x86-64");
  return Linker(*elf).link();
}

llvm::Expected<std::unique_ptr<HostImage>> attnc::loadHostObject(llvm::StringRef object) {
  llvm::Expected<std::string> image = linkHostObject(object);
  if (!image)
    return image.takeError();
  return toExpected(HostImage::load(*image));
}
