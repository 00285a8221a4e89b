// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The umbrella of the tile dialect: the only .td that other folders include.
#ifndef ATTNC_DIALECTS_TILE_TILE_TD
#define ATTNC_DIALECTS_TILE_TILE_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileAttrs.td"
include "dialects/Tile/TileScheduleAttr.td"
include "dialects/Tile/TileTypes.td"
include "dialects/Tile/TileOps.td"
include "dialects/Tile/TileFoldOps.td"
include "dialects/Tile/TileInvertOps.td"
include "dialects/Tile/TileMoveOps.td"
include "dialects/Tile/TileAsyncOps.td"
include "dialects/Tile/TileProductOps.td"
include "dialects/Tile/TileProgramOps.td"
include "dialects/Tile/TileRingOps.td"

#endif // ATTNC_DIALECTS_TILE_TILE_TD
