// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cuLaunchKernelEx and its attributes: clusters asked for at launch, by the function and by the
// PTX, and programmatic dependent launches. Also tensor maps made through the exported function.
#include "DriverTest.h"

#include <cstdio>
#include <unistd.h>

namespace attnc::emu::test {
namespace {

// As <cuda.h> lays them out.
struct Attribute {
  int id;
  char pad[4];
  union {
    char bytes[64];
    unsigned cluster[3];
    int allowed;
  };
};
struct Config {
  unsigned grid[3], block[3], sharedBytes;
  void *stream;
  Attribute *attributes;
  unsigned count;
};
constexpr int clusterDimension = 4, programmaticSerialization = 6; // CU_LAUNCH_ATTRIBUTE_*
constexpr int ok = 0, invalidValue = 1, invalidClusterSize = 912;  // CUresult

class DriverLaunch : public Driver {
protected:
  /// The device is chosen once for each copy of the library, and other tests use the first.
  void SetUp() override {
    copy = ::testing::TempDir() + "attnc_emu_cuda_sm90a_" + std::to_string(getpid()) + ".so";
    {
      std::ifstream in(ATTNC_EMU_LIBRARY, std::ios::binary);
      std::ofstream(copy, std::ios::binary) << in.rdbuf();
    }
    setenv("ATTNC_EMU_DEVICE", "sm_90a", 1);
    open(copy);
    unsetenv("ATTNC_EMU_DEVICE");
  }
  void TearDown() override {
    Driver::TearDown();
    remove(copy.c_str());
  }
  /// Each block stores its rank, the size of its cluster and whether the cluster is explicit.
  void *kernel(const std::string &directives) {
    return function(".version 8.0\n.target sm_90a\n.address_size 64\n"
                    ".visible .entry k(.param .u64 out) " +
                        directives +
                        " {\n.reg .b32 %r<8>;\n.reg .b64 %d<4>;\n.reg .pred %p;\n"
                        "ld.param.u64 %d0, [out];\nmov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %ctaid.y;\n"
                        "mov.u32 %r2, %nctaid.x;\nmad.lo.u32 %r0, %r1, %r2, %r0;\n"
                        "mul.wide.u32 %d1, %r0, 4;\nadd.u64 %d0, %d0, %d1;\n"
                        "mov.u32 %r3, %cluster_ctarank;\nmov.u32 %r4, %cluster_nctarank;\n"
                        "mov.pred %p, %is_explicit_cluster;\nselp.u32 %r5, 65536, 0, %p;\n"
                        "shl.b32 %r4, %r4, 8;\nor.b32 %r3, %r3, %r4;\nor.b32 %r3, %r3, %r5;\n"
                        "st.global.u32 [%d0], %r3;\nret;\n}\n",
                    "k");
  }
  int launchEx(void *f, unsigned gx, unsigned gy, std::vector<Attribute> attributes) {
    out = allocate(4 * 256);
    void *params[] = {&out};
    Config c{{gx, gy, 1}, {32, 1, 1}, 0, nullptr, attributes.data(), unsigned(attributes.size())};
    return call<int(const Config *, void *, void **, void **)>("cuLaunchKernelEx")(&c, f, params,
                                                                                   nullptr);
  }
  static Attribute cluster(unsigned x, unsigned y = 1, unsigned z = 1) {
    Attribute a{};
    a.id = clusterDimension;
    a.cluster[0] = x, a.cluster[1] = y, a.cluster[2] = z;
    return a;
  }
  std::vector<uint32_t> results(size_t n) {
    std::vector<uint32_t> v(n);
    EXPECT_EQ(
        (call<int(void *, unsigned long long, size_t)>("cuMemcpyDtoH_v2")(v.data(), out, 4 * n)),
        ok);
    return v;
  }
  std::string report() { return call<const char *()>("attnc_emu_last_report")(); }
  std::string copy;
  unsigned long long out = 0;
};

TEST_F(DriverLaunch, ClusterOfTheLaunch) {
  void *f = kernel("");
  ASSERT_EQ(launchEx(f, 8, 1, {}), ok);
  EXPECT_EQ(results(8), std::vector<uint32_t>(8, 0x100));
  ASSERT_EQ(launchEx(f, 8, 1, {cluster(4)}), ok) << report();
  for (uint32_t i = 0; i < 8; ++i)
    EXPECT_EQ(results(8)[i], 0x10400 + i % 4) << i;
  ASSERT_EQ(launchEx(f, 4, 6, {cluster(2, 3)}), ok) << report();
  for (uint32_t y = 0; y < 6; ++y)
    for (uint32_t x = 0; x < 4; ++x)
      EXPECT_EQ(results(24)[4 * y + x], 0x10600 + x % 2 + 2 * (y % 3)) << x << "," << y;
  // The grid counts blocks, not clusters, and has to be made of whole ones.
  EXPECT_EQ(launchEx(f, 6, 1, {cluster(4)}), invalidClusterSize);
  EXPECT_NE(report().find("no multiple of the cluster"), std::string::npos) << report();
  EXPECT_EQ(launchEx(f, 8, 3, {cluster(4, 2)}), invalidClusterSize);
  EXPECT_EQ(launchEx(f, 8, 1, {cluster(0)}), invalidClusterSize);
  // None of these is sticky.
  EXPECT_EQ(launchEx(f, 8, 1, {cluster(8)}), ok) << report();
  const char *name = nullptr;
  EXPECT_EQ((call<int(int, const char **)>("cuGetErrorName")(912, &name)), ok);
  EXPECT_STREQ(name, "CUDA_ERROR_INVALID_CLUSTER_SIZE");
}

TEST_F(DriverLaunch, ClusterOfThePtx) {
  void *f = kernel(".reqnctapercluster 2");
  auto *set = call<int(void *, int, int)>("cuFuncSetAttribute");
  auto *get = call<int(int *, int, void *)>("cuFuncGetAttribute");
  int width = 0;
  EXPECT_EQ(get(&width, 11, f), ok); // CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH
  EXPECT_EQ(width, 2);
  EXPECT_EQ(set(f, 11, 4), invalidValue); // fixed at compile time
  ASSERT_EQ(launchEx(f, 4, 1, {}), ok);
  EXPECT_EQ(results(4), (std::vector<uint32_t>{0x10200, 0x10201, 0x10200, 0x10201}));
  ASSERT_EQ(launchEx(f, 4, 1, {cluster(2)}), ok);
  for (Attribute other : {cluster(4), cluster(1), cluster(1, 2)})
    EXPECT_EQ(launchEx(f, 4, 2, {other}), invalidClusterSize);
  EXPECT_EQ(launchEx(f, 3, 1, {}), invalidClusterSize);
  void *params[] = {&out};
  EXPECT_EQ(launch(f, 4, 32, 0, params), ok); // cuLaunchKernel takes the kernel's
  // A kernel that insists on being told.
  f = kernel(".explicitcluster");
  EXPECT_EQ(launchEx(f, 4, 1, {}), invalidClusterSize);
  EXPECT_NE(report().find(".explicitcluster"), std::string::npos) << report();
  EXPECT_EQ(launchEx(f, 4, 1, {cluster(2)}), ok);
  f = kernel(".maxclusterrank 4");
  EXPECT_EQ(launchEx(f, 8, 1, {cluster(4)}), ok);
  EXPECT_EQ(launchEx(f, 8, 1, {cluster(8)}), invalidClusterSize);
}

TEST_F(DriverLaunch, ClusterOfTheFunction) {
  void *f = kernel("");
  auto *set = call<int(void *, int, int)>("cuFuncSetAttribute");
  EXPECT_EQ(set(f, 11, 2), ok);
  EXPECT_EQ(set(f, 12, 2), ok);
  ASSERT_EQ(launchEx(f, 2, 2, {}), ok);
  EXPECT_EQ(results(4), (std::vector<uint32_t>{0x10400, 0x10401, 0x10402, 0x10403}));
  EXPECT_EQ(launchEx(f, 2, 2, {cluster(2, 2)}), ok);
  EXPECT_EQ(launchEx(f, 2, 2, {cluster(2)}), invalidClusterSize);
}

TEST_F(DriverLaunch, LargeClustersNeedTheAttribute) {
  void *f = kernel("");
  EXPECT_EQ(launchEx(f, 16, 1, {cluster(8)}), ok);
  EXPECT_EQ(launchEx(f, 16, 1, {cluster(16)}), invalidClusterSize);
  EXPECT_NE(report().find("the limit is 8"), std::string::npos) << report();
  auto *set = call<int(void *, int, int)>("cuFuncSetAttribute");
  EXPECT_EQ(set(f, 14, 1), ok); // CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
  ASSERT_EQ(launchEx(f, 16, 1, {cluster(16)}), ok);
  EXPECT_EQ(results(16)[15], 0x1100fu);
  EXPECT_EQ(launchEx(f, 32, 1, {cluster(32)}), invalidClusterSize);
  EXPECT_EQ(set(f, 14, 0), ok);
  EXPECT_EQ(launchEx(f, 16, 1, {cluster(16)}), invalidClusterSize);
}

/// The second grid may begin early, but what it reads after griddepcontrol.wait is what the first
/// one wrote.
TEST_F(DriverLaunch, ProgrammaticSerialization) {
  auto text = [](const char *body) {
    return std::string(".version 8.0\n.target sm_90a\n.address_size 64\n"
                       ".visible .entry k(.param .u64 out) {\n.reg .b32 %r<4>;\n.reg .b64 %d<2>;\n"
                       "ld.param.u64 %d0, [out];\n") +
           body + "ret;\n}\n";
  };
  void *first = function(text("griddepcontrol.launch_dependents;\nmov.u32 %r0, 5;\n"
                              "st.global.u32 [%d0], %r0;\n"),
                         "k"),
       *second = function(text("griddepcontrol.wait;\nld.global.u32 %r0, [%d0];\n"
                               "add.u32 %r0, %r0, 1;\nst.global.u32 [%d0+4], %r0;\n"),
                          "k");
  Attribute early{};
  early.id = programmaticSerialization;
  early.allowed = 1;
  unsigned long long cells = allocate(8);
  void *params[] = {&cells};
  auto *ex = call<int(const Config *, void *, void **, void **)>("cuLaunchKernelEx");
  for (void *f : {first, second}) {
    Config c{{1, 1, 1}, {1, 1, 1}, 0, nullptr, &early, 1};
    ASSERT_EQ(ex(&c, f, params, nullptr), ok) << report();
  }
  out = cells;
  EXPECT_EQ(results(2), (std::vector<uint32_t>{5, 6}));
  // Both attributes at once, and what is no attribute of a launch.
  void *f = kernel("");
  ASSERT_EQ(launchEx(f, 4, 1, {early, cluster(2)}), ok) << report();
  EXPECT_EQ(results(4)[3], 0x10201u);
  Attribute wrong{};
  for (int id : {-1, 3, 99}) {
    wrong.id = id;
    EXPECT_EQ(launchEx(f, 4, 1, {wrong}), invalidValue) << id;
  }
  Config none{{1, 1, 1}, {1, 1, 1}, 0, nullptr, nullptr, 1};
  EXPECT_EQ(ex(&none, f, params, nullptr), invalidValue);
}

TEST_F(DriverLaunch, TensorMaps) {
  using Encode =
      int(void *, int, unsigned, void *, const unsigned long long *, const unsigned long long *,
          const unsigned *, const unsigned *, int, int, int, int);
  auto *encode = call<Encode>("cuTensorMapEncodeTiled");
  alignas(64) char map[192];
  void *data = reinterpret_cast<void *>(allocate(4096));
  unsigned long long dims[] = {32, 16}, strides[] = {64};
  unsigned box[] = {32, 8}, steps[] = {1, 1};
  EXPECT_EQ(encode(map, 9, 2, data, dims, strides, box, steps, 0, 2, 2, 1), ok) << report();
  EXPECT_EQ(encode(map + 32, 9, 2, data, dims, strides, box, steps, 0, 2, 2, 1), invalidValue);
  EXPECT_EQ(encode(nullptr, 9, 2, data, dims, strides, box, steps, 0, 2, 2, 1), invalidValue);
  EXPECT_EQ(encode(map, 9, 2, data, nullptr, strides, box, steps, 0, 2, 2, 1), invalidValue);
  EXPECT_EQ(encode(map, 9, 2, data, dims, nullptr, box, steps, 0, 2, 2, 1), invalidValue);
  EXPECT_EQ(encode(map, 9, 1, data, dims, nullptr, box, steps, 0, 2, 2, 1), ok);
  EXPECT_EQ(encode(map, 9, 2, data, dims, strides, box, steps, 0, 2, 4, 1), invalidValue);
  EXPECT_EQ(encode(map, 9, 2, data, dims, strides, box, steps, 0, 1, 2, 1), invalidValue);
  EXPECT_NE(report().find("exceeds the swizzle span of 32"), std::string::npos) << report();
  auto *replace = call<int(void *, void *)>("cuTensorMapReplaceAddress");
  EXPECT_EQ(replace(map, data), ok);
  EXPECT_EQ(replace(map, static_cast<char *>(data) + 8), invalidValue);
  char garbage[128] = {};
  EXPECT_EQ(replace(garbage, data), invalidValue);
}

/// Before sm_90 there are neither clusters nor tensor maps.
TEST_F(Driver, Sm80HasNeitherClustersNorTensorMaps) {
  void *f = function(
      ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() { ret; }\n", "k");
  Attribute a{};
  a.id = clusterDimension;
  a.cluster[0] = 2, a.cluster[1] = a.cluster[2] = 1;
  Config c{{2, 1, 1}, {32, 1, 1}, 0, nullptr, &a, 1};
  auto *ex = call<int(const Config *, void *, void **, void **)>("cuLaunchKernelEx");
  EXPECT_EQ(ex(&c, f, nullptr, nullptr), invalidClusterSize);
  a.cluster[0] = 1;
  EXPECT_EQ(ex(&c, f, nullptr, nullptr), ok);
  using Encode =
      int(void *, int, unsigned, void *, const unsigned long long *, const unsigned long long *,
          const unsigned *, const unsigned *, int, int, int, int);
  alignas(64) char map[128];
  unsigned long long dims[] = {32}, data = allocate(128);
  unsigned box[] = {32}, steps[] = {1};
  EXPECT_EQ(call<Encode>("cuTensorMapEncodeTiled")(map, 9, 1, reinterpret_cast<void *>(data), dims,
                                                   nullptr, box, steps, 0, 0, 0, 0),
            invalidValue);
}

} // namespace
} // namespace attnc::emu::test
