# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""NumPy arrays, PyTorch tensors and DLPack objects as views of their memory. Nothing here copies.

NumPy and PyTorch are read through their own attributes: that is several times faster than a DLPack capsule,
works for read-only arrays, and for bfloat16. Anything else needs `__dlpack__`. PyTorch is never imported here:
a tensor can only come from a program that has imported it.
"""
from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._library import native
from .errors import ArgumentError

# Our name of a dtype: DLPack code and bits.
DLPACK = {"f32": (2, 32), "f16": (2, 16), "bf16": (4, 16), "i32": (0, 32), "bool": (6, 8), "f64": (2, 64)}
BYTES = {name: bits // 8 for name, (code, bits) in DLPACK.items()}
FROM_DLPACK = {pair: name for name, pair in DLPACK.items()} | {(1, 8): "uint8"}
FROM_NUMPY = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int32": "i32", "bool": "bool", "float64": "f64"}
CPU, CUDA = 1, 2
# DLPack devices whose memory a CPU or a GPU can address.
DEVICES = {1: CPU, 3: CPU, 2: CUDA, 13: CUDA}


@dataclass(slots=True)
class View:
    """A tensor in memory that somebody else owns.

    owner: the object that keeps the memory alive, for as long as it is referred to.
    pointer: address of the memory; element 0 is `byte_offset` bytes behind it. 0 if there are no elements, perhaps.
    dtype: a key of `DLPACK`, or, for one that no kernel takes, the owner's name of it.
    shape, strides: one entry for each dimension, at least 0 elements; strides count elements and may be 0 or negative.
    device: `CPU` or `CUDA`, and the ordinal of the device, 0 for the CPU.
    kind: "numpy", "torch" or "dlpack": how the owner was read.
    writable: False for memory that the owner says must not change; no output goes there.
    """

    owner: Any
    pointer: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    device: tuple[int, int]
    kind: str
    writable: bool = True
    byte_offset: int = 0

    def alignment(self) -> int:
        """The largest power of two up to 16 that every row's address is a multiple of, in bytes.

        Not below the element's size: memory that is aligned worse is rejected at launch.
        """
        if 0 in self.shape:
            return 16
        bits = self.pointer + self.byte_offset | 16
        for size, stride in zip(self.shape[:-1], self.strides[:-1]):
            if size > 1:
                bits |= stride * BYTES[self.dtype]
        return max(bits & -bits, BYTES[self.dtype])

    def packed(self, name: str) -> tuple[Any, ...]:
        """The memory as the extension takes it, under a name; it must not outlive this view."""
        return (name, self.pointer, self.device, DLPACK[self.dtype], self.shape, self.strides, self.byte_offset)


native.use_numpy(np.ndarray)


@functools.lru_cache(maxsize=None)
def use_torch() -> None:
    """Shows PyTorch to the extension, which then knows its tensors. Versions before 2.10 lack the table that it reads them by:
    their tensors take the way through Python in each call."""
    torch = sys.modules["torch"]
    native.use_torch((torch.Tensor, torch.nn.Parameter), getattr(torch.Tensor, "__dlpack_c_exchange_api__", None),
                     torch.is_grad_enabled, torch.Tensor.is_neg)


def is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def is_jax(value: Any) -> bool:
    """Whether `value` is an array of JAX, which never changes; DLPack does not say so."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, getattr(jax, "Array", ()))


def view(name: str, value: Any, wanted: str | None = None, stream: int | None = None) -> View:
    """The memory of `value`, which messages call `name`.

    `wanted` is the dtype that the spec declares, None for the dtype of Q, K and V: where bf16 is possible, uint16
    arrays are taken as the bits of bfloat16, which NumPy has no dtype for. Raises ArgumentError.
    """
    if isinstance(value, np.ndarray):
        return view_numpy(name, value, wanted)
    if is_torch(value):
        return view_torch(name, value)
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        return view_dlpack(name, value, stream)
    raise ArgumentError(f"`{name}` is a {type(value).__name__}: expected a NumPy array, a PyTorch tensor or an object "
                        "with __dlpack__")


@functools.lru_cache(maxsize=None)
def numpy_name(dtype: Any) -> str:
    """NumPy computes the name of a dtype anew each time."""
    return str(dtype.name)


@functools.lru_cache(maxsize=None)
def torch_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def view_numpy(name: str, array: np.ndarray, wanted: str | None) -> View:
    if not array.dtype.isnative:
        raise ArgumentError(f"`{name}` is not in this machine's byte order; convert it with "
                            ".astype(array.dtype.newbyteorder('='))")
    dtype = numpy_name(array.dtype)
    if dtype == "uint16" and wanted in (None, "bf16"):
        dtype = "bfloat16"
    itemsize, steps = array.itemsize, array.strides
    if array.size and any([step % itemsize for step in steps]):
        raise ArgumentError(f"`{name}` has strides of {steps} bytes, which are no multiples of its elements' "
                            f"{itemsize}")
    return View(array, array.__array_interface__["data"][0], FROM_NUMPY.get(dtype, dtype), array.shape,
                tuple([step // itemsize for step in steps]), (CPU, 0), "numpy", array.flags.writeable)


def view_torch(name: str, tensor: Any) -> View:
    torch = sys.modules["torch"]
    use_torch()
    if tensor.device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"`{name}` is on device {tensor.device}: expected cpu or cuda")
    if tensor.layout is not torch.strided or tensor.is_neg() or tensor.is_conj():
        raise ArgumentError(f"`{name}` is not a plain strided tensor; call .to_dense(), .resolve_neg() or .resolve_conj()")
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ArgumentError(f"`{name}` requires a gradient, and this version has no backward kernels: the gradient "
                            "would silently be lost. Use torch.no_grad() or .detach()")
    device = (CPU, 0) if tensor.device.type == "cpu" else (CUDA, tensor.device.index)
    dtype = torch_name(tensor.dtype)
    return View(tensor, tensor.data_ptr(), FROM_NUMPY.get(dtype, dtype), tuple(tensor.shape), tensor.stride(), device,
                "torch")


def view_dlpack(name: str, value: Any, stream: int | None) -> View:
    """The capsule stays unused, so that its destructor gives the memory back when the view goes."""
    device_type, ordinal = value.__dlpack_device__()
    device = DEVICES.get(int(device_type))
    if device is None:
        raise ArgumentError(f"`{name}` is on DLPack device {int(device_type)}: expected CPU or CUDA memory")
    # On CUDA the producer orders its work before our stream; 1 is DLPack's name of the default stream.
    capsule = value.__dlpack__(stream=stream or 1) if device == CUDA else value.__dlpack__()
    address, code, bits, lanes, shape, strides, byte_offset = native.dlpack(capsule)
    dtype = FROM_DLPACK.get((code, bits), f"DLPack type {code} of {bits} bits")
    if lanes != 1:
        dtype = f"vectors of {dtype}"
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1:], dtype=np.int64)) for i in range(len(shape)))
    return View((value, capsule), address, dtype, shape, strides, (device, int(ordinal)), "dlpack", not is_jax(value),
                byte_offset=byte_offset)


# Dtypes whose values an input of 32-bit ints takes: PyTorch's and NumPy's default one is among them.
CONVERTED = ("int64", "int16", "int8")


def to_i32(name: str, found: View) -> Any:
    """A copy with ints of 32 bits. Raises ArgumentError for values that they cannot hold; on a GPU, where a look at the values
    would wait for it, these wrap around."""
    owner = found.owner
    if found.kind == "dlpack":
        raise ArgumentError(f"`{name}` must have dtype i32, found {found.dtype}; convert it")
    is_wide = found.dtype == "int64" and 0 not in found.shape and found.device[0] == CPU
    if is_wide and not (-2 ** 31 <= int(owner.min()) and int(owner.max()) < 2 ** 31):
        raise ArgumentError(f"`{name}` is converted to ints of 32 bits, and has values beyond them: from {int(owner.min())} to {int(owner.max())}")
    return owner.astype(np.int32) if found.kind == "numpy" else owner.to(sys.modules["torch"].int32)


def allocate(like: View, dtype: str, shape: tuple[int, ...]) -> Any:
    """An uninitialised tensor of the kind of `like`, on its device. NumPy's bf16 is that of `like`, else uint16."""
    if like.kind == "torch":
        torch = sys.modules["torch"]
        names = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32,
                 "bool": torch.bool}
        return torch.empty(shape, dtype=names[dtype], device=like.owner.device)
    if like.device[0] != CPU:
        raise ArgumentError("outputs are allocated for NumPy and PyTorch: pass `out` (and `lse`) on the device")
    if dtype == "bf16":
        return np.empty(shape, like.owner.dtype if like.kind == "numpy" and like.dtype == "bf16" else np.uint16)
    names = {"f32": np.float32, "f16": np.float16, "i32": np.int32, "bool": np.bool_}
    return np.empty(shape, names[dtype])


def memory_block(value: Any, device: str, stream: int | None) -> tuple[int, int]:
    """Address and size in bytes of a workspace: a tensor of bytes without gaps, on `device` ("host" or "cuda:N"), from its
    first address on that is a multiple of 256, as the library wants it."""
    found = view("workspace", value, None, stream)
    where = "host" if found.device[0] == CPU else f"cuda:{found.device[1]}"
    if found.dtype != "uint8" or len(found.shape) != 1 or found.strides[0] != 1 and found.shape[0] > 1:
        raise ArgumentError(f"`workspace` must be a tensor of bytes (uint8) of one axis without gaps, found {found.dtype} of shape "
                            f"{list(found.shape)} with strides {list(found.strides)}")
    if where != device:
        raise ArgumentError(f"`workspace` is on {where}, the kernel on {device}")
    if not found.writable:
        raise ArgumentError("`workspace` is read-only")
    start = found.pointer + found.byte_offset
    skipped = -start % 256
    return start + skipped, max(found.shape[0] - skipped, 0)


def to_bf16(values: Any) -> np.ndarray:
    """The bits of bfloat16 numbers, as uint16, nearest to float32 `values` (ties to even; NaN stays NaN)."""
    floats = np.asarray(values, np.float32)
    bits = floats.view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1)).astype(np.uint32)) >> 16
    return np.where(np.isnan(floats), bits >> 16 | 0x40, rounded).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    """The float32 values of bfloat16 bits in a uint16 array."""
    return (np.asarray(bits, np.uint16).astype(np.uint32) << 16).view(np.float32)
