// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One instance of FlashAttention-2's kernels with its own launch code. The macros ELEMENT,
// HEAD_DIM, CAUSAL and FIXED_<name> for each of its run-time switches choose which; BACKWARD
// chooses the direction.
#include "namespace_config.h"
#include "static_switch.h"

#include <stdexcept>

// The launch code compiles both sides of every switch, hundreds of kernels; here only the side that
// is wanted.
#undef BOOL_SWITCH
#define BOOL_SWITCH(CONDITION, NAME, ...)                                                          \
  [&] {                                                                                            \
    constexpr static bool NAME = FIXED_##NAME;                                                     \
    if (static_cast<bool>(CONDITION) != NAME)                                                      \
      throw std::runtime_error("the problem needs another value of " #NAME);                       \
    return __VA_ARGS__();                                                                          \
  }()

#if BACKWARD
#include "flash_bwd_launch_template.h"
using Params = flash::Flash_bwd_params;
#else
#include "flash_fwd_launch_template.h"
using Params = flash::Flash_fwd_params;
#endif
#include "problem.h"

#include <ATen/cuda/PhiloxCudaState.h>

#include <cmath>
#include <new>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

namespace {

void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

Params paramsOf(const Problem &p) {
  Params params = {};
  auto rounded = [](int value, int multiple) {
    return (value + multiple - 1) / multiple * multiple;
  };
  params.q_ptr = pointer(p.q), params.k_ptr = pointer(p.k), params.v_ptr = pointer(p.v),
  params.o_ptr = pointer(p.out);
  params.h = p.heads, params.h_k = p.headsKV, params.h_h_k_ratio = p.heads / p.headsKV;
  params.q_head_stride = params.o_head_stride = params.k_head_stride = params.v_head_stride =
      HEAD_DIM;
  params.q_row_stride = params.o_row_stride = int64_t(p.heads) * HEAD_DIM;
  params.k_row_stride = params.v_row_stride = int64_t(p.headsKV) * HEAD_DIM;
  params.q_batch_stride = params.o_batch_stride = p.queries * params.q_row_stride;
  params.k_batch_stride = params.v_batch_stride = p.keys * params.k_row_stride;
  params.softmax_lse_ptr = pointer(p.lse);
  params.oaccum_ptr = pointer(p.outAccumulator),
  params.softmax_lseaccum_ptr = pointer(p.lseAccumulator);
  params.num_splits = p.splits;
  params.b = p.batch, params.seqlen_q = p.queries, params.seqlen_k = p.keys;
  params.seqlen_q_rounded = rounded(p.queries, 128), params.seqlen_k_rounded = rounded(p.keys, 128);
  params.d = HEAD_DIM, params.d_rounded = rounded(HEAD_DIM, 32);
  // With a soft cap the kernel computes softcap * tanh(s * scale / softcap).
  params.softcap = p.softcap > 0 ? p.scale / p.softcap : 0;
  params.scale_softmax = p.softcap > 0 ? p.softcap : p.scale;
  params.scale_softmax_log2 = params.scale_softmax * float(M_LOG2E);
  params.p_dropout = p.keep, params.rp_dropout = 1 / p.keep;
  params.p_dropout_in_uint8_t = uint8_t(std::floor(p.keep * 255.0));
  params.scale_softmax_rp_dropout = params.rp_dropout * params.scale_softmax;
  params.p_ptr = pointer(p.mask);
  params.rng_state = static_cast<uint64_t *>(pointer(p.counters));
  new (params.philox_args) at::PhiloxCudaState{0x1234567890abcdef, 17};
  params.window_size_left = p.windowLeft, params.window_size_right = p.windowRight;
  params.is_bf16 = std::is_same_v<ELEMENT, cutlass::bfloat16_t>;
  params.is_causal = CAUSAL;
  params.is_seqlens_k_cumulative = true;
  params.alibi_slopes_ptr = pointer(p.slopes);
#if BACKWARD
  params.do_ptr = pointer(p.dOut), params.dq_ptr = pointer(p.dq), params.dk_ptr = pointer(p.dk),
  params.dv_ptr = pointer(p.dv);
  params.do_head_stride = params.dq_head_stride = params.dk_head_stride = params.dv_head_stride =
      HEAD_DIM;
  params.do_row_stride = params.dq_row_stride = params.q_row_stride;
  params.do_batch_stride = params.dq_batch_stride = params.q_batch_stride;
  // Gradients of K and V are made for each head of Q, and summed by the caller.
  params.dk_row_stride = params.dv_row_stride = params.q_row_stride;
  params.dk_batch_stride = params.dv_batch_stride = p.keys * params.q_row_stride;
  params.dq_accum_ptr = pointer(p.dqAccumulator), params.dsoftmax_sum = pointer(p.delta);
#endif
  return params;
}

} // namespace

#if !BACKWARD
// Another source file of the original has this; a single split does not use it here.
template <>
void flash::run_mha_fwd_splitkv_align<ELEMENT, HEAD_DIM, CAUSAL>(Flash_fwd_params &, cudaStream_t) {
}
#endif

extern "C" const char *runProblem(const Problem *problem) {
  static std::string message;
  try {
    Params params = paramsOf(*problem);
#if BACKWARD
    flash::JOIN(run_mha_bwd_hdim, HEAD_DIM)<ELEMENT, CAUSAL>(params, nullptr);
#elif SPLIT
    flash::run_mha_fwd_splitkv_dispatch<ELEMENT, HEAD_DIM, CAUSAL>(params, nullptr);
#else
    flash::JOIN(run_mha_fwd_hdim, HEAD_DIM)<ELEMENT, CAUSAL>(params, nullptr);
#endif
    return nullptr;
  } catch (const std::exception &error) {
    message = error.what();
    return message.c_str();
  }
}
