"""What is left when everything was stopped: tasks of extensions that let nobody cancel them."""

import asyncio
import logging
import os
import sys

import structlog

log = structlog.get_logger("server")


async def end_strays(within: float = 2.0) -> None:
    """Cancel every other task of the loop, and end the process if one does not end for all that.

    The loop itself would wait for it for ever. Call this last: nothing runs after it then.
    """
    strays = asyncio.all_tasks() - {asyncio.current_task()}
    for task in strays:
        task.cancel()
    stubborn = (await asyncio.wait(strays, timeout=within))[1] if strays else strays
    if stubborn:
        names = sorted(task.get_name() for task in stubborn)
        log.warning("some tasks do not end: the server ends without them", tasks=names)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
