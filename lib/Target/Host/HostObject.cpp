// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an object asks of the process that loads it. LLVM makes a call of the C library of a
// function that the CPU has no instruction for: of a vector's, one for each lane.
#include "attnc/Target/Host/HostCodegen.h"
#include "llvm/Object/ObjectFile.h"

using namespace attnc;
using llvm::createStringError;

/// What code generation makes of loops and buffers.
static bool isMemoryFunction(llvm::StringRef name) {
  return name == "memcpy" || name == "memmove" || name == "memset";
}

llvm::Error attnc::verifyHostObject(llvm::StringRef object) {
  llvm::Expected<std::unique_ptr<llvm::object::ObjectFile>> file =
      llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "object"));
  if (!file)
    return file.takeError();
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    // The first symbol of an ELF file has no name.
    bool isUndefined = *flags & llvm::object::BasicSymbolRef::SF_Undefined;
    if (isUndefined && !name->empty() && !isMemoryFunction(*name))
      return createStringError("host code calls `" + *name +
                               "`: expected calls of memcpy, memmove and memset alone; a function "
                               "on numbers needs an expansion (MathExpansion.h)");
  }
  return llvm::Error::success();
}
