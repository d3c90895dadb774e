"""What is measured: our processes, on a database, a Redis database and topics of their own.

Nothing of an earlier run is in the way of a new one, and at the end all of it is taken away again (the topics
stay in Kafka, empty of meaning: `scripts/services wipe kafka` frees their space).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

BIN = Path("target/release")
OUT = Path("target/bench")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
# Units of a sale that shall never be sold out.
PLENTY = 500_000_000
# Of Redis' sixteen databases, the one that is the benchmark's.
REDIS_DATABASE = 14

# Orders as the consumer writes them, without a Kafka to read them from: for sales that hold many already.
DIGITS = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"
ORDERS_BY_HAND = (
    """
INSERT INTO orders (id,sale_id,user,goods,quantity,openid,remain_count,status,created_date,update_date,written_at)
SELECT UNHEX(h), '{sale}', CONCAT('buyer-by-hand-', n), 'flash', 1,
    CONCAT(LOWER(CONCAT_WS('-', LEFT(h, 8), MID(h, 9, 4), MID(h, 13, 4), MID(h, 17, 4), RIGHT(h, 12))), '-1767225600000'),
    1000000 - n, 'confirmed', '2026-01-01', '2026-01-01', '2026-01-01'
FROM (SELECT n, CONCAT(LEFT(m, 12), '8', MID(m, 14, 3), 'a', MID(m, 18)) h FROM (SELECT n, MD5(CONCAT('{sale}', n)) m FROM
    (SELECT a.d + 10*b.d + 100*c.d + 1000*e.d + 10000*f.d + 100000*g.d n
     FROM """
    + ", ".join(f"{DIGITS} {name}" for name in "abcefg")
    + """) numbers WHERE n < {orders}) hashed) ids"""
)


def say(text):
    print(f"bench: {text}", flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_seconds(pid):
    # The command's name may hold spaces: what counts comes behind its bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


class Process:
    """One of our binaries, on a port of its own."""

    def __init__(self, world, name, *arguments):
        self.name, self.port = name, free_port()
        environment = {**world.environment, "SECKILL_LISTEN": f"127.0.0.1:{self.port}"}
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
            time.sleep(0.02)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def metric(self, name, labels=""):
        """The sum of a counter over all its series whose labels contain `labels`."""
        metrics = urllib.request.urlopen(self.url + "/metrics", timeout=5).read().decode()
        lines = (line for line in metrics.splitlines() if line.startswith(name) and labels in line)
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=35)


class World:
    """The services, prepared for one run, and what runs on them."""

    def __init__(self, partitions=12):
        number = time.time_ns() // 1_000_000
        database, redis = (urllib.parse.urlsplit(os.environ[name]) for name in ("DATABASE_URL", "REDIS_URL"))
        self.database, self.redis = database._replace(path="/seckill_bench"), redis
        self.partitions = partitions
        self.environment = {
            **os.environ,
            "DATABASE_URL": self.database.geturl(),
            "REDIS_URL": redis._replace(path=f"/{REDIS_DATABASE}").geturl(),
            "SECKILL_ORDERS_TOPIC": f"bench.orders.{number}",
            "SECKILL_DEAD_LETTER_TOPIC": f"bench.dead.{number}",
            "SECKILL_CONSUMER_GROUP": f"bench.{number}",
            "SECKILL_ORDERS_PARTITIONS": str(partitions),
            "SECKILL_PROFILE": "prod",
            "SECKILL_ORDER_ID_SECRET": "of the benchmark",
        }
        self.running = []
        # What was answered `accepted`, by sale: all of it must be in MySQL at the end.
        self.accepted = {}

    def __enter__(self):
        self.clear()
        self.sql("CREATE DATABASE seckill_bench CHARACTER SET utf8mb4", database="")
        self.admin("migrate")
        self.admin("topics", "create")
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.stop()
        self.clear()

    def clear(self):
        self.sql("DROP DATABASE IF EXISTS seckill_bench", database="")
        self.ask_redis("FLUSHDB")

    def start(self, name, *arguments):
        self.running.append(process := Process(self, name, *arguments))
        return process

    def stop(self, process):
        process.stop()
        self.running.remove(process)

    def consumers(self, count=1):
        """Consumers that are up; the first partitions may still be on their way to them."""
        started = [self.start("order-consumer") for _ in range(count)]
        for consumer in started:
            consumer.wait_for("/livez")
        return started

    def admin(self, *arguments):
        done = subprocess.run(
            [BIN / "stock-admin", "--json", *arguments], env=self.environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"bench: stock-admin {' '.join(arguments)}: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)

    def client(self, database):
        at = self.database
        name = [at.path[1:]] if database is None else [database] if database else []
        return [
            "mariadb", "--no-defaults", "--protocol=tcp", f"-h{at.hostname}", f"-P{at.port or 3306}", f"-u{at.username}", *name
        ]  # fmt: skip

    def sql(self, text, database=None):
        """Runs statements by the client; what they print, without headers."""
        environment = {**os.environ, "MYSQL_PWD": self.database.password or ""}
        command = [*self.client(database), "--batch", "--skip-column-names"]
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"bench: mariadb: {done.stderr}")
        return done.stdout

    def sql_file(self, file):
        environment = {**os.environ, "MYSQL_PWD": self.database.password or ""}
        subprocess.run(self.client(None), stdin=open(file), env=environment, check=True)

    def ask_redis(self, *words):
        """One command on the benchmark's database; its reply, as Redis writes it."""
        at = self.redis
        commands = [["AUTH", *filter(None, (at.username, at.password))]] if at.password else []
        commands += [["SELECT", str(REDIS_DATABASE)], list(words)]
        with socket.create_connection((at.hostname, at.port or 6379), timeout=60) as line, line.makefile("rb") as reply:
            for command in commands:
                text = f"*{len(command)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
                line.sendall(text.encode())
                answer = reply.readline().decode().rstrip()
                if answer.startswith("-"):
                    raise SystemExit(f"bench: Redis: {answer}")
                if answer.startswith("$"):
                    answer = reply.read(int(answer[1:]) + 2).decode()
        return answer

    def redis_mb(self):
        lines = self.ask_redis("INFO", "memory").splitlines()
        return next(int(line.split(":")[1]) for line in lines if line.startswith("used_memory:")) / 1e6

    def sale(self, stock=PLENTY):
        """A new sale. A consumer must run to load it into the ledger."""
        name = f"bench-{time.time_ns()}"
        self.admin("sale", "create", name, "--stock", str(stock), "--title", "Benchmark")
        self.accepted[name] = 0
        return name

    def sales(self, count, sold=0):
        """New sales that are made by hand, each with so many orders already, and loaded. Seconds that the load took."""
        names = [f"bench-{time.time_ns()}-{number}" for number in range(count)]
        rows = ",".join(f"('{name}','Benchmark',{PLENTY},NOW(3),NOW(3))" for name in names)
        statements = ["START TRANSACTION", f"INSERT INTO sales (id,title,stock,created_date,update_date) VALUES {rows}"]
        if sold:
            statements += [ORDERS_BY_HAND.format(sale=name, orders=sold) for name in names]
            statements += [f"UPDATE sales SET sold = {sold} WHERE id = '{name}'" for name in names]
        self.sql(";".join([*statements, "COMMIT"]))
        began = time.monotonic()
        self.accepted.update(dict.fromkeys(names, sold))
        while any(self.ask_redis("HEXISTS", f"seckill:{{{name}}}:sale", "fence") != ":1" for name in names):
            if time.monotonic() - began > 300:
                raise SystemExit("bench: the keeper does not load the sales; see target/bench/order-consumer.log")
            time.sleep(0.02)
        return names, time.monotonic() - began

    def load(self, url, sale, connections, *more, seconds=None, counted=True):
        """One run of the load generator: what it printed."""
        command = [BIN / "seckill-bench", "load", "--json", "--url", url, "--sale", sale]
        command += ["--connections", str(connections), *map(str, more)]
        if seconds is not None:
            command += ["--duration", str(seconds)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"bench: {' '.join(map(str, command))}: {done.stderr}")
        run = json.loads(done.stdout)
        if counted and sale in self.accepted:
            self.accepted[sale] += sum(outcome(run, kind)["count"] for kind in ("accepted",))
        return run

    def post(self, url, body=b""):
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
        return json.loads(urllib.request.urlopen(request, timeout=10).read())

    def order(self, api, sale, user):
        """The id of a new order."""
        body = json.dumps({"user": user, "goods": "flash"}).encode()
        return self.post(f"{api.url}/v1/sales/{sale}/orders", body)["id"]

    def cancel(self, api, sale, order):
        self.post(f"{api.url}/v1/sales/{sale}/orders/{order}/cancel")

    def moment(self, order, column):
        """When that happened to an order, once MySQL has it (ms since the epoch)."""
        ends = time.monotonic() + 10
        epoch = f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column}) / 1000"
        while time.monotonic() < ends:
            found = self.sql(f"SELECT {epoch} FROM orders WHERE id = x'{order.replace('-', '')}' AND {column} IS NOT NULL")
            if found:
                return float(found)
            time.sleep(0.02)
        raise SystemExit(f"bench: MySQL has no {column} of order {order}")


def outcome(run, name):
    """What the generator says of the answers called `name`."""
    nothing = {"perSecond": 0, "count": 0, "p50Ms": 0, "p99Ms": 0, "p999Ms": 0, "maxMs": 0, "timeline": [], "histogram": []}
    return next((found for found in run["outcomes"] if found["outcome"] == name), nothing)


class Watch:
    """Looks at the CPU time and the memory of processes, four times a second, while its block runs."""

    EVERY = 0.25

    def __init__(self, pids):
        self.pids, self.samples, self.peak_mb = pids, [], dict.fromkeys(pids, 0.0)
        self.ended = threading.Event()

    def __enter__(self):
        self.before, self.began = self.look(), time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def look(self):
        found = {}
        for name, pid in self.pids.items():
            with contextlib.suppress(OSError):
                found[name] = cpu_seconds(pid)
                self.peak_mb[name] = max(self.peak_mb[name], resident_mb(pid))
        return found

    def run(self):
        last, then = self.before, self.began
        while not self.ended.wait(self.EVERY):
            look, now = self.look(), time.monotonic()
            self.samples.append((now - self.began, {p: (look[p] - last.get(p, look[p])) / (now - then) for p in look}))
            last, then = look, now

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        after = self.look()
        self.cpu = {name: after[name] - self.before.get(name, 0) for name in after}


def service_pids():
    """The services that run natively: only those are processes that we can look at."""
    pairs = (entry.split("=", 1) for entry in os.environ.get("SERVICE_PIDS", "").split())
    return {name: int(pid) for name, pid in pairs if pid}
