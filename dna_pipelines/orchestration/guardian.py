"""A process that ends others when its own parent is gone, however that ended; run as a script, without this package."""

import os
import signal
import sys
import time
from contextlib import suppress


def main() -> None:
    """Wait for the end of standard input, whose other end the parent holds; then end a group of processes.

    A byte on standard input says that the group has ended. The arguments are the id of the group and the seconds that
    its processes have to end by themselves.
    """
    group, patience_s = int(sys.argv[1]), float(sys.argv[2])
    if os.read(0, 1):
        return
    # The group may have ended by itself.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGINT)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
