// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The .npy reader of ptx-emu: what NumPy writes, and files that are truncated, lie or are something
// else. What it must refuse, it refuses before it allocates.
#include "Npy.h"

#include <gtest/gtest.h>
#include <stdexcept>

using namespace attnc::emu::tool;

namespace {
std::string file(const std::string &header, size_t data, char version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += {version, 0, static_cast<char>(header.size()), static_cast<char>(header.size() >> 8)};
  if (version > 1)
    bytes += {0, 0};
  return bytes + header + std::string(data, 'x');
}

std::string header(const std::string &descr, const std::string &shape,
                   const std::string &order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

/// The message behind the name of the file; empty if the bytes are an array.
std::string messageOf(const std::string &bytes) {
  try {
    parseNpy("a.npy", bytes);
    return "";
  } catch (const std::runtime_error &error) {
    std::string text = error.what();
    EXPECT_EQ(text.find("'a.npy'"), 0u) << text;
    return text.substr(7);
  }
}

/// The same for a header and so many bytes of data.
std::string messageOf(const std::string &header, size_t data) {
  return messageOf(file(header, data));
}

TEST(ToolNpy, ReadsTheVersionsAndWhatItWrites) {
  for (char version : {1, 2, 3}) {
    Array a = parseNpy("a.npy", file(header("<f4", "(2, 3)"), 24, version));
    EXPECT_EQ(a.descr, "<f4");
    EXPECT_EQ(a.shape, (std::vector<uint64_t>{2, 3}));
    EXPECT_EQ(a.bytes, std::vector<char>(24, 'x'));
    Array again = parseNpy("a.npy", encodeNpy(a));
    EXPECT_EQ(again.shape, a.shape);
    EXPECT_EQ(again.bytes, a.bytes);
  }
  for (const char *descr : {"|b1", "|i1", "|u1", "<i2", "<u2", "<f2", "=i4", "<u4"})
    EXPECT_EQ(messageOf(header(descr, "()"), static_cast<size_t>(descr[2] - '0')), "") << descr;
  EXPECT_EQ(messageOf("{\"shape\": (1L,), 'fortran_order': False, 'descr': '|u1'}", 1), "");
}

TEST(ToolNpy, ShapesThatOverflow) {
  for (const char *shape : {"(4611686018427387904, 8)", "(2305843009213693952,)",
                            "(4294967296, 4294967296)", "(4294967296, 4294967296, 0)"})
    EXPECT_EQ(messageOf(header("<f4", shape), 4), ": shape has more than 2^63 bytes") << shape;
  EXPECT_EQ(messageOf(header("<f4", "(18446744073709551616,)"), 4),
            ": shape has a number of more than 64 bits");
  EXPECT_EQ(messageOf(header("<f4", "(0, 2000000000, 20, 16)"), 0), "");
  Array array;
  array.descr = "<f8";
  array.shape = {uint64_t(1) << 61};
  EXPECT_THROW(array.byteCount(), std::runtime_error);
}

TEST(ToolNpy, ClaimsThatAreLargerThanTheFile) {
  EXPECT_EQ(messageOf(header("<f4", "(3,)"), 11), " ends early: expected 12 bytes of data");
  // More than there is memory.
  EXPECT_EQ(messageOf(header("<f4", "(1000000000000000,)"), 16),
            " ends early: expected 4000000000000000 bytes of data");
  EXPECT_EQ(messageOf(header("<f4", "(3,)"), 13), " has 1 bytes behind its data");
  EXPECT_EQ(messageOf(file("{", 0).replace(8, 2, "\xff\xff")),
            " ends early: expected 65535 bytes of header");
  EXPECT_EQ(messageOf(file("{", 0, 2).replace(8, 4, "\xff\xff\xff\xff")), ": header is too long");
  // Every prefix of a good file is an error.
  std::string good = file(header("<f4", "(2, 2)"), 16);
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(messageOf(good.substr(0, size)), "") << size;
}

TEST(ToolNpy, ElementTypes) {
  for (const char *descr : {"f99999", "<f99999", "<f16", "<f3", "<f1", "<b2", ">f4", "f4", "<c8",
                            "|O", "|S1", "<", "", " f4", "<1 ", "< u"})
    EXPECT_EQ(messageOf(header(descr, "(1,)"), 4),
              ": unsupported element type '" + std::string(descr) + "'");
  EXPECT_EQ(messageOf("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4),
            ": header has no valid descr");
}

TEST(ToolNpy, HeadersThatAreNone) {
  EXPECT_EQ(messageOf(""), " is not a .npy file");
  EXPECT_EQ(messageOf(file(header("<f4", "()"), 4, 9)), " is not a .npy file");
  EXPECT_EQ(messageOf("__import__('os')", 0), ": header is not a dictionary");
  EXPECT_EQ(messageOf("{}", 0), ": header has no descr");
  EXPECT_EQ(messageOf("{'descr': '<f4', 'shape': ()}", 4), ": header has no fortran_order");
  EXPECT_EQ(messageOf("{'descr': '<f4', 'fortran_order': False}", 4), ": header has no shape");
  EXPECT_EQ(messageOf("{'descr': '<f4', 'descr': '<f4'}", 4), ": header has the key descr twice");
  EXPECT_EQ(messageOf("{'order': 1}", 4), ": header has the unknown key 'order'");
  EXPECT_EQ(messageOf("{'descr: }", 4), ": header is damaged");
  EXPECT_EQ(messageOf(header("<f4", "()") + "1", 4), ": header has text behind the dictionary");
  EXPECT_EQ(messageOf(header("<f4", "(2,)", "True"), 8), ": Fortran order is not supported");
  EXPECT_EQ(messageOf(header("<f4", "(2,)", "0"), 8), ": header has no valid fortran_order");
  for (const char *shape :
       {"(-1,)", "(1 2)", "(1,,)", "(,)", "(0x10,)", "(1.0,)", "1", "(1", "[1]", "('1',)", "(1,)L"})
    EXPECT_NE(messageOf(header("<f4", shape), 4), "") << shape;
  EXPECT_EQ(messageOf(header("<f4", "(-1,)"), 4), ": header has no valid shape");
  std::string many = "(";
  for (int i = 0; i < 33; ++i)
    many += "1,";
  EXPECT_EQ(messageOf(header("<f4", many + ")"), 4), ": shape has more than 32 dimensions");
}

TEST(ToolNpy, NamesTheFileThatCannotBeRead) {
  for (const char *path : {"nowhere.npy", "/", "/dev/zero"})
    try {
      readNpy(path);
      ADD_FAILURE() << path;
    } catch (const std::runtime_error &error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
}
} // namespace
