// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// .npy files: what NumPy writes, and files that are truncated, lie or are something else.
#include "attnc/Support/Npy.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace attnc;

static std::vector<uint8_t> file(const std::string &header, const std::vector<uint8_t> &data,
                                 uint8_t major = 1) {
  std::vector<uint8_t> bytes = {0x93,
                                'N',
                                'U',
                                'M',
                                'P',
                                'Y',
                                major,
                                0,
                                static_cast<uint8_t>(header.size()),
                                static_cast<uint8_t>(header.size() >> 8)};
  if (major > 1)
    bytes.insert(bytes.end(), {0, 0});
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

static std::string header(const std::string &descr, const std::string &shape,
                          bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': " + shape + ", }\n";
}

static std::string decode(const std::vector<uint8_t> &bytes, NpyArray &array,
                          std::optional<DType> expected = {}) {
  Outcome<NpyArray> decoded = decodeNpy(bytes.data(), bytes.size(), expected);
  if (decoded)
    array = std::move(*decoded);
  return decoded.message();
}

static std::string decode(const std::vector<uint8_t> &bytes) {
  NpyArray array;
  return decode(bytes, array);
}

TEST(Npy, ReadsTheVersionsAndTypes) {
  NpyArray array;
  for (uint8_t major : {1, 2, 3}) {
    ASSERT_EQ(decode(file(header("<i4", "(2,)"), {1, 0, 0, 0, 255, 255, 255, 255}, major), array),
              "");
    EXPECT_EQ(static_cast<int32_t *>(array.view.data)[1], -1);
  }
  ASSERT_EQ(decode(file(header("<i8", "(1,)"), {7, 0, 0, 0, 0, 0, 0, 0}), array), "");
  EXPECT_EQ(array.view.dtype, DType::I32);
  EXPECT_EQ(*static_cast<int32_t *>(array.view.data), 7);
  ASSERT_EQ(decode(file(header("|b1", "(2,)"), {0, 3}), array), "");
  EXPECT_EQ(array.storage, (std::vector<uint8_t>{0, 1}));
  ASSERT_EQ(decode(file(header("<V2", "()"), {0x80, 0x3F}), array), "");
  EXPECT_EQ(array.view.dtype, DType::BF16);
  EXPECT_EQ(array.view.rank(), 0);
  EXPECT_EQ(decode(file(header("<u2", "(1,)"), {0, 0}), array, DType::BF16), "");
  EXPECT_NE(decode(file(header("<u2", "(1,)"), {0, 0}), array), "");
}

TEST(Npy, ReadsFortranOrderAsStrides) {
  NpyArray array;
  ASSERT_EQ(decode(file(header("|b1", "(2, 3)", true), {1, 0, 0, 1, 1, 0}), array), "");
  EXPECT_EQ(array.view.strides, (std::vector<int64_t>{1, 2}));
}

TEST(Npy, RejectsLies) {
  EXPECT_EQ(decode({}), "it is not a .npy file");
  EXPECT_EQ(decode({'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0, 0}), "it is not a .npy file");
  std::vector<uint8_t> good = file(header("<f4", "(2, 2)"), std::vector<uint8_t>(16));
  EXPECT_EQ(decode(good), "");
  // Every prefix of a good file is an error.
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(decode(std::vector<uint8_t>(good.begin(), good.begin() + size)), "") << size;
  good.push_back(0);
  EXPECT_EQ(decode(good), "it has 1 bytes behind its data");
  EXPECT_EQ(decode(file(header("<f4", "(4,)"), {})),
            "its data is truncated: the header promises 4 elements of 4 bytes, found 0 bytes");
  EXPECT_NE(decode(file(header("<f4", "(4611686018427387904, 1)"), {})).find("truncated"),
            std::string::npos);
  EXPECT_EQ(decode(file(header("<f4", "(4611686018427387904, 8)"), {})),
            "its shape has more than 2^63 elements");
  EXPECT_EQ(decode(file(header("<f4", "(99999999999999999999,)"), {})),
            "its header has no valid `shape`");
  EXPECT_EQ(decode(file(header("<f4", "(-1,)"), {})), "its header has no valid `shape`");
  EXPECT_EQ(decode(file(header("<i8", "(1,)"), {0, 0, 0, 0, 1, 0, 0, 0})),
            "its element 0 is 4294967296, which does not fit into i32");
  EXPECT_NE(decode(file(header(">f4", "(1,)"), {0, 0, 0, 0})).find("big-endian"),
            std::string::npos);
  EXPECT_NE(decode(file(header("<f8", "(1,)"), std::vector<uint8_t>(8))).find("`<f8`"),
            std::string::npos);
  EXPECT_NE(decode(file(header("|O", "(1,)"), {0})), "");
  EXPECT_NE(decode(file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n",
                        {0, 0, 0, 0}))
                .find("records"),
            std::string::npos);
  EXPECT_EQ(decode(file("{'descr': '<f4', 'shape': (1,), }\n", {0, 0, 0, 0})),
            "its header has no `fortran_order`");
  EXPECT_EQ(decode(file("{'descr': '<f4', 'descr': '<f4', }\n", {})),
            "its header has the key `descr` twice");
  EXPECT_EQ(decode(file("__import__('os')", {})), "its header is not a dictionary");
  EXPECT_EQ(decode(file(header("<f4", "()"), {0, 0, 0, 0}, 9)),
            "its format version 9 is not known");
}

TEST(Npy, EmptyTensorsHaveNoData) {
  NpyArray array;
  ASSERT_EQ(decode(file(header("<f4", "(1, 9223372036854775807, 0)"), {}), array), "");
  EXPECT_TRUE(array.storage.empty());
  EXPECT_EQ(decode(file(header("<f4", "(2, 9223372036854775807, 0)"), {}), array),
            "its shape has more than 2^63 elements");
}

TEST(Npy, WritesStridedTensorsInOneStep) {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("attnc-npy-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  float values[6] = {0, 1, 2, 3, 4, 5};
  TensorView transposed{values, DType::F32, {3, 2}, {1, 3}};
  std::string path = (folder / "t.npy").string();
  ASSERT_EQ(writeNpy(path, transposed).message(), "");
  Outcome<NpyArray> array = readNpy(path, DType::F32);
  ASSERT_TRUE(array) << array.message();
  EXPECT_EQ(array->view.shape, transposed.shape);
  EXPECT_EQ(static_cast<float *>(array->view.data)[1], 3);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1)
      << "the temporary file is gone";
  EXPECT_EQ(
      writeNpy((folder / "none" / "t.npy").string(), transposed).message().find("cannot write `"),
      0u);
  EXPECT_EQ(readNpy((folder / "absent.npy").string(), {}).message().find("cannot read `"), 0u);
  EXPECT_EQ(readNpy(folder.string(), {}).message().find("cannot read `"), 0u);
  EXPECT_NE(readNpy(path, DType::I32).message().find("its elements are f32, expected i32"),
            std::string::npos);
  std::filesystem::remove_all(folder);
}
