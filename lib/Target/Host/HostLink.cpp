// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linker for what our code generator makes: position-independent code and constants, and calls of
// memcpy, memmove and memset. All that refers to something does so by the distance to it, so that
// an image can lie at any address; calls go through a jump to an address that the loader fills in.
#include "attnc/Target/Host/HostLink.h"
#include "attnc/Runtime/Failures.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELF.h"
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
using Section = ELF64LE::Shdr;

class Linker {
public:
  explicit Linker(const ELFFile<ELF64LE> &file) : file(file) {}

  llvm::Expected<std::string> link() {
    auto table = file.sections();
    if (!table)
      return table.takeError();
    sections = *table;
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
  bool isLoaded(const Section &section) const {
    return (section.sh_flags & ELF::SHF_ALLOC) && section.sh_size > 0 &&
           nameOf(section) != ".eh_frame";
  }

  llvm::StringRef nameOf(const Section &section) const {
    llvm::Expected<llvm::StringRef> name = file.getSectionName(section);
    if (name)
      return *name;
    llvm::consumeError(name.takeError());
    return "";
  }

  llvm::Error placeSections(bool code) {
    for (const Section &section : sections) {
      if (!isLoaded(section) || bool(section.sh_flags & ELF::SHF_EXECINSTR) != code)
        continue;
      uint64_t alignment = std::max<uint64_t>(section.sh_addralign, 1);
      if ((section.sh_flags & (ELF::SHF_WRITE | ELF::SHF_TLS)) ||
          section.sh_type == ELF::SHT_NOBITS || !llvm::isPowerOf2_64(alignment) ||
          alignment > hostImagePage)
        return createStringError(formatv(
            "host code has a section that is no code and no constants: `{0}`", nameOf(section)));
      llvm::Expected<llvm::ArrayRef<uint8_t>> contents = file.getSectionContents(section);
      if (!contents)
        return contents.takeError();
      uint64_t place = take(contents->size(), alignment);
      std::copy(contents->begin(), contents->end(), memory.begin() + static_cast<int64_t>(place));
      places[indexOf(section)] = place;
    }
    return llvm::Error::success();
  }

  uint64_t indexOf(const Section &section) const {
    return static_cast<uint64_t>(&section - sections.begin());
  }

  /// A symbol as a reference or a kernel needs it.
  struct Symbol {
    llvm::StringRef name;
    bool isOutside;
    std::optional<uint64_t> place; ///< of what it names, if that is loaded
  };

  llvm::Expected<Symbol> symbolOf(const ELF64LE::Sym &symbol, llvm::StringRef names) const {
    llvm::Expected<llvm::StringRef> name = symbol.getName(names);
    if (!name)
      return name.takeError();
    auto placed = places.find(symbol.st_shndx);
    bool isLoaded = symbol.st_shndx != ELF::SHN_UNDEF && symbol.st_shndx < ELF::SHN_LORESERVE &&
                    placed != places.end() && symbol.st_value <= sections[placed->first].sh_size;
    return Symbol{*name, symbol.st_shndx == ELF::SHN_UNDEF,
                  isLoaded ? std::optional<uint64_t>(placed->second + symbol.st_value)
                           : std::nullopt};
  }

  /// Calls `visit` for each reference in what is loaded: where it is, what kind it is, the symbol,
  /// and the addend.
  template <typename Visit> llvm::Error forEachReference(Visit visit) {
    for (const Section &section : sections) {
      bool isTable = section.sh_type == ELF::SHT_REL || section.sh_type == ELF::SHT_RELA ||
                     section.sh_type == ELF::SHT_CREL;
      if (!isTable || section.sh_info >= sections.size() || !isLoaded(sections[section.sh_info]))
        continue;
      if (section.sh_type != ELF::SHT_RELA)
        return createStringError("host code has references without addends");
      auto references = file.relas(section);
      if (!references)
        return references.takeError();
      auto table = file.getSection(section.sh_link);
      if (!table)
        return table.takeError();
      auto symbols = file.symbols(*table);
      auto names = file.getStringTableForSymtab(**table);
      if (!symbols || !names)
        return llvm::joinErrors(symbols.takeError(), names.takeError());
      uint64_t bytes = sections[section.sh_info].sh_size;
      auto placed = places.find(section.sh_info);
      uint64_t place = placed == places.end() ? 0 : placed->second; // not before it is placed
      for (const ELF64LE::Rela &reference : *references) {
        uint32_t index = reference.getSymbol(/*isMips64EL=*/false);
        if (index == 0 || index >= symbols->size() || bytes < 4 || reference.r_offset > bytes - 4)
          return createStringError("host code has a reference to nothing");
        llvm::Expected<Symbol> symbol = symbolOf((*symbols)[index], *names);
        if (!symbol)
          return symbol.takeError();
        if (llvm::Error error =
                visit(place + reference.r_offset, reference.getType(/*isMips64EL=*/false), *symbol,
                      static_cast<int64_t>(reference.r_addend)))
          return error;
      }
    }
    return llvm::Error::success();
  }

  llvm::Error findCalls() {
    return forEachReference([&](uint64_t, uint32_t, const Symbol &symbol, int64_t) -> llvm::Error {
      if (!symbol.isOutside)
        return llvm::Error::success();
      if (!hostImports().count(symbol.name))
        return createStringError(
            formatv("host code calls `{0}`, which is not there for it", symbol.name));
      calls.insert({symbol.name, Call()});
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
    return forEachReference([&](uint64_t place, uint32_t type, const Symbol &symbol,
                                int64_t addend) -> llvm::Error {
      uint64_t target;
      bool isDistance = type == ELF::R_X86_64_PC32 || type == ELF::R_X86_64_PLT32;
      bool isAddressSlot = type == ELF::R_X86_64_GOTPCREL || type == ELF::R_X86_64_GOTPCRELX ||
                           type == ELF::R_X86_64_REX_GOTPCRELX;
      if (symbol.isOutside && isDistance) {
        target = calls[symbol.name].stub;
      } else if (symbol.isOutside && isAddressSlot) {
        target = calls[symbol.name].slot;
      } else if (symbol.place && isDistance) {
        target = *symbol.place;
      } else {
        return createStringError(
            formatv("host code refers to `{0}` in a way that an image cannot keep (relocation {1})",
                    symbol.name, type));
      }
      // Places are below 2^63; addends may be anything.
      int64_t distance;
      if (llvm::AddOverflow(static_cast<int64_t>(target) - static_cast<int64_t>(place), addend,
                            distance) ||
          !llvm::isInt<32>(distance))
        return createStringError("host code is larger than 2 GiB");
      endian::write32le(&memory[place], static_cast<uint32_t>(distance));
      return llvm::Error::success();
    });
  }

  /// Functions that others may call, in the order of the object.
  llvm::Expected<std::vector<std::pair<llvm::StringRef, uint64_t>>> kernels() {
    std::vector<std::pair<llvm::StringRef, uint64_t>> found;
    for (const Section &section : sections) {
      if (section.sh_type != ELF::SHT_SYMTAB)
        continue;
      auto symbols = file.symbols(&section);
      auto names = file.getStringTableForSymtab(section);
      if (!symbols || !names)
        return llvm::joinErrors(symbols.takeError(), names.takeError());
      for (const ELF64LE::Sym &entry : *symbols) {
        if (entry.getBinding() != ELF::STB_GLOBAL || entry.getType() != ELF::STT_FUNC)
          continue;
        llvm::Expected<Symbol> symbol = symbolOf(entry, *names);
        if (!symbol)
          return symbol.takeError();
        if (symbol->place && *symbol->place < codeBytes)
          found.emplace_back(symbol->name, *symbol->place);
      }
    }
    return found;
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
    llvm::Expected<std::vector<std::pair<llvm::StringRef, uint64_t>>> named = kernels();
    if (!named)
      return named.takeError();
    number(static_cast<uint32_t>(named->size()));
    for (auto &[name, offset] : *named)
      place(name, offset);
    return bytes + memory;
  }

  const ELFFile<ELF64LE> &file;
  llvm::ArrayRef<Section> sections;
  std::string memory;
  uint64_t codeBytes = 0;
  std::map<uint64_t, uint64_t> places; ///< of sections, by index
  llvm::MapVector<llvm::StringRef, Call> calls;
};
} // namespace

llvm::Expected<std::string> attnc::linkHostObject(llvm::StringRef object) {
  // ELFFile's functions give errors for what is damaged; those of ObjectFile end the process.
  llvm::Expected<ELFFile<ELF64LE>> file = ELFFile<ELF64LE>::create(object);
  if (!file)
    return file.takeError();
  const ELF64LE::Ehdr &header = file->getHeader();
  if (!header.checkMagic() || header.getFileClass() != ELF::ELFCLASS64 ||
      header.getDataEncoding() != ELF::ELFDATA2LSB || header.e_machine != ELF::EM_X86_64 ||
      header.e_type != ELF::ET_REL)
    return createStringError("host code is no relocatable object for x86-64");
  return Linker(*file).link();
}

llvm::Expected<std::unique_ptr<HostImage>> attnc::loadHostObject(llvm::StringRef object) {
  llvm::Expected<std::string> image = linkHostObject(object);
  if (!image)
    return image.takeError();
  return toExpected(HostImage::load(*image));
}
