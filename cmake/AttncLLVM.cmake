# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Finds LLVM and MLIR 22 and prepares them for *static* linking: one binary without libLLVM.so starts
# in 3 ms instead of 26 ms, which is most of a small compile.
set(ZLIB_USE_STATIC_LIBS ON)
# The packaged LLVM exports name this target even when only the static zstd is wanted.
if(NOT TARGET zstd::libzstd_shared)
  find_library(ATTNC_ZSTD NAMES libzstd.a libzstd.so.1 REQUIRED)
  add_library(zstd::libzstd_shared UNKNOWN IMPORTED)
  set_target_properties(zstd::libzstd_shared PROPERTIES IMPORTED_LOCATION "${ATTNC_ZSTD}")
endif()

find_package(MLIR CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
if(NOT MLIR_FOUND OR NOT LLVM_PACKAGE_VERSION VERSION_GREATER_EQUAL 22.1
   OR LLVM_PACKAGE_VERSION VERSION_GREATER_EQUAL 23)
  message(FATAL_ERROR
    "attnc needs MLIR 22.1 (found: '${LLVM_PACKAGE_VERSION}').\n"
    "  - scripts/setup installs it (Debian 12, Ubuntu 24.04);\n"
    "  - by hand: apt-get install llvm-22-dev libmlir-22-dev mlir-22-tools llvm-22-tools clang-22 lld-22;\n"
    "  - own build: -DMLIR_DIR=<prefix>/lib/cmake/mlir")
endif()
message(STATUS "LLVM ${LLVM_PACKAGE_VERSION} in ${LLVM_DIR}")

list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
separate_arguments(ATTNC_LLVM_DEFS NATIVE_COMMAND ${LLVM_DEFINITIONS})
add_definitions(${ATTNC_LLVM_DEFS})
add_compile_options(-Wall -Wextra -Wno-unused-parameter -fdata-sections -ffunction-sections)

# Debian builds MLIR against libLLVM.so, so each archive's link interface names the shared "LLVM".
# Linking that next to the static components gives two pass registries and a crash: remove it.
get_property(_mlir_libs GLOBAL PROPERTY MLIR_ALL_LIBS)
foreach(_lib ${_mlir_libs})
  if(TARGET ${_lib})
    get_target_property(_links ${_lib} INTERFACE_LINK_LIBRARIES)
    if(_links)
      list(REMOVE_ITEM _links LLVM "\$<LINK_ONLY:LLVM>")
      set_target_properties(${_lib} PROPERTIES INTERFACE_LINK_LIBRARIES "${_links}")
    endif()
  endif()
endforeach()

set(ATTNC_MLIR_LIBS
  MLIRIR MLIRParser MLIRPass MLIRTransforms MLIRSupport MLIRAnalysis
  MLIRArithDialect MLIRArithTransforms MLIRMathDialect MLIRMathTransforms
  MLIRSCFDialect MLIRControlFlowDialect MLIRFuncDialect
  MLIRFunctionInterfaces MLIRLLVMDialect MLIRNVVMDialect MLIRVectorDialect
  MLIRUBDialect MLIRX86VectorDialect
  MLIRConvertToLLVMPass MLIRArithToLLVM MLIRMathToLLVM MLIRSCFToControlFlow MLIRControlFlowToLLVM
  MLIRFuncToLLVM MLIRNVVMToLLVM MLIRVectorToLLVMPass MLIRIndexToLLVM
  MLIRUBToLLVM MLIRReconcileUnrealizedCasts
  MLIRTargetLLVMIRExport MLIRBuiltinToLLVMIRTranslation MLIRLLVMToLLVMIRTranslation
  MLIRNVVMToLLVMIRTranslation)
llvm_map_components_to_libnames(ATTNC_LLVM_LIBS
  NVPTXCodeGen NVPTXDesc NVPTXInfo X86CodeGen X86AsmParser X86Desc X86Info
  Passes OrcJIT FrontendOpenMP IRReader Core Support TargetParser)
