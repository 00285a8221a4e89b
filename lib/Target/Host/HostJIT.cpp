// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading of objects into the process.
#include "attnc/Target/Host/HostJIT.h"
#include "attnc/Target/Host/HostCodegen.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"

using namespace attnc;

HostCode::HostCode(std::unique_ptr<llvm::orc::LLJIT> jit) : jit(std::move(jit)) {}
HostCode::~HostCode() = default;

llvm::Expected<std::unique_ptr<HostCode>> HostCode::load(const llvm::MemoryBuffer &object) {
  initializeHostTarget();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  // Elementary functions without an expansion are calls to the C library.
  auto symbols = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      (*jit)->getDataLayout().getGlobalPrefix());
  if (!symbols)
    return symbols.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*symbols));
  if (llvm::Error err = (*jit)->addObjectFile(
          llvm::MemoryBuffer::getMemBufferCopy(object.getBuffer(), "attnc-host")))
    return std::move(err);
  return std::unique_ptr<HostCode>(new HostCode(std::move(*jit)));
}

llvm::Expected<HostKernelFn> HostCode::lookup(llvm::StringRef symbol) {
  auto address = jit->lookup(symbol);
  if (!address)
    return address.takeError();
  return address->toPtr<HostKernelFn>();
}
