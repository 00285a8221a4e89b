// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The command line as a function: a wheel has one library, and its console script calls this.
#include "attnc/Driver/Driver.h"
#include "attnc/attnc.h"

int attnc_main(int argc, char **argv) { return attnc::driverMain(argc, argv); }
