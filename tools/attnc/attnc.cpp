// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The attnc driver; everything is in lib/Driver.
#include "attnc/Driver/Driver.h"

int main(int argc, char **argv) { return attnc::driverMain(argc, argv); }
