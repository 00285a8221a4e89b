// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f16 head-dim=64},attn-plan{target=sm_80},attn-list-tiles)' | FileCheck %s
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f16 head-dim=64},attn-plan{target=sm_80},attn-list-tiles,attn-list-tiles)' | FileCheck %s
// RUN: not attnc-opt %s --attn-list-tiles 2>&1 | FileCheck %s --check-prefix=NONE
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lists of the tiles of keys that tiles of rows visit, where a mask looks at tensors. A second run of the pass finds nothing to do.

// NONE: error: 'attn.variant' op has no schedule: run attn-plan first

// The ids of a tile of keys are the least and largest of its members: a stage for each. So are those of rows.
// CHECK-LABEL: attn.variant @document
// CHECK: %[[DOC:.*]] = attn.input "doc"
// CHECK: %[[KEYS:.*]] = attn.size "kv"
// CHECK: %[[MORE:.*]] = arith.addi %[[KEYS]]
// CHECK: %[[TILES:.*]] = arith.floordivsi %[[MORE]]
// CHECK: %[[SOME:.*]] = arith.maxsi %[[TILES]]
// CHECK: attn.space "q_tile" of "q" extent
// CHECK: attn.space "kv_tile" extent %[[SOME]]
// CHECK: %[[TWICE:.*]] = arith.addi %[[SOME]], %[[SOME]]
// CHECK: attn.space "kv_tile_flag" extent %[[TWICE]]
// CHECK: %[[ROWLOW:.*]] = attn.compute (%[[B:[^:]*]]: i32, %[[R:[^:]*]]: i32) {
// CHECK: attn.reduce min over "kv" from %{{.*}} to %{{.*}} (
// CHECK: } : <[b, q_tile], i32>
// CHECK: %[[ROWHIGH:.*]] = attn.compute
// CHECK: attn.reduce max over "kv" from
// CHECK: %[[KEYLOW:.*]] = attn.compute
// CHECK: attn.reduce min over "kv" from
// CHECK: } : <[b, kv_tile], i32>
// CHECK: %[[KEYHIGH:.*]] = attn.compute
// CHECK: attn.reduce max over "kv" from
// A flag for each tile that all rows see whole; then one for each of which some row sees something.
// CHECK: %[[FLAGS:.*]] = attn.compute (%[[B:[^:]*]]: i32, %[[R:[^:]*]]: i32, %[[C:[^:]*]]: i32) {
// CHECK: %[[HALF:.*]] = arith.cmpi slt, %[[C]], %[[SOME]]
// CHECK: %[[BEHIND:.*]] = arith.subi %[[C]], %[[SOME]]
// CHECK: %[[N:.*]] = arith.select %[[HALF]], %[[C]], %[[BEHIND]]
// CHECK: %[[A:.*]] = attn.read %[[ROWLOW]][%[[B]], %[[R]]]
// CHECK: %[[Z:.*]] = attn.read %[[ROWHIGH]][%[[B]], %[[R]]]
// CHECK: %[[P:.*]] = attn.read %[[KEYLOW]][%[[B]], %[[N]]]
// CHECK: %[[Q:.*]] = attn.read %[[KEYHIGH]][%[[B]], %[[N]]]
// CHECK: arith.cmpi sle, %[[A]], %[[Q]]
// CHECK: arith.cmpi sle, %[[P]], %[[Z]]
// CHECK: arith.cmpi eq, %[[A]], %[[Q]]
// CHECK: arith.cmpi eq, %[[Z]], %[[P]]
// CHECK: arith.select %[[HALF]]
// CHECK: } : <[b, q_tile, kv_tile_flag], i32>
// CHECK: attn.space "kv_visit"
// CHECK: %[[COUNTS:.*]] = attn.cumsum %[[FLAGS]] over "kv_tile_flag"
// CHECK: %[[VISITS:.*]] = attn.compute
// CHECK: attn.read %[[COUNTS]]
// CHECK: } : <[b, q_tile, kv_visit], i32>
// CHECK: attn.attend %{{.*}}, %{{.*}}, %{{.*}} visits %[[VISITS]] of 64 : !attn.tensor<[b, q_tile, kv_visit], i32>
// CHECK-NEXT: mask(
attn.variant @document {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %doc = attn.input "doc" : !attn.tensor<[b, kv], i32>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %q = attn.position %row top_left
      %x = attn.read %doc[%b, %q] : !attn.tensor<[b, kv], i32> -> i32
      %y = attn.read %doc[%b, %kv] : !attn.tensor<[b, kv], i32> -> i32
      %same = arith.cmpi eq, %x, %y : i32
      attn.yield %same : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// A set becomes part of the mask. All keys of a tile are in one block of 128, and all rows in one of 64: its flag is looked up
// where it lies, as an index of the blocks: there may be none.
// CHECK-LABEL: attn.variant @blocks
// CHECK: %[[KEEP:.*]] = attn.input "keep"
// CHECK-NOT: attn.reduce
// CHECK: attn.compute (%[[B:[^:]*]]: i32, %[[H:[^:]*]]: i32, %[[R:[^:]*]]: i32, %[[C:[^:]*]]: i32) {
// CHECK: attn.reduce all over "p" from %{{.*}} to %{{.*}} (%[[P:.*]]: i32) {
// CHECK-NEXT: attn.read %[[KEEP]][%[[B]], %[[H]], %{{.*}}, %[[P]]]
// CHECK: attn.reduce any over "p"
// CHECK: } : <[b, h, q_tile, kv_tile_flag], i32>
// CHECK: attn.attend {{.*}} visits %{{.*}} of 64
// CHECK-NEXT: mask(%[[B:[^:]*]]: i32, %[[H:[^:]*]]: i32, %[[ROW:[^:]*]]: i32, %[[KEY:[^:]*]]: i32) {
// CHECK: %[[P:.*]] = arith.floordivsi %[[KEY]]
// CHECK: %[[RB:.*]] = arith.floordivsi %[[ROW]]
// CHECK: attn.read %[[KEEP]][%[[B]], %[[H]], %[[RB]], %[[P]]]
attn.variant @blocks {
  %rows = arith.constant 64 : i32
  %keys = arith.constant 128 : i32
  attn.space "r" of "q" extent %rows
  attn.space "p" of "kv" extent %keys
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %keep = attn.input "keep" : !attn.tensor<[b, h, r, p], i1>
  %out, %lse = attn.attend %Q, %K, %V over %keep : !attn.tensor<[b, h, r, p], i1>
    : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// Flags of rows: any and all of a tile's.
// CHECK-LABEL: attn.variant @rows
// CHECK: attn.reduce all over "q" from
// CHECK: attn.reduce any over "q" from
// CHECK: visits
attn.variant @rows {
  %keys = arith.constant 64 : i32
  attn.space "p" of "kv" extent %keys
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %keep = attn.input "keep" : !attn.tensor<[b, g, q, p], i1>
  %out, %lse = attn.attend %Q, %K, %V over %keep : !attn.tensor<[b, g, q, p], i1>
    : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// Ranges say all there is to know.
// CHECK-LABEL: attn.variant @causal
// CHECK-NOT: attn.compute
// CHECK-NOT: visits
// CHECK: attn.return
attn.variant @causal {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %q = attn.position %row bottom_right
      %keep = arith.cmpi sle, %kv, %q : i32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// A condition of reals tells nothing of a tile: what was begun is taken back.
// CHECK-LABEL: attn.variant @reals
// CHECK-NOT: attn.space "q_tile"
// CHECK-NOT: attn.compute
// CHECK-NOT: visits
// CHECK: attn.return
attn.variant @reals {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %zero = arith.constant 0.0 : f32
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %y = attn.read %x[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
      %keep = arith.cmpf ogt, %y, %zero : f32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// As many flags as scores are not looked at twice.
// CHECK-LABEL: attn.variant @elements
// CHECK-NOT: attn.space "q_tile"
// CHECK-NOT: visits
// CHECK: attn.return
attn.variant @elements {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %keep = attn.input "keep" : !attn.tensor<[b, q, kv], i1>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %flag = attn.read %keep[%b, %row, %kv] : !attn.tensor<[b, q, kv], i1> -> i1
      attn.yield %flag : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// Of indices alone: a remainder that a tile does not have all of.
// CHECK-LABEL: attn.variant @neighbours
// CHECK: attn.space "q_tile"
// CHECK: visits
attn.variant @neighbours {
  %width = arith.constant 256 : i32
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %qy = arith.floordivsi %row, %width : i32
      %qw = arith.muli %qy, %width : i32
      %qx = arith.subi %row, %qw : i32
      %ky = arith.floordivsi %kv, %width : i32
      %kw = arith.muli %ky, %width : i32
      %kx = arith.subi %kv, %kw : i32
      %near = arith.cmpi sle, %kx, %qx : i32
      attn.yield %near : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// A table of a number of entries, read at a row, has no space to look along.
// CHECK-LABEL: attn.variant @table
// CHECK-NOT: visits
// CHECK: attn.return
attn.variant @table {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %keep = attn.input "keep" : !attn.tensor<[h, 32], i1>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %flag = attn.read %keep[%h, %row] : !attn.tensor<[h, 32], i1> -> i1
      attn.yield %flag : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}
