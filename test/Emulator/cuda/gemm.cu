// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions and matrix products as textbooks write them, for cuda_kernels.py: sums by a tree in shared
// memory and by atomics, C = A * B with tiles in shared memory, and the same on tensor cores.
#include <cuda_bf16.h>

extern "C" {

__global__ void sharedSum(int n, const float *x, float *out) {
  __shared__ float part[256];
  float v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    v += x[i];
  part[threadIdx.x] = v;
  __syncthreads();
  for (int half = blockDim.x / 2; half; half /= 2) {
    if (threadIdx.x < half)
      part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0)
    out[blockIdx.x] = part[0];
}

__global__ void atomicSum(int n, const float *x, float *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n)
    atomicAdd(out, x[i]);
}

// A is m x k, B is k x n, all row-major, any size.
__global__ void tiledGemm(int m, int n, int k, const float *a, const float *b, float *c) {
  __shared__ float ta[16][16], tb[16][17];
  int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
  float sum = 0;
  for (int k0 = 0; k0 < k; k0 += 16) {
    ta[threadIdx.y][threadIdx.x] = row < m && k0 + threadIdx.x < k ? a[row * k + k0 + threadIdx.x] : 0;
    tb[threadIdx.y][threadIdx.x] = col < n && k0 + threadIdx.y < k ? b[(k0 + threadIdx.y) * n + col] : 0;
    __syncthreads();
    for (int i = 0; i < 16; ++i)
      sum += ta[threadIdx.y][i] * tb[i][threadIdx.x];
    __syncthreads();
  }
  if (row < m && col < n)
    c[row * n + col] = sum;
}

// C = A * B^T for bf16, m and n multiples of 64, k of 32: four warps, each 32 x 32 of a 64 x 64 tile, with
// two stages of cp.async, ldmatrix and m16n8k16.
__global__ __launch_bounds__(128) void tensorGemm(int n, int k, const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c) {
  __shared__ __align__(16) __nv_bfloat16 ta[2][64][40], tb[2][64][40]; // a pitch of 80 bytes spreads the banks
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
  auto fetch = [&](int stage, int k0) {
    for (int i = threadIdx.x; i < 64 * 4; i += 128) {
      int r = i / 4, chunk = i % 4 * 8;
      unsigned toA = __cvta_generic_to_shared(&ta[stage][r][chunk]), toB = __cvta_generic_to_shared(&tb[stage][r][chunk]);
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(toA), "l"(a + (row0 + r) * k + k0 + chunk));
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(toB), "l"(b + (col0 + r) * k + k0 + chunk));
    }
    asm volatile("cp.async.commit_group;");
  };
  float acc[2][4][4] = {};
  int wm = warp / 2 * 32, wn = warp % 2 * 32;
  fetch(0, 0);
  for (int k0 = 0; k0 < k; k0 += 32) {
    int stage = k0 / 32 % 2;
    if (k0 + 32 < k)
      fetch(stage ^ 1, k0 + 32);
    else
      asm volatile("cp.async.commit_group;");
    asm volatile("cp.async.wait_group 1;");
    __syncthreads();
    for (int kk = 0; kk < 32; kk += 16) {
      unsigned fa[2][4], fb[4][2];
      for (int i = 0; i < 2; ++i) {
        unsigned at = __cvta_generic_to_shared(&ta[stage][wm + 16 * i + lane % 16][kk + lane / 16 * 8]);
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fa[i][0]), "=r"(fa[i][1]), "=r"(fa[i][2]), "=r"(fa[i][3]) : "r"(at));
      }
      for (int j = 0; j < 4; ++j) {
        unsigned at = __cvta_generic_to_shared(&tb[stage][wn + 8 * j + lane % 8][kk + lane / 8 % 2 * 8]);
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(fb[j][0]), "=r"(fb[j][1]) : "r"(at));
      }
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j)
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                       : "+f"(acc[i][j][0]), "+f"(acc[i][j][1]), "+f"(acc[i][j][2]), "+f"(acc[i][j][3])
                       : "r"(fa[i][0]), "r"(fa[i][1]), "r"(fa[i][2]), "r"(fa[i][3]), "r"(fb[j][0]), "r"(fb[j][1]));
    }
    __syncthreads();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int e = 0; e < 4; ++e)
        c[(row0 + wm + 16 * i + lane / 4 + e / 2 * 8) * n + col0 + wn + 8 * j + lane % 4 * 2 + e % 2] = acc[i][j][e];
}
}
