"""An application that says which container answered. `/?ms=50` works for 50 ms first."""

import socket
import time
from urllib.parse import parse_qs

NAME = socket.gethostname()


def app(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    if environ["PATH_INFO"] != "/healthz":
        time.sleep(int(query.get("ms", ["20"])[0]) / 1000)
    body = f"{NAME}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
