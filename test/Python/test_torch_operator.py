# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs as operators of PyTorch: what torch.library checks, compile, export, vmap, autocast, processes."""
import copy
import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import attnc
import pytest
from conftest import ROOT, assert_close

torch = pytest.importorskip("torch")

import attnc.torch  # noqa: E402

PAGES = attnc.Spec("""
attention pages(page: const int = 4, budget: int = 2, cap: f32 = 20.0) {
  align bottom_right
  blocks p of kv by page
  input slope: f32[h], doc: i32[b, kv]
  output bound[b, h, q, p] = max(sum(Q * K for d) for kv in p)
  output near[b, q, kv] = kv <= q and doc[b, q] == doc[b, kv]
  score cap * tanh(s / cap) + slope[h] * (kv - q)
  mask near and budget > 0
  output lse
}
""")


def qkv(b=2, h=4, g=2, q=9, kv=13, d=16, e=8, dtype=torch.float32, grad=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_(grad)
            for shape in ((b, h, q, d), (b, g, kv, d), (b, g, kv, e))]


def named(name):
    """A spec and its arguments beside Q, K and V."""
    generator = torch.Generator().manual_seed(3)
    slope = torch.rand(4, generator=generator)
    doc = torch.arange(13, dtype=torch.int32).repeat(2, 1) // 5
    return {"sliding_window": {"window": 5}, "alibi": {"slope": slope}, "document": {"doc": doc}, "attention_sink": {"z": slope},
            "pages": {"slope": slope, "doc": doc, "budget": 1}}[name]


def operator(name):
    return attnc.torch.op(PAGES if name == "pages" else name)


def flat(op, tensors, given):
    """The arguments of the registered operator."""
    found, params = op._sorted(tuple(tensors), given)
    return (*found, *params)


@pytest.mark.parametrize("name", ["sliding_window", "alibi", "document", "attention_sink", "pages"])
class TestEach:
    def test_opcheck(self, name):
        op = operator(name)
        given = {k: x.requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for k, x in named(name).items()}
        assert set(torch.library.opcheck(op.overload, flat(op, qkv(grad=True), given)).values()) == {"SUCCESS"}

    def test_is_the_spec(self, name):
        op, tensors = operator(name), qkv()
        found = op(*tensors, **named(name), return_outputs=True)
        wanted = op.spec(*tensors, **named(name), return_outputs=True)
        assert list(found) == list(wanted) == list(op.spec.outputs)
        for output, want in wanted.items():
            assert found[output].dtype == want.dtype and torch.equal(found[output], want)

    def test_fake_tensors_have_the_shapes(self, name):
        from torch._subclasses.fake_tensor import FakeTensorMode
        op = operator(name)
        real = op(*qkv(), **named(name), return_outputs=True)
        with FakeTensorMode() as mode:
            fake = {k: mode.from_tensor(x) if isinstance(x, torch.Tensor) else x for k, x in named(name).items()}
            found = op(*(mode.from_tensor(x) for x in qkv()), **fake, return_outputs=True)
        assert {k: (x.shape, x.dtype, x.stride()) for k, x in found.items()} == {k: (x.shape, x.dtype, x.stride()) for k, x in real.items()}

    def test_gradients_are_those_of_the_formula(self, name):
        op = operator(name)
        tensors, given = qkv(grad=True), named(name)
        leaves = tensors + [x.requires_grad_() for x in given.values() if isinstance(x, torch.Tensor) and x.is_floating_point()]
        found = op(*tensors, **given, return_outputs=True)
        wanted = op.reference(*(x.double() for x in tensors), **given)
        generator = torch.Generator().manual_seed(9)
        weights = {k: torch.randn(x.shape, generator=generator) for k, x in found.items() if x.is_floating_point()}
        gradients = [torch.autograd.grad(sum((results[k].double() * w).sum() for k, w in weights.items()), leaves)
                     for results in (found, wanted)]
        for got, want in zip(*gradients):
            assert_close(got, want, 2e-6)


def test_attnc_alone_does_not_import_torch():
    code = "import sys, attnc; attnc.load('causal'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "python")})


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile_fullgraph(backend, dynamic):
    op = attnc.torch.op("sliding_window")

    def model(q, k, v, window):
        out, lse = op(q * 2, k, v, window=window, return_lse=True)
        return (out * 3).sum(-1) + lse

    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    compiled = torch.compile(model, fullgraph=True, dynamic=dynamic, backend=counter)
    for size in (9, 12):
        ours, theirs = qkv(q=size, grad=True), qkv(q=size, grad=True)
        found, wanted = compiled(*ours, 5), model(*theirs, 5)
        assert_close(found.detach(), wanted.detach(), 1e-6)
        found.sum().backward(), wanted.sum().backward()
        for x, y in zip(ours, theirs):
            assert_close(x.grad, y.grad, 1e-5)
    assert counter.frame_count == (1 if dynamic else 2)


def test_parameters_are_arguments_of_compiled_code():
    op = attnc.torch.op("sliding_window")
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda q, k, v, window: op(q, k, v, window=window), fullgraph=True, dynamic=True, backend=counter)
    for window in (3, 5, 7):
        assert torch.equal(compiled(*qkv(), window), op(*qkv(), window=window))
    assert counter.frame_count == 1


class Block(torch.nn.Module):
    def __init__(self, spec="alibi"):
        super().__init__()
        self.attention = attnc.torch.op(spec)
        self.project = torch.nn.Linear(16, 48)
        self.register_buffer("slope", torch.tensor([0.5, 0.25]))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.project(x).view(b, t, 3, 2, 8).permute(2, 0, 3, 1, 4)
        return self.attention(q, k, v, slope=self.slope).transpose(1, 2).reshape(b, t, 16)


def test_export_and_load():
    block, x = Block(), torch.randn(2, 7, 16)
    length = torch.export.Dim("length", min=2, max=64)
    program = torch.export.export(block, (x,), dynamic_shapes=({1: length},))
    assert any("attnc.alibi" in str(node.target) for node in program.graph.nodes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    y = torch.randn(2, 11, 16)
    assert_close(torch.export.load(buffer).module()(y).detach(), block(y).detach(), 1e-6)


def test_ahead_of_time_inductor(tmp_path):
    block, x = Block().eval(), torch.randn(2, 7, 16)
    with torch.no_grad():
        package = torch._inductor.aoti_compile_and_package(torch.export.export(block, (x,)), package_path=str(tmp_path / "block.pt2"))
        assert_close(torch._inductor.aoti_load_package(package)(x), block(x), 1e-6)


def test_jit_trace():
    block, x = Block(), torch.randn(2, 7, 16)
    with torch.no_grad():
        traced = torch.jit.trace(block, (x,))
        assert_close(traced(x), block(x), 1e-6)


def test_vmap_over_the_batch():
    op = attnc.torch.op("document")
    q, k, v = (torch.randn(3, 2, h, 11, 16) for h in (4, 2, 2))
    doc = torch.arange(11, dtype=torch.int32).repeat(2, 1) // 4
    calls = [op(q[i], k[i], v[i], doc=doc, return_lse=True) for i in range(3)]
    for dims, inputs in (((0, 0, 0), (q, k, v)), ((0, 2, 0), (q, k.movedim(0, 2), v))):
        out, lse = torch.vmap(lambda q, k, v: op(q, k, v, doc=doc, return_lse=True), in_dims=dims)(*inputs)
        for i, (want, want_lse) in enumerate(calls):
            assert torch.equal(out[i], want) and torch.equal(lse[i], want_lse)
    nested = torch.vmap(torch.vmap(lambda q, k, v: op(q[None], k[None], v[None], doc=doc[:1])[0]))(q, k, v)
    assert torch.equal(nested, torch.stack([want for want, _ in calls]))


@pytest.mark.parametrize("text", ["mask kv <= q + b", "mask kv <= size(b)", "let n[q] = sum(b for b) score s + n",
                                  "input slope: f32[h] score s + slope"])
def test_vmap_where_the_batch_means_something(text):
    """A larger batch would be another attention: each call is one of its own."""
    op = attnc.torch.op(attnc.Spec(f"attention batched {{ align bottom_right {text} }}"))
    q, k, v = (torch.randn(3, 2, h, 11, 16) for h in (4, 2, 2))
    inputs = (q, k, v, torch.rand(3, 4))[:3 + ("slope" in text)]
    found = torch.vmap(lambda *x: op(*x))(*inputs)
    assert torch.equal(found, torch.stack([op(*(x[i] for x in inputs)) for i in range(3)]))


def test_vmap_of_gradients():
    op = attnc.torch.op("causal")
    q, k, v = (torch.randn(3, 1, 2, 6, 8) for _ in range(3))
    eager = []
    for i in range(3):
        leaf = q[i].clone().requires_grad_()
        eager.append(torch.autograd.grad(op(leaf, k[i], v[i]).square().sum(), leaf)[0])
    rows = torch.eye(3)
    leaf = q.clone().requires_grad_()
    out = torch.stack([op(leaf[i], k[i], v[i]).square().sum() for i in range(3)])
    found = torch.autograd.grad(out, leaf, rows, is_grads_batched=True)[0]
    for i in range(3):
        assert_close(found[i, i], eager[i], 1e-6)


def small(name="alibi"):
    """An operator and a function of q, k and v, by the kernel and by the formula."""
    op, slope = attnc.torch.op(name), torch.rand(2)
    return lambda *x: op(*x, slope=slope), lambda *x: op.reference(*x, slope=slope)["out"]


@pytest.mark.parametrize("transform", ["grad", "vmap of grad", "jacrev", "jacfwd", "hessian", "grad of grad", "jvp of vjp", "grad of jvp", "grad within no_grad", "no_grad within grad", "jvp", "vmap of jvp", "dual numbers"])
def test_derivatives_of_torch_func(transform):
    q, k, v = (torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    several = torch.randn(3, 1, 2, 4, 8)

    def derived(function):
        def total(x):
            return function(x, k, v).square().sum()
        if transform == "grad":
            return torch.func.grad(lambda x, y: function(x, y, v).square().sum(), (0, 1))(q, k)
        if transform == "vmap of grad":
            return torch.vmap(torch.func.grad(total))(several)
        if transform == "grad of grad":
            return torch.func.grad(lambda x: torch.func.grad(total)(x).square().sum())(q)
        if transform == "grad of jvp":
            return torch.func.grad(lambda x: torch.func.jvp(total, (x,), (k,))[1])(q)
        if transform == "grad within no_grad":
            with torch.no_grad():
                return torch.func.grad(total)(q)
        if transform == "no_grad within grad":
            def partly(x):
                with torch.no_grad():
                    weight = total(x)
                return weight * x.sum()
            return torch.func.grad(partly)(q)
        if transform == "jvp of vjp":
            return torch.func.jvp(lambda x: torch.func.vjp(total, x)[1](torch.tensor(1.0))[0], (q,), (k,))
        if transform in ("jacrev", "jacfwd", "hessian"):
            return getattr(torch.func, transform)(total if transform == "hessian" else lambda x: function(x, k, v))(q)
        if transform == "jvp":
            return torch.func.jvp(lambda x, y: function(x, y, v), (q, k), (k, q))
        if transform == "vmap of jvp":
            return torch.vmap(lambda t: torch.func.jvp(total, (q,), (t,)))(several)
        with torch.autograd.forward_ad.dual_level():
            return torch.autograd.forward_ad.unpack_dual(function(torch.autograd.forward_ad.make_dual(q, k), k, v)).tangent

    found, wanted = (torch.utils._pytree.tree_leaves(derived(function)) for function in small())
    for got, want in zip(found, wanted, strict=True):
        assert want.abs().max() > 0
        assert_close(got, want, 1e-5)


def test_checkpoint():
    function, _ = small()
    tensors = [torch.randn(1, 2, 4, 8, requires_grad=True) for _ in range(3)]
    found = torch.autograd.grad(torch.utils.checkpoint.checkpoint(function, *tensors, use_reentrant=False).sum(), tensors)
    for got, want in zip(found, torch.autograd.grad(function(*tensors).sum(), tensors)):
        assert torch.equal(got, want)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    op = attnc.torch.op("alibi")
    tensors, slope = qkv(grad=True), torch.rand(4)
    with torch.autocast("cpu", dtype=dtype):
        out, lse = op(*tensors, slope=slope, return_lse=True)
    assert out.dtype == dtype and lse.dtype == torch.float32
    assert torch.equal(out, op(*(x.to(dtype) for x in tensors), slope=slope))
    out.sum().backward()
    assert all(x.grad is not None and x.grad.dtype == torch.float32 for x in tensors)


def test_pickle_and_copy():
    block = Block()
    x = torch.randn(1, 5, 16)
    for other in (pickle.loads(pickle.dumps(block)), copy.deepcopy(block)):
        assert torch.equal(other(x), block(x))
    assert pickle.loads(pickle.dumps(block.attention)).overload is block.attention.overload


class Attended(torch.utils.data.Dataset):
    """Samples that workers compute."""

    def __init__(self):
        self.op = attnc.torch.op("causal")

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return self.op(*qkv(b=1, seed=i))[0]


def test_data_loader_workers():
    data = Attended()
    here = torch.stack([data[i] for i in range(6)])
    for context in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(data, batch_size=3, num_workers=2, multiprocessing_context=context)
        assert torch.equal(torch.cat(list(loader)), here)


@pytest.mark.parametrize("name", ["sliding_window", "pages"])
def test_calls_again(name):
    """Later calls of a kind write addresses into what the first one has checked: other values, parameters, places in memory, sizes."""
    op, spec = operator(name), operator(name).spec
    for turn in range(8):
        q, k, v = qkv(q=9 - turn % 2, seed=turn)
        if turn % 4 == 1:
            k = torch.cat([k[..., :1], k], -1)[..., 1:]  # another alignment and stride
        if turn % 4 == 2:
            v = v.transpose(1, 2).contiguous().transpose(1, 2)
        given = named(name)
        given |= {"budget": turn % 3, "page": 5 if turn == 7 else 4} if name == "pages" else {"window": 2 + turn}
        found, wanted = (f(q, k, v, **given, return_outputs=True) for f in (op, spec))
        for output, want in wanted.items():
            assert torch.equal(found[output], want), output


def test_threads_call_on_their_own():
    op = attnc.torch.op("causal")
    inputs = [qkv(seed=i) for i in range(4)]
    wanted = [op(*x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            for found, want in zip(pool.map(lambda x: op(*x), inputs), wanted):
                assert torch.equal(found, want)


def test_many_shapes_do_not_stay():
    op = attnc.torch.op(attnc.Spec("attention shapes { align bottom_right mask kv <= q }"))
    for size in range(1, 260):
        x = torch.ones(1, 1, size, 8)
        assert_close(op(x, x, x), x, 1e-6)
        assert len(op.spec._calls) <= 256


def test_tensors_of_any_layout_and_int64():
    op = attnc.torch.op("document")
    q, k, v = qkv(d=8)
    doc = torch.arange(13).repeat(2, 1) // 5
    columns = [x.transpose(2, 3).contiguous().transpose(2, 3) for x in (q, k, v)]
    assert all(x.stride(-1) != 1 for x in columns)
    assert torch.equal(op(*columns, doc=doc), op(q, k, v, doc=doc.int()))


def test_equal_specs_share_an_operator_and_others_do_not():
    first, second = (attnc.Spec(f"attention same {{ align bottom_right mask kv <= q {x} }}") for x in ("", "output lse"))
    assert attnc.torch.op(first).overload is attnc.torch.op(attnc.Spec(first.text)).overload
    assert attnc.torch.op(first).overload is not attnc.torch.op(second).overload
    both = "attention one { scale 1.0 } attention two { scale 2.0 }"
    one, two = (attnc.torch.op(attnc.Spec(both, variant=name)) for name in ("one", "two"))
    assert not torch.equal(one(*qkv()), two(*qkv()))


@pytest.mark.parametrize("call, message", [
    (lambda op, q, k, v: op(q, k), "input `V[b, g, kv, e]: dtype of Q` is not bound"),
    (lambda op, q, k, v: op(q, k, v, v), "takes 3 tensors"),
    (lambda op, q, k, v: op(q, k, v, Q=q), "`Q` is given by position already"),
    (lambda op, q, k, v: op(q, k, v, windows=3), "neither an input nor a parameter"),
    (lambda op, q, k, v: op(q, k, v, window=torch.ones(1)), "`window` is a number, found a tensor of shape [1]"),
    (lambda op, q, k, v: op(q, k, v.numpy()), "`V` is a ndarray: expected a torch.Tensor"),
    (lambda op, q, k, v: op(q, k[..., :5], v), "must have size 16 as in `Q`, found 5"),
    (lambda op, q, k, v: op(q.double(), k.double(), v.double()), "`Q` must be f32, f16 or bf16, found f64"),
    (lambda op, q, k, v: op(q[0], k, v), "`Q` has axes [b, h, q, d], but a tensor of shape [4, 9, 16] is bound"),
])
def test_errors(call, message):
    with pytest.raises(attnc.ArgumentError) as info:
        call(attnc.torch.op("sliding_window"), *qkv())
    assert message in str(info.value)


def test_no_gradient_is_ever_left_out():
    """A form beyond the formulas runs, and says in backward what is in the way; without lse the spec has none."""
    top = attnc.torch.op(attnc.Spec("""
attention top_keys {
  align bottom_right
  let keep[b, h, q, kv] = top(sum(Q * K for d) over kv, 3)
  over keep
}
"""))
    with torch.no_grad():
        top(*qkv(grad=True))
    out = top(*qkv(grad=True))
    with pytest.raises(attnc.GradientError, match=r"^line 4: no gradient through attn.select"):
        out.sum().backward()
    with pytest.raises(attnc.GradientError, match=r"^line 4: no gradient through attn.select"):
        q, k, v = qkv()
        torch.func.jvp(lambda q: top(q, k, v), (q,), (q,))
    with pytest.raises(attnc.ArgumentError, match="add the statement `output lse`"):
        top(*qkv(), return_lse=True)


def test_gradients_twice():
    op = attnc.torch.op("causal")
    q, k, v = qkv(b=1, h=1, g=1, q=3, kv=3, d=4, e=4, grad=True)
    first = torch.autograd.grad(op(q, k, v).square().sum(), q, create_graph=True)[0]
    found = torch.autograd.grad(first.square().sum(), (q, k, v))
    first = torch.autograd.grad(op.reference(q, k, v)["out"].square().sum(), q, create_graph=True)[0]
    for got, want in zip(found, torch.autograd.grad(first.square().sum(), (q, k, v))):
        assert_close(got, want, 1e-5)


def test_dimensions_of_size_1_and_names():
    op = attnc.torch.op("document")
    q, k, v = qkv(d=8)
    doc = torch.arange(13, dtype=torch.int32)[None] // 5
    wanted = op(q, k[:1].repeat(2, 1, 1, 1), v[:1].repeat(2, 1, 1, 1), doc=doc.repeat(2, 1))
    for _ in range(2):
        assert torch.equal(op(q=q, k=k[:1], v=v[:1], doc=doc), wanted)


def test_wrapped_tensors_are_no_memory():
    """Inside vmap a tensor has the type of all others, and no address: a call that was kept must not take it for one."""
    spec = attnc.load("causal")
    q, k, v = (x[None] for x in qkv(d=8))
    spec(q[0], k[0], v[0])
    with pytest.raises(Exception):
        torch.vmap(lambda *x: spec(*x))(q, k, v)
    x = torch.ones(1, 1, 2, 8)
    spec(x, x, x)
    x.requires_grad_()
    with pytest.raises(attnc.ArgumentError, match="requires a gradient"):
        spec(x, x, x)
    with torch.no_grad():
        spec(x, x, x)
