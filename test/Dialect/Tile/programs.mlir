// RUN: attnc-opt %s | attnc-opt | FileCheck %s
// RUN: attnc-opt %s --canonicalize --cse | FileCheck %s --check-prefix=CLEAN

tile.kernel @scale(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x", tile.may_alias},
                   %y: !tile.view<2xf32, unit> {tile.binding = "tensor:y", tile.may_alias},
                   %n: i32 {tile.binding = "size:n"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}

// An output that may be the input, and two workspace tensors.
// CHECK: tile.program "steps"(%{{.*}}: !tile.view<2xf32, unit> {tile.axes = ["n", "16"], tile.binding = "tensor:state"},
// CHECK-SAME: tile.may_alias = "state", tile.output}
// CHECK-SAME: attributes {note = "kept"} {
// CHECK: %[[ROWS:.*]] = arith.maxsi
// CHECK: %[[A:.*]] = tile.workspace "a"[%[[ROWS]], %{{.*}}] : <2xf32, unit>
// CHECK: tile.workspace "b"
// CHECK: tile.launch @scale(%{{.*}}, %[[A]], %{{.*}}, %{{.*}}) grid(%{{.*}}, %{{.*}}, %{{.*}}) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
// CHECK: tile.launch @scale(%[[A]]
// CHECK: tile.launch @scale
// Launches are kept in their order, and a workspace that none uses is not.
// CLEAN: tile.program
// CLEAN: %[[A:.*]] = tile.workspace "a"
// CLEAN-NOT: tile.workspace "b"
// CLEAN: tile.launch @scale(%{{.*}}, %[[A]],
// CLEAN-NEXT: tile.launch @scale(%[[A]],
// CLEAN-NEXT: tile.launch @scale(
tile.program "steps"(%state: !tile.view<2xf32, unit> {tile.binding = "tensor:state", tile.axes = ["n", "16"]},
                     %next: !tile.view<2xf32, unit> {tile.binding = "tensor:next", tile.axes = ["n", "16"], tile.output, tile.may_alias = "state"},
                     %n: i32 {tile.binding = "size:n"}, %f: f32 {tile.binding = "param:f"}) attributes {note = "kept"} {
  %one = arith.constant 1 : i32
  %columns = arith.constant 16 : i32
  %less = arith.subi %n, %one : i32
  %more = arith.addi %less, %columns : i32
  %twice = arith.muli %more, %columns : i32
  %half = arith.floordivsi %twice, %columns : i32
  %least = arith.minsi %half, %n : i32
  %rows = arith.maxsi %least, %columns : i32
  %tiles = arith.ceildivsi %rows, %columns : i32
  %a = tile.workspace "a"[%rows, %columns] : <2xf32, unit>
  %b = tile.workspace "b"[%rows, %columns] : <2xf32, unit>
  tile.launch @scale(%state, %a, %n, %f) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
  tile.launch @scale(%a, %next, %n, %f) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
  tile.launch @scale(%state, %next, %n, %f) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
}

// Spaces of computed sizes, and all of the arithmetic. What no launch needs goes, but for spaces: tensors
// may be over them.
// CHECK: tile.program "blocks"
// CHECK: %[[P:.*]] = tile.space "p" of %{{.*}} extent %{{.*}} stride %{{.*}} full
// CHECK: tile.space "c" of %[[P]] extent
// CHECK: tile.space "i" extent
// CLEAN: tile.program "blocks"
// CLEAN-NOT: math.ceil
// CLEAN: tile.space "p"
// CLEAN: tile.space "c"
// CLEAN: tile.space "i"
tile.program "blocks"(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n", "16"]},
                      %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out", tile.axes = ["p", "16"], tile.output},
                      %n: i32 {tile.binding = "size:n"}, %f: f32 {tile.binding = "param:f"}) {
  %one = arith.constant 1 : i32
  %three = arith.constant 3 : i32
  %half = arith.constant 0.5 : f64
  %wide = arith.extf %f : f32 to f64
  %product = arith.mulf %wide, %half : f64
  %sum = arith.addf %product, %half : f64
  %rest = arith.subf %sum, %product : f64
  %ratio = arith.divf %rest, %half : f64
  %least = arith.minnumf %ratio, %wide : f64
  %most = arith.maxnumf %least, %half : f64
  %atLeast = arith.maximumf %most, %half : f64
  %atMost = arith.minimumf %atLeast, %wide : f64
  %up = math.ceil %atMost : f64
  %down = math.floor %most : f64
  %less = arith.negf %down : f64
  %isLess = arith.cmpf olt, %less, %down : f64
  %isEven = arith.cmpi eq, %n, %three : i32
  %both = arith.andi %isLess, %isEven : i1
  %either = arith.ori %both, %isEven : i1
  %one_of = arith.xori %either, %both : i1
  %low = arith.andi %n, %three : i32
  %any = arith.ori %low, %one : i32
  %other = arith.xori %any, %n : i32
  %times = arith.shli %other, %three : i32
  %part = arith.shrsi %times, %one : i32
  %number = arith.extui %one_of : i1 to i32
  %real = arith.uitofp %one_of : i1 to f64
  %size = arith.sitofp %n : i32 to f64
  %stride = arith.fptosi %size : f64 to i32
  %narrow = arith.truncf %real : f64 to f32
  %extent = arith.select %one_of, %three, %one : i32
  %p = tile.space "p" of %n extent %three stride %extent full
  %c = tile.space "c" of %p extent %three
  %i = tile.space "i" extent %three
  %a = tile.workspace "a"[%p, %c] : <2xf32, unit>
  tile.launch @scale(%a, %out, %stride, %narrow) grid(%p, %i, %number) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
}

// CHECK: tile.chunks (%[[FIRST:.*]], %[[COUNT:.*]]) of %{{.*}} by 1, (%[[FIRST2:.*]], %[[COUNT2:.*]]) of %{{.*}} by 64 {
// CHECK: tile.workspace "part"[%[[COUNT]], %[[COUNT2]]] from[%[[FIRST]], %[[FIRST2]]] : <2xf32, unit>
// CHECK: tile.launch
tile.program "parts"(%out: !tile.view<2xf32, unit> {tile.binding = "tensor:out", tile.axes = ["n", "m"], tile.output}, %n: i32 {tile.binding = "size:n"},
                     %m: i32 {tile.binding = "size:m"}, %s: f32 {tile.binding = "param:s"}) {
  tile.chunks (%first, %count) of %n by 1, (%first2, %count2) of %m by 64 {
    %part = tile.workspace "part"[%count, %count2] from [%first, %first2] : <2xf32, unit>
    %points = arith.muli %count, %count2 : i32
    tile.launch @scale(%part, %out, %count, %s) grid(%points, %count, %count2) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32, f32
  }
}

// CHECK: tile.program "empty"() {
// CHECK-NEXT: }
tile.program "empty"() {
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
