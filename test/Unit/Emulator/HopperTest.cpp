// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// sm_90a: a TMA + mbarrier + wgmma pipeline compiled by nvcc, the checks of the asynchronous
// machinery one by one, and every wgmma operand layout against a naive product.
#include "EmulatorTest.h"
#include "Oracle.h"
#include "attnc/Emulator/TensorMap.h"

#include <random>
#include <unistd.h>

namespace attnc::emu::test {

class Hopper : public EmulatorTest {
protected:
  Hopper() : EmulatorTest("sm_90a") {}
  TensorMap map2d(int type, uint64_t address, uint64_t columns, uint64_t rows, uint32_t boxX,
                  uint32_t boxY, int swizzle) {
    uint64_t dims[] = {columns, rows}, strides[] = {columns * (type == 7 ? 4 : 2)};
    uint32_t box[] = {boxX, boxY}, es[] = {1, 1};
    TensorMap m;
    EXPECT_EQ(encodeTiled(m, type, 2, address, dims, strides, box, es, 0, swizzle, 0), "");
    return m;
  }
};

static std::vector<uint16_t> smallIntegers(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<uint16_t> v(n);
  for (auto &x : v)
    x = toBf16(float(int(rng() % 9) - 4));
  return v;
}

TEST_F(Hopper, TmaWgmmaPipeline) {
  auto module = machine.load(readFixture("hopper.ptx"));
  const int M = 128, N = 192, K = 64 * 5;
  auto a = smallIntegers(size_t(M) * K, 1), b = smallIntegers(size_t(N) * K, 2);
  uint64_t da = upload(a), db = upload(b);
  for (const char *kernel : {"gemm_ss", "gemm_rs"})
    for (int policy = 0; policy < 5; ++policy) {
      machine.options().delivery = policy == 0   ? Delivery::Late
                                   : policy == 1 ? Delivery::Early
                                                 : Delivery::Random;
      machine.options().shuffle = policy >= 3;
      machine.options().seed = policy;
      machine.options().thorough = policy == 4;
      uint64_t dc = reserve<float>(M * N);
      TensorMap ma = map2d(9, da, K, M, 64, 64, 3), mb = map2d(9, db, K, N, 64, 64, 3),
                mc = map2d(7, dc, N, M, 32, 64, 0);
      Params p;
      p.bytes.resize(388);
      memcpy(&p.bytes[0], &ma, 128), memcpy(&p.bytes[128], &mb, 128),
          memcpy(&p.bytes[256], &mc, 128), memcpy(&p.bytes[384], &K, 4);
      LaunchResult r = run(*module, kernel, {{N / 64, M / 64}, {256}}, p);
      ASSERT_TRUE(r.ok) << kernel << " policy " << policy << "\n" << r.report;
      auto got = download<float>(dc, M * N);
      for (int i = 0; i < M; ++i)
        for (int j = 0; j < N; ++j) {
          float want = 0;
          for (int k = 0; k < K; ++k)
            want += fromBf16(a[i * K + k]) * fromBf16(b[j * K + k]);
          ASSERT_EQ(got[i * N + j], want)
              << kernel << " policy " << policy << " row " << i << " column " << j;
        }
    }
}

// See the test of the same name in AcceptanceTest.cpp.
TEST_F(Hopper, BitsAreThoseOfTheFirstVersion) {
  const int M = 64, N = 64, K = 320;
  uint64_t da = upload(mixedBits(M * K, 4, 0x81ff, 0x3e00)),
           db = upload(mixedBits(N * K, 5, 0x81ff, 0x3e00));
  auto module = machine.load(readFixture("hopper.ptx"));
  for (const char *kernel : {"gemm_ss", "gemm_rs"}) {
    uint64_t dc = reserve<float>(M * N);
    TensorMap ma = map2d(9, da, K, M, 64, 64, 3), mb = map2d(9, db, K, N, 64, 64, 3),
              mc = map2d(7, dc, N, M, 32, 64, 0);
    Params p;
    p.bytes.resize(388);
    memcpy(&p.bytes[0], &ma, 128), memcpy(&p.bytes[128], &mb, 128), memcpy(&p.bytes[256], &mc, 128),
        memcpy(&p.bytes[384], &K, 4);
    LaunchResult r = run(*module, kernel, {{1}, {256}}, p);
    ASSERT_TRUE(r.ok) << r.report;
    std::vector<float> got = download<float>(dc, M * N);
    EXPECT_EQ(hashOf(got.data(), got.size() * 4), 0x5eb99b3fcf589514u) << kernel;
  }
}

/// The pipeline with one line changed must be caught. Each entry: text to find, replacement, kinds.
TEST_F(Hopper, BrokenPipelinesAreCaught) {
  struct Mutation {
    const char *name, *find, *replace;
    std::vector<std::string> kinds;
  };
  std::vector<Mutation> list = {
      {"proxy fence deleted", "fence.proxy.async.shared::cta;", "", {"missing-proxy-fence"}},
      {"wait of the store deleted", "cp.async.bulk.wait_group 0;", "", {"missing-wait"}},
      {"commit of the store deleted", "cp.async.bulk.commit_group;", "", {"missing-wait"}},
      {"too few bytes expected",
       "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r",
       "",
       {"deadlock", "race", "missing-wait", "mbarrier-overflow"}},
      {"wait of wgmma deleted", "wgmma.wait_group.sync.aligned 0;", "", {"race"}},
      {"wgmma fence deleted", "wgmma.fence.sync.aligned;", "", {"missing-wgmma-fence"}},
      {"consumer release deleted", "mbarrier.arrive.shared::cta.b64 _, [", "", {"deadlock"}},
      {"block barrier deleted", "bar.sync 1, 128;", "", {"race", "uninitialized-read"}},
      {"barriers not initialised before use",
       "bar.sync \t0;",
       "",
       {"mbarrier-uninitialized", "race"}},
  };
  std::string good = readFixture("hopper.ptx");
  const int M = 64, N = 64, K = 64 * 5;
  uint64_t da = upload(smallIntegers(M * K, 1)), db = upload(smallIntegers(N * K, 2));
  for (const Mutation &m : list) {
    std::string text = good;
    size_t at = text.find(m.find), changed = 0;
    while (at != std::string::npos) {
      size_t end = text.find(';', at) + 1;
      text.replace(at, end - at, m.replace);
      at = text.find(m.find, at);
      ++changed;
    }
    ASSERT_GT(changed, 0u) << m.name;
    auto module = machine.load(text);
    uint64_t dc = reserve<float>(M * N);
    TensorMap ma = map2d(9, da, K, M, 64, 64, 3), mb = map2d(9, db, K, N, 64, 64, 3),
              mc = map2d(7, dc, N, M, 32, 64, 0);
    Params p;
    p.bytes.resize(388);
    memcpy(&p.bytes[0], &ma, 128), memcpy(&p.bytes[128], &mb, 128), memcpy(&p.bytes[256], &mc, 128),
        memcpy(&p.bytes[384], &K, 4);
    LaunchResult r = run(*module, "gemm_ss", {{1}, {256}}, p);
    EXPECT_NE(std::find(m.kinds.begin(), m.kinds.end(), r.kind), m.kinds.end())
        << m.name << ": '" << r.kind << "'\n"
        << r.report;
  }
}

TEST_F(Hopper, TensorMapsOutOfBoundsFillsZero) {
  // A 40 x 6 f32 tensor, box 32 x 4 at (24, 4): 16 columns and 2 rows are inside.
  auto module = machine.load(
      ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .align 64 .b8 "
      "map[128], .param .u64 out) {\n"
      ".reg .b32 %r<8>;\n.reg .b64 %rd<8>;\n.reg .pred %p<4>;\n.shared .align 1024 .b8 "
      "tile[512];\n.shared .align 8 .b64 bar;\n"
      "mov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\nmov.u32 %r2, bar;\nsetp.eq.u32 %p0, %r0, 0;\n"
      "@%p0 mbarrier.init.shared.b64 [%r2], 1;\nbar.sync 0;\nmov.b64 %rd0, map;\n"
      "@%p0 mbarrier.arrive.expect_tx.shared.b64 %rd1, [%r2], 512;\n"
      "@%p0 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], "
      "[%rd0, {24, 4}], [%r2];\n"
      "W: mbarrier.try_wait.parity.shared.b64 %p1, [%r2], 0;\n@!%p1 bra W;\n"
      "ld.param.u64 %rd2, [out];\nmul.wide.u32 %rd3, %r0, 4;\nadd.u64 %rd2, %rd2, %rd3;\nshl.b32 "
      "%r3, %r0, 2;\nadd.u32 %r3, %r3, %r1;\n"
      "ld.shared.u32 %r4, [%r3];\nst.global.u32 [%rd2], %r4;\nret;\n}\n");
  std::vector<float> t(40 * 6);
  for (size_t i = 0; i < t.size(); ++i)
    t[i] = float(i + 1);
  uint64_t d = upload(t), out = reserve<float>(128);
  TensorMap m = map2d(7, d, 40, 6, 32, 4, 0);
  Params p;
  p.bytes.resize(128);
  memcpy(p.bytes.data(), &m, 128);
  p.add(out);
  LaunchResult r = run(*module, "k", {{1}, {128}}, p);
  ASSERT_TRUE(r.ok) << r.report;
  auto got = download<float>(out, 128);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 32; ++x)
      EXPECT_EQ(got[32 * y + x], y < 2 && x < 16 ? t[(y + 4) * 40 + x + 24] : 0.0f)
          << x << "," << y;
}

TEST_F(Hopper, LanesOfOneWarpMayWaitForEachOther) {
  // Lane 0 waits for a phase that the other lanes of its warp complete; with one arrival too few
  // the wait is a deadlock, and the report says for what.
  auto text = [](const char *count) {
    return std::string(".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k() {\n"
                       ".reg .b32 %r<4>;\n.reg .b64 %rd<4>;\n.reg .pred %p<4>;\n"
                       ".shared .align 8 .b64 bar;\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, bar;\n"
                       "setp.eq.u32 %p0, %r0, 0;\n@%p0 mbarrier.init.shared.b64 [%r1], ") +
           count +
           ";\nbar.sync 0;\n@!%p0 bra ARRIVE;\n"
           "WAIT: mbarrier.try_wait.parity.shared.b64 %p1, [%r1], 0;\n@!%p1 bra WAIT;\nbra.uni "
           "END;\n"
           "ARRIVE: mbarrier.arrive.shared.b64 %rd0, [%r1];\nEND: bar.warp.sync -1;\nret;\n}\n";
  };
  LaunchResult good = run(*machine.load(text("31")), "k", {{1}, {32}}, Params());
  EXPECT_TRUE(good.ok) << good.report;
  LaunchResult bad = run(*machine.load(text("32")), "k", {{1}, {32}}, Params());
  EXPECT_EQ(bad.kind, "deadlock");
  EXPECT_NE(bad.report.find("waits for phase parity 0 of the mbarrier"), std::string::npos)
      << bad.report;
}

TEST_F(Hopper, TensorMapArguments) {
  TensorMap m;
  uint64_t dims[] = {64, 64}, strides[] = {128};
  uint32_t box[] = {64, 64}, es[] = {1, 1};
  EXPECT_EQ(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 3, 0), "");
  EXPECT_NE(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 2, 0)
                .find("exceeds the swizzle span of 64"),
            std::string::npos);
  EXPECT_NE(encodeTiled(m, 9, 2, 4100, dims, strides, box, es, 0, 3, 0), "");
  strides[0] = 120;
  EXPECT_NE(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 3, 0).find("multiple of 16"),
            std::string::npos);
  strides[0] = 128, box[1] = 257;
  EXPECT_NE(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 3, 0), "");
  box[1] = 64;
  EXPECT_NE(encodeTiled(m, 0, 2, 4096, dims, strides, box, es, 0, 3, 1).find("floating-point"),
            std::string::npos);
}

/// Shared-memory layouts of wgmma operands: which byte holds element (mn, k), from CuTe's canonical
/// layouts rather than from the emulator's formulas: atoms of 8 rows (K-major) or 8 columns
/// (MN-major) in which 16-byte chunk c of line i sits at chunk c ^ (i mod swizzle lines).
struct Layout {
  int swizzle; ///< 0 none, 1 32B, 2 64B, 3 128B
  bool mnMajor;
};
static uint32_t byteOf(const Layout &L, int mn, int k, int size, int elementBytes, uint32_t lbo,
                       uint32_t sbo) {
  int T = 16 / elementBytes, W = L.swizzle ? (16 << L.swizzle) : 16, R = W / elementBytes;
  (void)size;
  int line, inner; // 16-byte line index within the 8-line atom, element position along the
                   // contiguous dimension
  uint32_t base;
  if (!L.mnMajor) {
    line = mn % 8, inner = k % (L.swizzle ? R : T);
    base = mn / 8 * sbo + (L.swizzle ? 0 : k / T * lbo);
  } else {
    line = k % 8, inner = mn % (L.swizzle ? R : T);
    base = L.swizzle ? mn / R * lbo + k / 8 * sbo : mn / T * sbo + k / 8 * lbo;
  }
  int chunk = inner / T;
  if (L.swizzle)
    chunk ^= L.swizzle == 3 ? line : L.swizzle == 2 ? line / 2 : line / 4;
  return base + line * W + chunk * 16 + inner % T * elementBytes;
}

struct WgmmaCase {
  const char *types;
  char element;
  int n;
  Layout a, b;
  bool registersA = false;
};
static void PrintTo(const WgmmaCase &c, std::ostream *o) {
  *o << c.types << " n" << c.n << " swizzle " << c.a.swizzle << c.b.swizzle << " major "
     << c.a.mnMajor << c.b.mnMajor << (c.registersA ? " A in registers" : "");
}

class Wgmma : public Hopper, public ::testing::WithParamInterface<WgmmaCase> {
protected:
  void assembleOnce(const std::string &text) {
    if (std::system("ptxas --version >/dev/null 2>&1") != 0)
      return;
    std::string path =
        ::testing::TempDir() + "attnc_emu_wgmma_" + std::to_string(getpid()) + ".ptx";
    std::ofstream(path) << text;
    std::string command = "ptxas -O0 -arch=sm_90a -o /dev/null " + path + " >" + path + ".log 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << "ptxas rejects " << text;
    remove(path.c_str());
    remove((path + ".log").c_str());
  }
};

static uint64_t encodeSmall(char e, int v) {
  switch (e) {
  case 'h':
    return toHalf(float(v));
  case 'b':
    return toBf16(float(v));
  case 't':
    return bits<uint32_t>(float(v));
  case 'e':
    return roundTo(v, fp8e4m3, Round::Nearest);
  case 'E':
    return roundTo(v, fp8e5m2, Round::Nearest);
  default:
    return v & 255;
  }
}

TEST_P(Wgmma, MatchesNaiveProduct) {
  WgmmaCase c = GetParam();
  int bytes = c.element == 't' ? 4 : c.element == 'h' || c.element == 'b' ? 2 : 1, K = 32 / bytes;
  bool integer = c.element == 's' || c.element == 'u';
  auto descriptorFields = [&](const Layout &L, int mn, uint32_t &lbo, uint32_t &sbo) {
    int T = 16 / bytes, W = 16 << L.swizzle, R = W / bytes;
    (void)mn;
    if (!L.mnMajor) {
      sbo = L.swizzle ? 8 * W : 128;
      lbo = L.swizzle ? 16 : uint32_t((mn + 7) / 8 * 128);
    } else {
      lbo = L.swizzle ? 8 * W * ((K + 7) / 8) : uint32_t((mn + T - 1) / T * 128);
      sbo = L.swizzle ? 8 * W : 128;
      (void)R;
    }
  };
  uint32_t lboA, sboA, lboB, sboB;
  descriptorFields(c.a, 64, lboA, sboA);
  descriptorFields(c.b, c.n, lboB, sboB);
  std::mt19937 rng(5);
  std::vector<int> A(64 * K), B(c.n * K);
  for (int &v : A)
    v = int(rng() % 7) - (c.element == 'u' ? 0 : 3);
  for (int &v : B)
    v = int(rng() % 7) - (c.element == 'u' ? 0 : 3);
  std::vector<char> tileA(32768, 0), tileB(32768, 0);
  auto fill = [&](std::vector<char> &tile, const std::vector<int> &m, const Layout &L, int rows,
                  uint32_t lbo, uint32_t sbo) {
    for (int i = 0; i < rows; ++i)
      for (int k = 0; k < K; ++k) {
        uint64_t e = encodeSmall(c.element, m[i * K + k]);
        memcpy(&tile[byteOf(L, i, k, rows, bytes, lbo, sbo)], &e, bytes);
      }
  };
  auto descriptor = [&](const Layout &L, uint32_t lbo, uint32_t sbo) {
    uint64_t mode = L.swizzle == 0 ? 0 : 4 - L.swizzle;
    return uint64_t(lbo >> 4) << 16 | uint64_t(sbo >> 4) << 32 | mode << 62;
  };
  int regs = std::string(c.types).substr(0, 3) == "f16" ? c.n / 4 : c.n / 2;
  std::string acc;
  for (int i = 0; i < regs; ++i)
    acc += (i ? ",%a" : "{%a") + std::to_string(i);
  acc += "}";
  std::string tail =
      integer                      ? ""
      : bytes == 2 && c.registersA ? std::string(", 1, 1, ") + (c.b.mnMajor ? "1" : "0")
      : bytes == 2
          ? std::string(", 1, 1, ") + (c.a.mnMajor ? "1" : "0") + ", " + (c.b.mnMajor ? "1" : "0")
          : ", 1, 1";
  std::string text =
      ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 in, .param "
      ".u64 out, .param .u64 da, .param .u64 db, .param .u64 fragments) {\n"
      ".reg .b32 %r<10>;\n.reg .b32 %a<" +
      std::to_string(regs) +
      ">;\n.reg .b64 %rd<12>;\n.reg .pred %p<4>;\n.shared .align 1024 .b8 tiles[65536];\n"
      "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nld.param.u64 %rd2, [da];\nld.param.u64 "
      "%rd3, [db];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, tiles;\n"
      "shl.b32 %r2, %r0, 4;\nC: cvt.u64.u32 %rd4, %r2;\nadd.u64 %rd4, %rd4, %rd0;\nadd.u32 %r3, "
      "%r2, %r1;\nld.global.v4.u32 {%r4,%r5,%r6,%r7}, [%rd4];\n"
      "st.shared.v4.u32 [%r3], {%r4,%r5,%r6,%r7};\nadd.u32 %r2, %r2, 2048;\nsetp.lt.u32 %p0, %r2, "
      "65536;\n@%p0 bra C;\nld.param.u64 %rd7, [fragments];\nmul.wide.u32 %rd8, %r0, 16;\n"
      "add.u64 %rd7, %rd7, %rd8;\nld.global.v4.b32 {%r4,%r5,%r6,%r7}, [%rd7];\n"
      "fence.proxy.async;\nbar.sync 0;\ncvt.u64.u32 %rd5, %r1;\nshr.u64 %rd5, %rd5, 4;\nor.b64 "
      "%rd2, %rd2, %rd5;\nadd.u64 %rd5, %rd5, 2048;\nor.b64 %rd3, %rd3, %rd5;\n";
  for (int i = 0; i < regs; ++i)
    text += "mov.b32 %a" + std::to_string(i) + ", 0;\n";
  text += "wgmma.fence.sync.aligned;\nsetp.ne.u32 %p1, 0, 1;\nwgmma.mma_async.sync.aligned.m64n" +
          std::to_string(c.n) + "k" + std::to_string(K) + "." + c.types + " " + acc +
          (c.registersA ? ", {%r4,%r5,%r6,%r7}" : ", %rd2") + ", %rd3, %p1" + tail +
          ";\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\nmul.wide.u32 "
          "%rd6, %r0, " +
          std::to_string(4 * regs) + ";\nadd.u64 %rd1, %rd1, %rd6;\n";
  for (int i = 0; i < regs; ++i)
    text += "st.global.b32 [%rd1+" + std::to_string(4 * i) + "], %a" + std::to_string(i) + ";\n";
  assembleOnce(text + "ret;\n}\n");
  auto module = machine.load(text + "ret;\n}\n");
  uint64_t in = reserve<char>(65536), out = reserve<uint32_t>(128 * regs),
           fragments = reserve<uint32_t>(512);
  auto compare = [&](const std::string &what) {
    std::fill(tileA.begin(), tileA.end(), 0);
    std::fill(tileB.begin(), tileB.end(), 0);
    fill(tileA, A, c.a, 64, lboA, sboA);
    fill(tileB, B, c.b, c.n, lboB, sboB);
    // The fragment of A: register q of lane (g, t) holds row g + 8 (q mod 2) of the warp's sixteen,
    // and of k the P elements from P (4 (q / 2) + t).
    std::vector<uint32_t> fragment(512, 0);
    int P = 4 / bytes;
    for (int thread = 0; thread < 128; ++thread)
      for (int q = 0; q < 4; ++q)
        for (int e = 0; e < P; ++e) {
          int row = thread / 32 * 16 + thread % 32 / 4 + 8 * (q % 2),
              k = P * (4 * (q / 2) + thread % 4) + e;
          fragment[4 * thread + q] |= uint32_t(encodeSmall(c.element, A[row * K + k]))
                                      << (8 * bytes * e);
        }
    machine.memory().write(in, tileA.data(), 32768);
    machine.memory().write(in + 32768, tileB.data(), 32768);
    machine.memory().write(fragments, fragment.data(), 2048);
    LaunchResult r = run(*module, "k", {{1}, {128}},
                         Params()
                             .add(in)
                             .add(out)
                             .add(descriptor(c.a, lboA, sboA))
                             .add(descriptor(c.b, lboB, sboB))
                             .add(fragments));
    ASSERT_TRUE(r.ok) << r.report;
    auto got = download<uint32_t>(out, 128 * regs);
    for (int thread = 0; thread < 128; ++thread)
      for (int i = 0; i < c.n / 2; ++i) {
        int lane = thread % 32, row = thread / 32 * 16 + lane / 4 + 8 * (i / 2 % 2),
            col = 8 * (i / 4) + 2 * (lane % 4) + i % 2, want = 0;
        for (int k = 0; k < K; ++k)
          want += A[row * K + k] * B[col * K + k];
        double value = regs == c.n / 4
                           ? fromHalf(uint16_t(got[thread * regs + i / 2] >> 16 * (i & 1)))
                       : integer ? int32_t(got[thread * regs + i])
                                 : asFloat(got[thread * regs + i]);
        ASSERT_EQ(value, want) << what << ": row " << row << " column " << col;
      }
  };
  compare("random");
  for (int sample = 0; sample < 12 && !HasFatalFailure(); ++sample) {
    int i = int(rng() % 64), j = int(rng() % unsigned(c.n)), k = int(rng() % unsigned(K));
    std::fill(A.begin(), A.end(), 0);
    std::fill(B.begin(), B.end(), 0);
    A[i * K + k] = B[j * K + k] = 1;
    compare("one at " + std::to_string(i) + "," + std::to_string(k) + " and " + std::to_string(j));
  }
}

/// All types, both majors where they exist, all swizzles, A from shared memory and from registers.
static std::vector<WgmmaCase> allWgmmaCases() {
  struct Types {
    const char *name;
    char element;
  };
  std::vector<WgmmaCase> v;
  const int sizes[] = {8, 16, 40, 64, 96, 128, 200, 256};
  int next = 0;
  auto size = [&] { return sizes[next++ % 8]; };
  for (Types t :
       {Types{"f32.bf16.bf16", 'b'}, Types{"f32.f16.f16", 'h'}, Types{"f16.f16.f16", 'h'}})
    for (int swizzle = 0; swizzle < 4; ++swizzle)
      for (bool b : {false, true}) {
        for (bool a : {false, true}) {
          // MN-major tiles are whole multiples of the swizzle's width.
          int n = b ? 64 * (1 + next++ % 4) : size();
          v.push_back({t.name, t.element, n, {swizzle, a}, {swizzle, b}});
        }
        v.push_back({t.name, t.element, b ? 128 : size(), {0, false}, {swizzle, b}, true});
      }
  for (Types t :
       {Types{"f32.tf32.tf32", 't'}, Types{"f32.e4m3.e4m3", 'e'}, Types{"f32.e5m2.e5m2", 'E'},
        Types{"f16.e4m3.e4m3", 'e'}, Types{"s32.s8.s8", 's'}, Types{"s32.u8.u8", 'u'}})
    for (int swizzle = 0; swizzle < 4; ++swizzle)
      for (bool registers : {false, true}) {
        // Integers come in multiples of 16 above 32 only; 8-bit sizes that all types have.
        static const int common[] = {8, 16, 24, 32, 64, 96, 128, 256};
        v.push_back(
            {t.name, t.element, common[next++ % 8], {swizzle, false}, {swizzle, false}, registers});
      }
  return v;
}

INSTANTIATE_TEST_SUITE_P(Everything, Wgmma, ::testing::ValuesIn(allWgmmaCases()));

INSTANTIATE_TEST_SUITE_P(
    Layouts, Wgmma,
    ::testing::Values(WgmmaCase{"f32.bf16.bf16", 'b', 64, {3, false}, {3, false}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 128, {2, false}, {1, false}},
                      WgmmaCase{"f32.f16.f16", 'h', 8, {0, false}, {0, false}},
                      WgmmaCase{"f32.f16.f16", 'h', 64, {3, true}, {3, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 128, {3, false}, {3, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 64, {2, true}, {2, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 64, {1, true}, {1, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 64, {0, true}, {0, true}},
                      WgmmaCase{"f16.f16.f16", 'h', 64, {3, false}, {3, true}},
                      WgmmaCase{"f32.tf32.tf32", 't', 32, {3, false}, {3, false}},
                      WgmmaCase{"f32.e4m3.e4m3", 'e', 64, {3, false}, {3, false}},
                      WgmmaCase{"f32.e5m2.e5m2", 'E', 64, {2, false}, {2, false}},
                      WgmmaCase{"s32.s8.s8", 's', 64, {3, false}, {3, false}},
                      WgmmaCase{"s32.u8.u8", 'u', 32, {0, false}, {1, false}}));

} // namespace attnc::emu::test
