"""`--growth`: how cost grows with the work. One curve after the other, each kept in the report."""

import shutil
import threading
import time

import speed
from world import OUT, Watch, World, outcome, say, service_pids

# Seconds of one point.
SECONDS = 4
# Seconds of the hour, and of one of its points; how many of these a sale has.
HOUR, POINT_LASTS, POINTS = 3600, 60, 5
# What the hour takes of the disk on a fast machine, where 60 GB were full in minute 54: nothing that was sold is deleted
# before its end.
HOUR_TAKES_GB = 70


def curve(report, name, title, x, y, series, rows, log_x=True):
    report.curves[name] = {"title": title, "x": x, "y": y, "series": series, "rows": rows, "logX": log_x}
    for row in rows:
        say(f"{name}: " + ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))


def accepted(world, api, sale, connections=256, *more):
    run = world.load(api.url, sale, connections, *more, seconds=SECONDS)
    return outcome(run, "accepted")


def held(world, report):
    """Accepted rate and Redis' memory, and the time to load and rebuild, with so many orders held already."""
    (consumer,), rows = world.consumers(), []
    api = world.start("seckill-api")
    ((warm,), _) = world.sales(1)
    api.wait_for(f"/v1/sales/{warm}")
    accepted(world, api, warm)
    speed.written(world, [consumer], warm)
    for orders in (1_000, 10_000, 100_000, 1_000_000):
        before = world.redis_mb()
        ((sale,), first) = world.sales(1, orders)
        megabytes = world.redis_mb() - before
        with Watch({"consumer": consumer.pid}) as watch:
            began = time.monotonic()
            world.admin("rebuild", sale, "--yes", "--within", "120")
            rebuilt = time.monotonic() - began
        api.wait_for(f"/v1/sales/{sale}")
        found = accepted(world, api, sale)
        row = {"orders": orders, "firstLoadS": first, "rebuildS": rebuilt, "redisMb": megabytes}
        row |= {"bytesAnOrder": megabytes * 1e6 / orders, "acceptedPerSecond": found["perSecond"], "p99Ms": found["p99Ms"]}
        rows.append({**row, "consumerPeakMb": watch.peak_mb["consumer"]})
        speed.written(world, [consumer], sale)
    x = "orders held"
    points = {key: [(row["orders"], row[key]) for row in rows] for key in rows[0]}
    curve(report, "held", "Accepted a second by orders held", x, "/s", {"accepted": points["acceptedPerSecond"]}, rows)
    both = {"rebuild": points["rebuildS"], "first load": points["firstLoadS"]}
    curve(report, "rebuild", "Time to load a sale", x, "seconds", both, [])
    curve(report, "redis", "Redis' memory by orders held", x, "MB", {"Redis": points["redisMb"]}, [])


def sales(world, report):
    (consumer,), rows = world.consumers(), []
    api = world.start("seckill-api")
    for count in (1, 10, 100, 1_000):
        names, seconds = world.sales(count)
        also = ["--also-in", ",".join(names[1:])] if count > 1 else []
        accepted(world, api, names[0], 64, *also)
        found = accepted(world, api, names[0], 256, *also)
        rows.append({"sales": count, "loadedS": seconds, "acceptedPerSecond": found["perSecond"], "p99Ms": found["p99Ms"]})
    series = {"accepted": [(row["sales"], row["acceptedPerSecond"]) for row in rows]}
    curve(report, "sales", "Accepted a second by sales at once", "sales", "/s", series, rows)


def connections(world, report):
    floor = world.start("seckill-bench", "floor")
    (consumer,), rows = world.consumers(), []
    api, sale = world.start("seckill-api"), world.sale()
    api.wait_for(f"/v1/sales/{sale}")
    world.stop(consumer)
    accepted(world, api, sale)
    for count in (64, 256, 1_024, 2_500, 5_000):
        with Watch({"api": api.pid}) as watch:
            found = accepted(world, api, sale, count)
        bare = accepted(world, floor, "floor", count)
        row = {"connections": count, "acceptedPerSecond": found["perSecond"], "p50Ms": found["p50Ms"], "p99Ms": found["p99Ms"]}
        rows.append({**row, "floorPerSecond": bare["perSecond"], "apiPeakMb": watch.peak_mb["api"]})
    series = {key: [(r["connections"], r[f"{key}PerSecond"]) for r in rows] for key in ("accepted", "floor")}
    curve(report, "connections", "Answers a second by connections", "connections", "/s", series, rows)
    bodies(world, report, api, sale, floor)


def bodies(world, report, api, sale, floor):
    rows = []
    for length in (0, 100, 250, 500):
        found = accepted(world, api, sale, 256, "--remark-length", length)
        bare = accepted(world, floor, "floor", 256, "--remark-length", length)
        rows.append({"remark": length, "acceptedPerSecond": found["perSecond"], "floorPerSecond": bare["perSecond"]})
    series = {key: [(r["remark"], r[f"{key}PerSecond"]) for r in rows] for key in ("accepted", "floor")}
    curve(report, "bodies", "Answers a second by the remark's length", "characters", "/s", series, rows, log_x=False)


def drains(_, report):
    """Orders a second into MySQL, by partitions and consumers: each with a world of its own."""
    rows = []
    for partitions in (1, 3, 12):
        with World(partitions) as world:
            (consumer,) = world.consumers()
            api, sale = world.start("seckill-api"), world.sale()
            api.wait_for(f"/v1/sales/{sale}")
            world.stop(consumer)
            for consumers in sorted({1, min(2, partitions), min(3, partitions)}):
                world.load(api.url, sale, 256, "--buyers", 60_000)
                started, run = speed.drained(world, sale, consumers)
                for each in started:
                    world.stop(each)
                rows.append({"partitions": partitions, "consumers": consumers, "perSecond": run["value"]})
    series = {
        f"consumers: {count}": [(r["partitions"], r["perSecond"]) for r in rows if r["consumers"] == count] for count in (1, 2, 3)
    }
    curve(report, "drains", "Orders a second into MySQL by partitions", "partitions", "/s", series, rows, log_x=False)


def storm(world, report):
    """5,000 connections ask for what is sold out; then an order is cancelled, and its unit must be sold at once."""
    floor = world.start("seckill-bench", "floor")
    (consumer,) = world.consumers()
    api, sale = world.start("seckill-api"), world.sale(stock=1)
    api.wait_for(f"/v1/sales/{sale}")
    order = world.order(api, sale, "the-first")
    world.accepted[sale] = 1
    speed.written(world, [consumer], sale)
    watched = {"api": api.pid, **service_pids()}
    runs = []
    for _ in range(3):
        bare = speed.per_second(world.load(floor.url, "floor", 5_000, seconds=SECONDS), "accepted")
        with Watch(watched) as watch:
            run = world.load(api.url, sale, 5_000, "--keyed-share", 0, seconds=SECONDS)
        found = outcome(run, "soldOut")
        cores = {process: spent / SECONDS for process, spent in watch.cpu.items()}
        row = {"floor": bare, "value": found["perSecond"], "p99Ms": found["p99Ms"], "cores": cores}
        runs.append({**row, "redisCores": cores.get("redis", 0.0)})
    report.add_ratio("soldOut", runs, "floor", "@storm")

    waits = []
    for _ in range(3):
        history = speed.OUT / "storm.jsonl"
        arguments = (api.url, sale, 5_000, "--keyed-share", 0, "--history", history)
        crowd = threading.Thread(target=world.load, args=arguments, kwargs={"seconds": 5, "counted": False})
        crowd.start()
        time.sleep(3)
        world.cancel(api, sale, order)
        returned = world.moment(order, "returned_at")
        crowd.join()
        order, answered = speed.winner(history)
        history.unlink()
        # The check counts until its buyer is told: behind the others' answers, and so later than the ledger's decision.
        sold = world.moment(order, "created_date")
        waits.append({"soldAfterMs": sold - returned, "answeredAfterMs": answered - returned})
    report.curves["storm"] = {"title": "A unit that came back in the storm", "x": "", "y": "", "series": {}, "rows": waits + runs}
    say(f"storm: a returned unit was sold after {[wait['soldAfterMs'] for wait in waits]} ms")
    say(f"storm: its buyer was told after {[wait['answeredAfterMs'] for wait in waits]} ms")
    report.check("P4", "a unit that comes back in a sold-out storm is sold within 200 ms", all(w["answeredAfterMs"] <= 200 for w in waits), str(waits))


def hour(world, report):
    """Memory and open files over an hour at full load with everything at work: one sale after the other, each written to its end."""
    free_gb = shutil.disk_usage(OUT).free / 1e9
    if free_gb < HOUR_TAKES_GB:
        say(f"hour: only {free_gb:.0f} GB of disk are free; a fast machine fills {HOUR_TAKES_GB}, and then Redis ends")
    (consumer,), rows = world.consumers(), []
    api = world.start("seckill-api")
    watched = {"api": api, "consumer": consumer}
    began = time.monotonic()
    while time.monotonic() - began < HOUR:
        sale = world.sale()
        api.wait_for(f"/v1/sales/{sale}")
        for _ in range(POINTS):
            with Watch({name: process.pid for name, process in watched.items()}) as watch:
                found = outcome(world.load(api.url, sale, 256, seconds=POINT_LASTS), "accepted")
            row = {"minutes": (time.monotonic() - began) / 60, "acceptedPerSecond": found["perSecond"], "p99Ms": found["p99Ms"]}
            row |= {f"{name}Mb": most for name, most in watch.peak_mb.items()}
            row |= {f"{name}Files": process.open_files() for name, process in watched.items()}
            rows.append({**row, "orders": sum(world.accepted.values()), "redisMb": world.redis_mb()})
            say(f"hour: minute {rows[-1]['minutes']:.0f}, {rows[-1]['apiMb']:.0f} and {rows[-1]['consumerMb']:.0f} MB")
        speed.written(world, [consumer], sale, within=900)
    series = {name: [(row["minutes"], row[f"{name}Mb"]) for row in rows] for name in watched}
    curve(report, "hour", "Memory over an hour at full load", "minutes", "MB", series, rows, log_x=False)
    speed.most_resident(report, watched, sum(world.accepted.values()), "@hour")
    speed.whatever_was_sold(world, report, consumer)


USUAL = {"held": held, "sales": sales, "connections": connections, "drains": drains, "storm": storm}
# The hour only where it is asked for.
ALL = {**USUAL, "hour": hour}
