# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small Triton kernels of our own, one for each thing that Triton's code generator does to a device: layouts replicated
over warps, scans and sorts through shared memory, atomics, tensor cores, pipelined copies, and tensor maps that the
kernel makes. Each case returns {output: (got, wanted)}."""
import torch
import triton
import triton.language as tl


@triton.jit
def add_kernel(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    tl.store(out + at, tl.load(x + at, mask=mask) + tl.load(y + at, mask=mask), mask=mask)


@triton.jit
def softmax_kernel(x, out, columns, BLOCK: tl.constexpr):
    row, at = tl.program_id(0), tl.arange(0, BLOCK)
    values = tl.load(x + row * columns + at, mask=at < columns, other=-float("inf"))
    p = tl.exp(values - tl.max(values, 0))
    tl.store(out + row * columns + at, p / tl.sum(p, 0), mask=at < columns)


@triton.jit
def reduce_kernel(x, sums, tops, places, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    values = tl.load(x + rows[:, None] * COLUMNS + columns[None, :])
    # Fewer results than threads: every warp of a row stores the same numbers.
    tl.store(sums + columns, tl.sum(values, 0))
    tl.store(tops + rows, tl.max(values, 1))
    tl.store(places + rows, tl.argmax(values, 1))


@triton.jit
def scan_kernel(x, out, ordered, N: tl.constexpr):
    at = tl.arange(0, N)
    values = tl.load(x + at)
    tl.store(out + at, tl.cumsum(values, 0))
    tl.store(ordered + at, tl.sort(values))


@triton.jit
def histogram_kernel(x, counts, n, BINS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(counts + tl.load(x + at, mask=at < n, other=0), 1, mask=at < n)


@triton.autotune(configs=[triton.Config({"M": 64, "N": 64, "K": 32}, num_warps=4, num_stages=3),
                          triton.Config({"M": 128, "N": 64, "K": 64}, num_warps=4, num_stages=4),
                          triton.Config({"M": 32, "N": 32, "K": 32}, num_warps=8, num_stages=2)], key=["k"])
@triton.jit
def matmul_kernel(a, b, out, m, n, k, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    rows, columns = tl.program_id(0) * M + tl.arange(0, M), tl.program_id(1) * N + tl.arange(0, N)
    total = tl.zeros((M, N), tl.float32)
    for first in range(0, k, K):
        inner = first + tl.arange(0, K)
        left = tl.load(a + rows[:, None] * k + inner, mask=(rows < m)[:, None] & (inner < k), other=0.0)
        right = tl.load(b + inner[:, None] * n + columns, mask=(inner < k)[:, None] & (columns < n), other=0.0)
        total = tl.dot(left, right, total)
    tl.store(out + rows[:, None] * n + columns, total, mask=(rows < m)[:, None] & (columns < n))


@triton.jit
def descriptor_kernel(x, out, m, n, M: tl.constexpr, N: tl.constexpr):
    source = tl.make_tensor_descriptor(x, shape=[m, n], strides=[n, 1], block_shape=[M, N])
    target = tl.make_tensor_descriptor(out, shape=[m, n], strides=[n, 1], block_shape=[M, N])
    row, column = tl.program_id(0) * M, tl.program_id(1) * N
    target.store([row, column], source.load([row, column]) * 2)


def add():
    x, y = torch.randn(1000), torch.randn(1000)
    out = torch.empty_like(x)
    add_kernel[(4,)](x, y, out, 1000, BLOCK=256)
    return {"out": (out, x + y)}


def softmax():
    x = torch.randn(5, 700)
    out = torch.empty_like(x)
    softmax_kernel[(5,)](x, out, 700, BLOCK=1024)
    return {"out": (out, torch.softmax(x.double(), 1))}


def reduce(warps):
    x = torch.randn(16, 32)
    sums, tops, places = torch.empty(32), torch.empty(16), torch.empty(16, dtype=torch.int32)
    reduce_kernel[(1,)](x, sums, tops, places, ROWS=16, COLUMNS=32, num_warps=warps)
    return {"sum": (sums, x.double().sum(0)), "max": (tops, x.max(1).values), "argmax": (places, x.argmax(1))}


def scan():
    x = torch.randn(256)
    out, ordered = torch.empty_like(x), torch.empty_like(x)
    scan_kernel[(1,)](x, out, ordered, N=256, num_warps=4)
    return {"cumsum": (out, x.double().cumsum(0)), "sort": (ordered, x.sort().values)}


def histogram():
    x = torch.randint(0, 16, (1000,), dtype=torch.int32)
    counts = torch.zeros(16, dtype=torch.int32)
    histogram_kernel[(4,)](x, counts, 1000, BINS=16, BLOCK=256)
    return {"counts": (counts, torch.bincount(x, minlength=16))}


def matmul(dtype, runtime, choice):
    a, b = torch.randn(200, 136).to(dtype), torch.randn(136, 72).to(dtype)
    out = torch.empty(200, 72)
    runtime.choice = choice
    matmul_kernel[lambda meta: (triton.cdiv(200, meta["M"]), triton.cdiv(72, meta["N"]))](a, b, out, 200, 72, 136)
    return {"out": (out, a.double() @ b.double())}


def descriptors(dtype, runtime):
    x = torch.randn(100, 96).to(dtype)
    out = torch.empty_like(x)
    descriptor_kernel[(4, 3)](x, out, 100, 96, M=32, N=32)
    if (runtime.capability == 90) != ("tensormap.replace" in runtime.launches[-1].ptx):
        raise AssertionError("tensor maps are for sm_90, and only for it")
    return {"out": (out, x * 2)}


def cases(runtime):
    """(name, function, bound of the relative error)"""
    yield "add", add, 0
    yield "softmax", softmax, 1e-6
    for warps in (1, 4, 8):
        yield f"reduce, {warps} warps", lambda warps=warps: reduce(warps), 1e-6
    yield "scan and sort", scan, 1e-6
    yield "histogram", histogram, 0
    for dtype in (torch.float16, torch.bfloat16):
        for choice in range(3):
            yield (f"matmul {dtype}, configuration {choice}",
                   lambda dtype=dtype, choice=choice: matmul(dtype, runtime, choice), 1e-6)
        yield f"descriptors made by the kernel, {dtype}", lambda dtype=dtype: descriptors(dtype, runtime), 0
