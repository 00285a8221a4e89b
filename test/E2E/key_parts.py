#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Decoding on the emulator, with keys in parts (attn-split-keys):

  bits      four queries at once yield the bits of the same queries one at a time, each with the keys that were there then: parts are counted
            from key 0, and a row's arithmetic does not know of other rows
  reading   keys and values are read once for all heads that share them: as many sectors of 32 bytes as they have, and at most 2 % for queries and results
  work      instructions of a warp for 64 keys, which hold a warp to what memory can deliver

Closes with `key parts: N passed, N failed`.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
# PTX instructions without moves, which are no instructions of the machine, for 64 keys of a full tile: 16 bits, head dim 128.
MOST_INSTRUCTIONS = 600


class Runs:
    def __init__(self, attnc, folder):
        self.attnc, self.folder = attnc, folder
        self.passed = self.failed = 0

    def note(self, what, error):
        self.passed += not error
        self.failed += bool(error)
        print(f"{'FAILED' if error else 'ok    '} {what}{': ' + error if error else ''}", flush=True)

    def run(self, spec, options, inputs=None, counters=None):
        """`out` of a run."""
        command = [self.attnc, "run", str(ROOT / "specs" / spec), "--device=emulator", "--target=sm_80", *options,
                   f"--output=out={self.folder / 'out.npy'}"]
        for name, value in (inputs or {}).items():
            np.save(self.folder / f"{name}.npy", value)
            command.append(f"--input={name}={self.folder / name}.npy")
        environment = os.environ | ({"ATTNC_EMU_COUNTERS": str(counters)} if counters else {})
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
        return np.load(self.folder / "out.npy")

    def bits(self, spec, heads, kv_heads, keys, columns, params=()):
        draw = np.random.default_rng(keys)
        shape = lambda h, n: draw.standard_normal((1, h, n, columns)).astype(np.float16)
        q, k, v = shape(heads, 4), shape(kv_heads, keys), shape(kv_heads, keys)
        options = ["--dtype=f16", f"--head-dim={columns}", f"--heads={heads}", f"--kv-heads={kv_heads}", *params]

        def results(first, count, there):
            inputs = {"Q": q[:, :, first:first + count], "K": k[:, :, :there], "V": v[:, :, :there]}
            inputs = {name: np.ascontiguousarray(x) for name, x in inputs.items()}
            return self.run(spec, [*options, f"--q-len={count}", f"--kv-len={there}"], inputs)

        together = results(0, 4, keys)
        differ = [i for i in range(4)
                  if not np.array_equal(together[:, :, i:i + 1].view(np.uint16), results(i, 1, keys - 3 + i).view(np.uint16))]
        self.note(f"bits of {spec}, {heads}/{kv_heads} heads, {keys} keys", f"queries {differ} differ" if differ else "")

    def reading(self, spec, keys, columns=128):
        file = self.folder / "counters.json"
        file.unlink(missing_ok=True)
        self.run(spec, ["--dtype=bf16", f"--head-dim={columns}", "--heads=32", "--kv-heads=8", "--q-len=1", f"--kv-len={keys}"], counters=file)
        text, at, launches = file.read_text(), 0, []
        while at < len(text.rstrip()):
            at += len(text[at:]) - len(text[at:].lstrip())
            document, at = json.JSONDecoder().raw_decode(text, at)
            launches.append(document)
        parts = launches[0]
        least = 2 * 8 * keys * columns * 2 // 32
        sectors = parts["totals"]["global_read_bytes"] // 32
        kernels = [launch["kernel"] for launch in launches]
        self.note(f"reading of {spec}, {keys} keys", "" if len(kernels) == 2 and least <= sectors <= 1.02 * least else
                  f"{sectors} sectors by {kernels}, the least is {least}")
        conflicts = parts["totals"]["wavefronts"] - parts["totals"]["min_wavefronts"]
        self.note(f"bank conflicts of {spec}", f"{conflicts} of {parts['totals']['wavefronts']} wavefronts" if conflicts else "")
        # Lines that run once for each tile; what copies tiles runs once less for each part.
        tiles = keys // 64 * 8
        loop = [line for line in parts["lines"] if tiles // 2 < line["warps"] <= tiles]
        instructions = sum(line["warps"] for line in loop if not re.match(r"mov\.", line["text"])) / tiles
        self.note(f"work of {spec}: {instructions:.0f} instructions for 64 keys", "" if 300 < instructions <= MOST_INSTRUCTIONS else
                  f"expected at most {MOST_INSTRUCTIONS}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(arguments.attnc, pathlib.Path(folder))
        runs.bits("causal.attn", 4, 2, 1000, 64)
        runs.bits("causal.attn", 3, 3, 515, 128)
        runs.bits("alibi.attn", 20, 1, 770, 32)
        runs.bits("window_sinks.attn", 4, 1, 1030, 64, ["--param=window=300"])
        runs.bits("soft_cap.attn", 4, 2, 513, 64)
        runs.reading("full.attn", 8192)
        runs.reading("causal.attn", 2048)
    print(f"key parts: {runs.passed} passed, {runs.failed} failed")
    return 1 if runs.failed else 0


if __name__ == "__main__":
    sys.exit(main())
