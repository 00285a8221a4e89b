// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The attn dialect and the base class of its ops.
#ifndef ATTNC_DIALECTS_ATTN_ATTNDIALECT_TD
#define ATTNC_DIALECTS_ATTN_ATTNDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Attn_Dialect : Dialect {
  let name = "attn";
  let cppNamespace = "::attnc::attn";
  let summary = "what an attention variant means";
  let description = [{
    **Question answered:** what does this variant compute? **Level above:** the `.attn` source
    language. **Level below:** the `tile` dialect.

    A variant is a symbol whose body names its inputs and parameters and combines them with value
    semantics on tensors over *named index spaces* (`b` batch, `h` query head, `g` kv head, `q` query
    row, `kv` key, `d` key dim, `e` value dim). Scalar arithmetic is ordinary `arith` and `math` inside
    regions that are evaluated at each point of an index space.

    **Invariants.** No tiles, threads, memory spaces or targets. Integers are `i32` and mean positions,
    indices and counts; reals are `f32` and mean real numbers (the reference evaluates them in float64).
    Element type "operand" (written by leaving the type out) is the dtype that Q, K and V are bound to.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let extraClassDeclaration = "void registerAttributes(); void registerTypes();";
}

/// Base of every op. `examples` holds whole modules; tools/dev/run-examples extracts and runs them.
class Attn_Op<string mnemonic, list<Trait> traits = []> : Op<Attn_Dialect, mnemonic, traits> {
  list<string> examples = [];
}

/// The same for types and attributes.
class Attn_Type<string name> : TypeDef<Attn_Dialect, name> {
  list<string> examples = [];
}
class Attn_Attr<string name> : AttrDef<Attn_Dialect, name> {
  list<string> examples = [];
}

#endif // ATTNC_DIALECTS_ATTN_ATTNDIALECT_TD
