"""The process namespace bubblewrap makes for a program: found, signalled, ended whole."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Sequence

from adapters.local.processes import exited, process_table

CHILD = re.compile(rb'"child-pid": *(\d+)')
END_SECONDS = 5.0


class Namespace:
    """A process namespace. Its first process is bubblewrap's own; when that ends, the kernel ends
    everything in it, and only then lets go of it. It becomes a child of this process when the
    bubblewrap outside has ended, because this process adopts orphans.
    """

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        # Inherited by the one process that is started before `started`.
        os.set_inheritable(self.writing, True)
        self._first = 0

    def command(self, bubblewrap: Sequence[str], program: Sequence[str]) -> list[str]:
        """Bubblewrap with its walls around a program, which tells its first process."""
        called, *walls = bubblewrap
        return [called, "--info-fd", str(self.writing), *walls, *program]

    def started(self) -> None:
        """Bubblewrap has been started, or could not be."""
        os.close(self.writing)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program, which is what the first process has started."""
        first = self._find()
        for process in process_table().values() if first else ():
            if process.parent == first:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, number)

    def kill(self) -> None:
        """Begin to end everything in it."""
        if first := self._find():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(first, signal.SIGKILL)

    async def end(self) -> bool:
        """End everything in it, after the bubblewrap outside has ended; False when that fails."""
        first = self._find()
        os.close(self._reading)
        if not first:
            return True
        try:
            if os.waitpid(first, os.WNOHANG) != (0, 0):  # noqa: ASYNC222 - does not wait
                return True
        except ChildProcessError:  # bubblewrap has seen it end
            return True
        os.kill(first, signal.SIGKILL)
        try:
            await asyncio.wait_for(exited(first), END_SECONDS)
        except TimeoutError:
            return False
        return True

    def bury(self) -> None:
        """Wait for its end, which is near: its program has ended."""
        first = self._find()
        os.close(self._reading)
        # Without adopting orphans, it is another's to wait for.
        with contextlib.suppress(ChildProcessError):
            if first:
                os.waitpid(first, 0)

    def _find(self) -> int:
        """The first process; 0 as long as there is none."""
        if not self._first:
            with contextlib.suppress(BlockingIOError):
                told = CHILD.search(os.read(self._reading, 4096))
                self._first = int(told[1]) if told else 0
        return self._first
