// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small kernels that together touch most of what nvcc makes of plain CUDA C++: guarded accesses,
// divergence, loops with different trip counts per lane, shared memory with barriers, shuffles,
// votes, atomics, local arrays and integer division. AcceptanceTest.cpp checks them against plain C++.
extern "C" {

__global__ void saxpy(int n, float a, const float *__restrict__ x, float *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n)
    y[i] = a * x[i] + y[i];
}

__global__ void blockSum(int n, const float *x, float *out) {
  __shared__ float partial[32];
  float v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    v += x[i];
  for (int d = 16; d; d >>= 1)
    v += __shfl_xor_sync(~0u, v, d);
  if ((threadIdx.x & 31) == 0)
    partial[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0.0f;
    for (int d = 16; d; d >>= 1)
      v += __shfl_down_sync(~0u, v, d);
    if (threadIdx.x == 0)
      out[blockIdx.x] = v;
  }
}

__global__ void transpose(int rows, int cols, const float *in, float *out) {
  __shared__ float tile[32][33];
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (x < cols && y + j < rows)
      tile[threadIdx.y + j][threadIdx.x] = in[(y + j) * cols + x];
  __syncthreads();
  x = blockIdx.y * 32 + threadIdx.x;
  y = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (x < rows && y + j < cols)
      out[(y + j) * rows + x] = tile[threadIdx.x][threadIdx.y + j];
}

// Trip counts differ by lane, with a nested branch and a break.
__global__ void collatz(int n, unsigned *steps) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  unsigned long long v = i + 1;
  unsigned count = 0;
  while (v != 1) {
    if (v & 1)
      v = 3 * v + 1;
    else
      v /= 2;
    if (++count == 100)
      break;
  }
  steps[i] = count;
}

__global__ void histogram(int n, const unsigned char *x, unsigned *bins) {
  __shared__ unsigned local[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    local[i] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    atomicAdd(&local[x[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    atomicAdd(&bins[i], local[i]);
}

// A dynamically indexed array lives in local memory; switch and signed division add control flow.
__global__ void localArray(int n, const int *x, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  int a[8];
  for (int k = 0; k < 8; ++k)
    a[k] = x[i] * (k + 1);
  int v = a[x[i] & 7];
  switch (i % 5) {
  case 0: v += 1; break;
  case 1: v *= 3; break;
  case 2: v = v / 7; break;
  case 3: v = v % 11; break;
  default: v = -v;
  }
  out[i] = v + (int)__popc(__ballot_sync(__activemask(), v > 0)) * 0;
}
}
