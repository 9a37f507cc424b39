"""Starts the agent process: `python -I -S …/appstrate/agent/__main__.py [SITE-PACKAGES ...]`.

It ties its life to the server's, imports what it needs, and waits on standard input for one line:
its assignment, a JSON object of environment variables (or it finds them in its environment).
Everything slow happens before that line, so that a waiting process answers at once.
"""

import gc
import json
import os
import sys
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


def prepare() -> None:
    """Find our own code, and h11, without a site; leave out what asyncio does not need."""
    if ROOT not in sys.path:
        sys.path.insert(0, ROOT)
    sys.path.extend(sys.argv[1:])
    # OpenSSL costs 8 ms and 3 MB; an agent speaks plain HTTP to its own server only, and most
    # Pythons bring digests of their own.
    left_out = ("ssl", "_hashlib") if brings_digests() else ("ssl",)
    for name in left_out:
        sys.modules[name] = None  # type: ignore[assignment]
    import asyncio  # noqa: F401, PLC0415
    import hashlib  # noqa: F401, PLC0415
    import hmac  # noqa: F401, PLC0415

    for name in left_out:
        del sys.modules[name]


def brings_digests() -> bool:
    """Whether hashlib can do without OpenSSL; it imports these modules in any case."""
    sha2 = ("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")
    try:
        for name in ("_md5", "_sha1", "_sha3", "_blake2", *sha2):
            __import__(name)
    except ImportError:
        return False
    return True


def main() -> None:
    """Become an agent."""
    gc.disable()  # nothing that is imported is garbage: looking for some costs 5 ms
    prepare()
    from appstrate.agent.hardening import harden  # noqa: PLC0415

    walls = harden()
    from appstrate.agent.program import run_assignment  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    if "trial" in walls:
        tell_walls(walls)
    else:
        run_assignment()


def tell_walls(walls: dict[str, Any]) -> None:
    """Answer the question what stands, asked once at boot, instead of waiting for a run."""
    place = os.path.join(os.environ["WORKSPACE_DIR"], "trial")  # noqa: PTH118 - pathlib is slow
    with open(place, "x"):  # noqa: PTH123 - same
        pass
    print(json.dumps(walls))


if __name__ == "__main__":
    main()
