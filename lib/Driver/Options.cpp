// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The command line: LLVM's option parser fills one Options struct.
#include "Options.h"
#include "attnc/Pipelines/Phases.h"
#include "attnc/Reference/Reference.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/Environment.h"
#include "attnc/Target/Host/HostFeatures.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/WithColor.h"

using namespace attnc;
using namespace attnc::driver;
namespace cl = llvm::cl;
using llvm::formatv;

namespace {

cl::SubCommand compileCommand("compile", "compile a spec to PTX, or to any phase before it");
cl::SubCommand runCommand("run", "compile a spec and execute it on tensors");
cl::SubCommand benchCommand("bench", "time a spec");
cl::SubCommand explainCommand("explain", "say what the compiler decided for a spec, and why");
cl::SubCommand showCommand("show", "draw a spec's mask and its tiles");
cl::SubCommand listCommand("list", "list the specs of the gallery, or of the given folder");
cl::SubCommand checkCommand("check", "check a spec's syntax and types");
cl::SubCommand fmtCommand("fmt", "print a spec in canonical layout");
cl::SubCommand cacheCommand("cache", "say what the code cache holds, and remove old entries");

cl::OptionCategory category("attnc options");

using List = std::initializer_list<cl::SubCommand *>;

/// Registers an option with several subcommands; must be part of its construction.
struct In {
  List commands;
  template <typename Option> void apply(Option &option) const {
    for (cl::SubCommand *command : commands)
      option.addSubCommand(*command);
  }
};

/// An option that several subcommands have.
template <typename T> struct Flag {
  cl::opt<T> option;
  Flag(const char *name, const char *help, T initial, List commands, const char *value = "n")
      : option(llvm::StringRef(name), cl::desc(help), cl::cat(category), cl::value_desc(value),
               cl::initializer<T>(initial), In{commands}) {}
};
template <> struct Flag<bool> {
  cl::opt<bool> option;
  Flag(const char *name, const char *help, List commands)
      : option(llvm::StringRef(name), cl::desc(help), cl::cat(category), In{commands}) {}
};
struct ListFlag {
  cl::list<std::string> option;
  ListFlag(const char *name, const char *help, const char *value, List commands)
      : option(llvm::StringRef(name), cl::desc(help), cl::cat(category), cl::value_desc(value),
               In{commands}) {}
};

#define SHAPED {&compileCommand, &runCommand, &benchCommand, &explainCommand, &showCommand}
#define EXECUTED {&runCommand, &benchCommand}
#define BOUND {&runCommand, &benchCommand, &showCommand}
#define WITH_SPEC                                                                                  \
  {&compileCommand, &runCommand,   &benchCommand, &explainCommand,                                 \
   &showCommand,    &checkCommand, &fmtCommand,   &listCommand}
#define ALL                                                                                        \
  {&compileCommand, &runCommand, &benchCommand, &explainCommand, &showCommand,                     \
   &checkCommand,   &fmtCommand, &listCommand,  &cacheCommand}

struct SpecArgument {
  cl::opt<std::string> option;
  SpecArgument() : option(cl::Positional, cl::desc("SPEC"), cl::cat(category), In{WITH_SPEC}) {}
};

SpecArgument spec;
Flag<std::string> variant("variant", "which variant of the file", "", SHAPED, "name");
Flag<std::string> target("target",
                         "host, sm_80, sm_89, sm_90a, sm_100a, sm_120a (default: the device's)", "",
                         SHAPED, "arch");
Flag<std::string> device("device", "auto, cuda, emulator, host or reference", "auto", EXECUTED,
                         "kind");
Flag<std::string> dtype("dtype", "element type of Q, K, V and the output: f32, f16 or bf16", "f16",
                        SHAPED, "type");
Flag<std::string> layout("layout", "order of dimensions in memory: bhsd or bshd", "bhsd", EXECUTED,
                         "order");
Flag<int64_t> batch("batch", "batch size (default 1)", 1, SHAPED);
Flag<int64_t> heads("heads", "query heads (default 4)", 4, SHAPED);
Flag<int64_t> kvHeads("kv-heads", "kv heads; query heads are a multiple (default: --heads)", 0,
                      SHAPED);
Flag<int64_t> qLen("q-len", "query rows (default 256)", 256, SHAPED);
Flag<int64_t> kvLen("kv-len", "keys (default: --q-len)", -1, SHAPED);
Flag<int64_t> headDim("head-dim", "size of index space d (default 64)", 64, SHAPED);
Flag<int64_t> vHeadDim("v-head-dim", "size of index space e (default: --head-dim)", 0, SHAPED);
Flag<int64_t> tileQ("tile-q", "rows of a query tile (default: chosen)", 0, SHAPED);
Flag<int64_t> tileKV("tile-kv", "keys of a key tile (default: chosen)", 0, SHAPED);
Flag<int64_t> stages("stages", "key tiles in shared memory at once (default: chosen)", 0, SHAPED);
Flag<int64_t> numWarps("num-warps", "warps of a thread block (default: chosen)", 0, SHAPED);
Flag<int64_t> chunk("chunk",
                    "steps that a recurrence takes at a time where its form allows it: 16, a "
                    "multiple of it, or less than that; 0: step by step (default: 64 where run "
                    "and bench have as many steps, else 0)",
                    0, SHAPED);
Flag<bool> kernelPerStage("kernel-per-stage", "a kernel for each stage: none are computed together",
                          SHAPED);
Flag<int64_t> threads("threads", "host threads (default: all CPUs)", 0, EXECUTED);
Flag<int64_t> repeat("repeat", "timed runs (default 20)", 20, {&benchCommand});
Flag<uint64_t> seed("seed", "seed of the random inputs (default 0)", 0, BOUND);
Flag<std::string>
    drawnInputs("inputs", "how inputs without a file are drawn: sampled, exact, neighbours or bits",
                "sampled", EXECUTED, "kind");
ListFlag params("param", "bind a parameter", "name=value", SHAPED);
ListFlag inputs("input", "bind an input to a file: .npy, or .safetensors[:tensor]", "name=file",
                BOUND);
Flag<int64_t> head("head", "the query head whose mask is drawn (default 0)", 0, {&showCommand});
Flag<int64_t> entry("entry", "the batch entry whose mask is drawn (default 0)", 0, {&showCommand});
ListFlag outputs("output", "write an output to a file: .npy, or .safetensors[:tensor]", "name=file",
                 {&runCommand});
ListFlag dumps("dump",
               "write a tensor that the spec computes on its way, as a further output: a `let`, a "
               "`transform`, NAME.out of a branch (default file: name.npy)",
               "name[=file.npy]", {&runCommand});
ListFlag
    results("result",
            "check the numbers of a file, which something else has computed, in place of a run",
            "name=file.npy", {&runCommand});
Flag<int64_t> checkRows("check-rows",
                        "with --check: compare so many rows (indices of q) only (default: all)", 0,
                        {&runCommand});
Flag<bool> check("check", "compare with the float64 reference; fail beyond the error bound",
                 {&runCommand});
Flag<bool> noCache("no-cache", "neither read nor write the code cache",
                   {&compileCommand, &runCommand, &benchCommand});
Flag<bool> verify("verify",
                  "check the IR after each pass, and what may not remain after each phase",
                  {&compileCommand, &runCommand, &benchCommand});
Flag<bool> json("json", "print the result as JSON", ALL);
Flag<int64_t> maxSize("max-size",
                      "remove entries until so much is left, those that were not used for longest "
                      "first; 0: all",
                      -1, {&cacheCommand}, "megabytes");
Flag<int64_t> unusedFor("unused-for", "remove entries that were not used for so long", -1,
                        {&cacheCommand}, "days");
Flag<bool> timing("timing",
                  "print the time of each phase and, in run and bench, of each kernel's launch; "
                  "compiles anew",
                  {&compileCommand, &runCommand, &benchCommand});
Flag<std::string> emit("emit", "a phase, cubin, obj, or artifact: what attnc_kernel_load loads", "",
                       {&compileCommand}, "kind");
Flag<std::string> hostFeatures("host-features",
                               "instructions that host code may use: native, x86-64, x86-64-v2, "
                               "x86-64-v3 or x86-64-v4, and changes such as +avx512bf16 or -fma, "
                               "separated by commas (default: native)",
                               "native", {&compileCommand, &runCommand, &benchCommand}, "list");
Flag<std::string>
    compileTo("compile-to",
              "stop at the end of this phase: attn, specialized, kernels, tile, then scheduled, "
              "nvvm, llvm, ptx for a GPU, vector-loops, llvm, asm, object for the host",
              "", {&compileCommand}, "phase");
Flag<std::string> compileFrom("compile-from",
                              "compile: SPEC is the artefact of this phase; run, bench: --from is",
                              "", {&compileCommand, &runCommand, &benchCommand}, "phase");
Flag<std::string> fromFile("from",
                           "an artefact of SPEC, of the phase that --compile-from names, that is "
                           "executed in place of what SPEC compiles to",
                           "", EXECUTED, "file");
Flag<std::string> dumpPhases("dump-phases", "write the artefact of each phase to this folder", "",
                             {&compileCommand}, "folder");
Flag<std::string> outputFile("o", "output file (default: standard output)", "",
                             {&compileCommand, &showCommand}, "file");
Flag<std::string> svg("svg", "write the drawing as SVG", "", {&showCommand}, "file");
Flag<bool> inPlace("in-place", "rewrite the file", {&fmtCommand});

/// `name=value` pairs.
llvm::Error splitPairs(const ListFlag &flag, llvm::StringRef what, const char *form,
                       std::map<std::string, std::string> &into) {
  for (llvm::StringRef text : flag.option) {
    auto [name, value] = text.split('=');
    if (name.empty() || value.empty())
      return llvm::createStringError(llvm::formatv("--{0}={1}: expected {2}", what, text, form));
    if (!into.emplace(name.str(), value.str()).second)
      return llvm::createStringError(llvm::formatv("--{0}: `{1}` is bound twice", what, name));
  }
  return llvm::Error::success();
}

llvm::Error checkRange(const char *name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high)
    return llvm::Error::success();
  return llvm::createStringError(
      llvm::formatv("--{0}={1}: expected a number from {2} to {3}", name, value, low, high));
}

} // namespace

/// What is executed in place of the spec's own code has a phase, and is code.
static llvm::Error validateArtefact(const Options &options) {
  bool executes = options.command == Command::Run || options.command == Command::Bench;
  if (!executes || (options.compileFrom.empty() && options.fromFile.empty()))
    return llvm::Error::success();
  if (options.fromFile.empty())
    return llvm::createStringError(
        formatv("--compile-from={0}: name the artefact with --from=FILE; SPEC is what it is an "
                "artefact of",
                options.compileFrom));
  if (options.compileFrom.empty())
    return llvm::createStringError(
        formatv("--from={0}: say with --compile-from=PHASE which phase it is the artefact of",
                options.fromFile));
  if (options.device == "reference")
    return llvm::createStringError(formatv(
        "--from={0}: the reference runs the spec itself; use another --device", options.fromFile));
  return llvm::Error::success();
}

static llvm::Error validate(Options &options) {
  std::map<std::string, std::string> texts;
  if (auto error = splitPairs(params, "param", "name=value", texts))
    return error;
  for (auto &[name, text] : texts) {
    double value;
    if (llvm::StringRef(text).getAsDouble(value))
      return llvm::createStringError(
          llvm::formatv("--param={0}={1}: expected a number", name, text));
    options.params[name] = value;
  }
  if (auto error = splitPairs(inputs, "input", "name=file.npy", options.inputs))
    return error;
  if (auto error = splitPairs(outputs, "output", "name=file.npy", options.outputs))
    return error;
  for (llvm::StringRef text : dumps.option) {
    auto [name, file] = text.split('=');
    if (name.empty() || (file.empty() && text.contains('=')))
      return llvm::createStringError(
          llvm::formatv("--dump={0}: expected name or name=file.npy", text));
    std::string path = file.empty() ? (name + ".npy").str() : file.str();
    if (!options.dumps.emplace(name.str(), path).second)
      return llvm::createStringError(llvm::formatv("--dump: `{0}` is named twice", name));
  }
  if (auto error = splitPairs(results, "result", "name=file.npy", options.results))
    return error;
  if (!options.results.empty() && !options.check)
    return llvm::createStringError("--result is compared with the reference by --check");
  if (options.checkRows > 0 && !options.check)
    return llvm::createStringError("--check-rows are those that --check compares");
  struct Range {
    const char *name;
    int64_t value, low, high;
  };
  for (const Range &r : {Range{"batch", options.batch, 0, INT32_MAX},
                         {"heads", options.heads, 1, INT32_MAX},
                         {"kv-heads", options.effectiveKVHeads(), 1, INT32_MAX},
                         {"q-len", options.qLen, 0, INT32_MAX},
                         {"kv-len", options.effectiveKVLen(), 0, INT32_MAX},
                         {"head-dim", options.headDim, 1, INT32_MAX},
                         {"v-head-dim", options.effectiveVHeadDim(), 1, INT32_MAX},
                         {"repeat", options.repeat, 1, 1000000},
                         {"check-rows", options.checkRows, 0, INT32_MAX},
                         {"max-size", options.maxSize, -1, INT32_MAX},
                         {"unused-for", options.unusedFor, -1, INT32_MAX},
                         {"threads", options.threads, 0, HostLauncher::maxThreads}})
    if (auto error = checkRange(r.name, r.value, r.low, r.high))
      return error;
  if (std::string problem = checkChunk(options.chunk); !problem.empty())
    return llvm::createStringError(llvm::formatv("--chunk={0}: {1}", options.chunk, problem));
  if (options.heads % options.effectiveKVHeads() != 0)
    return llvm::createStringError(llvm::formatv("--heads={0} is not a multiple of --kv-heads={1}",
                                                 options.heads, options.effectiveKVHeads()));
  if (options.layout != "bhsd" && options.layout != "bshd")
    return llvm::createStringError(
        llvm::formatv("--layout={0}: expected bhsd or bshd", options.layout));
  if (llvm::Expected<HostFeatures> features = HostFeatures::parse(options.hostFeatures); !features)
    return llvm::createStringError(llvm::formatv("--host-features={0}: {1}", options.hostFeatures,
                                                 llvm::toString(features.takeError())));
  if (llvm::Error error = validateArtefact(options))
    return error;
  bool needsSpec = options.command != Command::List && options.command != Command::Cache;
  if (needsSpec && options.spec.empty())
    return llvm::createStringError("expected a spec file; `attnc list` shows the gallery");
  return llvm::Error::success();
}

/// Rejects unknown long options before LLVM's parser sees them: it takes `--head-dims` for a group
/// of short options that begins with -h, and prints the help.
static llvm::Error rejectUnknownOptions(int argc, char **argv) {
  cl::SubCommand *subcommand = nullptr;
  for (cl::SubCommand *command : List ALL)
    if (argc > 1 && command->getName() == argv[1])
      subcommand = command;
  if (!subcommand)
    return llvm::Error::success();
  const auto &known = cl::getRegisteredOptions(*subcommand);
  for (int i = 2; i < argc; ++i) {
    llvm::StringRef name = argv[i];
    if (!name.consume_front("--") || name.empty())
      continue;
    name = name.split('=').first;
    if (known.count(name))
      continue;
    llvm::StringRef nearest;
    unsigned distance = 4; // further away is no typing error
    for (auto &entry : known)
      if (unsigned d = name.edit_distance(entry.first, /*AllowReplacements=*/true, distance);
          d < distance) {
        distance = d;
        nearest = entry.first;
      }
    std::string hint =
        nearest.empty()
            ? formatv("`attnc {0} --help` lists the options", subcommand->getName()).str()
            : formatv("did you mean `--{0}`?", nearest).str();
    return llvm::createStringError(formatv("unknown option `--{0}`: {1}", name, hint));
  }
  return llvm::Error::success();
}

/// What --help says after the options.
static std::string environmentHelp() {
  std::string text = "\nENVIRONMENT:\n\n";
  for (const VariableInfo &variable : allVariables())
    text += formatv("  {0,-20} {1}\n", variable.name, variable.meaning);
  return text;
}

llvm::Expected<Options> driver::parseOptions(int argc, char **argv) {
  if (llvm::Error error = rejectUnknownOptions(argc, argv))
    return std::move(error);
  static const std::string variables = environmentHelp();
  static cl::extrahelp more(variables);
  cl::HideUnrelatedOptions(category);
  for (cl::SubCommand *command : List ALL)
    cl::HideUnrelatedOptions(category, *command);
  cl::SetVersionPrinter(printVersion);
  cl::ParseCommandLineOptions(argc, argv,
                              "attnc: a compiler for attention variants\n\n"
                              "  attnc run specs/causal.attn --check\n"
                              "  attnc compile specs/alibi.attn --target=sm_90a -o alibi.ptx\n"
                              "  attnc explain specs/sliding_window.attn\n");
  Options o;
  const std::pair<cl::SubCommand *, Command> commands[] = {
      {&compileCommand, Command::Compile}, {&runCommand, Command::Run},
      {&benchCommand, Command::Bench},     {&explainCommand, Command::Explain},
      {&showCommand, Command::Show},       {&listCommand, Command::List},
      {&checkCommand, Command::Check},     {&fmtCommand, Command::Fmt},
      {&cacheCommand, Command::Cache}};
  bool found = false;
  for (auto [subcommand, command] : commands)
    if (*subcommand) {
      o.command = command;
      found = true;
    }
  if (!found)
    return llvm::createStringError(
        "expected a subcommand: compile, run, bench, explain, show, list, check, "
        "fmt or cache; see attnc --help");
  o.spec = spec.option;
  o.variant = variant.option;
  o.target = target.option;
  o.device = device.option;
  o.dtype = dtype.option;
  o.layout = layout.option;
  o.batch = batch.option;
  o.heads = heads.option;
  o.kvHeads = kvHeads.option;
  o.qLen = qLen.option;
  o.kvLen = kvLen.option;
  o.headDim = headDim.option;
  o.vHeadDim = vHeadDim.option;
  for (auto [space, flag] : {std::pair("b", &batch),
                             {"h", &heads},
                             {"g", &kvHeads},
                             {"q", &qLen},
                             {"kv", &kvLen},
                             {"d", &headDim},
                             {"e", &vHeadDim}})
    if (flag->option.getNumOccurrences())
      o.sizeOptions[space] = "--" + flag->option.ArgStr.str();
  o.tileQ = tileQ.option;
  o.tileKV = tileKV.option;
  o.stages = stages.option;
  o.numWarps = numWarps.option;
  o.chunk = chunk.option;
  o.isChunkGiven = chunk.option.getNumOccurrences() > 0;
  o.kernelPerStage = kernelPerStage.option;
  o.threads = threads.option;
  o.repeat = repeat.option;
  o.seed = seed.option;
  o.maxSize = maxSize.option;
  o.unusedFor = unusedFor.option;
  o.head = head.option;
  o.entry = entry.option;
  o.drawnInputs = drawnInputs.option;
  o.check = check.option;
  o.checkRows = checkRows.option;
  o.noCache = noCache.option;
  o.json = json.option;
  o.verify = verify.option;
  o.timing = timing.option;
  o.emit = emit.option;
  o.compileTo = compileTo.option;
  o.hostFeatures = hostFeatures.option;
  o.compileFrom = compileFrom.option;
  o.fromFile = fromFile.option;
  o.dumpPhases = dumpPhases.option;
  o.output = outputFile.option;
  o.svg = svg.option;
  o.inPlace = inPlace.option;
  if (llvm::Error error = validate(o))
    return std::move(error);
  return o;
}

llvm::Expected<std::unique_ptr<Spec>> driver::openSpec(const Options &options) {
  llvm::Expected<SpecSource> source = SpecSource::fromFile(options.spec);
  if (!source)
    return source.takeError();
  std::vector<std::string> dumped;
  for (auto &entry : options.dumps)
    dumped.push_back(entry.first);
  llvm::Expected<std::unique_ptr<Spec>> spec = Spec::parse(*source, options.variant, dumped);
  if (spec)
    llvm::errs() << (*spec)->warnings();
  return spec;
}

llvm::Expected<CompileOptions> driver::compileOptionsFor(const Options &options, Spec &spec,
                                                         const Target &target) {
  CompileOptions result;
  result.target = target;
  result.dtype = options.dtype;
  result.headDim = options.headDim;
  result.vHeadDim = options.vHeadDim;
  result.tileQ = options.tileQ;
  result.tileKV = options.tileKV;
  result.stages = options.stages;
  result.numWarps = options.numWarps;
  result.chunk = options.chunk;
  result.shareKernels = !options.kernelPerStage;
  result.hostFeatures = options.hostFeatures;
  result.verify = options.verify || verifiesAlways();
  llvm::Expected<Signature> signature = reference::signatureOf(spec.variant());
  if (!signature)
    return signature.takeError();
  if (auto values = checkParams(*signature, options.params); !values)
    return toError(values.takeError());
  for (const ParamDecl &param : signature->params)
    if (auto bound = options.params.find(param.name);
        param.isConst && bound != options.params.end())
      result.constParams.insert(*bound);
  return withHostFacts(std::move(result));
}

std::unique_ptr<CodeCache> driver::openCache(const Options &options) {
  if (options.noCache)
    return nullptr;
  auto cache = std::make_unique<CodeCache>(CodeCache::defaultDirectory());
  cache->onWarning = [](llvm::StringRef text) { llvm::WithColor::warning() << text << "\n"; };
  return cache;
}
