#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the kernels of chunked recurrences execute and move, counted by the emulator. No GPU is needed, and no time is told.

    bench/gpu_recurrences.py --attnc build/bin/attnc [--target sm_80] [--steps 256] [--kernels]

Batch 1, 2 heads of 128, bf16, chunks of 64 steps, the final state put out. Warp instructions are PTX instructions; bytes are those of
requests to global memory, wavefronts those of shared memory. The last columns are what flash-linear-attention's Triton kernels took at
the same sizes (256 steps) on the same emulator, with the best of their configurations: constants here, not counted again.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

STATE = "  state S[d, e]\n"
OUT = "  out sum(S * Q for d) / sqrt(size(d))\n  output S\n}\n"
DECAY = "sample uniform(-0.2, 0)"
SPECS = {
    "simple_gla": f"recurrence simple_gla {{\n  input G: f32[b, h, t] {DECAY}\n{STATE}  S = exp(G) * S + K * V\n{OUT}",
    "gated_delta_rule": f"recurrence gated_delta_rule {{\n  input G: f32[b, h, t] {DECAY}, Beta: f32[b, h, t] sample uniform(0, 1)\n"
                        f"{STATE}  S = exp(G) * S\n  S = S + Beta * K * (V - sum(S * K for d))\n{OUT}",
    "gla": f"recurrence gla {{\n  input G: f32[b, h, t, d] {DECAY}\n{STATE}  S = exp(G) * S + K * V\n{OUT}",
    "kda": f"recurrence kda {{\n  input G: f32[b, h, t, d] {DECAY}, Beta: f32[b, h, t] sample uniform(0, 1)\n"
           f"{STATE}  S = exp(G) * S\n  S = S + Beta * K * (V - sum(S * K for d))\n{OUT}",
}
#: launches, thousands of warp instructions, KiB read and written, thousands of wavefronts
FLA = {"gated_delta_rule": (5, 286, 3467, 107), "gla": (5, 531, 9090, 172), "kda": (6, 894, 12698, 135)}


def kernels(attnc, name, target, steps):
    """The counters of each launch, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        spec, counters = pathlib.Path(folder, name + ".attn"), pathlib.Path(folder, "counters.json")
        spec.write_text(SPECS[name])
        command = [attnc, "run", spec, "--device=emulator", f"--target={target}", "--dtype=bf16", "--heads=2", f"--q-len={steps}",
                   "--head-dim=128", "--chunk=64", "--no-cache"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ATTNC_EMU_COUNTERS": str(counters)})
        if done.returncode:
            sys.exit(done.stderr)
        text, decoder, found, at = counters.read_text(), json.JSONDecoder(), [], 0
        while at < len(text):
            one, at = decoder.raw_decode(text, at)
            found.append(one)
            at += len(text[at:]) - len(text[at:].lstrip())
        return found


def row(counted):
    totals = [one["totals"] for one in counted]
    moved = sum(t["global_read_bytes"] + t["global_written_bytes"] for t in totals) / 1024
    return (sum(one["warp_instructions"] for one in counted) / 1000, moved, sum(t["wavefronts"] for t in totals) / 1000,
            sum(t["bank_conflicts"] for t in totals) / 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attnc", default="build/bin/attnc")
    parser.add_argument("--target", default="sm_80")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--kernels", action="store_true", help="a line for each kernel, too")
    arguments = parser.parse_args()
    print("| recurrence | launches | warp instructions | KiB moved | wavefronts | conflicts | FLA: launches | instructions | KiB | wavefronts |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in SPECS:
        counted = kernels(arguments.attnc, name, arguments.target, arguments.steps)
        peer = FLA.get(name) if arguments.steps == 256 else None
        peers = f"{peer[0]} | {peer[1]} k | {peer[2]} | {peer[3]} k" if peer else "– | – | – | –"
        instructions, moved, wavefronts, conflicts = row(counted)
        print(f"| {name} | {len(counted)} | {instructions:.0f} k | {moved:.0f} | {wavefronts:.0f} k | {conflicts:.0f} k | {peers} |")
        for one in counted if arguments.kernels else []:
            instructions, moved, wavefronts, conflicts = row([one])
            print(f"| – {one['kernel']} ({one['ctas']} blocks) | | {instructions:.0f} k | {moved:.0f} | {wavefronts:.0f} k | {conflicts:.0f} k | | | | |")


if __name__ == "__main__":
    main()
