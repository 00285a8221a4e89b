// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc show: the mask of one head of one batch entry and its tiles, in the terminal or as SVG.
// What is drawn is the mask's meaning, evaluated by the reference; the tiles are those the planner
// chose.
#include "Execute.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

namespace {

constexpr const char *kFull = "#2b6cb0", *kPartial = "#fefcbf", *kVisible = "#dd6b20",
                     *kEmpty = "#f4f4f4";

/// A mask of q x kv flags cut into tiles.
class Picture {
public:
  Picture(std::vector<char> flags, int64_t rows, int64_t cols, int64_t tileRows, int64_t tileCols)
      : flags(std::move(flags)), rows(rows), cols(cols), tileRows(tileRows), tileCols(tileCols) {}

  /// Flags set in the box of rows [r0, r1) and columns [c0, c1).
  int64_t count(int64_t r0, int64_t r1, int64_t c0, int64_t c1) const {
    int64_t n = 0;
    for (int64_t r = r0; r < r1; ++r)
      for (int64_t c = c0; c < c1; ++c)
        n += flags[r * cols + c];
    return n;
  }
  double density(int64_t r0, int64_t r1, int64_t c0, int64_t c1) const {
    int64_t area = (r1 - r0) * (c1 - c0);
    return area ? double(count(r0, r1, c0, c1)) / area : 0;
  }
  /// Calls `visit(r0, r1, c0, c1, density)` for each tile.
  template <typename Visit> void forTiles(Visit visit) const {
    for (int64_t r = 0; r < rows; r += tileRows)
      for (int64_t c = 0; c < cols; c += tileCols) {
        int64_t r1 = std::min(r + tileRows, rows), c1 = std::min(c + tileCols, cols);
        visit(r, r1, c, c1, density(r, r1, c, c1));
      }
  }

  /// Tiles by how much of them is visible.
  struct Counts {
    int64_t full = 0, partial = 0, empty = 0;
  };
  Counts counts() const {
    Counts found;
    forTiles([&](int64_t, int64_t, int64_t, int64_t, double d) {
      ++(d >= 1 ? found.full : d > 0 ? found.partial : found.empty);
    });
    return found;
  }

  std::string terminal() const;
  /// With axes, and a legend that counts tiles.
  std::string svg(llvm::StringRef heading) const;

  std::vector<char> flags;
  int64_t rows, cols, tileRows, tileCols;
};

} // namespace

/// Blocks of the mask as shades, at most 64 columns by 32 lines.
std::string Picture::terminal() const {
  static const char *const shades[] = {" ", "░", "▒", "▓", "█"};
  int64_t perCol = std::max<int64_t>(1, llvm::divideCeil(cols, 64));
  int64_t perRow = std::max<int64_t>(1, llvm::divideCeil(rows, 32));
  std::string text;
  for (int64_t r = 0; r < rows; r += perRow) {
    text += "|";
    for (int64_t c = 0; c < cols; c += perCol) {
      double d = density(r, std::min(r + perRow, rows), c, std::min(c + perCol, cols));
      text += shades[d <= 0 ? 0 : d >= 1 ? 4 : 1 + static_cast<int>(d * 3)];
    }
    text += "|\n";
  }
  return text;
}

/// The distance of the ticks of an axis: a power of two, as tiles are, with at most 8 of them.
static int64_t tickStep(int64_t size) {
  return static_cast<int64_t>(llvm::PowerOf2Ceil(std::max<int64_t>(1, llvm::divideCeil(size, 8))));
}

std::string Picture::svg(llvm::StringRef heading) const {
  // The mask has 640 units on its longer side, whatever its size, so that text keeps its own; a
  // side of few rows is drawn higher than it is.
  constexpr double longest = 640, least = 24, left = 64, top = 64;
  double cell = longest / std::max<int64_t>(1, std::max(rows, cols));
  double scaleX = std::max(cell, least / std::max<int64_t>(1, cols));
  double scaleY = std::max(cell, least / std::max<int64_t>(1, rows));
  double width = scaleX * cols, height = scaleY * rows;
  std::string text =
      formatv("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:F1} {1:F1}\" "
              "width=\"{0:F0}\" height=\"{1:F0}\" font-family=\"sans-serif\" font-size=\"12\">\n"
              "<title>{2}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
              "<text x=\"8\" y=\"20\" font-size=\"14\">{2}</text>\n",
              std::max(left + width, 520.0) + 24, top + height + 48, heading);

  auto box = [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, const char *fill) {
    text += formatv("<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" fill=\"{4}\"/>\n", c0,
                    r0, c1 - c0, r1 - r0, fill);
  };
  text += formatv("<g transform=\"translate({0} {1}) scale({2} {3})\" "
                  "shape-rendering=\"crispEdges\">\n",
                  left, top, formatv("{0:F6}", scaleX).str(), formatv("{0:F6}", scaleY).str());
  box(0, rows, 0, cols, kEmpty);
  forTiles([&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, double d) {
    if (d >= 1)
      box(r0, r1, c0, c1, kFull);
  });
  forTiles([&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, double d) {
    if (d <= 0 || d >= 1)
      return;
    box(r0, r1, c0, c1, kPartial);
    // Runs of keys in a row become one rectangle.
    for (int64_t r = r0; r < r1; ++r)
      for (int64_t c = c0; c < c1;) {
        int64_t end = c;
        while (end < c1 && flags[r * cols + end])
          ++end;
        if (end > c)
          box(r, r + 1, c, end, kVisible);
        c = std::max(end, c + 1);
      }
  });
  std::string lines;
  for (int64_t c = 0; c <= cols; c += tileCols)
    lines += formatv("M{0} 0V{1}", c, rows);
  for (int64_t r = 0; r <= rows; r += tileRows)
    lines += formatv("M0 {0}H{1}", r, cols);
  text += formatv("<path d=\"{0}\" stroke=\"#000\" stroke-opacity=\"0.25\" fill=\"none\" "
                  "vector-effect=\"non-scaling-stroke\"/>\n</g>\n",
                  lines);

  auto label = [&](double x, double y, const char *anchor, const std::string &what) {
    text += formatv("<text x=\"{0:F1}\" y=\"{1:F1}\" text-anchor=\"{2}\">{3}</text>\n", x, y,
                    anchor, what);
  };
  for (int64_t c = 0; c < cols; c += tickStep(cols))
    label(left + c * scaleX, top + height + 16, "middle", std::to_string(c));
  for (int64_t r = 0; r < rows; r += tickStep(rows))
    label(left - 6, top + r * scaleY + 4, "end", std::to_string(r));
  label(left + width / 2, top + height + 34, "middle", "key");
  text += formatv("<text transform=\"translate(14 {0:F1}) rotate(-90)\" "
                  "text-anchor=\"middle\">query</text>\n",
                  top + height / 2);

  Counts tiles = counts();
  double x = 8;
  for (auto [fill, what] : {std::pair(kFull, formatv("{0} full tiles", tiles.full).str()),
                            {kPartial, formatv("{0} partial tiles", tiles.partial).str()},
                            {kVisible, std::string("visible keys in them")},
                            {kEmpty, formatv("{0} empty tiles", tiles.empty).str()}}) {
    text += formatv("<rect x=\"{0:F1}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{1}\" "
                    "stroke=\"#000\" stroke-opacity=\"0.25\"/>\n",
                    x, fill);
    label(x + 17, 44, "start", what);
    x += 32 + 6.5 * double(what.size());
  }
  return text + "</svg>\n";
}

static bool isTooLarge(int64_t rows, int64_t cols) {
  constexpr int64_t most = 8192;
  return rows > most || cols > most;
}

llvm::Error driver::runShow(const Options &options) {
  auto tooLarge = [] {
    return createStringError("show draws masks of at most 8192 x 8192: use a smaller --q-len and "
                             "--kv-len");
  };
  // Before tensors of that size are drawn; files that are bound may have others.
  if (isTooLarge(options.qLen, options.effectiveKVLen()))
    return tooLarge();
  llvm::Expected<std::unique_ptr<Spec>> spec = openSpec(options);
  if (!spec)
    return spec.takeError();
  llvm::Expected<BoundSpec> bound = bindSpec(options, **spec);
  if (!bound)
    return bound.takeError();
  int64_t rows = bound->sizes.spaces["q"], cols = bound->sizes.spaces["kv"];
  if (isTooLarge(rows, cols))
    return tooLarge();
  // After files have told the sizes.
  for (auto [option, index, space, size] :
       {std::tuple("head", options.head, "h", "--heads"), {"entry", options.entry, "b", "--batch"}})
    if (index < 0 || index >= bound->sizes.spaces[space])
      return createStringError(formatv("--{0}={1}: expected a number from 0 to {2}; {3} is {4}",
                                       option, index, bound->sizes.spaces[space] - 1, size,
                                       bound->sizes.spaces[space]));
  llvm::Expected<Target> target = Target::parse(options.target.empty() ? "sm_80" : options.target);
  if (!target)
    return target.takeError();
  llvm::Expected<CompileOptions> compile = compileOptionsFor(options, **spec, *target);
  if (!compile)
    return compile.takeError();
  llvm::Expected<KernelPlan> plan = planVariant((*spec)->variant(), *compile);
  if (!plan)
    return plan.takeError();
  reference::Bindings bindings;
  for (auto &[name, tensor] : bound->inputs)
    bindings.inputs[name] = tensor.view;
  bindings.params = bound->params;
  llvm::Expected<std::vector<char>> flags =
      reference::evaluateMask((*spec)->variant(), bindings, options.entry, options.head);
  if (!flags)
    return flags.takeError();
  Picture picture(std::move(*flags), rows, cols, plan->tileQ, plan->tileKV);
  Picture::Counts tiles = picture.counts();
  double visible = picture.density(0, rows, 0, cols);
  llvm::StringRef name = (*spec)->variant().getSymName();
  std::string entry =
      bound->sizes.spaces["b"] > 1 ? formatv(", batch entry {0}", options.entry).str() : "";
  std::string heading =
      formatv("{0}, head {1}{2}: {3} x {4}, {5:F1} % visible; tiles of {6} x {7}", name,
              options.head, entry, rows, cols, 100 * visible, plan->tileQ, plan->tileKV);

  std::string file = options.svg.empty() ? options.output : options.svg;
  if (!file.empty())
    if (llvm::Error error = writeOutput(file, picture.svg(heading)))
      return error;
  if (options.json) {
    llvm::outs() << formatv("{0:2}\n",
                            llvm::json::Value(llvm::json::Object{{"spec", name},
                                                                 {"head", options.head},
                                                                 {"entry", options.entry},
                                                                 {"tile_q", plan->tileQ},
                                                                 {"tile_kv", plan->tileKV},
                                                                 {"full", tiles.full},
                                                                 {"partial", tiles.partial},
                                                                 {"empty", tiles.empty},
                                                                 {"visible_fraction", visible}}));
    return llvm::Error::success();
  }
  if (file.empty())
    llvm::outs() << picture.terminal();
  llvm::outs() << formatv("{0}: {1} full, {2} partial, {3} empty\n", heading, tiles.full,
                          tiles.partial, tiles.empty);
  return llvm::Error::success();
}
