// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A pipeline of TMA loads for sm_90a: one thread keeps a ring of tiles full, a warpgroup consumes them,
// full and empty mbarriers in between. Each block sums the columns of its rows. Rows and columns beyond
// the tensor arrive as zeros.
#include <stdint.h>

struct alignas(64) Map {
  char bytes[128];
};

constexpr int rows = 32, cols = 64, stages = 3;

__device__ uint32_t smem(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

__device__ void waitParity(uint32_t bar, uint32_t parity) {
  asm volatile("{\n.reg .pred p;\nWAIT:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra WAIT;\n}" ::"r"(bar), "r"(parity) : "memory");
}

extern "C" __global__ __launch_bounds__(160) void tmaColumnSums(const __grid_constant__ Map map, int tiles, int width, float *out) {
  __shared__ __align__(128) float ring[stages][rows][cols];
  __shared__ __align__(8) uint64_t full[stages], empty[stages];
  int thread = threadIdx.x, x0 = blockIdx.x * cols, y0 = blockIdx.y * tiles * rows;
  if (thread == 0) {
    for (int s = 0; s < stages; ++s) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(smem(&full[s])));
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 128;" ::"r"(smem(&empty[s])));
    }
    asm volatile("fence.mbarrier_init.release.cluster;");
  }
  __syncthreads();
  if (thread >= 128) {
    if (thread == 128)
      for (int i = 0; i < tiles; ++i) {
        int s = i % stages;
        waitParity(smem(&empty[s]), (i / stages & 1) ^ 1);
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem(&full[s])), "r"(rows * cols * 4));
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(smem(ring[s])),
                     "l"(&map), "r"(smem(&full[s])), "r"(x0), "r"(y0 + i * rows)
                     : "memory");
      }
    return;
  }
  float sum = 0;
  for (int i = 0; i < tiles; ++i) {
    int s = i % stages;
    waitParity(smem(&full[s]), i / stages & 1);
    for (int r = thread / cols; r < rows; r += 128 / cols)
      sum += ring[s][r][thread % cols];
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(smem(&empty[s])) : "memory");
  }
  if (x0 + thread % cols < width)
    atomicAdd(&out[blockIdx.y * width + x0 + thread % cols], sum);
}
