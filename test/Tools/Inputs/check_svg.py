# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A drawing of `attnc show`: well-formed, with axes and a legend, whose counts are those of the boxes; nothing is drawn outside."""
import re
import sys
import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"
root = ET.parse(sys.argv[1]).getroot()
texts = ["".join(text.itertext()) for text in root.iter(SVG + "text")]
assert {"key", "query"} <= set(texts), texts
heading = re.match(r"\w+, head \d+.*: (\d+) x (\d+), [\d.]+ % visible; tiles of (\d+) x (\d+)$", root.find(SVG + "title").text)
rows, columns, tile_rows, tile_columns = map(int, heading.groups())
counts = {kind: int(next(match[1] for text in texts if (match := re.match(rf"(\d+) {kind}", text)))) for kind in ("full", "partial", "empty")}
assert sum(counts.values()) == -(-rows // tile_rows) * -(-columns // tile_columns), counts
group = root.find(SVG + "g")
assert group.get("shape-rendering") == "crispEdges"
boxes = [(rect.get("fill"), *(int(rect.get(name)) for name in ("x", "y", "width", "height"))) for rect in group.iter(SVG + "rect")]
legend = [rect.get("fill") for rect in root.findall(SVG + "rect")[1:]]
for kind, colour in (("full", legend[0]), ("partial", legend[1])):
    assert sum(box[0] == colour for box in boxes) == counts[kind], kind
assert all(0 <= x and x + w <= columns and 0 <= y and y + h <= rows for _, x, y, w, h in boxes)
ticks = [int(text) for text in texts if text.isdigit()]
assert (0 in ticks) == (rows > 0 or columns > 0) and max(ticks, default=0) <= max(rows, columns)
