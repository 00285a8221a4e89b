#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attnc on the host against PyTorch's CPU attention, one thread, same shape, same run.

    pip install torch==2.13.0
    bench/host_attention.py --attnc build/bin/attnc [--json results.json] [--no-flex]

causal, full: scaled_dot_product_attention. causal, ALiBi, window 256, document: compiled flex_attention (its
block mask is made outside of the timed region). Before a pair is timed, both compute the same tensors and must agree.
Medians of the runs after a warm-up; the programs take turns within a round, so that a change of the machine's speed
hits all of them.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--attnc", default="build/bin/attnc")
parser.add_argument("--specs", default="specs")
parser.add_argument("--heads", type=int, default=8)
parser.add_argument("--length", type=int, default=2048)
parser.add_argument("--head-dim", type=int, default=64)
parser.add_argument("--dtypes", default="f32,bf16")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--repeat", type=int, default=7)
parser.add_argument("--no-flex", action="store_true", help="leave compiled flex_attention out")
parser.add_argument("--json", help="write the results here too")
args = parser.parse_args()
torch.set_num_threads(1)

TORCH_TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
# The sum of what either may be away from the exact result; for f16 and bf16 mostly the roundings of the output.
SAME = {"f32": 1e-5, "f16": 2e-3, "bf16": 1e-2}
H, S = args.heads, args.length


def time_torch(fn):
    fn()
    times = []
    for _ in range(args.repeat):
        start = time.perf_counter()
        fn()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def time_attnc(variant, dtype):
    command = [args.attnc, "bench", f"{args.specs}/{variant}.attn", "--device=host", f"--dtype={dtype}",
               f"--heads={H}", f"--q-len={S}", f"--head-dim={args.head_dim}", "--threads=1",
               f"--repeat={args.repeat}", "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout)["median_ms"]


def numpy_of(tensor):
    """The tensor for a .npy file; bf16, which NumPy lacks, as its bits in uint16."""
    return tensor.view(torch.int16).numpy().view(np.uint16) if tensor.dtype == torch.bfloat16 else tensor.numpy()


def check_same(variant, dtype, q, k, v, wanted):
    """Ends the program unless attnc computes `wanted` [1, H, S, head_dim] from the same q, k and v: then the times
    would be those of two different things."""
    inputs = {"Q": q, "K": k, "V": v, **EXTRA_INPUTS.get(variant, {})}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = [args.attnc, "run", f"{args.specs}/{variant}.attn", "--device=host", f"--dtype={dtype}",
                   f"--output=out={folder / 'out.npy'}"]
        for key, tensor in inputs.items():
            np.save(folder / f"{key}.npy", numpy_of(tensor))
            command.append(f"--input={key}={folder / key}.npy")
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
        out = np.load(folder / "out.npy")
    out = torch.from_numpy(out.view(np.int16)).view(torch.bfloat16) if dtype == "bf16" else torch.from_numpy(out)
    wanted = wanted.double()
    error = ((out.double() - wanted).norm() / wanted.norm()).item()
    if not error <= SAME[dtype]:
        sys.exit(f"{variant} {dtype}: attnc and PyTorch differ by {error:.1e} (relative Frobenius), "
                 f"more than {SAME[dtype]:.0e}")
    return error


def causal(b, h, q, k):
    return q >= k


def window(b, h, q, k):
    return (q >= k) & (q - k < 256)


DOCUMENT = (torch.arange(S) * 6) // S


def document(b, h, q, k):
    return (q >= k) & (DOCUMENT[q] == DOCUMENT[k])


SLOPE = 2.0 ** -(torch.arange(H) + 1.0)


def alibi(score, b, h, q, k):
    return score + SLOPE[h] * (k - q)


# What a spec takes besides Q, K and V: the numbers that the functions above use.
EXTRA_INPUTS = {"document": {"doc": DOCUMENT[None].to(torch.int32)}, "alibi": {"slope": SLOPE}}


def flex(mask, score, q, k, v, compiled):
    from torch.nn.attention.flex_attention import create_block_mask
    block = create_block_mask(mask, None, None, S, S, device="cpu")
    return lambda: compiled(q, k, v, score_mod=score, block_mask=block)


rows = []
with torch.no_grad():
    for dtype in args.dtypes.split(","):
        torch.manual_seed(0)
        q, k, v = (torch.randn(1, H, S, args.head_dim).to(TORCH_TYPES[dtype]) for _ in range(3))
        rivals = {("causal", "sdpa"): lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
                  ("full", "sdpa"): lambda: F.scaled_dot_product_attention(q, k, v)}
        if not args.no_flex:
            from torch.nn.attention.flex_attention import flex_attention
            for name, mask, score in [("causal", causal, None), ("alibi", causal, alibi),
                                      ("sliding_window", window, None), ("document", document, None)]:
                rivals[name, "flex"] = flex(mask, score, q, k, v, torch.compile(flex_attention))
        for (variant, rival), fn in rivals.items():
            error = check_same(variant, dtype, q, k, v, fn())
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(time_attnc(variant, dtype))
                theirs.append(time_torch(fn))
            row = {"dtype": dtype, "variant": variant, "attnc_ms": statistics.median(ours), "rival": rival,
                   "rival_ms": statistics.median(theirs), "difference": error}
            row["speedup"] = row["rival_ms"] / row["attnc_ms"]
            rows.append(row)
            print("{dtype:5} {variant:15} attnc {attnc_ms:8.2f} ms   {rival} {rival_ms:8.2f} ms   "
                  "{speedup:5.2f}x".format(**row), flush=True)
if args.json:
    with open(args.json, "w") as file:
        json.dump({"shape": [1, H, S, args.head_dim], "threads": 1, "torch": torch.__version__,
                   "rows": rows}, file, indent=2)
