// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The ops that the host back end takes beside row ops and scalars: each file of this folder that
// lowers some has a function here, and a line in Lowerings.cpp.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_LOWERINGS_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_LOWERINGS_H

#include "../OpTable.h"

namespace attnc {

class KernelEmitter;
using HostOpTable = OpTable<KernelEmitter>;

/// All of them.
const HostOpTable &hostLowerings();

void registerAny(HostOpTable &table);
void registerColumns(HostOpTable &table);
void registerControl(HostOpTable &table);
void registerDot(HostOpTable &table);
void registerInvert(HostOpTable &table);
void registerMemory(HostOpTable &table);
void registerStoreBlock(HostOpTable &table);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_LOWERINGS_H
