"""Uploads a file as one of Python's clients would, and prints the status of the answer.

    upload.py CLIENT URL FILE

Ends with 77 where that client is not installed.
"""

import asyncio
import sys
from urllib.parse import urlsplit


def http_client(url, body):
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=40)
    connection.request("POST", parts.path, body)
    return connection.getresponse().status


def urllib(url, body):
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        return urlopen(url, body, 40).status
    except HTTPError as error:
        return error.code


def urllib3(url, body):
    import urllib3

    return urllib3.PoolManager(retries=False, timeout=40).request("POST", url, body=body).status


def requests(url, body):
    import requests

    return requests.post(url, data=body, timeout=40).status_code


def httpx(url, body):
    import httpx

    return httpx.post(url, content=body, timeout=40).status_code


def aiohttp(url, body):
    import aiohttp

    async def post():
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=body) as answer:
                return answer.status

    return asyncio.run(post())


CLIENTS = {each.__name__: each for each in (http_client, urllib, urllib3, requests, httpx, aiohttp)}

if __name__ == "__main__":
    name, url, path = sys.argv[1:]
    with open(path, "rb") as file:
        body = file.read()
    try:
        print(CLIENTS[name](url, body))
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
