"""What is measured. A row is (scenario, who, figure, value); the report makes medians of them."""

import json
import re
import socket
import ssl
import time

import measure
import peers

HEADERS = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
]
NAMES = ["http", "routes", "queue", "tcp", "connections", "shards", "bulk", "tls", "tls_full", "tls_resumed", "tls_bulk",
         "tls_tcp", "memory", "tls_memory"]
IDLE_CONNECTIONS = 5000
IDLE_SESSIONS = 1000
ROUTES = 10_000
RATE = 20000
# Behind the name of what the other build of Isobar did.
BEFORE = ", before"


def run(binaries, rounds, seconds, wanted, others, against=None):
    # Five thousand connections on both sides of a proxy.
    measure.raise_descriptor_limit()
    ports = [measure.free_port() for _ in range(4)]
    origin = [binaries["origin"], *(f"127.0.0.1:{port}" for port in ports)]
    measure.start(origin, measure.LOAD_CORE, ports[-1])
    rows = []
    for name in NAMES:
        if wanted and name not in wanted:
            continue
        cases = _cases(name, binaries, ports, seconds, others)
        if against:
            before = dict(_cases(name, binaries | {"isobar": against}, ports, seconds, []))
            cases = _paired(cases, before)
        # Memory does not scatter: one round says it.
        for number in range(1 if "memory" in name else rounds):
            for who, measured in cases if number % 2 == 0 else cases[::-1]:
                for figure, value in measured().items():
                    rows.append((name, who, figure, value))
                    print(f"{name} round {number + 1} {who}: {figure} {value:.2f}", flush=True)
    return rows


def _paired(cases, before):
    """Each case that the other build has, too, beside its own: little time for the machine to change in."""
    paired = []
    for who, measured in cases:
        paired.append((who, measured))
        if who in before:
            paired.append((who + BEFORE, before[who]))
    return paired


def _cases(name, binaries, ports, seconds, others):
    everyone = ["isobar", *others]

    def proxy(who, **how):
        return lambda: peers.start(who, binaries, ports[:1], **how)

    def by_wrk(who, clients, path="/", close=False, **how):
        begin, scheme = proxy(who, **how), "https" if how.get("tls") else "http"
        return lambda: _with(begin, lambda pid, port: _wrk(pid, port, clients, path, close, seconds, scheme))

    def shakes(who, resumes):
        begin = proxy(who, tls=True, resumes=resumes)
        return lambda: _with(begin, lambda pid, port: _shake(binaries, pid, port, seconds, resumes))

    if name == "http":
        return [(who, by_wrk(who, 64)) for who in everyone]
    if name == "routes":
        path = f"/v{ROUTES - 1}/users/7"
        return [
            ("1 route", by_wrk("isobar", 64, path)),
            ("10,000 routes", by_wrk("isobar", 64, path, routes=ROUTES)),
            ("filters on another route", by_wrk("isobar", 64, path, filters=True)),
        ]
    if name == "tcp":
        return [(who, by_wrk(who, 64, tcp=True)) for who in everyone]
    if name == "connections":
        return [(who, by_wrk(who, 64, close=True)) for who in everyone]
    if name == "queue":
        def slots(clients):
            return lambda: _with(
                lambda: peers.start("isobar", binaries, ports, slots=16),
                lambda pid, port: _wrk(pid, port, clients, "/sleep/1", False, seconds, "http"),
            )
        return [("unsaturated", slots(48)), ("saturated", slots(256))]
    if name == "shards":
        def shards(who, count):
            # All may use both cores, so that only the number of shards differs.
            return lambda: _with(
                lambda: peers.start(who, binaries, ports[:1], shards=count, cores="0,1"),
                lambda pid, port: _fixed_rate(binaries, pid, port, seconds),
            )
        return [(f"{who} with {count}", shards(who, count)) for who in everyone for count in (1, 2)]
    if name == "bulk":
        return [(who, by_wrk(who, 4, "/big")) for who in everyone]
    if name == "tls":
        return [(who, by_wrk(who, 64, tls=True)) for who in everyone]
    if name == "tls_bulk":
        return [(who, by_wrk(who, 4, "/big", tls=True)) for who in everyone]
    if name == "tls_tcp":
        return [(who, by_wrk(who, 64, tls=True, tcp=True)) for who in everyone]
    if name in ("tls_full", "tls_resumed"):
        return [(who, shakes(who, name == "tls_resumed")) for who in everyone]
    tls = name == "tls_memory"
    return [
        (who, lambda begin=proxy(who, tls=tls): _with(begin, lambda pid, port: _idle_memory(pid, port, tls)))
        for who in everyone
    ]


def _with(begin, measured):
    process, port = begin()
    try:
        return measured(process.pid, port)
    finally:
        measure.stop(process)


def _wrk(pid, port, clients, path, close, seconds, scheme):
    command = ["wrk", "-t1", f"-c{clients}", "--latency", "--timeout", "5s"]
    for header in HEADERS + (["Connection: close"] if close else []):
        command += ["-H", header]
    url = f"{scheme}://127.0.0.1:{port}{path}"
    if not close:
        measure.on_load_core([*command, "-d1s", url])
    before = measure.cpu_seconds(pid)
    said = measure.on_load_core([*command, f"-d{max(1, round(seconds))}s", url])
    used = measure.cpu_seconds(pid) - before
    counted = re.search(r"(\d+) requests in", said)
    requests = int(counted[1]) if counted else 0
    bad = [int(n) for n in re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)", said)]
    if not requests or sum(bad):
        raise SystemExit(f"errors in a measured run:\n{said}")
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    return {"cpu_us": used * 1e6 / requests, "per_second": per_second}


def _shake(binaries, pid, port, seconds, resumes):
    how = "resumed" if resumes else "full"
    command = [binaries["handshakes"], f"127.0.0.1:{port}", peers.certificate()[0], "16"]
    measure.on_load_core([*command, "0.5", how])
    before = measure.cpu_seconds(pid)
    said = json.loads(measure.on_load_core([*command, str(seconds), how]))
    used = measure.cpu_seconds(pid) - before
    # The first of each client's has nothing to take up.
    took_up = said["resumed"] > 0.9 * said["handshakes"] if resumes else said["resumed"] == 0
    if said["errors"] or not took_up:
        raise SystemExit(f"not what was to be measured: {said}")
    return {"cpu_us": used * 1e6 / said["handshakes"], "per_second": said["rate"]}


def _fixed_rate(binaries, pid, port, seconds):
    command = [binaries["fixed_rate"], f"127.0.0.1:{port}", str(RATE), "64"]
    measure.on_load_core([*command, "1"])
    before = measure.cpu_seconds(pid)
    said = json.loads(measure.on_load_core([*command, str(seconds)]))
    used = measure.cpu_seconds(pid) - before
    if said["errors"] or said["rate"] < 0.97 * RATE:
        print(f"note: the generator reached {said}", flush=True)
    figures = {figure: said[figure] for figure in ("p99_us", "late_p50_us", "late_p99_us")}
    return {"cpu_us": used * 1e6 / said["requests"], "per_second": said["rate"]} | figures


def _idle_memory(pid, port, tls):
    time.sleep(0.5)
    before = measure.resident_kib(pid)
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: idle\r\n\r\n"
    kept = []
    context = ssl.create_default_context(cafile=peers.certificate()[0]) if tls else None
    count = IDLE_SESSIONS if tls else IDLE_CONNECTIONS
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 5)
        if tls:
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(request)
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < 1024:
            piece = connection.recv(65536)
            if not piece:
                raise SystemExit(f"closed after {len(kept)} connections: {answer[:200]}")
            answer += piece
        kept.append(connection)
    time.sleep(1.0)
    after = measure.resident_kib(pid)
    for connection in kept:
        connection.close()
    return {"kib": (after - before) / count, "base_kib": float(before)}
