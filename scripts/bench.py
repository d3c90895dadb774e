"""The measurements of scripts/bench: starts the binaries, loads them with seckill-bench, writes the report.

Names, ratios and targets are those of the report's readers: see `TARGETS`.
"""

import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

BIN = Path("target/release")
OUT = Path("target/bench")
QUICK = "--quick" in sys.argv
ROUNDS = 3
SECONDS = 4 if QUICK else 10
CONNECTIONS = [256] if QUICK else [64, 256, 1024]
# Orders that wait in the log when the consumer starts to drain it.
BACKLOG = 60_000 if QUICK else 200_000
# Units of a sale that shall never be sold out.
PLENTY = 500_000_000
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6

# What is better, and the figure to reach: (higher is better, target).
TARGETS = {
    "accepted": (True, 0.40),
    "soldOut": (True, 0.85),
    "soldOutKeyed": (True, 0.55),
    "drain": (True, 0.40),
    "acceptLatencyP99": (False, 15.0),
    "cpuPerOrder": (False, 20.0),
    "memory": (False, 80.0),
}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """One of our binaries, on a port of its own."""

    def __init__(self, name, *arguments):
        self.name, self.port = name, free_port()
        environment = {
            **os.environ,
            "SECKILL_PROFILE": "prod",
            "SECKILL_ORDER_ID_SECRET": "of the benchmark",
            "SECKILL_LISTEN": f"127.0.0.1:{self.port}",
        }
        listen = ["--listen", f"127.0.0.1:{self.port}"] if arguments else []
        log = open(OUT / f"{name}.log", "a")
        command = [BIN / name, *arguments, *listen]
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.pid = self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, path, within=60):
        ends = time.monotonic() + within
        while True:
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(self.url + path, timeout=2).status == 200:
                    return
            if self.process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"bench: {self.name} does not answer {path} with 200; see {OUT}/{self.name}.log")
            time.sleep(0.1)

    def accepted(self):
        """How many orders this API has reserved."""
        metrics = urllib.request.urlopen(self.url + "/metrics", timeout=5).read().decode()
        line = next(line for line in metrics.splitlines() if 'reservations_total{outcome="reserved"}' in line)
        return int(float(line.rsplit(" ", 1)[1]))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=35)


def cpu_seconds(pid):
    # The command's name may hold spaces: what counts comes behind its bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


def admin(*arguments):
    subprocess.run([BIN / "stock-admin", *arguments], check=True, stdout=subprocess.DEVNULL)


def sale(stock):
    """A new sale, loaded into the ledger."""
    name = f"bench-{time.time_ns()}"
    admin("sale", "create", name, "--stock", str(stock), "--title", "Benchmark")
    return name


def load(url, sale, connections, *more, seconds=SECONDS):
    """One run of the load generator: what it printed."""
    command = [BIN / "seckill-bench", "load", "--json", "--url", url, "--sale", sale]
    command += ["--connections", str(connections), *more]
    if "--buyers" not in more:
        command += ["--duration", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def outcome(run, name):
    """What the generator says of the answers called `name`."""
    return next((found for found in run["outcomes"] if found["outcome"] == name), {"perSecond": 0, "count": 0})


class Report:
    def __init__(self):
        self.results = []

    def add(self, name, value, unit, ratio, judged, runs, suffix=""):
        """Adds a figure; `judged` is what is held against the target."""
        higher, target = TARGETS[name]
        met = judged >= target if higher else judged <= target
        self.results.append(
            {"name": name + suffix, "value": value, "unit": unit, "ratio": ratio, "target": target, "met": met, "runs": runs}
        )

    def write(self):
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
        memory_kb = int(open("/proc/meminfo").readline().split()[1])
        machine = {
            "system": platform.platform(),
            "cpu": cpu,
            "cores": os.cpu_count(),
            "memoryMb": memory_kb // 1024,
            "loadAverageAtEnd": os.getloadavg(),
        }
        (OUT / "report.json").write_text(json.dumps({"machine": machine, "results": self.results}, indent=2) + "\n")
        print(f"{'name':24} {'value':>12} {'unit':10} {'ratio':>7} {'target':>7}  met")
        for result in self.results:
            ratio = "" if result["ratio"] is None else f"{result['ratio']:.3f}"
            met = "yes" if result["met"] else "NO"
            print(f"{result['name']:24} {result['value']:12.1f} {result['unit']:10} {ratio:>7} {result['target']:7}  {met}")


def alternate(report, name, floor, measure, connections):
    """Runs the floor and `measure` in turns, and reports the median of the ratios."""
    runs = []
    measure()  # Not counted: Kafka's machine compiles its code while it is new.
    for _ in range(ROUNDS):
        bare = outcome(load(floor.url, "floor", connections), "accepted")["perSecond"]
        ours = measure()
        runs.append({"floor": bare, "value": ours, "ratio": ours / bare})
    ratio = statistics.median(run["ratio"] for run in runs)
    value = statistics.median(run["value"] for run in runs)
    suffix = "" if connections == 256 else f"@{connections}"
    report.add(name, value, "/s", ratio, ratio, runs, suffix)
    say(f"{name}{suffix}: {value:.0f}/s, {ratio:.3f} of the floor")
    return value


def services_pids():
    pairs = (entry.split("=", 1) for entry in os.environ["SERVICE_PIDS"].split())
    return {name: int(pid) for name, pid in pairs if pid}


def accepted(report, floor, api, name):
    """Orders accepted, and what each costs."""
    watched = {"api": api.pid, **services_pids()}
    costs = []

    def measure(connections):
        before = {process: cpu_seconds(pid) for process, pid in watched.items()}
        found = outcome(load(api.url, name, connections), "accepted")
        cost = {p: (cpu_seconds(pid) - before[p]) * 1e6 / max(found["count"], 1) for p, pid in watched.items()}
        if connections == 256:
            costs.append(cost)
        return found["perSecond"]

    rates = {c: alternate(report, "accepted", floor, lambda c=c: measure(c), c) for c in CONNECTIONS}
    half = int(rates[256] / 2)
    latencies = [outcome(load(api.url, name, 256, "--rate", str(half)), "accepted")["p99Ms"] for _ in range(ROUNDS)]
    median = {process: statistics.median(cost[process] for cost in costs) for process in watched}
    report.add("cpuPerOrder", median["api"], "us (api)", None, median["api"], [{"median": median}, *costs])
    p99 = statistics.median(latencies)
    report.add("acceptLatencyP99", p99, "ms", None, p99, [{"ratePerSecond": half, "p99Ms": ms} for ms in latencies])


def sold_out(report, floor, api, name):
    load(api.url, name, 4, "--buyers", "4")
    for what, share in [("soldOut", "0"), ("soldOutKeyed", "1")]:
        for connections in CONNECTIONS:

            def measure(connections=connections, share=share):
                return outcome(load(api.url, name, connections, "--keyed-share", share), "soldOut")["perSecond"]

            alternate(report, what, floor, measure, connections)


def written(consumer):
    """How many events this consumer has written."""
    metrics = urllib.request.urlopen(consumer.url + "/metrics", timeout=5).read().decode()
    lines = (line for line in metrics.splitlines() if line.startswith("seckill_consumer_events_total"))
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


def drained(events, within=600):
    """A new consumer, and the events a second that it wrote, from its first batch until `events` were written."""
    consumer = Process("order-consumer")
    ends, first = time.monotonic() + within, None
    consumer.wait_for("/livez")
    while True:
        now, count = time.monotonic(), written(consumer)
        if count and first is None:
            first = (now, count)
        if count >= events:
            break
        if now > ends:
            consumer.stop()
            raise SystemExit(f"bench: after {within} s only {count} of {events} orders are written")
        time.sleep(0.02)
    rate = (count - first[1]) / max(now - first[0], 1e-9)
    return consumer, rate


def plain_inserts(rows):
    """Seconds that the client takes to insert `rows` into a table of the same shape, 500 a statement."""
    script = OUT / "plain.sql"
    with open(script, "w") as out:
        out.write("DROP TABLE IF EXISTS bench_plain; CREATE TABLE bench_plain LIKE orders;\n")
        columns = "id,sale_id,user,goods,quantity,openid,remain_count,status,kafka_raw_message,created_date,update_date"
        for start in range(0, rows, 500):
            values = ",".join(
                f"(UNHEX('{row:032x}'),'bench','buyer-{row}','phone',1,'{row:032x}-1',{row},'confirmed',"
                f"'{'x' * 420}','2026-01-01','2026-01-01')"
                for row in range(start, start + 500)
            )
            out.write(f"INSERT INTO bench_plain ({columns}) VALUES {values};\n")
    url = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
    client = ["mariadb", f"-h{url.hostname}", f"-P{url.port}", f"-u{url.username}", f"-p{url.password}", url.path[1:]]
    started = time.monotonic()
    subprocess.run(client, stdin=open(script), check=True)
    took = time.monotonic() - started
    subprocess.run([*client, "-e", "DROP TABLE bench_plain"], check=True)
    script.unlink()
    return took


def drain(report, api, name):
    """Orders a second from a backlog in the log into MySQL; leaves a consumer running."""
    runs, consumer = [], None
    for _ in range(ROUNDS):
        if consumer:
            consumer.stop()
        backlog = outcome(load(api.url, name, 256, "--buyers", str(BACKLOG)), "accepted")["count"]
        consumer, ours = drained(backlog)
        plain = BACKLOG / plain_inserts(BACKLOG)
        runs.append({"plain": plain, "value": ours, "ratio": ours / plain})
    ratio = statistics.median(run["ratio"] for run in runs)
    value = statistics.median(run["value"] for run in runs)
    report.add("drain", value, "/s", ratio, ratio, runs)
    say(f"drain: {value:.0f}/s, {ratio:.3f} of plain inserts")
    return consumer


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    admin("migrate")
    admin("topics", "create")
    report, running = Report(), []
    try:
        running += [floor := Process("seckill-bench", "floor")]
        running += [api := Process("seckill-api"), consumer := Process("order-consumer")]
        plenty, scarce = sale(PLENTY), sale(1)
        for name in (plenty, scarce):
            api.wait_for(f"/v1/sales/{name}")
        # The consumer is measured by `drain`, alone. Until then what is sold waits in the log.
        consumer.stop()
        accepted(report, floor, api, plenty)
        sold_out(report, floor, api, scarce)
        say("writing what was sold")
        consumer, _ = drained(api.accepted())
        consumer.stop()
        running += [consumer := drain(report, api, plenty)]
        mb = {"api": resident_mb(api.pid), "consumer": resident_mb(consumer.pid)}
        report.add("memory", max(mb.values()), "MB", None, max(mb.values()), [mb])
        whole = subprocess.run([BIN / "stock-admin", "reconcile", plenty], check=False, stdout=subprocess.DEVNULL)
    finally:
        for process in reversed(running):
            process.stop()
    report.write()
    if whole.returncode != 0:
        raise SystemExit(f"bench: what was sold does not add up; see: stock-admin reconcile {plenty}")


if __name__ == "__main__":
    main()
