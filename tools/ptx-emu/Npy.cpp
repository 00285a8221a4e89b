// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading and writing .npy files; see Npy.h for what is supported.
#include "Npy.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace attnc::emu::tool {

uint64_t Array::elementBytes() const { return std::strtoull(descr.c_str() + 2, nullptr, 10); }

uint64_t Array::count() const {
  uint64_t n = 1;
  for (uint64_t d : shape)
    n *= d;
  return n;
}

std::string descrFor(const std::string &type) {
  static const std::map<std::string, std::string> table = {
      {"f64", "<f8"}, {"f32", "<f4"}, {"f16", "<f2"},  {"bf16", "<u2"}, {"i64", "<i8"},
      {"i32", "<i4"}, {"i16", "<i2"}, {"i8", "|i1"},   {"u64", "<u8"},  {"u32", "<u4"},
      {"u16", "<u2"}, {"u8", "|u1"},  {"e4m3", "|u1"}, {"e5m2", "|u1"}};
  auto it = table.find(type);
  if (it == table.end())
    throw std::runtime_error("unknown element type '" + type + "'");
  return it->second;
}

/// The text after `'key': ` in the header dictionary.
static std::string field(const std::string &header, const std::string &key,
                         const std::string &path) {
  size_t at = header.find("'" + key + "'");
  if (at == std::string::npos)
    throw std::runtime_error("'" + path + "': header has no " + key);
  return header.substr(header.find(':', at) + 1);
}

Array readNpy(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw std::runtime_error("cannot open '" + path + "'");
  char magic[8];
  in.read(magic, 8);
  if (!in || memcmp(magic, "\x93NUMPY", 6) != 0 || magic[6] < 1 || magic[6] > 3)
    throw std::runtime_error("'" + path + "' is not a .npy file");
  uint32_t length = 0;
  in.read(reinterpret_cast<char *>(&length), magic[6] == 1 ? 2 : 4);
  if (length > (1u << 20))
    throw std::runtime_error("'" + path + "': header is too long");
  std::string header(length, ' ');
  in.read(header.data(), length);
  Array a;
  std::string descr = field(header, "descr", path);
  size_t open = descr.find('\''), close = descr.find('\'', open + 1);
  a.descr = descr.substr(open + 1, close - open - 1);
  if (a.descr.size() < 3 || a.descr[0] == '>' || !strchr("fiub", a.descr[1]))
    throw std::runtime_error("'" + path + "': unsupported element type '" + a.descr + "'");
  if (field(header, "fortran_order", path).find("True") < 4)
    throw std::runtime_error("'" + path + "': Fortran order is not supported");
  std::string shape = field(header, "shape", path);
  std::stringstream list(shape.substr(shape.find('(') + 1, shape.find(')') - shape.find('(') - 1));
  for (std::string item; std::getline(list, item, ',');)
    if (item.find_first_of("0123456789") != std::string::npos)
      a.shape.push_back(std::strtoull(item.c_str(), nullptr, 10));
  a.bytes.resize(a.count() * a.elementBytes());
  in.read(a.bytes.data(), static_cast<std::streamsize>(a.bytes.size()));
  if (static_cast<size_t>(in.gcount()) != a.bytes.size())
    throw std::runtime_error("'" + path + "' ends early: expected " +
                             std::to_string(a.bytes.size()) + " bytes of data");
  return a;
}

void writeNpy(const std::string &path, const Array &a) {
  std::string shape;
  for (uint64_t d : a.shape)
    shape += std::to_string(d) + ",";
  std::string header =
      "{'descr': '" + a.descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  std::ofstream out(path, std::ios::binary);
  uint16_t length = static_cast<uint16_t>(header.size());
  out.write("\x93NUMPY\x01\x00", 8);
  out.write(reinterpret_cast<const char *>(&length), 2);
  out.write(header.data(), length);
  out.write(a.bytes.data(), static_cast<std::streamsize>(a.bytes.size()));
  out.flush();
  if (!out)
    throw std::runtime_error("cannot write '" + path + "'");
}

} // namespace attnc::emu::tool
