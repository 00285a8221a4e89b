# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# The component `Python`, what a wheel holds (pyproject.toml): the extension module and the library beside the Python files,
# stripped, under the one name that a wheel can give it, the gallery, and the licences of what is linked into it. The library is attnc_capi's, or
# the one that ATTNC_PREBUILT names (scripts/wheel).
find_program(CMAKE_STRIP strip REQUIRED)
if(ATTNC_PREBUILT)
  set(library ${ATTNC_PREBUILT})
  set(from ${ATTNC_PREBUILT})
else()
  set(library attnc_capi)
  set(from $<TARGET_FILE:attnc_capi>)
endif()
set(stripped ${PROJECT_BINARY_DIR}/wheel/libattnc.so)
add_custom_command(OUTPUT ${stripped}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/wheel
  COMMAND ${CMAKE_STRIP} --strip-unneeded -o ${stripped} ${from}
  DEPENDS ${library} VERBATIM)
add_custom_target(attnc_wheel DEPENDS ${stripped})
if(TARGET attnc_native)
  add_dependencies(attnc_wheel attnc_native)
  install(TARGETS attnc_native LIBRARY DESTINATION attnc COMPONENT Python EXCLUDE_FROM_ALL)
endif()
install(FILES ${stripped} DESTINATION attnc COMPONENT Python EXCLUDE_FROM_ALL)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/specs/ DESTINATION attnc/specs COMPONENT Python EXCLUDE_FROM_ALL
  FILES_MATCHING PATTERN "*.attn")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION attnc/licences RENAME attnc.txt COMPONENT Python EXCLUDE_FROM_ALL)
foreach(package llvm-22-dev zlib1g-dev libzstd-dev)
  set(licence /usr/share/doc/${package}/copyright)
  if(EXISTS ${licence})
    install(FILES ${licence} DESTINATION attnc/licences RENAME ${package}.txt COMPONENT Python EXCLUDE_FROM_ALL)
  elseif(SKBUILD)
    message(FATAL_ERROR "a wheel holds LLVM, zlib and zstd, and so their licences: ${licence} is missing")
  endif()
endforeach()
