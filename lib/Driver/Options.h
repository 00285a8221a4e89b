// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Options of the driver after parsing: one struct for all subcommands, as most options are shared.
#ifndef ATTNC_LIB_DRIVER_OPTIONS_H
#define ATTNC_LIB_DRIVER_OPTIONS_H

#include "attnc/JIT/Compiler.h"
#include "llvm/Support/Error.h"
#include <map>
#include <string>
#include <vector>

namespace attnc::driver {

enum class Command { Compile, Run, Bench, Explain, Show, List, Check, Fmt, Cache };

/// See `attnc COMMAND --help` for what each means.
struct Options {
  Command command = Command::Compile;
  std::string spec, variant, output;
  std::string target, device = "auto", dtype = "f16", layout = "bhsd", drawnInputs = "sampled";
  std::string emit = "ptx", compileTo, compileFrom, fromFile, dumpPhases, svg;
  std::string hostFeatures = "native";
  int64_t batch = 1, heads = 4, kvHeads = 0, qLen = 256, kvLen = 0, headDim = 64, vHeadDim = 0;
  int64_t tileQ = 0, tileKV = 0, stages = 0, numWarps = 0, threads = 0, repeat = 20;
  int64_t chunk = 0; ///< steps that recurrences take at a time; 0: one
  bool isChunkGiven = false;
  bool kernelPerStage = false;
  int64_t checkRows = 0;                ///< that --check compares; 0: all
  int64_t maxSize = -1, unusedFor = -1; ///< megabytes and days that `cache` leaves; -1: all
  int64_t head = 0, entry = 0;          ///< of which `show` draws the mask
  uint64_t seed = 0;
  bool json = false, timing = false, check = false, noCache = false, inPlace = false,
       verify = false;
  std::map<std::string, double> params;
  std::map<std::string, std::string> inputs, outputs, results;
  /// Tensors that the spec computes on its way, and the files that they are written to.
  std::map<std::string, std::string> dumps;
  /// The option, such as "--heads", that says the size of an index space on this command line.
  std::map<std::string, std::string> sizeOptions;

  int64_t effectiveKVHeads() const { return kvHeads ? kvHeads : heads; }
  int64_t effectiveKVLen() const { return kvLen < 0 ? qLen : kvLen; }
  int64_t effectiveVHeadDim() const { return vHeadDim ? vHeadDim : headDim; }
};

/// The versions of attnc and LLVM, and the commit that this was compiled from, if it was one.
void printVersion(llvm::raw_ostream &out);

/// Parses the command line; exits, as LLVM's parser does, on --help and on unknown options. The
/// error says which option is malformed.
llvm::Expected<Options> parseOptions(int argc, char **argv);

/// Options for compiling `spec` for `target`, with const parameters taken from --param.
llvm::Expected<CompileOptions> compileOptionsFor(const Options &options, Spec &spec,
                                                 const Target &target);

/// The cache that --no-cache switches off; prints its warnings.
std::unique_ptr<CodeCache> openCache(const Options &options);

/// Parses --spec (exits through the error on failure).
llvm::Expected<std::unique_ptr<Spec>> openSpec(const Options &options);

/// Writes a file as attnc::writeFile does: whole or not at all. An empty path and "-" are standard
/// output.
llvm::Error writeOutput(llvm::StringRef path, llvm::StringRef data);

// The subcommands. Each prints its result to standard output and returns an error for the driver to
// report.
llvm::Error runCompile(const Options &options);
llvm::Error runRun(const Options &options);
llvm::Error runBench(const Options &options);
llvm::Error runExplain(const Options &options);
llvm::Error runShow(const Options &options);
llvm::Error runList(const Options &options);
llvm::Error runCheck(const Options &options);
llvm::Error runFmt(const Options &options);
llvm::Error runCache(const Options &options);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_OPTIONS_H
