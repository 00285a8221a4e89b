# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small random models of transformers: attnc against eager, prefill and decode, in float32."""
import attnc
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", minversion="5.0")

import attnc.transformers  # noqa: E402

COMMON = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
              vocab_size=97, max_position_embeddings=256, attention_dropout=0.0, pad_token_id=0)
WINDOW = dict(sliding_window=8)
MODELS = {
    "Llama": (transformers.LlamaConfig, {}),
    "Mistral": (transformers.MistralConfig, WINDOW),
    "Gemma2": (transformers.Gemma2Config, {**WINDOW, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 16}),
    "Gemma3": (transformers.Gemma3TextConfig, {**WINDOW, "query_pre_attn_scalar": 16, "layer_types": ["sliding_attention", "full_attention"] * 2}),
    "GptOss": (transformers.GptOssConfig, {**WINDOW, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0}}),
    "Qwen2": (transformers.Qwen2Config, {**WINDOW, "use_sliding_window": True, "max_window_layers": 2}),
    "Qwen3": (transformers.Qwen3Config, {}),
    "Llama4": (transformers.Llama4TextConfig, {"attention_chunk_size": 8, "num_local_experts": 2, "interleave_moe_layer_step": 2,
                                               "intermediate_size_mlp": 96, "layer_types": ["chunked_attention", "full_attention"] * 2}),
}
BOUND = 1e-5


def model_of(name):
    config, given = MODELS[name]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config(**{**COMMON, **given}), attn_implementation="eager").eval()
    for parameter in model.parameters():  # no sink and no expert of zeros
        if parameter.dim() < 2 or "expert" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def both(model, function):
    """What a function yields with eager attention and with attnc's."""
    results = []
    for implementation in ("eager", "attnc"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            results.append(function())
    return results


def ids_of(length=21, batch=2):
    return torch.randint(1, 97, (batch, length), generator=torch.Generator().manual_seed(1))


def close(found, wanted, where=slice(None)):
    error = (found - wanted)[where].abs().max() / wanted[where].abs().max()
    assert error <= BOUND, f"relative error {error}"


@pytest.mark.parametrize("name", MODELS)
class TestModel:
    def test_prefill(self, name):
        model, ids = model_of(name), ids_of()
        wanted, found = both(model, lambda: model(ids).logits)
        close(found, wanted)

    @pytest.mark.parametrize("side", ["left", "right"])
    def test_padding(self, name, side):
        model, ids = model_of(name), ids_of()
        keep = torch.ones_like(ids)
        keep[0, slice(0, 6) if side == "left" else slice(15, None)] = 0
        wanted, found = both(model, lambda: model(ids, attention_mask=keep).logits)
        close(found, wanted, keep.bool())

    def test_decode(self, name):
        """16 steps behind a prefill with padding, beyond the window, each step's logits."""
        model, ids = model_of(name), ids_of(11)
        keep = torch.ones_like(ids)
        keep[1, :4] = 0

        def decode():
            out = model.generate(ids, attention_mask=keep, max_new_tokens=16, min_new_tokens=16, do_sample=False, output_logits=True,
                                 return_dict_in_generate=True)
            return out.sequences, torch.stack(out.logits)

        (tokens, wanted), (found_tokens, found) = both(model, decode)
        assert torch.equal(tokens, found_tokens) and found.shape[0] == 16
        close(found, wanted)

    def test_static_cache(self, name):
        """A cache that is longer than what has been seen."""
        model, ids = model_of(name), ids_of(11)

        def decode():
            out = model.generate(ids, max_new_tokens=8, min_new_tokens=8, do_sample=False, cache_implementation="static", disable_compile=True,
                                 output_logits=True, return_dict_in_generate=True)
            return torch.stack(out.logits)

        wanted, found = both(model, decode)
        close(found, wanted)

    def test_gradients(self, name):
        model, ids = model_of(name), ids_of()
        gradients = []
        for implementation in ("eager", "attnc"):
            model.set_attn_implementation(implementation)
            model.zero_grad()
            model(ids, labels=ids).loss.backward()
            gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for parameter, want in gradients[0].items():
            assert (gradients[1][parameter] - want).norm() <= 1e-4 * want.norm() + 1e-7, parameter


def test_packed_sequences():
    """Several sequences in one row, which transformers finds in position_ids."""
    model, ids = model_of("Mistral"), ids_of(20, 1)
    positions = torch.cat([torch.arange(9), torch.arange(4), torch.arange(7)])[None]
    wanted, found = both(model, lambda: model(ids, position_ids=positions, use_cache=False).logits)
    close(found, wanted)
    alone, _ = both(model, lambda: model(ids[:, 9:13], use_cache=False).logits)
    close(found[:, 9:13], alone)


def test_masks_as_tensors():
    """A mask of four dimensions that the caller has made: conditions, and numbers that are added."""
    model, ids = model_of("Llama"), ids_of()
    keep = torch.ones(2, 1, 21, 21, dtype=torch.bool).tril()
    keep[:, :, 10:, 3] = False
    added = torch.zeros(keep.shape).masked_fill(~keep, torch.finfo(torch.float32).min)
    wanted, found = both(model, lambda: model(ids, attention_mask=added).logits)
    close(found, wanted)
    model.set_attn_implementation("attnc")
    with torch.no_grad():
        close(model(ids, attention_mask=keep).logits, wanted)


def test_an_encoder():
    config = transformers.BertConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=97)
    torch.manual_seed(0)
    model, ids = transformers.BertModel._from_config(config, attn_implementation="eager").eval(), ids_of()
    keep = torch.ones_like(ids)
    keep[0, 15:] = 0
    for given in ({}, {"attention_mask": keep}):
        wanted, found = both(model, lambda: model(ids, **given).last_hidden_state)
        close(found, wanted, keep.bool() if given else slice(None))


def test_dropout_is_refused():
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.LlamaConfig(**{**COMMON, "attention_dropout": 0.1}), attn_implementation="attnc").train()
    with pytest.raises(attnc.ArgumentError, match="dropout 0.1 on its weights"):
        model(ids_of())
    with torch.no_grad():
        model.eval()(ids_of())
