// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The ops that the PTX back end takes: each file of this folder that lowers some has a function
// here, and a line in Lowerings.cpp.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_LOWERINGS_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_LOWERINGS_H

#include "../OpTable.h"

namespace attnc {

class KernelLowering;
using NVVMOpTable = OpTable<KernelLowering>;

/// All of them.
const NVVMOpTable &nvvmLowerings();

void registerControl(NVVMOpTable &table);
void registerCopies(NVVMOpTable &table);
void registerElementwise(NVVMOpTable &table);
void registerInvert(NVVMOpTable &table);
void registerLoads(NVVMOpTable &table);
void registerMoves(NVVMOpTable &table);
void registerProducts(NVVMOpTable &table);
void registerReads(NVVMOpTable &table);
void registerReductions(NVVMOpTable &table);
void registerRings(NVVMOpTable &table);
void registerScan(NVVMOpTable &table);
void registerStores(NVVMOpTable &table);
void registerStructure(NVVMOpTable &table);
void registerWarpgroupProduct(NVVMOpTable &table);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_LOWERINGS_H
