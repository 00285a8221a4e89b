// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Times one hand-written attention kernel on the host, to choose tile shapes. Prints one JSON
// object.
//   host-kernel-bench --dtype=bf16 --head-dim=64 --q-len=2048 --tile-q=64 --tile-kv=128
#include "../../test/Unit/Host/HostHarness.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/JSON.h"
#include <chrono>

using namespace attnc;
using namespace attnc::testing;
namespace cl = llvm::cl;

static cl::opt<std::string> dtype("dtype", cl::init("f32"), cl::desc("f32, f16 or bf16"));
static cl::opt<int> headDim("head-dim", cl::init(64)), heads("heads", cl::init(8));
static cl::opt<int> rows("q-len", cl::init(2048)),
    keys("kv-len", cl::init(0), cl::desc("0 = q-len"));
static cl::opt<int> tileQ("tile-q", cl::init(64)), tileKV("tile-kv", cl::init(64));
static cl::opt<bool> causal("causal", cl::init(true));
static cl::opt<int> threads("threads", cl::init(1)), repetitions("repetitions", cl::init(7));
static cl::opt<std::string> isa("isa", cl::init("native"));
static cl::opt<std::string> kernelFile("kernel",
                                       cl::desc("a module to run in place of the generated one"));
static cl::opt<std::string> dumpObject("dump-object", cl::desc("write the object file here"));

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "times an attention kernel on the host\n");
  FlashKernelShape shape;
  shape.dtype = dtype;
  shape.headDim = shape.vHeadDim = headDim;
  shape.tileQ = tileQ;
  shape.tileKV = tileKV;
  shape.causal = causal;
  int64_t keyCount = keys ? keys : rows;
  std::string text = flashKernel(shape);
  if (!kernelFile.empty()) {
    auto file = llvm::MemoryBuffer::getFile(kernelFile);
    if (!file) {
      llvm::errs() << kernelFile << ": " << file.getError().message() << "\n";
      return 1;
    }
    text = (*file)->getBuffer().str();
  }
  HostCompileOptions options;
  if (auto level = parseHostISA(isa))
    options.isa = *level;
  auto now = std::chrono::steady_clock::now;
  auto ms = [](auto from, auto to) {
    return std::chrono::duration<double, std::milli>(to - from).count();
  };
  auto start = now();
  CompiledHost compiled = compileText(text, options);
  double compileMs = ms(start, now());
  if (!compiled.kernel) {
    llvm::errs() << compiled.error << "\n";
    return 1;
  }
  if (!dumpObject.empty()) {
    std::error_code ec;
    llvm::raw_fd_ostream(dumpObject, ec) << compiled.object.object->getBuffer();
  }
  DType type = dtypeNamed(dtype);
  Tensor q({1, heads, rows, headDim}, type), k({1, heads, keyCount, headDim}, type);
  Tensor v({1, heads, keyCount, headDim}, type), out({1, heads, rows, headDim}, type);
  Tensor lse({1, heads, rows}, DType::F32);
  q.randomize(1);
  k.randomize(2);
  v.randomize(3);
  HostLauncher launcher(threads);
  LaunchInputs inputs{
      {{"Q", q.view}, {"K", k.view}, {"V", v.view}, {"out", out.view}, {"lse", lse.view}}, {}};
  std::vector<double> times;
  for (int i = 0; i <= repetitions; ++i) {
    auto begin = now();
    if (Failure failure = launcher.launch(compiled.object.program, {compiled.kernel}, inputs)) {
      llvm::errs() << failure.message() << "\n";
      return 1;
    }
    if (i > 0) // the first run warms up
      times.push_back(ms(begin, now()));
  }
  llvm::sort(times);
  double median = times[times.size() / 2];
  double pairs = causal ? 0.5 * double(rows) * (double(rows) + 1) : double(rows) * keyCount;
  double flops = 4.0 * heads * pairs * headDim;
  std::map<std::string, double> &t = compiled.object.milliseconds;
  llvm::outs() << llvm::formatv(
      "{0}\n", llvm::json::Value(llvm::json::Object{
                   {"dtype", dtype.getValue()},
                   {"headDim", headDim.getValue()},
                   {"tileQ", tileQ.getValue()},
                   {"tileKV", tileKV.getValue()},
                   {"ms", median},
                   {"msMin", times.front()},
                   {"gflops", flops / median / 1e6},
                   {"scratchBytes", compiled.object.program.launches[0].scratchBytes},
                   {"objectBytes", int64_t(compiled.object.object->getBufferSize())},
                   {"compileMs", compileMs},
                   {"lowerMs", t["vector-loops"] + t["llvm"]},
                   {"translateMs", t["translate"]},
                   {"optimizeMs", t["optimize"]},
                   {"codegenMs", t["codegen"]}}));
  return 0;
}
