// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops of chunks: how long chunks are, in which order launches run, and what workspace they have.
#include "attnc/Runtime/Chunks.h"
#include "attnc/Runtime/Arguments.h"
#include "gtest/gtest.h"
#include <cstdlib>

using namespace attnc;
using Op = SizeStep::Op;

namespace {

const SizeStep n{Op::Size, 0}, m{Op::Size, 1};
/// The chunk of the first axis of the first loop, and of its second one.
const SizeStep first0{Op::Size, 2}, count0{Op::Size, 3}, first1{Op::Size, 4}, count1{Op::Size, 5};
const SizeStep one{Op::Number, 1};

KernelLaunch launchOf(const std::string &symbol, std::vector<KernelArg> args) {
  KernelLaunch launch;
  launch.symbol = symbol;
  launch.args = std::move(args);
  launch.grid = {SizeFormula{one}, SizeFormula{one}, SizeFormula{one}};
  return launch;
}

/// before; then, for parts of n (by 2) and of m (by 16): write, read; then after. `part` is over
/// both, `whole` is written in the loop and read behind it.
Program makeProgram() {
  Program program;
  program.signature.name = "p";
  program.signature.spaceNames = {"n", "m"};
  program.workspaces = {{"part", DType::F32, {{count0}, {count1}}, {{first0}, {first1}}},
                        {"whole", DType::F32, {{n}, {m}}, {}}};
  using Kind = KernelArg::Kind;
  KernelArg part{Kind::WorkspacePointer, 0, 0}, whole{Kind::WorkspacePointer, 1, 0};
  std::vector<KernelArg> chunk{
      {Kind::Size, 2, 0}, {Kind::Size, 3, 0}, {Kind::Size, 4, 0}, {Kind::Size, 5, 0}};
  auto with = [&](KernelArg tensor) {
    std::vector<KernelArg> args{tensor, {Kind::WorkspaceStride, 0, 0}};
    args.insert(args.end(), chunk.begin(), chunk.end());
    return args;
  };
  program.launches = {launchOf("before", {}), launchOf("write", with(part)),
                      launchOf("read", with(part)), launchOf("after", {whole})};
  program.launches[2].args.push_back(whole);
  program.launches[1].grid[0] = {count0, count1, {Op::Mul}};
  program.loops = {{1, 2, {{{n}, 2}, {{m}, 16}}}};
  EXPECT_EQ(checkProgram(program).message(), "");
  return program;
}

/// Lengths of chunks of both axes where the loop may have `bytes`.
std::vector<int64_t> chunksOf(int64_t n, int64_t m, int64_t bytes) {
  setenv("ATTNC_LOOP_WORKSPACE", std::to_string(bytes).c_str(), 1);
  ProgramSizes sizes{{n, m}, {}};
  EXPECT_EQ(chooseChunks(makeProgram(), sizes).message(), "");
  unsetenv("ATTNC_LOOP_WORKSPACE");
  EXPECT_EQ(sizes.spaces.size(), 6u);
  EXPECT_EQ(sizes.spaces[2], 0);
  EXPECT_EQ(sizes.spaces[4], 0);
  return {sizes.spaces[3], sizes.spaces[5]};
}

using Lengths = std::vector<int64_t>;

TEST(Chunks, AreWholeSpacesWhereThatFits) {
  EXPECT_EQ(chunksOf(9, 50, 9 * 50 * 4), (Lengths{9, 50}));
  EXPECT_EQ(chunksOf(0, 50, 0), (Lengths{0, 50}));
}

TEST(Chunks, TheFirstAxisIsCutFirstInMultiplesOfItsStep) {
  EXPECT_EQ(chunksOf(9, 50, 9 * 50 * 4 - 1), (Lengths{6, 50})); // 6 and 3: 8 would fit, and leave 1
  EXPECT_EQ(chunksOf(9, 50, 4 * 50 * 4), (Lengths{4, 50}));
  EXPECT_EQ(chunksOf(9, 50, 2 * 50 * 4), (Lengths{2, 50}));
  EXPECT_EQ(chunksOf(9, 50, 2 * 50 * 4 - 1), (Lengths{2, 32}));
  EXPECT_EQ(chunksOf(9, 50, 0), (Lengths{2, 16})); // no shorter than a step
  EXPECT_EQ(chunksOf(1, 7, 0), (Lengths{1, 7}));
}

TEST(Chunks, AreNoMoreThanTheirArgumentsHaveRoomFor) {
  Lengths lengths = chunksOf(1 << 20, 1 << 20, 0);
  int64_t chunks =
      ((1 << 20) + lengths[0] - 1) / lengths[0] * (((1 << 20) + lengths[1] - 1) / lengths[1]);
  EXPECT_LE(chunks, maxChunks);
  EXPECT_GE(chunks, maxChunks / 2);
}

TEST(Chunks, OfASizeThatIsNoneAreRefused) {
  ProgramSizes sizes{{-1, 5}, {}};
  EXPECT_TRUE(chooseChunks(makeProgram(), sizes));
}

TEST(Chunks, LaunchesOfALoopRunForEachCombination) {
  Program program = makeProgram();
  setenv("ATTNC_LOOP_WORKSPACE", "0", 1);
  ProgramSizes sizes{{3, 20}, {}};
  ASSERT_EQ(chooseChunks(program, sizes).message(), "");
  unsetenv("ATTNC_LOOP_WORKSPACE");
  std::vector<Lengths> seen;
  EXPECT_FALSE(forEachLaunch(program, sizes, [&](size_t launch) {
    bool isInLoop = launch == 1 || launch == 2;
    seen.push_back(isInLoop ? Lengths{int64_t(launch), sizes.spaces[2], sizes.spaces[3],
                                      sizes.spaces[4], sizes.spaces[5]}
                            : Lengths{int64_t(launch)});
    return Failure::success();
  }));
  std::vector<Lengths> expected{{0}};
  for (Lengths chunk : {Lengths{0, 2, 0, 16}, {0, 2, 16, 4}, {2, 1, 0, 16}, {2, 1, 16, 4}})
    for (int64_t launch : {1, 2})
      expected.push_back({launch, chunk[0], chunk[1], chunk[2], chunk[3]});
  expected.push_back({3});
  EXPECT_EQ(seen, expected);
}

TEST(Chunks, PointersOfAPartAreThoseOfTheWholeTensor) {
  Program program = makeProgram();
  program.signature.inputs.resize(2);
  for (size_t i : {0, 1}) {
    TensorDecl &input = program.signature.inputs[i];
    input.name = program.signature.spaceNames[i];
    input.dtype = DType::F32;
    input.axes = {{input.name, -1}};
  }
  ASSERT_EQ(checkProgram(program).message(), "");
  std::vector<float> data(64);
  LaunchInputs inputs;
  inputs.tensors["n"] = {data.data(), DType::F32, {3}, {1}};
  inputs.tensors["m"] = {data.data(), DType::F32, {20}, {1}};
  setenv("ATTNC_LOOP_WORKSPACE", "0", 1);
  Outcome<PackedArguments> packed = packArguments(program, inputs);
  unsetenv("ATTNC_LOOP_WORKSPACE");
  ASSERT_TRUE(packed) << packed.message();
  ASSERT_EQ(packed->launches.size(), 10u);
  // 2 x 16 elements of `part` and, as long as the loop runs, 3 x 20 of `whole`.
  EXPECT_EQ(packed->workspaceBytes, 2 * workspaceAlignment);
  const uint64_t *slots = packed->slots.data();
  uint64_t base = slots[0];
  for (const PackedLaunch &each : packed->launches) {
    const KernelLaunch &launch = program.launches[each.launch];
    if (each.launch == 1) {
      uint64_t stride = slots[1], row = slots[2], col = slots[4];
      EXPECT_EQ(stride, 16u);
      EXPECT_EQ(slots[0] + 4 * (row * stride + col), base); // the chunk's first element
      EXPECT_EQ(each.grid[0], int64_t(slots[3] * slots[5]));
    }
    slots += launch.args.size();
  }
}

TEST(Chunks, ATensorOfAChunkIsOneLoops) {
  Program program = makeProgram();
  program.launches[3].args.push_back({KernelArg::Kind::WorkspacePointer, 0, 0});
  EXPECT_EQ(checkProgram(program).message(),
            "a workspace tensor of a chunk that a launch outside of its loop has");
}

TEST(Chunks, ChunksAreKnownInTheirLoopOnly) {
  Program program = makeProgram();
  program.launches[3].args.push_back({KernelArg::Kind::Size, 3, 0});
  EXPECT_EQ(checkProgram(program).message(), "an argument of nothing that is there");
  program = makeProgram();
  program.launches[0].grid[0] = {count0};
  EXPECT_EQ(checkProgram(program).message(), "the grid");
  program = makeProgram();
  program.workspaces[1].axes[0] = {count0};
  EXPECT_EQ(checkProgram(program).message(), "the size of a workspace tensor");
  program = makeProgram();
  program.scalars = {{first0}};
  EXPECT_EQ(checkProgram(program).message(), "a scalar");
}

TEST(Chunks, LoopsAreOfLaunchesThatAreThere) {
  for (ChunkLoop loop : {ChunkLoop{1, 4, {{{n}, 2}}}, ChunkLoop{1, 0, {{{n}, 2}}},
                         ChunkLoop{0, 2, {}}, ChunkLoop{-1, 2, {{{n}, 2}}},
                         ChunkLoop{0, 2, {{{n}, 0}}}, ChunkLoop{0, 2, {{{first0}, 1}}}}) {
    Program program = makeProgram();
    program.loops = {loop};
    EXPECT_NE(checkProgram(program).message(), "");
  }
  Program program = makeProgram();
  program.loops.push_back(program.loops[0]); // the same launches again
  EXPECT_EQ(checkProgram(program).message(), "a loop of chunks");
}

} // namespace
