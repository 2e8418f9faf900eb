"""The file that the sealed interpreter is started with, see ``sealed``; run, never imported.

An isolated interpreter without site packages knows only the standard library: this puts the directory that holds the
``wherry`` package on its path, and nothing else.
"""

import gc
import os
import sys

if __name__ == "__main__":
    gc.disable()  # there is not enough to collect for the time that it would take
    sys.path.insert(0, os.path.abspath(__file__).removesuffix("/wherry/runtime/oci/entry.py"))

    from wherry.runtime.oci.app import run

    os._exit(run(sys.argv[1:]))  # nothing is buffered, and there is nobody to take leave of
