"""An S3 server (moto's) in a process of its own, which can be made busy. Prints its port.

/_busy?n=3          the next three requests for objects or listings are answered 503 SlowDown
/_fill?bucket=b&n=9 put so many empty objects into a bucket, without a request for each
/_asked             how many requests there were since it was last asked
"""

import sys
from urllib.parse import parse_qs

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Silent(WSGIRequestHandler):
    def log_request(self, *arguments):
        pass


class Busy:
    """Gives the answers that the tests ask for, and passes on other requests."""

    def __init__(self, app):
        self.app = app
        self.n_busy = 0
        self.n_asked = 0

    def __call__(self, environ, start_response):
        asked = {key: value[0] for key, value in parse_qs(environ.get("QUERY_STRING", "")).items()}
        path = environ["PATH_INFO"]
        if path == "/_busy":
            self.n_busy = int(asked["n"])
        elif path == "/_fill":
            for number in range(int(asked["n"])):
                bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
                bucket.put_object(asked["bucket"], f"many/{number:05d}.png", b"")
        elif path == "/_asked":
            start_response("200 OK", [])
            n_asked, self.n_asked = self.n_asked, 0
            return [str(n_asked).encode()]
        else:
            self.n_asked += 1
            if environ["REQUEST_METHOD"] == "GET" and self.n_busy:
                self.n_busy -= 1
                start_response("503 Slow Down", [("Content-Type", "application/xml")])
                return [SLOW_DOWN]
            return self.app(environ, start_response)
        start_response("200 OK", [])
        return [b""]


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Busy(DomainDispatcherApplication(create_backend_app)), True, 1, Silent)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
