# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs as operators of PyTorch, for torch.compile, torch.export, autograd, vmap and autocast.

    import attnc.torch
    attention = attnc.torch.op("sliding_window")
    out = attention(q, k, v, window=128)

See docs/PyTorch.md.
"""
from ._operator import Operator, op

__all__ = ["Operator", "op"]
