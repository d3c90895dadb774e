"""Checks that what deploy/ names is there, in the code and in the documents. Prints a line for each that is not."""

import json
import pathlib
import re
import sys
import tomllib

import yaml

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/seckill"
CODE = [path.read_text() for path in (ROOT / "crates").glob("*/src/**/*.rs")]
# Variables that are read by what Compose runs beside us, or for the ports of this machine.
NOT_OURS = re.compile(r"^(SECKILL_[A-Z_]+_PORT|GRAFANA_PASSWORD)$")


def found(pattern):
    return {name for text in CODE for name in re.findall(pattern, text)}


def metrics(text):
    """The metrics that a text names, without the endings that Prometheus gives to parts of a histogram."""
    names = set(re.findall(r"\bseckill_[a-z0-9_]+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def known_metrics():
    for kind, names in (("dashboard", metrics_of_dashboard()), ("alert rules", metrics(alerts_text()))):
        unknown = names - found(r'(?:counter|gauge|histogram)!\(\s*"(seckill_[a-z0-9_]+)"')
        yield from (f"{kind}: no code measures {name}" for name in sorted(unknown))


def described_metrics():
    """The metrics of docs/metrics.md, which a test holds to the code: each with its labels."""
    page = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(seckill_\w+)(?:\{(\S+)\})?` \|", page, re.M)
    return {name: set(filter(None, labels.split(","))) for name, labels in rows}


def metrics_and_their_labels():
    """Nothing asks for a label that a metric does not have, and the dashboard shows every metric."""
    described = described_metrics()
    for place, text in (("dashboard", "\n".join(expressions())), ("alert rules", alerts_text())):
        for name, selectors in re.findall(r"\b(seckill_[a-z0-9_]+)\{([^}\"]*(?:\"[^\"]*\"[^}\"]*)*)\}", text):
            asked = set(re.findall(r'(\w+)\s*[=!]~?"', selectors))
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            for label in sorted(asked - described.get(base, set()) - {"instance", "job", "le"}):
                yield f"{place}: {base} has no label {label}"
    for name in sorted(described.keys() - metrics_of_dashboard()):
        yield f"dashboard: shows {name} nowhere"


def alerts_text():
    return (CHART / "files/alerts.yaml").read_text()


def expressions():
    """Every expression of the dashboard."""
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def metrics_of_dashboard():
    return metrics("\n".join(expressions()))


def documented_alerts():
    runbook = (ROOT / "docs/runbook.md").read_text()
    sections = set(re.findall(r"^### (Seckill\w+)$", runbook, re.M))
    tests = (ROOT / "deploy/prometheus/alerts_test.yaml").read_text()
    names = set()
    for group in yaml.safe_load(alerts_text())["groups"]:
        for rule in group["rules"]:
            name = rule["alert"]
            names.add(name)
            if not rule["annotations"]["runbook_url"].endswith(f"docs/runbook.md#{name.lower()}"):
                yield f"alert {name}: its runbook_url leads elsewhere"
            if not re.search(rf'alertname="{name}"|alertname: {name}\n(?!      - eval)', tests):
                yield f"alert {name}: no unit test expects it to fire"
    yield from (f"alert {name}: has no section in docs/runbook.md" for name in sorted(names - sections))
    yield from (f"docs/runbook.md: there is no alert {name}" for name in sorted(sections - names))


def known_variables(rendered):
    ours = found(r'env = "([A-Z_]+)"')
    used = set()
    for path in rendered:
        for manifest in yaml.safe_load_all(pathlib.Path(path).read_text()):
            used |= set(re.findall(r"'name': '((?:SECKILL|DATABASE|REDIS|KAFKA|RUST|OTEL)_[A-Z_]+)'", str(manifest)))
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    for service in ("migrate", "topics", "api", "consumer"):
        used |= set(compose["services"][service]["environment"])
    unknown = (name for name in sorted(used - ours) if not NOT_OURS.match(name))
    yield from (f"no binary reads the variable {name}" for name in unknown)


def compose_habits():
    """What docker-compose.yaml promises of itself."""
    for name, service in yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"].items():
        where = f"docker-compose.yaml: {name}"
        if not re.search(r":[^/]*\d+\.\d+|:local$", service["image"]):
            yield f"{where}: the image's version is not pinned"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{where}: port {port} is open to others than this machine"
        if "memory" not in service.get("deploy", {}).get("resources", {}).get("limits", {}):
            yield f"{where}: has no memory limit"
        if "healthcheck" not in service and service.get("restart") == "unless-stopped" and "profiles" not in service:
            yield f"{where}: has no health check"


def versions():
    """What must be raised together."""
    ours = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    if chart["appVersion"] != ours:
        yield f"Chart.yaml: appVersion is {chart['appVersion']}, the workspace's version {ours}"
    channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    for line in (f"FROM rust:{channel}-bookworm AS chef", f"ENV RUSTUP_TOOLCHAIN={channel}"):
        if line not in dockerfile:
            yield f"deploy/Dockerfile: not the version of rust-toolchain.toml; expected: {line}"


def main(rules, *rendered):
    # The dashboard's expressions as rules, for promtool to read. Grafana's variables become what they stand for.
    plain = [it.replace("$__rate_interval", "1m").replace("$sale", ".*") for it in expressions()]
    records = [{"record": f"dashboard:{number}", "expr": it} for number, it in enumerate(plain)]
    pathlib.Path(rules).write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    checks = (known_metrics(), metrics_and_their_labels(), documented_alerts(), known_variables(rendered), compose_habits(), versions())
    faults = [fault for check in checks for fault in check]
    print("\n".join(faults))
    return not faults


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
