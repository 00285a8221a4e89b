/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The C API of attnc's runtime: load compiled code, launch it on tensors that the caller owns.
 * `libattnc_runtime` has these functions and nothing of a compiler; `libattnc` has them too.
 *
 * Handles are opaque. Every function that can fail returns a status; the text of the last failure
 * on the calling thread is attnc_last_error(). No exception crosses this boundary. Kernels may be
 * launched from several threads at once, and in a child that is forked from a process that has
 * launched some (on the host; a CUDA driver does not survive a fork). A launch neither allocates
 * device memory nor synchronises.
 *
 * attnc_param, attnc_tensor and attnc_size are elements of arrays and stay as they are. Structs
 * that may grow begin with their size.
 *
 * Tensors are DLPack tensors (https://dmlc.github.io/dlpack): Q [b, h, q, d], K [b, g, kv, d],
 * V [b, g, kv, e] and out [b, h, q, e] in the operand dtype, lse [b, h, q] in f32 if the spec
 * outputs it, and the spec's inputs by name. Any strides with a unit last stride for Q, K, V and
 * out; elements of an output share no memory with each other, with another output or with an input.
 */
#ifndef ATTNC_RUNTIME_H
#define ATTNC_RUNTIME_H

#include <dlpack/dlpack.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define ATTNC_API __declspec(dllexport)
#else
#define ATTNC_API __attribute__((visibility("default")))
#endif

typedef enum attnc_status {
  ATTNC_OK = 0,
  ATTNC_INVALID_ARGUMENT = 1, /* a null pointer, a tensor that does not fit, an unknown name */
  ATTNC_INVALID_SPEC = 2,     /* the spec has errors; the text has file:line:column and a caret */
  ATTNC_COMPILE_ERROR = 3,    /* a correct spec that this version cannot compile for the target */
  ATTNC_DEVICE_ERROR = 4,     /* no driver, no device, or an error of the driver */
  ATTNC_IO_ERROR = 5,         /* a file that cannot be read or written, or is damaged */
  ATTNC_OUT_OF_MEMORY = 6,    /* what a call needs is more than the memory that is left */
  ATTNC_INTERNAL_ERROR = 7    /* a fault of this library; please report it */
} attnc_status;

/* A compiled variant, loaded on a device. */
typedef struct attnc_kernel attnc_kernel;

/* A named number: a parameter of the spec. For an int it is a whole number of 32 bits, for an f32
 * one of its range, an infinity or NaN. */
typedef struct attnc_param {
  const char *name;
  double value;
} attnc_param;

/* A named tensor of a launch. */
typedef struct attnc_tensor {
  const char *name;
  const DLTensor *tensor;
} attnc_tensor;

/* "attnc 0.1.0 (LLVM 22.1.8)"; of the runtime library "attnc 0.1.0 (runtime)". */
ATTNC_API const char *attnc_version(void);

/* The last failure on this thread, or "". Valid until the next call on this thread. */
ATTNC_API const char *attnc_last_error(void);

/* Loads compiled code from a file: one of attnc_kernel_save, attnc_compile_to_file, or
 * `attnc compile --emit=artifact`. `device` is "host", "cuda" or "cuda:1"; null is "host". Host
 * code says which features of a CPU it needs, and is refused where they are missing. Loaded code is
 * executed: load only files that you trust. On success *kernel is to be destroyed with
 * attnc_kernel_destroy. */
ATTNC_API attnc_status attnc_kernel_load(const char *path, const char *device,
                                         attnc_kernel **kernel);

/* Launches on `stream` (a CUstream; ignored on the host, where the call returns when the result is
 * there; launches from several threads run at once). All tensors are on the kernel's device, and
 * each is one that the spec names: an unknown name is an error. Parameters that are not given have
 * their defaults. Nothing is written if the tensors do not fit. */
ATTNC_API attnc_status attnc_kernel_launch(attnc_kernel *kernel, const attnc_tensor *tensors,
                                           size_t num_tensors, const attnc_param *params,
                                           size_t num_params, void *stream);

/* A launch that has been checked: a kernel with its tensors and parameters. */
typedef struct attnc_launch attnc_launch;

/* Checks tensors and parameters as attnc_kernel_launch does, and keeps them for any number of runs,
 * which then look at no name and allocate no memory (the first ones start threads). The memory that
 * the tensors describe must stay where it is; their descriptions need not. The kernel is kept until
 * the launch is destroyed. On success *launch is to be destroyed with attnc_launch_destroy. */
ATTNC_API attnc_status attnc_launch_prepare(const attnc_kernel *kernel, const attnc_tensor *tensors,
                                            size_t num_tensors, const attnc_param *params,
                                            size_t num_params, attnc_launch **launch);

/* Launches on `stream`, as attnc_kernel_launch does. One launch may run on several threads at once
 * if its outputs may be written by all of them. */
ATTNC_API attnc_status attnc_launch_run(const attnc_launch *launch, void *stream);

/* Runs a prepared launch in other memory: data[i] is the address of element 0 of the tensor that
 * was tensors[i] of attnc_launch_prepare, num_tensors as many as there were. Shapes, strides,
 * dtypes and parameters are the launch's; that addresses are aligned and that outputs share no
 * memory is checked anew. It takes as long as attnc_launch_run where outputs lie apart from all
 * other tensors; where they lie between their elements, as long as attnc_kernel_launch. The memory
 * that the launch was prepared with is not touched, and several threads may run one launch at once,
 * each in its own memory. `workspace` is that of attnc_launch_run_with_workspace. */
ATTNC_API attnc_status attnc_launch_run_on(const attnc_launch *launch, void *const *data,
                                           size_t num_tensors, void *workspace,
                                           size_t workspace_bytes, void *stream);

/* Releases a launch; null is fine. The caller makes sure that it is not in flight. */
ATTNC_API void attnc_launch_destroy(attnc_launch *launch);

/* The size of an index space, by name: {"kv", 4096}. */
typedef struct attnc_size {
  const char *name;
  int64_t value;
} attnc_size;

/* Bytes of workspace that a launch with these sizes needs; 0 for a program of one kernel. Sizes
 * that it does not depend on need not be given. Sizes of declared index spaces follow from the
 * others and from parameters, which have their defaults here. */
ATTNC_API attnc_status attnc_kernel_workspace_size(const attnc_kernel *kernel,
                                                   const attnc_size *sizes, size_t num_sizes,
                                                   size_t *bytes);

/* The same for a launch that has been prepared; 0 if it is null. */
ATTNC_API size_t attnc_launch_workspace_size(const attnc_launch *launch);

/* attnc_kernel_launch and attnc_launch_run in memory of the caller: `workspace` is at a multiple of
 * 256 bytes on the kernel's device, has `workspace_bytes` bytes, and belongs to this launch until
 * it has ended. Null: memory of the kernel's own, one block for each stream, as the functions
 * without it take. While a stream is captured nothing can be allocated, so a launch that needs
 * workspace is refused there without one. */
ATTNC_API attnc_status attnc_kernel_launch_with_workspace(attnc_kernel *kernel,
                                                          const attnc_tensor *tensors,
                                                          size_t num_tensors,
                                                          const attnc_param *params,
                                                          size_t num_params, void *workspace,
                                                          size_t workspace_bytes, void *stream);
ATTNC_API attnc_status attnc_launch_run_with_workspace(const attnc_launch *launch, void *workspace,
                                                       size_t workspace_bytes, void *stream);

/* Threads of the caller, for kernels on the host. */
typedef struct attnc_parallel {
  size_t struct_size;  /* sizeof(attnc_parallel) where the caller was compiled */
  void *context;       /* of the caller; passed to parallel_for */
  int32_t num_workers; /* how many calls are of use at once, from 1 to 4096 */
  /* Calls body(argument, i) for i from 0 to count - 1, on any threads, at once or one after the
   * other, and returns when all calls have returned. */
  void (*parallel_for)(void *context, int32_t count, void (*body)(void *argument, int32_t i),
                       void *argument);
} attnc_parallel;

/* Lets launches of a kernel on the host work on the caller's threads: each calls
 * parallel->parallel_for once for each of its grids, and starts no thread. `parallel` is copied;
 * null gives the kernel threads of its own again. No launch of the kernel is in flight. */
ATTNC_API attnc_status attnc_kernel_set_parallel(attnc_kernel *kernel,
                                                 const attnc_parallel *parallel);

/* Releases a kernel; null is fine. The caller makes sure that no launch is in flight. */
ATTNC_API void attnc_kernel_destroy(attnc_kernel *kernel);

#ifdef __cplusplus
}
#endif

#endif /* ATTNC_RUNTIME_H */
