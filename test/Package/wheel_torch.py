# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/test-wheel: what a wheel is for with PyTorch on the CPU."""
import torch
import torch.nn.functional as F

import attnc
import attnc.torch


def main():
    torch.manual_seed(0)
    op = attnc.torch.op("causal")
    q, k, v = (torch.randn(1, 2, 33, 32, requires_grad=True) for _ in range(3))
    want = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(op(q, k, v), want, atol=1e-5, rtol=1e-5)
    print("torch: the operator agrees with PyTorch's")

    checks = torch.library.opcheck(op.overload, (q, k, v))
    assert set(checks.values()) == {"SUCCESS"} and len(checks) == 4, checks
    print("torch: opcheck passed all four tests")

    compiled = torch.compile(lambda q, k, v: op(q, k, v).relu(), fullgraph=True)
    out = compiled(q, k, v)
    torch.testing.assert_close(out, want.relu(), atol=1e-5, rtol=1e-5)
    found = torch.autograd.grad(out.sum(), (q, k, v))
    wanted = torch.autograd.grad(want.relu().sum(), (q, k, v))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    print("torch: compiled in one graph, gradients agree")


if __name__ == "__main__":
    main()
