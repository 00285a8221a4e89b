// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the host back end.
#ifndef ATTNC_CONVERSION_TILETOVECTOR_PASSES_TD
#define ATTNC_CONVERSION_TILETOVECTOR_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertTileToVector : Pass<"convert-tile-to-vector", "::mlir::ModuleOp"> {
  let summary = "lowers tile kernels to loops over vectors for the host";
  let description = [{
    Replaces each `tile.kernel` by an `llvm.func` with the signature of `HostKernelFn`: argument slots,
    three program indices, scratch memory. Tiles become row-major buffers in the scratch memory; loops
    stay `scf.for`, arithmetic becomes `arith`, `math` and `llvm` ops on vectors of the CPU's width.

    - `tile.dot` becomes a register-blocked product over a right operand packed in panels; bf16 operands
      are packed in pairs for `vdpbf16ps` where the CPU has it, and f16 (elsewhere also bf16) tiles are
      held as f32 that has been rounded.
    - runs of `tile.map`, `tile.reduce`, `tile.cast` are fused over blocks of rows.
    - a `tile.map` whose only use is the accumulator of a dot is computed as the accumulator is loaded.

    The function's attribute `attnc.scratch_bytes` is the scratch memory of one program. The order of sums
    differs from the order of the columns, and `exp2`, `exp`, `log`, `log2`, `tanh` are polynomials (a few
    units in the last place of f32).

    Fails on the scheduled phase (buffers, tokens) and on ops that the host has no lowering for.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
  let options = [
    Option<"isa", "isa", "std::string", /*default=*/"\"native\"",
           "vector instructions: native, generic, avx2, avx512, avx512bf16, amx">];
  let statistics = [
    Statistic<"numDeferred", "deferred-maps", "maps computed as an accumulator is loaded">,
    Statistic<"numGroups", "row-groups", "fused groups of row operations">];
}

// Contract passes: see those of include/attnc/Transforms/Passes.td.

def HostVerifyLoops : Pass<"host-verify-loops", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of phase `vector-loops`";
  let description = [{
    - V1: ops of `llvm`, `arith`, `math` and `scf` only.
    - V2: no value of a type of `tile`.
    - V3: a function with a body is a kernel: of the type of `HostKernelFn`, with its scratch memory in `attnc.scratch_bytes`.
  }];
}

def HostVerifyLowered : Pass<"host-verify-lowered", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of the host's phase `llvm`";
  let description = [{
    - H1: ops of `llvm` only: no cast that is not resolved, nothing of a GPU.
    - H2: a function with a body is a kernel, as in phase `vector-loops`.
  }];
}

#endif // ATTNC_CONVERSION_TILETOVECTOR_PASSES_TD
