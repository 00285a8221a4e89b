// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The list of the files that lower ops.
#include "Lowerings.h"

const attnc::HostOpTable &attnc::hostLowerings() {
  static const HostOpTable table = [] {
    HostOpTable all;
    registerAny(all);
    registerColumns(all);
    registerControl(all);
    registerDot(all);
    registerInvert(all);
    registerMemory(all);
    registerStoreBlock(all);
    return all;
  }();
  return table;
}
