/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A C program that compiles a spec into a file, for the host or for a GPU that is not here.
 *
 *   compiler SPEC TARGET FILE
 */
#include <attnc/attnc.h>
#include <stdio.h>

static char text[1 << 16];

int main(int argc, char **argv) {
  FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
  if (!file)
    return fprintf(stderr, "usage: compiler SPEC TARGET FILE\n"), 2;
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  attnc_compile_options options = attnc_default_compile_options();
  options.dtype = "f32";
  options.head_dim = 32;
  options.target = argv[2];
  options.no_cache = 1;
  if (attnc_compile_to_file(text, argv[1], &options, argv[3]) != ATTNC_OK)
    return fprintf(stderr, "%s\n", attnc_last_error()), 1;
  printf("%s\n", attnc_version());
  return 0;
}
