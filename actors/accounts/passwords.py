"""Password hashing with argon2id, off the event loop."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# The OWASP password storage cheat sheet's second recommendation: 19 MiB, 2 passes, 1 lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS_HASH = _HASHER.hash("the password of a user who does not exist")


async def hash_password(password: str) -> str:
    """A salted hash in argon2's own text format."""
    return await asyncio.to_thread(_HASHER.hash, password)


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password fits. Takes as long for a user who does not exist (`None`)."""
    known = password_hash is not None
    return await asyncio.to_thread(_fits, password, password_hash or _NOBODYS_HASH) and known


def _fits(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
