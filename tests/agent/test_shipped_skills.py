"""The programs in the skills we ship, run as an agent would run them."""

import subprocess
import sys
from pathlib import Path

PROFILE = (
    Path(__file__).parents[2] / "system-packages/sources/skill-tables-1.0.0/scripts/profile.py"
)


def profile(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROFILE), str(path)], capture_output=True, text=True, check=False
    )


def test_a_table_is_described_with_what_is_odd_about_it(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("name;amount\nana; 12\nbo;1.5\ncy;n/a\ndi;twelve\ned;1;2\n")

    said = profile(table).stdout

    assert "5 rows, 2 columns, separated by ';'" in said
    assert "1 rows have more or fewer fields" in said
    assert "amount: MIXED: 3 numbers, 1 texts" in said
    assert "1 missing, 1 with spaces around" in said


def test_an_empty_or_missing_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")

    assert profile(tmp_path / "empty.csv").stderr == "the file is empty\n"
    assert "No such file" in profile(tmp_path / "gone.csv").stderr
