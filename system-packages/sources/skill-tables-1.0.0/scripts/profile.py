"""Print what is in a table: `python3 profile.py FILE.csv`. Any size, little memory."""

import csv
import sys
from decimal import Decimal, InvalidOperation

KEEP = 1000  # distinct values remembered of a column
MISSING = {"", "-", "n/a", "na", "none", "null", "nan"}


class Column:
    """What is known of a column so far."""

    def __init__(self):
        self.missing = self.numbers = self.texts = self.padded = 0
        self.least = self.most = None
        self.distinct = {}

    def see(self, value):
        """Take one value into account."""
        stripped = value.strip()
        self.padded += stripped != value
        if stripped.lower() in MISSING:
            self.missing += 1
            return
        if len(self.distinct) < KEEP or stripped in self.distinct:
            self.distinct[stripped] = self.distinct.get(stripped, 0) + 1
        try:
            number = Decimal(stripped)
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite():
            self.texts += 1
            return
        self.numbers += 1
        self.least = number if self.least is None else min(self.least, number)
        self.most = number if self.most is None else max(self.most, number)

    def describe(self):
        """One line."""
        kind = "empty"
        if self.numbers and self.texts:
            kind = f"MIXED: {self.numbers} numbers, {self.texts} texts"
        elif self.numbers:
            kind = f"numbers from {self.least} to {self.most}"
        elif self.texts:
            kind = "text"
        count = f"{KEEP} or more" if len(self.distinct) >= KEEP else len(self.distinct)
        often = sorted(self.distinct, key=self.distinct.get, reverse=True)[:3]
        parts = [kind, f"{count} distinct", f"{self.missing} missing"]
        if self.padded:
            parts.append(f"{self.padded} with spaces around")
        return ", ".join(parts) + f"; most often: {often}"


def profile(path):
    """Read the file once and print."""
    csv.field_size_limit(2**31 - 1)
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        delimiter = max(",;\t|", key=file.readline().count)
        file.seek(0)
        rows = csv.reader(file, delimiter=delimiter)
        header = next(rows, None)
        if header is None:
            sys.exit("the file is empty")
        columns = [Column() for _ in header]
        count = uneven = 0
        for row in rows:
            if not row:
                continue
            count += 1
            uneven += len(row) != len(header)
            for column, value in zip(columns, row):
                column.see(value)
    print(f"{count} rows, {len(header)} columns, separated by {delimiter!r}")
    if uneven:
        print(f"WARNING: {uneven} rows have more or fewer fields than the header")
    for name, column in zip(header, columns):
        print(f"- {name.strip() or '(no name)'}: {column.describe()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        profile(sys.argv[1])
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
