// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// TensorMaps.h explains.
#include "TensorMaps.h"
#include "DriverApi.h"
#include "attnc/Support/Environment.h"
#include <string_view>

using namespace attnc;
using namespace attnc::cuda;

TensorMaps::TensorMaps(const Program &program, const KernelLaunch &launch, size_t arg)
    : arg(arg), pointer(0) {
  const KernelArg &map = launch.args[arg];
  while (launch.args[pointer].kind != KernelArg::Kind::Pointer ||
         launch.args[pointer].index != map.index)
    ++pointer;
  const TensorDecl &tensor = program.tensor(map.index);
  rank = tensor.axes.size();
  dtype = *tensor.dtype;
  box = launch.boxes[map.dim];
  const char *wanted = readVariable(Variable::TensorMaps);
  isWanted = !wanted || std::string_view(wanted) != "0";
}

bool TensorMaps::get(const Api &api, const uint64_t *slots, TensorMap &map) {
  Key key{};
  key[0] = slots[pointer];
  for (size_t dim = 0; dim < rank; ++dim) {
    key[1 + dim] = slots[pointer + 1 + dim];
    key[1 + rank + dim] = slots[arg + 2 + dim];
  }
  std::lock_guard<std::mutex> lock(mutex);
  for (size_t i = 0; i < used; ++i)
    if (kept[i].key == key) {
      map = kept[i].map;
      return kept[i].isThere;
    }
  Made &made = kept[next];
  made.key = key;
  made.isThere = make(api, key, made.map);
  next = (next + 1) % kept.size();
  used = used < kept.size() ? used + 1 : used;
  map = made.map;
  return made.isThere;
}

// CUDA Driver API reference, "Tensor Map Object Management".
bool TensorMaps::make(const Api &api, const Key &key, TensorMap &map) const {
  enum { Float16 = 6, Float32 = 7, BFloat16 = 9 };
  enum { NoInterleave = 0, Promote128 = 2, Promote256 = 3, FillZeros = 0 };
  if (!api.cuTensorMapEncodeTiled || !isWanted)
    return false;
  int element = dtype == DType::F16 ? Float16 : dtype == DType::BF16 ? BFloat16 : Float32;
  auto bytes = static_cast<uint64_t>(dtypeSize(dtype));
  uint64_t rowBytes = bytes * static_cast<uint64_t>(box.columns);
  int swizzle = rowBytes == 128 ? 3 : rowBytes == 64 ? 2 : rowBytes == 32 ? 1 : -1;
  if (swizzle < 0 || (dtype != DType::F16 && dtype != DType::BF16 && dtype != DType::F32))
    return false;
  // Columns first, then rows, then the other dimensions from the last one on: what a kernel passes
  // coordinates for.
  uint64_t sizes[5], strides[4];
  uint32_t boxes[5], steps[5];
  size_t count = 0;
  auto add = [&](size_t dim, int32_t width) {
    uint64_t stride = key[1 + dim] * bytes, size = key[1 + rank + dim];
    sizes[count] = size;
    boxes[count] = static_cast<uint32_t>(width);
    steps[count] = 1;
    if (count)
      strides[count - 1] = stride;
    // A dimension of one index has any stride.
    if (count && size == 1 && (stride % 16 != 0 || stride == 0))
      strides[count - 1] = 16;
    ++count;
    return size != 0 && size <= uint64_t(1) << 32;
  };
  bool fits = add(rank - 1, box.columns) && add(box.rowDim, box.rows);
  for (size_t dim = rank - 1; dim-- > 0;)
    if (dim != static_cast<size_t>(box.rowDim))
      fits = fits && add(dim, 1);
  for (size_t i = 0; fits && i + 1 < count; ++i)
    fits = strides[i] != 0 && strides[i] % 16 == 0 && strides[i] < uint64_t(1) << 40;
  if (!fits || key[0] == 0 || key[0] % 16 != 0)
    return false;
  int promotion = sizes[0] * bytes >= 256 ? Promote256 : Promote128;
  return api.cuTensorMapEncodeTiled(&map, element, static_cast<uint32_t>(rank),
                                    reinterpret_cast<void *>(key[0]), sizes, strides, boxes, steps,
                                    NoInterleave, swizzle, promotion, FillZeros) == 0;
}
