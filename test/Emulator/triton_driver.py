# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs Triton kernels on the emulator, launched as they are on a device but with CPU tensors.

    from triton_driver import install
    runtime = install("build/lib/libattnc_emu_cuda.so", capability=80)    # or 90
    x = torch.ones(1000); y = torch.empty_like(x)
    kernel[(4,)](x, y, 1000, BLOCK=256)
    runtime.launches[-1].name

Triton compiles for the capability; its PTX goes to the emulator's driver interface instead of ptxas. A tensor's storage
has a copy in device memory, which is brought up to date before a launch and fetched after it. What torch.empty and its
relatives return is unwritten on the device as well, so a kernel that reads it is reported.

A process has one device. Errors of the emulator are EmulatorError; after one, `runtime.reset()` starts afresh. Nothing
of it is for measuring: an autotuner takes the first configuration that fits (see `Runtime.choice`).
"""
import contextlib
import ctypes
import dataclasses
import os
import tempfile
import types

import numpy as np
import torch

from emulated import Device, EmulatorError

NUMBER = {"i1": np.int8, "u1": np.int8, "i8": np.int8, "u8": np.uint8, "i16": np.int16, "u16": np.uint16,
          "i32": np.int32, "u32": np.uint32, "i64": np.int64, "u64": np.uint64,
          "fp16": np.float16, "fp32": np.float32, "f32": np.float32, "fp64": np.float64, "f64": np.float64}
# The driver's numbers of the types that tensor maps have here.
MAP_TYPE = {torch.float16: 6, torch.float32: 7, torch.bfloat16: 9}
SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024}


@dataclasses.dataclass
class Launch:
    name: str
    grid: tuple
    warps: int
    shared: int  # bytes
    ptx: str


class Mirror:
    """A storage of PyTorch and its copy in device memory."""

    def __init__(self, runtime, storage):
        self.device, self.storage, self.bytes = runtime.device, storage, storage.nbytes()
        address = ctypes.c_uint64()
        self.device.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(self.bytes, 1)))
        self.address = address.value
        self.known = None  # what host and device both hold
        if storage.data_ptr() in runtime.unwritten and (self.host() == 0xff).all():
            self.known = self.host().copy()  # nothing has been written: neither is it on the device

    def host(self):
        if not self.bytes:
            return np.zeros(0, np.uint8)
        return np.ctypeslib.as_array((ctypes.c_uint8 * self.bytes).from_address(self.storage.data_ptr()))

    def push(self):
        host = self.host()
        if self.known is not None and np.array_equal(host, self.known):
            return
        self.device.call("cuMemcpyHtoD_v2", ctypes.c_uint64(self.address), ctypes.c_void_p(self.storage.data_ptr()),
                         ctypes.c_size_t(self.bytes))
        self.known = host.copy()

    def pull(self):
        if self.bytes:
            self.device.call("cuMemcpyDtoH_v2", ctypes.c_void_p(self.storage.data_ptr()),
                             ctypes.c_uint64(self.address), ctypes.c_size_t(self.bytes))
        self.known = self.host().copy()


class Runtime:
    """The emulated device as Triton's runtime sees it: mirrors of storages, and what was launched."""

    def __init__(self, library, capability, delivery):
        self.capability = capability
        self.device = Device(library, "sm_80" if capability == 80 else "sm_90a", delivery=delivery)
        self.mirrors, self.unwritten, self.launches = {}, set(), []
        self.choice = 0  # of an autotuner's configurations, which to try first

    def reset(self):
        """Ends the context, with its memory and whatever error it has."""
        self.mirrors.clear()
        self.unwritten.clear()
        self.device.call("cuDevicePrimaryCtxReset_v2", ctypes.c_int(0))
        context = ctypes.c_void_p()
        self.device.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), ctypes.c_int(0))
        self.device.call("cuCtxSetCurrent", context)

    def mirror(self, tensor):
        storage = tensor.untyped_storage()
        found = self.mirrors.get(storage.data_ptr())
        if found is None or found.bytes != storage.nbytes():
            found = self.mirrors[storage.data_ptr()] = Mirror(self, storage)
        return found

    def mark_unwritten(self, tensor):
        if tensor.device.type == "cpu" and tensor.numel():
            storage = tensor.untyped_storage()
            ctypes.memset(storage.data_ptr(), 0xff, storage.nbytes())
            self.unwritten.add(storage.data_ptr())
        return tensor


class Arguments:
    """The parameters of one launch, in the machine's types."""

    def __init__(self, runtime, descriptors):
        self.runtime, self.descriptors, self.raw, self.mirrors = runtime, list(descriptors), [], []

    def address(self, tensor):
        mirror = self.runtime.mirror(tensor)
        self.mirrors.append(mirror)
        return mirror.address + tensor.data_ptr() - mirror.storage.data_ptr()

    def add(self, kind, value):
        if isinstance(kind, (tuple, list)):
            for k, v in zip(kind, value):
                self.add(k, v)
        elif kind == "constexpr":
            pass
        elif kind.startswith("tensordesc"):
            self.add_descriptor(value)
        elif kind.startswith("*"):
            self.add_pointer(value)
        elif kind == "bf16":
            self.raw.append(np.uint16(np.float32(value).view(np.uint32) >> 16))
        else:
            self.raw.append(NUMBER[kind](value))

    def add_pointer(self, value):
        if value is None or isinstance(value, int):
            self.raw.append(np.uint64(value or 0))
            return
        tensor = value if isinstance(value, torch.Tensor) else value.base  # reinterpreted in another type
        self.raw.append(np.uint64(self.address(tensor) if tensor.untyped_storage().nbytes() else 0))

    def add_descriptor(self, value):
        shape, strides = tuple(value.shape), list(value.strides)
        address = self.address(value.base)
        if self.descriptors:  # a tensor map
            about = self.descriptors.pop(0)
            element = np.dtype(f"V{value.base.element_size()}")
            memory = types.SimpleNamespace(address=address, shape=shape, dtype=element)
            self.raw.append(self.runtime.device.tensor_map(
                memory, tuple(about["block_size"]), MAP_TYPE[value.base.dtype], about["swizzle"], shape=shape,
                strides=strides))
            self.raw += [np.int32(n) for n in shape] + [np.int64(n) for n in strides]
        else:  # a pointer with shape, strides and what to fill with
            self.raw += [np.uint64(address), *(np.int64(n) for n in shape), *(np.int64(n) for n in strides), np.int8(0)]


class Launcher:
    """What Triton calls for a launch of a compiled kernel."""

    def __init__(self, runtime, source, metadata):
        self.runtime, self.kinds, self.metadata = runtime, list(source.signature.values()), metadata
        self.module, self.loaded_in = None, None

    def __call__(self, x, y, z, stream, ptx, packed, launch_metadata, enter, leave, *values):
        runtime, metadata = self.runtime, self.metadata
        if not x * y * z:
            return
        arguments = Arguments(runtime, getattr(metadata, "tensordesc_meta", None) or [])
        for kind, value in zip(self.kinds, values):
            arguments.add(kind, value)
        scratch = 0
        if metadata.global_scratch_size:
            memory = runtime.device.empty((x * y * z * metadata.global_scratch_size,), np.uint8)
            scratch = memory.address
        for mirror in arguments.mirrors:
            mirror.push()
        module = runtime.device.module(ptx.rstrip(b"\0") + b"\0")
        runtime.launches.append(Launch(metadata.name, (x, y, z), metadata.num_warps, metadata.shared, ptx.decode()))
        module.launch(metadata.name, (x, y, z), (32 * metadata.num_warps,),
                      [*arguments.raw, np.uint64(scratch), np.uint64(0)], shared=metadata.shared)
        for mirror in arguments.mirrors:
            mirror.pull()


def triton_driver(runtime):
    """An object with the interface of triton.backends.driver.DriverBase."""
    from triton.backends.compiler import GPUTarget
    capability = runtime.capability

    class Utils:
        def load_binary(self, name, binary, shared, device):
            registers, spills, most_threads = 64, 0, 1024
            text = binary if isinstance(binary, bytes) else binary.encode()
            return text, text, registers, spills, most_threads

        def unload_module(self, module):
            pass

        def get_device_properties(self, device):
            return {"max_shared_mem": SHARED_LIMIT[capability], "multiprocessor_count": 4, "max_num_regs": 65536,
                    "warpSize": 32, "sm_clock_rate": 1, "mem_clock_rate": 1, "mem_bus_width": 1}

    class Driver:
        utils = Utils()

        def launcher_cls(self, source, metadata):
            return Launcher(runtime, source, metadata)

        def get_current_target(self):
            return GPUTarget("cuda", capability, 32)

        def get_active_torch_device(self):
            return torch.device("cpu")

        def get_current_device(self):
            return 0

        def set_current_device(self, device):
            pass

        def get_current_stream(self, device=0):
            return 0

        def get_device_capability(self, device=0):
            return capability // 10, capability % 10

        def get_device_interface(self):
            return torch.cuda

        def get_benchmarker(self):
            return lambda *arguments, **options: [0.0, 0.0, 0.0]

        def map_python_to_cpp_type(self, kind):
            return kind

        @staticmethod
        def is_active():
            return True

    return Driver()


def patch_torch(runtime):
    """torch.empty leaves memory unwritten, and torch.cuda describes the emulated device, as far as libraries ask."""
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch, "empty_strided"), (torch.Tensor, "new_empty")):
        original = getattr(owner, name)
        setattr(owner, name, lambda *a, _original=original, **k: runtime.mark_unwritten(_original(*a, **k)))
    major, minor = runtime.capability // 10, runtime.capability % 10
    limit = SHARED_LIMIT[runtime.capability]
    properties = types.SimpleNamespace(
        name="EMULATED", major=major, minor=minor, multi_processor_count=4, warp_size=32, total_memory=80 << 30,
        shared_memory_per_block=49152, shared_memory_per_block_optin=limit)
    for name, value in {"get_device_capability": (major, minor), "get_device_name": "EMULATED", "device_count": 1,
                        "current_device": 0, "synchronize": None, "empty_cache": None,
                        "get_device_properties": properties}.items():
        setattr(torch.cuda, name, lambda *arguments, _value=value, **options: _value)
    torch.cuda.device = lambda *arguments: contextlib.nullcontext()


def patch_autotuner(runtime):
    """An autotuner takes a configuration without measuring: the emulator's time says nothing about a device's."""
    from triton.runtime.autotuner import Autotuner
    from triton.runtime.errors import OutOfResources

    def run(self, *arguments, **options):
        self.nargs = dict(zip(self.arg_names, arguments))
        configs = self.prune_configs(options) if len(self.configs) > 1 else list(self.configs)
        first = runtime.choice % len(configs)
        for config in configs[first:] + configs[:first]:
            if config.pre_hook is not None:
                config.pre_hook({**self.nargs, **options, **config.all_kwargs()})
            try:
                result = self.fn.run(*arguments, **options, **config.all_kwargs())
            except OutOfResources:
                continue
            self.best_config, self.nargs = config, None
            return result
        raise EmulatorError("no configuration of the autotuner fits the device")

    Autotuner.run = run


def install(library, capability, delivery=None):
    """Makes the emulator Triton's active driver and returns its Runtime. `delivery` is of ATTNC_EMU_DELIVERY. To be
    called before modules that ask Triton or PyTorch for the device are imported."""
    # Compiled kernels hold PTX here in place of machine code: no other Triton may find them in its cache.
    runtime = Runtime(library, capability, delivery)
    runtime.cache = tempfile.TemporaryDirectory(prefix="attnc-triton-")
    os.environ["TRITON_CACHE_DIR"] = runtime.cache.name
    import triton
    import triton.compiler.compiler
    from triton.backends.nvidia.compiler import CUDABackend
    triton.runtime.driver.set_active(triton_driver(runtime))
    CUDABackend.make_cubin = lambda self, source, metadata, options, capability: (
        source.encode() if isinstance(source, str) else source)
    triton.compiler.compiler.max_shared_mem = lambda device: SHARED_LIMIT[capability]
    patch_torch(runtime)
    patch_autotuner(runtime)
    return runtime
