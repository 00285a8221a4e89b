# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# attnc_add_dialect, attnc_add_library, attnc_add_tool, attnc_add_unittest: the only ways in which
# targets are made, so that the precompiled header and the static link are set up in one place.
include(CMakeParseArguments)

# One precompiled header for everything that includes MLIR: it turns 12 s per file into 1 s.
file(WRITE ${PROJECT_BINARY_DIR}/pch/pch.cpp "// Translation unit that owns the precompiled header.\n")
add_library(attnc_pch OBJECT ${PROJECT_BINARY_DIR}/pch/pch.cpp)
target_precompile_headers(attnc_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.h)

# attnc_add_dialect(Attn attn ENUMS ATTRS): tablegen of dialects/Attn/Attn.td into Attn*.inc.
function(attnc_add_dialect name mnemonic)
  cmake_parse_arguments(ARG "ENUMS;ATTRS;INTERFACES" "" "" ${ARGN})
  set(LLVM_TARGET_DEFINITIONS ${name}.td)
  mlir_tablegen(${name}Dialect.h.inc -gen-dialect-decls -dialect=${mnemonic})
  mlir_tablegen(${name}Dialect.cpp.inc -gen-dialect-defs -dialect=${mnemonic})
  mlir_tablegen(${name}Types.h.inc -gen-typedef-decls -typedefs-dialect=${mnemonic})
  mlir_tablegen(${name}Types.cpp.inc -gen-typedef-defs -typedefs-dialect=${mnemonic})
  mlir_tablegen(${name}Ops.h.inc -gen-op-decls)
  mlir_tablegen(${name}Ops.cpp.inc -gen-op-defs)
  if(ARG_ENUMS)
    mlir_tablegen(${name}Enums.h.inc -gen-enum-decls)
    mlir_tablegen(${name}Enums.cpp.inc -gen-enum-defs)
  endif()
  if(ARG_ATTRS)
    mlir_tablegen(${name}Attrs.h.inc -gen-attrdef-decls -attrdefs-dialect=${mnemonic})
    mlir_tablegen(${name}Attrs.cpp.inc -gen-attrdef-defs -attrdefs-dialect=${mnemonic})
  endif()
  add_public_tablegen_target(Attnc${name}IncGen)
  set_property(GLOBAL APPEND PROPERTY ATTNC_GENERATED_HEADERS Attnc${name}IncGen)
endfunction()

# attnc_add_passes(Transforms): tablegen of Passes.td in the folder of include/attnc that calls it.
function(attnc_add_passes name)
  set(LLVM_TARGET_DEFINITIONS Passes.td)
  mlir_tablegen(Passes.h.inc -gen-pass-decls -name Attnc${name})
  add_public_tablegen_target(Attnc${name}PassesIncGen)
  set_property(GLOBAL APPEND PROPERTY ATTNC_GENERATED_HEADERS Attnc${name}PassesIncGen)
endfunction()

# attnc_add_library(AttncFoo a.cpp b.cpp [NO_MLIR] [LINK lib...])
function(attnc_add_library name)
  cmake_parse_arguments(ARG "NO_MLIR" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  if(NOT ARG_NO_MLIR)
    get_property(_gen GLOBAL PROPERTY ATTNC_GENERATED_HEADERS)
    add_dependencies(${name} ${_gen})
    target_precompile_headers(${name} REUSE_FROM attnc_pch)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# The build-id is part of every key of the code cache.
set(ATTNC_LINK_OPTIONS -fuse-ld=lld -Wl,--as-needed -Wl,--gc-sections -Wl,--build-id=sha1)

# attnc_link_static(target lib...): our libraries, then MLIR, then LLVM.
function(attnc_link_static target)
  target_link_libraries(${target} PRIVATE ${ARGN} ${ATTNC_MLIR_LIBS} ${ATTNC_LLVM_LIBS})
  target_link_options(${target} PRIVATE ${ATTNC_LINK_OPTIONS})
  # Exported symbols are roots for --gc-sections: hide the archives' symbols. A sanitizer's runtime is an archive too,
  # linked to programs, and must be visible to the libraries that these open.
  get_target_property(type ${target} TYPE)
  if(NOT ATTNC_SANITIZE OR type STREQUAL SHARED_LIBRARY)
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL)
  endif()
endfunction()

# attnc_add_tool(attnc main.cpp LINK lib...)
function(attnc_add_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  get_property(_gen GLOBAL PROPERTY ATTNC_GENERATED_HEADERS)
  add_dependencies(${name} ${_gen})
  target_precompile_headers(${name} REUSE_FROM attnc_pch)
  attnc_link_static(${name} ${ARG_LINK})
  target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
endfunction()

# attnc_add_unittest(FooTests a.cpp [NO_MLIR] LINK lib...)
function(attnc_add_unittest name)
  cmake_parse_arguments(ARG "NO_MLIR" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  if(ARG_NO_MLIR)
    target_link_libraries(${name} PRIVATE ${ARG_LINK})
    target_link_options(${name} PRIVATE -fuse-ld=lld)
  else()
    get_property(_gen GLOBAL PROPERTY ATTNC_GENERATED_HEADERS)
    add_dependencies(${name} ${_gen})
    target_precompile_headers(${name} REUSE_FROM attnc_pch)
    attnc_link_static(${name} ${ARG_LINK})
  endif()
  target_link_libraries(${name} PRIVATE GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test/Unit)
  add_test(NAME Unit.${name} COMMAND ${name})
endfunction()
