// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The launcher on kernels written in C++: every point once, scratch memory of its own for each
// thread.
#include "attnc/Runtime/HostLauncher.h"
#include "gtest/gtest.h"
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace attnc;

namespace {

/// Counts its visits in a 3-d array (slot 0: counters, slots 1, 2: sizes of dimensions 0 and 1),
/// and fails to count if its scratch memory changes under it.
void countingKernel(const uint64_t *slots, int32_t i, int32_t j, int32_t k, void *scratch) {
  auto *counters = reinterpret_cast<std::atomic<int> *>(slots[0]);
  int64_t at = (int64_t(k) * int64_t(slots[2]) + j) * int64_t(slots[1]) + i;
  auto *mine = static_cast<volatile int64_t *>(scratch);
  bool aligned = reinterpret_cast<uintptr_t>(scratch) % 64 == 0;
  for (int n = 0; n < 16; ++n)
    mine[n] = at;
  std::this_thread::yield();
  bool kept = true;
  for (int n = 0; n < 16; ++n)
    kept &= mine[n] == at;
  if (aligned && kept)
    ++counters[at];
}

void expectEveryPointOnce(HostLauncher &launcher, std::array<int64_t, 3> grid) {
  std::vector<std::atomic<int>> counters(grid[0] * grid[1] * grid[2]);
  Program program;
  program.launches.emplace_back().scratchBytes = 16 * sizeof(int64_t);
  PackedArguments arguments;
  arguments.slots = {reinterpret_cast<uintptr_t>(counters.data()), uint64_t(grid[0]),
                     uint64_t(grid[1])};
  arguments.launches = {{0, grid}};
  ASSERT_EQ(launcher.run(program, {countingKernel}, arguments, {}).message(), "");
  for (auto &counter : counters)
    EXPECT_EQ(counter, 1);
}

TEST(HostLauncher, VisitsEveryPointOnce) {
  for (unsigned threads : {1u, 2u, 5u}) {
    HostLauncher launcher(threads);
    EXPECT_EQ(launcher.numThreads(), threads);
    for (auto grid :
         {std::array<int64_t, 3>{1, 1, 1}, {7, 3, 2}, {100, 1, 5}, {0, 4, 4}, {2, 1, 1}})
      expectEveryPointOnce(launcher, grid);
  }
}

TEST(HostLauncher, LaunchesFromSeveralThreads) {
  HostLauncher launcher(2);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int n = 0; n < 10; ++n)
        expectEveryPointOnce(launcher, {13, 2, 2});
    });
  for (std::thread &caller : callers)
    caller.join();
}

TEST(HostLauncher, ThreadsFromTheEnvironment) {
  setenv("ATTNC_NUM_THREADS", "3", 1);
  EXPECT_EQ(HostLauncher().numThreads(), 3u);
  setenv("ATTNC_NUM_THREADS", "many", 1);
  EXPECT_GE(HostLauncher().numThreads(), 1u);
  unsetenv("ATTNC_NUM_THREADS");
}

/// Counts products that are not 0, of numbers that no compiler multiplies in advance.
void multiplyingKernel(const uint64_t *slots, int32_t, int32_t, int32_t, void *) {
  auto *numbers = reinterpret_cast<const volatile float *>(slots[0]);
  if (numbers[0] * numbers[1] != 0.0f)
    ++*reinterpret_cast<std::atomic<int> *>(slots[1]);
}

TEST(HostLauncher, ResultsBelowTheNormalNumbersAreZero) {
  volatile float numbers[2] = {1e-30f, 1e-10f};
  for (unsigned threads : {1u, 3u}) {
    HostLauncher launcher(threads);
    std::atomic<int> others{0};
    Program program;
    program.launches.emplace_back();
    PackedArguments arguments;
    arguments.slots = {reinterpret_cast<uintptr_t>(&numbers[0]),
                       reinterpret_cast<uintptr_t>(&others)};
    arguments.launches = {{0, {1000, 1, 1}}};
    ASSERT_EQ(launcher.run(program, {multiplyingKernel}, arguments, {}).message(), "");
    EXPECT_EQ(others, 0);
  }
  // The caller computes as before.
  EXPECT_NE(numbers[0] * numbers[1], 0.0f);
}

TEST(HostLauncher, ReportsMissingMemory) {
  HostLauncher launcher(1);
  Program program;
  KernelLaunch &huge = program.launches.emplace_back();
  huge.symbol = "huge";
  huge.scratchBytes = int64_t(1) << 60;
  PackedArguments arguments;
  arguments.launches = {{0, {1, 1, 1}}};
  std::string message = launcher.run(program, {countingKernel}, arguments, {}).message();
  EXPECT_NE(message.find("kernel 'huge' needs 1152921504606846976 bytes"), std::string::npos)
      << message;
}

/// Slot 0: a flag that the program waits for. Slot 1: counts the programs that wait.
void waitingKernel(const uint64_t *slots, int32_t, int32_t, int32_t, void *) {
  ++*reinterpret_cast<std::atomic<int> *>(slots[1]);
  while (!*reinterpret_cast<std::atomic<bool> *>(slots[0]))
    std::this_thread::yield();
}

TEST(HostLauncher, AShortLaunchDoesNotWaitForALongOne) {
  using Clock = std::chrono::steady_clock;
  for (unsigned threads : {1u, 3u}) {
    HostLauncher launcher(threads);
    std::atomic<bool> release{false};
    std::atomic<int> waiting{0};
    std::thread longOne([&] {
      Program program;
      program.launches.emplace_back();
      PackedArguments arguments;
      arguments.slots = {reinterpret_cast<uintptr_t>(&release),
                         reinterpret_cast<uintptr_t>(&waiting)};
      arguments.launches = {{0, {100, 1, 1}}};
      EXPECT_EQ(launcher.run(program, {waitingKernel}, arguments, {}).message(), "");
    });
    // Every thread of the launcher is in the long launch.
    auto deadline = Clock::now() + std::chrono::seconds(20);
    while (waiting < static_cast<int>(threads) && Clock::now() < deadline)
      std::this_thread::yield();
    EXPECT_EQ(waiting, static_cast<int>(threads));
    // These return although it does not; if they waited for it, this test would not end.
    std::thread watchdog([&] {
      while (!release && Clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (!release) {
        ADD_FAILURE() << "a short launch waits for a long one";
        release = true;
      }
    });
    expectEveryPointOnce(launcher, {1, 1, 1});
    expectEveryPointOnce(launcher, {13, 2, 2});
    release = true;
    longOne.join();
    watchdog.join();
  }
}

/// Threads of a caller, as many as it is asked for; `calls` counts.
struct CallerThreads {
  int calls = 0;
  int32_t asked = 0;
  static void run(void *context, int32_t count, void (*body)(void *, int32_t), void *argument) {
    auto *mine = static_cast<CallerThreads *>(context);
    ++mine->calls;
    mine->asked = count;
    std::vector<std::thread> threads;
    for (int32_t i = 0; i < count; ++i)
      threads.emplace_back(body, argument, i);
    for (std::thread &thread : threads)
      thread.join();
  }
};

TEST(HostLauncher, RunsOnThreadsOfTheCaller) {
  CallerThreads threads;
  HostLauncher launcher(ParallelFor{CallerThreads::run, &threads, 3});
  EXPECT_EQ(launcher.numThreads(), 3u);
  expectEveryPointOnce(launcher, {40, 3, 2});
  EXPECT_EQ(threads.calls, 1);
  EXPECT_EQ(threads.asked, 3);
  expectEveryPointOnce(launcher, {2, 1, 1}); // no more threads than points
  EXPECT_EQ(threads.asked, 2);
  expectEveryPointOnce(launcher, {0, 1, 1});
  EXPECT_EQ(threads.calls, 2);
}

TEST(HostLauncher, CompletesWhatTheCallersThreadsLeave) {
  auto nobody = [](void *, int32_t, void (*)(void *, int32_t), void *) {};
  HostLauncher alone(ParallelFor{nobody, nullptr, 4});
  expectEveryPointOnce(alone, {7, 3, 2});
  auto inOrder = [](void *, int32_t count, void (*body)(void *, int32_t), void *argument) {
    for (int32_t i = 0; i < count; ++i)
      body(argument, i);
  };
  HostLauncher serial(ParallelFor{inOrder, nullptr, 4});
  expectEveryPointOnce(serial, {7, 3, 2});
}

/// Waits until so many points of its grid are under way at once (slot 0: how many are, slot 1: how
/// many it waits for).
void meetingKernel(const uint64_t *slots, int32_t, int32_t, int32_t, void *) {
  auto *there = reinterpret_cast<std::atomic<int> *>(slots[0]);
  ++*there;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (*there < static_cast<int>(slots[1]) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
}

TEST(HostLauncher, LaunchesAreInsideAtOnce) {
  // One thread of the launcher's: two launches meet only if neither waits for the other.
  HostLauncher launcher(1);
  std::atomic<int> there{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i)
    callers.emplace_back([&] {
      Program program;
      program.launches.emplace_back();
      PackedArguments arguments;
      arguments.slots = {reinterpret_cast<uintptr_t>(&there), 2};
      arguments.launches = {{0, {1, 1, 1}}};
      EXPECT_EQ(launcher.run(program, {meetingKernel}, arguments, {}).message(), "");
      EXPECT_EQ(there, 2);
    });
  for (std::thread &caller : callers)
    caller.join();
}

TEST(HostLauncher, LaunchesShareTheHelpers) {
  // Three callers and one helper, which goes from one launch to the other.
  HostLauncher launcher(2);
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i)
    callers.emplace_back([&] {
      for (int n = 0; n < 50; ++n)
        expectEveryPointOnce(launcher, {40, 3, 1});
    });
  for (std::thread &caller : callers)
    caller.join();
}

/// Runs `body` in a forked child; true if it ends in time and all of its expectations hold.
template <typename Body> bool goodInChild(Body body) {
  pid_t child = fork();
  if (child == 0) {
    alarm(20); // a hang is a death by SIGALRM
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(HostLauncher, AForkedChildLaunches) {
  HostLauncher launcher(4);
  EXPECT_TRUE(goodInChild([&] { expectEveryPointOnce(launcher, {50, 2, 1}); }));
  expectEveryPointOnce(launcher, {50, 2, 1});
  EXPECT_TRUE(goodInChild([&] {
    // From two threads, and in a grandchild.
    std::thread other([&] { expectEveryPointOnce(launcher, {50, 2, 1}); });
    expectEveryPointOnce(launcher, {50, 2, 1});
    other.join();
    EXPECT_TRUE(goodInChild([&] { expectEveryPointOnce(launcher, {50, 2, 1}); }));
  }));
  // While the parent's threads are at work, and hold whatever locks there are.
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop)
      expectEveryPointOnce(launcher, {20, 1, 1});
  });
  for (int i = 0; i < 30; ++i)
    EXPECT_TRUE(goodInChild([&] { expectEveryPointOnce(launcher, {50, 2, 1}); }));
  stop = true;
  busy.join();
}

TEST(HostLauncher, NoMoreThreadsThanAMachineHas) {
  HostLauncher launcher(2000000000);
  EXPECT_EQ(launcher.numThreads(), HostLauncher::maxThreads);
  // They are started when there is something to do, and not for a single program.
  expectEveryPointOnce(launcher, {1, 1, 1});
}

} // namespace
