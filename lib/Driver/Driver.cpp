// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Entry of the driver: dispatch and error reporting.
#include "attnc/Driver/Driver.h"
#include "Options.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/Environment.h"
#include "attnc/Support/FileWriter.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/WithColor.h"
#include <csignal>
#include <new>
#include <unistd.h>

using namespace attnc;
using namespace attnc::driver;

llvm::Error driver::writeOutput(llvm::StringRef path, llvm::StringRef data) {
  if (path.empty() || path == "-") {
    llvm::outs() << data;
    return llvm::Error::success();
  }
  llvm::outs().flush(); // the path may be that of standard output
  return toError(writeFile(path.str(), data));
}

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
  case Command::Cache:
    return runCache(options);
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

/// What was printed is there, or the program says that it is not: a full disk is an error as any.
static llvm::Error finishOutput() {
  llvm::raw_fd_ostream &out = llvm::outs();
  out.flush();
  std::error_code code = out.error();
  out.clear_error();
  return code ? llvm::createStringError("cannot write standard output: " + code.message())
              : llvm::Error::success();
}

static int run(int argc, char **argv) {
  for (const std::string &line : unknownVariables(environ))
    llvm::WithColor::warning(llvm::errs(), "attnc") << line << "\n";
  llvm::Expected<Options> options = parseOptions(argc, argv);
  if (!options) {
    report(options.takeError());
    return 2;
  }
  llvm::Error error = dispatch(*options);
  error = llvm::joinErrors(std::move(error), finishOutput());
  if (!error)
    return 0;
  report(std::move(error));
  return 1;
}

int attnc::driverMain(int argc, char **argv) {
  // Beyond `ulimit -f` a write fails, and the file's old contents stay; a signal would end us.
  std::signal(SIGXFSZ, SIG_IGN);
  // LLVM's own allocations end the process otherwise.
  llvm::install_bad_alloc_error_handler([](void *, const char *, bool) { throw std::bad_alloc(); });
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc &) {
    report(llvm::createStringError("out of memory: use smaller sizes"));
    return 1;
  }
}
