// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The emulated driver library, opened as a runtime opens it.
#pragma once

#include "EmulatorTest.h"

#include <dlfcn.h>

namespace attnc::emu::test {

class Driver : public ::testing::Test {
protected:
  void SetUp() override {
    unsetenv("ATTNC_EMU_DEVICE");
    open(ATTNC_EMU_LIBRARY);
  }
  void open(const std::string &path) {
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    ASSERT_EQ(call<int(unsigned)>("cuInit")(0), 0);
    void *context = nullptr;
    ASSERT_EQ((call<int(void **, int)>("cuDevicePrimaryCtxRetain")(&context, 0)), 0);
    ASSERT_EQ(call<int(void *)>("cuCtxSetCurrent")(context), 0);
  }
  void TearDown() override { call<int(int)>("cuDevicePrimaryCtxReset_v2")(0); }
  template <class F> F *call(const char *name) {
    auto *f = reinterpret_cast<F *>(dlsym(library, name));
    EXPECT_NE(f, nullptr) << name;
    return f;
  }
  void *function(const std::string &ptx, const char *name) {
    void *module = nullptr, *f = nullptr;
    EXPECT_EQ((call<int(void **, const void *)>("cuModuleLoadData")(&module, ptx.c_str())), 0);
    EXPECT_EQ((call<int(void **, void *, const char *)>("cuModuleGetFunction")(&f, module, name)),
              0);
    return f;
  }
  unsigned long long allocate(size_t bytes) {
    unsigned long long p = 0;
    EXPECT_EQ((call<int(unsigned long long *, size_t)>("cuMemAlloc_v2")(&p, bytes)), 0);
    return p;
  }
  int launch(void *f, unsigned grid, unsigned block, unsigned shared, void **params) {
    using Launch = int(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                       void *, void **, void **);
    return call<Launch>("cuLaunchKernel")(f, grid, 1, 1, block, 1, 1, shared, nullptr, params,
                                          nullptr);
  }
  void *library = nullptr;
};

} // namespace attnc::emu::test
