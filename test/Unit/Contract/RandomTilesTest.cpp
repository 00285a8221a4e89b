// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random programs of tile ops: host code and PTX agree on all of them, for any number of warps.
// Values are kept small integers, so that they are equal, not near. What an op means is the subject
// of TileContractTest.cpp; here ops meet each other.
#include "TileRunner.h"
#include "gtest/gtest.h"
#include <random>

using namespace attnc::testing;

namespace {

/// A value of the program: rank 1 (`cols` is 0), or a matrix.
struct Tile {
  std::string name;
  int64_t rows, cols;
  std::string type(const char *element = "f32") const {
    std::string shape = std::to_string(rows) + "x" + (cols ? std::to_string(cols) + "x" : "");
    return "<" + shape + element + ">";
  }
};

class Program {
public:
  explicit Program(unsigned seed) : random(seed) {
    for (int i = 0; i < 2; ++i) {
      Tile tile = make(size(), size());
      line(tile.name + " = tile.load %X[] rows 0 from %c" + std::to_string(i) + " to %n cols " +
           std::to_string(tile.cols) + " : <2xf32, unit> -> " + tile.type());
      keep(tile);
    }
    for (int step = pick(4, 12); step > 0; --step)
      addOp();
    for (const Tile &tile : tiles)
      if (tile.cols)
        last = tile;
      else
        lastVector = tile;
    line("tile.store " + last.name + ", %Y[] rows 0 from %c0 to %n cols " +
         std::to_string(last.cols) + " : " + last.type() + ", <2xf32, unit>");
    if (lastVector.rows)
      line("tile.store " + lastVector.name +
           ", %Z[] rows 0 from %c0 to %n cols 1 : " + lastVector.type() + ", <1xf32>");
  }
  std::string text;

private:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }
  int64_t size() { return int64_t(1) << pick(0, 6); }
  void line(const std::string &op) { text += "  " + op + "\n"; }
  Tile make(int64_t rows, int64_t cols) { return {"%v" + std::to_string(next++), rows, cols}; }
  void keep(const Tile &tile) { tiles.push_back(tile); }
  Tile any(bool matrix) {
    std::vector<Tile> fitting;
    for (const Tile &tile : tiles)
      if (!matrix || tile.cols)
        fitting.push_back(tile);
    return fitting[pick(0, int(fitting.size()) - 1)];
  }

  /// A map of `inputs` to a tile of this shape: their sum with weights, brought back to -6 to 6.
  Tile map(int64_t rows, int64_t cols, const std::vector<Tile> &inputs, bool coordinates) {
    Tile result = make(rows, cols);
    std::string names, arguments, types;
    for (size_t i = 0; i < inputs.size(); ++i) {
      names += (i ? ", " : "") + inputs[i].name;
      arguments += "%e" + std::to_string(i) + ": f32, ";
      types += std::string(i ? ", " : "") + "!tile.tile" + inputs[i].type();
    }
    line(result.name + " = tile.map(" + names + ") at(%c1, %c0) {");
    line("^bb0(" + arguments + "%i: i32" + (cols ? ", %j: i32" : "") + "):");
    line("  %s0 = arith.sitofp " + std::string(coordinates ? cols ? "%j" : "%i" : "%c1") +
         " : i32 to f32");
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::string sum = "%s" + std::to_string(i + 1), before = "%s" + std::to_string(i);
      line("  %w" + std::to_string(i) + " = arith.constant " + std::to_string(pick(-3, 3)) +
           ".0 : f32");
      line("  " + sum + " = math.fma %w" + std::to_string(i) + ", %e" + std::to_string(i) + ", " +
           before + " : f32");
    }
    line("  %t = arith.fptosi %s" + std::to_string(inputs.size()) + " : f32 to i32");
    line("  %c7 = arith.constant 7 : i32");
    line("  %r = arith.remsi %t, %c7 : i32");
    line("  %f = arith.sitofp %r : i32 to f32");
    line("  tile.yield %f : f32");
    line("} : (" + types + ") -> !tile.tile" + result.type());
    return result;
  }
  Tile small(const Tile &tile) { return map(tile.rows, tile.cols, {tile}, false); }

  void addMap() {
    Tile like = any(/*matrix=*/false);
    std::vector<Tile> inputs{like};
    for (const Tile &tile : tiles) {
      bool same = tile.rows == like.rows && tile.cols == like.cols;
      bool rowValues = like.cols && !tile.cols && tile.rows == like.rows;
      bool columnValues = like.cols && tile.rows == 1 && tile.cols == like.cols;
      if ((same || rowValues || columnValues) && pick(0, 2) && inputs.size() < 4)
        inputs.push_back(tile);
    }
    keep(map(like.rows, like.cols, inputs, pick(0, 1)));
  }

  void addOp() {
    static const char *kinds[] = {"sum", "max", "min"};
    Tile x = any(/*matrix=*/true);
    bool columns = pick(0, 1);
    std::string along = columns ? "columns" : "rows";
    Tile kept = columns ? make(x.rows, 0) : make(1, x.cols);
    switch (pick(0, 7)) {
    case 0:
      line(kept.name + " = tile.reduce " + kinds[pick(0, 2)] + " " + x.name + " along " + along +
           " : " + x.type() + " -> " + kept.type());
      return keep(small(kept));
    case 1: {
      Tile scan = make(x.rows, x.cols);
      line(scan.name + " = tile.scan " + kinds[pick(0, 1)] + " " + x.name + " along " + along +
           (pick(0, 1) ? " reverse" : "") + " : " + x.type() + " -> " + scan.type());
      return keep(small(scan));
    }
    case 2: {
      Tile y = any(/*matrix=*/false);
      Tile turned = y.cols == 0   ? make(1, y.rows)
                    : y.rows == 1 ? make(y.cols, 0)
                                  : make(y.cols, y.rows);
      line(turned.name + " = tile.transpose " + y.name + " : " + y.type() + " -> " + turned.type());
      return keep(turned);
    }
    case 3: {
      std::string id = std::to_string(next++);
      line("%a" + id + ", %b" + id + " = tile.fold(" + x.name + ", " + x.name + ") along " + along +
           " {");
      line("^bb0(%a: f32, %i: f32, %b: f32, %j: f32):");
      line("  %m = arith.maximumf %a, %b : f32");
      line("  %s = arith.addf %i, %j : f32");
      line("  tile.yield %m, %s : f32, f32");
      line("} : (!tile.tile" + x.type() + ", !tile.tile" + x.type() + ") -> (!tile.tile" +
           kept.type() + ", !tile.tile" + kept.type() + ")");
      Tile max = kept, sum = kept;
      max.name = "%a" + id, sum.name = "%b" + id;
      return keep(map(kept.rows, kept.cols, {max, sum}, false));
    }
    case 4: {
      // Rows that a vector names, some of which do not exist.
      Tile rows = any(/*matrix=*/false);
      if (rows.cols)
        return addMap();
      Tile gathered = make(rows.rows, size());
      std::string index = "%n" + std::to_string(next++);
      line(index + " = tile.map(" + rows.name + ") at(%c0, %c0) {");
      line("^bb0(%e: f32, %i: i32):");
      line("  %t = arith.fptosi %e : f32 to i32");
      line("  tile.yield %t : i32");
      line("} : (!tile.tile" + rows.type() + ") -> !tile.tile" + rows.type("i32"));
      line(gathered.name + " = tile.gather %X[] rows 0 at " + index + " to %n cols " +
           std::to_string(gathered.cols) + " : <2xf32, unit>, " + rows.type("i32") + " -> " +
           gathered.type());
      return keep(gathered);
    }
    case 5: {
      std::string half = "%h" + std::to_string(next++);
      Tile back = make(x.rows, x.cols);
      line(half + " = tile.cast " + x.name + " : " + x.type() + " -> " + x.type("bf16"));
      line(back.name + " = tile.cast " + half + " : " + x.type("bf16") + " -> " + back.type());
      return keep(back);
    }
    default:
      return addMap();
    }
  }

  std::mt19937 random;
  std::vector<Tile> tiles;
  Tile last{"", 0, 0}, lastVector{"", 0, 0};
  int next = 0;
};

TEST(RandomTiles, BackEndsAgree) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Program program(seed);
    TileData host = tileData();
    ASSERT_EQ(runTile(program.text, 0, host), "") << "seed " << seed << "\n" << program.text;
    for (int warps : {1, 2, 4}) {
      TileData ptx = tileData();
      ASSERT_EQ(runTile(program.text, warps, ptx), "")
          << "seed " << seed << ", " << warps << " warps\n"
          << program.text;
      for (size_t i = 0; i < host.y.size(); ++i)
        ASSERT_EQ(ptx.y[i], host.y[i]) << "seed " << seed << ", " << warps << " warps, at "
                                       << i / kSize << ", " << i % kSize << "\n"
                                       << program.text;
      for (size_t i = 0; i < host.z.size(); ++i)
        ASSERT_EQ(ptx.z[i], host.z[i])
            << "seed " << seed << ", " << warps << " warps, at " << i << "\n"
            << program.text;
    }
  }
}

} // namespace
