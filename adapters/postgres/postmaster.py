"""Runs as a script between the server and PostgreSQL: give up root, tie life to the parent, exec.

    python -I -S postmaster.py PARENT UID GID KEEP_DAC PROGRAM [ARGUMENT ...]

UID is -1 to stay who we are. KEEP_DAC is 1 when a parent of the data or of the binaries is closed
to others, such as /root: the process then keeps CAP_DAC_OVERRIDE and nothing else. It is a
program of its own because a fork hook in a process with threads is unsafe.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 4
CAP_DAC_OVERRIDE = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def become(libc: ctypes.CDLL | None, uid: int, gid: int, keep_dac: bool) -> None:
    """Change user for good, keeping at most the right to traverse closed folders."""
    if libc is not None and keep_dac:
        check(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "PR_SET_SECUREBITS")
    os.setgroups([])
    os.setgid(gid)
    if libc is None:
        os.setuid(uid)
        return
    os.setresuid(uid, uid, uid)
    if keep_dac:
        header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
        bit = 1 << CAP_DAC_OVERRIDE
        check(libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)), "capset")
        raised = libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)
        check(raised, "PR_CAP_AMBIENT_RAISE")


def check(result: int, what: str) -> None:
    """End with a sentence when a system call failed."""
    if result != 0:
        sys.exit(f"{what} failed: {os.strerror(ctypes.get_errno())}")


def main() -> None:
    """Become PostgreSQL."""
    parent, uid, gid, keep_dac = (int(text) for text in sys.argv[1:5])
    program = sys.argv[5:]
    # A ^C in the terminal is for the server, which then stops PostgreSQL in its own order.
    os.setpgid(0, 0)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if uid >= 0:
        become(libc, uid, gid, keep_dac == 1)
    if libc is not None:
        check(libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0), "PR_SET_PDEATHSIG")
        if os.getppid() != parent:
            sys.exit("the server is gone")
    os.execv(program[0], program)  # noqa: S606 - replacing this process is its purpose


if __name__ == "__main__":
    main()
