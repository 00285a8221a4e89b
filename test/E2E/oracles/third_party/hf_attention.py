# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention layers of Hugging Face transformers in their eager form, with the projections replaced by the case's tensors.

These layers take as many queries as keys and values as wide as keys, hence sizes=("tiny", "gqa").
"""
import torch
from torch import nn

from ..core import oracle
from .adapt import Given, double_precision, flat_heads, split_heads, tensors

SAME = ("tiny", "gqa")
SOURCE = "transformers 5.23 "


def configure(config_type, q, k, **more):
    """A configuration of one layer with the case's heads."""
    b, h, n, d = q.shape
    config = config_type(hidden_size=h * d, num_attention_heads=h, num_key_value_heads=k.shape[1], head_dim=d,
                         intermediate_size=16, vocab_size=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                         **{"num_hidden_layers": 1, **more})
    config._attn_implementation = "eager"
    return config


def project(layer, q, k, v):
    layer.q_proj, layer.k_proj, layer.v_proj = (Given(flat_heads(x)) for x in (q, k, v))
    layer.o_proj = nn.Identity()
    return layer.eval()


def additive(visible, n):
    """A mask over positions as the eager layers add it: [1,1,n,n] of 0 and -inf."""
    i, j = torch.arange(n)[:, None], torch.arange(n)
    return torch.zeros(n, n).masked_fill(~visible(i, j), -float("inf"))[None, None]


def angles(n, d):
    return torch.arange(n)[:, None] * 10000.0 ** (-torch.arange(d // 2) / (d // 2))


def run(layer, x, position, mask, h, **more):
    out = layer(x, position_embeddings=position, attention_mask=mask, **more)[0]
    return split_heads(out, h)


@oracle("L1", kind="third-party", source=SOURCE + "Gemma3Attention; gemma2 eager_attention_forward for the softcap",
        sizes=SAME)
def gemma3(case):
    from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward
    from transformers.models.gemma3 import modeling_gemma3 as lib
    from transformers.models.gemma3.configuration_gemma3 import Gemma3TextConfig
    q, k, v, q_norm, k_norm = tensors(case, "Q", "K", "V", "QNorm", "KNorm")
    b, h, n, d = q.shape
    p = case.params
    with double_precision():
        config = configure(Gemma3TextConfig, q, k, query_pre_attn_scalar=int(p["query_pre_attn_scalar"]), rms_norm_eps=1e-6,
                           sliding_window=p["window"], layer_types=["sliding_attention"])
        layer = project(lib.Gemma3Attention(config, 0), q, k, v)
        layer.q_norm.weight, layer.k_norm.weight = nn.Parameter(q_norm), nn.Parameter(k_norm)
        angle = torch.cat([angles(n, d)] * 2, -1)[None]
        position, mask = (angle.cos(), angle.sin()), additive(lambda i, j: (i >= j) & (j > i - p["window"]), n)
        out = run(layer, torch.zeros(b, n, h * d), position, mask, h)
        rotated = lib.apply_rotary_pos_emb(layer.q_norm(q), layer.k_norm(k), *position)
        capped = eager_attention_forward(layer, *rotated, v, mask, scaling=layer.scaling, softcap=p["softcap"])[0]
        return {"out": out, "out_softcap": capped.transpose(1, 2)}


@oracle("L2", kind="third-party", source=SOURCE + "Cohere2Attention", sizes=SAME)
def command_a(case):
    from transformers.models.cohere2 import modeling_cohere2 as lib
    from transformers.models.cohere2.configuration_cohere2 import Cohere2Config
    q, k, v = tensors(case, "Q", "K", "V")
    b, h, n, d = q.shape
    window, outputs = case.params["window"], {}
    with double_precision():
        config = configure(Cohere2Config, q, k, num_hidden_layers=2, sliding_window=window,
                           layer_types=["sliding_attention", "full_attention"])
        angle = angles(n, d).repeat_interleave(2, -1)[None]
        for index, name, near in ((0, "out", window), (1, "out_global", n)):
            layer = project(lib.Cohere2Attention(config, index), q, k, v)
            mask = additive(lambda i, j: (i >= j) & (j > i - near), n)
            outputs[name] = run(layer, torch.zeros(b, n, h * d), (angle.cos(), angle.sin()), mask, h)
    return outputs


@oracle("L3", kind="third-party", source=SOURCE + "Llama4TextAttention", sizes=SAME)
def llama4(case):
    from transformers.models.llama4 import modeling_llama4 as lib
    from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
    q, k, v = tensors(case, "Q", "K", "V")
    b, h, n, d = q.shape
    chunk, outputs = case.params["chunk"], {}
    with double_precision():
        config = configure(Llama4TextConfig, q, k, num_hidden_layers=2, no_rope_layers=[1, 0], use_qk_norm=True,
                           rms_norm_eps=1e-6, attention_chunk_size=chunk, attn_temperature_tuning=True,
                           floor_scale=case.params["floor_scale"], attn_scale=0.1)
        position = torch.polar(torch.ones(n, d // 2), angles(n, d))[None]
        for index, name, size in ((0, "out", chunk), (1, "out_global", n)):
            layer = project(lib.Llama4TextAttention(config, index), q, k, v)
            mask = additive(lambda i, j: (i >= j) & (i // size == j // size), n)
            outputs[name] = run(layer, torch.zeros(b, n, h * d), position, mask, h)
    return outputs


@oracle("L9", kind="third-party", source=SOURCE + "DiffLlamaAttention (no norm weight, so undone)", sizes=SAME)
def sambay(case):
    """The layer keeps both query sets in one tensor, and the two halves of V as the two halves of its value heads."""
    from transformers.models.diffllama import modeling_diffllama as lib
    from transformers.models.diffllama.configuration_diffllama import DiffLlamaConfig
    q1, k1, q2, k2, v, *lams, weight = tensors(case, "Q1", "K1", "Q2", "K2", "V", "Lq1", "Lk1", "Lq2", "Lk2", "NormWeight")
    q, k = torch.cat([q1, q2], 1), torch.cat([k1, k2], 1)
    v = torch.cat(v.chunk(2, -1), 1)
    b, h, n, d = q.shape
    with double_precision():
        config = configure(DiffLlamaConfig, q, k, rms_norm_eps=1e-5)
        layer = project(lib.DiffLlamaAttention(config, case.params["depth"]), q, k, v)
        for name, value in zip(("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"), lams):
            setattr(layer, name, nn.Parameter(value))
        zero = torch.zeros(1, n, d)
        mask = additive(lambda i, j: (i >= j) & (j > i - case.params["window"]), n)
        out = run(layer, torch.zeros(b, n, h * d), (zero + 1, zero), mask, h // 2)
        return {"out": out * weight}


@oracle("E8", kind="third-party", source=SOURCE + "LongformerSelfAttention (no dilation)", sizes=SAME)
def longformer(case):
    from transformers.models.longformer.configuration_longformer import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention
    q, k, v, qg, kg, vg, is_global = tensors(case, "Q", "K", "V", "Qg", "Kg", "Vg", "Global")
    b, h, n, d = q.shape
    with double_precision():
        layer = LongformerSelfAttention(LongformerConfig(hidden_size=h * d, num_attention_heads=h, num_hidden_layers=1,
                                                         attention_window=[case.params["window"]]), 0).eval()
        for name, x in (("query", q), ("key", k), ("value", v)):
            setattr(layer, name, Given(flat_heads(x).transpose(0, 1).contiguous()))
        # The layer hands only the global rows to query_global, and all rows to the other two.
        rows = flat_heads(qg)[:, is_global].transpose(0, 1).contiguous()
        layer.query_global = Given(rows)
        layer.key_global, layer.value_global = (Given(flat_heads(x).transpose(0, 1).contiguous()) for x in (kg, vg))
        where = is_global[None].expand(b, n)
        out = layer(torch.zeros(b, n, h * d), attention_mask=where * 10000.0, is_index_masked=torch.zeros_like(where),
                    is_index_global_attn=where, is_global_attn=True)[0]
        return {"out_plain": split_heads(out, h)}


@oracle("E7", kind="third-party", source=SOURCE + "BigBirdBlockSparseAttention", sizes=SAME, bound=1e-4)
def bigbird(case):
    """The layer masks with a penalty of -10000 and draws its blocks; here the draw returns the case's."""
    from transformers.models.big_bird import modeling_big_bird as lib
    from transformers.models.big_bird.configuration_big_bird import BigBirdConfig
    q, k, v = tensors(case, "Q", "K", "V")
    b, h, n, d = q.shape
    k, v = (x.repeat_interleave(h // x.shape[1], 1) for x in (k, v))
    block = case.params["block"]
    with double_precision():
        layer = lib.BigBirdBlockSparseAttention(BigBirdConfig(
            hidden_size=h * d, num_attention_heads=h, block_size=block, num_random_blocks=case.params["random"],
            max_position_embeddings=n)).eval()
        layer.query, layer.key, layer.value = (Given(flat_heads(x)) for x in (q, k, v))
        layer._get_rand_attn_plan = lambda *_, **__: (None, None)
        layer._bigbird_block_rand_mask_with_head = lambda **_: list(case.inputs["RandBlocks"])
        blocked, band, rows, columns = lib.BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(b, n), block)
        out = layer(torch.zeros(b, n, h * d), band, rows, columns, blocked, blocked)[0]
        return {"out": split_heads(out, h)}


@oracle("L7", kind="third-party", source=SOURCE + "MiniMaxLightningAttention", sizes=SAME)
def minimax(case):
    from transformers.models.minimax.configuration_minimax import MiniMaxConfig
    from transformers.models.minimax.modeling_minimax import MiniMaxLightningAttention
    q, k, v, gate, weight, slope = tensors(case, "Q", "K", "V", "Gate", "NormWeight", "Slope")
    b, h, n, d = q.shape
    with double_precision():
        config = configure(MiniMaxConfig, q, k, num_hidden_layers=4, block_size=16, hidden_act="silu",
                           layer_types=["linear_attention"] * 4)
        layer = MiniMaxLightningAttention(config, 1).eval()
        assert torch.allclose(layer.slope_rate.flatten(), slope, rtol=1e-6), "the case's slopes are this layer's"
        layer.slope_rate = slope[:, None, None]
        layer.query_decay, layer.key_decay, layer.diagonal_decay = layer.decay_factors(layer.slope_rate)
        layer.qkv_proj = Given(torch.cat([x.transpose(1, 2) for x in (q, k, v)], -1).flatten(2))
        layer.output_gate, layer.out_proj, layer.norm.weight = Given(gate), nn.Identity(), nn.Parameter(weight)
        out, state = layer(torch.zeros(b, n, h * d), None, None)
        return {"out": out, "S": state}
