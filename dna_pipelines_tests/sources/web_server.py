"""Web servers for tests, which say nothing of clients that hang up."""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class QuietServer(ThreadingHTTPServer):
    """Prints the traces of other errors alone: a client that has what it wanted may hang up."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class WebServer(QuietServer):
    """Files by path, and how it is to fail.

    `etags`: of some files. `headers`: of all. `n_busy`: how many GETs are answered 503. `has_ranges`: whether it
    answers range requests. `requested`: the paths as they were asked for. `drip_s`: how long a piece of a file takes. `refusals`: by path, a status, "hang up", or "silence".
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.etags, self.headers, self.refusals = {}, {}, {}, {}
        self.n_busy, self.has_ranges, self.drip_s, self.silence = 0, False, 0.0, threading.Event()
        self.requested = []
        self.uri = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Stop listening, so that connections are refused."""
        self.silence.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, server = unquote(self.path), self.server
        server.requested.append(self.path)
        if server.n_busy and self.command == "GET":
            server.n_busy -= 1
            self.send_error(503)
        elif path in server.refusals:
            self.refuse(server.refusals[path])
        elif path not in server.files:
            self.send_error(404)
        elif server.has_ranges and "Range" in self.headers:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            self.answer(206, server.files[path][first : last + 1])
        else:
            etag = {"ETag": server.etags[path]} if path in server.etags else {}
            self.answer(200, server.files[path], etag | server.headers)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status, data, headers=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for header in (headers or {}).items():
            self.send_header(*header)
        self.end_headers()
        # In four pieces where it is slow, which together take longer than a server may be silent.
        size = -(-len(data) // 4) if self.server.drip_s else len(data)
        for start in range(0, len(data), size) if self.command == "GET" else ():
            time.sleep(self.server.drip_s)
            self.wfile.write(data[start : start + size])

    def refuse(self, how):
        if how == "silence":
            self.server.silence.wait(20)
        elif how != "hang up":
            self.send_error(how)
        self.close_connection = True

    def log_message(self, *arguments):
        pass
