"""References can be followed backwards, however large the tables."""

from adapters.postgres.pool import Pool

# A row of these is deleted once in a while, and alone: one look through a table is no harm.
RARELY_DELETED = ["users", "organizations"]

UNINDEXED = """
    SELECT f.conrelid::regclass::text || '.' || a.attname
    FROM pg_constraint f
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
    WHERE f.contype = 'f' AND f.confrelid::regclass::text <> ALL ($1) AND NOT EXISTS (
        SELECT 1 FROM pg_index i
        WHERE i.indrelid = f.conrelid AND i.indkey[0] = f.conkey[1]
        AND (i.indpred IS NULL
            OR pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))
    )
    ORDER BY 1
"""


async def test_deleting_a_row_does_not_read_whole_tables_for_what_refers_to_it(pool: Pool) -> None:
    rows = await pool.fetch(UNINDEXED, RARELY_DELETED)

    assert [row[0] for row in rows] == []
