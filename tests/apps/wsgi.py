"""The application behind gunicorn.

GET  /r/ID?ms=20        sleeps that long, then answers
GET  /r/ID?bytes=1000   answers with that many bytes
POST /r/ID              the same; each execution is journalled
"""

import time
from urllib.parse import parse_qs

import journal


def app(environ, start_response):
    query = {key: int(values[0]) for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    journal.current = environ["PATH_INFO"].rsplit("/", 1)[-1] or "-"
    journal.write("executed", journal.current, f"{time.monotonic():.6f}")
    environ["wsgi.input"].read()
    if "ms" in query:
        time.sleep(query["ms"] / 1000)
    body = b"x" * query.get("bytes", 10)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
