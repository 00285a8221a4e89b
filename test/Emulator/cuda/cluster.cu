// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Multicast TMA loads for sm_90a: the two blocks of a cluster each load half of every tile and send it to
// both. A stage is full when both halves have come, and empty when the warps of both blocks have said so,
// to both. Each block sums the columns of all tiles; the blocks of odd rank count every row twice.
#include <stdint.h>

struct alignas(64) Map {
  char bytes[128];
};

constexpr int rows = 32, cols = 64, stages = 2;

__device__ uint32_t smem(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

__device__ void waitParity(uint32_t bar, uint32_t parity) {
  asm volatile("{\n.reg .pred p;\nWAIT:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], %1;\n@!p bra WAIT;\n}" ::"r"(bar), "r"(parity) : "memory");
}

extern "C" __global__ __launch_bounds__(160) __cluster_dims__(2, 1, 1) void multicastSums(const __grid_constant__ Map map, int tiles, float *out) {
  __shared__ __align__(128) float ring[stages][rows][cols];
  __shared__ __align__(8) uint64_t full[stages], empty[stages];
  int thread = threadIdx.x, x0 = blockIdx.x / 2 * cols;
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (thread == 0) {
    for (int s = 0; s < stages; ++s) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(smem(&full[s])));
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 8;" ::"r"(smem(&empty[s])));
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  asm volatile("barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait.acquire;" ::: "memory");
  if (thread == 128)
    for (int i = 0; i < tiles; ++i) {
      int s = i % stages;
      waitParity(smem(&empty[s]), (i / stages & 1) ^ 1);
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem(&full[s])), "r"(rows * cols * 4));
      asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::
                       "r"(smem(ring[s][rank * rows / 2])), "l"(&map), "r"(smem(&full[s])), "r"(x0), "r"(i * rows + (int)rank * rows / 2), "h"((uint16_t)3)
                   : "memory");
    }
  float sum = 0;
  for (int i = 0; i < tiles && thread < 128; ++i) {
    int s = i % stages;
    waitParity(smem(&full[s]), i / stages & 1);
    for (int r = thread / cols; r < rows; r += 128 / cols)
      sum += ring[s][r][thread % cols] * (1 + rank);
    __syncwarp();
    if (thread % 32 < 2) { // lane r tells the block of rank r
      uint32_t remote;
      asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(smem(&empty[s])), "r"(thread % 32));
      asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(remote) : "memory");
    }
  }
  if (thread < 128)
    atomicAdd(&out[blockIdx.x * cols + thread % cols], sum);
  // Nobody leaves while the other may still write into it.
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
