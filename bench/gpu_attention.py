#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attnc on a GPU against PyTorch's SDPA and compiled flex_attention, same shape, same run.

    bench/gpu_attention.py --attnc build-release/bin/attnc [--json FILE] [--plans] [--quick]

Correctness is the gate: a variant that fails `attnc run --check` is reported as failed and not timed. Times are
medians of CUDA events (attnc bench, torch.cuda.Event) after a warm-up. `--plans` also times other tiles of the
planner's search space. Prints the device, its driver and its clocks before and after.
"""
import argparse
import json
import statistics
import subprocess
import sys

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--attnc", default="build-release/bin/attnc")
parser.add_argument("--specs", default="specs")
parser.add_argument("--json")
parser.add_argument("--plans", action="store_true")
parser.add_argument("--quick", action="store_true", help="one shape")
parser.add_argument("--repeat", type=int, default=30)
args = parser.parse_args()

# batch, heads, kv heads, length, head dim
SHAPES = [(4, 16, 16, 4096, 64), (4, 16, 16, 4096, 128), (2, 32, 8, 8192, 128)]
PLANS = [["--tile-q=64", "--num-warps=4"], ["--tile-q=128", "--num-warps=8"], ["--tile-q=128", "--num-warps=4"],
         ["--tile-q=64", "--num-warps=4", "--stages=3"], ["--tile-q=128", "--num-warps=8", "--tile-kv=128"]]
WINDOW = 256


def smi():
    query = "name,driver_version,clocks.sm,clocks.mem,clocks_throttle_reasons.active,power.draw"
    result = subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], capture_output=True, text=True)
    return result.stdout.strip()


def attnc(command, spec, shape, dtype, extra):
    b, h, g, s, d = shape
    line = [args.attnc, command, f"{args.specs}/{spec}.attn", "--device=cuda", f"--dtype={dtype}", f"--batch={b}",
            f"--heads={h}", f"--kv-heads={g}", f"--q-len={s}", f"--head-dim={d}", "--json", *extra]
    return subprocess.run(line, capture_output=True, text=True)


def time_torch(fn):
    for _ in range(3):
        fn()
    times = []
    for _ in range(args.repeat):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        fn()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def rivals(spec, shape, dtype):
    """Name and function of what PyTorch has for this variant."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    b, h, g, s, d = shape
    torch.manual_seed(0)
    kind = {"bf16": torch.bfloat16, "f16": torch.float16}[dtype]
    q = torch.randn(b, h, s, d, device="cuda", dtype=kind)
    k, v = (torch.randn(b, g, s, d, device="cuda", dtype=kind) for _ in range(2))
    flex = torch.compile(flex_attention)
    masks = {"causal": lambda B, H, i, j: j <= i,
             "sliding_window": lambda B, H, i, j: (j <= i) & (i - j < WINDOW)}
    if spec in ("causal", "full"):
        yield "sdpa", lambda: F.scaled_dot_product_attention(q, k, v, is_causal=spec == "causal", enable_gqa=h != g)
    if spec in masks:
        block = create_block_mask(masks[spec], None, None, s, s, device="cuda")
        yield "flex", lambda: flex(q, k, v, block_mask=block, enable_gqa=h != g)
    if spec == "alibi":
        slopes = torch.tensor([2.0 ** (-8 * (i + 1) / h) for i in range(h)], device="cuda")
        block = create_block_mask(masks["causal"], None, None, s, s, device="cuda")
        yield "flex", lambda: flex(q, k, v, score_mod=lambda x, B, H, i, j: x + slopes[H] * (j - i), block_mask=block,
                                   enable_gqa=h != g)


def main():
    rows = []
    print(f"torch {torch.__version__}, {smi()}")
    for shape in SHAPES[:1] if args.quick else SHAPES:
        b, h, g, s, d = shape
        for dtype in ("bf16", "f16"):
            for spec in ("causal", "full", "sliding_window", "alibi", "soft_cap", "document"):
                extra = [f"--param=window={WINDOW}"] if spec == "sliding_window" else []
                # The gate, at a length the reference finishes soon.
                gate = attnc("run", spec, (1, h, g, 1000, d), dtype, [*extra, "--check"])
                if gate.returncode:
                    print(f"FAILED {spec} {dtype} {shape}: {gate.stdout[-400:]}{gate.stderr[-400:]}")
                    continue
                row = {"spec": spec, "dtype": dtype, "shape": shape}
                result = attnc("bench", spec, shape, dtype, [*extra, f"--repeat={args.repeat}"])
                if result.returncode:
                    sys.exit(result.stderr)
                row["attnc_ms"] = json.loads(result.stdout)["median_ms"]
                if args.plans:
                    for plan in PLANS:
                        timed = attnc("bench", spec, shape, dtype, [*extra, *plan, f"--repeat={args.repeat}"])
                        row[" ".join(plan)] = json.loads(timed.stdout)["median_ms"] if not timed.returncode else None
                for name, fn in rivals(spec, shape, dtype):
                    row[f"{name}_ms"] = time_torch(fn)
                    row[f"over_{name}"] = row[f"{name}_ms"] / row["attnc_ms"]
                # Products of the visible half, or of everything.
                visible = {"causal": 0.5, "full": 1.0, "alibi": 0.5, "soft_cap": 0.5}.get(spec)
                if visible:
                    row["tflops"] = 4 * b * h * s * s * d * visible / row["attnc_ms"] / 1e9
                rows.append(row)
                print(json.dumps(row), flush=True)
    print(smi())
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"device": smi(), "torch": torch.__version__, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
