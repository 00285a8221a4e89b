// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every scalar form that the decoder accepts, against the oracle of FormOracle.h. The forms are
// those of the decoder's own table: each must have an oracle, must be accepted by the decoder and
// by ptxas, and must agree with the oracle on special and random operands. A form that is added to
// the table fails here until the oracle knows it; an opcode that is not in the table must be named
// below with the test that executes it.
#include "FormOracle.h"
#include "InstructionTest.h"

#include <map>
#include <set>

namespace attnc::emu::test {

class Forms : public Instructions, public ::testing::WithParamInterface<const char *> {
protected:
  Forms() : Instructions("sm_100a") {}

  struct Tested {
    Instruction in;
    FormType result;
  };
  std::vector<Tested> tested;

  std::string header() const {
    return ".version 8.6\n.target " + machine.profile().name + "\n.address_size 64\n";
  }
  void add(const std::string &form);

  /// Assembles everything at once and names what ptxas refuses.
  void expectAssembles(const char *what) {
    if (std::system("ptxas --version >/dev/null 2>&1") != 0)
      return;
    std::string text = header();
    std::vector<size_t> begins; ///< first line of each kernel
    size_t lines = 3;
    for (size_t i = 0; i < tested.size(); ++i) {
      std::string k = kernelText(tested[i].in, static_cast<int>(i));
      begins.push_back(lines + 1);
      lines += static_cast<size_t>(std::count(k.begin(), k.end(), '\n'));
      text += k;
    }
    std::string path = ::testing::TempDir() + "attnc_emu_forms_" + std::to_string(getpid());
    std::ofstream(path + ".ptx") << text;
    std::string command = "ptxas -O0 -arch=" + machine.profile().name + " -o /dev/null " + path +
                          ".ptx >" + path + ".log 2>&1";
    int status = std::system(command.c_str());
    std::ifstream log(path + ".log");
    std::set<size_t> refused;
    for (std::string line; std::getline(log, line);)
      if (size_t at = line.find(", line "); at != line.npos && line.find("error") != line.npos) {
        size_t number = std::stoul(line.substr(at + 7));
        size_t i = size_t(std::upper_bound(begins.begin(), begins.end(), number) - begins.begin());
        if (i && refused.insert(i - 1).second)
          ADD_FAILURE() << "ptxas refuses what the emulator accepts: " << tested[i - 1].in.text
                        << "\n  " << line;
      }
    EXPECT_TRUE(status == 0 || !refused.empty()) << "ptxas failed on the forms of " << what;
    remove((path + ".ptx").c_str());
    remove((path + ".log").c_str());
  }

  void runAll(const char *what) {
    expectAssembles(what);
    std::string text = header();
    for (size_t i = 0; i < tested.size(); ++i)
      text += kernelText(tested[i].in, static_cast<int>(i));
    auto module = machine.load(text);
    constexpr uint32_t lanes = 512;
    for (size_t i = 0; i < tested.size(); ++i) {
      const Instruction &in = tested[i].in;
      std::mt19937_64 rng(i + 1);
      std::vector<uint64_t> operands(3 * lanes);
      for (uint32_t l = 0; l < lanes; ++l)
        for (size_t k = 1; k < in.widths.size(); ++k)
          operands[3 * l + k - 1] = corpus(rng, in.widths[k], int(rng() % 16));
      uint64_t din = upload(operands), dout = reserve<uint64_t>(lanes);
      LaunchResult r = run(*module, ("k" + std::to_string(i)).c_str(), {{1}, {lanes}},
                           Params().add(din).add(dout));
      ASSERT_TRUE(r.ok) << in.text << "\n" << r.report;
      auto got = download<uint64_t>(dout, lanes);
      for (uint32_t l = 0; l < lanes; ++l) {
        const uint64_t *o = &operands[3 * l];
        uint64_t want = in.oracle(o[0], o[1], o[2]);
        if (sameResult(tested[i].result, got[l], want, in.ulps))
          continue;
        ADD_FAILURE() << in.text << std::hex << " a=" << o[0] << " b=" << o[1] << " c=" << o[2]
                      << " got " << got[l] << " want " << want;
        break;
      }
      machine.memory().free(din);
      machine.memory().free(dout);
    }
  }
};

/// Tested with operands that a scalar oracle cannot see: predicates, carries, several results.
static const std::set<std::string> specialForms = {"addc", "subc", "madc",  "lop3", "prmt",
                                                   "shf",  "bmsk", "szext", "dp2a"};

static const FormType *typeOf(const std::string &name) {
  for (const FormType &t : formTypes())
    if (t.name == name)
      return &t;
  return nullptr;
}

/// Builds the instruction of a form and its oracle.
void Forms::add(const std::string &form) {
  std::vector<std::string> parts;
  for (size_t from = 0;;) {
    size_t dot = form.find('.', from);
    parts.push_back(form.substr(from, dot == form.npos ? dot : dot - from));
    if (dot == form.npos)
      break;
    from = dot + 1;
  }
  const std::string &op = parts[0];
  FormFlags f;
  std::vector<FormType> types;
  bool carry = false;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string &m = parts[i];
    auto oneOf = [&](std::initializer_list<const char *> list) {
      return std::find(list.begin(), list.end(), m) != list.end();
    };
    if (const FormType *t = typeOf(m))
      types.push_back(*t);
    else if (oneOf({"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "approx", "full"}))
      f.rounding = m;
    else if (oneOf({"lo", "hi", "wide", "shiftamt"}) && op != "setp" && op != "set")
      f.part = m;
    else if (op == "setp" || op == "set")
      (m == "ftz"                    ? void(f.ftz = true)
       : oneOf({"and", "or", "xor"}) ? void(f.boolean = m)
                                     : void(f.comparison = m));
    else if (m == "cc")
      carry = true;
    else if (oneOf({"finite", "infinite", "number", "notanumber", "normal", "subnormal"}))
      f.part = m;
    else if (m == "abs" && f.xorsign)
      continue;
    else
      (m == "ftz"       ? f.ftz
       : m == "sat"     ? f.sat
       : m == "NaN"     ? f.nan
       : m == "relu"    ? f.relu
       : m == "xorsign" ? f.xorsign
                        : f.satfinite) = true;
  }
  if (types.empty() || types[0].width() > 64)
    return;  // predicates and 128 bits: Instructions.PredicateLogic and Extended.QuadRegisters
  if (carry) // what it leaves in the carry flag is for Instructions.Bits
    f.part = op == "mad" ? "lo" : "";
  const FormType t = types[0], from = types.back();
  const char r = t.registerWidth(), s = from.registerWidth();
  FormType result = t;
  FormOracle oracle;
  std::string operands = " $d, $a;", widths = {r, s}, before, after;
  double ulps = 0;
  if (op == "cvt") {
    bool two = from.name == "f32" && (t.parts == 2 || t.kind == 'o') && t.name != "tf32";
    operands = two ? " $d, $a, $b;" : operands;
    widths = two ? std::string{r, s, s} : widths;
    oracle = conversionOracle(t, from, f);
  } else if (op == "setp" || op == "set") {
    bool third = !f.boolean.empty();
    FormOracle yes = comparisonOracle(from, f);
    before = third ? "and.b32 %r9, $c, 1; setp.eq.u32 %p1, %r9, 1; " : "";
    widths = op == "set" ? std::string{r, s, s} : std::string{'p', s, s};
    widths += third ? "w" : "";
    operands = third ? " $d, $a, $b, %p1;" : " $d, $a, $b;";
    if (op == "setp" && t.parts == 2) {
      widths[0] = 'w';
      operands = std::string(" %p2|%p3, $a, $b") + (third ? ", %p1;" : ";");
      after = " selp.u32 $d, 1, 0, %p2; selp.u32 %r9, 2, 0, %p3; or.b32 $d, $d, %r9;";
    }
    result = op == "set" ? t : FormType{"u64", 'u', 64};
    uint64_t all = t.kind == 'f'  ? uint64_t(t.format.bias()) << t.format.fraction
                   : t.bits == 64 ? ~0ull
                                  : (1ull << t.bits) - 1;
    if (from.parts == 2 && t.kind != 'f')
      all = 0xffff; // a half of an integer for each part
    if (yes && op == "set")
      oracle = [=](uint64_t a, uint64_t b, uint64_t c) {
        uint64_t which = yes(a, b, c); // a bit for each part
        return (which & 1 ? all : 0) | (which & 2 ? all << 16 : 0);
      };
    else
      oracle = yes;
  } else if (op == "testp") {
    widths = {'p', r};
    result = FormType{"u64", 'u', 64};
    std::string property = f.part;
    oracle = [=](uint64_t a, uint64_t, uint64_t) -> uint64_t {
      int c = t.bits == 64 ? std::fpclassify(asDouble(a)) : std::fpclassify(asFloat(a));
      return property == "finite"       ? c != FP_NAN && c != FP_INFINITE
             : property == "infinite"   ? c == FP_INFINITE
             : property == "number"     ? c != FP_NAN
             : property == "notanumber" ? c == FP_NAN
             : property == "normal"     ? c == FP_NORMAL
                                        : c == FP_SUBNORMAL;
    };
  } else if (op == "selp") {
    before = "and.b32 %r9, $c, 1; setp.eq.u32 %p1, %r9, 1; ";
    operands = " $d, $a, $b, %p1;";
    widths = {r, r, r, 'w'};
    oracle = [](uint64_t a, uint64_t b, uint64_t c) { return c & 1 ? a : b; };
  } else if (op == "mov") {
    oracle = [](uint64_t a, uint64_t, uint64_t) { return a; };
  } else if (op == "dp4a") {
    operands = " $d, $a, $b, $c;", widths = "wwww";
    result = *typeOf("u32");
    oracle = [=](uint64_t x, uint64_t y, uint64_t c) -> uint64_t {
      auto byte = [](uint64_t v, int i, bool isSigned) {
        int u = int(v >> 8 * i & 0xff);
        return isSigned && u > 127 ? u - 256 : u;
      };
      for (int i = 0; i < 4; ++i)
        c += uint64_t(int64_t(byte(x, i, t.kind == 's')) * byte(y, i, from.kind == 's'));
      return uint32_t(c);
    };
  } else {
    static const std::map<std::string, int> sources = {
        {"add", 2},   {"sub", 2},      {"mul", 2}, {"div", 2}, {"rem", 2}, {"min", 2}, {"max", 2},
        {"and", 2},   {"or", 2},       {"xor", 2}, {"fma", 3}, {"mad", 3}, {"sad", 3}, {"mul24", 2},
        {"mad24", 3}, {"copysign", 2}, {"shl", 2}, {"shr", 2}, {"bfe", 3}, {"bfi", 3}};
    auto it = sources.find(op);
    int n = it == sources.end() ? 1 : it->second;
    operands = n == 1 ? " $d, $a;" : n == 2 ? " $d, $a, $b;" : " $d, $a, $b, $c;";
    widths = std::string(size_t(n) + 1, r);
    if (f.part == "wide")
      widths[0] = widths[n == 3 ? 3 : 0] = t.bits == 16 ? 'w' : 'd';
    if (op == "shl" || op == "shr")
      widths[2] = 'w';
    if (op == "bfe")
      widths[2] = widths[3] = 'w';
    if (op == "bfi")
      widths[3] = 'w', operands = " $d, $a, $b, $c, 5;";
    if (op == "popc" || op == "clz" || op == "bfind")
      widths[0] = 'w', result = *typeOf("u32");
    if ((op == "div" || op == "rem") && t.kind != 'f')
      before = "or.b" + std::to_string(t.bits) + " $b, $b, 1; ";
    oracle = arithmeticOracle(op, t, f);
    ulps = toleranceOf(op, t, f);
  }
  ASSERT_TRUE(oracle) << "the table has " << form << ", but the oracle does not know it";
  tested.push_back({{before + form + operands + after, widths, Oracle(oracle), ulps}, result});
}

TEST_P(Forms, AgreeWithTheOracle) {
  for (const std::string &form : scalarForms()) {
    std::string op = form.substr(0, form.find('.'));
    bool compare = op == "setp" || op == "set", convert = op == "cvt";
    std::string group = convert ? "conversions" : compare ? "comparisons" : "arithmetic";
    if (group == GetParam() && !specialForms.count(op))
      add(form);
  }
  runAll(GetParam());
  RecordProperty("forms", static_cast<int>(tested.size()));
}

INSTANTIATE_TEST_SUITE_P(All, Forms, ::testing::Values("arithmetic", "comparisons", "conversions"));

TEST(FormTable, EveryOpcodeIsCovered) {
  /// Opcodes that are not scalar arithmetic, with the test that executes them.
  static const std::map<std::string, std::string> elsewhere = {
      {"activemask", "WarpForms"},
      {"applypriority", "a hint"},
      {"atom", "Atomics, ClusterTest, Extended"},
      {"bar", "Check, WarpForms"},
      {"barrier", "Check, ClusterTest, WarpForms"},
      {"bra", "Check"},
      {"call", "Extended"},
      {"cp", "Check, Hopper, ClusterTest, BulkForms, TensorCopies, MemoryForms"},
      {"createpolicy", "a hint"},
      {"cvta", "Check.GenericAddresses"},
      {"discard", "a hint"},
      {"elect", "WarpForms"},
      {"exit", "Check"},
      {"fence", "Thorough"},
      {"getctarank", "ClusterTest"},
      {"griddepcontrol", "Extended, DriverLaunch"},
      {"isspacep", "ClusterTest.GenericAddressesAndStores"},
      {"ld", "MemoryOps, MemoryForms"},
      {"ldmatrix", "MatrixMove"},
      {"ldu", "MemoryOps"},
      {"mapa", "ClusterTest"},
      {"match", "WarpForms"},
      {"mbarrier", "Mbarriers, Hopper, ClusterTest"},
      {"membar", "Thorough"},
      {"mma", "Mma"},
      {"movmatrix", "MatrixMove, WarpForms"},
      {"nanosleep", "a hint"},
      {"pmevent", "a hint"},
      {"prefetch", "a hint"},
      {"prefetchu", "a hint"},
      {"red", "Atomics, BulkForms, ClusterTest"},
      {"redux", "WarpForms"},
      {"ret", "Check"},
      {"setmaxnreg", "RegisterCheck"},
      {"shfl", "WarpForms"},
      {"st", "MemoryOps, MemoryForms, BulkForms"},
      {"stmatrix", "MatrixMove"},
      {"tensormap", "TensorMapReplace"},
      {"trap", "Check.TrapAndDivision"},
      {"vote", "WarpForms"},
      {"wgmma", "Wgmma"}};
  std::set<std::string> scalar;
  for (const std::string &form : scalarForms())
    scalar.insert(form.substr(0, form.find('.')));
  for (const std::string &op : decodedOpcodes())
    EXPECT_TRUE(scalar.count(op) || elsewhere.count(op))
        << "the decoder knows '" << op << "', but no test of its arithmetic is named";
  for (auto &[op, where] : elsewhere) {
    auto all = decodedOpcodes();
    EXPECT_TRUE(std::binary_search(all.begin(), all.end(), op)) << op << " is gone";
  }
}

} // namespace attnc::emu::test
