"""Orders, and looks at their traces, at the log lines and at the metrics of the processes that scripts/observe-test runs."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid

PATIENCE = 30
TOPIC = os.environ.get("SECKILL_ORDERS_TOPIC", "seckill.orders")
# The last order before the stop.
LAST_TRACE = "1a57" * 8
checks = 0


def check(truth, what, *details):
    global checks
    checks += 1
    if not truth:
        print(f"FAULT  {what}", *details, sep="\n       ")
        sys.exit(1)


def same(found, expected, what):
    check(found == expected, what, f"expected {expected}", f"found    {found}")


def until(look, what):
    """Looks until there is something to see."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        check(time.monotonic() < deadline, f"not within {PATIENCE} s: {what}")
        time.sleep(0.1)
    return seen


# --- asking ---------------------------------------------------------------------------------------


def ask(url, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | (headers or {}))
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


class Seller:
    """One API."""

    def __init__(self, url, sale):
        self.url, self.orders = url, f"{url}/v1/sales/{sale}/orders"

    def sell(self, traceparent=None):
        """Sells a unit, and gives the order's id."""
        headers = {} if traceparent is None else {"traceparent": traceparent}
        order = json.loads(ask(self.orders, {"user": str(uuid.uuid4()), "goods": "phone"}, headers))
        same(order["status"], "accepted", "an order is accepted")
        return order["id"]

    def confirmed(self, order):
        until(lambda: json.loads(ask(f"{self.orders}/{order}"))["status"] == "confirmed", f"{order} is confirmed")


# --- looking --------------------------------------------------------------------------------------


class Seen:
    """What the receiver and the logs have."""

    def __init__(self, run):
        self.run = pathlib.Path(run)

    def spans(self):
        # The last line may be half written.
        lines = (self.run / "spans.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def of_trace(self, trace):
        return [span for span in self.spans() if span["trace"] == trace]

    def of_order(self, order):
        return [span for span in self.spans() if span["attributes"].get("seckill.order.id") == order]

    def lines(self, process, **fields):
        """The log lines of a process that say so."""
        found = []
        for line in (self.run / f"{process}.log").read_text().splitlines():
            said = json.loads(line)
            if all(said.get(name) == value for name, value in fields.items()):
                found.append(said)
        return found


def named(spans, name):
    found = [span for span in spans if span["name"] == name]
    same(len(found), 1, f"there is one span {name} among {[span['name'] for span in spans]}")
    return found[0]


def place(span):
    return {"trace": span["trace"], "span": span["span"]}


# --- traces ---------------------------------------------------------------------------------------

REQUEST = "POST /v1/sales/{sale}/orders"
WAY = {REQUEST, "EVALSHA reserve", f"send {TOPIC}", f"process {TOPIC}", "COMMIT orders"}


def whole(seen, order):
    """The trace of an order, once all of it has arrived."""

    def look():
        of_order = seen.of_order(order)
        spans = seen.of_trace(of_order[0]["trace"]) if of_order else []
        return spans if {span["name"] for span in spans} >= WAY else None

    return until(look, f"the trace of {order} has arrived")


def one_order_is_one_trace(seen, api):
    order = api.sell()
    api.confirmed(order)
    spans = whole(seen, order)
    same({span["name"] for span in spans}, WAY, "the trace is the way of the order, and nothing else")
    same(len(spans), len(WAY), "each step is there once")
    request, reserve, send, process, commit = (named(spans, name) for name in sorted(WAY, key=order_of))
    same([span["kind"] for span in (request, reserve, send, process, commit)],
         ["server", "client", "producer", "consumer", "client"], "kinds")
    same([span["service"] for span in (request, reserve, send, process, commit)],
         ["seckill-api"] * 3 + ["order-consumer"] * 2, "services")
    same(request["parent"], "", "it begins with the request")
    for child, parent in ((reserve, request), (send, request), (process, send), (commit, process)):
        same(child["parent"], parent["span"], f"{child['name']} is below {parent['name']}")
        check(child["start"] >= parent["start"] - 2_000_000, f"{child['name']} does not begin before {parent['name']}")
    for child, parent in ((reserve, request), (send, request), (commit, process)):
        # The wait for an acknowledgement ends in a callback, just before the answer goes out.
        check(child["end"] <= parent["end"] + 2_000_000, f"{child['name']} ends within {parent['name']}")
    check(reserve["end"] <= send["start"] + 2_000_000, "what is published was decided before")
    same(request["attributes"]["http.response.status_code"], 202, "the request's status")
    same(request["attributes"]["http.route"], "/v1/sales/{sale}/orders", "the request's route")
    same(request["resource"]["deployment.environment.name"], "test", "the resource has what the settings add")
    same(process["attributes"]["seckill.outcome"], "confirmed", "the outcome")
    for at in ("messaging.destination.partition.id", "messaging.kafka.offset"):
        same(send["attributes"][at], process["attributes"][at], f"{at} as published and as read")
    batch = the_batch(seen, send, process)
    own = named([span for span in seen.of_trace(batch["trace"]) if span["parent"] == batch["span"]], "COMMIT orders")
    same((own["start"], own["attributes"]["seckill.batch.orders"]),
         (commit["start"], batch["attributes"]["messaging.batch.message_count"]), "batch and order have one COMMIT")
    the_logs_carry_the_ids(seen, order, request, process)


def many_at_once_have_a_trace_each(seen, api):
    with concurrent.futures.ThreadPoolExecutor(20) as buyers:
        orders = list(buyers.map(lambda _: api.sell(), range(20)))
    traces = set()
    for order in orders:
        spans = whole(seen, order)
        same(len(spans), len(WAY), "each step is there once")
        traces.add(spans[0]["trace"])
        the_batch(seen, named(spans, f"send {TOPIC}"), named(spans, f"process {TOPIC}"))
    same(len(traces), len(orders), "as many traces as orders")


def order_of(name):
    return [REQUEST, "EVALSHA reserve", f"send {TOPIC}", f"process {TOPIC}", "COMMIT orders"].index(name)


def the_batch(seen, send, process):
    """The batch that the order was in: linked both ways."""
    same(len(process["links"]), 1, "the order is linked to its batch")
    batch = until(lambda: [span for span in seen.spans() if place(span) == process["links"][0]], "the batch has arrived")[0]
    same((batch["name"], batch["kind"], batch["parent"]), (f"receive {TOPIC}", "client", ""), "the batch")
    check(place(send) in batch["links"], "the batch is linked to the message", batch["links"])
    check(batch["trace"] != process["trace"], "the batch has a trace of its own")
    return batch


def the_logs_carry_the_ids(seen, order, request, process):
    for name, message, span in (
        ("api", "an order is answered", request),
        ("consumer", "an event is committed", process),
    ):
        lines = seen.lines(name, message=message, order=order)
        same(len(lines), 1, f"{name} logs the order once")
        ids = {"trace": lines[0]["span"]["trace_id"], "span": lines[0]["span"]["span_id"]}
        same(ids, place(span), f"the ids in the log of {name}")


def a_caller_has_its_trace_continued(seen, api):
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    order = api.sell(f"00-{trace}-{caller}-01")
    spans = whole(seen, order)
    same({span["trace"] for span in spans}, {trace}, "it goes on under the caller's id")
    same(named(spans, REQUEST)["parent"], caller, "it goes on from the caller's span")
    for malformed in ("nonsense", f"00-{trace}-{caller}", f"00-{'0' * 32}-{caller}-01"):
        other = whole(seen, api.sell(malformed))
        check(named(other, REQUEST)["parent"] == "", "a malformed header counts as none")


def a_cancellation_is_traced(seen, api):
    order = api.sell()
    api.confirmed(order)
    whole(seen, order)
    trace = "5" * 32
    ask(f"{api.orders}/{order}/cancel", {}, {"traceparent": f"00-{trace}-{'6' * 16}-01"})
    spans = until(lambda: ended(seen.of_trace(trace), f"process {TOPIC}"), "the cancellation has arrived")
    same(named(spans, f"process {TOPIC}")["attributes"]["seckill.outcome"], "cancelled", "the outcome")


def ended(spans, name):
    return spans if any(span["name"] == name for span in spans) else None


def the_relay_has_a_trace_of_its_own(seen, api, sale):
    order = api.sell()
    api.confirmed(order)
    first = whole(seen, order)[0]["trace"]
    # As if its acknowledgement had been lost, long ago.
    redis = ["redis-cli", "-u", os.environ["REDIS_URL"], "-x", "ZADD", f"seckill:{{{sale}}}:outbox", "1"]
    subprocess.run(redis, input=uuid.UUID(order).bytes, check=True, capture_output=True)
    traces = until(lambda: {span["trace"] for span in seen.of_order(order)} - {first}, "the relay's trace has arrived")
    spans = until(lambda: ended(seen.of_trace(traces.pop()), f"process {TOPIC}") if traces else None, "all of it")
    send = named(spans, f"send {TOPIC}")
    same(send["service"], "order-consumer", "the keeper sends")
    same(named(spans, f"process {TOPIC}")["attributes"]["seckill.outcome"], "duplicate", "it was there already")
    relay = until(lambda: ended(seen.of_trace(send["trace"]), "relay outbox"), "the relay's span has arrived")
    same(send["parent"], named(relay, "relay outbox")["span"], "below the relay's span")


def a_dead_letter_is_traced(seen, trace="d" * 32):
    message = ["kcat", "-P", "-b", os.environ["KAFKA_BROKERS"], "-t", TOPIC, "-k", "no order", "-H"]
    subprocess.run([*message, f"traceparent=00-{trace}-{'e' * 16}-01"], input=b"no event", check=True, capture_output=True)
    spans = until(lambda: ended(seen.of_trace(trace), f"process {TOPIC}"), "the dead letter's span has arrived")
    same(len(spans), 1, f"the store was not asked: {[span['name'] for span in spans]}")
    span = spans[0]
    same((span["parent"], span["attributes"]["seckill.outcome"]), ("e" * 16, "dead_letter"), "the span")
    check("not an order event" in span["error"], "the span says why", span)
    lines = [line for line in seen.lines("consumer", message="a message became a dead letter") if "span" in line]
    same([line["span"]["trace_id"] for line in lines], [trace], "the ids in the log")


def what_is_not_to_be_recorded_is_not(seen, api, silent):
    """`silent`: APIs that record nothing, by name."""
    asked = {}
    for name, seller in silent.items():
        asked[name] = seller.sell()
        seller.confirmed(asked[name])
    # Off is off, whoever asks; and a caller who does not record is followed.
    off, trace = silent["api-off"], "7" * 32
    asked["a caller of api-off"] = off.sell(f"00-{trace}-{'8' * 16}-01")
    asked["a caller who does not record"] = api.sell(f"00-{trace}-{'8' * 16}-00")
    api.confirmed(asked["a caller who does not record"])
    off.confirmed(asked["a caller of api-off"])
    # Spans are delivered every second, in their order: once these are there, earlier ones would be.
    whole(seen, api.sell())
    time.sleep(1.5)
    for who, order in asked.items():
        same(seen.of_order(order), [], f"spans of {who}")
    same(seen.of_trace(trace), [], "spans of the caller's trace")
    line = seen.lines("api-off", message="an order is answered", order=asked["api-off"])[0]
    check("span" not in line, "a line of what is not recorded has no ids", line)
    for path in ("/livez", "/readyz", "/metrics"):
        ask(api.url + path)
        check(not [span for span in seen.spans() if path in span["name"]], f"{path} is not recorded")


def a_receiver_that_is_away_disturbs_nobody(seen, unheard):
    for _ in range(5):
        unheard.confirmed(unheard.sell())
        time.sleep(0.5)
    said = "traces are not delivered: OTEL_EXPORTER_OTLP_ENDPOINT must take OTLP over HTTP (port 4318 of most receivers)"
    until(lambda: seen.lines("api-unheard", message=said), "it is said")
    until(lambda: counted(ask(f"{unheard.url}/metrics"), "seckill_trace_export_failures_total") > 1, "it is counted")
    same(len(seen.lines("api-unheard", message=said)), 1, "it is said once")


def counted(scrape, name):
    return float(re.search(rf"^{name} (\S+)$", scrape, re.M)[1])


# --- metrics --------------------------------------------------------------------------------------


def described():
    """name: (type, services, labels), as docs/metrics.md has them."""
    page = (pathlib.Path(__file__).parents[1] / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(seckill_\w+)(?:\{(\S+)\})?` \| (\w+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|", page, re.M)
    check(len(rows) > 20, "docs/metrics.md is read")
    return {
        name: {"type": kind, "of": of.split(", "), "labels": set(filter(None, labels.split(","))), "help": means}
        for name, labels, kind, of, means in rows
    }


def scraped(text):
    """The same of a scrape; labels as they come."""
    found = {}
    for name, kind in re.findall(r"^# TYPE (seckill_\w+) (\w+)$", text, re.M):
        part = "(?:_bucket|_sum|_count)" if kind == "histogram" else ""
        labels = set()
        for series in re.findall(rf"^{name}{part}\{{(.*)\}} \S+$", text, re.M):
            labels |= set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', series)) - {"le"}
        words = re.search(rf"^# HELP {name} (.*)$", text, re.M)
        found[name] = {"type": kind, "labels": labels, "help": words and words[1]}
    return found


def metrics_are_as_described(processes):
    expected = described()
    for process, (service, url) in processes.items():
        of_service = {name for name, metric in expected.items() if service in metric["of"]}
        # What the keeper measures comes with its first rounds.
        until(lambda: set(scraped(ask(f"{url}/metrics"))) >= of_service, f"{process} measures all that is described")
        text = ask(f"{url}/metrics")
        found = scraped(text)
        same(set(found), of_service, f"what {process} measures")
        for name, metric in found.items():
            for part in ("type", "labels", "help"):
                same(metric[part], expected[name][part], f"{part} of {name}")
        by_promtool(process, text)


def by_promtool(process, text):
    if shutil.which("promtool"):
        linted = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
        check(linted.returncode == 0, f"promtool check metrics, of {process}", linted.stdout, linted.stderr)
    else:
        print(f"skip   promtool check metrics, of {process}: no promtool here (scripts/check-deploy gets it)")


# --- all of it ------------------------------------------------------------------------------------


def running(seen, sale, urls):
    apis = {name: Seller(url, sale) for name, url in urls.items() if name != "consumer"}
    api = apis["api"]
    one_order_is_one_trace(seen, api)
    many_at_once_have_a_trace_each(seen, api)
    a_caller_has_its_trace_continued(seen, api)
    a_cancellation_is_traced(seen, api)
    the_relay_has_a_trace_of_its_own(seen, api, sale)
    a_dead_letter_is_traced(seen)
    what_is_not_to_be_recorded_is_not(seen, api, {name: apis[name] for name in ("api-off", "api-ratio-0")})
    a_receiver_that_is_away_disturbs_nobody(seen, apis["api-unheard"])
    metrics_are_as_described({
        "api": ("seckill-api", urls["api"]),
        "consumer": ("order-consumer", urls["consumer"]),
    })
    api.confirmed(api.sell(f"00-{LAST_TRACE}-{'9' * 16}-01"))


def stopped(seen):
    same({span["name"] for span in seen.of_trace(LAST_TRACE)}, WAY, "the last trace is whole after the stop")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--sale")
    parser.add_argument("--stopped", action="store_true")
    parser.add_argument("urls", nargs="*")
    arguments = parser.parse_args()
    if arguments.stopped:
        stopped(Seen(arguments.run))
    else:
        running(Seen(arguments.run), arguments.sale, dict(pair.split("=", 1) for pair in arguments.urls))
    print(f"{checks} checks hold")
