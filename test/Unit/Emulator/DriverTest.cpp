// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The shared library as a runtime sees it: opened with dlopen, called through dlsym with the types
// of the CUDA Driver API, including the paths on which things go wrong.
#include "DriverTest.h"

#include <fstream>

namespace attnc::emu::test {

TEST_F(Driver, DeviceSaysItIsEmulated) {
  char name[100];
  ASSERT_EQ((call<int(char *, int, int)>("cuDeviceGetName")(name, sizeof name, 0)), 0);
  EXPECT_NE(std::string(name).find("EMULATED"), std::string::npos) << name;
  int major = 0, optin = 0;
  auto *attribute = call<int(int *, int, int)>("cuDeviceGetAttribute");
  EXPECT_EQ(attribute(&major, 75, 0), 0);
  EXPECT_EQ(attribute(&optin, 97, 0), 0);
  EXPECT_EQ(major, 8);
  EXPECT_EQ(optin, 163 * 1024);
  EXPECT_EQ(attribute(&major, 9999, 0), 1);
}

TEST_F(Driver, SaxpyRoundTrip) {
  void *f = function(readFixture("basics.ptx"), "saxpy");
  const int n = 300;
  float a = 3;
  std::vector<float> x(n, 2.0f), y(n, 1.0f);
  unsigned long long dx = allocate(n * 4), dy = allocate(n * 4);
  auto *toDevice = call<int(unsigned long long, const void *, size_t)>("cuMemcpyHtoD_v2");
  ASSERT_EQ(toDevice(dx, x.data(), n * 4), 0);
  ASSERT_EQ(toDevice(dy, y.data(), n * 4), 0);
  int count = n;
  void *params[] = {&count, &a, &dx, &dy};
  void *before = nullptr, *after = nullptr;
  auto *create = call<int(void **, unsigned)>("cuEventCreate");
  auto *record = call<int(void *, void *)>("cuEventRecord");
  create(&before, 0), create(&after, 0);
  record(before, nullptr);
  ASSERT_EQ(launch(f, 3, 128, 0, params), 0);
  record(after, nullptr);
  float elapsed = 0;
  ASSERT_EQ((call<int(float *, void *, void *)>("cuEventElapsedTime")(&elapsed, before, after)), 0);
  EXPECT_GT(elapsed, 0.0f);
  EXPECT_LT(elapsed, 0.01f); // a few hundred instructions, not milliseconds
  ASSERT_EQ(call<int()>("cuCtxSynchronize")(), 0);
  ASSERT_EQ((call<int(void *, unsigned long long, size_t)>("cuMemcpyDtoH_v2")(y.data(), dy, n * 4)),
            0);
  EXPECT_EQ(y, std::vector<float>(n, 7.0f));
}

TEST_F(Driver, FaultReturnsAnErrorAndAReport) {
  void *f = function(readFixture("basics.ptx"), "saxpy");
  float a = 3;
  int n = 64;
  unsigned long long bad = 0;
  void *params[] = {&n, &a, &bad, &bad};
  EXPECT_EQ(launch(f, 1, 64, 0, params), 700);
  std::string report = call<const char *()>("attnc_emu_last_report")();
  EXPECT_NE(report.find("out-of-bounds in kernel 'saxpy'"), std::string::npos) << report;
  const char *text = nullptr;
  EXPECT_EQ((call<int(int, const char **)>("cuGetErrorString")(700, &text)), 0);
  EXPECT_NE(std::string(text).find("out-of-bounds"), std::string::npos);
  EXPECT_EQ((call<int(int, const char **)>("cuGetErrorName")(700, &text)), 0);
  EXPECT_STREQ(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
}

TEST_F(Driver, KernelErrorsAreSticky) {
  void *f = function(readFixture("basics.ptx"), "saxpy");
  float a = 3;
  int n = 64;
  unsigned long long bad = 0, p = allocate(64);
  void *params[] = {&n, &a, &bad, &bad};
  ASSERT_EQ(launch(f, 1, 64, 0, params), 700);
  // Every call of the context returns it; what needs no context does not.
  EXPECT_EQ(call<int()>("cuCtxSynchronize")(), 700);
  unsigned long long q = 0;
  EXPECT_EQ((call<int(unsigned long long *, size_t)>("cuMemAlloc_v2")(&q, 16)), 700);
  EXPECT_EQ(call<int(unsigned long long)>("cuMemFree_v2")(p), 700);
  EXPECT_EQ(launch(f, 1, 64, 0, params), 700);
  void *module = nullptr;
  EXPECT_EQ((call<int(void **, const void *)>("cuModuleLoadData")(&module, "")), 700);
  int major = 0;
  EXPECT_EQ((call<int(int *, int, int)>("cuDeviceGetAttribute")(&major, 75, 0)), 0);
  // A new context is clean, and handles and memory of the old one are gone.
  ASSERT_EQ(call<int(int)>("cuDevicePrimaryCtxReset_v2")(0), 0);
  EXPECT_EQ(call<int()>("cuCtxSynchronize")(), 0);
  EXPECT_EQ(launch(f, 1, 64, 0, params), 400);
  EXPECT_EQ(call<int(unsigned long long)>("cuMemFree_v2")(p), 1);
  // Mistakes of the host are not sticky.
  f = function(readFixture("basics.ptx"), "saxpy");
  EXPECT_EQ(launch(f, 1, 2048, 0, params), 1);
  EXPECT_EQ(call<int()>("cuCtxSynchronize")(), 0);
}

TEST_F(Driver, BadPtxFillsTheJitLog) {
  std::string ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() {\n  "
                    "frobnicate.b32 1, 2;\n  ret;\n}\n";
  char log[512] = "";
  int options[] = {5, 6};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
  void *module = nullptr;
  EXPECT_EQ((call<int(void **, const void *, unsigned, int *, void **)>("cuModuleLoadDataEx")(
                &module, ptx.c_str(), 2, options, values)),
            218);
  EXPECT_NE(std::string(log).find("5:3: error: unsupported instruction 'frobnicate'"),
            std::string::npos)
      << log;
}

TEST_F(Driver, BinariesAreRefused) {
  void *module = nullptr;
  EXPECT_EQ((call<int(void **, const void *)>("cuModuleLoadData")(&module, "\x7f"
                                                                           "ELF\2\1\1")),
            209);
}

TEST_F(Driver, DynamicSharedMemoryNeedsTheAttribute) {
  void *f = function(readFixture("flash.ptx"), "flash_f16_128");
  unsigned long long q = allocate(64 * 128 * 2);
  ASSERT_EQ(
      (call<int(unsigned long long, unsigned short, size_t)>("cuMemsetD16_v2")(q, 0, 64 * 128)), 0);
  unsigned long long out = allocate(64 * 128 * 2);
  int n = 64, causal = 0;
  float scale = 1;
  void *params[] = {&q, &q, &q, &out, &n, &scale, &causal};
  EXPECT_EQ(launch(f, 1, 128, 81920, params), 1);
  auto *set = call<int(void *, int, int)>("cuFuncSetAttribute");
  EXPECT_EQ(set(f, 8, 200 * 1024), 1);
  EXPECT_EQ(set(f, 8, 81920), 0);
  EXPECT_EQ(launch(f, 1, 128, 81920, params), 0);
}

TEST_F(Driver, StaleHandlesAreErrors) {
  EXPECT_EQ(call<int(void *)>("cuModuleUnload")(&library), 400);
  EXPECT_EQ(launch(&library, 1, 1, 0, nullptr), 400);
  EXPECT_EQ(call<int(unsigned long long)>("cuMemFree_v2")(4096), 1);
  char byte;
  unsigned long long p = allocate(16);
  EXPECT_EQ((call<int(void *, unsigned long long, size_t)>("cuMemcpyDtoH_v2")(&byte, p + 16, 1)),
            1);
}

TEST_F(Driver, GetProcAddressFindsVersionedNames) {
  void *f = nullptr;
  auto *get =
      call<int(const char *, void **, int, unsigned long long, int *)>("cuGetProcAddress_v2");
  EXPECT_EQ(get("cuMemAlloc", &f, 13000, 0, nullptr), 0);
  EXPECT_EQ(f, dlsym(library, "cuMemAlloc_v2"));
  EXPECT_EQ(get("cuNoSuchThing", &f, 13000, 0, nullptr), 500);
}

TEST_F(Driver, AnotherPtxInPlaceOfTheProgramsOwn) {
  std::string path = ::testing::TempDir() + "substitute.ptx";
  std::ofstream(path) << ".version 8.0\n.target sm_80\n.address_size 64\n"
                         ".visible .entry other() { ret; }\n";
  setenv("ATTNC_EMU_PTX", path.c_str(), 1);
  void *f = function(readFixture("basics.ptx"), "other");
  unsetenv("ATTNC_EMU_PTX");
  EXPECT_EQ(launch(f, 1, 32, 0, nullptr), 0);
  void *module = nullptr;
  setenv("ATTNC_EMU_PTX", "/nowhere/at/all.ptx", 1);
  EXPECT_EQ((call<int(void **, const void *)>("cuModuleLoadData")(&module, "x")), 218);
  unsetenv("ATTNC_EMU_PTX");
}

} // namespace attnc::emu::test
