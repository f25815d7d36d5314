"""A collector of OpenTelemetry traces that prints them: what `logux serve --otlp http://127.0.0.1:4318` sends, without anything to install
but `pip install opentelemetry-proto`. Jaeger, Tempo and the OpenTelemetry Collector take the same, and keep it.
"""

from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def text(value):
    return getattr(value, value.WhichOneof("value"))


def show(span, children, depth, began):
    start, took = span.start_time_unix_nano - began, span.end_time_unix_nano - span.start_time_unix_nano
    about = " ".join(f"{a.key}={text(a.value)}" for a in span.attributes)
    print(f"{start / 1e6:7.2f} ms {took / 1e6:7.2f} ms  {'  ' * depth}{span.name} {about}")
    for event in span.events:
        print(f"{(event.time_unix_nano - began) / 1e6:7.2f} ms             {'  ' * depth}· {event.name}")
    for child in sorted(children[span.span_id], key=lambda child: child.start_time_unix_nano):
        show(child, children, depth + 1, began)


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        children = defaultdict(list)
        for service in request.resource_spans:
            print(" ".join(f"{a.key}={text(a.value)}" for a in service.resource.attributes))
            for scope in service.scope_spans:
                for span in scope.spans:
                    children[span.parent_span_id].append(span)
        for root in children[b""]:
            show(root, children, 0, root.start_time_unix_nano)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 4318), Collector).serve_forever()
