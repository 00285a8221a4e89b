// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Recognition of NumPy arrays and PyTorch tensors.
#include "Tensors.h"
#include <vector>

using namespace attnc::python;

namespace {

/// What `__array_struct__` points at: NumPy's array interface, version 3, the same in every NumPy.
struct ArrayInterface {
  int two; ///< is 2
  int rank;
  char kind;
  int itemSize;
  int flags;
  Py_intptr_t *shape, *strides; ///< strides in bytes
  void *data;
  PyObject *descr;
};
constexpr int isAligned = 0x100, isNative = 0x200, isWritable = 0x400;

/// DLPack's exchange table, of its major version 1. The header that is installed here is older.
struct ExchangeHeader {
  uint32_t major, minor;
  ExchangeHeader *previous;
};
struct ExchangeTable {
  ExchangeHeader header;
  void *allocate, *fromObject, *toObject;
  /// Describes the tensor of an object that keeps it; -1 with an exception.
  int (*describe)(void *object, DLTensor *out);
  int (*currentStream)(int deviceType, int32_t deviceId, void **stream);
};

// For as long as the process lives.
PyObject *arrayType = nullptr, *arrayStruct = nullptr, *dtypeName = nullptr,
         *requiresGrad = nullptr;
std::vector<PyObject *> torchTypes;
ExchangeTable *exchange = nullptr;
PyObject *torchIsGradEnabled = nullptr, *torchIsNeg = nullptr;

enum Kind : uint64_t { NumPy = 1, Torch = 2 };
constexpr int mostDims = 15;

uint64_t word(Kind kind, int rank, uint64_t flags, uint64_t dtype) {
  return uint64_t(kind) | uint64_t(rank) << 4 | flags << 8 | dtype << 24;
}

void addPlace(const Place &place, Key &key) {
  key.add(place.address % 16 | uint64_t(uint32_t(place.deviceType)) << 8 |
          uint64_t(uint32_t(place.deviceId)) << 32);
}

bool describeArray(PyObject *value, Key &key, Place &place) {
  Ref capsule(PyObject_GetAttr(value, arrayStruct));
  auto *found = static_cast<ArrayInterface *>(capsule ? PyCapsule_GetPointer(capsule.get(), nullptr)
                                                      : nullptr);
  if (!found || found->two != 2 || found->rank > mostDims)
    return false;
  uint64_t dtype = uint64_t(static_cast<unsigned char>(found->kind)) |
                   uint64_t(static_cast<uint32_t>(found->itemSize)) << 8;
  place = {reinterpret_cast<uintptr_t>(found->data), kDLCPU, 0};
  key.add(word(NumPy, found->rank,
               uint64_t(found->flags & (isAligned | isNative | isWritable)) >> 8, dtype));
  addPlace(place, key);
  if (found->kind == 'V') {
    // A dtype of an extension, bfloat16 among them: what it is says the object alone.
    Ref object(PyObject_GetAttr(value, dtypeName));
    if (!object)
      return false;
    key.add(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(object.get())));
  }
  for (int i = 0; i < found->rank; ++i) {
    key.add(static_cast<uint64_t>(found->shape[i]));
    key.add(static_cast<uint64_t>(found->strides[i]));
  }
  return true;
}

/// 1 and 0, or -1 with an exception.
int isTrue(PyObject *object) {
  Ref owned(object);
  return object ? PyObject_IsTrue(object) : -1;
}

bool describeTensor(PyObject *value, Gradients gradients, Key &key, Place &place) {
  DLTensor found;
  if (exchange->describe(value, &found) != 0 || found.ndim > mostDims ||
      (found.ndim > 0 && !found.strides))
    return false;
  // Bits that say that the elements are others than those in memory.
  if (isTrue(PyObject_CallFunctionObjArgs(torchIsNeg, value, nullptr)) != 0)
    return false;
  if (gradients == Gradients::Matter && isTrue(PyObject_GetAttr(value, requiresGrad)) != 0 &&
      (PyErr_Occurred() || isTrue(PyObject_CallNoArgs(torchIsGradEnabled)) != 0))
    return false;
  uint64_t dtype =
      found.dtype.code | uint64_t(found.dtype.bits) << 8 | uint64_t(found.dtype.lanes) << 16;
  place = {reinterpret_cast<uintptr_t>(found.data) + found.byte_offset,
           static_cast<int32_t>(found.device.device_type), found.device.device_id};
  key.add(word(Torch, found.ndim, 0, dtype));
  addPlace(place, key);
  for (int i = 0; i < found.ndim; ++i) {
    key.add(static_cast<uint64_t>(found.shape[i]));
    key.add(static_cast<uint64_t>(found.strides[i]));
  }
  return true;
}

bool isTorch(PyTypeObject *type) {
  for (PyObject *each : torchTypes)
    if (each == reinterpret_cast<PyObject *>(type))
      return true;
  return false;
}

} // namespace

bool attnc::python::describe(PyObject *value, Gradients gradients, Key &key, Place &place) {
  PyTypeObject *type = Py_TYPE(value);
  bool isKnown = false;
  if (reinterpret_cast<PyObject *>(type) == arrayType)
    isKnown = describeArray(value, key, place);
  else if (exchange && isTorch(type))
    isKnown = describeTensor(value, gradients, key, place);
  if (!isKnown && PyErr_Occurred())
    PyErr_Clear(); // Python meets the same, and says it in our words
  return isKnown;
}

bool attnc::python::currentStream(int32_t deviceId, void *&stream) {
  if (exchange && exchange->currentStream(kDLCUDA, deviceId, &stream) == 0)
    return true;
  PyErr_Clear();
  return false;
}

PyObject *attnc::python::useNumPy(PyObject *type) {
  if (!arrayStruct) {
    arrayStruct = PyUnicode_InternFromString("__array_struct__");
    dtypeName = PyUnicode_InternFromString("dtype");
  }
  if (!arrayStruct || !dtypeName)
    return nullptr;
  arrayType = Ref::to(type).release();
  Py_RETURN_NONE;
}

PyObject *attnc::python::useTorch(PyObject *types, PyObject *table, PyObject *isGradEnabled,
                                  PyObject *isNeg) {
  if (!requiresGrad && !(requiresGrad = PyUnicode_InternFromString("requires_grad")))
    return nullptr;
  exchange = nullptr;
  torchTypes.clear();
  if (table != Py_None) {
    auto *header =
        static_cast<ExchangeHeader *>(PyCapsule_GetPointer(table, "dlpack_exchange_api"));
    if (!header)
      return nullptr;
    while (header && header->major != 1)
      header = header->previous;
    exchange = reinterpret_cast<ExchangeTable *>(header);
    if (exchange && !exchange->describe)
      exchange = nullptr;
  }
  for (Py_ssize_t i = 0; i < PyTuple_Size(types); ++i)
    torchTypes.push_back(Ref::to(PyTuple_GetItem(types, i)).release());
  torchIsGradEnabled = Ref::to(isGradEnabled).release();
  torchIsNeg = Ref::to(isNeg).release();
  Py_RETURN_NONE;
}
