// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps that kernels make: tensormap.replace on every field, in shared and in global memory,
// must give the map that cuTensorMapEncodeTiled gives; TMA must find what is wrong with one, and
// the fences of the tensor map proxy must stand between a change and a use.
#include "FormGrid.h"
#include "InstructionTest.h"
#include "attnc/Emulator/TensorMap.h"

namespace attnc::emu::test {
namespace {

class TensorMapGrid : public FormGrid {
protected:
  TensorMapGrid() { declarations += " .shared .align 128 .b8 map[128];"; }
};

TEST_F(TensorMapGrid, FormsOfReplace) {
  struct Field {
    std::string name, type;
    bool ordinal;
    int most;
  };
  const std::vector<Field> fields = {
      {"global_address", "b64", false, -1},   {"rank", "b32", false, -1},
      {"box_dim", "b32", true, -1},           {"global_dim", "b32", true, -1},
      {"global_stride", "b64", true, -1},     {"element_stride", "b32", true, -1},
      {"elemtype", "b32", false, 12},         {"interleave_layout", "b32", false, 2},
      {"swizzle_mode", "b32", false, 3},      {"fill_mode", "b32", false, 1},
      {"swizzle_atomicity", "b32", false, -2}};
  std::vector<std::string> grid;
  std::set<std::string> tested;
  for (const Field &f : fields)
    for (std::string space : {".shared::cta", ".global", "", ".shared", ".shared::cluster"})
      for (std::string size : {".b1024", ""})
        for (std::string type : {"b32", "b64"})
          for (std::string ordinal : {"", "0, ", "4, ", "5, "})
            for (std::string value : {"%r3", "%d3", "0", "1", "2", "3", "12"}) {
              if (f.name == "swizzle_mode" && value == "12")
                continue; // a fatal error of ptxas
              bool real = f.most != -2 && space != ".shared" && space != ".shared::cluster" &&
                          !size.empty() && type == f.type && f.ordinal == !ordinal.empty() &&
                          ordinal != "5, ";
              bool constant = value[0] != '%';
              real &= constant ? f.most == -1 || std::stoi(value) <= f.most
                               : f.most == -1 && (value == "%r3") == (type == "b32");
              std::string address = space == ".shared::cta" || space == ".shared" ? "%r1" : "%d1";
              grid.push_back("tensormap.replace.tile." + f.name + space + size + "." + type + " [" +
                             address + "], " + ordinal + value + ";");
              if (real)
                tested.insert(grid.back());
            }
  expectExactly(grid, tested);
}

TEST_F(TensorMapGrid, FormsOfTheFences) {
  std::vector<std::string> grid;
  std::set<std::string> tested;
  for (std::string scope : {".cta", ".cluster", ".gpu", ".sys", ""})
    for (std::string order : {".release", ".acquire", ""})
      for (std::string size : {"128", "64"}) {
        std::string how = ".tensormap::generic" + order + scope;
        bool good = !scope.empty() && size == "128";
        grid.push_back("tensormap.cp_fenceproxy.global.shared::cta" + how +
                       ".sync.aligned [%d1], [%r1], " + size + ";");
        if (good && order == ".release")
          tested.insert(grid.back());
        grid.push_back("fence.proxy" + how + " [%d1], " + size + ";");
        if (good && order == ".acquire")
          tested.insert(grid.back());
        grid.push_back("fence.proxy" + how + ";");
        if (!scope.empty() && order == ".release")
          tested.insert(grid.back());
      }
  expectExactly(grid, tested);
}

class TensorMapReplace : public Instructions {
protected:
  TensorMapReplace() : Instructions("sm_90a") {}

  /// All fields of a map, as arguments of cuTensorMapEncodeTiled.
  struct Fields {
    int type = TensorMap::F32;
    uint32_t rank = 2;
    uint64_t address = 0, dims[5] = {64, 32, 1, 1, 1}, strides[4] = {256, 0, 0, 0};
    uint32_t box[5] = {16, 8, 1, 1, 1}, steps[5] = {1, 1, 1, 1, 1};
    int swizzle = 0, fill = 0;
  };
  /// The instructions that put them into a map of zeros at `at`.
  static std::string replaces(const Fields &f, const std::string &space, const std::string &at) {
    static const int types[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 8, 11, 12}; // by CUtensorMapDataType
    std::string text;
    auto put = [&](const std::string &field, const std::string &type, const std::string &rest) {
      text += "tensormap.replace.tile." + field + space + ".b1024." + type + " [" + at + "], " +
              rest + ";\n";
    };
    auto n = [](uint64_t v) { return std::to_string(v); };
    put("rank", "b32", n(f.rank - 1));
    put("elemtype", "b32", n(uint64_t(types[f.type])));
    put("interleave_layout", "b32", "0");
    put("swizzle_mode", "b32", n(uint64_t(f.swizzle)));
    put("fill_mode", "b32", n(uint64_t(f.fill)));
    text += "mov.u64 %rd9, " + n(f.address) + ";\n";
    put("global_address", "b64", "%rd9");
    for (uint32_t i = 0; i < f.rank; ++i) {
      text += "mov.u32 %r9, " + n(f.box[i]) + ";\nmov.u32 %r8, " + n(f.dims[i]) + ";\n";
      put("box_dim", "b32", n(i) + ", %r9");
      put("global_dim", "b32", n(i) + ", %r8");
      put("element_stride", "b32", n(i) + ", " + n(f.steps[i]));
      if (i) {
        text += "mov.u64 %rd9, " + n(f.strides[i - 1]) + ";\n";
        put("global_stride", "b64", n(i - 1) + ", %rd9");
      }
    }
    return text;
  }
  /// %rd1 `maps` (128-byte aligned, zeros), %rd2 `out`; %r1 zeros in shared memory, of 32 threads;
  /// %r2 the thread, %p1 thread 0, %p2 block 0; `mbar` and `tile` in shared memory.
  std::string kernel(const std::string &body) {
    return ".version 8.7\n.target sm_90a\n.address_size 64\n"
           ".visible .entry k(.param .u64 maps, .param .u64 out) {\n.reg .b32 %r<40>;\n"
           ".reg .b64 %rd<20>;\n.reg .pred %p<8>;\n.shared .align 128 .b8 map[128];\n"
           ".shared .align 8 .b8 mbar[8];\n.shared .align 128 .b8 tile[1024];\n"
           "ld.param.u64 %rd1, [maps];\nld.param.u64 %rd2, [out];\nmov.u32 %r1, map;\n"
           "mov.u32 %r2, %tid.x;\nsetp.eq.u32 %p1, %r2, 0;\nmov.u32 %r3, %ctaid.x;\n"
           "setp.eq.u32 %p2, %r3, 0;\nshl.b32 %r4, %r2, 2;\nadd.u32 %r5, %r1, %r4;\n"
           "mov.u32 %r6, 0;\nst.shared.u32 [%r5], %r6;\nbar.sync 0;\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, uint32_t blocks = 1) {
    std::string ptx = kernel(body);
    assemble(ptx);
    auto module = machine.load(ptx);
    maps = upload(std::vector<uint64_t>(64, 0));
    out = reserve<float>(1024);
    return run(*module, "k", {{blocks}, {32}}, Params().add(maps).add(out));
  }
  /// Loads the box at (0, 0) of the map at %rd1 and stores it to `out`.
  static std::string load() {
    return "mov.u32 %r10, mbar; mov.u32 %r11, tile; mov.u32 %r12, 0;\n"
           "@%p1 mbarrier.init.shared.b64 [%r10], 1;\nfence.proxy.async;\nbar.sync 0;\n"
           "@%p1 mbarrier.arrive.expect_tx.shared.b64 %rd10, [%r10], 512;\n"
           "@%p1 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
           "[%r11], "
           "[%rd1, {%r12, %r12}], [%r10];\n"
           "W: mbarrier.try_wait.parity.shared.b64 %p5, [%r10], 0;\n@!%p5 bra W;\n"
           "add.u32 %r13, %r11, %r4;\ncvt.u64.u32 %rd11, %r4;\nadd.u64 %rd12, %rd2, %rd11;\n"
           "ld.shared.u32 %r14, [%r13];\nst.global.u32 [%rd12], %r14;\n"
           "ld.shared.u32 %r14, [%r13+384];\nst.global.u32 [%rd12+384], %r14;\n";
  }
  static std::string publish(const std::string &scope = "gpu") {
    return "bar.warp.sync -1;\ntensormap.cp_fenceproxy.global.shared::cta.tensormap::generic."
           "release." +
           scope + ".sync.aligned [%rd1], [%r1], 128;\n";
  }
  static std::string acquire(const std::string &scope = "gpu") {
    return "fence.proxy.tensormap::generic.acquire." + scope + " [%rd1], 128;\n";
  }
  static std::string byThread0(const std::string &text) {
    return "@!%p1 bra SKIP;\n" + text + "SKIP:\n";
  }
  /// The tensor: 32 rows of 64 floats that say where they are.
  Fields tensor() {
    std::vector<float> values(32 * 64);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i);
    Fields f;
    f.address = upload(values);
    return f;
  }
  uint64_t maps = 0, out = 0;
};

TEST_F(TensorMapReplace, EveryFieldIsAsTheDriverEncodesIt) {
  std::mt19937 rng(1);
  auto below = [&](uint64_t n) { return rng() % n; };
  static const uint32_t bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  for (int round = 0; round < 60 && !HasFailure(); ++round) {
    Fields f;
    f.type = round % 13;
    f.rank = 1 + static_cast<uint32_t>(below(5));
    f.address = 16 * below(1 << 20);
    f.swizzle = static_cast<int>(below(4));
    f.fill = f.type >= TensorMap::F16 && below(2);
    for (uint32_t i = 0; i < f.rank; ++i) {
      f.dims[i] = 1 + below(0xffffffffu);
      f.box[i] = static_cast<uint32_t>(i ? 1 + below(256) : 16 * (1 + below(2)) / bytes[f.type]);
      f.steps[i] = static_cast<uint32_t>(i ? 1 + below(8) : 1);
      if (i)
        f.strides[i - 1] = 16 * below(1ull << 30);
    }
    TensorMap want, got;
    ASSERT_EQ(encodeTiled(want, f.type, f.rank, f.address, f.dims, f.strides, f.box, f.steps, 0,
                          f.swizzle, f.fill),
              "");
    bool inShared = round & 1;
    std::string body = inShared    ? byThread0(replaces(f, ".shared::cta", "%r1")) + publish()
                       : round & 2 ? byThread0(replaces(f, ".global", "%rd1"))
                                   : byThread0(replaces(f, "", "%rd1"));
    LaunchResult r = execute(body);
    ASSERT_TRUE(r.ok) << r.report;
    memcpy(&got, download<char>(maps, 128).data(), 128);
    EXPECT_EQ(got.replaced, 1);
    got.replaced = 0;
    EXPECT_EQ(memcmp(&got, &want, 128), 0) << body;
  }
}

TEST_F(TensorMapReplace, AKernelUsesTheMapThatItMade) {
  Fields f = tensor();
  for (Delivery d : {Delivery::Early, Delivery::Late}) {
    machine.options().delivery = d;
    for (const std::string &body :
         {byThread0(replaces(f, ".shared::cta", "%r1")) + publish() + acquire() + load(),
          byThread0(replaces(f, ".global", "%rd1") +
                    "fence.proxy.tensormap::generic.release.cta;\n") +
              acquire("cta") + load()}) {
      LaunchResult r = execute(body);
      ASSERT_TRUE(r.ok) << r.report;
      auto first = download<float>(out, 32), last = download<float>(out + 384, 32);
      for (int i = 0; i < 32; ++i) {
        EXPECT_EQ(first[size_t(i)], float(i / 16 * 64 + i % 16));
        EXPECT_EQ(last[size_t(i)], float((6 + i / 16) * 64 + i % 16));
      }
    }
  }
}

TEST_F(TensorMapReplace, TheProxyNeedsItsFences) {
  Fields f = tensor();
  auto expect = [&](const std::string &body, const char *words, uint32_t blocks = 1) {
    LaunchResult r = execute(body, blocks);
    EXPECT_EQ(r.kind, "missing-proxy-fence") << body << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << r.report;
    machine.options().checks = false;
    EXPECT_TRUE(execute(body, blocks).ok);
    machine.options().checks = true;
  };
  std::string inShared = byThread0(replaces(f, ".shared::cta", "%r1")),
              inGlobal = byThread0(replaces(f, ".global", "%rd1"));
  expect(inShared + publish() + load(), "fence.proxy.tensormap::generic.acquire on it");
  expect(inShared + acquire() + publish() + load(), "fence.proxy.tensormap::generic.acquire on it");
  expect(inGlobal + acquire() + load(), "fence.proxy.tensormap::generic.release");
  // Another block makes the map and raises a flag behind it.
  auto handOver = [&](const std::string &to, const std::string &from) {
    return "@!%p2 bra USE;\n" + inShared + publish(to) +
           "@%p1 st.release.gpu.global.u32 [%rd1+256], 1;\nbra END;\n"
           "USE: ld.acquire.gpu.global.u32 %r20, [%rd1+256];\nsetp.eq.u32 %p6, %r20, 0;\n"
           "@%p6 bra USE;\n" +
           acquire(from) + load() + "END:\n";
  };
  std::string good = handOver("gpu", "gpu");
  LaunchResult r = execute(good, 2);
  EXPECT_TRUE(r.ok) << r.report;
  expect(handOver("cta", "gpu"), "at .gpu scope or wider", 2);
  expect(handOver("gpu", "cluster"), "at .gpu scope or wider", 2);
}

TEST_F(TensorMapReplace, TmaFindsWhatIsWrong) {
  auto expect = [&](const Fields &f, const char *words) {
    LaunchResult r =
        execute(byThread0(replaces(f, ".shared::cta", "%r1")) + publish() + acquire() + load());
    EXPECT_EQ(r.kind, "invalid-tensor-map") << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << r.report;
  };
  Fields f = tensor();
  f.box[0] = 0;
  expect(f, "box of dimension 0 must be 1 to 256, is 0");
  f = tensor(), f.box[1] = 70000;
  expect(f, "box of dimension 1 must be 1 to 256, is 65535");
  f = tensor(), f.dims[1] = 0;
  expect(f, "dimension 1 must be 1 to 2^32, is 0");
  f = tensor(), f.strides[0] = 24;
  expect(f, "stride of dimension 1 must be a multiple of 16");
  f = tensor(), f.steps[1] = 9;
  expect(f, "element stride of dimension 1 must be 1 to 8, is 9");
  f = tensor(), f.address += 4;
  expect(f, "global address must be a multiple of 16");
  f = tensor(), f.type = TensorMap::S32, f.fill = 1;
  expect(f, "NaN fill needs a floating-point type");
}

TEST_F(TensorMapReplace, IsAnAccessLikeAnyOther) {
  LaunchResult r = execute("tensormap.replace.tile.rank.shared::cta.b1024.b32 [%r1+32], 1;");
  EXPECT_EQ(r.kind, "misaligned-address") << r.report;
  r = execute(
      "mov.u32 %r9, tile; @%p1 tensormap.replace.tile.rank.shared::cta.b1024.b32 [%r9], 1;");
  EXPECT_EQ(r.kind, "uninitialized-read") << r.report;
  r = execute("@%p1 tensormap.replace.tile.rank.global.b1024.b32 [%rd1+512], 1;");
  EXPECT_EQ(r.kind, "out-of-bounds") << r.report;
  r = execute("@%p1 " + publish().substr(publish().find("tensormap")));
  EXPECT_EQ(r.kind, "divergent-collective") << r.report;
}

} // namespace
} // namespace attnc::emu::test
