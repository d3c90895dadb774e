"""The table of figures: both sides of each ratio in turns, at least three times."""

import json
import statistics
import subprocess
import time
from pathlib import Path

from figures import rates_of_drain
from world import BIN, OUT, Watch, outcome, say, service_pids

ROUNDS = 3


class Effort:
    """How much is measured: a quick look or the whole."""

    def __init__(self, quick):
        # Not counted. A broker that was just started needs it: its machine compiles what is used much, and until then
        # an order costs several times as much.
        self.warm_up = 4 if quick else 10
        self.seconds = 1.25 if quick else 6
        self.connections = [256] if quick else [256, 64, 1024]
        # Orders that wait in the log when one consumer starts to drain it, or several: enough for more than the two
        # seconds that it takes these to join.
        self.backlog = {1: 50_000, 3: 110_000} if quick else {1: 200_000, 3: 200_000}
        # Orders that a sale holds already when its rate is compared with a new one's.
        self.held = 100_000 if quick else 1_000_000
        self.sales = 100


def label(connections):
    return "" if connections == 256 else f"@{connections}"


def per_second(run, name):
    return outcome(run, name)["perSecond"]


def against_floor(world, report, name, floor, measure, effort, connections):
    """Runs the floor and `measure` in turns, and reports the median of the ratios."""
    runs = []
    measure()  # Not counted.
    for _ in range(ROUNDS):
        with Watch({"floor": floor.pid}) as watch:
            bare = outcome(world.load(floor.url, "floor", connections, seconds=effort.seconds), "accepted")
        cost = watch.cpu["floor"] * 1e6 / max(bare["count"], 1)
        runs.append({"floor": bare["perSecond"], "floorCpuUs": cost, **measure()})
    report.add_ratio(name, runs, "floor", label(connections))
    return runs


def new_api(world, **terms):
    """An API, and a sale of these terms that it sells. No consumer runs."""
    (consumer,) = world.consumers()
    api, sale = world.start("seckill-api"), world.sale(**terms)
    api.wait_for(f"/v1/sales/{sale}")
    world.stop(consumer)
    return api, sale


def warm_api(world, effort):
    """The same, after it has worked for a while."""
    api, sale = new_api(world)
    world.load(api.url, sale, 256, seconds=effort.warm_up)
    return api, sale


def accepted(world, report, effort, floor, api, sale):
    """Orders accepted, and what each costs. The consumers rest: `drain` is theirs."""
    watched = {"api": api.pid, **service_pids()}
    costs = []
    for connections in effort.connections:

        def measure(connections=connections):
            with Watch(watched) as watch:
                run = world.load(api.url, sale, connections, seconds=effort.seconds)
            found = outcome(run, "accepted")
            cost = {p: spent * 1e6 / max(found["count"], 1) for p, spent in watch.cpu.items()}
            cost["client"] = run["clientCpuMicrosPerAttempt"]
            if connections == 256:
                costs.append(cost)
                report.timelines["accepted"] = {"sliceMs": run["sliceMs"], "counts": found["timeline"]}
                report.histograms["accepted, full rate"] = found["histogram"]
                report.cpu["accepted"] = watch.samples
            return {"value": found["perSecond"], "p50Ms": found["p50Ms"], "p99Ms": found["p99Ms"], "cpuUs": cost}

        runs = against_floor(world, report, "accepted", floor, measure, effort, connections)
        if connections == 256:
            floor_cost = statistics.median(run["floorCpuUs"] for run in runs)
    # The first was the warm-up.
    median = {process: statistics.median(cost[process] for cost in costs[1:]) for process in costs[0]}
    # What the same request costs the bare server on this machine: most of it is the system's, for the sockets.
    median["floor"] = floor_cost
    report.add("cpuPerOrder", median["api"], "us (api)", None, median["api"], [{"median": median}, *costs])


def sold_out(world, report, effort, floor):
    """Refusals once nothing is left."""
    api, sale = new_api(world, stock=1)
    world.load(api.url, sale, 4, "--buyers", 4)
    watched = {"api": api.pid, **service_pids()}
    for what, share in [("soldOut", 0), ("soldOutKeyed", 1)]:
        for connections in effort.connections:

            def measure(connections=connections, share=share, what=what):
                with Watch(watched) as watch:
                    run = world.load(api.url, sale, connections, "--keyed-share", share, seconds=effort.seconds)
                found = outcome(run, "soldOut")
                cost = {p: spent * 1e6 / max(found["count"], 1) for p, spent in watch.cpu.items()}
                if connections == 256:
                    report.timelines[what] = {"sliceMs": run["sliceMs"], "counts": found["timeline"]}
                    report.histograms[what] = found["histogram"]
                return {"value": found["perSecond"], "p99Ms": found["p99Ms"], "cpuUs": cost}

            against_floor(world, report, what, floor, measure, effort, connections)
    world.stop(api)


def latency(world, report, effort, api, sale):
    """At half of the accepted rate, with the consumer at work: until the answer, and until the row is in MySQL."""
    # Measured anew: how fast a shared machine is changes within minutes.
    rates = [per_second(world.load(api.url, sale, 256, seconds=effort.seconds), "accepted") for _ in range(ROUNDS)]
    half = int(statistics.median(rates) / 2)
    (consumer,) = world.consumers()
    watched = {"api": api.pid, "consumer": consumer.pid, **service_pids()}
    answers, rows = [], []
    # Not counted: what MySQL has just been given is still on its way to the disk.
    world.load(api.url, sale, 256, "--rate", half, seconds=effort.warm_up)
    for _ in range(ROUNDS):
        written(world, [consumer], sale)
        with Watch(watched) as watch:
            run = world.load(api.url, sale, 256, "--rate", half, "--follow-every", 50, seconds=effort.seconds)
        answers.append({"ratePerSecond": half, **kept(outcome(run, "accepted"))})
        rows.append({"ratePerSecond": half, **kept(run["confirmed"]), "missing": run["confirmed"]["missing"]})
    report.histograms["accepted, half rate"] = outcome(run, "accepted")["histogram"]
    report.histograms["confirmed, half rate"] = run["confirmed"]["histogram"]
    report.cpu["half rate, all at work"] = watch.samples
    p99 = statistics.median(run["p99Ms"] for run in answers)
    report.add("acceptLatencyP99", p99, "ms", None, p99, answers)
    p99 = statistics.median(run["p99Ms"] for run in rows)
    report.add("confirmLatencyP99", p99, "ms", None, p99, rows)
    report.check("P2", "orders followed into MySQL at half rate", all(run["missing"] == 0 for run in rows))
    world.stop(consumer)


def kept(found):
    return {name: found[name] for name in ("p50Ms", "p99Ms", "p999Ms", "maxMs")}


def written(world, consumers, sale, within=300):
    """Waits until all orders of `sale` that were accepted are in MySQL."""
    ends = time.monotonic() + within
    while (sold := int(world.sql(f"SELECT sold FROM sales WHERE id = '{sale}'"))) < world.accepted[sale]:
        if time.monotonic() > ends:
            raise SystemExit(f"bench: after {within} s only {sold} of {world.accepted[sale]} orders are written")
        time.sleep(0.1)


def drained(world, sale, count):
    """So many new consumers, and the orders a second that they wrote."""
    before = int(world.sql(f"SELECT sold FROM sales WHERE id = '{sale}'"))
    total = world.accepted[sale]
    consumers = world.consumers(count)
    watched = {"mysql" if p == "mariadb" else p: pid for p, pid in service_pids().items()}
    watched |= {f"consumer{n or ''}": consumer.pid for n, consumer in enumerate(consumers)}

    samples = []
    with Watch(watched) as watch:
        ends = time.monotonic() + 300
        while True:
            written = [int(consumer.metric("seckill_consumer_events_total")) for consumer in consumers]
            samples.append((time.monotonic(), written))
            done = sum(written)
            if done >= total - before:
                break
            if time.monotonic() > ends:
                raise SystemExit(f"bench: after 300 s only {done} of {total - before} orders are written")
            time.sleep(0.01)
    rate, whole = rates_of_drain(samples)
    cpu = {process: spent * 1e6 / done for process, spent in watch.cpu.items()}
    peak = max(watch.peak_mb[p] for p in watched if p.startswith("consumer"))
    run = {"value": rate, "withJoining": whole, "cpuUs": cpu, "byConsumer": written, "residentMb": peak}
    return consumers, {**run, "samples": watch.samples}


def plain_inserts(world, rows):
    """Rows a second that the client inserts into a table of the same shape, 500 a statement."""
    script = OUT / "plain.sql"
    columns = "id,sale_id,user,goods,quantity,openid,remain_count,status,kafka_raw_message,created_date,update_date"
    columns += ",log_position,published_at,written_at"
    with open(script, "w") as out:
        out.write("DROP TABLE IF EXISTS bench_plain; CREATE TABLE bench_plain LIKE orders;\n")
        for start in range(0, rows, 500):
            values = ",".join(
                f"(UNHEX('{row:032x}'),'bench','buyer-{row}','phone',1,'{row:032x}-1',{row},'confirmed',"
                f"'{'x' * 420}','2026-01-01','2026-01-01','1/{row}','2026-01-01','2026-01-01')"
                for row in range(start, start + 500)
            )
            out.write(f"INSERT INTO bench_plain ({columns}) VALUES {values};\n")
    started = time.monotonic()
    world.sql_file(script)
    took = time.monotonic() - started
    world.sql("DROP TABLE bench_plain")
    script.unlink()
    return rows / took


def drain(world, report, effort, api, sale):
    """Orders a second from a backlog in the log into MySQL, by one consumer and by three."""
    alone, several = [], []
    for _ in range(ROUNDS):
        for count, runs in ((1, alone), (3, several)):
            world.load(api.url, sale, 256, "--buyers", effort.backlog[count])
            consumers, run = drained(world, sale, count)
            for consumer in consumers:
                world.stop(consumer)
            report.cpu[f"drain, consumers: {count}"] = run.pop("samples")
            runs.append(run)
        alone[-1]["plain"] = plain_inserts(world, effort.backlog[1])
    report.add_ratio("drain", alone, "plain")
    for run, base in zip(several, alone, strict=True):
        run["alone"] = base["value"]
    report.add_ratio("scaleOut", several, "alone", ":consumers")
    return alone


def two_apis(world, report, effort, api, sale):
    """Orders accepted by two instances, against one."""
    second = world.start("seckill-api")
    second.wait_for(f"/v1/sales/{sale}")
    runs = []
    for _ in range(ROUNDS):
        one = per_second(world.load(api.url, sale, 256, seconds=effort.seconds), "accepted")
        both = per_second(world.load(f"{api.url},{second.url}", sale, 256, seconds=effort.seconds), "accepted")
        runs.append({"one": one, "value": both})
    report.add_ratio("scaleOut", runs, "one", ":apis")
    world.stop(second)


def growth(world, report, effort, api):
    """The accepted rate where a sale holds many orders already, and with many sales at once."""
    (consumer,) = world.consumers()
    ((few,), _), ((many,), seconds) = world.sales(1, 1_000), world.sales(1, effort.held)
    say(f"a sale of {effort.held} orders was loaded in {seconds:.1f} s")
    names, _ = world.sales(effort.sales)
    world.stop(consumer)
    held, spread = [], []
    for _ in range(ROUNDS):
        base, full = (per_second(world.load(api.url, sale, 256, seconds=effort.seconds), "accepted") for sale in (few, many))
        held.append({"base": base, "value": full, "held": effort.held})
        also = ["--also-in", ",".join(names[1:])]
        wide = per_second(world.load(api.url, names[0], 256, *also, seconds=effort.seconds, counted=False), "accepted")
        spread.append({"base": base, "value": wide, "sales": effort.sales})
    report.add_ratio("growth", held, "base", ":held")
    report.add_ratio("growth", spread, "base", ":sales")
    return many


def memory(world, report, api):
    """What the processes had in memory at most: the API until now, the consumer while it writes what is left."""
    sold = sum(world.accepted.values())
    (consumer,) = world.consumers()
    for sale in world.accepted:
        written(world, [consumer], sale)
    most_resident(report, {"api": api, "consumer": consumer}, sold)
    world.stop(consumer)


def most_resident(report, processes, sold, suffix=""):
    """Adds the figure `memory`: the most that any of `processes` had, once so many orders were sold."""
    mb = {name: peak_mb(process) for name, process in processes.items()}
    worst = max(mb.values())
    report.add("memory", worst, "MB", None, worst, [{**mb, "orders": sold}], suffix)


def peak_mb(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def promises(world, report, api):
    """A sale of which every answer is kept, and all that is promised is checked on it."""
    (consumer,) = world.consumers()
    sale, history = world.sale(stock=20_000), OUT / "history.jsonl"
    api.wait_for(f"/v1/sales/{sale}")
    world.load(api.url, sale, 256, "--buyers", 40_000, "--replay-every", 20, "--history", history)
    command = [BIN / "seckill-bench", "--json", "promises", "--history", history, "--sale", sale]
    done = subprocess.run(command, env=world.environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"bench: the promises could not be checked: {done.stderr}")
    for found in json.loads(done.stdout)["promises"]:
        report.check(found["promise"], f"{found['what']} ({found['name']})", found["ok"], f"found {found['found']}")
    history.unlink()
    whatever_was_sold(world, report, consumer)


def whatever_was_sold(world, report, consumer):
    """What was answered `accepted` of every sale is in MySQL, and ledger and store add up."""
    for sale in world.accepted:
        written(world, [consumer], sale)
    counts = world.admin("reconcile")["sales"]
    drift = {count["sale"]: count["drift"] for count in counts if count["drift"] != 0}
    total = sum(count["sold"] for count in counts)
    report.check("P1, P4", f"ledger and store add up in {len(counts)} sales, {total} orders", not drift, str(drift or ""))
    lost = {c["sale"]: c["sold"] for c in counts if c["sold"] < world.accepted.get(c["sale"], 0)}
    report.check("P2", "orders answered accepted are in MySQL, in every sale that was measured", not lost, str(lost or ""))
    rejected = int(world.sql("SELECT COUNT(*) FROM orders WHERE status = 'rejected'"))
    report.check("P1", "orders that the stock guard had to reject", rejected == 0, str(rejected))


def winner(history):
    """The order of the only buyer who was accepted, and when it was answered (ms since the epoch)."""
    with open(history) as lines:
        for line in lines:
            if '"accepted"' in line:
                attempt = json.loads(line)
                at = attempt["atMs"] + (attempt["endUs"] - attempt["startUs"]) / 1000
                return attempt["outcome"]["answered"]["order"]["id"], at
    raise SystemExit("bench: nobody was sold the unit that came back")
