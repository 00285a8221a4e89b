# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Starts a command many times at once with one code cache: processes.py COUNT CACHE COMMAND... Each must succeed, silently."""
import os
import subprocess
import sys

count, cache, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
environment = os.environ | {"ATTNC_CACHE_DIR": cache}
running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
           for _ in range(count)]
failed = [(process.returncode, text) for process in running if (text := process.communicate()[1]) or process.returncode]
sys.exit(f"{len(failed)} of {count} failed or warned: {failed[:3]}" if failed else 0)
