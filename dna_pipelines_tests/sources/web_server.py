"""A web server for tests, which says nothing of clients that hang up."""

import sys
from http.server import ThreadingHTTPServer


class QuietServer(ThreadingHTTPServer):
    """Prints the traces of other errors alone: a client that has what it wanted may hang up."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
