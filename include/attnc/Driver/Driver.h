// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `attnc` command line.
#ifndef ATTNC_DRIVER_DRIVER_H
#define ATTNC_DRIVER_DRIVER_H

namespace attnc {

/// Runs `attnc SUBCOMMAND ...`. Returns the exit status: 0 on success, 1 on a failure that was
/// reported, 2 on a malformed command line.
int driverMain(int argc, char **argv);

} // namespace attnc

#endif // ATTNC_DRIVER_DRIVER_H
