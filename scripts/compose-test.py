"""What scripts/compose-test does with docker-compose.yaml, once there are networks: runs it, and uses it.

The file is followed as it stands: commands, settings, health checks with their intervals and retries, conditions of
depends_on, volumes, read-only roots, capabilities, grace periods, limits of memory. Added is only what an image has in
it, by hand below, for the program that this machine has in its place."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dnslib import A, QTYPE, RCODE, RR
from dnslib.server import BaseResolver, DNSLogger, DNSServer

# Programs that no registry of packages carries: their images alone have them.
NOT_HERE = {"kafka-ui", "grafana", "jaeger"}
PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin"
BUYERS, UNITS, RATE = 3000, 2000, 400
SALE = "compose"


def say(text):
    print(text, flush=True)


def fail(text):
    sys.exit(f"FAULT  {text}")


def seconds(duration, default):
    """Of a duration as Compose writes it: 1m30s."""
    if not duration:
        return default
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", duration))


def found(program):
    return os.path.realpath(shutil.which(program) or fail(f"there is no {program} here"))


# --- images --------------------------------------------------------------------------------------


@dataclass
class Image:
    """What an image adds to the file: its user, its files (as arguments of bwrap), a command and settings."""

    user: int
    files: list
    command: list
    environment: dict = field(default_factory=dict)
    # Files of the file's volumes in whose place another one is put, by where they are to be.
    instead: dict = field(default_factory=dict)
    folder: str = "/"


def binds(paths):
    return [part for source, target in paths.items() for part in ("--ro-bind", str(source), target)]


# A Debian with the small programs that Alpine's images have from BusyBox (and its nc -z, which Debian's BusyBox has not).
def debian(**programs):
    there = {found("busybox"): "/usr/local/bin/wget", found("nc.openbsd"): "/usr/local/bin/nc"}
    there |= {found(program): f"/usr/local/bin/{name}" for name, program in programs.items()}
    linked = [part for name in ("bin", "sbin", "lib", "lib64") for part in ("--symlink", f"usr/{name}", f"/{name}")]
    configured = [Path("/etc") / name for name in ("alternatives", "ld.so.cache", "nsswitch.conf", "passwd", "group")]
    configured += Path("/etc").glob("java-*")
    kept = {path: str(path) for path in configured if path.exists()}
    return ["--ro-bind", "/usr", "/usr", "--tmpfs", "/usr/local", *linked, *binds(kept), *binds(there)]


def libraries(program):
    """Those that a program is linked with: where they are. One that needs none makes ldd fail."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [path for path in re.findall(r"(/\S+) \(0x", said)]


# What distroless/cc-debian12 has; without it our binaries would not start in their image.
DISTROLESS = re.compile(r"(ld-linux\S*|lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\+\+|ssl|crypto))\.so\S*")


def seckill(arguments, _service):
    binaries = [Path(arguments.bin) / name for name in ("seckill-api", "order-consumer", "stock-admin", "seckill-bench")]
    needed = {library for binary in binaries for library in libraries(binary)}
    strange = [library for library in needed if not DISTROLESS.fullmatch(Path(library).name)]
    if strange:
        fail(f"the image has not what our binaries are linked with: {' '.join(strange)}")
    probe = found("busybox")
    there = {library: library for library in needed | set(libraries(probe))}
    there |= {binary: f"/usr/local/bin/{binary.name}" for binary in binaries} | {probe: "/usr/local/bin/wget"}
    return Image(65532, binds(there), [])


def redis(_arguments, _service):
    # One program by two names: what redis-tools calls redis-check-rdb is the server.
    server = "redis-server" if shutil.which("redis-server") else "redis-check-rdb"
    files = debian(**{"redis-server": server, "redis-cli": "redis-cli"})
    # The image's server is built to be reached from other containers.
    return Image(999, files, ["sh", "-c", 'exec "$@" --protected-mode no', "-"], folder="/data")


def kafka(arguments, service):
    """KAFKA_LOG_DIRS is log.dirs, and so on: as the image's start script has it."""
    settings = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in service["environment"].items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    properties = Path(arguments.run) / "kafka.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    log = Path(__file__).parent.resolve() / "kafka/log4j2.xml"
    files = debian() + binds(
        {properties: "/opt/kafka/server.properties", log: "/opt/kafka/log4j2.xml", arguments.kafka: "/opt/kafka/libs"}
    )
    java = os.path.realpath(shutil.which("java", path=f"{os.environ.get('JAVA_HOME', '')}/bin:{os.environ['PATH']}"))
    if not java.startswith("/usr/"):
        home = Path(java).parent.parent
        files += binds({home: str(home)})
    start = f"""
        {java} -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted \
            -t "$CLUSTER_ID" -c /opt/kafka/server.properties &&
        exec {java} $KAFKA_HEAP_OPTS -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
            -Dlog4j2.configurationFile=/opt/kafka/log4j2.xml -cp '/opt/kafka/libs/*' kafka.Kafka /opt/kafka/server.properties"""
    return Image(1000, files, ["sh", "-c", start, "-"])


def mysql(_arguments, service):
    """MariaDB in MySQL's place: one setting goes by another name."""
    service["command"] = [
        part.replace("--innodb-redo-log-capacity", "--innodb-log-file-size") for part in service["command"]
    ]
    start = """
        mariadb-install-db --no-defaults --datadir=/var/lib/mysql --skip-test-db --cross-bootstrap \
            --auth-root-authentication-method=normal >/dev/null &&
        exec mariadbd --no-defaults --datadir=/var/lib/mysql --socket=/var/lib/mysql/mysql.sock --skip-name-resolve \
            --init-file=/docker-entrypoint-initdb.d/seckill.sql "$@" """
    return Image(999, debian(), ["sh", "-c", start, "-"])


def nginx(arguments, _service):
    """Debian's nginx knows no `resolve`, and asks for the addresses of the APIs once, when it starts."""
    written = Path(arguments.run) / "nginx.conf"
    written.write_text(Path("deploy/nginx/nginx.conf").read_text().replace(" resolve ", " "))
    command = ["nginx", "-e", "/dev/stderr", "-g", "daemon off;"]
    return Image(101, debian(nginx="nginx"), command, instead={"/etc/nginx/nginx.conf": written})


def prometheus(_arguments, _service):
    return Image(65534, debian(prometheus="prometheus"), ["prometheus"])


IMAGES = {"api": seckill, "consumer": seckill, "migrate": seckill, "topics": seckill} | {
    image.__name__: image for image in (redis, kafka, mysql, nginx, prometheus)
}


# --- containers ----------------------------------------------------------------------------------


class Container:
    """A process in a network, a file system and a process space of its own, without rights beyond them."""

    def __init__(self, name, service, image, arguments, command=None):
        self.name, self.service, self.network = name, service, f"{arguments.networks}{name}"
        self.environment = {"PATH": PATH} | {
            key: str(value) for key, value in service.get("environment", {}).items() if value is not None
        }
        self.command = image.command + (command or service.get("command") or [])
        self.log = Path(arguments.run) / f"{name}.log"
        self.root = ["--unshare-user", "--uid", str(image.user), "--gid", str(image.user), "--unshare-pid", "--as-pid-1"]
        self.root += ["--unshare-ipc", "--unshare-uts", "--hostname", name, "--die-with-parent", "--cap-drop", "ALL"]
        self.root += [*image.files, "--proc", "/proc", "--dev", "/dev", *self.volumes(arguments, image)]
        self.root += binds({Path(arguments.run) / "resolv.conf": "/etc/resolv.conf"})
        for target in service.get("tmpfs", []):
            self.root += ["--tmpfs", target]
        if service.get("read_only"):
            self.root += ["--remount-ro", "/"]
        elif "/tmp" not in self.root:
            self.root += ["--tmpfs", "/tmp"]
        self.root += ["--chdir", image.folder]

    def volumes(self, arguments, image):
        for volume in self.service.get("volumes") or []:
            if volume["type"] == "volume":
                source = Path(arguments.run) / "volumes" / volume["source"]
                source.mkdir(parents=True, exist_ok=True)
            else:
                source = image.instead.get(volume["target"], volume["source"])
            yield from ("--ro-bind" if volume.get("read_only") else "--bind", str(source), volume["target"])

    def start(self):
        read, write = os.pipe()
        with self.log.open("ab") as log, os.fdopen(read) as information:
            self.process = subprocess.Popen(
                [found("nsenter"), f"--net={self.network}", found("bwrap"), "--info-fd", str(write)]
                + [*self.root, "--", *self.command],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write],
            )
            os.close(write)
            said = information.read()
        self.pid = json.loads(said)["child-pid"] if said else fail(f"{self.name} cannot be started; see {self.log}")
        return self

    def inside(self, command, timeout):
        """Runs a command in it, as `docker exec` does: is it content?"""
        entered = [found("nsenter"), "--target", str(self.pid), "--user", "--mount", "--pid", "--net", "--ipc"]
        try:
            return subprocess.run(
                [*entered, "--preserve-credentials", "--", *command],
                env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return None

    def runs(self):
        return self.process.poll() is None

    def is_healthy(self, check):
        kind, *command = check["test"]
        if kind == "CMD-SHELL":
            command = ["sh", "-c", *command]
        result = self.inside(command, seconds(check.get("timeout"), 30))
        return result is not None and result.returncode == 0

    def wait_until_healthy(self):
        """As Docker does: asks every interval, until so many in a row have failed."""
        check, begun = self.service["healthcheck"], time.monotonic()
        grace, failed = seconds(check.get("start_period"), 0), 0
        while True:
            time.sleep(seconds(check.get("interval"), 30))
            if not self.runs():
                fail(f"{self.name} has ended with {self.process.returncode}; see {self.log}")
            if self.is_healthy(check):
                return say(f"ok     {self.name}: healthy after {time.monotonic() - begun:.0f} s")
            if time.monotonic() - begun > grace:
                failed += 1
            if failed == check.get("retries", 3):
                fail(f"{self.name} is unhealthy: {check['test']} failed {failed} times; see {self.log}")

    def wait_until_done(self, timeout):
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        if self.process.returncode != 0:
            fail(f"{self.name} has ended with {self.process.returncode}, not 0 in {timeout} s; see {self.log}")

    def stop(self):
        """SIGTERM, and no longer than the grace period."""
        begun, grace = time.monotonic(), seconds(self.service.get("stop_grace_period"), 10)
        os.kill(self.pid, signal.SIGTERM)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            fail(f"{self.name} does not end within its {grace:.0f} s of grace; see {self.log}")
        # 143: a Java that was asked to end.
        if self.process.returncode not in (0, 143):
            fail(f"{self.name} has ended with {self.process.returncode} when it was asked to; see {self.log}")
        return time.monotonic() - begun

    def kill(self):
        # Of one that has ended, the number may be somebody else's by now.
        if self.runs():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.process.wait()

    def most_memory(self):
        """The most that its processes have held, in bytes; pages that two of them share count twice."""
        space, held = os.readlink(f"/proc/{self.pid}/ns/pid"), 0
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(process / "ns/pid") == space:
                    held += int(re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())[1]) * 1024
        return held

    def check_memory(self):
        limit = int(self.service["deploy"]["resources"]["limits"]["memory"])
        held = self.most_memory()
        if held > limit:
            fail(f"{self.name} held {held >> 20} MB, and is allowed {limit >> 20}")
        return f"{self.name} {held >> 20} of {limit >> 20}"


# --- names ---------------------------------------------------------------------------------------


def replicas(name, service):
    """The containers of a service."""
    count = service.get("deploy", {}).get("replicas") or 1
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


def services_of(model):
    return {name: service for name, service in model["services"].items() if name not in NOT_HERE}


def hosts(model):
    """Everybody who needs an address, and the last part of it. `outside` is who looks at them, `buyers` who buys."""
    names = [container for name, service in services_of(model).items() for container in replicas(name, service)]
    return {name: 11 + number for number, name in enumerate(["outside", "buyers", *names])}


class Names(BaseResolver):
    """Tells the addresses of those containers of a service that run, as Docker's name server does."""

    def __init__(self, net, addresses, running):
        self.net, self.addresses, self.running = net, addresses, running

    def resolve(self, request, _handler):
        reply, asked = request.reply(), str(request.q.qname).rstrip(".")
        there = [container.name for container in self.running.get(asked, []) if container.runs()]
        if not there:
            reply.header.rcode = RCODE.NXDOMAIN
        elif request.q.qtype == QTYPE.A:
            for name in there:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(f"{self.net}.{self.addresses[name]}"), ttl=1))
        return reply


# --- all of it -----------------------------------------------------------------------------------


class Composed:
    def __init__(self, model, arguments):
        self.services, self.arguments = services_of(model), arguments
        # By service; a key as soon as it was started.
        self.running = {}

    def container(self, name, service_name, command=None):
        service = self.services[service_name]
        return Container(name, service, IMAGES[service_name](self.arguments, service), self.arguments, command)

    def up(self, name):
        if name in self.running:
            return
        conditions = {other: how["condition"] for other, how in (self.services[name].get("depends_on") or {}).items()}
        for other in conditions:
            self.up(other)
        for other, condition in conditions.items():
            if condition == "service_completed_successfully":
                self.running[other][0].wait_until_done(30)
        self.running[name] = []
        for container in replicas(name, self.services[name]):
            self.running[name].append(self.container(container, name).start())
        if "healthcheck" in self.services[name]:
            for container in self.running[name]:
                container.wait_until_healthy()

    def long_running(self):
        return [container for name, those in self.running.items() if name not in ("migrate", "topics") for container in those]

    def admin(self, *command):
        self.container("buyers", "migrate", ["stock-admin", *command]).start().wait_until_done(30)

    def sell_while_an_api_is_stopped(self):
        self.admin("sale", "create", SALE, "--stock", str(UNITS))
        # Every API loads what is on sale once a second.
        time.sleep(2)
        order = ["seckill-bench", "demo", "--url", "http://nginx:8080", "--sale", SALE, "--buyers", str(BUYERS)]
        order += ["--rate", str(RATE), "--connections", "64", "--history", "/dev/shm/history.jsonl"]
        buyers = self.container("buyers", "migrate", order).start()
        time.sleep(BUYERS / RATE / 3)
        api = self.running["api"][0]
        took = api.stop()
        api.start().wait_until_healthy()
        buyers.wait_until_done(120)
        say(f"ok     {BUYERS} buyers through nginx, {api.name} stopped meanwhile ({took:.1f} s): every promise holds")

    def ask_prometheus(self, path):
        there = self.running["prometheus"][0]
        result = there.inside(["wget", "-q", "-O", "-", f"http://127.0.0.1:9090/api/v1/{path}"], 10)
        if result is None or result.returncode != 0:
            fail(f"Prometheus does not answer {path}")
        return json.loads(result.stdout)["data"]

    def prometheus_sees_all(self):
        expected = sorted(c.name for name in ("api", "consumer") for c in self.running[name])
        for _ in range(30):
            up = {sample["metric"]["instance"] for sample in self.ask_prometheus("query?query=up==1")["result"]}
            if len(up) == len(expected):
                break
            time.sleep(1)
        else:
            fail(f"Prometheus sees {sorted(up)}, and should see {' '.join(expected)}")
        rules = [rule for group in self.ask_prometheus("rules")["groups"] for rule in group["rules"]]
        if not rules:
            fail("Prometheus has read no alert rules")
        say(f"ok     Prometheus sees {' '.join(expected)}, by their names, and has {len(rules)} rules")

    def down(self):
        say("ok     memory in MB: " + ", ".join(container.check_memory() for container in self.long_running()))
        slowest = max((container.stop(), container.name) for container in reversed(self.long_running()))
        say(f"ok     all end when they are asked to, the slowest {slowest[1]}, in {slowest[0]:.1f} s")

    def kill(self):
        for container in self.long_running():
            container.kill()


def run(model, arguments):
    addresses = hosts(model)
    outside = f"{arguments.net}.{addresses['outside']}"
    (Path(arguments.run) / "resolv.conf").write_text(f"nameserver {outside}\n")
    composed = Composed(model, arguments)
    names = Names(arguments.net, addresses, composed.running)
    DNSServer(names, address=outside, logger=DNSLogger("error")).start_thread()
    try:
        for name in composed.services:
            composed.up(name)
        composed.sell_while_an_api_is_stopped()
        composed.prometheus_sees_all()
        composed.down()
    finally:
        composed.kill()
    say(f"not here: {', '.join(sorted(NOT_HERE))}, which only their images have")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["hosts", "run"])
    for name in ("model", "run", "bin", "kafka", "networks", "net"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args()
    model = json.loads(Path(arguments.model).read_text())
    if arguments.what == "hosts":
        for name, number in hosts(model).items():
            print(name, number)
    else:
        run(model, arguments)


if __name__ == "__main__":
    main()
