# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""FlexAttention's interface against PyTorch's own, eager on the CPU: masks and scores of the kinds that people write."""
import functools
import inspect
import math

import attnc
import pytest
from conftest import assert_close

torch = pytest.importorskip("torch")
flex = pytest.importorskip("torch.nn.attention.flex_attention")

import attnc.torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

B, H, G, N, M, D = 2, 4, 2, 20, 28, 16


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def operands(q=N, kv=M, g=G, dtype=torch.float32):
    return random(B, H, q, D, seed=1).to(dtype), random(B, g, kv, D, seed=2).to(dtype), random(B, g, kv, D, seed=3).to(dtype)


def causal(b, h, q, kv):
    return q >= kv


def window(width):
    return lambda b, h, q, kv: (q - kv < width) & (kv <= q)


def dilated(size, step):
    def mask(b, h, q, kv):
        distance = torch.abs(q - kv)
        return (distance <= size) & (distance % step == 0)
    return mask


def documents(inner):
    ids = torch.tensor([0] * 7 + [1] * 9 + [2] * 12)
    starts = torch.tensor([0, 7, 16])

    def mask(b, h, q, kv):
        return (ids[q] == ids[kv]) & inner(b, h, q - starts[ids[q]], kv - starts[ids[kv]])
    return mask


def padded():
    lengths = torch.tensor([M, 11])
    return lambda b, h, q, kv: kv < lengths[b]


def of_heads():
    sizes = torch.tensor([1, 4, 9, 100], dtype=torch.int16)
    return lambda b, h, q, kv: (q - kv).abs() <= sizes[h]


def picture(width, kernel):
    def place(index):
        return index // width, index % width

    def mask(b, h, q, kv):
        (x, y), (u, w) = place(q), place(kv)
        x, y = x.clamp(kernel // 2, width - 1 - kernel // 2), torch.clamp(y, min=kernel // 2, max=width - 1 - kernel // 2)
        return ((x - u).abs() <= kernel // 2) & ((y - w).abs() <= kernel // 2)
    return mask


def tiles():
    chosen = torch.randint(0, 7, (B, H, 5, 2), generator=torch.Generator().manual_seed(5))

    def mask(b, h, q, kv):
        return (chosen[b, h, q // 4] == (kv // 4).unsqueeze(-1)).any(dim=-1) | (kv == 0)
    return mask


def intervals():
    of_image, bounds = torch.arange(7).repeat_interleave(4), torch.tensor([[0, 9], [5, 20], [0, 20], [3, 8], [0, 1], [2, 9], [7, 20]])

    def mask(b, h, q, kv):
        bound = bounds[of_image[kv]]
        return (q >= bound[0]) & (q < bound[1])
    return mask


def logic(b, h, q, kv):
    return ~((q > kv) ^ (h == 0)) | torch.logical_and(kv % 3 == 1, torch.logical_not(q < 4)) | ((b == 0) != (kv < 2))


def shifted(b, h, q, kv):
    return (q >> 2 >= kv >> 2) & ((q << 1) - kv >= 0) & ((kv & 7) != 3) | (~kv == -1)


def butterfly(b, h, q, kv):
    differing = q ^ kv
    return (differing & (differing - 1) == 0) | (q >> (h % 3 + 1) == kv >> (h % 3 + 1)) | ((kv | 5) == 13)


def from_the_end():
    """A negative index counts from the end, also where it turns up at run time."""
    keep = torch.rand(9, generator=torch.Generator().manual_seed(6)) < 0.5
    return lambda b, h, q, kv: keep[-1] | keep[(q - kv).clamp(-9, 8)]


def with_defaults(b, h, q, kv, size=6):
    return q - kv < size


MASKS = {
    "causal": causal, "window": window(6), "dilated": dilated(8, 3), "documents": documents(causal), "documents and window": documents(window(3)),
    "padded": padded(), "of heads": of_heads(), "picture": picture(5, 3), "tiles": tiles(), "intervals": intervals(), "logic": logic,
    "shifted": shifted, "butterfly": butterfly, "from the end": from_the_end(), "with defaults": with_defaults,
    "partial": functools.partial(lambda size, b, h, q, kv: kv - q < size, 4),
    "and": attnc.and_masks(causal, dilated(9, 2)), "or": attnc.or_masks(window(3), lambda b, h, q, kv: kv < 4), "noop": attnc.noop_mask,
}


def alibi(score, b, h, q, kv):
    return score + (kv - q) * torch.exp2(-((h + 1) * 8.0 / H))


def soft_cap(cap):
    return lambda score, b, h, q, kv: cap * torch.tanh(score / cap)


def relative():
    table = random(2 * M, H, seed=7)
    return lambda score, b, h, q, kv: score + table[q - kv + M, h]


def bucketed():
    table = random(H, 8, seed=8).to(torch.bfloat16).to(torch.float64)

    def score_mod(score, b, h, q, kv):
        distance = torch.minimum((q - kv).abs(), torch.tensor(100))
        return score + table[h, torch.where(distance < 4, distance, (4 + torch.log2(distance / 4.0).floor()).clamp(max=7).int())]
    return score_mod


def rotary_part():
    left, right = random(B, H, N, 6, seed=9), random(B, 1, M, 6, seed=10)
    return lambda score, b, h, q, kv: score + 0.5 * torch.dot(left[b, h, q], right[b, h // H, kv])


def padded_score():
    keep = torch.arange(M) < 17
    return lambda score, b, h, q, kv: torch.where(keep[kv], score, -float("inf"))


def activations(function):
    return lambda score, b, h, q, kv: torch.log(function(score) + 1.0)


def path_mean():
    kinds, weights = torch.randint(0, 4, (B, N, M, 3), generator=torch.Generator().manual_seed(11)), random(H, 3, 4, seed=12)

    def score_mod(score, b, h, q, kv):
        total = 0.0
        for step in range(3):
            total = total + weights[h, step, kinds[b, q, kv, step]]
        return score + total / 3
    return score_mod


def assorted(score, b, h, q, kv):
    x = (q * 1.0).remainder(3.5) + (kv / 7) ** 2 - 2 ** (-1.0 * h) + torch.sign(q - kv) * 0.25
    return score.sigmoid() + 0.1 * x.sqrt().clamp_max(2) + (kv % 4 < 2).float() + (score > 0) * 0.5 + torch.erf(score) * math.pi + (kv // 2.5)


SCORES = {
    "alibi": alibi, "soft cap": soft_cap(3.0), "relative": relative(), "bucketed": bucketed(), "rotary part": rotary_part(),
    "padded": padded_score(), "gelu": activations(F.gelu), "relu": activations(F.relu), "silu": activations(F.silu), "path mean": path_mean(),
    "tanh gelu": activations(functools.partial(F.gelu, approximate="tanh")), "assorted": assorted,
}


def compare(mask=None, score=None, **options):
    qkv = operands()
    blocks = flex.create_block_mask(mask, B, H, N, M, device="cpu") if mask else None
    want, want_aux = flex.flex_attention(*(x.double() for x in qkv), score_mod=score, block_mask=blocks, enable_gqa=True,
                                         return_aux=flex.AuxRequest(lse=True), **options)
    ours = attnc.create_block_mask(mask, B, H, N, M, device="cpu") if mask else None
    out, aux = attnc.flex_attention(*qkv, score_mod=score, block_mask=ours, enable_gqa=True, return_aux=attnc.AuxRequest(lse=True), **options)
    assert out.dtype == torch.float32 and aux.max_scores is None
    assert_close(out, want, 1e-6)
    assert_close(aux.lse, want_aux.lse, 2e-6)


@pytest.mark.parametrize("name", MASKS)
def test_masks(name):
    compare(mask=MASKS[name])


@pytest.mark.parametrize("name", SCORES)
def test_scores(name):
    compare(score=SCORES[name])


def test_mask_and_score_and_scale():
    compare(mask=documents(causal), score=alibi, scale=0.3)


def test_interface():
    q, k, v = operands()
    want = attnc.flex_attention(q, k, v, mask_mod=causal, enable_gqa=True)
    mask = attnc.create_block_mask(causal, None, None, N, M)
    assert mask.shape == (1, 1, N, M) and mask.seq_lengths == (N, M)
    assert torch.equal(attnc.flex_attention(q, k, v, None, mask, None, True, False, {"BLOCK_M": 64}), want)
    out, lse = attnc.flex_attention(q, k, v, block_mask=mask, enable_gqa=True, return_lse=True)
    assert torch.equal(out, want) and lse.shape == (B, H, N)
    one = attnc.flex_attention(q, k[:1], v[:1], mask_mod=causal, enable_gqa=True)
    assert torch.equal(one, attnc.flex_attention(q, k[:1].expand(B, -1, -1, -1), v[:1].expand(B, -1, -1, -1), mask_mod=causal, enable_gqa=True))
    for dtype in (torch.bfloat16, torch.float16):
        assert attnc.flex_attention(*operands(dtype=dtype), mask_mod=causal, enable_gqa=True).dtype == dtype


def test_captured_numbers_are_parameters():
    """One text, and so one kernel, for every window."""
    from attnc.flex._attention import operator
    q, k, v = operands()
    attnc.flex_attention(q, k, v, mask_mod=window(3), enable_gqa=True)
    before = operator.cache_info().misses
    for size in (5, 8):
        found = attnc.flex_attention(q, k, v, mask_mod=window(size), enable_gqa=True)
        want = flex.flex_attention(q, k, v, block_mask=flex.create_block_mask(window(size), B, H, N, M, device="cpu"), enable_gqa=True)
        assert_close(found, want, 1e-6)
    assert operator.cache_info().misses == before


def test_captured_values_are_looked_up_in_each_call():
    """What a function captures may change between calls; tensors of other sizes are no other text."""
    from attnc.flex._attention import operator
    q, k, v = operands()
    state = {}

    def mask(b, h, q, kv):
        return state["keep"][kv]

    state["keep"] = torch.arange(M) < 5
    first = attnc.flex_attention(q, k, v, mask_mod=mask, enable_gqa=True)
    before = operator.cache_info().misses
    state["keep"] = torch.arange(M + 3) < 9
    second = attnc.flex_attention(q, k, v, mask_mod=mask, enable_gqa=True)
    assert operator.cache_info().misses == before and not torch.equal(first, second)


def test_gradients_reach_what_functions_capture():
    table, slope = (x.requires_grad_() for x in (random(H, 2 * M, seed=4), random(H, seed=5)))
    tensors = [x.requires_grad_() for x in operands()]

    def score(s, b, h, q, kv):
        return s + table[h, q - kv + M] + slope[h] * kv

    out = attnc.flex_attention(*tensors, score_mod=score, mask_mod=causal, enable_gqa=True)
    i, j = torch.arange(N)[:, None], torch.arange(M)[None]
    q, k, v = (x.double() for x in tensors)
    k, v = (x.repeat_interleave(H // G, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(D) + table[:, i - j + M] + slope[:, None, None] * j
    want = scores.masked_fill(j > i, -math.inf).softmax(-1) @ v
    weights, leaves = random(*out.shape, seed=6), [*tensors, table, slope]
    for got, wanted in zip(torch.autograd.grad(out, leaves, weights), torch.autograd.grad(want, leaves, weights.double())):
        assert_close(got, wanted, 5e-6)


def test_in_compiled_code():
    """Functions are traced outside of the graph; their spec is an operator within it."""
    q, k, v = operands()
    want = attnc.flex_attention(q, k, v, mask_mod=window(5), enable_gqa=True)
    compiled = torch.compile(lambda q, k, v: attnc.flex_attention(q, k, v, mask_mod=window(5), enable_gqa=True) * 2, backend="aot_eager")
    assert_close(compiled(q, k, v), 2 * want, 1e-6)
    op = attnc.torch.op(attnc.Spec(attnc.from_flex(window(5))))
    whole = torch.compile(lambda q, k, v: op(q, k, v, width=5) * 2, fullgraph=True, backend="aot_eager")
    assert_close(whole(q, k, v), 2 * want, 1e-6)


def test_text():
    assert attnc.from_flex(mask_mod=documents(window(3)), name="packed") == """\
attention packed(width: int = 3) {
  align top_left
  slots ids_0
  input ids: i32[ids_0]
  slots starts_0
  input starts: i32[starts_0]
  let x = ids[q]
  let x1 = ids[kv]
  let x2 = q - starts[if x < 0 then x + size(starts_0) else x]
  let x3 = kv - starts[if x1 < 0 then x1 + size(starts_0) else x1]
  mask x == x1 and x2 - x3 < width and x3 <= x2
  output lse
}
"""
    assert "mask q >= kv" in attnc.from_flex(causal) and "attention causal {" in attnc.from_flex(causal)
    assert attnc.Spec(attnc.from_flex(score_mod=soft_cap(2.5))).params["cap"].default == 2.5


def bad(function):
    """A function's line that cannot be a spec, by a comment in it."""
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if "# here" in line)


def branches(b, h, q, kv):
    if q > 3:  # here
        return kv < 2
    return kv < 5


def unpacks(b, h, q, kv):
    return kv < int(q)  # here


def shifts_too_far(b, h, q, kv):
    return kv < q << 32  # here


def unknown(b, h, q, kv):
    return torch.special.i0(q * 1.0) < kv  # here


def raises(b, h, q, kv):
    return kv < {}["size"]  # here


def a_vector(b, h, q, kv):
    return torch.ones(3)[None, :] < kv  # here


@pytest.mark.parametrize("function, message", [
    (branches, "write torch.where"), (unpacks, "keep it a tensor"), (shifts_too_far, "a shift by 32: expected a count from 0 to 31"),
    (unknown, "no translation of torch's `special_i0`"), (raises, "KeyError: 'size'"), (a_vector, "the function returns 2 dimensions")])
def test_errors_name_the_line(function, message):
    with pytest.raises(attnc.TraceError) as info:
        attnc.from_flex(mask_mod=function)
    first, *rest = str(info.value).splitlines()
    if function is not a_vector:
        assert first.startswith(f"{__file__}:{bad(function)}: error: ") and "# here" in rest[0]
    assert message in first


@pytest.mark.parametrize("call, message", [
    (lambda q, k, v: attnc.flex_attention(q, k, v), "pass enable_gqa=True"),
    (lambda q, k, v: attnc.flex_attention(q[0], k, v), "4 dimensions"),
    (lambda q, k, v: attnc.flex_attention(q, k, v, mask_mod=causal, block_mask=attnc.create_block_mask(causal, 1, 1, N, M), enable_gqa=True), "expected one of them"),
    (lambda q, k, v: attnc.flex_attention(q, k, v, block_mask=attnc.create_block_mask(causal, None, None, N, M - 1), enable_gqa=True), "lengths 20 and 27"),
    (lambda q, k, v: attnc.flex_attention(q, k, v, block_mask=attnc.create_block_mask(causal, 3, None, N, M), enable_gqa=True), "made for B=3"),
    (lambda q, k, v: attnc.flex_attention(q, k, v, block_mask=flex.create_block_mask(causal, None, None, N, M, device="cpu"), enable_gqa=True),
     "expected one of attnc.create_block_mask"),
    (lambda q, k, v: attnc.flex_attention(q, k, v, enable_gqa=True, return_aux=attnc.AuxRequest(max_scores=True)), "max_scores"),
])
def test_bad_calls(call, message):
    with pytest.raises(attnc.ArgumentError, match=message):
        call(*operands())
