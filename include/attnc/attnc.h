/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The C API of attnc: parse and check specs, compile them for a device or into a file. What is
 * compiled is launched by the functions of attnc/runtime.h, which this header includes; `libattnc`
 * has all of them.
 */
#ifndef ATTNC_ATTNC_H
#define ATTNC_ATTNC_H

#include "attnc/runtime.h"
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A parsed and checked variant. May be used from several threads at once. */
typedef struct attnc_spec attnc_spec;

/* How to compile. Begin with attnc_default_compile_options() and set what matters: every other zero
 * is a default. */
typedef struct attnc_compile_options {
  size_t struct_size;    /* sizeof(attnc_compile_options) where the caller was compiled */
  const char *device;    /* "host" (default), "cuda", or "cuda:1" */
  const char *dtype;     /* "f32", "f16" (default) or "bf16": Q, K, V and out */
  const char *variant;   /* which variant of the spec; default: the only one */
  int64_t head_dim;      /* size of d; default 64 */
  int64_t v_head_dim;    /* size of e; default: head_dim */
  int32_t row_alignment; /* bytes that every row of Q, K, V, out and other inputs of their dtype
                            starts at a multiple of; default 16 */
  const attnc_param *const_params; /* values of const parameters */
  size_t num_const_params;
  int32_t no_cache;    /* 1: neither read nor write the code cache on disk */
  int32_t num_threads; /* host: threads, at most 4096; default: ATTNC_NUM_THREADS or one for each
                          CPU */
  int32_t chunk;      /* steps that a recurrence takes at a time where its form allows it: less than
                         16, or a multiple of 16 up to 4096; default 0: step by step */
  const char *target; /* attnc_compile_to_file: "host" (default), or a GPU such as "sm_90a" */
  const char *host_features; /* attnc_compile_to_file: what host code may use of a CPU: "native"
                                (default), "x86-64", "x86-64-v2", "x86-64-v3" or "x86-64-v4", then
                                changes such as ",+avx512bf16" */
} attnc_compile_options;

/* Options with all defaults, of the size that the caller is compiled with. */
static inline attnc_compile_options attnc_default_compile_options(void) {
  attnc_compile_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  return options;
}

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

/* Writes the compiled code to a file (whole or not at all), for attnc_kernel_load. */
ATTNC_API attnc_status attnc_kernel_save(const attnc_kernel *kernel, const char *path);

/* Compiles the text of a spec to such a file for options->target; no device is needed, and
 * options->device stays null. The parameters and tensors of a launch are those that the spec has
 * with these options. */
ATTNC_API attnc_status attnc_compile_to_file(const char *text, const char *name,
                                             const attnc_compile_options *options,
                                             const char *path);

/* The program `attnc` as a function: `argv` are its arguments, behind the name of a program, and a
 * null pointer ends them. It prints to the standard streams and returns the exit status. For a
 * process that does nothing else: it changes how signals are handled, and is not called twice. */
ATTNC_API int attnc_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif /* ATTNC_ATTNC_H */
