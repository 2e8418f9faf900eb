"""The file that the zygote's interpreter is started with (``python -ISE zygote_entry.py FD``); run, never imported.

An isolated interpreter without site packages knows only the standard library: this puts the directory that holds the
``wherry`` package on its path, and nothing else.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

    from wherry.runtime.zygote import main

    main(int(sys.argv[1]))
