"""Figures: samples, their median and spread, and the table."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Figure:
    """One row: what was measured, in which unit, and what it should be."""

    name: str
    unit: str
    target: str
    samples: list[float] = field(default_factory=list)
    note: str = ""

    def median(self) -> float:
        return statistics.median(self.samples)

    def row(self) -> tuple[str, str, str, str]:
        if not self.samples:
            return self.name, self.note or "not measured", "", self.target
        spread = f"{_short(min(self.samples))} to {_short(max(self.samples))}"
        if len(self.samples) == 1:
            spread = "once"
        return self.name, f"{_short(self.median())} {self.unit}", spread, self.target


def percentile(samples: list[float], share: float) -> float:
    """The value below which a share of the samples lies."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(figures: list[Figure]) -> str:
    """Every figure, aligned."""
    rows = [("what", "median", "spread", "target"), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
