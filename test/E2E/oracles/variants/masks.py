# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Masks: softmax attention over keys that positions, lists or trees choose. Each mask is built as a dense matrix, in loops where
the spec has arithmetic."""
import numpy as np

from . import variant
from ..core import Case, f64, normal, positions, qkv, shape, softmax_attention


def masked(rng, s, mask, inputs, params, **more):
    """The case of a mask [.., q, n] over drawn Q, K, V."""
    q, k, v = qkv(rng, s)
    out, _ = softmax_attention(q, k, v, mask, **more)
    return Case({"Q": q, "K": k, "V": v, **inputs}, params, {"out": out})


def mask_of(s, rule):
    """The matrix of rule(i, j) with the first query at the first key."""
    return np.array([[bool(rule(i, j)) for j in range(s.n)] for i in range(s.q)])


@variant("static/batched_rows")
def batched_rows(rng, size):
    s, n = shape(size), 7
    return masked(rng, s, mask_of(s, lambda i, j: i // n == j // n and j <= i), {}, {"n": n})


@variant("static/image_intervals")
def image_intervals(rng, size):
    """An image is seen from its first to before its last text token."""
    s, tokens = shape(size), 6
    interval = np.sort(rng.integers(0, s.q, (-(-s.n // tokens), 2)), -1).astype(np.int32)
    mask = mask_of(s, lambda i, j: i in range(*interval[j // tokens]))
    return masked(rng, s, mask, {"Interval": interval}, {"image_tokens": tokens})


@variant("static/jetspec_training")
def jetspec_training(rng, size):
    s, block = shape(size, q=23), 5
    prefix = s.n - s.q
    mask = mask_of(s, lambda i, j: j < prefix or (i // block == (j - prefix) // block and j - prefix <= i))
    return masked(rng, s, mask, {}, {"block": block})


def random_tree(rng, count):
    """The parent of each of `count` drafts, -1 for a root; at most three generations above each."""
    parent, depth = [], []
    for i in range(count):
        choices = [-1] + [j for j in range(i) if depth[j] < 3]
        parent.append(int(rng.choice(choices)))
        depth.append(0 if parent[-1] < 0 else depth[parent[-1]] + 1)
    return parent


def tree_mask(s, parent):
    """[q, n]: the prefix, the token itself, and who is above it."""
    mask = np.zeros((s.q, s.n), bool)
    mask[:, :s.n - s.q] = True
    for i in range(s.q):
        j = i
        while j >= 0:
            mask[i, s.n - s.q + j] = True
            j = parent[j]
    return mask


@variant("static/jetspec_tree")
def jetspec_tree(rng, size):
    """The spec reads the matrix at the query's row, which is its position less the prefix."""
    s = shape(size, q=17)
    mask = tree_mask(s, random_tree(rng, s.q))
    return masked(rng, s, mask, {"Ancestor": mask[:, s.n - s.q:]}, {})


@variant("static/tree_parents")
def tree_parents(rng, size):
    s = shape(size, q=17)
    masks, parents = [], []
    for _ in range(s.b):
        parent = random_tree(rng, s.q)
        masks.append(tree_mask(s, parent))
        # A root's parent is a token of the prefix, which is seen anyway.
        behind = [s.n - s.q - 1 if p < 0 else s.n - s.q + p for p in parent]
        parents.append(list(range(-1, s.n - s.q - 1)) + behind)
    return masked(rng, s, np.stack(masks)[:, None], {"Parent": np.array(parents, np.int32)}, {})


def window_of(x, kernel, extent):
    """The `kernel` places around x that lie in [0, extent), shifted inwards at the borders."""
    start = min(max(x - kernel // 2, 0), extent - kernel)
    return range(start, start + kernel)


@variant("static/neighborhood")
def neighborhood(rng, size):
    s = shape(size, q=0)
    rows = 5
    columns, kw, kh = -(-s.n // rows), 3, 5
    mask = mask_of(s, lambda i, j: j // rows in window_of(i // rows, kw, columns) and j % rows in window_of(i % rows, kh, rows))
    return masked(rng, s, mask, {}, {"columns": columns, "rows": rows, "kw": kw, "kh": kh})


@variant("static/neighborhood_morton")
def neighborhood_morton(rng, size):
    s = shape(size, q=0)
    width, kernel = (8, 7) if s.n <= 64 else (16, 5)  # a small square, so that its borders matter

    def place(i):
        bits = f"{i:016b}"[::-1]
        return int(bits[0::2][::-1], 2), int(bits[1::2][::-1], 2)

    def seen(i, j):
        return all(b in window_of(a, kernel, width) for a, b in zip(place(i), place(j)))

    return masked(rng, s, mask_of(s, seen), {}, {"width": width, "kernel": kernel})


def packed(rng, s):
    """Starts of 5 sequences, and the sequence of each position."""
    starts = np.concatenate([[0], np.sort(rng.choice(np.arange(1, s.n), 4, replace=False))])
    return starts, np.repeat(np.arange(5), np.diff(np.append(starts, s.n)))


@variant("static/packed_offsets")
def packed_offsets(rng, size):
    s = shape(size)
    starts, sequence = packed(rng, s)
    i, j = positions(s.q, s.n)
    mask = (sequence[i] == sequence[j]) & (j <= i)
    return masked(rng, s, mask, {"Offsets": np.append(starts, s.n).astype(np.int32)}, {})


@variant("static/packed_starts")
def packed_starts(rng, size):
    s = shape(size)
    starts, sequence = packed(rng, s)
    i, j = positions(s.q, s.n)
    mask = (sequence[i] == sequence[j]) & (j <= i)
    return masked(rng, s, mask, {"Start": starts[sequence].astype(np.int32)}, {})


@variant("static/shared_prefix")
def shared_prefix(rng, size):
    """Documents 1 and 3 continue 0, 4 continues 2."""
    s = shape(size, q=0)
    starts, doc = packed(rng, s)
    prefix = np.array([0, 0, 2, 0, 2])
    mask = mask_of(s, lambda i, j: (doc[j] == doc[i] and j <= i) or (prefix[doc[i]] != doc[i] and doc[j] == prefix[doc[i]]))
    offsets = np.append(starts, s.n)
    return masked(rng, s, mask, {"Doc": doc.astype(np.int32), "Offsets": offsets.astype(np.int32), "Prefix": prefix.astype(np.int32)}, {})


@variant("static/video_heads")
def video_heads(rng, size):
    """3 frames of 12 behind a prompt of 4: a band for spatial heads, the same places for temporal ones."""
    s, prompt, frames, per_frame, width, granule = shape(size, q=0), 4, 3, 12, 1, 4
    temporal = rng.random((s.b, s.h)) < 0.5
    temporal[0, 0], temporal[0, -1] = True, False
    band = width * per_frame // granule * granule
    near = mask_of(s, lambda i, j: i < prompt or j < prompt or -band < i - j < band)
    same = mask_of(s, lambda i, j: i < prompt or j < prompt or
                   abs((i - prompt) % per_frame - (j - prompt) % per_frame) < width * per_frame // frames)
    mask = np.where(temporal[:, :, None, None], same, near)
    params = {"prompt": prompt, "frames": frames, "per_frame": per_frame, "width": width, "round": granule}
    return masked(rng, s, mask, {"Temporal": temporal}, params)


@variant("decode/paged_physical")
def paged_physical(rng, size):
    """The cache is put into logical order for each batch element, and attended to there."""
    s, page = shape(size, q=3), 8
    pages = -(-s.n // page)
    q, k, v = normal(rng, s.b, s.h, s.q, s.d), normal(rng, s.g, s.n, s.d), normal(rng, s.g, s.n, s.e)
    logical = np.full((s.b, pages), -1, np.int32)
    out, length = [], []
    # The last page may be short in memory, so a sequence has it as its last page or not at all.
    owner = rng.integers(0, s.b, pages - 1)
    for b in range(s.b):
        mine = rng.permutation(np.flatnonzero(owner == b))
        mine = mine if len(mine) else np.array([pages - 1])
        logical[b, mine] = np.arange(len(mine))
        tokens = np.concatenate([np.arange(p * page, min((p + 1) * page, s.n)) for p in mine])
        length.append(max(len(tokens) - 2, s.q))
        tokens = tokens[:length[-1]]
        i = np.arange(length[-1] - s.q, length[-1])[:, None]
        mask = np.arange(len(tokens)) <= i
        out.append(softmax_attention(q[b:b + 1], f64(k)[None, :, tokens], f64(v)[None, :, tokens], mask)[0][0])
    inputs = {"Q": q, "K": k, "V": v, "Logical": logical, "Length": np.array(length, np.int32)}
    return Case(inputs, {"page": page}, {"out": np.stack(out)})
