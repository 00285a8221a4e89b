// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of several kernels as texts at phase `tile`, and their compilation.
#ifndef ATTNC_TEST_UNIT_PROGRAMS_TILEPROGRAMS_H
#define ATTNC_TEST_UNIT_PROGRAMS_TILEPROGRAMS_H

#include "attnc/JIT/Compiler.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

namespace attnc::testing {

/// f(x) of every element of a matrix of 16 columns, from `%x` to `%y`.
inline std::string kernel(const char *name, const char *body, const char *mark = "") {
  return llvm::formatv(R"(
tile.kernel @{0}(%x: !tile.view<2xf32, unit> {{tile.binding = "tensor:x"{2}},
                 %y: !tile.view<2xf32, unit> {{tile.binding = "tensor:y"{2}},
                 %n: i32 {{tile.binding = "size:n"}, %p: f32 {{tile.binding = "param:p"}) attributes {{
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32,
    tile.schedule = #tile.schedule<target = "sm_80", tile_q = 16, tile_kv = 16, stages = 2, warps = 1, vector_bytes = 16, precision = f32>} {{
  %zero = arith.constant 0 : i32
  %rows = arith.constant 16 : i32
  %i = tile.program_id 0
  %from = arith.muli %i, %rows : i32
  %a = tile.load %x[] rows 0 from %from to %n cols 16 : <2xf32, unit> -> <16x16xf32>
  %b = tile.map(%a) at(%zero, %zero) {{
  ^bb0(%e: f32, %row: i32, %col: i32):
    {1}
    tile.yield %f : f32
  } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
  tile.store %b, %y[] rows 0 from %from to %n cols 16 : <16x16xf32>, <2xf32, unit>
  tile.return
}
)",
                       name, body, mark);
}

inline const char *const kTensor =
    R"(!tile.view<2xf32, unit> {tile.axes = ["n", "16"], tile.binding = )";

/// The body of a program with these tensors; `n` rows, `tiles` of 16 of them, parameter `p`.
inline std::string program(const std::string &tensors, const std::string &body) {
  return "tile.program \"steps\"(" + tensors + R"(, %n: i32 {tile.binding = "size:n"},
                                                 %p: f32 {tile.binding = "param:p"}) {
  %one = arith.constant 1 : i32
  %columns = arith.constant 16 : i32
  %tiles = arith.ceildivsi %n, %columns : i32
)" + body +
         "}\n";
}

inline std::string launch(const char *name, const char *from, const char *to) {
  return llvm::formatv("  tile.launch @{0}({1}, {2}, %n, %p) grid(%tiles, %one, %one) : "
                       "!tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32\n",
                       name, from, to);
}

inline std::string workspace(const char *name) {
  return llvm::formatv("  %{0} = tile.workspace \"{0}\"[%n, %columns] : <2xf32, unit>\n", name);
}

/// out = ((x * x) + p)^2 by three kernels with two tensors between them; sum = x * x + p besides.
inline std::string threeKernels() {
  std::string tensors = "%x: " + std::string(kTensor) + "\"tensor:x\"}, %sum: " + kTensor +
                        "\"tensor:sum\", tile.output}, %out: " + kTensor +
                        "\"tensor:out\", tile.output}";
  return kernel("square", "%f = arith.mulf %e, %e : f32") +
         kernel("add", "%f = arith.addf %e, %p : f32") +
         program(tensors, workspace("a") + workspace("b") + workspace("unused") +
                              launch("square", "%x", "%a") + launch("add", "%a", "%b") +
                              launch("add", "%a", "%sum") + launch("square", "%b", "%out"));
}

/// next = (state + p)^2; next may be state.
inline std::string inPlace() {
  std::string tensors = "%state: " + std::string(kTensor) + "\"tensor:state\"}, %next: " + kTensor +
                        "\"tensor:next\", tile.may_alias = \"state\", tile.output}";
  return kernel("add", "%f = arith.addf %e, %p : f32", ", tile.may_alias") +
         kernel("square", "%f = arith.mulf %e, %e : f32") +
         program(tensors, workspace("w") + launch("add", "%state", "%next") +
                              launch("square", "%next", "%w") +
                              "  tile.launch @add(%w, %next, %n, %p) grid(%tiles, %one, %one) : "
                              "!tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32\n");
}

/// Of each third of the rows the first: out = x^2 over blocks, of the rows before `keep` * `p`, a
/// number of slots of their own. `%x` is read as if it had that many rows.
inline std::string overBlocks() {
  std::string tensors = "%x: " + std::string(kTensor) + "\"tensor:x\"}, %out: " +
                        "!tile.view<2xf32, unit> {tile.axes = [\"blocks\", \"16\"], tile.binding = "
                        "\"tensor:out\", tile.output}";
  return kernel("square", "%f = arith.mulf %e, %e : f32") +
         kernel("add", "%f = arith.addf %e, %p : f32") + program(tensors, R"(
  %third = arith.constant 3 : i32
  %ten = arith.constant 10.0 : f64
  %wide = arith.extf %p : f32 to f64
  %product = arith.mulf %wide, %ten : f64
  %up = math.ceil %product : f64
  %keep = arith.fptosi %up : f64 to i32
  %slots = tile.space "slots" extent %keep
  %blocks = tile.space "blocks" of %n extent %third
  %least = arith.minsi %slots, %blocks : i32
  %add = arith.truncf %up : f64 to f32
  %more = tile.space "more" of %blocks extent %one
  %a = tile.workspace "a"[%more, %columns] : <2xf32, unit>
  tile.launch @square(%x, %a, %blocks, %p) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
  tile.launch @add(%a, %out, %least, %add) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
)");
}

inline CompiledCode compileTiles(const std::string &text, const std::string &target) {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  EXPECT_TRUE(bool(module)) << text;
  CompileRequest request;
  request.options.target = llvm::cantFail(Target::parse(target));
  request.from = Phase::Tile;
  request.to = target == "host" ? Phase::Object : Phase::PTX;
  llvm::Expected<CompileResult> result = runPhases(*module, request);
  if (!result) {
    ADD_FAILURE() << llvm::toString(result.takeError());
    return {};
  }
  return llvm::cantFail(codeOf(std::move(*result), request.options.target));
}

inline std::vector<float> ramp(int64_t rows, float from) {
  std::vector<float> values(rows * 16);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = from + 0.125f * static_cast<float>(i % 97);
  return values;
}

} // namespace attnc::testing

#endif // ATTNC_TEST_UNIT_PROGRAMS_TILEPROGRAMS_H
