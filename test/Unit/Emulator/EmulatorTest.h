// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the emulator's tests share: a machine with typed device buffers, fixtures read from disk,
// and a parameter buffer that aligns like PTX.
#pragma once

#include "attnc/Emulator/Emulator.h"
#include "attnc/Emulator/Memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>

namespace attnc::emu::test {

inline std::string readFixture(const std::string &name) {
  std::ifstream in(std::string(ATTNC_EMU_FIXTURES) + "/" + name);
  EXPECT_TRUE(in.good()) << "missing fixture " << name;
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

/// Kernel arguments in order, each aligned to its size.
class Params {
public:
  template <class T> Params &add(T v) {
    bytes.resize((bytes.size() + sizeof(T) - 1) / sizeof(T) * sizeof(T));
    bytes.insert(bytes.end(), reinterpret_cast<char *>(&v),
                 reinterpret_cast<char *>(&v) + sizeof(T));
    return *this;
  }
  std::vector<char> bytes;
};

class EmulatorTest : public ::testing::Test {
protected:
  explicit EmulatorTest(const char *profile = "sm_80") : machine(profileFor(profile)) {}
  template <class T> uint64_t upload(const std::vector<T> &v) {
    uint64_t p = machine.memory().allocate(v.size() * sizeof(T));
    EXPECT_TRUE(machine.memory().write(p, v.data(), v.size() * sizeof(T)));
    return p;
  }
  template <class T> uint64_t reserve(size_t count) {
    return machine.memory().allocate(count * sizeof(T));
  }
  template <class T> std::vector<T> download(uint64_t p, size_t count) {
    std::vector<T> v(count);
    EXPECT_TRUE(machine.memory().read(p, v.data(), count * sizeof(T)));
    return v;
  }
  LaunchResult run(const LoadedModule &m, const char *kernel, LaunchConfig config,
                   const Params &p) {
    const Kernel *k = m.kernel(kernel);
    EXPECT_NE(k, nullptr) << kernel;
    return machine.launch(*k, config, p.bytes.data(), p.bytes.size());
  }
  Machine machine;
};

inline float fromBf16(uint16_t b) {
  uint32_t bits = uint32_t(b) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
inline uint16_t toBf16(float f) {
  uint32_t b;
  memcpy(&b, &f, 4);
  return static_cast<uint16_t>((b + 0x7fff + ((b >> 16) & 1)) >> 16);
}
inline float fromHalf(uint16_t h) {
  _Float16 x;
  memcpy(&x, &h, 2);
  return static_cast<float>(x);
}
inline uint16_t toHalf(float f) {
  _Float16 x = static_cast<_Float16>(f);
  uint16_t h;
  memcpy(&h, &x, 2);
  return h;
}

/// Well mixed 16-bit values; `keep` and `set` make floats of moderate size of them, whose sums
/// round.
inline std::vector<uint16_t> mixedBits(size_t count, uint32_t salt, uint16_t keep, uint16_t set) {
  std::vector<uint16_t> bits(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t h = static_cast<uint32_t>((i + uint64_t(salt) * 1000003) * 2654435761u);
    bits[i] = static_cast<uint16_t>((h >> 16 & keep) | set);
  }
  return bits;
}

/// FNV-1a.
inline uint64_t hashOf(const void *data, size_t bytes) {
  uint64_t h = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; ++i)
    h = (h ^ static_cast<const unsigned char *>(data)[i]) * 0x100000001b3;
  return h;
}

} // namespace attnc::emu::test
