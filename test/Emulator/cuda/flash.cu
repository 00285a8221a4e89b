// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A flash-attention forward written by hand for sm_80, the acceptance test of the emulator: mma.sync
// m16n8k16, ldmatrix with and without .trans, cp.async with two stages, XOR swizzle, online softmax
// with exp2. One thread block of four warps handles 64 queries of one head; keys come in tiles of 64.
// Any sequence length: rows beyond it are zero-filled by cp.async's source size and masked.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <class T> __device__ unsigned pack(float lo, float hi);
template <> __device__ unsigned pack<__nv_bfloat16>(float lo, float hi) {
  __nv_bfloat162 v = __floats2bfloat162_rn(lo, hi);
  return *reinterpret_cast<unsigned *>(&v);
}
template <> __device__ unsigned pack<__half>(float lo, float hi) {
  __half2 v = __floats2half2_rn(lo, hi);
  return *reinterpret_cast<unsigned *>(&v);
}

template <class T> __device__ void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
template <> __device__ void mma<__nv_bfloat16>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <> __device__ void mma<__half>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ void ldsm(unsigned (&r)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}
__device__ void ldsmT(unsigned (&r)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

// Byte offset of the 16-byte chunk `c` of row `r` in a tile with D 16-bit columns; the XOR spreads
// the rows of a column over the banks.
template <int D> __device__ unsigned chunk(int r, int c) { return (r * (D / 8) + (c ^ (r & 7))) * 16; }

template <class T, int D> __device__ void copyTile(unsigned smem, const T *g, int row0, int rows) {
#ifdef ASSUME_BLOCK // no code for threads that do not exist: mutants of it would tell nothing
  __builtin_assume(threadIdx.x < 128);
#endif
  for (int i = threadIdx.x; i < 64 * (D / 8); i += 128) {
    int r = i / (D / 8), c = i % (D / 8);
    int inside = row0 + r < rows ? 16 : 0;
    const T *src = g + (long)(inside ? row0 + r : 0) * D + c * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(smem + chunk<D>(r, c)), "l"(src), "r"(inside));
  }
}

template <class T, int D>
__device__ void attention(const T *Q, const T *K, const T *V, T *O, int n, float scale, int causal) {
  extern __shared__ __align__(128) char smem[];
  const unsigned base = (unsigned)__cvta_generic_to_shared(smem), tile = 64 * D * 2;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const long head = (long)blockIdx.y * n * D;
  const int q0 = blockIdx.x * 64;
  Q += head, K += head, V += head, O += head;

  copyTile<T, D>(base, Q, q0, n);
  copyTile<T, D>(base + tile, K, 0, n);
  copyTile<T, D>(base + 2 * tile, V, 0, n);
  asm volatile("cp.async.commit_group;");

  float o[D / 8][4] = {}, m[2] = {-1e30f, -1e30f}, l[2] = {0, 0};
  const int tiles = causal ? min((n + 63) / 64, q0 / 64 + 1) : (n + 63) / 64;
  unsigned q[D / 16][4];
  for (int j = 0; j < tiles; ++j) {
    const unsigned ks = base + tile * (1 + 2 * (j & 1)), vs = ks + tile;
    if (j + 1 < tiles) {
      const unsigned next = base + tile * (1 + 2 * ((j + 1) & 1));
      copyTile<T, D>(next, K, (j + 1) * 64, n);
      copyTile<T, D>(next + tile, V, (j + 1) * 64, n);
      asm volatile("cp.async.commit_group;");
      asm volatile("cp.async.wait_group 1;");
    } else {
      asm volatile("cp.async.wait_group 0;");
    }
    __syncthreads();
    if (j == 0)
      for (int k = 0; k < D / 16; ++k)
        ldsm(q[k], base + chunk<D>(warp * 16 + lane % 16, 2 * k + lane / 16));
    float s[8][4] = {};
    for (int k = 0; k < D / 16; ++k)
      for (int c = 0; c < 4; ++c) { // 16 keys at a time
        unsigned b[4];
        ldsm(b, ks + chunk<D>(c * 16 + lane % 8 + (lane / 16) * 8, 2 * k + (lane / 8) % 2));
        mma<T>(s[2 * c], q[k], b[0], b[1]);
        mma<T>(s[2 * c + 1], q[k], b[2], b[3]);
      }
    float mx[2] = {m[0], m[1]};
    for (int c = 0; c < 8; ++c)
      for (int e = 0; e < 4; ++e) {
        int key = j * 64 + c * 8 + 2 * t + (e & 1), query = q0 + warp * 16 + g + 8 * (e >> 1);
        bool ok = key < n && (!causal || key <= query);
        s[c][e] = ok ? s[c][e] * scale : -1e30f;
        mx[e >> 1] = fmaxf(mx[e >> 1], s[c][e]);
      }
    float alpha[2];
    for (int h = 0; h < 2; ++h) {
      mx[h] = fmaxf(mx[h], __shfl_xor_sync(~0u, mx[h], 1));
      mx[h] = fmaxf(mx[h], __shfl_xor_sync(~0u, mx[h], 2));
      alpha[h] = exp2f(m[h] - mx[h]);
      m[h] = mx[h];
      l[h] *= alpha[h];
    }
    for (int c = 0; c < D / 8; ++c)
      for (int e = 0; e < 4; ++e)
        o[c][e] *= alpha[e >> 1];
    for (int c = 0; c < 8; ++c)
      for (int e = 0; e < 4; ++e) {
        s[c][e] = exp2f(s[c][e] - m[e >> 1]);
        l[e >> 1] += s[c][e];
      }
    for (int k = 0; k < 4; ++k) {
      unsigned p[4] = {pack<T>(s[2 * k][0], s[2 * k][1]), pack<T>(s[2 * k][2], s[2 * k][3]),
                       pack<T>(s[2 * k + 1][0], s[2 * k + 1][1]), pack<T>(s[2 * k + 1][2], s[2 * k + 1][3])};
      for (int c = 0; c < D / 16; ++c) {
        unsigned b[4];
        ldsmT(b, vs + chunk<D>(k * 16 + lane % 16, 2 * c + lane / 16));
        mma<T>(o[2 * c], p, b[0], b[1]);
        mma<T>(o[2 * c + 1], p, b[2], b[3]);
      }
    }
    __syncthreads(); // the next iteration overwrites this stage
  }
  for (int h = 0; h < 2; ++h) {
    l[h] += __shfl_xor_sync(~0u, l[h], 1);
    l[h] += __shfl_xor_sync(~0u, l[h], 2);
    int row = q0 + warp * 16 + g + 8 * h;
    if (row < n)
      for (int c = 0; c < D / 8; ++c)
        *reinterpret_cast<unsigned *>(O + (long)row * D + c * 8 + 2 * t) =
            pack<T>(o[c][2 * h] / l[h], o[c][2 * h + 1] / l[h]);
  }
}

extern "C" {
__global__ __launch_bounds__(128) void flash_bf16_64(const __nv_bfloat16 *Q, const __nv_bfloat16 *K, const __nv_bfloat16 *V,
                                                     __nv_bfloat16 *O, int n, float scale, int causal) {
  attention<__nv_bfloat16, 64>(Q, K, V, O, n, scale, causal);
}
__global__ __launch_bounds__(128) void flash_f16_128(const __half *Q, const __half *K, const __half *V, __half *O, int n,
                                                     float scale, int causal) {
  attention<__half, 128>(Q, K, V, O, n, scale, causal);
}
}
