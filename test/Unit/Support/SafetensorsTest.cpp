// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// safetensors files: what others write, and headers that are truncated, lie or are something else.
#include "attnc/Support/TensorFile.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace attnc;

static std::vector<uint8_t> file(const std::string &header, const std::vector<uint8_t> &data) {
  std::vector<uint8_t> bytes(8);
  uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

static std::string entry(const std::string &name, const std::string &type, const std::string &shape,
                         int begin, int end) {
  return '"' + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

static std::string decode(const std::vector<uint8_t> &bytes, NpyArray &array,
                          const std::string &name = "x", std::optional<DType> expected = {}) {
  Outcome<NpyArray> decoded = decodeSafetensors(bytes.data(), bytes.size(), name, expected);
  if (decoded)
    array = std::move(*decoded);
  return decoded.message();
}

static std::string decode(const std::vector<uint8_t> &bytes) {
  NpyArray array;
  return decode(bytes, array);
}

TEST(Safetensors, ReadsTheTensorThatIsAskedFor) {
  std::vector<uint8_t> bytes = file(
      "{" + entry("x", "I32", "[2]", 3, 11) + R"(,"__metadata__":{"format":"pt"},)" +
          entry("mask", "BOOL", "[1,3]", 0, 3) + "," + entry("other", "F8_E4M3", "[2]", 11, 13) +
          "," + entry("packed", "F4", "[8]", 13, 17) + "," + entry("none", "F32", "[0,7]", 17, 17) +
          "}  ",
      {0, 1, 7, 5, 0, 0, 0, 255, 255, 255, 255, 9, 9, 1, 2, 3, 4});
  NpyArray array;
  ASSERT_EQ(decode(bytes, array), "");
  EXPECT_EQ(array.view.shape, std::vector<int64_t>({2}));
  EXPECT_EQ(array.view.dtype, DType::I32);
  EXPECT_EQ(static_cast<int32_t *>(array.view.data)[0], 5);
  EXPECT_EQ(static_cast<int32_t *>(array.view.data)[1], -1);
  ASSERT_EQ(decode(bytes, array, "mask"), "");
  EXPECT_EQ(array.storage, std::vector<uint8_t>({0, 1, 1}));
  ASSERT_EQ(decode(bytes, array, "none"), "");
  EXPECT_EQ(array.view.shape, std::vector<int64_t>({0, 7}));
  EXPECT_EQ(decode(bytes, array, "x", DType::F32), "the elements of `x` are i32, expected f32");
  EXPECT_EQ(decode(bytes, array, "other"),
            "the elements of `other` are F8_E4M3; F32, F16, BF16, I32, I64 and BOOL are supported");
  EXPECT_EQ(decode(bytes, array, "packed"),
            "the elements of `packed` are F4; F32, F16, BF16, I32, I64 and BOOL are supported");
  EXPECT_EQ(decode(bytes, array, "y"), "it has no tensor `y`; it has mask, none, other, packed, x");
}

TEST(Safetensors, NarrowsWideInts) {
  NpyArray array;
  std::string header = "{" + entry("x", "I64", "[1]", 0, 8) + "}";
  ASSERT_EQ(decode(file(header, {7, 0, 0, 0, 0, 0, 0, 0}), array), "");
  EXPECT_EQ(array.view.dtype, DType::I32);
  EXPECT_EQ(array.storage.size(), 4u);
  EXPECT_EQ(decode(file(header, {0, 0, 0, 0, 1, 0, 0, 0})),
            "its element 0 is 4294967296, which does not fit into i32");
}

TEST(Safetensors, ReadsWhatItWrites) {
  float values[6] = {1, 2, 3, 4, 5, 6};
  for (DType dtype : {DType::F32, DType::F16, DType::BF16, DType::I32, DType::Bool}) {
    TensorView transposed{values, dtype, {3, 2}, {1, 3}};
    std::vector<uint8_t> bytes = encodeSafetensors("a \"\\\n", transposed);
    NpyArray array;
    ASSERT_EQ(decode(bytes, array, "a \"\\\n", dtype), "");
    EXPECT_EQ(array.view.shape, transposed.shape);
    if (dtype == DType::F32) {
      EXPECT_EQ(static_cast<float *>(array.view.data)[1], 4);
      EXPECT_EQ(static_cast<float *>(array.view.data)[4], 3);
    }
    EXPECT_EQ(bytes.size() % 8, array.storage.size() % 8); // the data is aligned
  }
}

TEST(Safetensors, RefusesWhatIsNone) {
  EXPECT_EQ(decode({1, 2, 3}), "it is not a safetensors file: it has less than 8 bytes");
  EXPECT_EQ(decode(std::vector<uint8_t>(16, 255)),
            "it is not a safetensors file: its header would have 18446744073709551615 bytes, at "
            "most 100000000 are allowed");
  EXPECT_EQ(decode({9, 0, 0, 0, 0, 0, 0, 0, '{', '}'}),
            "its header is truncated: it should have 9 bytes, found 2");
  EXPECT_EQ(decode(file("", {})), "it is not a safetensors file: its header is no JSON object");
  EXPECT_EQ(decode(file("[]", {})), "it is not a safetensors file: its header is no JSON object");
  EXPECT_EQ(decode(file("{", {})).find("its header: malformed JSON at byte 1"), 0u);
  EXPECT_EQ(decode(file("{\"x\":{},\"x\":{}}", {})).find("its header: malformed JSON"), 0u);
  EXPECT_EQ(decode(file("{" + std::string(1000000, '['), {})).find("its header: malformed"), 0u);
  EXPECT_EQ(decode(file("{}", {})), "it has no tensor `x`; it has none");
}

TEST(Safetensors, RefusesHeadersThatLie) {
  std::vector<uint8_t> data(16);
  auto message = [&](const std::string &entries) {
    return decode(file("{" + entries + "}", data));
  };
  EXPECT_EQ(message(entry("x", "F32", "[5]", 0, 20)),
            "its data is truncated: the header promises 20 bytes, found 16");
  EXPECT_EQ(message(entry("x", "F32", "[3]", 0, 12)), "it has 4 bytes behind its data");
  EXPECT_EQ(message(entry("x", "F32", "[4]", 0, 12)),
            "its header: tensor `x` has 4 elements of 4 bytes, but 12 bytes of data");
  EXPECT_EQ(message(entry("x", "F32", "[4611686018427387904,4]", 0, 0)),
            "its header: tensor `x` has more than 2^63 elements");
  EXPECT_EQ(message(entry("x", "F32", "[4611686018427387904]", 0, 0)),
            "its header: tensor `x` has 4611686018427387904 elements of 4 bytes, but 0 bytes of "
            "data");
  EXPECT_EQ(message(entry("x", "F32", "[2]", 0, 8) + "," + entry("y", "F32", "[2]", 4, 12)),
            "its header: tensor `y` begins at byte 4 of the data, expected 8: tensors lie one "
            "behind the other");
  EXPECT_EQ(message(entry("x", "F32", "[2]", 8, 16)),
            "its header: tensor `x` begins at byte 8 of the data, expected 0: tensors lie one "
            "behind the other");
  EXPECT_EQ(message(entry("x", "F32", "[-4]", 0, 16)),
            "its header: tensor `x` has no valid `shape`");
  EXPECT_EQ(message(entry("x", "F32", "[99999999999999999999]", 0, 16)),
            "its header: tensor `x` has no valid `shape`");
  EXPECT_EQ(message(entry("x", "F32", "4", 0, 16)), "its header: tensor `x` has no valid `shape`");
  EXPECT_EQ(message(entry("x", "F32", "[4]", 16, 0)),
            "its header: tensor `x` has no valid `data_offsets`");
  EXPECT_EQ(message(R"("x":{"shape":[],"data_offsets":[0,0]})"),
            "its header: tensor `x` has no `dtype`");
  EXPECT_EQ(message(R"("x":{"dtype":"F32","shape":[],"data_offsets":[0,4],"more":1})"),
            "its header: tensor `x` has unknown members");
  EXPECT_EQ(message(R"("\u0007x":7)"), "its header: tensor `?x` is no object");
}

TEST(Safetensors, FilesAreFoundByTheirPlace) {
  std::string folder =
      std::filesystem::temp_directory_path() / ("attnc-safetensors-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  float values[2] = {1, 2};
  TensorView view{values, DType::F32, {2}, {1}};
  std::string path = folder + "/a.safetensors";
  ASSERT_EQ(writeTensor(path + ":k", "x", view).message(), "");
  EXPECT_TRUE(bool(readTensor(path, "k", DType::F32)));
  EXPECT_TRUE(bool(readTensor(path + ":k", "x", DType::F32)));
  EXPECT_EQ(readTensor(path, "x", {}).message(),
            "cannot read `" + path + "`: it has no tensor `x`; it has k");
  ASSERT_EQ(writeTensor(folder + "/b.npy", "x", view).message(), "");
  EXPECT_TRUE(bool(readTensor(folder + "/b.npy", "x", DType::F32)));
  EXPECT_EQ(readTensor(folder + "/c.safetensors", "x", {}).message(),
            "cannot read `" + folder + "/c.safetensors`: No such file or directory");
  EXPECT_EQ(readTensor(folder + "/a.safetensors:k/d.safetensors", "x", {}).message(),
            "cannot read `" + folder +
                "/a.safetensors`: it has no tensor `k/d.safetensors`; it "
                "has k");

  // The rest of a large file is not read, and memory is not taken on the word of its header.
  std::string large = folder + "/large.safetensors";
  std::string header =
      "{" + entry("x", "F32", "[1]", 0, 4) +
      R"(,"y":{"dtype":"U8","shape":[100000000000],"data_offsets":[4,100000000004]}})";
  std::ofstream(large, std::ios::binary)
      .write(reinterpret_cast<const char *>(file(header, {0, 0, 128, 63}).data()),
             static_cast<std::streamsize>(8 + header.size() + 4));
  EXPECT_EQ(readTensor(large, "x", {}).message(),
            "cannot read `" + large +
                "`: its data is truncated: the header promises 100000000004 bytes, found 4");
  std::filesystem::resize_file(large, 8 + header.size() + 100000000004ull); // a hole
  Outcome<NpyArray> array = readTensor(large, "x", DType::F32);
  ASSERT_TRUE(bool(array)) << array.message();
  EXPECT_EQ(*static_cast<float *>(array->view.data), 1.0f);
  std::filesystem::remove_all(folder);
}
