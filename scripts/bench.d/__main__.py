"""The measurements of scripts/bench: starts the binaries, loads them with seckill-bench, writes the report."""

import argparse
import time

import curves
import page
import speed
from figures import Report
from world import OUT, World, say

# With tables of their own: what MySQL costs depends on how much is in them, and the others make millions of orders.
LATER = {"latency", "drain"}
PARTS = ["soldOut", "scaleOut", "growth", "accepted", "promises", "latency", "drain"]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--growth", action="store_true")
    given = parser.parse_args()
    usual, known = (list(curves.USUAL), list(curves.ALL)) if given.growth else (PARTS, PARTS)
    for part in given.only or []:
        if part not in known:
            parser.exit(64, f"bench: no such part: '{part}'; there are {', '.join(known)}\n")
    given.parts = given.only or usual
    return given


def table(report, effort, parts):
    """The figures of the table, as far as they are asked for."""
    if set(parts) - LATER:
        with World() as world:
            floor = world.start("seckill-bench", "floor")
            api, sale = speed.warm_api(world, effort)
            if "soldOut" in parts:
                speed.sold_out(world, report, effort, floor)
            if "scaleOut" in parts:
                speed.two_apis(world, report, effort, api, sale)
            if "growth" in parts:
                speed.growth(world, report, effort, api)
            # After the others that publish, which are the broker's warm-up as well: the floor needs none.
            if "accepted" in parts:
                speed.accepted(world, report, effort, floor, api, sale)
            world.stop(floor)
            speed.memory(world, report, api)
            if "promises" in parts:
                speed.promises(world, report, api)
            else:
                speed.whatever_was_sold(world, report, *world.consumers())
    if LATER & set(parts):
        with World() as world:
            api, sale = speed.warm_api(world, effort)
            if "latency" in parts:
                speed.latency(world, report, effort, api, sale)
            if "drain" in parts:
                speed.drain(world, report, effort, api, sale)
            speed.whatever_was_sold(world, report, *world.consumers())


def main():
    given = arguments()
    OUT.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    report = Report("quick" if given.quick else "full")
    if given.growth:
        for part in given.parts:
            say(f"--- {part}")
            if part == "drains":
                curves.ALL[part](None, report)
                continue
            with World() as world:
                curves.ALL[part](world, report)
    else:
        table(report, speed.Effort(given.quick), given.parts)
    whole = report.write()
    page.write(whole)
    report.table()
    say(f"{time.monotonic() - began:.0f} s; {OUT}/report.json, {OUT}/index.html")
    if not report.holds:
        raise SystemExit("bench: a promise is broken, see above")


main()
