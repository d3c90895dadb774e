"""The figures: names and targets, the table in the terminal, and target/bench/report.json."""

import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

from world import OUT, say

# What is better, and the figure to reach: (higher is better, target).
TARGETS = {
    "accepted": (True, 0.40),
    "soldOut": (True, 0.85),
    "soldOutKeyed": (True, 0.55),
    "drain": (True, 0.40),
    "acceptLatencyP99": (False, 15.0),
    "confirmLatencyP99": (False, 100.0),
    "cpuPerOrder": (False, 20.0),
    "memory": (False, 80.0),
    "growth": (True, 0.9),
    "scaleOut": (True, 0.95),
}


def machine():
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in cpus if line.startswith("model name")), "?")
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    versions = {
        "redis": ["redis-cli", "--version"],
        "mysql": ["mariadb", "--version"],
        "rust": ["rustc", "--version"],
        "commit": ["git", "describe", "--always", "--dirty"],
    }
    return {
        "system": platform.system() + " " + platform.release(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memoryMb": memory_kb // 1024,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "loadAverageAtStart": os.getloadavg(),
        "versions": {name: first_line(command) for name, command in versions.items()},
    }


def rates_of_drain(samples):
    """Of (time, [how many each consumer has written])…: what all together write a second while each has something to
    write, and from the first order to the last. Between the two lie the joining of the group, which holds all of them
    up for a second or so, and the end, when one is done before the others. Where one wrote nothing, because all was
    written before it had joined, the two are the same."""
    done = samples[-1][1]

    def first(reached):
        return next(sample for sample in samples if reached(sample[1]))

    def rate(begun, ended):
        return (sum(ended[1]) - sum(begun[1])) / max(ended[0] - begun[0], 1e-9)

    whole = rate(first(any), samples[-1])
    if not all(done):
        return whole, whole
    all_begun = first(lambda counts: all(count > 0 for count in counts))
    one_done = first(lambda counts: any(count == last for count, last in zip(counts, done, strict=True)))
    return rate(all_begun, one_done), whole


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip().split("\n")[0]
    except OSError:
        return "?"


def with_wholes(results):
    """Adds a figure `growth` to `growth:held` and its like: the worst of them, for that decides whether it is met."""
    results = [result for result in results if "wholeOf" not in result]
    wholes = []
    for name in TARGETS:
        parts = [result for result in results if result["name"].startswith(f"{name}:")]
        if parts:
            worst = min(parts, key=lambda part: part["ratio"])
            wholes.append({**worst, "name": name, "wholeOf": [part["name"] for part in parts]})
    return wholes + results


class Report:
    """What was measured. Figures of earlier runs that are not measured again are kept, each with its time."""

    def __init__(self, mode):
        self.machine, self.mode = machine(), mode
        self.results, self.checks = [], []
        # For the page: pictures of single runs.
        self.timelines, self.histograms, self.cpu, self.curves = {}, {}, {}, {}

    def add(self, name, value, unit, ratio, judged, runs, suffix=""):
        """Adds a figure; `judged` is what is held against the target (none: it is only reported)."""
        higher, target = TARGETS[name]
        met = None if judged is None else judged >= target if higher else judged <= target
        result = {"name": name + suffix, "value": value, "unit": unit, "ratio": ratio, "target": target, "met": met}
        self.results.append({**result, "mode": self.mode, "at": time.strftime("%FT%TZ", time.gmtime()), "runs": runs})
        shown = f"{ratio:.3f}" if ratio is not None else f"{value:.1f} {unit}"
        say(f"{name}{suffix}: {shown} (target {target})")

    def add_ratio(self, name, runs, base, suffix="", unit="/s", judge=True):
        """Adds the median of `runs`, each with `value` and a `base` that it is divided by."""
        for run in runs:
            run["ratio"] = run["value"] / run[base]
        ratio = statistics.median(run["ratio"] for run in runs)
        value = statistics.median(run["value"] for run in runs)
        self.add(name, value, unit, ratio, ratio if judge else None, runs, suffix)
        return value

    def check(self, promise, what, ok, detail=""):
        """Notes whether a promise holds on something that was sold."""
        self.checks.append({"promise": promise, "what": what, "ok": ok, "detail": detail})
        if not ok:
            say(f"BROKEN: {promise}: {what} {detail}")

    @property
    def holds(self):
        return all(check["ok"] for check in self.checks)

    def write(self):
        file = OUT / "report.json"
        earlier = json.loads(file.read_text()) if file.exists() else {}
        anew = {result["name"] for result in self.results}
        kept = [result for result in earlier.get("results", []) if result["name"] not in anew]
        order = list(TARGETS)
        results = sorted(
            with_wholes(kept + self.results), key=lambda result: order.index(result["name"].split("@")[0].split(":")[0])
        )
        whole = {"machine": self.machine, "results": results, "checks": self.checks}
        for name in ("timelines", "histograms", "cpu", "curves"):
            whole[name] = {**earlier.get(name, {}), **getattr(self, name)}
        file.write_text(json.dumps(whole, indent=1) + "\n")
        return whole

    def table(self):
        print(f"{'name':28} {'value':>12} {'unit':10} {'ratio':>7} {'target':>7}  met")
        for result in with_wholes(self.results):
            ratio = "" if result["ratio"] is None else f"{result['ratio']:.3f}"
            met = {True: "yes", False: "NO", None: "-"}[result["met"]]
            print(
                f"{result['name']:28} {result['value']:12.1f} {result['unit']:10} {ratio:>7} {result['target']:7}  {met}"
            )
        for check in self.checks:
            print(f"{check['promise']:8} {'holds' if check['ok'] else 'BROKEN':7} {check['what']} {check['detail']}")
