"""Taking secrets out of text that people will read."""

import re
from collections.abc import Iterable

HIDDEN = "[secret]"
SHORTEST = 6
# What keys look like: the providers' own, and ours.
LIKE_A_KEY = re.compile(
    r"""\b(?:
        (?:sk|pk|rk|ak|gsk|xai|fw|csk)[-_][A-Za-z0-9_*-]{12,}
      | ask_[0-9a-f]{16,}
      | AIza[A-Za-z0-9_-]{20,}
      | (?:ghp|gho|ghs|github_pat)_[A-Za-z0-9_]{20,}
      | AKIA[A-Z0-9]{12,}
      | ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
      | run_[0-9a-f-]{36}\.[0-9a-f]{32,}
    )""",
    re.VERBOSE,
)
BEARER = re.compile(r"(?i)\b(bearer\s+)[^\s\"',;]{8,}")


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the `secrets` one knows of, nor anything else that looks like a key.

    NUL characters, which no database stores, are replaced too.
    """
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = text.replace(secret, HIDDEN)
    text = LIKE_A_KEY.sub(HIDDEN, text)
    return BEARER.sub(rf"\1{HIDDEN}", text).replace("\0", "\ufffd")
