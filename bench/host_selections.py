#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Block-sparse attention on the host against dense causal attention, both ours, one thread.

    PYTHONPATH=python ATTNC_LIBRARY=build/lib/libattnc.so bench/host_selections.py [--length 8192] [--heads 8] [--json results.json]

A row is one spec of the gallery with the parameters below, from pooling to output. It and the dense one take turns within a round; times are CPU
time of the one thread, figures medians over rounds, ratios within a round. Two kinds of queries:

  unrelated   drawn apart from each other: rows of a tile select different blocks, and a tile visits what any of them has
  alike       64 neighbours point the same way, as queries of a text mostly do

The share is that of the blocks (or keys) that the selection keeps, of those that it may.
"""
import argparse
import json
import os
import statistics
import sys
import time

os.environ["ATTNC_NUM_THREADS"] = "1"
import numpy as np

import attnc

CASES = {
    "moba": dict(block=512, top_k=2),
    "infllm_v2": dict(block=64, top_k=16, window=256),
    "xattention": dict(stride=8, block=128, tau=0.1),
    "vertical_slash": dict(n_v=300, n_s=600),
    "minference_block": dict(),
}


def queries(kind, shape, draw):
    if kind == "unrelated":
        return draw.standard_normal(shape).astype(np.float32)
    b, h, n, d = shape
    directions = draw.standard_normal((b, h, -(-n // 64), d))
    return (np.repeat(directions, 64, axis=2)[:, :, :n] + 0.1 * draw.standard_normal(shape)).astype(np.float32)


def share(outputs):
    keep = outputs.get("keep")
    if keep is None:
        return None
    rows, columns = keep.shape[-2:]
    allowed = np.arange(columns)[None] * rows <= np.arange(rows)[:, None] * columns
    return float(keep[..., allowed].mean())


def timed(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spec", nargs="*", default=list(CASES))
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    shape = (1, options.heads, options.length, 64)
    k, v = (draw.standard_normal(shape).astype(np.float32) for _ in range(2))
    dense = attnc.load("causal")
    rows = []
    print(f"{'spec':18} {'queries':10} {'share':>6} {'ms':>8} {'dense ms':>9} {'dense / sparse':>15}")
    for name in options.spec:
        spec = attnc.load(name)
        for kind in ("unrelated", "alike"):
            q = queries(kind, shape, draw)
            out = np.empty(shape, np.float32)
            kept = share(spec(q, k, v, return_outputs=True, **CASES[name]))
            dense(q, k, v, out=out)
            times = [(timed(lambda: spec(q, k, v, out=out, **CASES[name])), timed(lambda: dense(q, k, v, out=out)))
                     for _ in range(options.rounds)]
            own, other = (statistics.median(column) * 1e3 for column in zip(*times))
            ratio = statistics.median(y / x for x, y in times)
            rows.append(dict(spec=name, queries=kind, share=kept, ms=own, dense_ms=other, ratio=ratio))
            text = "" if kept is None else f"{kept:.0%}"
            print(f"{name:18} {kind:10} {text:>6} {own:8.1f} {other:9.1f} {ratio:15.2f}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(dict(length=options.length, heads=options.heads, rounds=options.rounds, rows=rows), file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
