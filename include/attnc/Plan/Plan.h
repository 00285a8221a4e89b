// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The plan: how a variant is cut into kernels and tiles. It is decided here, stored as the
// `#tile.schedule` of the variant (so that a person or a tuner can edit it between phases), and
// read by convert-attn-to-tile and the passes that schedule loads. What a variant is compiled for
// (dtype, dims, constants) is no part of it: attn-specialize puts that into the variant.
#ifndef ATTNC_PLAN_PLAN_H
#define ATTNC_PLAN_PLAN_H

#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <map>
#include <optional>
#include <string>

namespace attnc {

/// What code is generated for.
struct Target {
  enum class Kind { Host, NVPTX };
  Kind kind = Kind::Host;
  /// "host", or an architecture as ptxas names it: "sm_80", "sm_90a".
  std::string name = "host";
  /// 80 for sm_80; 0 for the host.
  int computeCapability = 0;
  /// Shared memory that one thread block may use, in bytes.
  int64_t sharedMemoryLimit = 0;

  /// Whether four warps can multiply together (wgmma): an instruction of sm_90a alone.
  bool hasWarpgroupProducts() const { return name == "sm_90a"; }

  /// Parses "host", "sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a".
  static llvm::Expected<Target> parse(llvm::StringRef name);
};

/// What a variant is specialised for when it is compiled. Lengths, batch, heads and strides are not
/// here: they are launch-time values of one kernel.
struct CompileOptions {
  Target target;
  std::string dtype = "f16";                 ///< element type of Q, K, V and out: f32, f16, bf16
  int64_t headDim = 64;                      ///< size of index space d, 1..maxHeadDim
  int64_t vHeadDim = 0;                      ///< size of index space e; 0 = headDim
  std::map<std::string, double> constParams; ///< values of `const` parameters, by name
  int32_t vectorBytes = 16; ///< alignment in bytes of every row of Q, K, V, out and other inputs of
                            ///< their dtype: 16, 8, 4 or 2
  /// Steps that a recurrence takes at a time, where its form allows it (attn-chunk-recurrences):
  /// 16, a multiple of it, or less than that. 0: recurrences go step by step.
  int64_t chunk = 0;
  /// Whether stages may be computed together by one kernel (attn-form-kernels).
  bool shareKernels = true;
  /// Whether tiles of keys are listed where masks or sets look at tensors (attn-list-tiles).
  bool listTiles = true;
  /// Whether keys may be shared out where queries are few (attn-split-keys).
  bool splitKeys = true;
  // Overrides of the planner's choice; 0 = choose.
  int64_t tileQ = 0, tileKV = 0;
  int64_t stages = 0, numWarps = 0;
  /// Host: instructions that the code may use, as HostFeatures::parse reads them.
  std::string hostFeatures = "native";
  /// Host: whether these features multiply tiles of bf16 (see withHostFacts).
  bool hasMatrixUnit = false;
  /// Check the IR after each pass, and the contract of each phase. No part of the code.
  bool verify = false;
};

/// What is wrong with a number of steps for CompileOptions::chunk; empty if nothing is.
std::string checkChunk(int64_t chunk);

/// Most columns of Q, K and V.
inline constexpr int64_t maxHeadDim = 1024;

/// A type: the operand dtype that attn-specialize has put into the types of a variant.
inline constexpr llvm::StringLiteral operandDTypeAttr = "attn.operand_dtype";

/// A number of a stage: stages with the same one are computed by one kernel.
inline constexpr llvm::StringLiteral kernelAttr = "attn.kernel";

/// Heads that share keys, in a tile of a GPU whose rows are heads of one query.
inline constexpr int64_t kRowsOfHeads = 16;

/// What a kernel computes with, besides the variant's formulas.
struct Problem {
  std::string dtype; ///< element type of Q, K, V and out: f32, f16 or bf16
  int64_t headDim = 0, vHeadDim = 0;

  mlir::Type elementType(mlir::MLIRContext *context) const;
  int64_t elementBytes() const { return dtype == "f32" ? 4 : 2; }
};

/// What `variant` says about itself if it is specialised, else what the options say. Fails, with
/// what would work, on a dtype or dim that no code is generated for.
llvm::Expected<Problem> problemOf(attn::VariantOp variant, const CompileOptions &options);

/// The decisions for the kernels of a variant, with the problem that they are for. Those for stages
/// that are no attention see the warps and the target.
struct KernelPlan : Problem {
  Target target;
  int64_t tileQ = 0, tileKV = 0; ///< rows of a query tile, keys of a key tile
  int64_t stages = 1;            ///< key tiles in shared memory at once (GPU)
  int64_t numWarps = 4;          ///< warps of a thread block (GPU)
  int32_t vectorBytes = 16;
  std::string precision = "f32"; ///< products of f32 operands: f32 or tf32

  /// The decisions alone.
  tile::ScheduleAttr schedule(mlir::MLIRContext *context) const;
};

/// The precision that the variant's attend stages ask for, for products of f32 operands: "tf32" if
/// one does, else "f32".
std::string precisionOf(attn::VariantOp variant);

/// The plan that a variant has: its schedule, for what it is specialised for. Fails if it lacks one
/// of them, or if the tiles do not fit the variant on the target.
llvm::Expected<KernelPlan> planOf(attn::VariantOp variant);

/// Chooses a plan, whether or not all stages of the variant have a lowering. Fails, with what would
/// work, on an unsupported dtype or head dim, or if tiles do not fit on chip.
llvm::Expected<KernelPlan> planVariant(attn::VariantOp variant, const CompileOptions &options);

} // namespace attnc

#endif // ATTNC_PLAN_PLAN_H
