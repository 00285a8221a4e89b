// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// C = A * B^T for sm_90a the way attention kernels are built: TMA loads with 128-byte swizzle into two
// stages, full and empty mbarriers between a producer warp and a consumer warpgroup, wgmma from shared
// memory (SS) or with A in registers (RS), setmaxnreg, and a TMA store of the result after a proxy
// fence. A is M x K, B is N x K, both bf16 and K-major; C is M x N in f32. Tiles: 64 x 64 x 64.
#include <cuda_bf16.h>
#include <stdint.h>

__device__ uint32_t smem(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

__device__ uint64_t descriptor(uint32_t address) {
  // K-major, 128-byte swizzle: eight rows of 128 bytes repeat every 1024.
  return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

__device__ void waitParity(uint32_t bar, uint32_t parity) {
  asm volatile("{\n.reg .pred p;\nLAB_WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra DONE;\nbra LAB_WAIT;\nDONE:\n}" ::"r"(bar), "r"(parity)
               : "memory");
}

__device__ void load2d(uint32_t dst, const void *map, int x, int y, uint32_t bar) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(dst), "l"(map), "r"(bar), "r"(x), "r"(y)
               : "memory");
}

template <bool RS> __device__ void gemm(const void *mapA, const void *mapB, const void *mapC, int k) {
  __shared__ __align__(1024) __nv_bfloat16 a[2][64 * 64];
  __shared__ __align__(1024) __nv_bfloat16 b[2][64 * 64];
  __shared__ __align__(1024) float c[2][64 * 32]; // two boxes of 32 columns
  __shared__ __align__(8) uint64_t full[2], empty[2];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, tiles = k / 64;
  const int row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; ++s) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(smem(&full[s])));
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 128;" ::"r"(smem(&empty[s])));
    }
    asm volatile("fence.mbarrier_init.release.cluster;");
  }
  __syncthreads();
  if (warp >= 4) { // producer warpgroup: one elected lane of one warp issues
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (warp == 4 && lane == 0)
      for (int j = 0; j < tiles; ++j) {
        int s = j & 1;
        waitParity(smem(&empty[s]), ((j >> 1) & 1) ^ 1);
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem(&full[s])), "r"(16384));
        load2d(smem(a[s]), mapA, j * 64, row0, smem(&full[s]));
        load2d(smem(b[s]), mapB, j * 64, col0, smem(&full[s]));
      }
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  float d[32];
  for (int i = 0; i < 32; ++i)
    d[i] = 0;
  for (int j = 0; j < tiles; ++j) {
    int s = j & 1;
    waitParity(smem(&full[s]), (j >> 1) & 1);
    uint32_t fragment[4][4];
    if (RS)
      for (int kk = 0; kk < 4; ++kk) {
        int r = warp * 16 + lane % 16, ch = (2 * kk + lane / 16) ^ (r & 7);
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fragment[kk][0]), "=r"(fragment[kk][1]), "=r"(fragment[kk][2]), "=r"(fragment[kk][3])
                     : "r"(smem(a[s]) + r * 128 + ch * 16));
      }
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int kk = 0; kk < 4; ++kk) {
      uint64_t da = descriptor(smem(a[s]) + kk * 32), db = descriptor(smem(b[s]) + kk * 32);
#define ACC                                                                                                          \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}"
#define OUT                                                                                                          \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), \
      "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), \
      "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
      "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      if (RS)
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " ACC ", {%32,%33,%34,%35}, %36, p, 1, 1, 0;\n}"
                     : OUT : "r"(fragment[kk][0]), "r"(fragment[kk][1]), "r"(fragment[kk][2]), "r"(fragment[kk][3]), "l"(db), "r"(j + kk));
      else
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " ACC ", %32, %33, p, 1, 1, 0, 0;\n}"
                     : OUT : "l"(da), "l"(db), "r"(j + kk));
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" : OUT::"memory");
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(smem(&empty[s])) : "memory");
  }
  for (int i = 0; i < 32; ++i) {
    int row = warp * 16 + lane / 4 + 8 * ((i >> 1) & 1), col = 8 * (i >> 2) + 2 * (lane % 4) + (i & 1);
    c[col / 32][row * 32 + col % 32] = d[i];
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  asm volatile("bar.sync 1, 128;" ::: "memory");
  if (threadIdx.x == 0) {
    for (int h = 0; h < 2; ++h)
      asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(mapC), "r"(smem(c[h])), "r"(col0 + 32 * h), "r"(row0) : "memory");
    asm volatile("cp.async.bulk.commit_group;");
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
  }
}

struct __align__(64) Map { char bytes[128]; };

extern "C" {
__global__ __launch_bounds__(256) void gemm_ss(const __grid_constant__ Map a, const __grid_constant__ Map b, const __grid_constant__ Map c, int k) {
  gemm<false>(&a, &b, &c, k);
}
__global__ __launch_bounds__(256) void gemm_rs(const __grid_constant__ Map a, const __grid_constant__ Map b, const __grid_constant__ Map c, int k) {
  gemm<true>(&a, &b, &c, k);
}
}
