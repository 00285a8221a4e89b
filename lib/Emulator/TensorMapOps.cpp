// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps as operands of TMA, and the instructions that change them; see TensorMapOps.h.
#include "TensorMapOps.h"
#include "Access.h"
#include "Cluster.h"

#include <cinttypes>
#include <cstring>

namespace attnc::emu {
namespace {

/// Reads or writes the 128 bytes of a map through the generic proxy, checked like any access.
bool moveMap(Warp &w, const Rec *r, int lane, uint64_t address, Space space, Mode mode,
             TensorMap &map) {
  if (address % 64) {
    fault(w, r, lane, "misaligned-address", "tensor map at 0x%" PRIx64 " is not 64-byte aligned",
          address);
    return false;
  }
  for (uint32_t at = 0; at < sizeof map; at += 16) {
    Access a;
    a.lanes = 1u << lane;
    a.address[lane] = address + at;
    a.bytes = 16;
    a.mode = mode;
    a.space = space;
    if (!resolve(w, r, a))
      return false;
    char *bytes = reinterpret_cast<char *>(&map) + at;
    mode == Mode::Load ? memcpy(bytes, a.host[lane], 16) : memcpy(a.host[lane], bytes, 16);
  }
  return true;
}

/// How wide a scope has to be to reach this warp's block from the block that changed the map.
MapScope distance(const Warp &w, const ChangedMap &c) {
  return c.block == w.cta->linear              ? MapScope::Block
         : c.cluster == w.cta->cluster->serial ? MapScope::Cluster
                                               : MapScope::Device;
}

void noteChange(Warp &w, const Rec *r, uint64_t address, MapScope released) {
  Launch &L = *w.cta->launch;
  ChangedMap &c = L.changedMaps[address];
  c.rec = r;
  c.block = w.cta->linear;
  c.cluster = w.cta->cluster->serial;
  c.version = ++L.mapChanges;
  c.released = released;
}

/// False after a report: this launch has changed the map, and the tensor map proxy of the block may
/// still have the old one.
bool checkProxy(Warp &w, const Rec *r, int lane, uint64_t address) {
  const Launch &L = *w.cta->launch;
  auto it = L.changedMaps.find(address);
  if (it == L.changedMaps.end() || !L.options.checks)
    return true;
  const ChangedMap &c = it->second;
  MapScope needed = distance(w, c);
  auto acquired = c.acquired.find(w.cta->linear);
  const char *missing = nullptr;
  if (c.released < needed)
    missing = "fence.proxy.tensormap::generic.release (or tensormap.cp_fenceproxy) by the thread "
              "that changed it";
  else if (acquired == c.acquired.end() || acquired->second.version < c.version ||
           acquired->second.scope < needed)
    missing = "fence.proxy.tensormap::generic.acquire on it by a thread of this block";
  if (!missing)
    return true;
  fault(w, r, lane, "missing-proxy-fence",
        "uses the tensor map at %s, which this launch has changed\n    %s\n"
        "  needs a %s%s",
        describeAddress(w, Space::Global, address).c_str(), describe(*L.kernel, c.rec).c_str(),
        missing,
        needed == MapScope::Block     ? ""
        : needed == MapScope::Cluster ? ", at .cluster scope or wider"
                                      : ", at .gpu scope or wider");
  return false;
}

} // namespace

const TensorMap *findMap(Warp &w, const Rec *r, int lane, uint64_t address, TensorMap &copy) {
  Launch &L = *w.cta->launch;
  DeviceMemory &m = *L.memory;
  const char *from = nullptr;
  if (address % 64) {
    fault(w, r, lane, "misaligned-address", "tensor map at 0x%" PRIx64 " is not 64-byte aligned",
          address);
    return nullptr;
  }
  if (address >= m.paramWindow() && address - m.paramWindow() + 128 <= L.params.size())
    from = L.params.data() + (address - m.paramWindow());
  else if (address >= m.localWindow() && address < m.paramWindow()) {
    fault(w, r, lane, "invalid-tensor-map",
          "tensor map is in local memory; pass it as a __grid_constant__ parameter");
    return nullptr;
  } else if (const DeviceMemory::Block *b = m.find(address); b && b->contains(address, 128))
    from = reinterpret_cast<const char *>(address);
  if (from)
    memcpy(&copy, from, 128);
  if (!from || copy.magic != TensorMap::magicValue) {
    fault(w, r, lane, "invalid-tensor-map",
          "address 0x%" PRIx64 " holds no tensor map made by cuTensorMapEncodeTiled", address);
    return nullptr;
  }
  if (!checkProxy(w, r, lane, address))
    return nullptr;
  if (copy.replaced)
    if (std::string why = checkTiled(copy); !why.empty()) {
      fault(w, r, lane, "invalid-tensor-map",
            "the tensor map at 0x%" PRIx64 ", which tensormap.replace has made, is not valid: %s",
            address, why.c_str());
      return nullptr;
    }
  return &copy;
}

const Rec *tensorMapReplace(Warp &w, const Rec *r) {
  const DeviceMemory &memory = *w.cta->launch->memory;
  Space space = static_cast<Space>((r->aux >> memSpaceShift) & 0xf);
  Access where;
  gatherAddresses(w, r, where);
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t value =
        r->aux2 >> 16 & 1 ? place<uint64_t>(w, r->o[1])[l] : place<uint32_t>(w, r->o[1])[l];
    TensorMap map;
    if (!moveMap(w, r, l, where.address[l], space, Mode::Load, map))
      return nullptr;
    replaceField(map, static_cast<MapField>(r->aux2 & 0xff), r->aux2 >> 8 & 0xff, value);
    if (!moveMap(w, r, l, where.address[l], space, Mode::Store, map))
      return nullptr;
    if (space == Space::Global ||
        (space == Space::Generic && where.address[l] < memory.sharedWindow()))
      noteChange(w, r, where.address[l], MapScope::None);
  }
  return r + 1;
}

const Rec *tensorMapCopy(Warp &w, const Rec *r) {
  if (w.exec != allLanes)
    return fault(w, r, -1, "divergent-collective",
                 "tensormap.cp_fenceproxy needs all 32 lanes of the warp, but only lanes 0x%08x "
                 "execute it",
                 w.exec);
  uint64_t last = 0;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t to = place<uint64_t>(w, r->o[0])[l] + static_cast<uint32_t>(r->imm);
    uint64_t from =
        (r->aux2 >> 8 & 1 ? place<uint64_t>(w, r->o[1])[l] : place<uint32_t>(w, r->o[1])[l]) +
        (r->imm >> 32);
    if (to == last)
      continue; // the lanes of a warp name one map
    TensorMap map;
    if (!moveMap(w, r, l, from, Space::Shared, Mode::Load, map) ||
        !moveMap(w, r, l, to, Space::Global, Mode::Store, map))
      return nullptr;
    noteChange(w, r, to, static_cast<MapScope>(r->aux2 & 0xff));
    last = to;
  }
  return r + 1;
}

const Rec *tensorMapAcquire(Warp &w, const Rec *r) {
  Launch &L = *w.cta->launch;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    auto it = L.changedMaps.find(place<uint64_t>(w, r->o[0])[l] + r->imm);
    if (it != L.changedMaps.end())
      it->second.acquired[w.cta->linear] = {it->second.version, static_cast<MapScope>(r->aux2)};
  }
  return r + 1;
}

const Rec *tensorMapRelease(Warp &w, const Rec *r) {
  MapScope scope = static_cast<MapScope>(r->aux2);
  for (auto &[address, c] : w.cta->launch->changedMaps)
    if (c.block == w.cta->linear && c.released < scope)
      c.released = scope;
  return r + 1;
}

} // namespace attnc::emu
