"""A receiver of traces: takes OTLP over HTTP as OpenTelemetry's own protobuf classes read it, and writes every span as
a line of JSON. For scripts/observe-test."""

import argparse
import http.server
import json
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def plain(value):
    """An AnyValue as what it is."""
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


def spans(request):
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": resource,
                    "service": resource.get("service.name"),
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "links": [{"trace": link.trace_id.hex(), "span": link.span_id.hex()} for link in span.links],
                    "error": span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
                }


def handler(out, authorization, lock):
    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
                self.answer(415, b"")
                return
            if self.headers["Authorization"] != authorization:
                self.answer(401, b"")
                return
            request = ExportTraceServiceRequest.FromString(body)
            with lock, open(out, "a") as lines:
                lines.writelines(json.dumps(span) + "\n" for span in spans(request))
            self.answer(200, ExportTraceServiceResponse().SerializeToString())

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Receiver


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--authorization", required=True)
    arguments = parser.parse_args()
    receiver = handler(arguments.out, arguments.authorization, threading.Lock())
    http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), receiver).serve_forever()
