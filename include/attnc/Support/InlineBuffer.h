// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An array whose length is known at run time and nearly always small: launches take no memory for
// their arguments.
#ifndef ATTNC_SUPPORT_INLINEBUFFER_H
#define ATTNC_SUPPORT_INLINEBUFFER_H

#include <array>
#include <cstddef>
#include <vector>

namespace attnc {

/// Room for `N` elements on the stack, for more on the heap.
template <typename T, size_t N> class InlineBuffer {
public:
  InlineBuffer() {} // `few` is left as it is
  InlineBuffer(const InlineBuffer &) = delete;

  /// Arbitrary contents.
  void resize(size_t size) {
    count = size;
    if (size > N)
      many.resize(size);
  }
  T *data() { return count > N ? many.data() : few.data(); }
  size_t size() const { return count; }
  T *begin() { return data(); }
  T *end() { return data() + count; }

private:
  std::array<T, N> few;
  std::vector<T> many;
  size_t count = 0;
};

} // namespace attnc

#endif // ATTNC_SUPPORT_INLINEBUFFER_H
