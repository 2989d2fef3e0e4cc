"""The proxies that are compared, each configured to do the same: keep connections to the origin,
add X-Forwarded-For and -Proto, log nothing, use one core, or as many threads or processes as said."""

import os
import subprocess

import measure

# Every filter there is, for a route that nobody asks for.
FILTERS = """
          - headers: { request: { set: { X-Env: prod } }, response: { remove: Server } }
          - rewrite: { path_prefix: /v2 }
          - allow: [127.0.0.0/8]
          - deny: [10.0.0.0/8]
          - rate_limit: { key: client_ip, rate: 100/s, burst: 200 }
          - basic_auth: { users: { env: ISOBAR_BENCH_USERS }, realm: bench }
          - max_body: 1MiB
          - compression: { encodings: [zstd, br, gzip] }
"""
# bcrypt, and nobody's password.
os.environ["ISOBAR_BENCH_USERS"] = "ann:$2b$10$" + "a" * 53
NGINX, HAPROXY = "/usr/sbin/nginx", "/usr/sbin/haproxy"


NAMES = ["nginx", "haproxy"]
# What each needs: a program or file, and the Debian package that has it.
NEEDS = {
    "nginx": {NGINX: "nginx", "/usr/lib/nginx/modules/ngx_stream_module.so": "libnginx-mod-stream"},
    "haproxy": {HAPROXY: "haproxy"},
}


def certificate():
    """An ECDSA certificate for localhost and its key, each in a file, and both in a third."""
    cert, key, both = (os.path.join(measure.SCRATCH, name) for name in ("site.pem", "site.key", "both.pem"))
    if not os.path.exists(both):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30"]
        subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
        with open(both, "w") as file:
            file.write(open(cert).read() + open(key).read())
    return cert, key, both


def start(
    name, binaries, origin_ports, *, tcp=False, shards=1, slots=None, cores=None, routes=0, filters=False,
    tls=False, resumes=True
):
    """Returns the process and the port it serves."""
    port = measure.free_port()
    if name == "isobar":
        config = _isobar(port, origin_ports, tcp, shards, slots, routes, filters, tls)
        command = [binaries["isobar"], "run", "-c", _write("isobar.yaml", config)]
    elif name == "nginx":
        config = _nginx(port, origin_ports[0], tcp, shards, tls, resumes)
        command = [NGINX, "-p", measure.SCRATCH, "-c", _write("nginx.conf", config)]
    else:
        config = _haproxy(port, origin_ports[0], tcp, shards, tls, resumes)
        command = [HAPROXY, "-f", _write("haproxy.cfg", config)]
    return measure.start(command, cores or measure.PROXY_CORE, port), port


def _write(name, text):
    path = os.path.join(measure.SCRATCH, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def _isobar(port, origin_ports, tcp, shards, slots, routes, filters, tls):
    protocol = "tcp" if tcp else "http"
    workers = ", ".join(f'"127.0.0.1:{origin}"' for origin in origin_ports)
    limit = f"slots: {slots}, queue: {{ max: 10000, timeout: 10s }}, " if slots else ""
    # The last of many is the one that is asked for.
    many = "".join(
        f"      - {{ match: {{ path_prefix: /v{at}/users }}, pool: app }}\n" for at in range(routes)
    )
    if filters:
        many += f"      - match: {{ path_prefix: /filtered }}\n        pool: app\n        filters:{FILTERS}"
    # Whether a session is taken up again is the client's to ask for.
    secure = "tls: {{ certificates: [{{ cert: {}, key: {} }}] }}".format(*certificate()) if tls else ""
    leads = f"routes:\n{many}      - {{ pool: app }}" if many else "pool: app"
    return f"""
shards: {shards}
admin: {{ bind: "unix:{measure.SCRATCH}/admin-{port}.sock" }}
metrics: {{ bind: "127.0.0.1:{measure.free_port()}" }}
listeners:
  web:
    bind: "127.0.0.1:{port}"
    protocol: {protocol}
    {secure}
    {leads}
pools:
  app: {{ {limit}workers: [{workers}], keep_alive: {{ idle: 300s, max_idle: 1024 }} }}
"""


def _nginx(port, origin, tcp, processes, tls, resumes):
    # Several would take connections as they happen to wake; so the kernel spreads them.
    spread = " reuseport" if processes > 1 else ""
    secure, ssl = "", ""
    if tls:
        cert, key, _ = certificate()
        ssl, tickets = " ssl", "on" if resumes else "off"
        secure = f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; "
        secure += f"ssl_session_cache off; ssl_session_tickets {tickets};"
    common = f"""
daemon off;
worker_processes {processes};
worker_rlimit_nofile 20000;
pid {measure.SCRATCH}/nginx.pid;
error_log {measure.SCRATCH}/nginx-error.log warn;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections 16384; multi_accept off; }}
"""
    if tcp:
        return common + f"stream {{ server {{ listen 127.0.0.1:{port}{ssl}; {secure} proxy_pass 127.0.0.1:{origin}; }} }}\n"
    paths = "\n".join(
        f"    {kind}_temp_path {measure.SCRATCH}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return common + f"""
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    tcp_nodelay on;
{paths}
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 1024;
        keepalive_requests 100000000;
        keepalive_timeout 300s;
    }}
    server {{
        listen 127.0.0.1:{port}{ssl}{spread};
        {secure}
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


def _haproxy(port, origin, tcp, threads, tls, resumes):
    mode = "tcp" if tcp else "http"
    secure, cache = "", ""
    if tls:
        secure = f" ssl crt {certificate()[2]}" + ("" if resumes else " no-tls-tickets")
        cache = "" if resumes else "tune.ssl.cachesize 0"
    scheme = "https" if tls else "http"
    http = "" if tcp else f"    option forwardfor\n    http-request set-header X-Forwarded-Proto {scheme}\n"
    return f"""
global
    nbthread {threads}
    maxconn 8000
    {cache}
defaults
    mode {mode}
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    maxconn 8000
    {"" if tcp else "http-reuse always"}
frontend front
    bind 127.0.0.1:{port}{secure}
{http}    default_backend back
backend back
    server origin 127.0.0.1:{origin} pool-max-conn 1024
"""
