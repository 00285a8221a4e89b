// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Features by the bits of CPUID that stand for them (Intel's and AMD's manuals), and by the
// registers that the operating system keeps (XCR0). A test holds the table against LLVM's.
#include "attnc/Runtime/CpuFeatures.h"
#include <algorithm>
#include <array>
#include <cpuid.h>
#include <cstdint>
#include <sys/syscall.h>
#include <unistd.h>

using namespace attnc;

namespace {
enum Register { EAX, EBX, ECX, EDX };
/// State that the operating system has to keep for a feature: bits of XCR0.
enum State : uint64_t { Any = 0, XSave = 1, AVX = 6, AVX512 = 0xe6, AMX = 0x60000, APX = 1 << 19 };

struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit; ///< from 32 on: the low byte of the register is at least bit - 32
  State state = Any;
};
} // namespace

// Sorted by name. The parts of APX have one bit, and wide keys (widekl) are there only with the
// others (kl).
static constexpr Feature kFeatures[] = {
    {"64bit", 0x80000001, 0, EDX, 29},
    {"adx", 7, 0, EBX, 19},
    {"aes", 1, 0, ECX, 25},
    {"amx-avx512", 0x1e, 1, EAX, 7, AMX},
    {"amx-bf16", 7, 0, EDX, 22, AMX},
    {"amx-complex", 7, 1, EDX, 8, AMX},
    {"amx-fp16", 7, 1, EAX, 21, AMX},
    {"amx-fp8", 0x1e, 1, EAX, 4, AMX},
    {"amx-int8", 7, 0, EDX, 25, AMX},
    {"amx-movrs", 0x1e, 1, EAX, 8, AMX},
    {"amx-tf32", 0x1e, 1, EAX, 6, AMX},
    {"amx-tile", 7, 0, EDX, 24, AMX},
    {"avx", 1, 0, ECX, 28, AVX},
    {"avx10.1", 0x24, 0, EBX, 32 + 1, AVX512},
    {"avx10.2", 0x24, 0, EBX, 32 + 2, AVX512},
    {"avx2", 7, 0, EBX, 5, AVX},
    {"avx512bf16", 7, 1, EAX, 5, AVX512},
    {"avx512bitalg", 7, 0, ECX, 12, AVX512},
    {"avx512bw", 7, 0, EBX, 30, AVX512},
    {"avx512cd", 7, 0, EBX, 28, AVX512},
    {"avx512dq", 7, 0, EBX, 17, AVX512},
    {"avx512f", 7, 0, EBX, 16, AVX512},
    {"avx512fp16", 7, 0, EDX, 23, AVX512},
    {"avx512ifma", 7, 0, EBX, 21, AVX512},
    {"avx512vbmi", 7, 0, ECX, 1, AVX512},
    {"avx512vbmi2", 7, 0, ECX, 6, AVX512},
    {"avx512vl", 7, 0, EBX, 31, AVX512},
    {"avx512vnni", 7, 0, ECX, 11, AVX512},
    {"avx512vp2intersect", 7, 0, EDX, 8, AVX512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, AVX512},
    {"avxifma", 7, 1, EAX, 23, AVX},
    {"avxneconvert", 7, 1, EDX, 5, AVX},
    {"avxvnni", 7, 1, EAX, 4, AVX},
    {"avxvnniint16", 7, 1, EDX, 10, AVX},
    {"avxvnniint8", 7, 1, EDX, 4, AVX},
    {"bmi", 7, 0, EBX, 3},
    {"bmi2", 7, 0, EBX, 8},
    {"ccmp", 7, 1, EDX, 21, APX},
    {"cf", 7, 1, EDX, 21, APX},
    {"cldemote", 7, 0, ECX, 25},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"clzero", 0x80000008, 0, EBX, 0},
    {"cmov", 1, 0, EDX, 15},
    {"cmpccxadd", 7, 1, EAX, 7},
    {"crc32", 1, 0, ECX, 20},
    {"cx16", 1, 0, ECX, 13},
    {"cx8", 1, 0, EDX, 8},
    {"egpr", 7, 1, EDX, 21, APX},
    {"enqcmd", 7, 0, ECX, 29},
    {"f16c", 1, 0, ECX, 29, AVX},
    {"fma", 1, 0, ECX, 12, AVX},
    {"fma4", 0x80000001, 0, ECX, 16, AVX},
    {"fsgsbase", 7, 0, EBX, 0},
    {"fxsr", 1, 0, EDX, 24},
    {"gfni", 7, 0, ECX, 8},
    {"hreset", 7, 1, EAX, 22},
    {"invpcid", 7, 0, EBX, 10},
    {"kl", 7, 0, ECX, 23},
    {"lwp", 0x80000001, 0, ECX, 15},
    {"lzcnt", 0x80000001, 0, ECX, 5},
    {"mmx", 1, 0, EDX, 23},
    {"movbe", 1, 0, ECX, 22},
    {"movdir64b", 7, 0, ECX, 28},
    {"movdiri", 7, 0, ECX, 27},
    {"movrs", 7, 1, EAX, 31},
    {"mwaitx", 0x80000001, 0, ECX, 29},
    {"ndd", 7, 1, EDX, 21, APX},
    {"nf", 7, 1, EDX, 21, APX},
    {"pclmul", 1, 0, ECX, 1},
    {"pconfig", 7, 0, EDX, 18},
    {"pku", 7, 0, ECX, 4},
    {"popcnt", 1, 0, ECX, 23},
    {"ppx", 7, 1, EDX, 21, APX},
    {"prefetchi", 7, 1, EDX, 14},
    {"prfchw", 0x80000001, 0, ECX, 8},
    {"ptwrite", 0x14, 0, EBX, 4},
    {"push2pop2", 7, 1, EDX, 21, APX},
    {"raoint", 7, 1, EAX, 3},
    {"rdpid", 7, 0, ECX, 22},
    {"rdpru", 0x80000008, 0, EBX, 4},
    {"rdrnd", 1, 0, ECX, 30},
    {"rdseed", 7, 0, EBX, 18},
    {"rtm", 7, 0, EBX, 11},
    {"sahf", 0x80000001, 0, ECX, 0},
    {"serialize", 7, 0, EDX, 14},
    {"sgx", 7, 0, EBX, 2},
    {"sha", 7, 0, EBX, 29},
    {"sha512", 7, 1, EAX, 0},
    {"shstk", 7, 0, ECX, 7},
    {"sm3", 7, 1, EAX, 1},
    {"sm4", 7, 1, EAX, 2},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"sse4a", 0x80000001, 0, ECX, 6},
    {"ssse3", 1, 0, ECX, 9},
    {"tbm", 0x80000001, 0, ECX, 21},
    {"tsxldtrk", 7, 0, EDX, 16},
    {"uintr", 7, 0, EDX, 5},
    {"usermsr", 7, 1, EDX, 15},
    {"vaes", 7, 0, ECX, 9, AVX},
    {"vpclmulqdq", 7, 0, ECX, 10, AVX},
    {"waitpkg", 7, 0, ECX, 5},
    {"wbnoinvd", 0x80000008, 0, EBX, 9},
    {"widekl", 0x19, 0, EBX, 2},
    {"xop", 0x80000001, 0, ECX, 11, AVX},
    {"xsave", 1, 0, ECX, 27, XSave},
    {"xsavec", 0xd, 1, EAX, 1, XSave},
    {"xsaveopt", 0xd, 1, EAX, 0, XSave},
    {"xsaves", 0xd, 1, EAX, 3, XSave},
    {"zu", 7, 1, EDX, 21, APX},
};

/// The registers that the operating system keeps for a thread; 0 if it does not say.
static uint64_t keptState() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

/// Asks Linux for the registers of the matrix unit, which a process does not have from the start
/// (arch_prctl(2), ARCH_REQ_XCOMP_PERM: for all of its threads, those to come included).
static bool mayUseMatrixUnit() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

static bool isPresent(const Feature &feature) {
  static const uint64_t kept = keptState();
  std::array<uint32_t, 4> regs{};
  if ((kept & feature.state) != feature.state ||
      !__get_cpuid_count(feature.leaf, feature.subleaf, &regs[EAX], &regs[EBX], &regs[ECX],
                         &regs[EDX]))
    return false;
  // A subleaf that is not there repeats another one on some CPUs.
  uint32_t last, unused;
  if (feature.leaf == 7 && feature.subleaf > 0 &&
      (!__get_cpuid_count(7, 0, &last, &unused, &unused, &unused) || last < feature.subleaf))
    return false;
  uint32_t value = regs[feature.reg];
  if (feature.state == AMX) {
    static const bool granted = mayUseMatrixUnit();
    return granted && (value >> feature.bit & 1);
  }
  if (feature.bit < 32)
    return value >> feature.bit & 1;
  // AVX10 has a bit of its own, and says its version elsewhere.
  uint32_t edx;
  return __get_cpuid_count(7, 1, &unused, &unused, &unused, &edx) && (edx >> 19 & 1) &&
         (value & 0xff) >= uint32_t(feature.bit - 32);
}

std::vector<std::string> attnc::missingCpuFeatures(const std::vector<std::string> &required) {
  std::vector<std::string> missing;
  for (const std::string &name : required) {
    auto feature = std::find_if(std::begin(kFeatures), std::end(kFeatures),
                                [&](const Feature &known) { return name == known.name; });
    if (feature == std::end(kFeatures) || !isPresent(*feature))
      missing.push_back(name);
  }
  return missing;
}

const std::vector<std::string> &attnc::knownCpuFeatures() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Feature &feature : kFeatures)
      all.push_back(feature.name);
    return all;
  }();
  return names;
}
