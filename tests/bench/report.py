"""The table: medians and their spread, of figures and of each round's ratios, and what was promised."""

from math import comb
from statistics import median

from scenarios import BEFORE

# scenario, figure, what it is, whose figure over whose, at most, if that is promised
PROMISES = [
    ("http", "cpu_us", "HTTP/1.1 keep-alive 1 KiB, CPU µs/request", "isobar", "nginx", 0.85),
    ("http", "cpu_us", "HTTP/1.1 keep-alive 1 KiB, CPU µs/request", "isobar", "haproxy", 0.82),
    ("routes", "cpu_us", "HTTP/1.1 keep-alive 1 KiB, CPU µs/request", "10,000 routes", "1 route", 1.03),
    ("routes", "cpu_us", "HTTP/1.1 keep-alive 1 KiB, CPU µs/request", "filters on another route", "1 route", 1.03),
    ("queue", "cpu_us", "queue of 64 slots, 1 ms origin, CPU µs/request", "saturated", "unsaturated", 1.30),
    ("tcp", "cpu_us", "TCP relay 1 KiB, CPU µs/request", "isobar", "haproxy", 1.05),
    ("connections", "cpu_us", "new HTTP connection each, CPU µs/request", "isobar", "nginx", 1.10),
    ("bulk", "cpu_us", "10 MiB over HTTP, CPU µs/request", "isobar", "nginx", None),
    ("bulk", "cpu_us", "10 MiB over HTTP, CPU µs/request", "isobar", "haproxy", None),
    ("tls", "cpu_us", "TLS keep-alive 1 KiB, CPU µs/request", "isobar", "nginx", 0.75),
    ("tls", "cpu_us", "TLS keep-alive 1 KiB, CPU µs/request", "isobar", "haproxy", None),
    ("tls_full", "cpu_us", "full TLS 1.3 handshake and a request, CPU µs", "isobar", "nginx", 0.62),
    ("tls_full", "cpu_us", "full TLS 1.3 handshake and a request, CPU µs", "isobar", "haproxy", None),
    ("tls_resumed", "cpu_us", "resumed TLS 1.3 handshake and a request, CPU µs", "isobar", "nginx", None),
    ("tls_bulk", "cpu_us", "10 MiB over TLS, CPU µs/request", "isobar", "nginx", 0.60),
    ("tls_bulk", "cpu_us", "10 MiB over TLS, CPU µs/request", "isobar", "haproxy", None),
    ("tls_tcp", "cpu_us", "TLS ended on TCP, 1 KiB, CPU µs/request", "isobar", "nginx", None),
    ("tls_tcp", "cpu_us", "TLS ended on TCP, 1 KiB, CPU µs/request", "isobar", "haproxy", None),
    ("shards", "cpu_us", "20,000 requests/s, CPU µs/request", "isobar with 2", "isobar with 1", 1.10),
    # What a second thread costs others, on this kernel and under this load.
    ("shards", "cpu_us", "20,000 requests/s, CPU µs/request", "nginx with 2", "nginx with 1", None),
    ("shards", "cpu_us", "20,000 requests/s, CPU µs/request", "haproxy with 2", "haproxy with 1", None),
]
IDLE_KIB = {"memory": 4.0, "tls_memory": 14.0}
IDLE_WHAT = {
    "memory": "idle keep-alive connection, KiB of 5,000",
    "tls_memory": "idle TLS connection, KiB of 1,000",
}
# Two requests' turns at 20,000 a second: what is later than this at the median left in bursts.
LATE_US = 100
# What a request may cost, of what it cost the other build.
MORE = 1.01


def table(rows, rounds, why_not=lambda scenario, who: "no figure"):
    """`why_not` says of a scenario and of who took part in it why a promise has no figure."""
    values = {}
    for scenario, who, figure, value in rows:
        values.setdefault((scenario, who, figure), []).append(value)
    lines = ["", f"Medians of {rounds} round(s), [lowest to highest].", ""]
    lines += ["| scenario | who | CPU µs/request | requests/s |", "|---|---|---|---|"]
    for scenario, who, figure in values:
        if figure == "cpu_us":
            cpu = values[scenario, who, "cpu_us"]
            rate = median(values[scenario, who, "per_second"])
            spread = f"{median(cpu):.2f} [{min(cpu):.2f} to {max(cpu):.2f}]"
            lines.append(f"| {scenario} | {who} | {spread} | {rate:,.0f} |")
    lines += ["", "| promise | ratio | at most | |", "|---|---|---|---|"]
    for scenario, figure, what, who, than, most in PROMISES:
        mine, theirs = values.get((scenario, who, figure)), values.get((scenario, than, figure))
        if mine and theirs:
            # Of each round by itself: a machine may change its speed between two of them.
            ratios = [one / other for one, other in zip(mine, theirs)]
            ratio = median(ratios)
            late = any(_late(values, scenario, name) > LATE_US for name in (who, than))
            held = "no verdict: the load left late" if late else _verdict(ratio, most) if most else ""
            most = f"{most:.2f}" if most else ""
            spread = f"{ratio:.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
            lines.append(f"| {what}: {who} ÷ {than} | {spread} | {most} | {held} |")
        else:
            missing = [name for name, found in ((who, mine), (than, theirs)) if not found]
            why = ", ".join(dict.fromkeys(why_not(scenario, name) for name in missing))
            most = f"{most:.2f}" if most else ""
            lines.append(f"| {what}: {who} ÷ {than} | not measured | {most} | {why} |")
    for (scenario, who, figure), found in values.items():
        if figure == "kib":
            kib = median(found)
            base = median(values[scenario, who, "base_kib"]) / 1024
            most = f"{IDLE_KIB[scenario]:.2f}" if who == "isobar" else ""
            verdict = _verdict(kib, IDLE_KIB[scenario]) if who == "isobar" else ""
            what = f"{IDLE_WHAT[scenario]}: {who} (base {base:.1f} MiB)"
            lines.append(f"| {what} | {kib:.2f} | {most} | {verdict} |")
    paced = {who: found for (_, who, figure), found in values.items() if figure == "late_p99_us"}
    if paced:
        lines += ["", "| after they were due, requests left | p50 µs | p99 µs |", "|---|---|---|"]
    for who, late in paced.items():
        lines.append(f"| shards: {who} | {_late(values, 'shards', who):.0f} | {median(late):.0f} |")
    return "\n".join(lines + _against(values))


def _against(values):
    """What a request costs beside the other build, and how sure that is."""
    lines = ["", "| CPU µs/request ÷ the other build's | median of the rounds | 95 % interval | at most | |"]
    lines.append("|---|---|---|---|---|")
    pairs = [key for key in values if key[2] == "cpu_us" and (key[0], key[1] + BEFORE, key[2]) in values]
    for scenario, who, figure in pairs:
        before = values[scenario, who + BEFORE, figure]
        ratios = [one / other for one, other in zip(values[scenario, who, figure], before)]
        between = interval(ratios)
        if not between:
            said, verdict = f"none of {len(ratios)} round(s)", "no verdict: six rounds are the least"
        else:
            said = f"{between[0]:.3f} to {between[1]:.3f}"
            verdict = "holds" if between[0] <= MORE else "MISSED"
        if any(_late(values, scenario, name) > LATE_US for name in (who, who + BEFORE)):
            verdict = "no verdict: the load left late"
        lines.append(f"| {scenario}: {who} | {median(ratios):.3f} | {said} | {MORE:.2f} | {verdict} |")
    return lines if pairs else []


def interval(figures):
    """The binomial interval of the median, of at least 95 %: between the two figures that are equally far from
    both ends. It holds however the figures are spread, as long as no round depends on another. Fewer than six
    figures have none."""
    few, beyond = 0, 0
    while 2 * (beyond + comb(len(figures), few)) <= 0.05 * 2 ** len(figures):
        beyond += comb(len(figures), few)
        few += 1
    ordered = sorted(figures)
    return (ordered[few - 1], ordered[-few]) if few else None


def _late(values, scenario, who):
    return median(values.get((scenario, who, "late_p50_us"), [0]))


def _verdict(value, most):
    return "holds" if value <= most else f"MISSED by {100 * (value / most - 1):.0f} %"
