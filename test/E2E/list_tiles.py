#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attentions whose masks and sets look at tensors visit the tiles of keys that some row of theirs sees, and no others (attn-list-tiles):

  result    as NumPy computes it, on the host and on the emulator, with NaN in all keys and values that no row sees
  lists     hold every tile with a visible pair and at most 10 % of others; and tiles that are seen whole are, of those that
            all rows see, at least 9 of 10 (on the reference)
  work      the emulator counts the instructions of the attention's kernel: those of a share of the tiles, with a mask, against all

Closes with `list tiles: N passed, N failed`.
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
sys.path.insert(0, str(ROOT / "python"))
import attnc  # noqa: E402

TILE, COLUMNS = 64, 64

SPECS = {
    "document": """attention document {
  align bottom_right
  input doc: i32[b, kv]
  mask kv <= q and doc[b, q] == doc[b, kv]
}""",
    "padding": """attention padding {
  input there: bool[b, kv]
  mask there[b, kv]
}""",
    "blocks": """attention blocks(rows: const int = 48, keys: const int = 80) {
  blocks r of q by rows
  blocks p of kv by keys
  input keep: bool[b, h, r, p]
  over keep
}""",
    "rows": """attention rows {
  align top_left
  blocks p of kv by 64
  input keep: bool[b, g, q, p]
  over keep
  mask kv <= q
}""",
    "neighbours": """attention neighbours {
  align top_left
  mask abs(q / 160 - kv / 160) <= 1 and abs(q % 160 - kv % 160) <= 20
}""",
    "sides": """attention sides {
  input left: i32[q], right: i32[kv]
  mask left[q] < right[kv] or left[q] == 7
}""",
}


def case(name, draw, heads, kv_heads, q, kv):
    """Inputs, and which keys each row sees, [1, heads, q, kv]."""
    rows, keys = np.arange(q)[:, None], np.arange(kv)[None, :]
    group = np.arange(heads) // (heads // kv_heads)
    if name == "document":
        doc = np.sort(draw.integers(0, 5, kv)).astype(np.int32)
        position = rows + kv - q
        seen = (keys <= position) & (doc[np.clip(position, 0, kv - 1)] == doc[keys])
        return {"doc": doc[None]}, np.broadcast_to(seen, (1, heads, q, kv))
    if name == "padding":
        there = np.repeat(draw.random(-(-kv // 32)) < 0.4, 32)[:kv]
        return {"there": there[None]}, np.broadcast_to(there, (1, heads, q, kv))
    if name == "blocks":
        keep = draw.random((1, heads, -(-q // 48), -(-kv // 80))) < 0.2
        return {"keep": keep}, keep[:, :, rows // 48, keys // 80]
    if name == "rows":
        keep = np.repeat(draw.random((1, kv_heads, -(-q // 40), -(-kv // 64))) < 0.15, 40, axis=2)[:, :, :q]
        return {"keep": np.ascontiguousarray(keep)}, keep[:, group][:, :, rows, keys // 64] & (keys <= rows)
    if name == "neighbours":
        seen = (abs(rows // 160 - keys // 160) <= 1) & (abs(rows % 160 - keys % 160) <= 20)
        return {}, np.broadcast_to(seen, (1, heads, q, kv))
    left = np.sort(draw.integers(0, 40, q)).astype(np.int32)
    right = np.sort(draw.integers(0, 40, kv)).astype(np.int32)
    seen = (left[:, None] < right[None]) | (left[:, None] == 7)
    return {"left": left, "right": right}, np.broadcast_to(seen, (1, heads, q, kv))


def softmax_attention(q, k, v, seen, group):
    scores = np.einsum("bhqd,bhkd->bhqk", q.astype(np.float64), k[:, group].astype(np.float64)) / np.sqrt(COLUMNS)
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(-1, keepdims=True)
    return np.einsum("bhqk,bhke->bhqe", weights / np.where(total == 0, 1, total), v[:, group].astype(np.float64))


class Checker:
    def __init__(self, driver, folder):
        self.driver, self.tools, self.folder = driver, pathlib.Path(driver).parent, folder
        self.passed = self.failed = 0

    def note(self, what, error):
        self.passed += not error
        self.failed += bool(error)
        print(f"{'FAILED' if error else 'ok    '} {what}{': ' + error if error else ''}", flush=True)

    def run(self, name, device, options, inputs, counters):
        spec = self.folder / f"{name}.attn"
        spec.write_text("// Written by list_tiles.py.\n" + SPECS[name])
        command = [self.driver, "run", str(spec), f"--device={device}", *options, f"--output=out={self.folder / 'out.npy'}"]
        if device == "emulator":
            command.append("--target=sm_80")
        for tensor, value in inputs.items():
            np.save(self.folder / f"{tensor}.npy", value)
            command.append(f"--input={tensor}={self.folder / tensor}.npy")
        counters.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"ATTNC_EMU_COUNTERS": str(counters)})
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
        return np.load(self.folder / "out.npy")

    def check(self, name, heads, kv_heads, q, kv):
        draw = np.random.default_rng(q * 1000 + kv)
        inputs, seen = case(name, draw, heads, kv_heads, q, kv)
        group = np.arange(heads) // (heads // kv_heads)
        shape = lambda h, n: draw.standard_normal((1, h, n, COLUMNS)).astype(np.float16)
        Q, K, V = shape(heads, q), shape(kv_heads, kv), shape(kv_heads, kv)
        expected = softmax_attention(Q, K, V, seen, group)
        tensors = {"Q": Q, "K": K, "V": V, **inputs}
        sizes = [f"--heads={heads}", f"--kv-heads={kv_heads}", f"--q-len={q}", f"--kv-len={kv}", f"--head-dim={COLUMNS}", "--dtype=f16"]
        counters = self.folder / "counters.json"
        where = f"{name}, {heads}/{kv_heads} heads, {q} x {kv}"
        unseen = ~np.stack([seen[0, group == g].any((0, 1)) for g in range(kv_heads)])[None]
        K[unseen], V[unseen] = np.nan, np.nan
        for device in ("host", "emulator"):
            out = self.run(name, device, sizes, tensors, counters)
            error = np.abs(out - expected).max() if np.isfinite(out).all() else np.inf
            self.note(f"result of {where} on {device}", f"differs by {error}" if error > 4e-3 else "")
        self.lists(where, name, tensors, seen)

    def lists(self, where, name, tensors, seen):
        """The lists of the tiles, from the spec behind the pass with its lists as an output."""
        text = subprocess.run([self.tools / "attnc-spec", "--emit-attn", self.folder / f"{name}.attn"], capture_output=True, text=True, check=True).stdout
        passes = ["--attn-merge-equals", f"--attn-specialize=dtype=f16 head-dim={COLUMNS}", "--attn-plan=target=sm_80", "--attn-list-tiles"]
        module = subprocess.run([self.tools / "attnc-opt", *passes], input=text, capture_output=True, text=True, check=True).stdout
        visits, kind = re.search(r"attn\.attend .* visits (%\w+) of \d+ : (!attn\.tensor<[^>]*>)", module).groups()
        # Lists become the output in place of `out`.
        module = re.sub(r"attn\.return \[.*", f'attn.return ["visits"]({visits} : {kind})', module)
        found = np.asarray(attnc.Spec(module).evaluate(tensors)["visits"]).astype(np.int64)
        tiles = by_tiles(seen)
        whole = by_tiles(seen, whole=True)
        found = np.broadcast_to(found.reshape(-1, *found.shape[-2:])[-tiles.shape[0]:], (tiles.shape[0], *found.shape[-2:]))
        visited, full = np.zeros_like(tiles), np.zeros_like(tiles)
        for head, rows in np.ndindex(*found.shape[:2]):
            num_full, number, *blocks = found[head, rows]
            visited[head, rows, blocks[:number]] = True
            full[head, rows, blocks[:num_full]] = True
        if len(blocks) < number or (visited.sum() != found[:, :, 1].sum()):
            error = "a tile is listed twice"
        elif (tiles & ~visited).any() or (full & ~whole).any():
            error = f"{(tiles & ~visited).sum()} visible tiles are not listed, {(full & ~whole).sum()} are not seen whole"
        elif visited.sum() > 1.1 * tiles.sum() or full.sum() < 0.9 * whole.sum():
            error = f"{visited.sum()} tiles visited, {tiles.sum()} are visible; {full.sum()} whole of {whole.sum()}"
        else:
            error = ""
        self.note(f"lists of {where}, {tiles.mean():.0%} of the tiles, {whole.mean():.0%} whole", error)

    def work(self, name, heads, q, kv):
        """Instructions for the tiles that are seen, against those for all."""
        draw = np.random.default_rng(7)
        shape = lambda n: draw.standard_normal((1, heads, n, COLUMNS)).astype(np.float16)
        tensors = {"Q": shape(q), "K": shape(kv), "V": shape(kv)}
        inputs, seen = case(name, draw, heads, heads, q, kv)
        sizes = [f"--heads={heads}", f"--q-len={q}", f"--kv-len={kv}", f"--head-dim={COLUMNS}", "--dtype=f16"]
        counters = self.folder / "counters.json"
        instructions = []
        for flags in inputs, {key: np.ones_like(value) for key, value in inputs.items()}:
            self.run(name, "emulator", sizes, {**tensors, **flags}, counters)
            instructions.append(launches(counters)[-1]["warp_instructions"])
        share, found = by_tiles(seen).mean(), instructions[0] / instructions[1]
        self.note(f"work of {name}, {share:.0%} of the tiles", f"{found:.0%} of the instructions" if found > 2 * share + 0.2 else "")


def by_tiles(seen, whole=False):
    """Whether a tile has a visible pair, or nothing but visible pairs, [heads, tiles of q, tiles of kv]."""
    heads, q, kv = seen.shape[1:]
    padded = np.zeros((heads, -(-q // TILE) * TILE, -(-kv // TILE) * TILE), bool)
    padded[:, :q, :kv] = seen[0]
    if whole:  # rows that do not exist see what the others do, keys that do not exist are hidden
        padded[:, q:, :kv] = True
    tiles = padded.reshape(heads, -1, TILE, padded.shape[2] // TILE, TILE)
    return tiles.all((2, 4)) if whole else tiles.any((2, 4))


def launches(counters):
    text, at, found = counters.read_text(), 0, []
    while at < len(text.rstrip()):
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = json.JSONDecoder().raw_decode(text, at)
        found.append(document)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attnc", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checker = Checker(options.attnc, pathlib.Path(folder))
        for name in SPECS:
            checker.check(name, heads=2, kv_heads=1, q=330, kv=700)
            checker.check(name, heads=2, kv_heads=2, q=128, kv=256)
        checker.work("rows", heads=1, q=640, kv=640)
    print(f"list tiles: {checker.passed} passed, {checker.failed} failed")
    return 1 if checker.failed else 0


if __name__ == "__main__":
    sys.exit(main())
