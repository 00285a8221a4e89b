// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// One case for each way to break a constraint of a program; labels are those of the declarations.

// tile.program C1
// expected-error@below {{expects a view bound to `tensor:NAME`, i32 to `size:SPACE` or `param:NAME`, or f32 to `param:NAME`, found 'i32' bound to ``}}
tile.program "p"(%x: i32) {
}

// -----

// tile.program C1
// expected-error@below {{expects a view bound to `tensor:NAME`, i32 to `size:SPACE` or `param:NAME`, or f32 to `param:NAME`, found '!tile.view<1xf32, unit>' bound to `size:n`}}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "size:n"}) {
}

// -----

// tile.program C1
// expected-error@below {{expects a view bound to `tensor:NAME`, i32 to `size:SPACE` or `param:NAME`, or f32 to `param:NAME`, found 'f32' bound to `size:n`}}
tile.program "p"(%x: f32 {tile.binding = "size:n"}) {
}

// -----

// tile.program C1
// expected-error@below {{expects a view bound to `tensor:NAME`, i32 to `size:SPACE` or `param:NAME`, or f32 to `param:NAME`, found 'i32' bound to `size:`}}
tile.program "p"(%x: i32 {tile.binding = "size:"}) {
}

// -----

// tile.program C2
// expected-error@below {{expects one argument for each binding, found two for `size:n`}}
tile.program "p"(%n: i32 {tile.binding = "size:n"}, %m: i32 {tile.binding = "size:n"}) {
}

// -----

// tile.program C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  %a = tile.workspace "a"[%n] : <1xf32, unit>
  // expected-error@below {{expects a name of its own, found a second "a"}}
  %b = tile.workspace "a"[%n] : <1xf32, unit>
}

// -----

// tile.program C3
// expected-error@below {{expects `tile.axes` with 1 strings on the argument of tensor:x}}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n", "m"]}) {
}

// -----

// tile.program C3
// expected-error@below {{expects `tile.axes` with 1 strings on the argument of tensor:x}}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x"}) {
}

// -----

// tile.program C4
// expected-error@below {{expects `tile.may_alias` on an output, naming an input of its type, found "z" on argument 1}}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output, tile.may_alias = "z"}) {
}

// -----

// tile.program C4
// expected-error@below {{expects `tile.may_alias` on an output, naming an input of its type, found "y" on argument 0}}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"], tile.may_alias = "y"}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"]}) {
}

// -----

// tile.program C4
// expected-error@below {{expects `tile.may_alias` on an output, naming an input of its type, found "x" on argument 1}}
tile.program "p"(%x: !tile.view<1xf16, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output, tile.may_alias = "x"}) {
}

// -----

// tile.program C5
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{is no op of a program: expected tile.launch, tile.workspace, tile.chunks, tile.space and arithmetic of sizes}}
  %m = arith.shrui %n, %n : i32
}

// -----

// tile.program C5
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{is no op of a program}}
  %m = arith.cmpi ult, %n, %n : i32
}

// -----

// tile.program C5
tile.program "p"(%f: f32 {tile.binding = "param:f"}) {
  // expected-error@below {{is no op of a program}}
  %m = arith.cmpf ult, %f, %f : f32
}

// -----

// tile.program C5
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"]}) {
  %yes = arith.constant true
  // expected-error@below {{is no op of a program}}
  %z = arith.select %yes, %x, %y : !tile.view<1xf32, unit>
}

// -----

// tile.program C5
tile.program "p"(%n: i32 {tile.binding = "param:n"}) {
  // expected-error@below {{is no op of a program}}
  %m = arith.trunci %n : i32 to i16
}

// -----

// tile.program C6
tile.program "p"() {
  // expected-error@below {{expects scalars of i1, i32, i64, f32 or f64}}
  %n = arith.constant 1 : i16
}

// -----

// tile.space C1
tile.program "p"(%n: i32 {tile.binding = "param:n"}) {
  // expected-error@below {{expects blocks of an index space: the size of one behind `of`}}
  %p = tile.space "p" of %n extent %n
}

// -----

// tile.space C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects `stride` and `full` for blocks only, behind `of`}}
  %p = tile.space "p" extent %n stride %n
}

// -----

// tile.space C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects `stride` and `full` for blocks only, behind `of`}}
  %p = tile.space "p" extent %n full
}

// -----

// tile.space C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects `optional` without `of`}}
  %p = tile.space "p" of %n extent %n optional
}

// -----

// tile.program C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a name of its own, found a second "n"}}
  %p = tile.space "n" extent %n
}

// -----

// tile.workspace C1
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a view with a unit last stride and a size for each dimension, found 2 sizes for '!tile.view<1xf32, unit>'}}
  %a = tile.workspace "a"[%n, %n] : <1xf32, unit>
}

// -----

// tile.workspace C1
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a view with a unit last stride and a size for each dimension, found 1 sizes for '!tile.view<1xf32>'}}
  %a = tile.workspace "a"[%n] : <1xf32>
}

// -----

// tile.launch C1
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output}, %n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a tile.kernel of the module, found @k}}
  tile.launch @k(%x, %y, %n) grid(%n, %n, %n) : !tile.view<1xf32, unit>, !tile.view<1xf32, unit>, i32
}

// -----

// tile.launch C2
tile.kernel @k(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x"}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y"}, %n: i32 {tile.binding = "size:n"}) attributes {grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output}, %n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects operands of types}}
  tile.launch @k(%x, %n) grid(%n, %n, %n) : !tile.view<1xf32, unit>, i32
}

// -----

// tile.launch C3
tile.kernel @k(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x"}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y"}, %n: i32 {tile.binding = "size:n"}) attributes {grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output, tile.may_alias = "x"}, %n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects kernel @k to mark arguments 0 and 1 with `tile.may_alias`: they may be the same memory}}
  tile.launch @k(%x, %y, %n) grid(%n, %n, %n) : !tile.view<1xf32, unit>, !tile.view<1xf32, unit>, i32
}

// -----

// tile.launch C3
tile.kernel @k(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x"}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y"}, %n: i32 {tile.binding = "size:n"}) attributes {grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output, tile.may_alias = "x"}, %n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects kernel @k to mark arguments 0 and 1 with `tile.may_alias`: they may be the same memory}}
  tile.launch @k(%y, %x, %n) grid(%n, %n, %n) : !tile.view<1xf32, unit>, !tile.view<1xf32, unit>, i32
}

// -----

// tile.launch C3
tile.kernel @k(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x"}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y"}, %n: i32 {tile.binding = "size:n"}) attributes {grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}
tile.program "p"(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n"]}, %y: !tile.view<1xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n"], tile.output}, %n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects kernel @k to mark arguments 0 and 1 with `tile.may_alias`: they may be the same memory}}
  tile.launch @k(%y, %y, %n) grid(%n, %n, %n) : !tile.view<1xf32, unit>, !tile.view<1xf32, unit>, i32
}

// -----

// tile.workspace C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a number behind `from` for each dimension, found 1 for '!tile.view<2xf32, unit>'}}
  %a = tile.workspace "a"[%n, %n] from [%n] : <2xf32, unit>
}

// -----

// tile.chunks C1
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a step of at least 1 and two i32 arguments for each size, found 1 sizes, 1 steps and 2 arguments}}
  tile.chunks (%first, %count) of %n by 0 {
  }
}

// -----

// tile.chunks C1
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  // expected-error@below {{expects a step of at least 1 and two i32 arguments for each size, found 1 sizes, 2 steps and 1 arguments}}
  "tile.chunks"(%n) <{steps = array<i64: 1, 1>}> ({
  ^bb0(%first: i32):
    %c = arith.constant 0 : i32
  }) : (i32) -> ()
}

// -----

// tile.chunks C2
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  tile.chunks (%first, %count) of %n by 2 {
    // expected-error@below {{is no op of chunks: expected tile.launch, tile.workspace and arithmetic of sizes}}
    %c = arith.remsi %first, %count : i32
  }
}

// -----

// tile.chunks C3
tile.program "p"(%n: i32 {tile.binding = "size:n"}) {
  %a = tile.workspace "a"[%n] : <1xf32, unit>
  tile.chunks (%first, %count) of %n by 2 {
    // expected-error@below {{expects a name of its own, found a second "a"}}
    %b = tile.workspace "a"[%count] from [%first] : <1xf32, unit>
  }
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
