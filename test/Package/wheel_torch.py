# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/test-wheel: what a wheel is for with PyTorch on the CPU. The suite asks more of each (test/Python/test_torch_*.py); here it is
the installed files that answer."""
import copy
import io
import pathlib
import pickle
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from tiny_gpt import compare_losses

import attnc
import attnc.torch


def qkv(seed=0, grad=False, b=1, h=2, q=33, d=32):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(b, h, q, d, generator=generator).requires_grad_(grad) for _ in range(3))


def causal(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def close(found, wanted, relative=1e-5):
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=relative)


class Block(torch.nn.Module):
    """A layer with an operator that takes a tensor of its own."""

    def __init__(self):
        super().__init__()
        self.project, self.attention = torch.nn.Linear(16, 48), attnc.torch.op("alibi")
        self.register_buffer("slope", torch.tensor([0.5, 0.25]))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.project(x).view(b, t, 3, 2, 8).permute(2, 0, 3, 1, 4)
        return self.attention(q, k, v, slope=self.slope).transpose(1, 2).reshape(b, t, 16)


class Attended(torch.utils.data.Dataset):
    """Samples that workers compute."""

    def __init__(self):
        self.op = attnc.torch.op("causal")

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return self.op(*qkv(seed=i))[0]


def check_operator():
    q, k, v = qkv(grad=True)
    close(attnc.torch.op("causal")(q, k, v), causal(q, k, v))
    return "agrees with PyTorch's"


def check_opcheck():
    op = attnc.torch.op("causal")
    checks = torch.library.opcheck(op.overload, qkv(grad=True))
    assert set(checks.values()) == {"SUCCESS"} and len(checks) == 4, checks
    return f"{', '.join(checks)}"


def check_compile():
    op, (q, k, v) = attnc.torch.op("causal"), qkv(grad=True)
    compiled = torch.compile(lambda q, k, v: op(q, k, v).relu(), fullgraph=True)
    out, want = compiled(q, k, v), causal(q, k, v).relu()
    close(out, want)
    close(torch.autograd.grad(out.sum(), (q, k, v)), torch.autograd.grad(want.sum(), (q, k, v)), 1e-4)
    return "one graph, gradients agree"


def check_export():
    block, x = Block(), torch.randn(2, 7, 16)
    program = torch.export.export(block, (x,), dynamic_shapes=({1: torch.export.Dim("length", min=2, max=64)},))
    assert any("attnc.alibi" in str(node.target) for node in program.graph.nodes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    longer = torch.randn(2, 11, 16)
    close(torch.export.load(buffer).module()(longer), block(longer))
    block.eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = str(pathlib.Path(folder) / "block.pt2")
        package = torch._inductor.aoti_compile_and_package(torch.export.export(block, (x,)), package_path=path)
        close(torch._inductor.aoti_load_package(package)(x), block(x))
    return "saved and loaded with another length; ahead of time by inductor"


def check_vmap():
    op, (q, k, v) = attnc.torch.op("causal"), (torch.randn(3, 2, 2, 11, 16) for _ in range(3))
    found = torch.vmap(op)(q, k, v)
    assert torch.equal(found, torch.stack([op(q[i], k[i], v[i]) for i in range(3)]))
    return "over a dimension in front of the batch"


def check_autocast():
    op, tensors = attnc.torch.op("causal"), qkv(grad=True)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            out = op(*tensors)
        assert out.dtype == dtype and torch.equal(out, op(*(x.to(dtype) for x in tensors)))
        grads = torch.autograd.grad(out.sum(), tensors)
        assert all(grad.dtype == torch.float32 and grad.abs().max() > 0 for grad in grads)
    return "bfloat16 and float16"


def check_workers():
    data = Attended()
    here = torch.stack([data[i] for i in range(6)])
    for context in ("fork", "spawn", "forkserver"):
        loader = torch.utils.data.DataLoader(data, batch_size=3, num_workers=2, multiprocessing_context=context)
        assert torch.equal(torch.cat(list(loader)), here)
    return "workers by fork, spawn and forkserver"


def check_pickling():
    block, x = Block(), torch.randn(1, 5, 16)
    for other in (pickle.loads(pickle.dumps(block)), copy.deepcopy(block)):
        assert torch.equal(other(x), block(x))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "pickled"
        tensors = qkv()
        file.write_bytes(pickle.dumps((attnc.torch.op("causal"), tensors, attnc.torch.op("causal")(*tensors))))
        program = "import pickle, sys, torch; op, x, want = pickle.load(open(sys.argv[1], 'rb')); assert torch.equal(op(*x), want)"
        subprocess.run([sys.executable, "-c", program, file], check=True)
    return "here, copied, and in another process"


def check_flex():
    def window(b, h, q, kv):
        return (q >= kv) & (q - kv <= 8)

    def bias(score, b, h, q, kv):
        return score + (kv - q) * 0.25

    q, k, v = qkv(q=64)
    mask = torch.nn.attention.flex_attention.create_block_mask(window, None, None, 64, 64, device="cpu")
    want = torch.nn.attention.flex_attention.flex_attention(q, k, v, bias, mask)
    close(attnc.flex_attention(q, k, v, bias, attnc.create_block_mask(window, None, None, 64, 64)), want)
    return "functions of FlexAttention"


def check_training():
    compare_losses((pathlib.Path(attnc.__file__).parent / "licences" / "attnc.txt").read_text())
    return "50 steps of a GPT, each loss within 1e-4 of SDPA's"


def main():
    for check in (check_operator, check_opcheck, check_compile, check_export, check_vmap, check_autocast, check_workers, check_pickling,
                  check_flex, check_training):
        print(f"torch: {check.__name__.removeprefix('check_')}: {check()}", flush=True)


if __name__ == "__main__":
    main()
