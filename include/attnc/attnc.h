/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The C API of attnc: compile an attention spec, launch it on tensors that the caller owns.
 *
 * Handles are opaque. Every function that can fail returns a status; the text of the last failure
 * on the calling thread is attnc_last_error(). No exception crosses this boundary. Kernels may be
 * launched from several threads at once, and in a child that is forked from a process that has
 * launched some (on the host; a CUDA driver does not survive a fork). A launch neither allocates
 * device memory nor synchronises.
 *
 * Tensors are DLPack tensors (https://dmlc.github.io/dlpack): Q [b, h, q, d], K [b, g, kv, d],
 * V [b, g, kv, e] and out [b, h, q, e] in the operand dtype, lse [b, h, q] in f32 if the spec
 * outputs it, and the spec's inputs by name. Any strides with a unit last stride for Q, K, V and
 * out; elements of an output share no memory with each other, with another output or with an input.
 */
#ifndef ATTNC_ATTNC_H
#define ATTNC_ATTNC_H

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

/* A parsed and checked variant. May be used from several threads at once. */
typedef struct attnc_spec attnc_spec;

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

/* How to compile. Zero-initialise and set what matters: every zero is a default. */
typedef struct attnc_compile_options {
  const char *device;    /* "host" (default), "cuda", or "cuda:1" */
  const char *dtype;     /* "f32", "f16" (default) or "bf16": Q, K, V and out */
  const char *variant;   /* which variant of the spec; default: the only one */
  int64_t head_dim;      /* size of d; default 64 */
  int64_t v_head_dim;    /* size of e; default: head_dim */
  int32_t row_alignment; /* bytes that every row of Q, K, V and out starts at a multiple of; default
                            16 */
  const attnc_param *const_params; /* values of const parameters */
  size_t num_const_params;
  int32_t no_cache;    /* 1: neither read nor write the code cache on disk */
  int32_t num_threads; /* host: threads, at most 4096; default: ATTNC_NUM_THREADS or one for each
                          CPU */
  int32_t chunk; /* steps that a recurrence takes at a time where its form allows it: less than
                    16, or a multiple of 16 up to 4096; default 0: step by step */
} attnc_compile_options;

/* "attnc 0.1.0 (LLVM 22.1.8)". */
ATTNC_API const char *attnc_version(void);

/* The last failure on this thread, or "". Valid until the next call on this thread. */
ATTNC_API const char *attnc_last_error(void);

/* Parses and checks the text of a spec (`.attn` source or MLIR). `name` is for messages, and says
 * by its suffix which of the two it is; null is fine. `variant` selects one of several; null or ""
 * takes the only one. On success *spec is to be destroyed with attnc_spec_destroy. */
ATTNC_API attnc_status attnc_spec_parse(const char *text, const char *name, const char *variant,
                                        attnc_spec **spec);

/* What the variant takes and yields, as JSON in UTF-8:
 *   {"name": "document",
 *    "params":  [{"name": "window", "type": "int", "const": false, "default": 256}, ...],
 *    "inputs":  [{"name": "Q", "dtype": null, "axes": ["b", "h", "q", "d"]}, ...],
 *    "outputs": [{"name": "out", "dtype": null, "axes": ["b", "h", "q", "e"]}, ...],
 *    "steps": [], "chunk": 64}
 * in the order of declaration, Q, K and V first. A type is "int" or "f32"; a dtype is "f32", "f16",
 * "bf16", "i32", "bool", or null for the one that Q, K and V share; an axis is the name of an index
 * space or a size. "steps" are the index spaces that recurrences go along: where one of them has at
 * least "chunk" indices, a kernel that is compiled for chunks of so many steps is usually faster.
 * Valid until the spec is destroyed; null if `spec` is. */
ATTNC_API const char *attnc_spec_signature_json(const attnc_spec *spec);

/* What the variant computes, as JSON in UTF-8: the ops of its body, in order.
 *   [{"op": "attn.read", "line": 4, "operands": [5, 9],
 *     "results": [{"id": 12, "type": "i32"}], "attributes": {}, "regions": []}, ...]
 * Operands are ids of results and of arguments of regions. The type of a tensor is its element's,
 * "dtype" for the one that Q, K and V share, and "axes" are beside it. A region is
 * {"arguments": [{"id": 7, "type": "i32"}, ...], "ops": [...]}, and {} where it is not written.
 * The ops are those of the attn dialect, and of arith and math of MLIR. Infinities and NaN are the
 * strings "inf", "-inf" and "nan". Valid until the spec is destroyed; null if `spec` is, or if
 * there is no memory. */
ATTNC_API const char *attnc_spec_definition_json(const attnc_spec *spec);

/* Computes outputs of the variant in float64 from its definition: slow, and what compiled code is
 * held against. `tensors` are the inputs, in any strides; `outputs` are float64 tensors, in any
 * strides, for any of the variant's outputs; all are in host memory. Parameters, const ones too,
 * that are not given have their defaults. `num_threads` 0 takes all CPUs, 4096 is the most. Nothing
 * is written if something does not fit; tensors that are larger than the memory that is left are
 * ATTNC_OUT_OF_MEMORY, before any of it is taken. */
ATTNC_API attnc_status attnc_spec_reference(const attnc_spec *spec, const attnc_tensor *tensors,
                                            size_t num_tensors, const attnc_param *params,
                                            size_t num_params, const attnc_tensor *outputs,
                                            size_t num_outputs, int32_t num_threads);

/* Shapes of the outputs for these inputs and parameters, as JSON: {"out": [2, 8, 128, 64], ...}.
 * Only the shapes of `tensors` are read. On success *json is valid until the next call of this
 * function on this thread. */
ATTNC_API attnc_status attnc_spec_output_shapes_json(const attnc_spec *spec,
                                                     const attnc_tensor *tensors,
                                                     size_t num_tensors, const attnc_param *params,
                                                     size_t num_params, const char **json);

/* Releases a spec; null is fine. Kernels do not need it. */
ATTNC_API void attnc_spec_destroy(attnc_spec *spec);

/* Compiles the text of a spec (`.attn` source or MLIR) and loads it. `name` is for messages. On
 * success *kernel is to be destroyed with attnc_kernel_destroy. */
ATTNC_API attnc_status attnc_kernel_compile(const char *text, const char *name,
                                            const attnc_compile_options *options,
                                            attnc_kernel **kernel);

/* The same for a file. */
ATTNC_API attnc_status attnc_kernel_compile_file(const char *path,
                                                 const attnc_compile_options *options,
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

/* Writes the compiled code to a file (whole or not at all), and loads it again without a compiler.
 * Host code says which features of a CPU it needs, and is refused where they are missing. Loaded
 * code is executed: load only files that you trust. */
ATTNC_API attnc_status attnc_kernel_save(const attnc_kernel *kernel, const char *path);
ATTNC_API attnc_status attnc_kernel_load(const char *path, const char *device,
                                         attnc_kernel **kernel);

/* Releases a kernel; null is fine. The caller makes sure that no launch is in flight. */
ATTNC_API void attnc_kernel_destroy(attnc_kernel *kernel);

#ifdef __cplusplus
}
#endif

#endif /* ATTNC_ATTNC_H */
