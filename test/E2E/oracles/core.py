# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What every oracle shares: the registry, the case, the sizes, and the few operations that all families use.

An oracle answers "what should this row of the catalogue return for these inputs", and it does so without any of the
compiler's code. The kinds:

  formula          f(rng, size) -> Case. Draws the inputs and transcribes the published formula in float64 NumPy.
  third-party      f(case) -> {output name: array}. Runs somebody else's implementation on the inputs of the formula's case.
  second-form      the same signature; another form of the formula, written by us on somebody else's primitives
                   (automatic differentiation, matrix functions), for rows without a public implementation.
  exact-attention  the same signature; the attention that a low-bit formula approximates, with a wide bound.

The formula is what the compiler is compared with; the third-party implementation tells whether the transcription is right.

One thing is easy to get wrong: inputs are float32 arrays, so that a kernel in single precision and the reference in
double precision see the same numbers, but every formula converts them to float64 before the first operation.
"""
import dataclasses
import zlib

import numpy as np

SIZES = ("tiny", "odd", "gqa")
REGISTRY = {}


class NearTie(Exception):
    """A decision of this draw (top-k, threshold, rounding) is too close to call in another precision; draw again."""


@dataclasses.dataclass
class Case:
    inputs: dict
    params: dict
    outputs: dict
    bound: float = 1e-9  # relative Frobenius error that a float64 implementation of the same formula stays below


@dataclasses.dataclass
class Oracle:
    row: str
    kind: str
    source: str
    function: object
    bound: float = 1e-6
    sizes: tuple = SIZES


def oracle(row, kind, source, bound=1e-6, sizes=SIZES):
    """Registers a function as an oracle for a row. `bound` is the agreement that a third-party oracle promises."""

    def register(function):
        REGISTRY.setdefault(row, []).append(Oracle(row, kind, source, function, bound, sizes))
        return function

    return register


def formula(row):
    """The one formula oracle of a row."""
    found = [o for o in REGISTRY[row] if o.kind == "formula"]
    if len(found) != 1:
        raise LookupError(f"{row} has {len(found)} formula oracles, expected 1")
    return found[0]


def make_case(row, size="tiny", seed=0):
    """Draws until no decision is a near tie. The same (row, size, seed) always gives the same case."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{row}/{size}".encode())])
    for _ in range(200):
        try:
            return formula(row).function(rng, size)
        except NearTie:
            continue
    raise RuntimeError(f"{row}/{size}: 200 draws all had a near tie")


@dataclasses.dataclass(frozen=True)
class Shape:
    b: int  # batch
    h: int  # query heads
    g: int  # key/value heads
    q: int  # query rows
    n: int  # keys, or time steps
    d: int  # head size of queries and keys
    e: int  # head size of values


def shape(size, q=None):
    """The sizes. "odd" has lengths that no block size divides and fewer queries than keys; q=0 asks for q == n."""
    s = {
        "tiny": Shape(1, 2, 2, 40, 40, 8, 8),
        "odd": Shape(2, 4, 2, 51, 67, 12, 10),
        "gqa": Shape(2, 8, 2, 80, 80, 16, 16),
    }[size]
    return s if q is None else dataclasses.replace(s, q=q or s.n)


def normal(rng, *dims, scale=1.0):
    return (scale * rng.standard_normal(dims)).astype(np.float32)


def uniform(rng, low, high, *dims):
    return rng.uniform(low, high, dims).astype(np.float32)


def qkv(rng, s):
    """Q [b,h,q,d], K [b,g,n,d], V [b,g,n,e]."""
    return normal(rng, s.b, s.h, s.q, s.d), normal(rng, s.b, s.g, s.n, s.d), normal(rng, s.b, s.g, s.n, s.e)


def f64(*arrays):
    out = tuple(np.asarray(a, np.float64) for a in arrays)
    return out if len(out) > 1 else out[0]


def per_query_head(x, h):
    """[b,g,...] -> [b,h,...]: query head i reads key/value head i // (h/g)."""
    return np.repeat(x, h // x.shape[1], axis=1)


def positions(q, n):
    """Query positions i as a column and key positions j as a row; the last query stands on the last key."""
    return np.arange(n - q, n)[:, None], np.arange(n)[None, :]


def softmax(x, axis=-1):
    m = np.max(x, axis=axis, keepdims=True)
    p = np.exp(x - np.where(np.isfinite(m), m, 0.0))
    total = np.sum(p, axis=axis, keepdims=True)
    return p / np.where(total == 0, 1.0, total)


def attend(x, v):
    """out = sum_j softmax_j(x) v_j and lse = ln sum_j e^x; a row without any key gives out = 0 and lse = -inf."""
    m = np.max(x, axis=-1, keepdims=True)
    p = np.exp(x - np.where(np.isfinite(m), m, 0.0))
    total = np.sum(p, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = np.where(np.isfinite(m), m, 0.0) + np.log(total)
    return (p / np.where(total == 0, 1.0, total)) @ v, lse[..., 0]


def softmax_attention(q, k, v, mask=True, scale=None, modify=None, bias=0.0):
    """softmax(modify(scale q.k) + bias over mask) v in float64, with grouped heads. mask broadcasts to [b,h,q,n]."""
    q, k, v = f64(q, k, v)
    k, v = per_query_head(k, q.shape[1]), per_query_head(v, q.shape[1])
    x = np.einsum("bhid,bhjd->bhij", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    x = (modify(x) if modify else x) + bias
    return attend(np.where(mask, x, -np.inf), v)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return np.logaddexp(0.0, x)


def logsigmoid(x):
    return -np.logaddexp(0.0, -x)


def rms_norm(x, eps, weight=1.0):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def layer_norm(x, eps, weight=1.0, bias=0.0):
    mean = np.mean(x, axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(np.mean((x - mean) ** 2, axis=-1, keepdims=True) + eps) * weight + bias


def l2_norm(x, eps=1e-6):
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + eps)


def rope(x, position, base=10000.0):
    """Rotates the halves (x1, x2) of the last axis by position * base^(-2c/d). position broadcasts to x's rows."""
    half = x.shape[-1] // 2
    angle = np.asarray(position, np.float64)[..., None] * base ** (-np.arange(half) / half)
    x1, x2 = x[..., :half], x[..., half:]
    return np.concatenate([x1 * np.cos(angle) - x2 * np.sin(angle), x2 * np.cos(angle) + x1 * np.sin(angle)], -1)


def blocks(n, size):
    """[(start, end)] of the blocks of n rows; the last one may be short."""
    return [(a, min(a + size, n)) for a in range(0, n, size)]


def pool_mean(x, size):
    """Mean of each block of rows: [..., n, d] -> [..., blocks, d]."""
    return np.stack([x[..., a:b, :].mean(-2) for a, b in blocks(x.shape[-2], size)], -2)


def clear(gap, margin=1e-5):
    """Refuses a draw whose smallest |gap| between a number and its threshold is within the margin."""
    gap = np.abs(np.asarray(gap, np.float64))
    gap = gap[np.isfinite(gap)]
    if gap.size and gap.min() <= margin:
        raise NearTie(f"a decision has the margin {gap.min():.2e}")


def ranked(scores):
    """Indices of the last axis by falling score; a tie goes to the smaller index."""
    return np.argsort(-scores, axis=-1, kind="stable")


def top_k(scores, k, margin=1e-5, exact_ties=False):
    """True at the k largest finite-or-+inf scores of each row; -inf is never kept. Refuses near ties at the cut.

    exact_ties allows equal scores at the cut, for scores that are the very same number in any precision; the smaller
    index wins.
    """
    order = ranked(scores)
    k = np.minimum(k, scores.shape[-1])
    rank = np.argsort(order, axis=-1, kind="stable")
    keep = rank < np.asarray(k)[..., None] if np.ndim(k) else rank < k
    falling = np.take_along_axis(scores, order, -1)
    cut = np.broadcast_to(np.asarray(k)[..., None], scores.shape[:-1] + (1,))
    last = np.take_along_axis(falling, np.maximum(cut - 1, 0), -1)
    after = np.take_along_axis(falling, np.minimum(cut, scores.shape[-1] - 1), -1)
    real = (cut < scores.shape[-1]) & (cut > 0) & np.isfinite(last) & np.isfinite(after)
    if exact_ties:
        real &= last != after
    clear(np.where(real, last - np.where(np.isfinite(after), after, 0), np.inf), margin)
    return keep & (scores > -np.inf)


def expand_blocks(keep, block_q, block_k, q, n):
    """A block map [..., nq, nk] as an element mask [..., q, n]."""
    return np.repeat(np.repeat(keep, block_q, -2)[..., :q, :], block_k, -1)[..., :n]


def relative_error(got, want):
    """Frobenius norm of the difference over that of the expected array; infinities must sit at the same places."""
    got, want = f64(got, want)
    if got.shape != want.shape:
        return np.inf
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(got[~finite], want[~finite]):
        return np.inf
    difference = np.linalg.norm(got[finite] - want[finite])
    return difference if difference == 0 else difference / max(np.linalg.norm(want[finite]), 1e-300)
