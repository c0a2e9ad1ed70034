"""Run a command that ends when the process that started it ends, even by ``kill -9``.

    python -I -S portal/management/with_parent.py PARENT_PID COMMAND [ARGUMENT ...]

A script of its own and not a ``preexec_fn``, which is unsafe once the parent has threads. The
kernel keeps the wish across ``exec``. Where there is no such wish (not Linux), the command just
runs, and only an orderly stop of the parent ends it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("The starting process is gone already.")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
