// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of several kernels, written by hand at phase `tile`, on the host and on the emulated
// driver: workspace between kernels, several outputs, an output that is its input, and memory of
// the caller.
#include "TilePrograms.h"
#include "attnc/Runtime/Failures.h"
#include <cstdlib>
#include <dlfcn.h>
#include <thread>

using namespace attnc;
using namespace attnc::testing;

namespace {

/// Memory of a device, and programs on it: what tests need of the host and of the emulator alike.
class Machine {
public:
  explicit Machine(const std::string &target) : name(target) {
    if (target != "host")
      device = llvm::cantFail(toExpected(cuda::Device::open()));
  }
  ~Machine() {
    for (auto &[pointer, floats] : buffers)
      if (device)
        llvm::cantFail(toError(device->free(reinterpret_cast<uintptr_t>(pointer))));
      else
        std::free(pointer);
  }

  std::unique_ptr<Executable> load(const std::string &text) {
    CompiledCode code = compileTiles(text, name);
    auto loaded = device ? Executable::loadCUDA(std::move(code), device)
                         : Executable::loadHost(std::move(code), std::make_shared<HostLauncher>(2));
    if (loaded)
      return std::move(*loaded);
    ADD_FAILURE() << llvm::toString(loaded.takeError());
    return nullptr;
  }

  /// Memory with these values, at a multiple of 256 bytes.
  float *upload(const std::vector<float> &values) {
    void *pointer;
    size_t bytes = (values.size() * 4 + 255) / 256 * 256;
    if (device) {
      cuda::DevicePtr address = llvm::cantFail(toExpected(device->allocate(bytes)));
      llvm::cantFail(toError(device->copyToDevice(address, values.data(), values.size() * 4)));
      pointer = reinterpret_cast<void *>(address);
    } else {
      pointer = std::aligned_alloc(256, bytes);
      std::memcpy(pointer, values.data(), values.size() * 4);
    }
    buffers.push_back({pointer, values.size()});
    return static_cast<float *>(pointer);
  }
  /// On a GPU.
  void overwrite(float *pointer, const std::vector<float> &values) {
    llvm::cantFail(toError(device->copyToDevice(reinterpret_cast<uintptr_t>(pointer), values.data(),
                                                values.size() * 4)));
  }
  std::vector<float> download(float *pointer, size_t count) {
    std::vector<float> values(count);
    if (device) {
      llvm::cantFail(toError(device->synchronize()));
      llvm::cantFail(toError(
          device->copyToHost(values.data(), reinterpret_cast<uintptr_t>(pointer), count * 4)));
    } else {
      std::memcpy(values.data(), pointer, count * 4);
    }
    return values;
  }

private:
  std::string name;
  std::shared_ptr<cuda::Device> device;
  std::vector<std::pair<void *, size_t>> buffers;
};

TensorView matrix(float *data, int64_t rows) { return {data, DType::F32, {rows, 16}, {16, 1}}; }

std::string textOf(llvm::Error error) { return llvm::toString(std::move(error)); }

class Programs : public ::testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
#ifdef ATTNC_EMULATOR
    setenv("ATTNC_CUDA_DRIVER", ATTNC_EMULATOR, 1);
    setenv("ATTNC_EMU_DEVICE", "sm_80", 1);
#else
    if (std::string(GetParam()) != "host")
      GTEST_SKIP() << "the emulator is not built";
#endif
  }
};

INSTANTIATE_TEST_SUITE_P(Machines, Programs, ::testing::Values("host", "sm_80"),
                         [](const auto &info) { return std::string(info.param); });

void expectThreeKernels(Machine &machine, float *sum, float *out, const std::vector<float> &x,
                        float p) {
  std::vector<float> sums = machine.download(sum, x.size()), outs = machine.download(out, x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    float expected = x[i] * x[i] + p;
    ASSERT_EQ(sums[i], expected) << i;
    ASSERT_EQ(outs[i], expected * expected) << i;
  }
}

TEST_P(Programs, WorkspaceBetweenKernelsAndTwoOutputs) {
  Machine machine(GetParam());
  std::unique_ptr<Executable> program = machine.load(threeKernels());
  ASSERT_TRUE(program);
  EXPECT_EQ(program->program().launches.size(), 4u);
  // Growing and shrinking, so that a block is replaced and then taken again.
  for (int64_t rows : {16, 100, 33, 1}) {
    std::vector<float> x = ramp(rows, -3), nothing(rows * 16, NAN);
    float *sum = machine.upload(nothing), *out = machine.upload(nothing);
    LaunchInputs inputs{{{"x", matrix(machine.upload(x), rows)},
                         {"sum", matrix(sum, rows)},
                         {"out", matrix(out, rows)}},
                        {{"p", 0.5}}};
    ASSERT_EQ(textOf(program->launch(inputs)), "");
    expectThreeKernels(machine, sum, out, x, 0.5f);
  }
}

TEST_P(Programs, SpacesOfComputedSizes) {
  Machine machine(GetParam());
  std::unique_ptr<Executable> program = machine.load(overBlocks());
  ASSERT_TRUE(program);
  const float p = 0.3f; // in float64, 10 times it is above 3
  for (int64_t rows : {1, 7, 100}) {
    int64_t blocks = (rows + 2) / 3;
    std::vector<float> x = ramp(rows, -3), nothing(blocks * 16, 99);
    float *out = machine.upload(nothing);
    LaunchInputs inputs{{{"x", matrix(machine.upload(x), rows)}, {"out", matrix(out, blocks)}},
                        {{"p", p}}};
    ASSERT_EQ(textOf(program->launch(inputs)), "");
    std::vector<float> outs = machine.download(out, nothing.size());
    for (int64_t i = 0; i < blocks * 16; ++i)
      ASSERT_EQ(outs[i], i < 4 * 16 ? x[i] * x[i] + 4 : 99) << i;
    EXPECT_EQ(*workspaceBytes(program->program(), {{"n", rows}}, {}),
              (blocks * 64 + 255) / 256 * 256);
    EXPECT_EQ(*workspaceBytes(program->program(), {{"more", 100}}, {}), 6400);
    EXPECT_EQ(workspaceBytes(program->program(), {{"n", -1}}, {}).message(),
              "expected a size from 0 to 2147483647 for index space 'n', found -1");
  }
  std::vector<float> x = ramp(7, -3);
  float *data = machine.upload(x), *out = machine.upload(x);
  EXPECT_EQ(
      textOf(program->launch({{{"x", matrix(data, 7)}, {"out", matrix(out, 4)}}, {{"p", 1}}})),
      "axis 0 of `out` (blocks) must have size 3, which follows from the inputs, found 4");
  EXPECT_EQ(
      textOf(program->launch({{{"x", matrix(data, 7)}, {"out", matrix(out, 3)}}, {{"p", -1}}})),
      "the index space `slots` needs at least one slot, found -10");
}

TEST_P(Programs, MemoryOfTheCaller) {
  Machine machine(GetParam());
  std::unique_ptr<Executable> program = machine.load(threeKernels());
  ASSERT_TRUE(program);
  int64_t rows = 40;
  std::vector<float> x = ramp(rows, 1), nothing(rows * 16, NAN);
  float *sum = machine.upload(nothing), *out = machine.upload(nothing);
  LaunchInputs inputs{{{"x", matrix(machine.upload(x), rows)},
                       {"sum", matrix(sum, rows)},
                       {"out", matrix(out, rows)}},
                      {{"p", 2}}};
  auto arguments = llvm::cantFail(program->prepare(inputs));
  // Two tensors that live together; the one that no kernel has takes nothing.
  int64_t bytes = arguments.workspaceBytes;
  EXPECT_EQ(bytes, 2 * rows * 16 * 4);
  // Poisoned, and with a guard behind its end.
  std::vector<float> poison(bytes / 4 + 64, NAN);
  std::fill(poison.end() - 64, poison.end(), 7.0f);
  float *block = machine.upload(poison);
  ASSERT_EQ(textOf(program->run(arguments, nullptr, {block, bytes})), "");
  expectThreeKernels(machine, sum, out, x, 2);
  std::vector<float> after = machine.download(block, poison.size());
  EXPECT_FALSE(std::isnan(after[0])); // it was this memory that was used
  for (size_t i = poison.size() - 64; i < poison.size(); ++i)
    EXPECT_EQ(after[i], 7.0f);

  EXPECT_EQ(textOf(program->run(arguments, nullptr, {block, bytes - 1})),
            llvm::formatv("expected a workspace of at least {0} bytes, found {1}", bytes, bytes - 1)
                .str());
  EXPECT_NE(textOf(program->run(arguments, nullptr, {block + 1, bytes}))
                .find("expected a workspace at a multiple of 256 bytes"),
            std::string::npos);
}

TEST_P(Programs, AnOutputThatIsItsInput) {
  Machine machine(GetParam());
  std::unique_ptr<Executable> program = machine.load(inPlace());
  ASSERT_TRUE(program);
  int64_t rows = 50;
  std::vector<float> x = ramp(rows, -2);
  auto expect = [&](float *found) {
    std::vector<float> values = machine.download(found, x.size());
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_EQ(values[i], (x[i] + 1) * (x[i] + 1) + 1) << i;
  };
  auto launchOn = [&](TensorView state, TensorView next) {
    return textOf(program->launch({{{"state", state}, {"next", next}}, {{"p", 1}}}));
  };
  float *apart = machine.upload(std::vector<float>(rows * 16, NAN));
  ASSERT_EQ(launchOn(matrix(machine.upload(x), rows), matrix(apart, rows)), "");
  expect(apart);
  float *state = machine.upload(x);
  ASSERT_EQ(launchOn(matrix(state, rows), matrix(state, rows)), "");
  expect(state);

  // Anything but exactly the same is refused.
  std::vector<float> more(rows * 32);
  float *both = machine.upload(more);
  for (TensorView next :
       {matrix(both + 16, rows), TensorView{both, DType::F32, {rows, 16}, {32, 1}}})
    EXPECT_EQ(launchOn(matrix(both, rows), next),
              "output `next` lies on `state`: a kernel would overwrite what it reads; give it "
              "memory of its own");
}

#ifdef ATTNC_EMULATOR
/// The emulated driver's graphs, as a caller of ours uses them.
struct Graphs {
  void *library = dlopen(ATTNC_EMULATOR, RTLD_NOW);
  template <typename... Args> int call(const char *name, Args... args) const {
    auto *function = reinterpret_cast<int (*)(Args...)>(dlsym(library, name));
    return function ? function(args...) : -1;
  }
};

/// While a stream is captured nothing may be allocated, so a program that needs workspace takes the
/// caller's or says that it needs it. What is captured runs when the graph does.
TEST(CapturedStreams, TakeWorkspaceFromTheCaller) {
  setenv("ATTNC_CUDA_DRIVER", ATTNC_EMULATOR, 1);
  setenv("ATTNC_EMU_DEVICE", "sm_80", 1);
  Machine machine("sm_80");
  std::unique_ptr<Executable> program = machine.load(threeKernels());
  ASSERT_TRUE(program);
  int64_t rows = 33;
  std::vector<float> x = ramp(rows, 1), nothing(rows * 16, NAN);
  float *sum = machine.upload(nothing), *out = machine.upload(nothing);
  LaunchInputs inputs{{{"x", matrix(machine.upload(x), rows)},
                       {"sum", matrix(sum, rows)},
                       {"out", matrix(out, rows)}},
                      {{"p", 1}}};
  PackedArguments arguments = llvm::cantFail(program->prepare(inputs));
  int64_t bytes = arguments.workspaceBytes;
  ASSERT_GT(bytes, 0);
  float *block = machine.upload(std::vector<float>(static_cast<size_t>(bytes) / 4));

  Graphs graphs;
  void *stream = nullptr, *graph = nullptr, *executable = nullptr;
  ASSERT_EQ(graphs.call("cuStreamCreate", &stream, 0u), 0);
  // A block that the program has for the stream already changes nothing.
  ASSERT_EQ(textOf(program->run(arguments, stream)), "");
  ASSERT_EQ(graphs.call("cuStreamBeginCapture_v2", stream, 0), 0);
  EXPECT_EQ(textOf(program->run(arguments, stream)),
            "`" + program->program().signature.name + "` needs " + std::to_string(bytes) +
                " bytes of workspace, and a stream that is captured takes none of its own: pass a "
                "workspace of that size");
  EXPECT_EQ(textOf(program->run(arguments, stream, {block, bytes})), "");
  ASSERT_EQ(graphs.call("cuStreamEndCapture", stream, &graph), 0);
  ASSERT_EQ(graphs.call("cuGraphInstantiateWithFlags", &executable, graph, 0ull), 0);

  ASSERT_EQ(textOf(program->run(arguments, stream)), ""); // as before the capture
  for (float *output : {sum, out})
    machine.overwrite(output, nothing);
  EXPECT_TRUE(std::isnan(machine.download(out, 1)[0]));
  ASSERT_EQ(graphs.call("cuGraphLaunch", executable, stream), 0);
  expectThreeKernels(machine, sum, out, x, 1);
  EXPECT_EQ(graphs.call("cuGraphExecDestroy", executable), 0);
  EXPECT_EQ(graphs.call("cuGraphDestroy", graph), 0);
  EXPECT_EQ(graphs.call("cuStreamDestroy_v2", stream), 0);
}
#endif

/// Each launch of a program has a time, and being timed changes no result.
TEST_P(Programs, LaunchesAreTimed) {
  Machine machine(GetParam());
  std::unique_ptr<Executable> program = machine.load(threeKernels());
  ASSERT_TRUE(program);
  int64_t rows = 40;
  std::vector<float> x = ramp(rows, 2), nothing(rows * 16, NAN);
  float *sum = machine.upload(nothing), *out = machine.upload(nothing);
  LaunchInputs inputs{{{"x", matrix(machine.upload(x), rows)},
                       {"sum", matrix(sum, rows)},
                       {"out", matrix(out, rows)}},
                      {{"p", 1}}};
  PackedArguments arguments = llvm::cantFail(program->prepare(inputs));
  LaunchTimes times{1, 2}; // of another run
  ASSERT_EQ(textOf(program->run(arguments, nullptr, {}, &times)), "");
  ASSERT_EQ(times.size(), program->program().launches.size());
  for (double time : times)
    EXPECT_GT(time, 0);
  expectThreeKernels(machine, sum, out, x, 1);
}

TEST_P(Programs, ThreadsShareAStream) {
  Machine machine(GetParam());
  std::unique_ptr<Executable> program = machine.load(threeKernels());
  ASSERT_TRUE(program);
  int64_t rows = 64;
  struct Run {
    std::vector<float> x;
    float *sum, *out;
    PackedArguments arguments;
  };
  std::vector<Run> runs;
  for (int i = 0; i < 4; ++i) {
    std::vector<float> x = ramp(rows, static_cast<float>(i)), nothing(rows * 16, NAN);
    Run run{x, machine.upload(nothing), machine.upload(nothing), {}};
    LaunchInputs inputs{{{"x", matrix(machine.upload(x), rows)},
                         {"sum", matrix(run.sum, rows)},
                         {"out", matrix(run.out, rows)}},
                        {{"p", 1}}};
    run.arguments = llvm::cantFail(program->prepare(inputs));
    runs.push_back(std::move(run));
  }
  std::vector<std::thread> threads;
  for (Run &run : runs)
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i)
        EXPECT_EQ(textOf(program->run(run.arguments)), "");
    });
  for (std::thread &thread : threads)
    thread.join();
  for (Run &run : runs)
    expectThreeKernels(machine, run.sum, run.out, run.x, 1);
}

} // namespace
