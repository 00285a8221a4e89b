# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A small GPT over letters that trains with any attention: in the suite, and by scripts/test-wheel beside an installed wheel, so it
imports nothing of the tests."""
import torch
from torch import nn
from torch.nn import functional as F

import attnc.torch


class Attention(nn.Module):
    def __init__(self, width, heads, function):
        super().__init__()
        self.qkv, self.out, self.heads, self.function = nn.Linear(width, 3 * width), nn.Linear(width, width), heads, function

    def forward(self, x):
        b, t, width = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return self.out(self.function(q, k, v).transpose(1, 2).reshape(b, t, width))


class GPT(nn.Module):
    def __init__(self, vocabulary, function, width=32, heads=2, layers=2, length=64):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(nn.ModuleDict({
            "before": nn.LayerNorm(width), "attention": Attention(width, heads, function), "between": nn.LayerNorm(width),
            "feed": nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))}) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions.weight[:ids.shape[1]]
        for layer in self.layers:
            x = x + layer["attention"](layer["before"](x))
            x = x + layer["feed"](layer["between"](x))
        return self.head(x)


def train(function, text, steps=50):
    """The loss of each step of a model with attention `function` on `text`."""
    letters = sorted(set(text))
    ids = torch.tensor([letters.index(c) for c in text])
    torch.manual_seed(1)
    model = GPT(len(letters), function)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    generator, losses = torch.Generator().manual_seed(2), []
    for _ in range(steps):
        starts = torch.randint(0, len(ids) - 65, (4,), generator=generator)
        x, y = (torch.stack([ids[i + more:i + more + 64] for i in starts]) for more in (0, 1))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def compare_losses(text):
    """Trains with a sliding window of 16 and with scaled_dot_product_attention under that mask: each loss agrees to 1e-4."""
    op = attnc.torch.op("sliding_window")
    i, j = torch.arange(64)[:, None], torch.arange(64)[None]
    keep = (j <= i) & (i - j < 16)
    wanted = train(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=keep), text)
    found = train(lambda q, k, v: op(q, k, v, window=16), text)
    assert wanted[-1] < wanted[0] - 0.5, (wanted[0], wanted[-1])
    print(f"last loss: {found[-1]:.6f}, SDPA's {wanted[-1]:.6f}")
    assert max(abs(x - y) for x, y in zip(found, wanted, strict=True)) <= 1e-4
