// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A warp-specialised GEMM of CUTLASS 3 for sm_90a with its own launch code: out[m][n] = sum of
// a[m][k] b[n][k]. The macros ELEMENT, SCHEDULE (of the main loop) and CLUSTER (blocks along m,
// which get B by multicast) choose which.
#include "cutlass/cutlass.h"
#include "cutlass/epilogue/collective/collective_builder.hpp"
#include "cutlass/gemm/collective/collective_builder.hpp"
#include "cutlass/gemm/device/gemm_universal_adapter.h"
#include "cutlass/gemm/kernel/gemm_universal.hpp"
#include "cutlass/util/packed_stride.hpp"

#include "problem.h"

using TileShape = cute::Shape<cute::_128, cute::_128, cute::_64>;
using ClusterShape = cute::Shape<cute::Int<CLUSTER>, cute::_1, cute::_1>;
using Schedule = cutlass::gemm::SCHEDULE;
constexpr bool cooperative =
    std::is_same_v<Schedule, cutlass::gemm::KernelTmaWarpSpecializedCooperative>;
using EpilogueSchedule =
    std::conditional_t<cooperative, cutlass::epilogue::TmaWarpSpecializedCooperative,
                       cutlass::epilogue::TmaWarpSpecialized>;
using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
    cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, TileShape, ClusterShape,
    cutlass::epilogue::collective::EpilogueTileAuto, float, float, void, cutlass::layout::RowMajor,
    4, float, cutlass::layout::RowMajor, 4, EpilogueSchedule>::CollectiveOp;
using MainLoop = typename cutlass::gemm::collective::CollectiveBuilder<
    cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, ELEMENT, cutlass::layout::RowMajor, 8,
    ELEMENT, cutlass::layout::ColumnMajor, 8, float, TileShape, ClusterShape,
    cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(
        sizeof(typename Epilogue::SharedStorage))>,
    Schedule>::CollectiveOp;
using Gemm = cutlass::gemm::device::GemmUniversalAdapter<
    cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, MainLoop, Epilogue>>;
using Kernel = Gemm::GemmKernel;

// The extents come as queries, keys and heads; the workspace as counters.
extern "C" const char *runProblem(const Problem *p) {
  int m = p->queries, n = p->keys, k = p->heads;
  auto strideA = cutlass::make_cute_packed_stride(typename Kernel::StrideA{}, {m, k, 1});
  auto strideB = cutlass::make_cute_packed_stride(typename Kernel::StrideB{}, {n, k, 1});
  auto strideD = cutlass::make_cute_packed_stride(typename Kernel::StrideD{}, {m, n, 1});
  cutlass::KernelHardwareInfo hardware;
  hardware.sm_count = 4; // fewer than there are tiles, so that the blocks go round
  typename Gemm::Arguments arguments{
      cutlass::gemm::GemmUniversalMode::kGemm,
      {m, n, k, 1},
      {reinterpret_cast<ELEMENT *>(p->q), strideA, reinterpret_cast<ELEMENT *>(p->k), strideB},
      {{1.0f, 0.0f}, nullptr, {}, reinterpret_cast<float *>(p->out), strideD},
      hardware};
  Gemm gemm;
  cutlass::Status status = gemm.can_implement(arguments);
  if (status == cutlass::Status::kSuccess)
    status = gemm.initialize(arguments, reinterpret_cast<void *>(p->counters));
  if (status == cutlass::Status::kSuccess)
    status = gemm.run();
  return status == cutlass::Status::kSuccess ? nullptr : cutlass::cutlassGetStatusString(status);
}
