// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From an object to code that can be mapped at any address without a linker.
#ifndef ATTNC_TARGET_HOST_HOSTLINK_H
#define ATTNC_TARGET_HOST_HOSTLINK_H

#include "attnc/Runtime/HostImage.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>

namespace attnc {

/// Links an ELF object as translateToHostCode makes it, perhaps in an earlier process, to an image
/// (HostImage.h). The error says what the object has that an image has no place for.
llvm::Expected<std::string> linkHostObject(llvm::StringRef object);

/// Links an object and maps it. The CPU must have the features that its code needs.
llvm::Expected<std::unique_ptr<HostImage>> loadHostObject(llvm::StringRef object);

} // namespace attnc

#endif // ATTNC_TARGET_HOST_HOSTLINK_H
