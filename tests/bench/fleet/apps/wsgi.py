"""The application behind gunicorn: a request holds its thread until its last byte was taken."""

import time

from work import Work


class Answer:
    """Gunicorn closes it when everything was written."""

    def __init__(self, work):
        self.work = work

    def __iter__(self):
        yield self.work.answer

    def close(self):
        self.work.done()


def app(environ, start_response):
    work = Work(environ["PATH_INFO"], environ["QUERY_STRING"])
    environ["wsgi.input"].read()
    time.sleep(work.seconds)
    start_response("200 OK", [("Content-Length", str(len(work.answer)))])
    return Answer(work)
