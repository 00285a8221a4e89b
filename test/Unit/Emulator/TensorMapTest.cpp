// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps and the copies that use them. Maps of every data type, rank, swizzle, fill and
// element stride, over boxes that reach outside the tensor on every side, are loaded, stored and
// reduced, and each element is looked up one at a time by the formulas of the manual.
#include "attnc/Emulator/TensorMap.h"
#include "FormGrid.h"
#include "FormOracle.h"
#include "InstructionTest.h"

namespace attnc::emu::test {
namespace {

const std::string done = ".mbarrier::complete_tx::bytes";

/// A form of cp.async.bulk.tensor or cp.reduce.async.bulk.tensor.
struct TensorForm {
  std::string name, op = "";
  int rank;
  bool load, multicast = false, hint = false;
};
std::vector<TensorForm> tensorForms() {
  std::vector<TensorForm> list;
  for (int rank = 1; rank <= 5; ++rank)
    for (std::string tile : {"", ".tile"})
      for (std::string hint : {"", ".L2::cache_hint"}) {
        std::string d = std::to_string(rank) + "d";
        for (std::string to : {".shared::cta", ".shared::cluster"})
          for (std::string multicast : {"", ".multicast::cluster"})
            if (multicast.empty() || to == ".shared::cluster")
              list.push_back(
                  {"cp.async.bulk.tensor." + d + to + ".global" + tile + done + multicast + hint,
                   "", rank, true, !multicast.empty(), !hint.empty()});
        list.push_back(
            {"cp.async.bulk.tensor." + d + ".global.shared::cta" + tile + ".bulk_group" + hint, "",
             rank, false, false, !hint.empty()});
        for (const char *op : {"add", "min", "max", "inc", "dec", "and", "or", "xor"})
          list.push_back({"cp.reduce.async.bulk.tensor." + d + ".global.shared::cta." + op + tile +
                              ".bulk_group" + hint,
                          op, rank, false, false, !hint.empty()});
      }
  return list;
}
std::string spelled(const TensorForm &f, const std::string &map, const std::string &shared,
                    const std::string &bar, const std::string &mask, const std::string &policy) {
  std::string coordinates;
  for (int d = 0; d < f.rank; ++d)
    coordinates += (d ? ",%r" : "%r") + std::to_string(10 + d);
  std::string tensor = "[" + map + ", {" + coordinates + "}]", tile = "[" + shared + "]";
  return f.name + " " + (f.load ? tile + ", " + tensor + ", [" + bar + "]" : tensor + ", " + tile) +
         (f.multicast ? ", " + mask : "") + (f.hint ? ", " + policy : "") + ";";
}
std::string inGrid(const TensorForm &f) { return spelled(f, "%d1", "%r1", "%r2", "%h1", "%d3"); }

class TensorGrid : public FormGrid {};

TEST_F(TensorGrid, CopiesAndReductions) {
  std::set<std::string> tested;
  for (const TensorForm &f : tensorForms())
    tested.insert(inGrid(f));
  std::vector<std::string> grid;
  for (int rank = 1; rank <= 5; ++rank)
    for (std::string tile : {"", ".tile"})
      for (std::string hint : {"", ".L2::cache_hint"}) {
        std::string d = std::to_string(rank) + "d";
        for (std::string to :
             {".shared::cta.global", ".shared::cluster.global", ".global.shared::cta",
              ".shared::cluster.shared::cta", ".shared.global", ".global.shared::cluster"})
          for (std::string how : {done, std::string(".bulk_group"), std::string()})
            for (std::string multicast : {"", ".multicast::cluster"})
              grid.push_back(inGrid(
                  {"cp.async.bulk.tensor." + d + to + tile + how + multicast + hint, "", rank,
                   to.find(".global") > 0 && to[1] == 's', !multicast.empty(), !hint.empty()}));
        for (const char *op : {"add", "min", "max", "inc", "dec", "and", "or", "xor", "exch"})
          for (std::string flag : {"", ".noftz"})
            grid.push_back(inGrid({"cp.reduce.async.bulk.tensor." + d + ".global.shared::cta." +
                                       op + flag + tile + ".bulk_group" + hint,
                                   op, rank, false, false, !hint.empty()}));
      }
  expectExactly(grid, tested);
}

/// A data type of tensor maps.
struct Element {
  const char *name; ///< among formTypes()
  int bytes;
  bool isFloat, ftz = false, tf32 = false;
};
const Element elements[] = {{"u8", 1, false},
                            {"u16", 2, false},
                            {"u32", 4, false},
                            {"s32", 4, false},
                            {"u64", 8, false},
                            {"s64", 8, false},
                            {"f16", 2, true},
                            {"f32", 4, true},
                            {"f64", 8, true},
                            {"bf16", 2, true},
                            {"f32", 4, true, true},
                            {"f32", 4, true, false, true},
                            {"f32", 4, true, true, true}};
constexpr int dataTypes = 13;

const FormType &typeOf(const Element &e) {
  for (const FormType &t : formTypes())
    if (t.name == e.name)
      return t;
  return formTypes()[0];
}

/// The table of cp.reduce.async.bulk.tensor.
bool reduces(const std::string &op, int dataType) {
  std::string t = elements[dataType].name;
  auto among = [&](std::initializer_list<const char *> list) {
    return std::find(list.begin(), list.end(), t) != list.end();
  };
  if (elements[dataType].tf32)
    return false;
  if (op == "add")
    return among({"u32", "s32", "u64", "f32", "f16", "bf16"});
  if (op == "min" || op == "max")
    return among({"u32", "s32", "u64", "s64", "f16", "bf16"});
  if (op == "inc" || op == "dec")
    return among({"u32"});
  return among({"u32", "s32", "u64", "s64"});
}

/// One tensor, one box.
struct Case {
  int dataType = 7, rank = 1, swizzle = 0, fill = 0;
  uint64_t dims[5] = {}, strides[4] = {};
  uint32_t box[5] = {1, 1, 1, 1, 1}, steps[5] = {1, 1, 1, 1, 1};
  int32_t at[5] = {};
  uint32_t offset = 0; ///< of the tile in shared memory, a multiple of 128
  int elementBytes() const { return elements[dataType].bytes; }
  uint64_t tensorBytes() const {
    return rank == 1 ? dims[0] * uint64_t(elementBytes()) : strides[rank - 2] * dims[rank - 1];
  }
  /// Elements that lie in shared memory along a dimension.
  int count(int d) const { return d == 0 ? int(box[0]) : int((box[d] + steps[d] - 1) / steps[d]); }
  int tileBytes() const {
    int n = elementBytes();
    for (int d = 0; d < rank; ++d)
      n *= count(d);
    return n;
  }
};

/// Calls `f(tile, tensor)` for each element of the box with the byte offsets of the element in the
/// tile and in the tensor; the latter is negative outside the tensor.
template <class F> void eachElement(const Case &c, uint32_t sharedBase, F f) {
  int total = c.tileBytes() / c.elementBytes();
  for (int i = 0; i < total; ++i) {
    int rest = i;
    bool inside = true;
    int64_t from = 0;
    for (int d = 0; d < c.rank; ++d) {
      int64_t coordinate = c.at[d] + int64_t(rest % c.count(d)) * (d ? c.steps[d] : 1);
      rest /= c.count(d);
      inside = inside && coordinate >= 0 && coordinate < int64_t(c.dims[d]);
      from += coordinate * int64_t(d ? c.strides[d - 1] : uint64_t(c.elementBytes()));
    }
    // Chunks of 16 bytes change places inside a span of 32, 64 or 128 bytes, by the number of the
    // 128-byte line they lie in.
    uint32_t linear = sharedBase + c.offset + uint32_t(i * c.elementBytes());
    uint32_t line = linear / 128, chunk = linear / 16 % 8, span = c.swizzle ? 1u << c.swizzle : 1;
    uint32_t swizzled = chunk / span * span + (chunk % span ^ line % span);
    f(line * 128 + swizzled * 16 + linear % 16 - sharedBase - c.offset, inside ? from : -1);
  }
}

class TensorCopies : public Instructions {
protected:
  TensorCopies() : Instructions("sm_90a") {}
  static constexpr uint32_t tileSpace = 12288, sharedBase = 0x400;

  std::string header() const {
    return ".version 9.0\n.target " + machine.profile().name + "\n.address_size 64\n";
  }
  /// The tile goes from `data` to shared memory, then comes the copy, then it goes back.
  static std::string kernel(size_t index, const TensorForm &f) {
    std::string s =
        ".visible .entry k" + std::to_string(index) +
        "(.param .align 64 .b8 map[128], .param .u64 data, .param .u32 offset, .param .u32 bytes, "
        ".param .align 4 .b8 at[20])" +
        (f.multicast ? " .reqnctapercluster 2" : "") +
        " {\n.reg .b16 %h<4>;\n.reg .b32 %r<40>;\n.reg .b64 %d<20>;\n.reg .pred %p<4>;\n"
        ".shared .align 1024 .b8 tile[12288];\n.shared .align 8 .b64 bar;\n"
        "mov.b64 %d0, map;\nld.param.u64 %d1, [data];\nld.param.u32 %r0, [offset];\n"
        "ld.param.u32 %r1, [bytes];\nmov.u32 %r2, tile;\nmov.u32 %r3, bar;\nmov.u32 %r4, %tid.x;\n"
        "add.u32 %r5, %r2, %r0;\nmov.u64 %d2, 0;\nmov.u16 %h0, 3;\nmov.u32 %r9, %ctaid.x;\n"
        "mul.wide.u32 %d5, %r9, 12288;\nadd.u64 %d1, %d1, %d5;\n";
    for (int d = 0; d < f.rank; ++d)
      s += "ld.param.u32 %r" + std::to_string(10 + d) + ", [at+" + std::to_string(4 * d) + "];\n";
    s +=
        "setp.eq.u32 %p0, %r4, 0;\nshl.b32 %r6, %r4, 4;\nadd.u32 %r7, %r2, %r6;\n"
        "cvt.u64.u32 %d3, %r6;\nadd.u64 %d3, %d3, %d1;\nmov.u64 %d4, %d3;\nmov.u32 %r8, %r7;\n"
        "mov.u32 %r20, 0;\n"
        "IN: ld.global.v4.u32 {%r21,%r22,%r23,%r24}, [%d4];\n"
        "st.shared.v4.u32 [%r8], {%r21,%r22,%r23,%r24};\nadd.u64 %d4, %d4, 2048;\n"
        "add.u32 %r8, %r8, 2048;\nadd.u32 %r20, %r20, 1;\nsetp.lt.u32 %p1, %r20, 6;\n@%p1 bra IN;\n"
        "@%p0 mbarrier.init.shared.b64 [%r3], 1;\nfence.proxy.async;\nbar.sync 0;\n";
    if (f.load)
      s += "@%p0 mbarrier.arrive.expect_tx.shared.b64 _, [%r3], %r1;\n";
    if (f.multicast)
      s += "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n"
           "setp.eq.and.u32 %p0, %r9, 1, %p0;\n";
    s += "@%p0 " + spelled(f, "%d0", "%r5", "%r3", "%h0", "%d2") + "\n";
    if (!f.load)
      return s + "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nret;\n}\n";
    s += "WAIT: mbarrier.try_wait.parity.shared.b64 %p1, [%r3], 0;\n@!%p1 bra WAIT;\n"
         "mov.u32 %r20, 0;\n"
         "OUT: ld.shared.v4.u32 {%r21,%r22,%r23,%r24}, [%r7];\n"
         "st.global.v4.u32 [%d3], {%r21,%r22,%r23,%r24};\nadd.u64 %d3, %d3, 2048;\n"
         "add.u32 %r7, %r7, 2048;\nadd.u32 %r20, %r20, 1;\nsetp.lt.u32 %p1, %r20, 6;\n"
         "@%p1 bra OUT;\n";
    if (f.multicast)
      s += "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n";
    return s + "ret;\n}\n";
  }

  std::mt19937_64 rng{11};
  int below(int n) { return int(rng() % uint64_t(n)); }

  /// A random tensor, and a box that begins inside it or, for loads, before it.
  Case randomCase(int dataType, int rank, bool load) {
    for (;;) {
      Case c;
      c.dataType = dataType, c.rank = rank;
      int e = c.elementBytes();
      c.swizzle = below(4);
      c.fill = elements[dataType].isFloat && below(2);
      int inner = c.swizzle ? 16 << c.swizzle : 16 * (1 + below(8));
      c.box[0] = uint32_t(inner / e);
      c.dims[0] = uint64_t(1 + below(2 * int(c.box[0])));
      if (c.box[0] > 256)
        continue;
      uint64_t stride = (c.dims[0] * uint64_t(e) + 15) / 16 * 16;
      for (int d = 1; d < rank; ++d) {
        c.dims[d] = uint64_t(1 + below(rank > 3 ? 4 : 9));
        c.box[d] = uint32_t(1 + below(rank > 3 ? 4 : 9));
        c.steps[d] = below(3) ? 1 : uint32_t(1 + below(8));
        c.strides[d - 1] = stride + uint64_t(16 * below(3));
        stride = c.strides[d - 1] * c.dims[d];
      }
      for (int d = 0; d < rank; ++d)
        c.at[d] = load ? below(int(c.dims[d]) + int(c.box[d]) + 2) - int(c.box[d]) - 1
                       : below(int(c.dims[d]));
      c.offset = uint32_t(128 * below(9));
      if (c.offset + uint32_t(c.tileBytes()) <= tileSpace)
        return c;
    }
  }
  /// Bytes that, as elements of the type, are random and special values.
  std::vector<char> scramble(size_t bytes, int element) {
    std::vector<char> v((bytes + 7) / 8 * 8);
    for (size_t at = 0; at < v.size(); at += size_t(element)) {
      uint64_t x = corpus(rng, element <= 2 ? 'h' : element == 4 ? 'w' : 'd', below(16));
      memcpy(&v[at], &x, size_t(element));
    }
    return v;
  }
  static uint64_t element(const std::vector<char> &v, int64_t at, int bytes) {
    uint64_t x = 0;
    memcpy(&x, &v[size_t(at)], size_t(bytes));
    return x;
  }
  /// What a load makes of an element.
  static uint64_t converted(const Element &e, uint64_t x) {
    if (e.ftz && std::fpclassify(asFloat(x)) == FP_SUBNORMAL)
      x &= 0x80000000u;
    if (!e.tf32 || std::isnan(asFloat(x)) || std::isinf(asFloat(x)))
      return x;
    Value v = valueOf(x, single);
    return roundTo(v.signedValue(), tfloat, Round::Nearest, v.negative) << 13;
  }
  std::string describe(const Case &c) {
    std::ostringstream s;
    s << "type " << c.dataType << " swizzle " << c.swizzle << " fill " << c.fill << " offset "
      << c.offset;
    for (int d = 0; d < c.rank; ++d)
      s << "; dim " << c.dims[d] << " box " << c.box[d] << " step " << c.steps[d] << " at "
        << c.at[d];
    return s.str();
  }
  /// Runs one form on one case. A reduction that does not exist for the type must be reported.
  void check(const LoadedModule &module, size_t index, const TensorForm &f, const Case &c) {
    const Element &e = elements[c.dataType];
    int bytes = c.elementBytes();
    auto tensor = scramble(c.tensorBytes(), bytes);
    auto tile = scramble(tileSpace, bytes);
    auto wantTensor = tensor, wantTile = tile;
    FormOracle oracle;
    if (f.op == "inc")
      oracle = [](uint64_t old, uint64_t b, uint64_t) { return old < b ? old + 1 : 0; };
    else if (f.op == "dec")
      oracle = [](uint64_t old, uint64_t b, uint64_t) { return old - 1 < b ? old - 1 : b; };
    else if (!f.op.empty()) {
      FormFlags flags;
      flags.ftz = f.op == "add" && e.bytes == 4 && e.isFloat;
      bool logic = f.op == "and" || f.op == "or" || f.op == "xor";
      oracle = logic ? FormOracle([op = f.op](uint64_t a, uint64_t b, uint64_t) {
        return op == "and" ? a & b : op == "or" ? a | b : a ^ b;
      })
                     : arithmeticOracle(f.op, typeOf(e), flags);
    }
    bool exists = f.op.empty() || reduces(f.op, c.dataType);
    ASSERT_EQ(bool(oracle), !f.op.empty()) << f.op << " has no oracle";
    std::set<int64_t> filled;
    if (exists)
      eachElement(c, sharedBase, [&](uint32_t inTile, int64_t inTensor) {
        char *there = &wantTile[c.offset + inTile];
        if (f.load) {
          uint64_t x = inTensor < 0 ? 0 : converted(e, element(tensor, inTensor, bytes));
          memcpy(there, &x, size_t(bytes));
          if (inTensor < 0 && c.fill)
            filled.insert(c.offset + inTile);
        } else if (inTensor >= 0) {
          uint64_t x = element(tile, c.offset + inTile, bytes);
          if (oracle)
            x = oracle(element(tensor, inTensor, bytes), x, 0);
          memcpy(&wantTensor[size_t(inTensor)], &x, size_t(bytes));
        }
      });
    uint64_t dtensor = upload(tensor), dtile;
    auto tiles = tile;
    tiles.insert(tiles.end(), tile.begin(), tile.end());
    dtile = upload(tiles);
    TensorMap map;
    ASSERT_EQ(encodeTiled(map, c.dataType, uint32_t(c.rank), dtensor, c.dims, c.strides, c.box,
                          c.steps, 0, c.swizzle, c.fill),
              "")
        << describe(c);
    Params p;
    p.bytes.resize(168);
    uint32_t total = uint32_t(c.tileBytes());
    memcpy(&p.bytes[0], &map, 128), memcpy(&p.bytes[128], &dtile, 8);
    memcpy(&p.bytes[136], &c.offset, 4), memcpy(&p.bytes[140], &total, 4);
    memcpy(&p.bytes[144], c.at, 20);
    uint32_t blocks = f.multicast ? 2 : 1;
    LaunchResult r = run(module, ("k" + std::to_string(index)).c_str(), {{blocks}, {128}}, p);
    if (!exists) {
      ASSERT_EQ(r.kind, "invalid-operand") << f.name << " " << describe(c);
    } else {
      ASSERT_TRUE(r.ok) << f.name << " " << describe(c) << "\n" << r.report;
    }
    auto gotTensor = download<char>(dtensor, tensor.size());
    auto gotTiles = download<char>(dtile, tiles.size());
    for (int64_t at = 0; at < int64_t(tensor.size()); at += bytes)
      ASSERT_TRUE(
          sameResult(typeOf(e), element(gotTensor, at, bytes), element(wantTensor, at, bytes), 0))
          << f.name << " " << describe(c) << " byte " << at << " of the tensor";
    for (uint32_t b = 0; b < blocks; ++b)
      for (int64_t at = 0; at < int64_t(tileSpace); at += bytes) {
        uint64_t got = element(gotTiles, b * tileSpace + at, bytes),
                 want = element(wantTile, at, bytes);
        if (filled.count(at)) {
          Value v = bytes == 8 ? Value{std::isnan(asDouble(got))} : valueOf(got, typeOf(e).format);
          ASSERT_TRUE(v.nan) << f.name << " " << describe(c) << " byte " << at << " of the tile";
          continue;
        }
        ASSERT_TRUE(sameResult(typeOf(e), got, want, 0))
            << f.name << " " << describe(c) << " byte " << at << " of the tile" << std::hex
            << " got " << got << " want " << want;
      }
    machine.memory().free(dtensor), machine.memory().free(dtile);
  }
};

TEST_F(TensorCopies, AgreeWithTheOracle) {
  auto forms = tensorForms();
  std::string text = header();
  for (size_t i = 0; i < forms.size(); ++i)
    text += kernel(i, forms[i]);
  assemble(text);
  auto module = machine.load(text);
  for (size_t i = 0; i < forms.size() && !HasFatalFailure(); ++i) {
    const TensorForm &f = forms[i];
    // Each type once for each way of copying, in all ranks; each reduction with types in turn.
    int cases = f.op.empty() ? 3 : 1;
    for (int k = 0; k < cases && !HasFatalFailure(); ++k) {
      machine.options().delivery = k % 3 == 0   ? Delivery::Late
                                   : k % 3 == 1 ? Delivery::Early
                                                : Delivery::Random;
      check(*module, i, f, randomCase(below(dataTypes), f.rank, f.load));
    }
  }
}

TEST_F(TensorCopies, EveryTypeSwizzleAndFill) {
  std::vector<TensorForm> forms;
  for (int rank : {1, 2, 3, 5}) {
    std::string d = std::to_string(rank) + "d";
    forms.push_back({"cp.async.bulk.tensor." + d + ".shared::cta.global" + done, "", rank, true});
    forms.push_back(
        {"cp.async.bulk.tensor." + d + ".global.shared::cta.bulk_group", "", rank, false});
    for (const char *op : {"add", "min", "max", "inc", "dec", "and", "or", "xor"})
      forms.push_back(
          {"cp.reduce.async.bulk.tensor." + d + ".global.shared::cta." + op + ".bulk_group", op,
           rank, false});
  }
  std::string text = header();
  for (size_t i = 0; i < forms.size(); ++i)
    text += kernel(i, forms[i]);
  auto module = machine.load(text);
  for (size_t i = 0; i < forms.size(); ++i)
    for (int type = 0; type < dataTypes; ++type)
      for (int swizzle = 0; swizzle < (forms[i].op.empty() ? 4 : 1); ++swizzle)
        for (int fill = 0; fill <= int(forms[i].load && elements[type].isFloat); ++fill) {
          Case c;
          do
            c = randomCase(type, forms[i].rank, forms[i].load);
          while (forms[i].op.empty() && c.swizzle != swizzle);
          c.fill = fill;
          check(*module, i, forms[i], c);
          if (HasFatalFailure())
            return;
        }
}

/// Dimension 0 has no steps, whatever is given for it, and coordinates are those of the tensor.
TEST_F(TensorCopies, ElementStrides) {
  TensorForm f{"cp.async.bulk.tensor.2d.shared::cta.global" + done, "", 2, true};
  std::string text = header() + kernel(0, f);
  auto module = machine.load(text);
  for (uint32_t step = 1; step <= 8; ++step)
    for (uint32_t box = 1; box <= 17; ++box) {
      Case c;
      c.rank = 2;
      c.dims[0] = 8, c.dims[1] = 20, c.strides[0] = 32;
      c.box[0] = 4, c.box[1] = box;
      c.steps[0] = 3, c.steps[1] = step;
      c.at[0] = 2, c.at[1] = int32_t(box) - 5;
      check(*module, 0, f, c);
      if (HasFatalFailure())
        return;
    }
}

//===-- What cuTensorMapEncodeTiled refuses ------------------------------------------------------//

struct Arguments {
  int type = TensorMap::BF16;
  uint32_t rank = 3;
  uint64_t address = 4096;
  uint64_t dims[6] = {64, 64, 4, 4, 4, 4}, strides[5] = {128, 8192, 32768, 131072, 524288};
  uint32_t box[6] = {64, 64, 1, 1, 1, 1}, steps[6] = {1, 1, 1, 1, 1, 1};
  int interleave = 0, swizzle = 3, fill = 0;
  std::string encode() const {
    TensorMap map;
    return encodeTiled(map, type, rank, address, dims, strides, box, steps, interleave, swizzle,
                       fill);
  }
};

TEST(TensorMapArguments, LimitsOfTheDocumentation) {
  EXPECT_EQ(Arguments().encode(), "");
  struct Mistake {
    const char *words;
    std::function<void(Arguments &)> make;
  };
  using A = Arguments &;
  const Mistake mistakes[] = {{"data type", [](A a) { a.type = -1; }},
                              {"data type", [](A a) { a.type = 16; }},
                              {"4 and 6 bits", [](A a) { a.type = 13; }},
                              {"4 and 6 bits", [](A a) { a.type = 15; }},
                              {"rank", [](A a) { a.rank = 0; }},
                              {"rank", [](A a) { a.rank = 6; }},
                              {"multiple of 16", [](A a) { a.address += 8; }},
                              {"dimension 1", [](A a) { a.dims[1] = 0; }},
                              {"dimension 2", [](A a) { a.dims[2] = (1ull << 32) + 1; }},
                              {"stride of dimension 1", [](A a) { a.strides[0] = 136; }},
                              {"stride of dimension 2", [](A a) { a.strides[1] = 1ull << 40; }},
                              {"box of dimension 1", [](A a) { a.box[1] = 0; }},
                              {"box of dimension 2", [](A a) { a.box[2] = 257; }},
                              {"multiple of 16 bytes", [](A a) { a.box[0] = 4; }},
                              {"element stride of dimension 0", [](A a) { a.steps[0] = 0; }},
                              {"element stride of dimension 2", [](A a) { a.steps[2] = 9; }},
                              {"interleaved layout", [](A a) { a.interleave = 3; }},
                              {"interleaved layouts are not", [](A a) { a.interleave = 1; }},
                              {"rank of at least 3", [](A a) { a.interleave = 2, a.rank = 2; }},
                              {"swizzle mode", [](A a) { a.swizzle = 7; }},
                              {"swizzle mode", [](A a) { a.swizzle = -1; }},
                              {"need sm_100", [](A a) { a.swizzle = 4; }},
                              {"need sm_100", [](A a) { a.swizzle = 5; }},
                              {"need sm_100", [](A a) { a.swizzle = 6; }},
                              {"swizzle span of 128", [](A a) { a.box[0] = 72; }},
                              {"swizzle span of 64", [](A a) { a.swizzle = 2, a.box[0] = 40; }},
                              {"swizzle span of 32", [](A a) { a.swizzle = 1, a.box[0] = 24; }},
                              {"fill mode", [](A a) { a.fill = 2; }},
                              {"floating-point", [](A a) { a.fill = 1, a.type = TensorMap::U16; }}};
  for (const Mistake &m : mistakes) {
    Arguments a;
    m.make(a);
    std::string why = a.encode();
    EXPECT_NE(why.find(m.words), why.npos) << m.words << ": " << why;
  }
  // The last values that are allowed.
  const std::function<void(A)> fine[] = {[](A a) { a.rank = 5; },
                                         [](A a) { a.rank = 1; },
                                         [](A a) { a.dims[2] = 1ull << 32; },
                                         [](A a) { a.strides[1] = (1ull << 40) - 16; },
                                         [](A a) { a.box[2] = 256; },
                                         [](A a) { a.steps[2] = 8; },
                                         [](A a) { a.swizzle = 2, a.box[0] = 32; },
                                         [](A a) { a.swizzle = 1, a.box[0] = 16; },
                                         [](A a) { a.swizzle = 0, a.box[0] = 256; },
                                         [](A a) { a.fill = 1; },
                                         [](A a) { a.box[0] = 8; }};
  for (size_t i = 0; i < std::size(fine); ++i) {
    Arguments a;
    fine[i](a);
    EXPECT_EQ(a.encode(), "") << i;
  }
}

} // namespace
} // namespace attnc::emu::test
