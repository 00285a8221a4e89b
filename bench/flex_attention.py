#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every mask and score function of attention-gym through attnc.flex_attention, beside PyTorch's FlexAttention on the CPU.

    pip install torch==2.13.0
    git clone https://github.com/meta-pytorch/attention-gym gym
    PYTHONPATH=python ATTNC_LIBRARY=build/lib/libattnc.so bench/flex_attention.py --gym gym [--compiled] [--only NAME]

The functions are those of the checkout, unchanged. The error is relative (Frobenius), of float32 results against eager
FlexAttention in float32 and in float64. The first call traces and compiles, into an empty code cache; the steady one is the
median of the calls after it, mask creation left out on both sides. `--compiled` measures torch.compile(flex_attention) as well.
Prints a table in Markdown; the exit status is 1 if an error is above 1e-6 or a function does not run.
"""
import argparse
import importlib
import inspect
import math
import os
import pathlib
import pkgutil
import statistics
import sys
import tempfile
import time
import warnings

B, H, N, D = 1, 4, 1024, 64
WIDTH = math.isqrt(N)


def cases(masks, mods, torch):
    """Name, mask function, score function, number of queries."""
    from torch.nn import functional
    from attn_gym.masks import shared_prefix, vsa
    generator = torch.Generator().manual_seed(1)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    def randint(high, *shape):
        return torch.randint(0, high, shape, generator=generator)

    offsets = torch.tensor([0, 100, 330, 700, N], dtype=torch.int32)
    intervals = torch.tensor([[i * 40, i * 40 + 300] for i in range(16)])
    distances = randint(6, B, N, N).int()  # what all-pairs shortest paths would yield; they take long
    kinds, lengths = randint(3, B, N, N, 3).int(), randint(4, B, N, N).int()
    tiles = randint(16, B, H, 16, 4)
    real = torch.tensor([64, 60, 64, 1] * 4)
    parents = [-1] + [max(0, i // 2 - 1) for i in range(1, 64)]
    found = [
        ("causal_mask", masks.causal_mask),
        ("batchify_mask_mod(causal_mask, 256)", masks.batchify_mask_mod(masks.causal_mask, 256)),
        ("generate_block_diffusion_mask", masks.generate_block_diffusion_mask(N // 2, 16)),
        ("generate_dilated_sliding_window", masks.generate_dilated_sliding_window(64, 4)),
        ("generate_doc_mask_mod(causal_mask)", masks.generate_doc_mask_mod(masks.causal_mask, offsets)),
        ("generate_doc_mask_mod(generate_sliding_window)", masks.generate_doc_mask_mod(masks.generate_sliding_window(50), offsets)),
        ("generate_packed_causal_doc_mask_mod", masks.generate_packed_causal_doc_mask_mod(offsets)),
        ("generate_vision_cross_attention_mask_mod", masks.generate_vision_cross_attention_mask_mod(intervals, N // 16)),
        ("generate_global_sliding_window", masks.generate_global_sliding_window(64, torch.rand(N, generator=generator) < 0.02)),
        ("generate_jetspec_tree_causal_mask_mod", masks.generate_jetspec_tree_causal_mask_mod(
            N - 64, masks.build_tree_ancestor_matrix(parents, "cpu")), None, 64),
        ("generate_jetspec_training_mask_mod", masks.generate_jetspec_training_mask_mod(N // 2, 16), None, N // 2),
        ("generate_natten", masks.generate_natten(WIDTH, WIDTH, 7, 7)),
        ("generate_tiled_natten", masks.generate_tiled_natten(WIDTH, WIDTH, 7, 7, 8, 8)),
        ("generate_morton_natten", masks.generate_morton_natten(WIDTH, WIDTH, 7, 7)),
        ("generate_prefix_lm_mask", masks.generate_prefix_lm_mask(200)),
        ("generate_shared_prefix_mask_mod", shared_prefix.generate_shared_prefix_mask_mod(
            offsets, torch.tensor([0, 0, 0, 3], dtype=torch.int32))),
        ("generate_sliding_window", masks.generate_sliding_window(100)),
        ("generate_sta_mask_mod_2d", masks.generate_sta_mask_mod_2d((24, 32), (8, 16), (4, 8), text_seq_len=256)),
        ("generate_sta_mask_mod_3d", masks.generate_sta_mask_mod_3d((4, 12, 16), (2, 6, 8), (2, 3, 4), text_seq_len=256)),
        ("generate_spatial_head_mask_mod", masks.generate_spatial_head_mask_mod(64, 8, 120, 2, True)),
        ("generate_temporal_head_mask_mod", masks.generate_temporal_head_mask_mod(64, 8, 120, 2)),
        ("generate_vsa_mask_mod", masks.generate_vsa_mask_mod(tiles, 64, real)),
        ("vsa.generate_vsa_block_map_mask_mod", vsa.generate_vsa_block_map_mask_mod(
            torch.rand(B, H, 16, 16, generator=generator) < 0.3, 64, real)),
        ("vsa.generate_vsa_padding_mask_mod", vsa.generate_vsa_padding_mask_mod(real, 64)),
        ("generate_activation_score_mod(gelu)", None, mods.generate_activation_score_mod()),
        ("generate_activation_score_mod(relu)", None, mods.generate_activation_score_mod(functional.relu)),
        ("generate_activation_score_mod(sigmoid)", None, mods.generate_activation_score_mod(torch.sigmoid)),
        ("generate_alibi_bias", None, mods.generate_alibi_bias(H)),
        ("generate_graphormer_spatial_bias", None, mods.generate_graphormer_spatial_bias(randn(H, 6), distances)),
        ("generate_graphormer_edge_bias", None, mods.generate_graphormer_edge_bias(randn(H, 3, 3), kinds, lengths)),
        ("generate_mla_rope_score_mod", None, mods.generate_mla_rope_score_mod(randn(B, H, N, 32), randn(B, 1, N, 32), H, 0.1)),
        ("generate_sandwich_bias", None, mods.generate_sandwich_bias(H, N)),
        ("generate_tanh_softcap", None, mods.generate_tanh_softcap(20)),
        ("generate_tanh_softcap(approx=True)", None, mods.generate_tanh_softcap(20, approx=True)),
    ]
    return [(*case, *(None, None, N)[len(case) - 1:]) for case in found]


def makers(*packages):
    """The functions of a package that make masks and scores: what they return is annotated as one."""
    for package in packages:
        for entry in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{entry.name}")
            for name, function in inspect.getmembers(module, inspect.isfunction):
                returned = str(inspect.signature(function).return_annotation)
                if function.__module__ == module.__name__ and ("mask_mod" in returned or "score_mod" in returned or "Callable" in returned):
                    yield name


def seconds(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measured(function, calls=5):
    """Milliseconds of the first call, the median of those after it, and the result."""
    first, result = seconds(function)
    return first * 1e3, statistics.median(seconds(function)[0] for _ in range(calls)) * 1e3, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gym", required=True, type=pathlib.Path, help="a checkout of attention-gym")
    parser.add_argument("--compiled", action="store_true", help="measure torch.compile(flex_attention) as well")
    parser.add_argument("--only", default="", help="functions whose name contains this")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.gym))
    os.environ["ATTNC_CACHE_DIR"] = os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="flex-attention-")
    warnings.filterwarnings("ignore")
    import torch
    from attn_gym import masks, mods
    from torch.nn.attention import flex_attention as flex

    import attnc

    print(f"torch {torch.__version__}, {attnc.library_version()}, {torch.get_num_threads()} threads, B {B}, H {H}, {N} keys, D {D}, float32\n")
    print("| function | error to eager float32 | to float64 | first call, ms | steady, ms |" + (" compiled Flex first | steady |" if arguments.compiled else ""))
    print("| --- | --- | --- | --- | --- |" + (" --- | --- |" if arguments.compiled else ""))
    failed = 0
    if missing := [name for name in makers(masks, mods) if not any(name in case[0] for case in cases(masks, mods, torch))]:
        sys.exit(f"attention-gym has functions that this does not try: {', '.join(missing)}")
    for name, mask, score, rows in cases(masks, mods, torch):
        if arguments.only not in name:
            continue
        generator = torch.Generator().manual_seed(2)
        q = torch.randn(B, H, rows, D, generator=generator)
        k, v = (torch.randn(B, H, N, D, generator=generator) for _ in range(2))
        blocks = flex.create_block_mask(mask, B, H, rows, N, device="cpu") if mask else None
        want = flex.flex_attention(q, k, v, score_mod=score, block_mask=blocks)
        exact = flex.flex_attention(q.double(), k.double(), v.double(), score_mod=score, block_mask=blocks)
        try:
            stored = attnc.create_block_mask(mask, B, H, rows, N) if mask else None
            first, steady, found = measured(lambda: attnc.flex_attention(q, k, v, score_mod=score, block_mask=stored))
        except attnc.AttncError as error:
            failed += 1
            print(f"| `{name}` | {str(error).splitlines()[0].split('error: ')[-1]} | | | |", flush=True)
            continue
        errors = [float((found - x).norm() / x.norm()) for x in (want, exact)]
        failed += errors[0] > 1e-6
        row = f"| `{name}` | {errors[0]:.1e} | {errors[1]:.1e} | {first:.0f} | {steady:.1f} |"
        if arguments.compiled:
            torch.compiler.reset()
            compiled = torch.compile(flex.flex_attention)
            try:
                with torch.no_grad():
                    first, steady, _ = measured(lambda: compiled(q, k, v, score_mod=score, block_mask=blocks))
                row += f" {first:.0f} | {steady:.1f} |"
            except Exception as error:  # what compiled FlexAttention does not take is no failure of ours
                row += f" {type(error).__name__} | |"
        print(row, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
