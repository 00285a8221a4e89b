// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A selection: the threshold of a tile of rows bit by bit, the ties by index, and one walk that stores.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @best attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, q, kv], f32>
  %n = attn.input "n" : !attn.tensor<[b], i32>
  // CHECK-LABEL: tile.kernel @best
  // CHECK-SAME: %[[X:[a-z0-9]+]]: !tile.view<3xf32>
  // CHECK-SAME: %[[N:[a-z0-9]+]]: !tile.view<1xi32
  // CHECK-SAME: num_warps = 1

  // The entries of a row that can be kept; what the limit is.
  // CHECK: %[[LIVE:.*]] = scf.for {{.*}} -> (!tile.tile<16xi32>)
  // CHECK:   %[[RANKS:.*]] = tile.map()
  // CHECK:     tile.element %[[X]][
  // CHECK:     arith.cmpf ogt
  // CHECK:     arith.cmpi slt
  // CHECK:   -> !tile.tile<16x64xf32>
  // CHECK:   tile.map(%[[RANKS]])
  // CHECK:   -> !tile.tile<16x64xi32>
  // CHECK:   tile.reduce sum
  // CHECK: tile.element %[[N]][
  // CHECK: %[[WANTED:.*]] = tile.map(%{{.*}}, %[[LIVE]])
  // CHECK:   arith.maxsi
  // CHECK:   arith.minsi

  // A key with as many entries at or above it, bit by bit: a walk for each, until every row has exactly as many.
  // CHECK: %[[WHILE:.*]]:3 = scf.while
  // CHECK:   %[[OPEN:.*]] = tile.any
  // CHECK:   %[[BITS:.*]] = arith.cmpi ne
  // CHECK:   arith.andi %[[BITS]], %[[OPEN]]
  // CHECK:   scf.condition
  // CHECK:   %[[CANDIDATE:.*]] = tile.map
  // CHECK:   %[[COUNT:.*]] = scf.for
  // Bits of numbers below 0 are turned round, so that -0 and 0 have one key.
  // CHECK:     tile.map(%{{.*}}, %[[CANDIDATE]])
  // CHECK:       %[[RANK:.*]] = arith.bitcast %{{.*}} : f32 to i32
  // CHECK:       arith.subi %{{.*}}, %[[RANK]]
  // CHECK:       arith.cmpi sge
  // CHECK:     tile.reduce sum
  // CHECK:   tile.map(%[[COUNT]], %[[WANTED]], %[[CANDIDATE]]
  // CHECK:     arith.cmpi sge
  // CHECK:   tile.map(%[[COUNT]], %[[WANTED]],
  // CHECK:     arith.cmpi ne
  // CHECK:   arith.shrui

  // Ties are searched where a row has too many.
  // CHECK: %[[SOME:.*]] = tile.any
  // CHECK: %[[END:.*]] = scf.if %[[SOME]]
  // CHECK:   scf.for %{{.*}} to %c31_i32
  // CHECK: tile.map({{.*}}, %[[WHILE]]#1, %[[END]])
  // CHECK: -> !tile.tile<16x64xi1>
  // CHECK: tile.store_block {{.*}} rows 1 {{.*}} cols 2
  %keep = attn.select top %x, %n over ["kv"] : !attn.tensor<[b, q, kv], f32>, !attn.tensor<[b], i32> -> !attn.tensor<[b, q, kv], i1>
  attn.return ["keep"](%keep : !attn.tensor<[b, q, kv], i1>)
}

// -----

// Sums of ranks are compared with the limit in f64. A row over two spaces is walked space by space; on the host a tile has one row. With limits
// the count of what is covered becomes that of a second search.
attn.variant @covering attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, kv], f32>
  %share = attn.input "share" : !attn.tensor<[b], f32>
  %most = attn.input "most" : !attn.tensor<[b], i32>
  // CHECK-LABEL: tile.kernel @covering
  // CHECK-SAME: %[[SHARE:[a-z0-9]+]]: !tile.view<1xf32
  // CHECK: %[[FACTS:.*]]:4 = scf.for %[[H:.*]] = %{{.*}} iter_args
  // CHECK:   scf.for
  // CHECK:     tile.element %{{.*}}[%{{.*}}, %[[H]], %{{.*}}]
  // CHECK:     -> !tile.tile<1x64xf32>
  // CHECK:   tile.reduce max
  // Ranks are compared on the host, and no keys made of them; where a row is long, blocks are wide and whole.
  // CHECK: scf.for %{{.*}} to %c31_i32
  // CHECK:   %[[CANDIDATE:.*]] = tile.map
  // CHECK:   %[[LEAST:.*]] = tile.map(%[[CANDIDATE]])
  // CHECK:     arith.bitcast %{{.*}} : i32 to f32
  // CHECK:   tile.map(%{{.*}}, %[[LEAST]])
  // CHECK-NEXT: ^bb
  // CHECK-NEXT: arith.cmpf oge
  // CHECK:   tile.reduce sum {{.*}} : <1x512xf32>
  // CHECK:   tile.reduce sum {{.*}} : <1x64xf32>
  // CHECK:   %[[AMOUNT:.*]] = arith.extf %{{.*}} : f32 to f64
  // CHECK:   arith.mulf %{{.*}}, %{{.*}} : f64
  // CHECK:   arith.cmpf olt, %{{.*}}, %{{.*}} : f64
  // CHECK: scf.while
  // CHECK: tile.any
  // CHECK: tile.store_block {{.*}} rows 0 {{.*}} cols 2
  %keep = attn.select cover_inclusive %x, %share over ["h", "kv"] at_most %most : !attn.tensor<[b], i32> : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[b], f32> -> !attn.tensor<[b, h, kv], i1>
  attn.return ["keep"](%keep : !attn.tensor<[b, h, kv], i1>)
}
