"""What users, organizations and keys may be called. Pure."""

import re
import secrets

from actors.ids import EndUserId
from actors.runtime import FieldProblem, Rejected

EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
END_USER = re.compile(r"eu_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
SLUG = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def invalid(field: str, problem: str, code: str = "invalid_value") -> Rejected:
    """The refusal of one field."""
    return Rejected(
        f"{field} {problem}",
        code="validation_failed",
        problems=[FieldProblem(field=field, code=code, message=problem)],
    )


def check_sign_up(email: str, password: str, name: str) -> None:
    """Refuse a sign-up that cannot be, naming the field."""
    check_email(email)
    check_password(password)
    check_name(name.strip())


def check_email(email: str) -> None:
    """Refuse what is no address."""
    if not EMAIL.fullmatch(email) or len(email) > 254:
        raise invalid("email", "is not an e-mail address")


def check_password(password: str) -> None:
    """Refuse a password that is too short to be one, or endless."""
    if not 8 <= len(password) <= 256:
        raise invalid("password", "must have 8 to 256 characters", "out_of_range")


def check_name(name: str, field: str = "name") -> None:
    """Refuse a name that is empty or endless."""
    if not 1 <= len(name) <= 100:
        raise invalid(field, "must have 1 to 100 characters", "out_of_range")


def check_slug(slug: str) -> None:
    """Refuse a slug that could not be the scope of a package."""
    if not SLUG.fullmatch(slug) or len(slug) > 50:
        raise invalid("slug", "must be lowercase letters, digits and inner dashes, at most 50")


def check_end_user_id(text: str) -> EndUserId:
    """The id of an end user; refuses what cannot be one with `invalid_end_user_id`."""
    if not END_USER.fullmatch(text):
        raise Rejected(
            "Appstrate-User must be the id of an end user: eu_ and a UUID",
            code="invalid_end_user_id",
            param="Appstrate-User",
        )
    return EndUserId(text)


def slugs_for(name: str) -> list[str]:
    """Slugs to try for a name, until one is free."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "org"
    return [slug, *(f"{slug}-{n}" for n in range(2, 10)), f"{slug}-{secrets.token_hex(4)}"]
