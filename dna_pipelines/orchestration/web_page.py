"""Dagster's web server, behind the request guard: `python -m dna_pipelines.orchestration.web_page`.

It takes the arguments of `dagster-webserver`. The environment variable DNA_ALLOWED_HOSTS lists, with commas, the host
names for which it answers beside those of this machine.
"""

import os

from starlette.middleware import Middleware

from dna_pipelines.orchestration.dagster_private import web_server_with
from dna_pipelines.orchestration.request_guard import ALLOWED_HOSTS, RequestGuard


def main() -> None:
    """Run the web server until it is ended."""
    hosts = filter(None, os.environ.get(ALLOWED_HOSTS, "").split(","))
    web_server_with(Middleware(RequestGuard, hosts=tuple(hosts)))()


if __name__ == "__main__":
    main()
