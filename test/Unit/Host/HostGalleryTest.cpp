// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The gallery on the host, compiled from the specs and compared with definitions written a second
// time, in C++: captured tensors of every kind, sinks, scores, masks.
#include "HostHarness.h"
#include "attnc/JIT/Compiler.h"
#include "gtest/gtest.h"

using namespace attnc;
using namespace attnc::testing;

namespace {

struct Entry {
  const char *name;
  Definition definition;
};

using ScoreFn = decltype(Definition::score);
using MaskFn = decltype(Definition::mask);

Entry entry(const char *name, ScoreFn score, MaskFn mask) {
  Definition definition;
  definition.score = std::move(score);
  definition.mask = std::move(mask);
  return {name, std::move(definition)};
}

/// Captured tensors, the same for every spec; each test passes those that its spec names.
struct Captures {
  Captures(int64_t batch, int64_t heads, int64_t keys)
      : slope({heads}, DType::F32), z({heads}, DType::F32), table({32, heads}, DType::F32),
        doc({batch, keys}, DType::I32), window({heads}, DType::I32), length({batch}, DType::I32),
        prefix({batch}, DType::I32) {
    auto ints = [](Tensor &t) { return reinterpret_cast<int32_t *>(t.bytes.data()); };
    auto floats = [](Tensor &t) { return reinterpret_cast<float *>(t.bytes.data()); };
    for (int64_t h = 0; h < heads; ++h) {
      floats(slope)[h] = std::ldexp(1.0f, -int(h) - 1);
      floats(z)[h] = 0.3f * h - 0.5f;
      ints(window)[h] = int32_t(3 + 40 * h);
    }
    std::mt19937 engine(7);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < 32 * heads; ++i)
      floats(table)[i] = normal(engine);
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t j = 0; j < keys; ++j)
        ints(doc)[b * keys + j] = int32_t(6 * j / std::max<int64_t>(keys, 1) + b);
      ints(length)[b] = int32_t(keys * (b + 1) / (batch + 1));
      ints(prefix)[b] = int32_t(keys * (b + 1) / (batch + 2));
    }
  }
  int32_t intAt(const Tensor &t, int64_t i) const {
    return reinterpret_cast<const int32_t *>(t.bytes.data())[i];
  }
  float floatAt(const Tensor &t, int64_t i) const {
    return reinterpret_cast<const float *>(t.bytes.data())[i];
  }

  Tensor slope, z, table, doc, window, length, prefix;
};

int64_t t5Bucket(int64_t distance) {
  int64_t n = std::abs(distance);
  int64_t side =
      n < 8 ? n
            : std::min<int64_t>(15, 8 + int64_t(std::log(n / 8.0) / std::log(16.0) * 8.0 + 1e-9));
  return (distance > 0 ? 16 : 0) + side;
}

std::vector<Entry> gallery(const Captures &c, int64_t keys, int64_t heads) {
  auto causal = [](int64_t, int64_t, int64_t q, int64_t k) { return k <= q; };
  auto clamp = [keys](int64_t q) { return std::min(std::max<int64_t>(q, 0), keys - 1); };
  std::vector<Entry> entries;
  auto add = [&](const char *name, ScoreFn score, MaskFn mask) -> Definition & {
    entries.push_back(entry(name, std::move(score), std::move(mask)));
    return entries.back().definition;
  };
  add("full", nullptr, nullptr);
  add("causal", nullptr, causal);
  add(
      "alibi",
      [&c](double s, int64_t, int64_t h, int64_t q, int64_t k) {
        return s + c.floatAt(c.slope, h) * double(k - q);
      },
      causal);
  add("attention_sink", nullptr, causal).sink = [&c](int64_t h) { return c.floatAt(c.z, h); };
  add("chunked_local", nullptr,
      [](int64_t, int64_t, int64_t q, int64_t k) { return k <= q && q / 128 == k / 128; });
  add("dilated_window", nullptr, [](int64_t, int64_t, int64_t q, int64_t k) {
    return k <= q && q - k < 256 && (q - k) % 4 == 0;
  });
  add("document", nullptr, [&c, keys, clamp](int64_t b, int64_t, int64_t q, int64_t k) {
    return k <= q && c.intAt(c.doc, b * keys + clamp(q)) == c.intAt(c.doc, b * keys + k);
  });
  add("head_window", nullptr, [&c](int64_t, int64_t h, int64_t q, int64_t k) {
    return k <= q && q - k < c.intAt(c.window, h);
  });
  add("key_padding", nullptr, [&c](int64_t b, int64_t, int64_t, int64_t k) {
    return k < c.intAt(c.length, b);
  }).topLeft = true;
  add("prefix_lm", nullptr, [&c](int64_t b, int64_t, int64_t q, int64_t k) {
    return k <= q || k < c.intAt(c.prefix, b);
  });
  add("sliding_window", nullptr,
      [](int64_t, int64_t, int64_t q, int64_t k) { return k <= q && q - k < 256; });
  add(
      "soft_cap",
      [](double s, int64_t, int64_t, int64_t, int64_t) { return 50.0 * std::tanh(s / 50.0); },
      causal);
  add(
      "t5_bias",
      [&c, heads](double s, int64_t, int64_t h, int64_t q, int64_t k) {
        return s + c.floatAt(c.table, t5Bucket(k - q) * heads + h);
      },
      nullptr)
      .scale = 1.0;
  add("window_sinks", nullptr,
      [](int64_t, int64_t, int64_t q, int64_t k) { return k <= q && (k < 4 || q - k < 256); });
  return entries;
}

class HostGallery : public ::testing::TestWithParam<std::tuple<std::string, int64_t>> {};

TEST_P(HostGallery, MatchesDefinitions) {
  auto [dtypeName, headDim] = GetParam();
  DType dtype = dtypeNamed(dtypeName);
  double bound = dtypeName == "f32" ? 1e-6 : dtypeName == "f16" ? 1e-3 : 5e-3;
  int64_t batch = 2, heads = 4, groups = 2;
  auto launcher = std::make_shared<HostLauncher>(2);
  std::map<std::string, std::unique_ptr<Executable>> compiled;
  std::map<std::string, double> worst;
  for (auto [rows, keys] :
       {std::pair<int64_t, int64_t>(130, 130), {1, 333}, {65, 300}, {70, 33}, {300, 300}}) {
    Captures captures(batch, heads, keys);
    Tensor q({batch, heads, rows, headDim}, dtype, 1), k({batch, groups, keys, headDim}, dtype, 2);
    Tensor v({batch, groups, keys, headDim}, dtype, 3);
    // T5 does not scale: keep scores within a range that exists in practice.
    q.randomize(1, 1.0f);
    k.randomize(2, 1.0f);
    v.randomize(3);
    for (Entry &entry : gallery(captures, keys, heads)) {
      SCOPED_TRACE(::testing::Message() << entry.name << " q=" << rows << " kv=" << keys);
      auto &executable = compiled[entry.name];
      if (!executable) {
        auto source = SpecSource::fromFile(std::string(ATTNC_SPECS_DIR "/") + entry.name + ".attn");
        ASSERT_TRUE(bool(source)) << llvm::toString(source.takeError());
        auto spec = Spec::parse(*source);
        ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
        CompileOptions options;
        options.target = llvm::cantFail(Target::parse("host"));
        options.dtype = dtypeName;
        options.headDim = headDim;
        auto code = compileSpec(**spec, options, nullptr);
        ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
        auto loaded = Executable::loadHost(std::move(*code), launcher);
        ASSERT_TRUE(bool(loaded)) << llvm::toString(loaded.takeError());
        executable = std::move(*loaded);
      }
      Tensor out({batch, heads, rows, headDim}, dtype, 5), lse({batch, heads, rows}, DType::F32);
      LaunchInputs inputs;
      inputs.tensors = {
          {"Q", q.view}, {"K", k.view}, {"V", v.view}, {"out", out.view}, {"lse", lse.view}};
      for (auto &[name, tensor] :
           std::map<std::string, const Tensor *>{{"slope", &captures.slope},
                                                 {"z", &captures.z},
                                                 {"table", &captures.table},
                                                 {"doc", &captures.doc},
                                                 {"window", &captures.window},
                                                 {"length", &captures.length},
                                                 {"prefix", &captures.prefix}})
        for (const TensorDecl &wanted : executable->program().signature.inputs)
          if (wanted.name == name)
            inputs.tensors[name] = tensor->view;
      for (auto &[name, value] : std::map<std::string, double>{
               {"cap", 50.0}, {"window", 256}, {"chunk", 128}, {"sinks", 4}, {"dilation", 4}})
        if (llvm::any_of(executable->program().signature.params,
                         [&, text = llvm::StringRef(name)](const ParamDecl &param) {
                           return param.name == text;
                         }))
          inputs.params[name] = value;
      if (std::string(entry.name) == "dilated_window")
        inputs.params["window"] = 64;
      llvm::Error error = executable->launch(inputs);
      ASSERT_FALSE(bool(error)) << llvm::toString(std::move(error));
      std::vector<double> wantOut, wantLse;
      naiveAttention(q, k, v, entry.definition, wantOut, wantLse);
      double found = relativeError(out, wantOut);
      EXPECT_LE(found, bound);
      worst[entry.name] = std::max(worst[entry.name], found);
      size_t at = 0;
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t h = 0; h < heads; ++h)
          for (int64_t i = 0; i < rows; ++i, ++at) {
            double row = lse.get({b, h, i});
            if (std::isinf(wantLse[at]))
              ASSERT_EQ(row, wantLse[at]) << "row " << i;
            else
              ASSERT_NEAR(row, wantLse[at], 4e-6 * (1 + std::abs(wantLse[at]))) << "row " << i;
          }
    }
  }
  for (auto &[name, error] : worst)
    RecordProperty("error_" + name, std::to_string(error / bound) + " of the bound");
}

INSTANTIATE_TEST_SUITE_P(DTypes, HostGallery,
                         ::testing::Values(std::tuple("f32", 64), std::tuple("f16", 40),
                                           std::tuple("bf16", 72)),
                         [](const auto &info) { return std::get<0>(info.param); });

} // namespace
