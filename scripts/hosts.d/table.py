#!/usr/bin/env python3
"""Tells what came of the stories of scripts/hosts: a line each. Exit 1 if a promise was broken.

usage: table.py FOLDER STORY…
"""

import json
import sys
from pathlib import Path


def longest_gap(history: Path) -> float:
    """Seconds that went by between two orders that were taken, at the most."""
    ends = []
    with history.open() as lines:
        for line in lines:
            attempt = json.loads(line)
            answered = attempt["outcome"].get("answered") if isinstance(attempt["outcome"], dict) else None
            order = (answered or {}).get("order")
            if order and order["status"] in ("accepted", "confirmed") and not answered.get("replayed"):
                ends.append(attempt["endUs"])
    ends.sort()
    return max((after - before for before, after in zip(ends, ends[1:])), default=0) / 1e6


def main(folder: Path, stories: list[str]) -> int:
    broken = []
    print(f"{'story':<10}{'buyers':>8}{'accepted':>10}{'sold out':>10}{'refused':>9}{'gone':>6}{'unknown':>9}"
          f"{'longest pause':>15}   promises")
    for story in stories:
        said = json.loads((folder / f"{story}.json").read_text())
        buyers = said["load"]["buyers"]
        wrong = [finding for finding in said["promises"] if not finding["ok"]]
        broken += [(story, finding) for finding in wrong]
        pause = longest_gap(folder / f"{story}.jsonl")
        print(f"{story:<10}{sum(buyers.values()):>8}{buyers['accepted']:>10}{buyers['soldOut']:>10}"
              f"{buyers['refused']:>9}{buyers['gone']:>6}{buyers['unknown']:>9}{pause:>13.1f} s   "
              + (", ".join(f"{it['promise']} {it['name']}" for it in wrong) if wrong else "all hold"))
    for story, finding in broken:
        print(f"{story}: {finding['promise']} {finding['name']}: {finding['what']}: expected {finding['expected']}, "
              f"found {finding['found']}; {finding['examples']}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
