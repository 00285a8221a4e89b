// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors, numbers and sizes of Python as the C API takes them.
#ifndef ATTNC_PYTHON_NATIVE_VALUES_H
#define ATTNC_PYTHON_NATIVE_VALUES_H

#include "Library.h"
#include <deque>
#include <vector>

namespace attnc::python {

/// Tensors that `View.packed` describes: a sequence of tuples (name, address, (device type,
/// ordinal), (DLPack code, bits), shape, strides, byte offset). Keeps copies of all but the memory.
class PackedTensors {
public:
  /// False with an exception if `sequence` is no such sequence.
  bool parse(PyObject *sequence);

  const attnc_tensor *data() const { return named.data(); }
  size_t size() const { return named.size(); }
  /// The description of the i-th tensor.
  DLTensor &operator[](size_t i) { return tensors[i]; }
  const DLTensor &operator[](size_t i) const { return tensors[i]; }

private:
  bool add(PyObject *packed);

  // Deques: what they hold stays where it is.
  std::deque<std::string> names;
  std::deque<std::vector<int64_t>> sizes;
  std::deque<DLTensor> tensors;
  std::vector<attnc_tensor> named;
};

/// A mapping from names to numbers as attnc_param or attnc_size.
template <typename Named> class PackedNumbers {
public:
  /// False with an exception if `dict` is no dict of that kind.
  bool parse(PyObject *dict);

  const Named *data() const { return named.data(); }
  size_t size() const { return named.size(); }

private:
  std::deque<std::string> names;
  std::vector<Named> named;
};

/// UTF-8 of a str; false with an exception if it is none.
bool textOf(PyObject *object, std::string &text);

/// A pointer from an int, null from None; false with an exception if it is neither.
bool pointerOf(PyObject *object, void *&pointer);

} // namespace attnc::python

#endif // ATTNC_PYTHON_NATIVE_VALUES_H
