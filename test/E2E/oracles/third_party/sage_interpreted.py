# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SageAttention's own Triton kernels, run on the CPU by Triton's interpreter.

Set before Triton is imported: TRITON_INTERPRET=1 (third_party/__init__.py does). The kernel reads scales without a mask
beyond the last key block, so only the size whose length is a multiple of both blocks is run. Its product P V accumulates in
float16, hence the bound; the quantization error itself, against exact attention, is forty times larger.
"""
import torch

from ..core import oracle


@oracle("B1", kind="third-party", source="sageattention 1.0.6 quant_per_block, attn_qk_int8_per_block_causal, interpreted",
        sizes=("gqa",), bound=5e-4)
def sage1(case):
    from sageattention import attn_qk_int8_per_block_causal as attention
    from sageattention.quant_per_block import per_block_int8
    q, k, v = (torch.from_numpy(case.inputs[name]) for name in "QKV")
    block_q, block_k = case.params["block_q"], case.params["block_k"]
    b, h, n, d = q.shape
    if n % block_q or n % block_k:
        raise ValueError("the kernel needs whole blocks")
    q8, q_scale, k8, k_scale = per_block_int8(q, k - k.mean(2, keepdim=True), BLKQ=block_q, BLKK=block_k)
    out, v = torch.empty(b, h, n, v.shape[-1]), v.half()
    strides = [x.stride()[:3] for x in (q8, k8, v, out)]
    attention._attn_fwd[(n // block_q, h, b)](
        q8, k8, v, q_scale, k_scale, out, *strides[0], *strides[1], *strides[2], *strides[3], n, n, h, h // k.shape[1],
        BLOCK_M=block_q, BLOCK_N=block_k, HEAD_DIM=d, STAGE=3)
    return {"out": out}
