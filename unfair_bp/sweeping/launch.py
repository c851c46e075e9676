"""Run a module in this process, which ends with the process that has started it.

    python -m unfair_bp.sweeping.launch PARENT MODULE [WORD ...]

On Linux the kernel sends SIGTERM to this process when the thread that has started it ends, even if
it was killed; a training process then saves and stops. Elsewhere there is no such request.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with(parent: int) -> None:
    """Let the kernel end this process when its parent, with this process id, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the request
            sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    # The request outlives the exec.
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
