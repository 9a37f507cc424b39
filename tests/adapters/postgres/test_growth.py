"""Nothing grows without somebody who deletes it, and operators are told who."""

import re

from adapters.postgres.pool import Pool
from appstrate.paths import ROOT

TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


async def test_operators_are_told_who_deletes_the_rows_of_every_table(pool: Pool) -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    told = page.partition("Who deletes the rows of each table")[2].partition("## ")[0]
    named = [
        name
        for line in told.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    ]

    assert sorted(named) == sorted(row[0] for row in await pool.fetch(TABLES))
