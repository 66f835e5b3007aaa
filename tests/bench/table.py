"""The one table of a benchmark run: a row is a figure, what it is held against, and what it should be."""

import statistics

UNITS = {"us": "µs", "ns": "ns", "ms": "ms", "s": "s", "MiB": "MiB", "1/s": "/s", "calls": "calls", "%": "%", "x": "x",
         "GB/s": "GB/s"}
HEADINGS = ("what", "figure", "from..to", "against", "ratio", "from..to", "aim", "", "more")


def number(value):
    """Three digits that say something."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def span(values):
    return f"{number(min(values))}..{number(max(values))}" if len(values) > 1 else ""


class Row:
    """`values` are the repetitions of a figure. `against` names what each repetition is divided by, in the same
    repetition: `ratios`. `aim` is the most the median ratio (or the median figure, without ratios) should be."""

    def __init__(self, name, unit, values, against="", ratios=(), aim=None, at_least=False, note=""):
        self.name, self.unit, self.values, self.against = name, unit, list(values), against
        self.ratios, self.aim, self.at_least, self.note = list(ratios), aim, at_least, note

    @property
    def judged(self):
        return statistics.median(self.ratios or self.values)

    def verdict(self):
        if self.aim is None:
            return ""
        met = self.judged >= self.aim if self.at_least else self.judged <= self.aim
        return "met" if met else "MISSED"

    def cells(self):
        sign = "≥" if self.at_least else "≤"
        return (self.name, f"{number(statistics.median(self.values))} {UNITS.get(self.unit, self.unit)}",
                span(self.values), self.against,
                number(statistics.median(self.ratios)) if self.ratios else "", span(self.ratios),
                f"{sign} {self.aim:g}" if self.aim is not None else "", self.verdict(), self.note)


class Table:
    def __init__(self):
        self.groups = []  # [(title, note, [Row])]
        self.title = None

    def group(self, title, note=""):
        self.groups.append((title, note, []))
        print(f"\n{title}" + (f"\n  {note}" if note else ""), flush=True)

    def add(self, *arguments, **options):
        row = Row(*arguments, **options)
        self.groups[-1][2].append(row)
        print("  " + "  ".join(cell for cell in row.cells() if cell), flush=True)
        return row

    def markdown(self):
        lines = []
        for title, note, rows in self.groups:
            if not rows:
                continue
            cells = [HEADINGS] + [row.cells() for row in rows]
            kept = [i for i in range(len(HEADINGS)) if any(line[i] for line in cells[1:])]
            wide = [max(len(line[i]) for line in cells) for i in kept]

            def put(line):
                return "| " + " | ".join(line[i].ljust(w) for i, w in zip(kept, wide)) + " |"
            lines += ["", f"### {title}", ""] + ([note, ""] if note else [])
            lines += [put(HEADINGS), "|" + "|".join("-" * (w + 2) for w in wide) + "|"]
            lines += [put(line) for line in cells[1:]]
        return "\n".join(lines).lstrip("\n") + "\n"

    def missed(self):
        return [f"{title}: {row.name}" for title, _, rows in self.groups for row in rows if row.verdict() == "MISSED"]
