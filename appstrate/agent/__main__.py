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
    # OpenSSL costs 8 ms and 1.5 MB; an agent speaks plain HTTP to its own server only, and Python
    # brings the one digest it needs.
    sys.modules["ssl"] = sys.modules["_hashlib"] = None  # type: ignore[assignment]
    import asyncio  # noqa: F401, PLC0415
    import hashlib  # noqa: F401, PLC0415
    import hmac  # noqa: F401, PLC0415

    del sys.modules["ssl"], sys.modules["_hashlib"]


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
