# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# What `cmake --install` puts under a prefix, in components: `Runtime` (libattnc_runtime), `Library` (libattnc),
# `Development` (headers, CMake package, pkg-config), `Tools` (programs, emulator), `Python` (what a wheel holds).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(pair attnc_runtime:Runtime attnc_capi:Library)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 target)
  list(GET pair 1 component)
  install(TARGETS ${target} EXPORT attncTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${component} NAMELINK_COMPONENT Development)
endforeach()
install(TARGETS attnc attnc-spec RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT Tools)
if(TARGET attnc_emu_cuda)
  # attnc looks for the emulator in ../lib, whatever the system calls that folder.
  install(TARGETS attnc_emu_cuda LIBRARY DESTINATION lib COMPONENT Tools)
  install(TARGETS ptx-emu RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT Tools)
endif()
install(DIRECTORY specs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/attnc/specs COMPONENT Tools FILES_MATCHING PATTERN "*.attn")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT Runtime)

install(FILES include/attnc/attnc.h include/attnc/attnc.hpp include/attnc/runtime.h include/attnc/runtime.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/attnc COMPONENT Development)
set(ATTNC_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/attnc)
install(EXPORT attncTargets NAMESPACE attnc:: DESTINATION ${ATTNC_CMAKE_DIR} COMPONENT Development)
configure_package_config_file(cmake/attncConfig.cmake.in ${PROJECT_BINARY_DIR}/attncConfig.cmake
  INSTALL_DESTINATION ${ATTNC_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/attncConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/attncConfig.cmake ${PROJECT_BINARY_DIR}/attncConfigVersion.cmake
  DESTINATION ${ATTNC_CMAKE_DIR} COMPONENT Development)

# pkg-config: the prefix is found from where the file is, so that an installation may be moved.
foreach(package attnc attnc-runtime)
  string(REPLACE "-" "_" ATTNC_PC_LIBRARY ${package})
  set(ATTNC_PC_NAME ${package})
  configure_file(cmake/attnc.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Development)
endforeach()

include(AttncWheel)
