// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A causal forward kernel at the tiled phase, head dim 40, bottom-right alignment, written by hand: the
// form that convert-attn-to-tile produces and that both back ends consume. Keys before `%full` are
// attended to by every row of the tile, so the first loop has no mask.
module {
  tile.kernel @causal(
      %Q: !tile.view<4xf32, unit> {tile.binding = "tensor:Q"},
      %K: !tile.view<4xf32, unit> {tile.binding = "tensor:K"},
      %V: !tile.view<4xf32, unit> {tile.binding = "tensor:V"},
      %out: !tile.view<4xf32, unit> {tile.binding = "tensor:out"},
      %lse: !tile.view<3xf32> {tile.binding = "tensor:lse"},
      %size_h: i32 {tile.binding = "size:h"}, %size_g: i32 {tile.binding = "size:g"},
      %size_q: i32 {tile.binding = "size:q"}, %size_kv: i32 {tile.binding = "size:kv"})
      attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c32 = arith.constant 32 : i32
    %c64 = arith.constant 64 : i32
    %floor = arith.constant -1.0e+38 : f32
    %zero = arith.constant 0.0 : f32
    %neg_inf = arith.constant 0xFF800000 : f32
    %ln2 = arith.constant 0.693147182 : f32
    %scale_log2e = arith.constant 0.228110597 : f32
    %iq = tile.program_id 0
    %h = tile.program_id 1
    %b = tile.program_id 2
    %group = arith.divsi %size_h, %size_g : i32
    %g = arith.divsi %h, %group : i32
    %row0 = arith.muli %iq, %c64 : i32
    %shift = arith.subi %size_kv, %size_q : i32
    %q = tile.load %Q[%b, %h] rows 2 from %row0 to %size_q cols 40 : !tile.view<4xf32, unit> -> !tile.tile<64x48xf32>
    %first = arith.addi %row0, %shift : i32
    %end0 = arith.addi %first, %c64 : i32
    %end1 = arith.minsi %end0, %size_kv : i32
    %end = arith.maxsi %end1, %c0 : i32
    %full0 = arith.addi %first, %c1 : i32
    %full1 = arith.minsi %full0, %size_kv : i32
    %full2 = arith.maxsi %full1, %c0 : i32
    %full3 = arith.divsi %full2, %c32 : i32
    %full = arith.muli %full3, %c32 : i32
    %m0 = tile.fill %floor : f32 -> !tile.tile<64xf32>
    %l0 = tile.fill %zero : f32 -> !tile.tile<64xf32>
    %o0 = tile.fill %zero : f32 -> !tile.tile<64x48xf32>
    %f:3 = scf.for %kv0 = %c0 to %full step %c32 iter_args(%m = %m0, %l = %l0, %o = %o0)
        -> (!tile.tile<64xf32>, !tile.tile<64xf32>, !tile.tile<64x48xf32>) : i32 {
      %k = tile.load %K[%b, %g] rows 2 from %kv0 to %size_kv cols 40 : !tile.view<4xf32, unit> -> !tile.tile<32x48xf32>
      %s0 = tile.fill %zero : f32 -> !tile.tile<64x32xf32>
      %s = tile.dot %q, %k transposed, %s0 : !tile.tile<64x48xf32>, !tile.tile<32x48xf32>, !tile.tile<64x32xf32> -> !tile.tile<64x32xf32>
      %x = tile.map(%s) at(%row0, %kv0) {
      ^bb0(%e: f32, %i: i32, %j: i32):
        %y = arith.mulf %e, %scale_log2e : f32
        tile.yield %y : f32
      } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xf32>
      %mt = tile.reduce max %x : !tile.tile<64x32xf32> -> !tile.tile<64xf32>
      %mn = tile.map(%m, %mt) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32):
        %y = arith.maxnumf %a, %e : f32
        tile.yield %y : f32
      } : (!tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
      %alpha = tile.map(%m, %mn) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32):
        %d = arith.subf %a, %e : f32
        %y = math.exp2 %d : f32
        tile.yield %y : f32
      } : (!tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
      %p = tile.map(%x, %mn) at(%row0, %kv0) {
      ^bb0(%e: f32, %a: f32, %i: i32, %j: i32):
        %d = arith.subf %e, %a : f32
        %y = math.exp2 %d : f32
        tile.yield %y : f32
      } : (!tile.tile<64x32xf32>, !tile.tile<64xf32>) -> !tile.tile<64x32xf32>
      %lt = tile.reduce sum %p : !tile.tile<64x32xf32> -> !tile.tile<64xf32>
      %ln = tile.map(%l, %alpha, %lt) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %t: f32, %i: i32):
        %y0 = arith.mulf %a, %e : f32
        %y = arith.addf %y0, %t : f32
        tile.yield %y : f32
      } : (!tile.tile<64xf32>, !tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
      %or = tile.map(%o, %alpha) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32, %j: i32):
        %y = arith.mulf %a, %e : f32
        tile.yield %y : f32
      } : (!tile.tile<64x48xf32>, !tile.tile<64xf32>) -> !tile.tile<64x48xf32>
      %pc = tile.cast %p : !tile.tile<64x32xf32> -> !tile.tile<64x32xf32>
      %v = tile.load %V[%b, %g] rows 2 from %kv0 to %size_kv cols 40 : !tile.view<4xf32, unit> -> !tile.tile<32x48xf32>
      %on = tile.dot %pc, %v, %or : !tile.tile<64x32xf32>, !tile.tile<32x48xf32>, !tile.tile<64x48xf32> -> !tile.tile<64x48xf32>
      scf.yield %mn, %ln, %on : !tile.tile<64xf32>, !tile.tile<64xf32>, !tile.tile<64x48xf32>
    }
    %r:3 = scf.for %kv0 = %full to %end step %c32 iter_args(%m = %f#0, %l = %f#1, %o = %f#2)
        -> (!tile.tile<64xf32>, !tile.tile<64xf32>, !tile.tile<64x48xf32>) : i32 {
      %k = tile.load %K[%b, %g] rows 2 from %kv0 to %size_kv cols 40 : !tile.view<4xf32, unit> -> !tile.tile<32x48xf32>
      %s0 = tile.fill %zero : f32 -> !tile.tile<64x32xf32>
      %s = tile.dot %q, %k transposed, %s0 : !tile.tile<64x48xf32>, !tile.tile<32x48xf32>, !tile.tile<64x32xf32> -> !tile.tile<64x32xf32>
      %x = tile.map(%s) at(%row0, %kv0) {
      ^bb0(%e: f32, %i: i32, %j: i32):
        %y = arith.mulf %e, %scale_log2e : f32
        %pos = arith.addi %i, %shift : i32
        %causal = arith.cmpi sle, %j, %pos : i32
        %inside = arith.cmpi slt, %j, %size_kv : i32
        %keep = arith.andi %causal, %inside : i1
        %masked = arith.select %keep, %y, %neg_inf : f32
        tile.yield %masked : f32
      } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xf32>
      %mt = tile.reduce max %x : !tile.tile<64x32xf32> -> !tile.tile<64xf32>
      %mn = tile.map(%m, %mt) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32):
        %y = arith.maxnumf %a, %e : f32
        tile.yield %y : f32
      } : (!tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
      %alpha = tile.map(%m, %mn) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32):
        %d = arith.subf %a, %e : f32
        %y = math.exp2 %d : f32
        tile.yield %y : f32
      } : (!tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
      %p = tile.map(%x, %mn) at(%row0, %kv0) {
      ^bb0(%e: f32, %a: f32, %i: i32, %j: i32):
        %d = arith.subf %e, %a : f32
        %y = math.exp2 %d : f32
        tile.yield %y : f32
      } : (!tile.tile<64x32xf32>, !tile.tile<64xf32>) -> !tile.tile<64x32xf32>
      %lt = tile.reduce sum %p : !tile.tile<64x32xf32> -> !tile.tile<64xf32>
      %ln = tile.map(%l, %alpha, %lt) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %t: f32, %i: i32):
        %y0 = arith.mulf %a, %e : f32
        %y = arith.addf %y0, %t : f32
        tile.yield %y : f32
      } : (!tile.tile<64xf32>, !tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
      %or = tile.map(%o, %alpha) at(%row0, %c0) {
      ^bb0(%a: f32, %e: f32, %i: i32, %j: i32):
        %y = arith.mulf %a, %e : f32
        tile.yield %y : f32
      } : (!tile.tile<64x48xf32>, !tile.tile<64xf32>) -> !tile.tile<64x48xf32>
      %pc = tile.cast %p : !tile.tile<64x32xf32> -> !tile.tile<64x32xf32>
      %v = tile.load %V[%b, %g] rows 2 from %kv0 to %size_kv cols 40 : !tile.view<4xf32, unit> -> !tile.tile<32x48xf32>
      %on = tile.dot %pc, %v, %or : !tile.tile<64x32xf32>, !tile.tile<32x48xf32>, !tile.tile<64x48xf32> -> !tile.tile<64x48xf32>
      scf.yield %mn, %ln, %on : !tile.tile<64xf32>, !tile.tile<64xf32>, !tile.tile<64x48xf32>
    }
    %norm = tile.map(%r#1) at(%row0, %c0) {
    ^bb0(%a: f32, %i: i32):
      %one = arith.constant 1.0 : f32
      %any = arith.cmpf ogt, %a, %zero : f32
      %inv = arith.divf %one, %a : f32
      %y = arith.select %any, %inv, %zero : f32
      tile.yield %y : f32
    } : (!tile.tile<64xf32>) -> !tile.tile<64xf32>
    %res = tile.map(%r#2, %norm) at(%row0, %c0) {
    ^bb0(%a: f32, %n: f32, %i: i32, %j: i32):
      %y = arith.mulf %a, %n : f32
      tile.yield %y : f32
    } : (!tile.tile<64x48xf32>, !tile.tile<64xf32>) -> !tile.tile<64x48xf32>
    %ll = tile.map(%r#0, %r#1) at(%row0, %c0) {
    ^bb0(%a: f32, %s: f32, %i: i32):
      %lg = math.log2 %s : f32
      %sum = arith.addf %a, %lg : f32
      %y0 = arith.mulf %sum, %ln2 : f32
      %any = arith.cmpf ogt, %s, %zero : f32
      %y = arith.select %any, %y0, %neg_inf : f32
      tile.yield %y : f32
    } : (!tile.tile<64xf32>, !tile.tile<64xf32>) -> !tile.tile<64xf32>
    tile.store %res, %out[%b, %h] rows 2 from %row0 to %size_q cols 40 : !tile.tile<64x48xf32>, !tile.view<4xf32, unit>
    tile.store %ll, %lse[%b, %h] rows 2 from %row0 to %size_q cols 1 : !tile.tile<64xf32>, !tile.view<3xf32>
    tile.return
  }
}
