// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The list of the files that lower ops.
#include "Lowerings.h"

const attnc::NVVMOpTable &attnc::nvvmLowerings() {
  static const NVVMOpTable table = [] {
    NVVMOpTable all;
    registerControl(all);
    registerCopies(all);
    registerElementwise(all);
    registerInvert(all);
    registerLoads(all);
    registerMoves(all);
    registerProducts(all);
    registerReads(all);
    registerReductions(all);
    registerRings(all);
    registerScan(all);
    registerStores(all);
    registerStructure(all);
    registerWarpgroupProduct(all);
    return all;
  }();
  return table;
}
