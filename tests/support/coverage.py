"""`docs/api-coverage.md`: which routes of the contract answer. Run by `make docs`."""

import re
from collections.abc import Iterator

import msgspec

from appstrate.http.call import Route
from appstrate.http.gate import Gate
from appstrate.http.routes import every_route
from appstrate.http.routes.document import document_routes
from appstrate.http.routes.status import ServerInfo, status_routes
from appstrate.paths import ROOT
from support.contract_routes import SUBJECTS

FILE = ROOT / "docs" / "api-coverage.md"
VARIABLE = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
FAMILIES = ("agents", "skills", "integrations", "mcp-servers")
WEIGHTS = {"C": "core", "S": "secondary", "N": "niche"}
HEAD = """# Which routes of the API answer

Made by `make docs` from the table of the contract in `tests/support/contract_routes.py` and the
routes that are registered; a test fails when it is out of date. C is core, S secondary, N niche.
That a route answers is not all: how it answers is the business of the tests in `tests/http`.
"""


class Row(msgspec.Struct, frozen=True):
    """One method and path of the contract."""

    subject: str
    weight: str
    method: str
    path: str


def rows() -> Iterator[Row]:
    subject = ""
    for line in SUBJECTS.strip().splitlines():
        if line.startswith("# "):
            subject = line[2:]
        elif line:
            methods, _, path = line[2:].rpartition(" ")
            for method in methods.split(", "):
                yield Row(subject, line[0], method, path)


def registered() -> set[tuple[str, str]]:
    """Every method and path, with nothing in the braces of variables."""
    info = ServerInfo(version="", commit=None, tier="", reasons=[], walls=tuple)
    routes: list[Route] = [*every_route(), *status_routes(info, Gate(), "")]
    routes += document_routes(routes, "")
    return {(route.method, bare(route.path)) for route in routes}


def answers(row: Row, there: set[tuple[str, str]]) -> bool:
    """Whether a row is registered; of the families of packages, each."""
    families = FAMILIES if "{type}" in row.path else ("",)
    paths = (bare(row.path.replace("{type}", family)) for family in families)
    return all((row.method, path) in there for path in paths)


def coverage() -> str:
    """The whole page."""
    there, table = registered(), list(rows())
    told = {row: answers(row, there) for row in table}
    lines = [HEAD, "| | answer | of |", "|---|---:|---:|"]
    for weight, word in WEIGHTS.items():
        of = [told[row] for row in table if row.weight == weight]
        lines.append(f"| {word} | {sum(of)} | {len(of)} |")
    for subject in dict.fromkeys(row.subject for row in table):
        lines += [f"\n## {subject}\n", "| | route | answers |", "|---|---|---|"]
        for row in table:
            if row.subject == subject:
                lines.append(f"| {row.weight} | {row.method} {row.path} | {_word(told[row])} |")
    lines += ["\n## Beyond the contract\n", *_beyond(there, table)]
    return "\n".join(lines) + "\n"


def _beyond(there: set[tuple[str, str]], table: list[Row]) -> list[str]:
    known = {
        (row.method, bare(row.path.replace("{type}", family)))
        for row in table
        for family in FAMILIES
    }
    return [f"- {method} {path}" for method, path in sorted(there - known, key=lambda e: e[::-1])]


def _word(there: bool) -> str:
    return "yes" if there else "not yet"


def bare(path: str) -> str:
    return VARIABLE.sub("{}", path)


if __name__ == "__main__":
    FILE.write_text(coverage())
