// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Warps with roles, and the rings through which those that copy hand tiles to those that compute: the scheduled phase, on
// targets where warps can give each other registers.
#ifndef ATTNC_DIALECTS_TILE_TILERINGOPS_TD
#define ATTNC_DIALECTS_TILE_TILERINGOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileTypes.td"

/// Uses every op of this file.
class Tile_RingExampleOp<string mnemonic, list<Trait> traits = []> : Tile_Op<mnemonic, traits> {
  let examples = [[{
    tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
          -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      tile.specialize producers 4 registers 40 {
        tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%zero] by 16
          : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
        tile.ring_signal %ring[%zero] pending 0 : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      } consumers registers 232 {
        %slot = tile.ring_wait %ring[%zero] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
            -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
        %tile = tile.read %slot : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x64xf16>
        tile.ring_release %ring[%zero] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
        %one = arith.constant 1 : i32
        scf.for %i = %zero to %n step %one : i32 {
          tile.begin_turn
          tile.end_turn
        }
      }
      tile.return
    }
  }]];
}

def Tile_SpecializeOp : Tile_RingExampleOp<"specialize", [HasParent<"KernelOp">, SingleBlock, NoTerminator]> {
  let summary = "gives the warps of a thread block two roles";
  let description = [{
    The kernel's `num_warps` warps run `consumers`, and `producers` more warps run the other region. What comes before, all of them
    run; they meet where the op begins. In both regions, ops that need all threads need those of the region.

    - `producerRegisters`, `consumerRegisters`: registers of a thread from there on.

    Constraints:
    - C1: `producers` and the kernel's warps are multiples of 4: registers are given by warpgroups.
    - C2: registers are multiples of 8, from 24 to 256, and no more than the block has at its launch, where each thread gets a
      multiple of 8 of the multiprocessor's 65,536: what it does not have, warps would wait for without end.
    - C3: a kernel has one at most, and only a return behind it.
  }];
  let arguments = (ins I32Attr:$producers, I32Attr:$producer_registers, I32Attr:$consumer_registers);
  let regions = (region SizedRegion<1>:$producer, SizedRegion<1>:$consumer);
  let assemblyFormat = [{
    `producers` $producers `registers` $producer_registers $producer `consumers` `registers` $consumer_registers $consumer attr-dict
  }];
  let hasVerifier = 1;
}

def Tile_RingOp : Tile_RingExampleOp<"ring", [HasParent<"KernelOp">]> {
  let summary = "lets a buffer's stages be filled by some warps and released by others";
  let description = [{
    Fill n of a ring goes to stage n mod stages, and may begin when fill n - stages has been released. Fills are waited for, read and
    released in order.

    - `offset`: byte offset in the block's dynamic shared memory of two barriers for each stage, of 8 bytes each.
    - `fillers`, `readers`: how many warps signal a fill, and how many release it.

    Constraints:
    - C1: the offset is a multiple of 8, and not negative.
    - C2: at least one warp fills, and one releases.
  }];
  let arguments = (ins Tile_BufferType:$buffer, I64Attr:$offset, I32Attr:$fillers, I32Attr:$readers);
  let results = (outs Tile_RingType:$ring);
  let assemblyFormat = [{
    $buffer `at` $offset `filled` $fillers `released` $readers attr-dict `:` type($buffer) `->` type($ring)
  }];
  let hasVerifier = 1;
}

def Tile_RingFillOp : Tile_RingExampleOp<"ring_fill", [AttrSizedOperandSegments]> {
  let summary = "waits until a stage of a ring is free, and starts copying rows of a view into it";
  let description = [{
    Operands mean what they mean in `tile.async_copy`. The copy is a group of its own; it has been made when `tile.ring_signal` says so.

    - `number`: how many fills of the ring came before, i32 and not negative.
    - `map`: of the view. Where there is one, and the launch could make it, the copy engine copies stages whose rows all lie before the
      limit; threads copy the others.

    Constraints:
    - C1: what `tile.async_copy` C1 to C4 say of the view and the buffer.
    - C2: boxes of the map are panels of the buffer's stages, of a view like this one.
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<I32>:$indices, I32:$row, I32:$limit,
                       I64Attr:$row_dim, I64Attr:$valid_cols, I32Attr:$vector_bytes,
                       Tile_RingType:$ring, I32:$number, Optional<Tile_TensorMapType>:$map);
  let assemblyFormat = [{
    $view `[` $indices `]` `rows` $row_dim `from` $row `to` $limit `cols` $valid_cols
    `into` $ring `[` $number `]` `by` $vector_bytes (`through` $map^ `:` type($map))? attr-dict `:` type($view) `,` type($ring)
  }];
  let hasVerifier = 1;
}

def Tile_RingSignalOp : Tile_RingExampleOp<"ring_signal"> {
  let summary = "waits until a fill is there, and says so";
  let description = [{
    - `pending`: how many fills, of any ring, began later and may still be in flight.

    Constraints:
    - C1: `pending` is not negative.
  }];
  let arguments = (ins Tile_RingType:$ring, I32:$number, I32Attr:$pending);
  let assemblyFormat = "$ring `[` $number `]` `pending` $pending attr-dict `:` type($ring)";
  let hasVerifier = 1;
}

def Tile_RingWaitOp : Tile_RingExampleOp<"ring_wait"> {
  let summary = "waits until a fill is there";
  let description = [{
    Constraints:
    - C1: a slot of the ring's buffer.
  }];
  let arguments = (ins Tile_RingType:$ring, I32:$number);
  let results = (outs Tile_SlotType:$slot);
  let assemblyFormat = "$ring `[` $number `]` attr-dict `:` type($ring) `->` type($slot)";
  let hasVerifier = 1;
}

def Tile_BeginTurnOp : Tile_RingExampleOp<"begin_turn"> {
  let summary = "waits until it is this warpgroup's turn";
  let description = [{
    The warpgroups that compute take turns, the first one first: each begins a turn when the one before it has ended its own. All of
    them take the same number of turns.
  }];
  let assemblyFormat = "attr-dict";
}

def Tile_EndTurnOp : Tile_RingExampleOp<"end_turn"> {
  let summary = "lets the next warpgroup have its turn";
  let assemblyFormat = "attr-dict";
}

def Tile_RingReleaseOp : Tile_RingExampleOp<"ring_release"> {
  let summary = "says that this warp has read what it needs of a fill";
  let arguments = (ins Tile_RingType:$ring, I32:$number);
  let assemblyFormat = "$ring `[` $number `]` attr-dict `:` type($ring)";
}

#endif // ATTNC_DIALECTS_TILE_TILERINGOPS_TD
