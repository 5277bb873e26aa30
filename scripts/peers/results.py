"""Rows of results: written to the CSV as they come, summed up in tables at the end."""
import csv
import statistics

COLUMNS = ("part", "network", "batch", "type", "program", "round", "phase", "measure", "value")


def read_row(row):
    """A row as it was added."""
    made = {name: int(text) if text.isdigit() else text
            for name, text in row.items() if text and name != "value"}
    return {**made, "value": float(row["value"])}


class Results:
    """Every number that was measured.  phase: preselect, its program's only turn, or alternate.
    kept: those that the file has are kept."""

    def __init__(self, path, kept=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.rows = path, []
        kept = kept and path.exists()
        if kept:
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = [read_row(row) for row in csv.DictReader(file)]
        self.file = open(path, "a" if kept else "w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        if not kept:
            self.writer.writerow(COLUMNS)

    def add(self, value, **row):
        row = {"phase": "alternate", **row, "value": value}
        self.rows.append(row)
        self.writer.writerow([row.get(name, "") for name in COLUMNS[:-1]] + [f"{value:.6g}"])
        self.file.flush()

    def values(self, **wanted):
        return [row["value"] for row in self.rows
                if all(row.get(name) == value for name, value in wanted.items())]

    def programs(self, **wanted):
        """In order of appearance."""
        return list(dict.fromkeys(
            row["program"] for row in self.rows
            if all(row.get(name) == value for name, value in wanted.items())))


def spread(values, digits=None):
    """Median (min-max), by default with three significant digits or more."""
    low, middle, high = min(values), statistics.median(values), max(values)
    if digits is None:
        digits = max(0, 3 - len(str(int(middle))))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def print_table(title, head, rows):
    """Markdown, columns aligned."""
    print(f"\n{title}\n")
    table = [head] + rows
    widths = [max(len(str(row[column])) for row in table) for column in range(len(head))]
    for number, row in enumerate(table):
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
