// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Entry of the driver: dispatch and error reporting.
#include "attnc/Driver/Driver.h"
#include "Options.h"
#include "llvm/Support/WithColor.h"

using namespace attnc;
using namespace attnc::driver;

static llvm::Error dispatch(const Options &options) {
  switch (options.command) {
  case Command::Compile:
    return runCompile(options);
  case Command::Run:
    return runRun(options);
  case Command::Bench:
    return runBench(options);
  case Command::Explain:
    return runExplain(options);
  case Command::Show:
    return runShow(options);
  case Command::List:
    return runList(options);
  case Command::Check:
    return runCheck(options);
  case Command::Fmt:
    return runFmt(options);
  }
  return llvm::Error::success();
}

/// Diagnostics that carry a location already say "error:".
static void report(llvm::Error error) {
  std::string text = llvm::toString(std::move(error));
  if (text.find("error:") == std::string::npos)
    llvm::WithColor::error(llvm::errs(), "attnc");
  llvm::errs() << text << "\n";
}

int attnc::driverMain(int argc, char **argv) {
  llvm::Expected<Options> options = parseOptions(argc, argv);
  if (!options) {
    report(options.takeError());
    return 2;
  }
  if (llvm::Error error = dispatch(*options)) {
    report(std::move(error));
    return 1;
  }
  return 0;
}
