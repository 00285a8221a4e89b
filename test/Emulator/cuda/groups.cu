// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Cooperative groups within a warp, where lanes with different masks meet in one instruction: tiles
// of sixteen, lanes with a common label, and those that a branch has led to the same place. CUB's
// radix sort of a block adds masks and bit fields that nothing else here uses.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cub/block/block_radix_sort.cuh>

namespace cg = cooperative_groups;

/// Sum and prefix sum over sixteen threads, and how many of them have the same x modulo 4.
extern "C" __global__ void tilesOfSixteen(const int *x, int *sum, int *prefix, int *alike) {
  auto tile = cg::tiled_partition<16>(cg::this_thread_block());
  int v = x[threadIdx.x];
  sum[threadIdx.x] = cg::reduce(tile, v, cg::plus<int>());
  prefix[threadIdx.x] = cg::inclusive_scan(tile, v);
  alike[threadIdx.x] = cg::labeled_partition(tile, v & 3).size();
}

/// The greatest odd x of the warp, for the threads that have an odd one; 0 for the others.
extern "C" __global__ void greatestOdd(const int *x, int *out) {
  int v = x[threadIdx.x], greatest = 0;
  if (v & 1)
    greatest = cg::reduce(cg::coalesced_threads(), v, cg::greater<int>());
  out[threadIdx.x] = greatest;
}

/// 512 keys in the order of their values, by 128 threads.
extern "C" __global__ void sortedKeys(const unsigned *x, unsigned *out) {
  using Sort = cub::BlockRadixSort<unsigned, 128, 4>;
  __shared__ Sort::TempStorage storage;
  unsigned keys[4];
  for (int i = 0; i < 4; ++i)
    keys[i] = x[4 * threadIdx.x + i];
  Sort(storage).Sort(keys);
  for (int i = 0; i < 4; ++i)
    out[4 * threadIdx.x + i] = keys[i];
}
