# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs specs on device memory of the PTX emulator, through DLPack. Started by test_cuda_emulator.py in a process of its
own, because a process has one CUDA driver; prints `device works` at the end."""
import ctypes
import os
import sys

import attnc
import numpy as np
from capi import DLTensor, fill

driver = ctypes.CDLL(os.environ["ATTNC_CUDA_DRIVER"])
attnc_tensors = sys.modules["attnc._tensors"]


class DLManagedTensor(ctypes.Structure):
    _fields_ = [("dl_tensor", DLTensor), ("manager_ctx", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi))


def check(result):
    assert result == 0, f"driver error {result}"


class DeviceArray:
    """A copy of an array in device memory, as another library's tensor: it shows nothing but DLPack."""

    def __init__(self, array, offset=0):
        self.array, self.offset, self.streams = np.ascontiguousarray(array), offset, []
        self.pointer = ctypes.c_uint64()
        check(driver.cuMemAlloc_v2(ctypes.byref(self.pointer), ctypes.c_size_t(array.nbytes + offset)))
        check(driver.cuMemcpyHtoD_v2(ctypes.c_uint64(self.pointer.value + offset), self.array.ctypes.data_as(ctypes.c_void_p),
                                     ctypes.c_size_t(array.nbytes)))

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, *, stream):
        self.streams.append(stream)
        self.managed = DLManagedTensor()
        fill(self.managed.dl_tensor, attnc_tensors.view("x", self.array))
        self.managed.dl_tensor.device.device_type, self.managed.dl_tensor.data = 2, self.pointer.value
        self.managed.dl_tensor.byte_offset = self.offset
        return new_capsule(ctypes.addressof(self.managed), b"dltensor", None)

    def get(self):
        check(driver.cuCtxSynchronize())
        check(driver.cuMemcpyDtoH_v2(self.array.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(self.pointer.value + self.offset),
                                     ctypes.c_size_t(self.array.nbytes)))
        return self.array


def raises(error, text, call):
    try:
        call()
    except error as found:
        assert text in str(found), found
    else:
        raise AssertionError(f"no error; expected: {text}")


check(driver.cuInit(0))
context = ctypes.c_void_p()
check(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
check(driver.cuCtxSetCurrent(context))

rng = np.random.default_rng(3)
document = attnc.load("document")
ids = np.arange(40, dtype=np.int32)[None] // 15
for dtype, bound in ((np.float16, 1e-3), (np.float32, 1e-5)):
    q, k, v = (rng.standard_normal((1, h, n, 32)).astype(dtype) for h, n in ((2, 20), (1, 40), (1, 40)))
    operands = [DeviceArray(x) for x in (q, k, v)]
    doc, out, lse = DeviceArray(ids), DeviceArray(np.full_like(q, np.nan)), DeviceArray(np.full((1, 2, 20), np.nan, np.float32))
    assert document(*operands, doc=doc, out=out, lse=lse) is out
    want, want_lse = document.reference(q, k, v, doc=ids, return_lse=True)
    assert np.linalg.norm(out.get() - want) <= bound * np.linalg.norm(want)
    assert np.abs(lse.get() - want_lse).max() < 1e-4
    # DLPack's name of the default stream; each tensor was asked for once.
    assert all(x.streams == [1] for x in (*operands, doc, out, lse))

key = next(key for key in document._kernels if key[0] == "f16")
assert key[3:5] == ("cuda:0", 16) and repr(document._kernels[key]).endswith("on cuda:0>")

# Rows at a multiple of 4 bytes: another kernel, the same numbers.
q, k, v = (rng.standard_normal((1, 2, 20, 32)).astype(np.float16) for _ in range(3))
moved = [DeviceArray(x, offset=4) for x in (q, k, v)]
causal, out, lse = attnc.load("causal"), DeviceArray(np.full_like(q, np.nan)), DeviceArray(np.zeros((1, 2, 20), np.float32))
causal(*moved, out=out, lse=lse)
assert [key[4] for key in causal._kernels] == [4]
want = causal.reference(q, k, v)
assert np.linalg.norm(out.get() - want) <= 1e-3 * np.linalg.norm(want)

raises(attnc.ArgumentError, "pass `out` (and `lse`)", lambda: causal(*moved))
raises(attnc.ArgumentError, "`K` is on host, but `Q` on cuda:0", lambda: causal(moved[0], k, v))
raises(attnc.ArgumentError, "output `out` is on host, the inputs on cuda:0", lambda: causal(*moved, out=q))
raises(attnc.ArgumentError, "the reference runs on the host", lambda: causal.reference(*moved))
kernel = causal.compile(dtype="f16", head_dim=32, device="cuda")
raises(attnc.ArgumentError, "the tensors are on host, the kernel on cuda:0", lambda: kernel(q, k, v))
raises(attnc.ArgumentError, "multiple of 16 bytes", lambda: kernel(*moved, out=out, lse=lse))
raises(attnc.DeviceError, "", lambda: causal.compile(device="cuda:7"))
print("device works")
