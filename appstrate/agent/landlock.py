"""Landlock by system calls: this process, and all it starts, give up what they will not need."""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Mapping

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
PR_SET_NO_NEW_PRIVS = 38
EXECUTE, WRITE, READ, READ_FOLDER = 1, 2, 4, 8
REFER, TRUNCATE, DEVICE = 1 << 13, 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE | READ | TRUNCATE | DEVICE
RIGHTS_OF_ABI = {1: REFER - 1, 2: TRUNCATE - 1, 3: DEVICE - 1, 4: DEVICE - 1, 5: 2 * DEVICE - 1}
CONNECT_TCP = 2
NO_ABSTRACT_SOCKETS_NO_SIGNALS = 3
BENEATH_PATH, TO_PORT = 1, 2


def version() -> int:
    """The kernel's Landlock ABI: files from 1, TCP from 4, abstract sockets and signals from 6."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(CREATE_RULESET, None, 0, 1)))


def restrict(files: Mapping[str, str], ports: Iterable[int] | None) -> int:
    """Keep to `files` (path to "read" or "write", each with all beneath it) and TCP `ports`.

    Without ports, TCP stays free. What is not there is left out. Returns the ABI, 0 for nothing
    done; raises `OSError`.
    """
    abi = version()
    if abi < 1:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    every = RIGHTS_OF_ABI[min(abi, 5)]
    net = CONNECT_TCP if abi >= 4 and ports is not None else 0
    scoped = NO_ABSTRACT_SOCKETS_NO_SIGNALS if abi >= 6 else 0
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("QQQ", every, net, scoped)[:size]
    ruleset = _checked(libc.syscall(CREATE_RULESET, attributes, size, 0))
    try:
        for path, kind in files.items():
            rights = every if kind == "write" else EXECUTE | READ | READ_FOLDER
            with contextlib.suppress(FileNotFoundError):
                _allow_beneath(libc, ruleset, path, rights & every)
        for port in ports or () if net else ():
            rule = struct.pack("QQ", CONNECT_TCP, port)
            _checked(libc.syscall(ADD_RULE, ruleset, TO_PORT, rule, 0))
        _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return abi


def _allow_beneath(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - pathlib is slow
            rights &= ON_FILES
        rule = struct.pack("=Qi", rights, place)
        _checked(libc.syscall(ADD_RULE, ruleset, BENEATH_PATH, rule, 0))
    finally:
        os.close(place)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
