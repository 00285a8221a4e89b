// RUN: attnc-opt %s --split-input-file --verify-diagnostics | FileCheck %s
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// On the host stages and warps mean nothing.
// CHECK: tile.schedule = #tile.schedule<target = "host", tile_q = 7, tile_kv = 5, stages = 1, warps = 1, vector_bytes = 16, precision = f32>
module attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 7, tile_kv = 5, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {}

// -----

// CHECK: tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = tf32>
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = tf32>} {}

// -----

// #tile.schedule C1
// expected-error@below {{a query tile of 0 rows: expected 1 to 4096}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 0, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {}

// -----

// #tile.schedule C1
// expected-error@below {{a key tile of 8192 rows: expected 1 to 4096}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 8192, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {}

// -----

// #tile.schedule C2
// expected-error@below {{unsupported row alignment of 3 bytes: expected a power of two from 2 to 16}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 3, precision = f32>} {}

// -----

// #tile.schedule C2, on the host too
// expected-error@below {{unsupported row alignment of 32 bytes}}
module attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 32, precision = f32>} {}

// -----

// #tile.schedule C3
// expected-error@below {{a thread block of 33 warps: expected 1 to 32}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 33, vector_bytes = 16, precision = f32>} {}

// -----

// #tile.schedule C4
// expected-error@below {{1 pipeline stages: expected 2 to 16}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 1, warps = 4, vector_bytes = 16, precision = f32>} {}

// -----

// #tile.schedule C5
// expected-error@below {{a query tile of 48 rows does not fit 1 warps: expected a power of two that is a multiple of 16 rows for each warp, and a key tile that is a multiple of 16}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 48, tile_kv = 64, stages = 2, warps = 1, vector_bytes = 16, precision = f32>} {}

// -----

// #tile.schedule C5
// expected-error@below {{a query tile of 64 rows does not fit 8 warps}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 8, vector_bytes = 16, precision = f32>} {}

// -----

// #tile.schedule C5
// expected-error@below {{a query tile of 64 rows does not fit 4 warps: expected a power of two that is a multiple of 16 rows for each warp, and a key tile}}
module attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 24, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {}
