// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The arithmetic of wgmma for one warp: operands from chunks of sixteen bytes to rows of singles,
// and the product of its sixteen rows. Compiled once per instruction set; WgmmaOps.cpp has the
// semantics.
#include "Fragments.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

/// Sixteen bytes to singles.
[[gnu::always_inline]] inline void decodeChunk(const char *p, Type t, const float *byteTable,
                                               float *out) {
  if (t == Type::BF16 || t == Type::F16) {
    uint16_t in[8];
    __builtin_memcpy(in, p, 16);
    for (int i = 0; i < 8; ++i)
      out[i] = t == Type::BF16 ? toFloat(BFloat{in[i]}) : toFloat(Half{in[i]});
  } else if (t == Type::TF32) {
    uint32_t bits[4];
    __builtin_memcpy(bits, p, 16);
    for (int i = 0; i < 4; ++i)
      out[i] = bitcast<float>(bits[i] & 0xffffe000u);
  } else {
    for (int i = 0; i < 16; ++i)
      out[i] = byteTable[static_cast<unsigned char>(p[i])];
  }
}

#ifdef __AVX512BW__
typedef uint16_t Row8 __attribute__((vector_size(16)));
typedef uint16_t Row16 __attribute__((vector_size(32)));
typedef uint16_t Row32 __attribute__((vector_size(64)));
typedef float Float8 __attribute__((vector_size(32)));

#define UPTO8(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#define UPTO16(F) UPTO8(F), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#define UPTO32(F)                                                                                  \
  UPTO16(F), F(16), F(17), F(18), F(19), F(20), F(21), F(22), F(23), F(24), F(25), F(26), F(27),   \
      F(28), F(29), F(30), F(31)
#define SAME(I) I
/// Eight rows as one vector; inserting them, because a wide load after narrow stores stalls.
[[gnu::always_inline]] inline VecH gather(const char *base, const uint32_t *offsets) {
  Row8 r[8];
  for (int i = 0; i < 8; ++i)
    __builtin_memcpy(&r[i], base + offsets[i], 16);
  auto two = [](Row8 a, Row8 b) { return __builtin_shufflevector(a, b, UPTO16(SAME)); };
  auto four = [](Row16 a, Row16 b) { return __builtin_shufflevector(a, b, UPTO32(SAME)); };
  Row32 lo = four(two(r[0], r[1]), two(r[2], r[3])), hi = four(two(r[4], r[5]), two(r[6], r[7]));
#define HIGH(I) 32 + I
  return __builtin_shufflevector(lo, hi, UPTO32(SAME), UPTO32(HIGH));
}

/// One block of a 16-bit type.
template <class E, bool MnMajor, bool EvenOdd>
[[gnu::always_inline]] inline void decodeBlock16(const char *base, const uint32_t *offsets,
                                                 float *out, unsigned stride) {
  VecH h = gather(base, offsets);
  if constexpr (!MnMajor && EvenOdd)
    h = __builtin_shufflevector(h, h, ALL_K(ROW8_EVEN_ODD));
  else if constexpr (!MnMajor)
    h = __builtin_shufflevector(h, h, ALL_K(ROW8));
  else if constexpr (EvenOdd) {
#define EVEN_ODD(K)                                                                                \
  8 * K, 8 * K + 2, 8 * K + 4, 8 * K + 6, 8 * K + 1, 8 * K + 3, 8 * K + 5, 8 * K + 7
    h = __builtin_shufflevector(h, h, ALL_K(EVEN_ODD));
  }
  VecQ q[4];
  Wide<E>::convertAll(h, q, Wide<E>::convert);
  for (unsigned k = 0; k < 8; k += 2) {
    Float8 lo = __builtin_shufflevector(q[k / 2], q[k / 2], 0, 1, 2, 3, 4, 5, 6, 7),
           hi = __builtin_shufflevector(q[k / 2], q[k / 2], 8, 9, 10, 11, 12, 13, 14, 15);
    __builtin_memcpy(out + k * stride, &lo, 32);
    __builtin_memcpy(out + (k + 1) * stride, &hi, 32);
  }
}
/// `decodeOperand` for a 16-bit type.
template <class E, bool MnMajor, bool EvenOdd>
void decode16(const char *base, const uint32_t *offsets, unsigned count, unsigned k, float *out) {
  for (unsigned mn = 0; mn < count; mn += 8)
    for (unsigned kk = 0; kk < k; kk += 8, offsets += 8)
      decodeBlock16<E, MnMajor, EvenOdd>(base, offsets, out + kk * count + mn, count);
}
template <class E>
void decode16(const char *base, const uint32_t *offsets, bool mnMajor, bool evenOdd, unsigned count,
              unsigned k, float *out) {
  if (mnMajor)
    evenOdd ? decode16<E, true, true>(base, offsets, count, k, out)
            : decode16<E, true, false>(base, offsets, count, k, out);
  else
    evenOdd ? decode16<E, false, true>(base, offsets, count, k, out)
            : decode16<E, false, false>(base, offsets, count, k, out);
}
#endif

/// Eight columns, times Blocks: a chain of additions for each, enough of them to hide the latency.
template <unsigned Blocks>
[[gnu::always_inline]] inline void multiplyColumns(float *acc, const float (*rows)[32][32],
                                                   const float *b, unsigned k, unsigned n) {
  VecF c[Blocks][4];
  __builtin_memcpy(c, acc, sizeof c);
  for (unsigned kk = 0; kk < k; ++kk) {
    VecF lo, hi;
    __builtin_memcpy(&lo, rows[0][kk], sizeof lo);
    __builtin_memcpy(&hi, rows[1][kk], sizeof hi);
    for (unsigned i = 0; i < Blocks; ++i)
      for (unsigned p = 0; p < 2; ++p) {
        VecF column = broadcastRow(b + kk * n + 8 * i + 4 * p);
        c[i][p] = multiplyAdd(lo, column, c[i][p]);
        c[i][2 + p] = multiplyAdd(hi, column, c[i][2 + p]);
      }
  }
  __builtin_memcpy(acc, c, sizeof c);
}

} // namespace

/// An operand of `count` rows (m or n) to floats out[k][count]. It comes in blocks of eight chunks
/// at base + offsets, all k of eight rows after the other. A chunk holds consecutive k of one of
/// the eight rows, or (mnMajor, 16-bit types only) the eight rows of one k. evenOdd puts the even
/// ones of eight before the odd ones, as `multiplyWgmma` wants B. byteTable: the values of an 8-bit
/// type.
void decodeOperand(const char *base, const uint32_t *offsets, Type t, const float *byteTable,
                   bool mnMajor, bool evenOdd, unsigned count, unsigned k, float *out) {
#ifdef __AVX512BW__
  if (t == Type::F16)
    return decode16<F16Elem>(base, offsets, mnMajor, evenOdd, count, k, out);
  if (t == Type::BF16)
    return decode16<Bf16Elem>(base, offsets, mnMajor, evenOdd, count, k, out);
#endif
  unsigned perChunk = t == Type::F16 || t == Type::BF16 ? 8 : t == Type::TF32 ? 4 : 16;
  for (unsigned mn = 0; mn < count; mn += 8)
    for (unsigned kk = 0; kk < k; kk += mnMajor ? 8 : perChunk, offsets += 8)
      for (unsigned i = 0; i < 8; ++i) {
        float values[16];
        decodeChunk(base + offsets[i], t, byteTable, values);
        for (unsigned e = 0; e < perChunk; ++e) {
          unsigned row = mnMajor ? e : i;
          out[(kk + (mnMajor ? i : e)) * count + mn +
              (evenOdd ? (row & 1) * 4 + (row >> 1) : row)] = values[e];
        }
      }
}

/// acc[n/8][4][32] += A * B for the sixteen rows of a warp, in k order; a[k][16], b[k][n/8][2][4].
void multiplyWgmma(float *acc, const float *a, const float *b, unsigned k, unsigned n) {
  // A spread to lanes: lane (g, t) gets row g + 8h, for all four t.
  alignas(128) float rows[2][32][32];
  typedef float Rows __attribute__((vector_size(64)));
  for (unsigned kk = 0; kk < k; ++kk) {
    Rows column;
    __builtin_memcpy(&column, a + 16 * kk, sizeof column);
#define GROUP(I) I, I, I, I
    VecF lo = __builtin_shufflevector(column, column, GROUP(0), GROUP(1), GROUP(2), GROUP(3),
                                      GROUP(4), GROUP(5), GROUP(6), GROUP(7));
    VecF hi = __builtin_shufflevector(column, column, GROUP(8), GROUP(9), GROUP(10), GROUP(11),
                                      GROUP(12), GROUP(13), GROUP(14), GROUP(15));
    __builtin_memcpy(rows[0][kk], &lo, sizeof lo);
    __builtin_memcpy(rows[1][kk], &hi, sizeof hi);
  }
  unsigned j = 0;
  for (; j + 16 <= n; j += 16)
    multiplyColumns<2>(acc + j * 16, rows, b + j, k, n);
  if (j < n)
    multiplyColumns<1>(acc + j * 16, rows, b + j, k, n);
}

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu
