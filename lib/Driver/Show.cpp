// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc show: the mask of one head and its tiles, in the terminal or as SVG. What is drawn is the
// mask's meaning, evaluated by the reference; the tiles are those the planner chose.
#include "Execute.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

namespace {

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

  std::string terminal() const;
  std::string svg(llvm::StringRef title) const;

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

std::string Picture::svg(llvm::StringRef title) const {
  // One unit for each key; runs of keys in a row become one rectangle.
  std::string text = formatv("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-8 -28 {0} {1}\" "
                             "font-family=\"sans-serif\" font-size=\"12\">\n<title>{2}</title>\n"
                             "<text x=\"0\" y=\"-10\">{2}: rows are queries, columns keys</text>\n"
                             "<rect width=\"{3}\" height=\"{4}\" fill=\"#f4f4f4\"/>\n",
                             cols + 16, rows + 36, title, cols, rows);
  forTiles([&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, double d) {
    if (d >= 1)
      text += formatv("<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" fill=\"#2b6cb0\"/>\n",
                      c0, r0, c1 - c0, r1 - r0);
  });
  forTiles([&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, double d) {
    if (d <= 0 || d >= 1)
      return;
    text += formatv("<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" fill=\"#fefcbf\"/>\n",
                    c0, r0, c1 - c0, r1 - r0);
    for (int64_t r = r0; r < r1; ++r)
      for (int64_t c = c0; c < c1;) {
        int64_t end = c;
        while (end < c1 && flags[r * cols + end])
          ++end;
        if (end > c)
          text +=
              formatv("<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"1\" fill=\"#dd6b20\"/>\n",
                      c, r, end - c);
        c = std::max(end, c + 1);
      }
  });
  for (int64_t c = 0; c <= cols; c += tileCols)
    text += formatv("<path d=\"M{0} 0V{1}\" stroke=\"#0003\" stroke-width=\"0.5\"/>\n", c, rows);
  for (int64_t r = 0; r <= rows; r += tileRows)
    text += formatv("<path d=\"M0 {0}H{1}\" stroke=\"#0003\" stroke-width=\"0.5\"/>\n", r, cols);
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
      reference::evaluateMask((*spec)->variant(), bindings, 0, 0);
  if (!flags)
    return flags.takeError();
  Picture picture(std::move(*flags), rows, cols, plan->tileQ, plan->tileKV);
  int64_t full = 0, partial = 0, empty = 0;
  picture.forTiles([&](int64_t, int64_t, int64_t, int64_t, double d) {
    ++(d >= 1 ? full : d > 0 ? partial : empty);
  });
  double visible = picture.density(0, rows, 0, cols);

  std::string file = options.svg.empty() ? options.output : options.svg;
  if (!file.empty())
    if (llvm::Error error = writeOutput(file, picture.svg((*spec)->variant().getSymName())))
      return error;
  if (options.json) {
    llvm::outs() << formatv(
        "{0:2}\n", llvm::json::Value(llvm::json::Object{{"spec", (*spec)->variant().getSymName()},
                                                        {"tile_q", plan->tileQ},
                                                        {"tile_kv", plan->tileKV},
                                                        {"full", full},
                                                        {"partial", partial},
                                                        {"empty", empty},
                                                        {"visible_fraction", visible}}));
    return llvm::Error::success();
  }
  if (file.empty())
    llvm::outs() << picture.terminal();
  llvm::outs() << formatv(
      "{0}, head 0: {1} x {2}, {3:F1} % visible; tiles of {4} x {5}: {6} full, {7} partial, "
      "{8} empty\n",
      (*spec)->variant().getSymName(), rows, cols, 100 * visible, plan->tileQ, plan->tileKV, full,
      partial, empty);
  return llvm::Error::success();
}
