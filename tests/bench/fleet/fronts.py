"""What stands before the workers, each as its manual would have it for them: health checks by HTTP
every second where there are any, a second attempt where a connection is refused, and otherwise its
own defaults. All may use both cores; nobody writes an access log."""

import os
import subprocess

import measure

HEALTH = "/health"
NGINX, HAPROXY = "/usr/sbin/nginx", "/usr/sbin/haproxy"


class Front:
    def __init__(self, name, about, start):
        self.name = name
        self.about = about
        # (tools, fleet, port) -> the command.
        self.start = start


class Running:
    """A front before its fleet."""

    def __init__(self, front, tools, fleet):
        self.front = front
        self.fleet = fleet
        self.process = None
        self.targets = fleet.addresses
        if front.start:
            port = measure.free_port()
            self.process = measure.spawn(front.start(tools, fleet, port), "0,1", port)
            self.targets = [f"127.0.0.1:{port}"]
            self._port = port

    def wait(self):
        if self.process:
            measure.wait_until_listening(self.process, self._port)

    def stop(self):
        if self.process:
            measure.stop_all([self.process])


def _folder(name, port):
    folder = os.path.join(measure.SCRATCH, f"{name}-{port}")
    os.makedirs(folder, exist_ok=True)
    return folder


def _write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def _nginx(_tools, fleet, port):
    folder = _folder("nginx", port)
    servers = "\n".join(f"        server {address};" for address in fleet.addresses)
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = f"""
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
{temporary}
    upstream app {{
        zone app 64k;
        least_conn;
{servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""
    return [NGINX, "-p", folder, "-c", _write(folder, "nginx.conf", text)]


def _haproxy(limited):
    def start(_tools, fleet, port):
        folder = _folder("haproxy", port)
        limit = f" maxconn {fleet.server.slots}" if limited else ""
        servers = "\n".join(
            f"    server w{number} {address} check inter 1s fall 2 rise 1{limit}"
            for number, address in enumerate(fleet.addresses)
        )
        text = f"""
global
    maxconn 8192
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 1s
    timeout queue 10s
    timeout check 1s
    option redispatch 1
frontend web
    bind 127.0.0.1:{port} backlog 4096
    option forwardfor
    default_backend app
backend app
    balance leastconn
    option httpchk GET {HEALTH}
{servers}
"""
        return [HAPROXY, "-f", _write(folder, "haproxy.cfg", text)]

    return start


def _caddy(tools, fleet, port):
    folder = _folder("caddy", port)
    text = f"""
{{
	admin off
	auto_https off
	persist_config off
}}
http://127.0.0.1:{port}, http://app.example:{port} {{
	bind 127.0.0.1
	reverse_proxy {" ".join(fleet.addresses)} {{
		lb_policy least_conn
		lb_try_duration 5s
		health_uri {HEALTH}
		health_interval 1s
		health_timeout 1s
		health_fails 2
	}}
}}
"""
    path = _write(folder, "Caddyfile", text)
    # It keeps its data below $HOME.
    return ["env", f"HOME={folder}", tools["caddy"], "run", "--adapter", "caddyfile", "--config", path]


def _envoy(tools, fleet, port):
    folder = _folder("envoy", port)
    endpoints = "\n".join(
        f"        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {at} }} }} }}"
        for at in fleet.ports
    )
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    text = f"""
static_resources:
  listeners:
  - name: web
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}
          stat_prefix: web
          use_remote_address: true
          route_config:
            virtual_hosts:
            - name: app
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route:
                  cluster: app
                  timeout: 60s
                  retry_policy:
                    retry_on: connect-failure,refused-stream
                    num_retries: 2
                    host_selection_retry_max_attempts: 5
                    retry_host_predicate:
                    - name: envoy.retry_host_predicates.previous_hosts
                      typed_config:
                        "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: app
    type: STATIC
    connect_timeout: 1s
    lb_policy: LEAST_REQUEST
    health_checks:
    - {{ timeout: 1s, interval: 1s, unhealthy_threshold: 2, healthy_threshold: 1, http_health_check: {{ path: {HEALTH} }} }}
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
{endpoints}
"""
    path = _write(folder, "envoy.yaml", text)
    return [tools["envoy"], "-c", path, "--concurrency", "2", "--use-dynamic-base-id", "--log-level", "off"]


def _isobar(tools, fleet, port):
    folder = _folder("isobar", port)
    text = f"""
admin: {{ bind: "unix:{folder}/admin.sock" }}
listeners:
  web: {{ bind: "127.0.0.1:{port}", pool: app }}
pools:
  app:
    slots: {fleet.server.slots}
    queue: {{ max: 8192, timeout: 10s }}
    workers: [{", ".join(f'"{address}"' for address in fleet.addresses)}]
    health: {{ http: {{ path: {HEALTH} }}, interval: 1s, timeout: 1s, rise: 1, fall: 2 }}
"""
    return [tools["isobar"], "run", "-c", _write(folder, "isobar.yaml", text)]


FRONTS = [
    Front("none", "clients connect to the workers, in turns where there are several", None),
    Front("nginx", "`least_conn` with `zone`, `keepalive`", _nginx),
    Front("haproxy", "`leastconn`", _haproxy(limited=False)),
    Front("haproxy maxconn", "`leastconn`, `maxconn` = slots", _haproxy(limited=True)),
    Front("caddy", "`least_conn`", _caddy),
    Front("envoy", "`LEAST_REQUEST`", _envoy),
    Front("isobar", "`slots`, one queue", _isobar),
]


def versions(tools, chosen):
    """What runs here, by its own words."""

    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()

    library = "import sys, gunicorn, uvicorn; print(sys.version.split()[0], gunicorn.__version__, uvicorn.__version__)"
    python, gunicorn, uvicorn = said(tools["python"], "-c", library).split()
    ask = {
        "isobar": lambda: said(tools["isobar"], "version").split()[1],
        "nginx": lambda: said(NGINX, "-v").split("/")[-1],
        "haproxy": lambda: said(HAPROXY, "-v").split()[2],
        "caddy": lambda: said(tools["caddy"], "version").split()[0],
        "envoy": lambda: said(tools["envoy"], "--version").split("version:")[-1].split("/")[1],
    }
    names = dict.fromkeys(front.name.split()[0] for front in chosen)
    return {name: ask[name]() for name in names if name in ask} | {
        "gunicorn": gunicorn,
        "uvicorn": uvicorn,
        "Python": python,
        "node": said("node", "--version"),
        "Linux": os.uname().release,
    }


def missing(tools):
    """The names of fronts that cannot run here."""
    paths = {"nginx": NGINX, "haproxy": HAPROXY, **tools}
    return {front.name for front in FRONTS if front.start and not os.path.exists(paths.get(front.name.split()[0], ""))}
