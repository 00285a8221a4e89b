// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The host's grid: threads take points from a shared counter, the first grid dimension fastest, so
// that the query tiles of a head find its keys in the cache. Kernels whose programs differ in
// length number them longest first (see convert-attn-to-tile), so the last points are short and
// threads end together.
//
// Launches that run at once share the helpers. A helper takes points of one launch until there are
// none left, or until another launch comes: then it looks again for the one with the fewest
// helpers.
#include "attnc/Runtime/HostLauncher.h"
#include "attnc/Support/InlineBuffer.h"
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <unistd.h>
#include <xmmintrin.h>

using namespace attnc;

namespace {
/// Memory that grows, aligned as a workspace is (scratch memory needs less).
class Scratch {
public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  ~Scratch() { std::free(memory); }

  bool reserve(int64_t bytes) {
    size_t wanted = static_cast<size_t>(std::max<int64_t>(bytes, 64));
    if (wanted <= size)
      return true;
    std::free(memory);
    size = (wanted + workspaceAlignment - 1) / workspaceAlignment * workspaceAlignment;
    memory = std::aligned_alloc(workspaceAlignment, size);
    if (!memory)
      size = 0;
    return memory != nullptr;
  }
  void *get() const { return memory; }

private:
  void *memory = nullptr;
  size_t size = 0;
};

/// How a thread computes while it runs kernels, whatever its caller has chosen: rounding to
/// nearest, no traps, and 0 for results that are smaller than the least normal number, as on a GPU.
/// Decays get there, and a processor takes a hundred times as long for a subnormal number.
class KernelArithmetic {
public:
  KernelArithmetic() : before(_mm_getcsr()) { _mm_setcsr(kMaskAll | kFlushToZero); }
  KernelArithmetic(const KernelArithmetic &) = delete;
  ~KernelArithmetic() { _mm_setcsr(before); }

private:
  static constexpr unsigned kMaskAll = 0x1F80, kFlushToZero = 0x8000;
  unsigned before;
};

/// One launch. Lives on the stack of the calling thread.
struct Launch {
  Launch(HostKernelFn kernel, const uint64_t *slots, int64_t n0, int64_t n1, int64_t points,
         int64_t scratchBytes)
      : kernel(kernel), slots(slots), n0(n0), n1(n1), points(points), scratchBytes(scratchBytes) {}

  HostKernelFn kernel;
  const uint64_t *slots;
  int64_t n0, n1, points;
  int64_t scratchBytes;
  std::atomic<int64_t> next{0};
  unsigned helpers = 0; ///< threads besides the caller's that are at work; under the pool's mutex
  std::condition_variable left; ///< a helper has gone

  bool hasPoints() const { return next.load(std::memory_order_relaxed) < points; }
  /// Runs the next point; false if there is none. What is called was compiled without the word in
  /// front of a function that UndefinedBehaviorSanitizer would compare; there may be no memory.
#ifdef __clang__
  __attribute__((no_sanitize("function")))
#endif
  bool runOne(void *scratch) {
    int64_t point = next++;
    if (point >= points)
      return false;
    kernel(slots, static_cast<int32_t>(point % n0), static_cast<int32_t>(point / n0 % n1),
           static_cast<int32_t>(point / n0 / n1), scratch);
    return true;
  }
};
} // namespace

/// Helpers of one process, and the launches that they may work on.
class HostLauncher::Pool {
public:
  explicit Pool(unsigned helpers) : numHelpers(helpers) {}
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    for (std::thread &thread : threads)
      thread.join();
  }

  bool belongsToThisProcess() const { return process == getpid(); }

  /// Runs `launch` on this thread and the helpers, and returns when all of its points are done.
  /// False if there is no scratch memory for this thread: then no point was run.
  bool run(Launch &launch) {
    bool shared = launch.points > 1 && numHelpers > 0;
    if (!shared)
      return runHere(launch);
    std::unique_ptr<Scratch> scratch = take(spareScratch);
    bool able = scratch->reserve(launch.scratchBytes);
    if (able) {
      offer(launch);
      work(launch, *scratch);
      withdraw(launch);
    }
    giveBack(spareScratch, std::move(scratch));
    return able;
  }

  /// Runs `launch` on threads of the caller, and on this one what they have left. False if there is
  /// no scratch memory.
  bool runWith(const ParallelFor &parallel, Launch &launch) {
    struct Work {
      Pool &pool;
      Launch &launch;
    } work{*this, launch};
    int32_t count = static_cast<int32_t>(std::min<int64_t>(parallel.workers, launch.points));
    auto body = [](void *argument, int32_t) {
      auto &[pool, launch] = *static_cast<Work *>(argument);
      pool.runHere(launch);
    };
    parallel.run(parallel.context, count, body, &work);
    // Where they had no memory, or nobody was there.
    return !launch.hasPoints() || runHere(launch);
  }

  /// Memory for the workspace of one run; to be given back.
  std::unique_ptr<Scratch> takeWorkspace() { return take(spareWorkspaces); }
  void giveBackWorkspace(std::unique_ptr<Scratch> workspace) {
    giveBack(spareWorkspaces, std::move(workspace));
  }

private:
  static void work(Launch &launch, Scratch &scratch) {
    KernelArithmetic arithmetic;
    while (launch.runOne(scratch.get()))
      ;
  }

  /// Runs points of `launch` on this thread until there are none left. False without memory.
  bool runHere(Launch &launch) {
    std::unique_ptr<Scratch> scratch = take(spareScratch);
    bool able = scratch->reserve(launch.scratchBytes);
    if (able)
      work(launch, *scratch);
    giveBack(spareScratch, std::move(scratch));
    return able;
  }

  void offer(Launch &launch) {
    unsigned wanted = static_cast<unsigned>(std::min<int64_t>(numHelpers, launch.points - 1));
    std::unique_lock<std::mutex> lock(mutex);
    startThreads();
    launches.push_back(&launch);
    arrivals.fetch_add(1, std::memory_order_relaxed);
    lock.unlock();
    if (wanted == numHelpers)
      wake.notify_all();
    else
      for (unsigned i = 0; i < wanted; ++i)
        wake.notify_one();
  }

  void withdraw(Launch &launch) {
    std::unique_lock<std::mutex> lock(mutex);
    launches.erase(std::find(launches.begin(), launches.end(), &launch));
    launch.left.wait(lock, [&] { return launch.helpers == 0; });
  }

  /// As many as the system gives: a launch is complete without any.
  void startThreads() {
    try {
      while (!startedAll && threads.size() < numHelpers)
        threads.emplace_back([this] { help(); });
    } catch (const std::exception &) {
    }
    startedAll = true;
  }

  /// The launch with points left that has the fewest helpers, or null. Under the mutex.
  Launch *choose() const {
    Launch *best = nullptr;
    for (Launch *launch : launches)
      if (launch->hasPoints() && (!best || launch->helpers < best->helpers))
        best = launch;
    return best;
  }

  void help() {
    Scratch scratch;
    KernelArithmetic arithmetic;
    std::unique_lock<std::mutex> lock(mutex);
    while (true) {
      Launch *launch = nullptr;
      wake.wait(lock, [&] { return stopping || (launch = choose()); });
      if (stopping)
        return;
      ++launch->helpers;
      uint64_t seen = arrivals.load(std::memory_order_relaxed);
      lock.unlock();
      // Without memory this launch is left to the others, and so is every other one for a moment.
      bool able = scratch.reserve(launch->scratchBytes);
      while (able && seen == arrivals.load(std::memory_order_relaxed) &&
             launch->runOne(scratch.get()))
        ;
      if (!able)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      lock.lock();
      if (--launch->helpers == 0)
        launch->left.notify_one();
    }
  }

  using Spares = std::vector<std::unique_ptr<Scratch>>;
  std::unique_ptr<Scratch> take(Spares &spares) {
    std::lock_guard<std::mutex> lock(mutex);
    if (spares.empty())
      return std::make_unique<Scratch>();
    std::unique_ptr<Scratch> scratch = std::move(spares.back());
    spares.pop_back();
    return scratch;
  }
  void giveBack(Spares &spares, std::unique_ptr<Scratch> scratch) {
    std::lock_guard<std::mutex> lock(mutex);
    spares.push_back(std::move(scratch));
  }

  const unsigned numHelpers;
  const pid_t process = getpid();
  std::mutex mutex;
  std::condition_variable wake; ///< a launch has come, or it is time to stop
  std::vector<Launch *> launches;
  Spares spareScratch, spareWorkspaces; ///< of callers; as many as have launched at once
  std::vector<std::thread> threads;
  std::atomic<uint64_t> arrivals{0}; ///< launches that were offered so far
  bool startedAll = false, stopping = false;
};

HostLauncher::HostLauncher(unsigned given)
    : threads(std::min(given ? given : defaultThreads(), maxThreads)),
      current(new Pool(threads - 1)) {}

HostLauncher::HostLauncher(ParallelFor parallel)
    : threads(static_cast<unsigned>(parallel.workers)), parallel(parallel), current(new Pool(0)) {}

HostLauncher::~HostLauncher() {
  // A parent's threads are not here to be joined: its pool is given up.
  if (Pool *last = current.load(); last->belongsToThisProcess())
    delete last;
}

HostLauncher::Pool &HostLauncher::pool() {
  Pool *found = current.load(std::memory_order_acquire);
  if (found->belongsToThisProcess())
    return *found;
  // This is a forked child: the parent's threads are gone, and its mutex may be locked for ever.
  auto *mine = new Pool(threads - 1);
  if (current.compare_exchange_strong(found, mine))
    return *mine;
  delete mine; // another thread was first
  return *found;
}

unsigned HostLauncher::numThreads() const { return threads; }

Failure HostLauncher::launch(const Program &program, const std::vector<HostKernelFn> &kernels,
                             const LaunchInputs &inputs) {
  Outcome<PackedArguments> arguments = packArguments(program, inputs);
  if (!arguments)
    return arguments.takeError();
  return run(program, kernels, *arguments, {});
}

Failure HostLauncher::run(const Program &program, const std::vector<HostKernelFn> &kernels,
                          const PackedArguments &arguments, WorkspaceBlock workspace,
                          LaunchTimes *times) {
  if (Failure failure = checkWorkspace(workspace, arguments.workspaceBytes))
    return failure;
  std::unique_ptr<Scratch> own;
  if (!workspace.data && arguments.workspaceBytes > 0) {
    own = pool().takeWorkspace();
    if (!own->reserve(arguments.workspaceBytes)) {
      pool().giveBackWorkspace(std::move(own));
      return Failure("out of memory: `" + program.signature.name + "` needs " +
                     std::to_string(arguments.workspaceBytes) + " bytes of workspace");
    }
    workspace.data = own->get();
  }
  const uint64_t *slots = arguments.slots.data();
  if (times)
    times->assign(program.launches.size(), 0);
  Failure failure = Failure::success();
  InlineBuffer<uint64_t, 128> bound;
  for (const PackedLaunch &each : arguments.launches) {
    const KernelLaunch &launch = program.launches[each.launch];
    bool isBound = usesWorkspace(launch);
    if (isBound) {
      bound.resize(launch.args.size());
      bindWorkspace(launch, slots, reinterpret_cast<uintptr_t>(workspace.data), bound.data());
    }
    using Clock = std::chrono::steady_clock;
    Clock::time_point start = times ? Clock::now() : Clock::time_point();
    failure = runKernel(launch, kernels[each.launch], isBound ? bound.data() : slots, each.grid);
    if (times)
      (*times)[each.launch] +=
          std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    if (failure)
      break;
    slots += launch.args.size();
  }
  if (own)
    pool().giveBackWorkspace(std::move(own));
  return failure;
}

Failure HostLauncher::runKernel(const KernelLaunch &description, HostKernelFn kernel,
                                const uint64_t *slots, const std::array<int64_t, 3> &grid) {
  const auto [n0, n1, n2] = grid;
  int64_t points;
  if (n0 == 0 || n1 == 0 || n2 == 0)
    return Failure::success();
  if (__builtin_mul_overflow(n0, n1, &points) || __builtin_mul_overflow(points, n2, &points))
    return Failure("a grid of " + std::to_string(n0) + " x " + std::to_string(n1) + " x " +
                   std::to_string(n2) + " programs is beyond 2^63");
  Launch launch(kernel, slots, n0, n1, points, description.scratchBytes);
  if (parallel.run ? pool().runWith(parallel, launch) : pool().run(launch))
    return Failure::success();
  return Failure("out of memory: kernel '" + description.symbol + "' needs " +
                 std::to_string(description.scratchBytes) +
                 " bytes of scratch memory for each of " + std::to_string(threads) +
                 " threads; set ATTNC_NUM_THREADS to a smaller number");
}
