// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversion passes: each lowers one level to the next.
#ifndef ATTNC_CONVERSION_PASSES_TD
#define ATTNC_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertAttnToTile : Pass<"convert-attn-to-tile", "::mlir::ModuleOp"> {
  let summary = "lower planned variants to tile kernels";
  let description = [{
    Turns each `attn.variant` that is specialised and has a `#tile.schedule` into one `tile.kernel` that computes it
    with an online softmax over key tiles:

    - key tiles that no row attends to are not visited, and tiles that every row attends to entirely run
      in a loop without mask code; the loop bounds are the closed forms of the key range analysis;
    - the running maximum starts at a finite floor (-1e38), so that neither loop needs a test for rows
      that have not yet seen a key: exp2(-inf - floor) is 0;
    - with the default scale and no score region the scale is folded into the exponential:
      p = exp2(s * (scale * log2 e) - m * (scale * log2 e)), one fused multiply-add for each score.

    Numerics: scores and sums in f32; probabilities are rounded to the operand type before the second
    product. Scores below -1e38 count as -inf.
  }];
  let dependentDialects = ["::attnc::tile::TileDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def AttnFormKernels : Pass<"attn-form-kernels", "::mlir::ModuleOp"> {
  let summary = "decide which stages are computed by one kernel";
  let description = [{
    Gives each stage of a planned variant a number, `attn.kernel`; stages of one number are one kernel. A variant that has
    some keeps them, so that a hand-edited choice survives.

    Stages can be one kernel if they have independent axes in common along which each reads what another one computes at its own
    index: then a program of the kernel has a part of these axes, and computes one stage after the other for it, in
    loops over the other axes. On a GPU stages become one where all of their axes are common and their thread blocks are alike, on
    the host where an axis of rows is common; and not more of them than there should be code for in a kernel. On the host, an axis that
    is blocks of rows may also be the steps of a recurrence: a program then has all of them, and computes all stages for one after the
    other.

    ```mlir
    %keys = attn.compute(...) {...} {attn.kernel = 0 : i64} : !attn.tensor<[b, h, c, d], f32>
    %sums = attn.compute(...) {...} {attn.kernel = 0 : i64} : !attn.tensor<[b, h, c], f32>
    ```
  }];
}

def ConvertTileToNVVM : Pass<"convert-tile-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "lower scheduled tile kernels to LLVM functions with NVVM instructions";
  let description = [{
    Tiles become scalars for each thread as their linear layouts say; products become mma.sync with
    operands by ldmatrix, copies cp.async, row reductions butterfly shuffles. Loops stay `scf.for` and
    scalar arithmetic stays `arith` and `math`.

    Two i32 parameters follow those of the kernel: the first points of grid dimensions 1 and 2, which are
    added to the block's. A GPU takes at most 65535 blocks in each of them, and larger grids are launched
    in slices.

    Numerics: f32 products use tf32 matrix instructions, three for each product (relative error of an
    operand about 2^-22) or one when the precision is tf32.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect",
                           "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

def ExpandMathForPTX : Pass<"expand-math-for-ptx", "::mlir::ModuleOp"> {
  let summary = "express math functions by those that PTX has instructions for";
  let description = [{
    Not bit-exact: each function has the error stated in lib/Conversion/TileToNVVM/ExpandMathForPTX.cpp.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect"];
}

def ConvertSCFToBranches : Pass<"convert-scf-to-branches"> {
  let summary = "lower loops and conditions to blocks and branches";
  let description = [{
    What MLIR's `convert-scf-to-cf` does, with the same result, from the last op of a block to the first: the time is
    linear in the number of operations, where MLIR's grows with the number of conditions times what follows them.
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect"];
}

// Contract passes: see those of include/attnc/Transforms/Passes.td.

def NVVMVerifyLowered : Pass<"nvvm-verify-lowered", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of phase `nvvm`";
  let description = [{
    - N1: ops of `llvm`, `nvvm`, `arith`, `math` and `scf` only.
    - N2: no function that PTX has no instruction for, and no division of floats, which PTX would do slowly.
    - N3: no value of a type of `tile`.
  }];
}

def LLVMVerifyLowered : Pass<"llvm-verify-lowered", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of phase `llvm`";
  let description = [{
    - L1: ops of `llvm` and `nvvm` only, so no `builtin.unrealized_conversion_cast` either.
  }];
}

#endif // ATTNC_CONVERSION_PASSES_TD
