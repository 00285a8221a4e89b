// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Chunks.h explains. The bytes of a loop grow with each of its chunks, so the longest that fit are
// found by bisection.
#include "attnc/Runtime/Chunks.h"
#include "attnc/Support/Environment.h"
#include <algorithm>
#include <cstdlib>
#include <set>

using namespace attnc;

static int64_t allowedBytes() {
  if (const char *text = readVariable(Variable::LoopWorkspace)) {
    char *end = nullptr;
    long long bytes = std::strtoll(text, &end, 10);
    if (end != text && *end == 0 && bytes >= 0)
      return bytes;
  }
  return loopWorkspaceBytes;
}

namespace {
/// The loop `loop`, whose numbers begin at `base` of the sizes.
struct LoopChunks {
  const Program &program;
  const ChunkLoop &loop;
  size_t base;
  const int64_t allowed = allowedBytes();
  std::set<int32_t> tensors; ///< workspace that exists chunk by chunk

  LoopChunks(const Program &program, const ChunkLoop &loop, size_t base)
      : program(program), loop(loop), base(base) {
    for (int32_t i = 0; i < loop.numLaunches; ++i)
      for (const KernelArg &arg : program.launches[loop.firstLaunch + i].args)
        if (arg.kind == KernelArg::Kind::WorkspacePointer &&
            !program.workspaces[arg.index].first.empty())
          tensors.insert(arg.index);
  }

  static size_t firstOf(size_t base, size_t axis) { return base + 2 * axis; }
  static size_t countOf(size_t base, size_t axis) { return base + 2 * axis + 1; }

  /// Whether the tensors have at most as many bytes together as they may.
  bool fits(const ProgramSizes &sizes) const {
    int64_t total = 0;
    for (int32_t index : tensors) {
      int64_t bytes = dtypeSize(program.workspaces[index].dtype);
      bool isEmpty = false;
      for (const SizeFormula &axis : program.workspaces[index].axes) {
        std::optional<int64_t> size = evaluate(axis, sizes.spaces, sizes.params);
        isEmpty |= size && *size == 0;
        if (!size || *size < 0 || __builtin_mul_overflow(bytes, *size, &bytes))
          return false;
      }
      if (!isEmpty && __builtin_add_overflow(total, bytes, &total))
        return false;
    }
    return total <= allowed;
  }

  /// Cuts `axis`, whose one chunk has all of its indices so far, into at most `most` chunks, and
  /// says into how many.
  int64_t cut(size_t axis, int64_t most, ProgramSizes &sizes) const {
    int64_t &count = sizes.spaces[countOf(base, axis)];
    int64_t size = count, step = loop.axes[axis].step;
    auto roundUp = [&](int64_t n) { return (n + step - 1) / step * step; };
    auto chunksOf = [&](int64_t n) { return (size + n - 1) / n; };
    // In steps: the longest chunk that fits, or else the shortest one that may be.
    int64_t low = roundUp(chunksOf(most)) / step, high = roundUp(size) / step;
    while (low < high) {
      int64_t middle = high - (high - low) / 2;
      count = std::min(size, middle * step);
      if (fits(sizes))
        low = middle;
      else
        high = middle - 1;
    }
    // As many chunks of about one length.
    int64_t chunks = chunksOf(low * step);
    count = std::min(size, roundUp((size + chunks - 1) / chunks));
    return chunksOf(count);
  }
};
} // namespace

static Failure impossibleLoop(const Program &program) {
  return Failure::invalidArgument("`" + program.signature.name +
                                  "` goes over a number of indices that is negative or too large");
}

Failure attnc::chooseChunks(const Program &program, ProgramSizes &sizes) {
  for (const ChunkLoop &loop : program.loops) {
    LoopChunks chunks(program, loop, sizes.spaces.size());
    bool isEmpty = false;
    for (const ChunkAxis &axis : loop.axes) {
      std::optional<int64_t> size = evaluate(axis.size, sizes.spaces, sizes.params);
      if (!size || *size < 0 || *size > INT32_MAX)
        return impossibleLoop(program);
      isEmpty |= *size == 0;
      sizes.spaces.push_back(0);
      sizes.spaces.push_back(*size);
    }
    int64_t most = maxChunks;
    for (size_t axis = 0; !isEmpty && axis < loop.axes.size() && !chunks.fits(sizes); ++axis)
      most = std::max<int64_t>(1, most / chunks.cut(axis, most, sizes));
  }
  return Failure::success();
}

/// Runs the chunks of `loop` from `axis` on.
static Failure forEachChunk(const Program &program, const ChunkLoop &loop, size_t base, size_t axis,
                            ProgramSizes &sizes, const ProgramSizes &longest,
                            const std::function<Failure()> &run) {
  if (axis == loop.axes.size())
    return run();
  std::optional<int64_t> size = evaluate(loop.axes[axis].size, longest.spaces, longest.params);
  if (!size)
    return impossibleLoop(program);
  int64_t length = longest.spaces[LoopChunks::countOf(base, axis)];
  // An axis without indices has one chunk without any.
  for (int64_t first = 0; first < *size || first == 0; first += std::max<int64_t>(1, length)) {
    sizes.spaces[LoopChunks::firstOf(base, axis)] = first;
    sizes.spaces[LoopChunks::countOf(base, axis)] = std::min(length, *size - first);
    if (Failure failure = forEachChunk(program, loop, base, axis + 1, sizes, longest, run))
      return failure;
  }
  return Failure::success();
}

Failure attnc::forEachLaunch(const Program &program, ProgramSizes &sizes,
                             const std::function<Failure(size_t launch)> &run) {
  const ProgramSizes longest = sizes;
  size_t next = 0, base = program.signature.spaceNames.size();
  auto runTo = [&](size_t end) {
    for (; next < end; ++next)
      if (Failure failure = run(next))
        return failure;
    return Failure::success();
  };
  for (const ChunkLoop &loop : program.loops) {
    if (Failure failure = runTo(loop.firstLaunch))
      return failure;
    auto body = [&] {
      next = loop.firstLaunch;
      return runTo(loop.firstLaunch + loop.numLaunches);
    };
    Failure failure = forEachChunk(program, loop, base, 0, sizes, longest, body);
    sizes = longest;
    if (failure)
      return failure;
    base += 2 * loop.axes.size();
  }
  return runTo(program.launches.size());
}
