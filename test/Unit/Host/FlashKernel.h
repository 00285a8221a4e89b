// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Text of causal and full attention kernels at the tiled phase, in the form of
// test/Inputs/causal.tiled.mlir, for any element type, head dim and tile shape. For tests and
// benchmarks of the host back end.
#ifndef ATTNC_TEST_UNIT_HOST_FLASHKERNEL_H
#define ATTNC_TEST_UNIT_HOST_FLASHKERNEL_H

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace attnc::testing {

struct FlashKernelShape {
  std::string dtype = "f32"; ///< f32, f16, bf16
  int64_t headDim = 64, vHeadDim = 64;
  int64_t tileQ = 64, tileKV = 64;
  bool causal = true;
  /// Visit every key tile with the mask, and let the back end skip those in which it hides
  /// everything.
  bool skipHidden = false;
  int64_t pad = 16; ///< tile columns are the head dim rounded up to this

  int64_t dTile() const { return (headDim + pad - 1) / pad * pad; }
  int64_t eTile() const { return (vHeadDim + pad - 1) / pad * pad; }
};

/// Replaces each `$NAME` in `text`.
inline std::string substitute(std::string text,
                              const std::vector<std::pair<std::string, std::string>> &values) {
  for (const auto &[name, value] : values)
    for (size_t at; (at = text.find("$" + name)) != std::string::npos;)
      text.replace(at, name.size() + 1, value);
  return text;
}

inline std::string flashLoop(const char *result, const char *from, const char *to, const char *m,
                             const char *l, const char *o, bool masked) {
  std::string body = R"(
    $RES:3 = scf.for %kv0 = $FROM to $TO step %ckv iter_args(%m = $M0, %l = $L0, %o = $O0)
        -> (!row, !row, !out) : i32 {
      %k = tile.load %K[%b, %g] rows 2 from %kv0 to %size_kv cols $HD : !tile.view<4x$TY, unit> -> !key
      %s0 = tile.fill %zero : f32 -> !score
      %s = tile.dot %q, %k transposed, %s0 : !query, !key, !score -> !score
      $MASK
      %mt = tile.reduce max %x : !score -> !row
      %mn = tile.map(%m, %mt) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32):
        %y = arith.maxnumf %a, %e : f32
        tile.yield %y : f32
      } : (!row, !row) -> !row
      %alpha = tile.map(%m, %mn) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32):
        %d = arith.subf %a, %e : f32
        %sd = arith.mulf %d, %scale_log2e : f32
        %y = math.exp2 %sd : f32
        tile.yield %y : f32
      } : (!row, !row) -> !row
      %neg = tile.map(%mn) at(%row0, %c0) {
      ^bb0(%a: f32, %i: i32):
        %d = arith.mulf %a, %scale_log2e : f32
        %y = arith.negf %d : f32
        tile.yield %y : f32
      } : (!row) -> !row
      %p = tile.map(%x, %neg) at(%row0, %kv0) {
      ^bb0(%e: f32, %a: f32, %i: i32, %j: i32):
        %d = math.fma %e, %scale_log2e, %a : f32
        %y = math.exp2 %d : f32
        tile.yield %y : f32
      } : (!score, !row) -> !score
      %lt = tile.reduce sum %p : !score -> !row
      %ln = tile.map(%l, %alpha, %lt) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %t: f32, %i: i32):
        %y = math.fma %a, %e, %t : f32
        tile.yield %y : f32
      } : (!row, !row, !row) -> !row
      %or = tile.map(%o, %alpha) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32, %j: i32):
        %y = arith.mulf %a, %e : f32
        tile.yield %y : f32
      } : (!out, !row) -> !out
      %pc = tile.cast %p : !score -> !prob
      %v = tile.load %V[%b, %g] rows 2 from %kv0 to %size_kv cols $VD : !tile.view<4x$TY, unit> -> !value
      %on = tile.dot %pc, %v, %or : !prob, !value, !out -> !out
      scf.yield %mn, %ln, %on : !row, !row, !out
    }
)";
  const char *mask = masked ? R"(%x = tile.map(%s) at(%row0, %kv0) {
      ^bb0(%e: f32, %i: i32, %j: i32):
        %pos = arith.addi %i, %shift : i32
        %causal = arith.cmpi sle, %j, %pos : i32
        %inside = arith.cmpi slt, %j, %size_kv : i32
        %keep = arith.andi %causal, %inside : i1
        %masked = arith.select %keep, %e, %neg_inf : f32
        tile.yield %masked : f32
      } $SKIP : (!score) -> !score)"
                            : "%x = tile.cast %s : !score -> !score";
  return substitute(body, {{"RES", result},
                           {"FROM", from},
                           {"TO", to},
                           {"M0", m},
                           {"L0", l},
                           {"O0", o},
                           {"MASK", mask}});
}

/// A module with one kernel `@attend`: Q(b, h, q, d), K(b, g, kv, d), V(b, g, kv, e) -> out, lse.
inline std::string flashKernel(const FlashKernelShape &shape) {
  std::string n = "\n";
  std::string text = R"(
!query = !tile.tile<$TQx$DTx$TY>
!key = !tile.tile<$TKx$DTx$TY>
!value = !tile.tile<$TKx$ETx$TY>
!score = !tile.tile<$TQx$TKxf32>
!prob = !tile.tile<$TQx$TKx$TY>
!out = !tile.tile<$TQx$ETxf32>
!row = !tile.tile<$TQxf32>
module {
  tile.kernel @attend(
      %Q: !tile.view<4x$TY, unit> {tile.binding = "tensor:Q", tile.axes = ["b", "h", "q", "$HD"]},
      %K: !tile.view<4x$TY, unit> {tile.binding = "tensor:K", tile.axes = ["b", "g", "kv", "$HD"]},
      %V: !tile.view<4x$TY, unit> {tile.binding = "tensor:V", tile.axes = ["b", "g", "kv", "$VD"]},
      %out: !tile.view<4x$TY, unit> {tile.binding = "tensor:out", tile.axes = ["b", "h", "q", "$VD"], tile.output},
      %lse: !tile.view<3xf32> {tile.binding = "tensor:lse", tile.axes = ["b", "h", "q"], tile.output},
      %size_h: i32 {tile.binding = "size:h"}, %size_g: i32 {tile.binding = "size:g"},
      %size_q: i32 {tile.binding = "size:q"}, %size_kv: i32 {tile.binding = "size:kv"})
      attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: $TQ, 1, 1>, num_warps = 4 : i32} {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %cq = arith.constant $TQ : i32
    %ckv = arith.constant $TK : i32
    %floor = arith.constant -1.0e+38 : f32
    %zero = arith.constant 0.0 : f32
    %neg_inf = arith.constant 0xFF800000 : f32
    %ln2 = arith.constant 0.693147182 : f32
    %scale = arith.constant $SCALE : f32
    %log2e = arith.constant 1.44269504 : f32
    %scale_log2e = arith.mulf %scale, %log2e : f32
    %iq0 = tile.program_id 0
    %h = tile.program_id 1
    %b = tile.program_id 2
    %round = arith.addi %size_q, %cq : i32
    %round1 = arith.subi %round, %c1 : i32
    %tiles = arith.divui %round1, %cq : i32
    %last = arith.subi %tiles, %c1 : i32
    %iq = arith.subi %last, %iq0 : i32
    %group = arith.divsi %size_h, %size_g : i32
    %g = arith.divsi %h, %group : i32
    %row0 = arith.muli %iq, %cq : i32
    %shift = arith.subi %size_kv, %size_q : i32
    %q = tile.load %Q[%b, %h] rows 2 from %row0 to %size_q cols $HD : !tile.view<4x$TY, unit> -> !query
    %first0 = arith.addi %row0, %shift : i32
    %first = $FIRST
    %end0 = arith.addi %first, %cq : i32
    %end1 = arith.minsi %end0, %size_kv : i32
    %end = arith.maxsi $END, %c0 : i32
    %full0 = arith.addi %first, %c1 : i32
    %full1 = arith.minsi %full0, %size_kv : i32
    %full2 = arith.maxsi %full1, %c0 : i32
    %full3 = arith.divsi %full2, %ckv : i32
    %full = arith.muli %full3, $STEP : i32
    %m0 = tile.fill %floor : f32 -> !row
    %l0 = tile.fill %zero : f32 -> !row
    %o0 = tile.fill %zero : f32 -> !out
    $LOOP1
    $LOOP2
    %norm = tile.map(%r#1) at(%row0, %c0) {
    ^bb0(%a: f32, %i: i32):
      %one = arith.constant 1.0 : f32
      %any = arith.cmpf une, %a, %zero : f32
      %inv = arith.divf %one, %a : f32
      %y = arith.select %any, %inv, %zero : f32
      tile.yield %y : f32
    } : (!row) -> !row
    %res = tile.map(%r#2, %norm) at(%row0, %c0) {
    ^bb0(%a: f32, %n: f32, %i: i32, %j: i32):
      %y = arith.mulf %a, %n : f32
      tile.yield %y : f32
    } : (!out, !row) -> !out
    %ll = tile.map(%r#0, %r#1) at(%row0, %c0) {
    ^bb0(%a: f32, %s: f32, %i: i32):
      %lg = math.log2 %s : f32
      %ln = arith.mulf %lg, %ln2 : f32
      %y0 = math.fma %a, %scale, %ln : f32
      %any = arith.cmpf une, %s, %zero : f32
      %y = arith.select %any, %y0, %neg_inf : f32
      tile.yield %y : f32
    } : (!row, !row) -> !row
    tile.store %res, %out[%b, %h] rows 2 from %row0 to %size_q cols $VD : !out, !tile.view<4x$TY, unit>
    tile.store %ll, %lse[%b, %h] rows 2 from %row0 to %size_q cols 1 : !row, !tile.view<3xf32>
    tile.return
  }
}
)";
  char scale[64];
  std::snprintf(scale, sizeof scale, "%.9e", 1.0 / std::sqrt(double(shape.headDim)));
  // A full kernel sees the same two loops with a first row that attends to everything.
  const char *first =
      shape.causal ? "arith.addi %first0, %c0 : i32" : "arith.addi %size_kv, %c0 : i32";
  std::string loop2 = flashLoop("%r", "%full", "%end", "%f#0", "%f#1", "%f#2", true);
  if (!shape.causal)
    loop2 = substitute(loop2, {}),
    loop2.replace(loop2.find("arith.andi %causal, %inside"), 27, "arith.andi %inside, %inside");
  loop2 = substitute(loop2, {{"SKIP", shape.skipHidden ? "{tile.skip_hidden}" : ""}});
  return substitute(text, {{"END", shape.skipHidden ? "%size_kv" : "%end1"},
                           {"STEP", shape.skipHidden ? "%c0" : "%ckv"},
                           {"LOOP1", flashLoop("%f", "%c0", "%full", "%m0", "%l0", "%o0", false)},
                           {"LOOP2", loop2},
                           {"FIRST", first},
                           {"SCALE", scale},
                           {"TQ", std::to_string(shape.tileQ)},
                           {"TK", std::to_string(shape.tileKV)},
                           {"DT", std::to_string(shape.dTile())},
                           {"ET", std::to_string(shape.eTile())},
                           {"HD", std::to_string(shape.headDim)},
                           {"VD", std::to_string(shape.vHeadDim)},
                           {"TY", shape.dtype}});
}

} // namespace attnc::testing

#endif // ATTNC_TEST_UNIT_HOST_FLASHKERNEL_H
