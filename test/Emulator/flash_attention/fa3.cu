// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One instance of FlashAttention-3's kernels for sm_90a with its own launch code, which encodes the
// tensor maps. The macros ELEMENT, HEAD_DIM, CAUSAL, LOCAL, SOFTCAP, PACK_GQA, GQA_HEADS and
// CLUSTER_PAIR choose which; BACKWARD the direction.
#include "cuda_check.h"
#include "cutlass/cutlass.h"
#include "static_switch.h"

#include <stdexcept>
#include <string>

// Failures end the process in the original.
#undef CHECK_CUDA
#undef CHECK_CUTLASS
#define CHECK_CUDA(CALL)                                                                           \
  do {                                                                                             \
    if (cudaError_t error = (CALL))                                                                \
      throw std::runtime_error(cudaGetErrorString(error));                                         \
  } while (0)
#define CHECK_CUTLASS(CALL)                                                                        \
  do {                                                                                             \
    if (cutlass::Status status = (CALL); status != cutlass::Status::kSuccess)                      \
      throw std::runtime_error(cutlass::cutlassGetStatusString(status));                           \
  } while (0)

// The launch code compiles both sides of every switch; here only the side that is wanted.
#define FIXED(NAME, CONDITION, VALUE, ...)                                                         \
  [&] {                                                                                            \
    constexpr static bool NAME = VALUE;                                                            \
    if (static_cast<bool>(CONDITION) != NAME)                                                      \
      throw std::runtime_error("the problem needs another value of " #NAME);                       \
    return __VA_ARGS__();                                                                          \
  }()
#undef BOOL_SWITCH
#undef CLUSTER_SWITCH
#undef CAUSAL_LOCAL_SWITCH
#define BOOL_SWITCH(CONDITION, NAME, ...) FIXED(NAME, CONDITION, FIXED_##NAME, __VA_ARGS__)
#define CLUSTER_SWITCH(CONDITION, NAME, ...)                                                       \
  FIXED(NAME, (CONDITION) && CLUSTER_PAIR, CLUSTER_PAIR, __VA_ARGS__)
#define CAUSAL_LOCAL_SWITCH(CAUSAL_CONDITION, LOCAL_CONDITION, CAUSAL_NAME, LOCAL_NAME, ...)       \
  [&] {                                                                                            \
    constexpr static bool CAUSAL_NAME = CAUSAL, LOCAL_NAME = LOCAL;                                \
    return __VA_ARGS__();                                                                          \
  }()
#define FIXED_Varlen false
#define FIXED_V_colmajor_ false
#define FIXED_HasQV_ false
#define FIXED_AppendKV false
#define FIXED_Deterministic_ false
#define FIXED_GQA GQA_HEADS

#if BACKWARD
#include "flash_bwd_launch_template.h"
using Params = Flash_bwd_params;
#else
#include "flash_fwd_launch_template.h"
using Params = Flash_fwd_params;
#endif
#include "problem.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

// Only called for sequences of different lengths, which no problem here has.
void prepare_varlen_num_blocks(Flash_fwd_params &, cudaStream_t, bool, int, int, bool) {}

namespace {

void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

Params paramsOf(const Problem &p) {
  Params params = {};
  auto rounded = [](int value, int multiple) {
    return (value + multiple - 1) / multiple * multiple;
  };
  params.q_ptr = pointer(p.q), params.k_ptr = pointer(p.k), params.v_ptr = pointer(p.v),
  params.o_ptr = pointer(p.out);
  params.h = p.heads, params.h_k = p.headsKV;
  params.q_head_stride = params.o_head_stride = params.k_head_stride = params.v_head_stride =
      HEAD_DIM;
  params.q_row_stride = params.o_row_stride = int64_t(p.heads) * HEAD_DIM;
  params.k_row_stride = params.v_row_stride = int64_t(p.headsKV) * HEAD_DIM;
  params.q_batch_stride = params.o_batch_stride = p.queries * params.q_row_stride;
  params.k_batch_stride = params.v_batch_stride = p.keys * params.k_row_stride;
  params.v_dim_stride = 1;
  params.softmax_lse_ptr = pointer(p.lse);
  params.num_splits = 1;
  params.b = params.b_k = p.batch, params.seqlen_q = p.queries, params.seqlen_k = p.keys;
  params.seqlen_q_rounded = rounded(p.queries, 128), params.seqlen_k_rounded = rounded(p.keys, 128);
  params.total_q = p.batch * p.queries, params.total_k = p.batch * p.keys;
  params.d = params.dv = params.d_rounded = params.dv_rounded = HEAD_DIM;
  params.softcap = p.softcap, params.scale_softmax = p.scale;
  params.p_dropout = params.rp_dropout = 1, params.p_dropout_in_uint8_t = 255;
  params.is_causal = CAUSAL, params.is_local = LOCAL;
  // Without a window the kernel wants the lengths, less one.
  params.window_size_left = LOCAL ? p.windowLeft : p.keys - 1;
  params.window_size_right = CAUSAL ? 0 : LOCAL ? p.windowRight : p.queries - 1;
  params.is_bf16 = std::is_same_v<ELEMENT, cutlass::bfloat16_t>;
  params.tile_count_semaphore = static_cast<int *>(pointer(p.counters));
  params.arch = 90;
  params.num_sm = 2; // fewer than there are tiles, so that the persistent schedulers go round
#if BACKWARD
  params.do_ptr = pointer(p.dOut), params.dq_ptr = pointer(p.dq), params.dk_ptr = pointer(p.dk),
  params.dv_ptr = pointer(p.dv);
  params.do_head_stride = params.dq_head_stride = params.dk_head_stride = params.dv_head_stride =
      HEAD_DIM;
  params.do_row_stride = params.dq_row_stride = params.q_row_stride;
  params.do_batch_stride = params.dq_batch_stride = params.q_batch_stride;
  params.dk_row_stride = params.dv_row_stride = params.k_row_stride;
  params.dk_batch_stride = params.dv_batch_stride = params.k_batch_stride;
  params.dq_accum_ptr = pointer(p.dqAccumulator), params.dsoftmax_sum = pointer(p.delta);
  params.softmax_lse_log2_ptr = pointer(p.lseLog2);
#endif
  return params;
}

} // namespace

extern "C" const char *runProblem(const Problem *problem) {
  static std::string message;
  try {
    Params params = paramsOf(*problem);
#if BACKWARD
    JOIN(run_mha_bwd_hdim, HEAD_DIM)<90, ELEMENT, SOFTCAP>(params, nullptr);
#else
    run_mha_fwd_<90, ELEMENT, HEAD_DIM, HEAD_DIM, false, false, SOFTCAP, PACK_GQA>(params, nullptr);
#endif
    return nullptr;
  } catch (const std::exception &error) {
    message = error.what();
    return message.c_str();
  }
}
