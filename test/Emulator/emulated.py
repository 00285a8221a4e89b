# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs PTX kernels on the emulator from Python, through the CUDA driver interface that it offers.

    device = Device("build/lib/libattnc_emu_cuda.so", profile="sm_90a")
    y = device.empty((n,), np.float32)
    device.module(ptx).launch("saxpy", grid=(8,), block=(128,), args=[np.int32(n), np.float32(2), x, y])
    print(y.numpy())

Arguments are NumPy scalars, which have a type; `Buffer`s; and bytes (a tensor map, for example).
"""
import ctypes
import math
import os

import numpy as np


class EmulatorError(RuntimeError):
    """A call that the driver refused; the message is the emulator's report."""


class Buffer:
    """Device memory with a shape and a type."""

    def __init__(self, device, shape, dtype):
        self.device, self.shape, self.dtype = device, tuple(shape), np.dtype(dtype)
        self.bytes = math.prod(self.shape) * self.dtype.itemsize
        address = ctypes.c_uint64()
        device.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(self.bytes, 1)))
        self.address = address.value

    def numpy(self):
        host = np.empty(self.shape, self.dtype)
        self.device.call("cuMemcpyDtoH_v2", ctypes.c_void_p(host.ctypes.data), ctypes.c_uint64(self.address), ctypes.c_size_t(self.bytes))
        return host


class Module:
    def __init__(self, device, ptx):
        self.device, self.handle = device, ctypes.c_void_p()
        text = ptx.encode() if isinstance(ptx, str) else ptx
        device.call("cuModuleLoadData", ctypes.byref(self.handle), ctypes.c_char_p(text))

    def launch(self, name, grid, block, args, shared=0):
        function = ctypes.c_void_p()
        self.device.call("cuModuleGetFunction", ctypes.byref(function), self.handle, ctypes.c_char_p(name.encode()))
        if shared > 48 * 1024:
            self.device.call("cuFuncSetAttribute", function, ctypes.c_int(8), ctypes.c_int(shared))
        storage = []
        for arg in args:
            if isinstance(arg, Buffer):
                raw = np.uint64(arg.address).tobytes()
            elif isinstance(arg, bytes):
                raw = arg
            elif isinstance(arg, np.generic):
                raw = arg.tobytes()
            else:
                raise TypeError(f"argument {arg!r} has no machine type; use a NumPy scalar")
            storage.append(ctypes.create_string_buffer(raw, len(raw)))
        pointers = (ctypes.c_void_p * max(len(storage), 1))(*[ctypes.addressof(s) for s in storage])
        dims = [ctypes.c_uint(v) for shape in (grid, block) for v in (*shape, 1, 1)[:3]]
        self.device.call("cuLaunchKernel", function, *dims, ctypes.c_uint(shared), None, pointers, None)


class Device:
    """The emulated device. A process has one: its profile and policies are read when it starts."""

    def __init__(self, library, profile, delivery=None):
        os.environ["ATTNC_EMU_DEVICE"] = profile
        if delivery:
            os.environ["ATTNC_EMU_DELIVERY"] = delivery
        self.driver = ctypes.CDLL(os.path.abspath(library))
        self.driver.attnc_emu_last_report.restype = ctypes.c_char_p
        self.call("cuInit", ctypes.c_uint(0))
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), ctypes.c_int(0))
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *args):
        status = getattr(self.driver, name)(*args)
        if status:
            report = self.driver.attnc_emu_last_report()
            raise EmulatorError(f"{name} returned {status}: {report.decode() if report else ''}")

    def empty(self, shape, dtype):
        """Memory that nothing has written; reading it on the device is an error."""
        return Buffer(self, shape, dtype)

    def array(self, host):
        host = np.ascontiguousarray(host)
        buffer = Buffer(self, host.shape, host.dtype)
        self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(buffer.address), ctypes.c_void_p(host.ctypes.data), ctypes.c_size_t(buffer.bytes))
        return buffer

    def module(self, ptx):
        return Module(self, ptx)

    def tensor_map(self, buffer, box, kind, swizzle=0, shape=None, strides=None, nan_fill=False):
        """A tiled tensor map. `kind` is the driver's data type (6 f16, 7 f32, 9 bf16); `swizzle` 0 to 3 for none, 32,
        64 and 128 bytes; shape and strides (in elements) are the buffer's unless given, slowest dimension first."""
        shape = tuple(shape or buffer.shape)
        if strides is None:
            strides = [math.prod(shape[i + 1:]) for i in range(len(shape))]
        rank = len(shape)
        dims = (ctypes.c_uint64 * rank)(*reversed(shape))
        pitches = (ctypes.c_uint64 * rank)(*[s * buffer.dtype.itemsize for s in reversed(strides[:-1])])
        raw = ctypes.create_string_buffer(128 + 64)
        aligned = (ctypes.addressof(raw) + 63) // 64 * 64
        self.call("cuTensorMapEncodeTiled", ctypes.c_void_p(aligned), ctypes.c_int(kind), ctypes.c_uint(rank),
                  ctypes.c_void_p(buffer.address), dims, pitches, (ctypes.c_uint * rank)(*reversed(box)),
                  (ctypes.c_uint * rank)(*[1] * rank), ctypes.c_int(0), ctypes.c_int(swizzle), ctypes.c_int(0),
                  ctypes.c_int(1 if nan_fill else 0))
        return ctypes.string_at(aligned, 128)
