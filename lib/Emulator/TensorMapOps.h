// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps that a kernel makes or changes: tensormap.replace, tensormap.cp_fenceproxy and
// fence.proxy.tensormap::generic.
//
// TMA reads maps through a proxy of its own. A map in global memory that a launch has changed may
// be used by a block only after the change was released to that proxy (by cp_fenceproxy or a
// release fence) and a thread of the block has acquired it, each at a scope that spans the two
// blocks.
#pragma once

#include "attnc/Emulator/TensorMap.h"

#include <cstdint>
#include <unordered_map>

namespace attnc::emu {

struct Warp;
struct Rec;

/// Scopes of these fences, from narrow to wide.
enum class MapScope : uint8_t { None, Block, Cluster, Device };

/// A map in global memory that this launch has changed.
struct ChangedMap {
  const Rec *rec = nullptr;
  uint32_t block = 0, cluster = 0; ///< who changed it: the block's number, the cluster's serial
  uint64_t version = 0;            ///< counts the changes of the launch
  MapScope released = MapScope::None;
  struct Acquired {
    uint64_t version;
    MapScope scope;
  };
  std::unordered_map<uint32_t, Acquired> acquired; ///< by number of the block
};

/// By address.
using ChangedMaps = std::unordered_map<uint64_t, ChangedMap>;

/// The tensor map behind a generic address, in the parameter buffer or in global memory, copied to
/// `copy`. Null after a report.
const TensorMap *findMap(Warp &w, const Rec *r, int lane, uint64_t address, TensorMap &copy);

/// o[0], imm, aux: address as for loads; o[1]: value; aux2: MapField in bits 0-7, ordinal in 8-15,
/// bit 16: the value has 64 bits.
const Rec *tensorMapReplace(Warp &, const Rec *);
/// o[0] and the low half of imm: destination; o[1] and the high half: source; aux2: MapScope in
/// bits 0-7, bit 8: the source address has 64 bits.
const Rec *tensorMapCopy(Warp &, const Rec *);
/// o[0], imm: address; aux2: MapScope.
const Rec *tensorMapAcquire(Warp &, const Rec *);
/// aux2: MapScope.
const Rec *tensorMapRelease(Warp &, const Rec *);

} // namespace attnc::emu
