// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NumPy arrays and PyTorch tensors, recognised in some hundred nanoseconds: by the C side of
// NumPy's array interface (`__array_struct__`), and by DLPack's exchange table
// (`__dlpack_c_exchange_api__`). What is neither, and every subclass, is left to Python.
#ifndef ATTNC_PYTHON_NATIVE_TENSORS_H
#define ATTNC_PYTHON_NATIVE_TENSORS_H

#include "Object.h"
#include <array>
#include <cstdint>
#include <cstring>
#include <dlpack/dlpack.h>

namespace attnc::python {

/// What a call is looked up by, in words of 64 bits. It lies on the stack: a call allocates
/// nothing.
class Key {
public:
  void add(uint64_t word) {
    if (count < words.size())
      words[count] = word;
    ++count;
  }
  void add(double number) {
    uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    add(bits);
  }
  /// False if there was more than has room.
  bool isWhole() const { return count <= words.size(); }
  const uint64_t *data() const { return words.data(); }
  size_t size() const { return count; }
  uint64_t hash() const {
    uint64_t value = count;
    for (size_t i = 0; i < count; ++i) {
      value = (value ^ words[i]) * 0x9E3779B97F4A7C15u;
      value ^= value >> 29;
    }
    return value;
  }

private:
  std::array<uint64_t, 512> words;
  size_t count = 0;
};

/// Where a tensor is.
struct Place {
  uint64_t address = 0; ///< of element 0
  int32_t deviceType = kDLCPU, deviceId = 0;
};

/// Whether PyTorch's gradients matter to a call. They do not below its dispatch key Autograd.
enum class Gradients : uint8_t { Matter, DoNotMatter };

/// Adds all that the checks of a call look at to `key`: kind, dtype, shape, strides, device,
/// whether it may be written, and the address modulo 16. False, without an exception, for a tensor
/// that Python has to look at.
bool describe(PyObject *value, Gradients gradients, Key &key, Place &place);

/// The CUDA stream that PyTorch uses on this device. False without an exception if it does not say.
bool currentStream(int32_t deviceId, void *&stream);

/// Says which type NumPy's arrays have.
PyObject *useNumPy(PyObject *type);

/// Says which types PyTorch's tensors have (a tuple), where its exchange table is (a capsule, or
/// None of a version without one, whose tensors are left to Python), and its functions
/// is_grad_enabled and Tensor.is_neg.
PyObject *useTorch(PyObject *types, PyObject *exchange, PyObject *isGradEnabled, PyObject *isNeg);

} // namespace attnc::python

#endif // ATTNC_PYTHON_NATIVE_TENSORS_H
