# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Python3_EXECUTABLE: the one that is asked for, that builds a wheel (scikit-build-core says so), or the distribution's, which
# scripts/setup gives NumPy, pytest and headers; another first in PATH may have none of them.
if(NOT Python3_EXECUTABLE AND SKBUILD AND Python_EXECUTABLE)
  set(Python3_EXECUTABLE ${Python_EXECUTABLE})
elseif(NOT Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
  set(Python3_EXECUTABLE /usr/bin/python3)
endif()
find_package(Python3 COMPONENTS Interpreter)
