"""The application behind uvicorn: bodies come and go beside others, work holds the event loop."""

import time

from work import Work


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    work = Work(scope["path"], scope["query_string"].decode())
    time.sleep(work.seconds)
    work.done()
    headers = [(b"content-length", str(len(work.answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": work.answer})
