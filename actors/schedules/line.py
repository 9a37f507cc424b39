"""Organizations whose due times wait in line until the organization may launch again. Pure."""

from datetime import datetime

from actors.ids import OrgId

FEW = 16


class Line:
    """How many due times of which organization are worth claiming now.

    One that has to wait has none claimed until its time, so those keep their order and cost
    nothing; then a few at once, until no more of them wait.
    """

    def __init__(self) -> None:
        self._until: dict[OrgId, datetime] = {}

    def wait(self, org: OrgId, until: datetime) -> None:
        """Claim nothing of an organization before a moment."""
        self._until[org] = until

    def served(self, claimed: dict[OrgId, int], now: datetime) -> None:
        """Note how many were claimed of each organization; whoever had less than a few is through.

        To be told before those of them that have to wait again.
        """
        for org, until in list(self._until.items()):
            if until <= now and claimed.get(org, 0) < FEW:
                del self._until[org]

    def most(self, now: datetime) -> dict[OrgId, int]:
        """How many may be claimed; of organizations that are not named, any number."""
        return {org: 0 if until > now else FEW for org, until in self._until.items()}

    def next(self, due: datetime | None) -> datetime | None:
        """When to look next, if the others are due then."""
        return min((each for each in (due, *self._until.values()) if each), default=None)
