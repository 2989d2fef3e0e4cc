"""The picture: p99 of every front, a panel for each workload and server, on one logarithmic scale
with the ideal as a line. Written by hand, so that it needs nothing and is the same everywhere."""

import math
from html import escape

from fleet import tables

COLOURS = {
    "none": "#9aa0a6",
    "nginx": "#3d9a50",
    "haproxy": "#6d8fd6",
    "haproxy maxconn": "#2c5aa0",
    "caddy": "#8a6fc0",
    "envoy": "#c0699f",
    "isobar": "#e8590c",
}
LEFT, TOP, WIDTH, HEADER, LINE, GAP = 112, 92, 244, 8, 13, 14
# What a bar leaves for its figure.
LABEL = 84
TICKS = (10, 100, 1000, 10000)


def svg(result):
    servers, workloads, fronts = list(result["servers"]), list(result["workloads"]), list(result["fronts"])
    height = HEADER + LINE * len(fronts)
    width = LEFT + (WIDTH + GAP) * len(servers) + 10
    total = TOP + (height + GAP) * len(workloads) + 30
    scale = _scale(result)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#333">',
        f'<rect width="{width}" height="{total}" fill="#ffffff"/>',
        '<text x="12" y="24" font-size="16" font-weight="600">p99 of the same requests behind each front, ms '
        "(logarithmic; shorter is better)</text>",
        _legend(fronts),
    ]
    for column, server in enumerate(servers):
        x = LEFT + column * (WIDTH + GAP)
        parts.append(f'<text x="{x}" y="{TOP - 12}" font-weight="600" font-size="13">{escape(server)}</text>')
        for row, workload in enumerate(workloads):
            y = TOP + row * (height + GAP)
            if column == 0:
                parts.append(f'<text x="12" y="{y + height / 2 + 4}" font-weight="600">{escape(workload)}</text>')
            cells = tables.cells_of(result, server, workload)
            if cells:
                parts.append(_panel(cells, fronts, x, y, height, scale))
    bottom = TOP + len(workloads) * (height + GAP) + 4
    for column in range(len(servers)):
        for tick in TICKS:
            if scale(tick) is not None:
                x = LEFT + column * (WIDTH + GAP) + scale(tick)
                parts.append(f'<text x="{x:.1f}" y="{bottom}" text-anchor="middle" fill="#777">{tick:,}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _scale(result):
    values = [cell["ideal"]["p99"] for cell in result["cells"]]
    values += [f["p99"] for cell in result["cells"] for f in cell["fronts"].values() if f["p99"]]
    least, most = math.log10(min(values) * 0.6), math.log10(max(values) * 1.1)

    def place(value):
        at = (math.log10(value) - least) / (most - least)
        return (WIDTH - LABEL) * at if 0 <= at <= 1 else None

    return place


def _legend(fronts):
    parts, x = [], 12
    for front in fronts:
        parts.append(f'<rect x="{x}" y="38" width="11" height="11" rx="2" fill="{COLOURS[front]}"/>')
        parts.append(f'<text x="{x + 16}" y="48">{escape(front)}</text>')
        x += 34 + 7 * len(front)
    parts.append(f'<line x1="{x}" x2="{x}" y1="37" y2="51" stroke="#111" stroke-dasharray="3 2"/>')
    parts.append(f'<text x="{x + 8}" y="48">an ideal central queue</text>')
    return "\n".join(parts)


def _panel(cells, fronts, x, y, height, scale):
    parts = [f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{height}" fill="#f6f7f8" rx="3"/>']
    for tick in TICKS:
        if scale(tick) is not None:
            at = x + scale(tick)
            parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y}" y2="{y + height}" stroke="#dfe2e5"/>')
    for row, front in enumerate(fronts):
        p99 = tables.p99_of(cells, front)
        if p99 is None:
            continue
        top = y + HEADER / 2 + row * LINE
        length = scale(p99) or 1
        weight = ' font-weight="700"' if front == "isobar" else ""
        failed = tables.failed_per_thousand(cells, front)
        label = tables.number(p99) + (f", {failed / 10:.1f} % failed" if failed else "")
        title = f"{front}: p99 {tables.number(p99)} ms"
        parts.append(
            f'<rect x="{x}" y="{top + 1}" width="{length:.1f}" height="{LINE - 3}" rx="2" fill="{COLOURS[front]}">'
            f"<title>{escape(title)}</title></rect>"
        )
        parts.append(f'<text x="{x + length + 4:.1f}" y="{top + 10}" font-size="9.5"{weight}>{label}</text>')
    best = scale(tables.p99_of(cells, "ideal"))
    if best is not None:
        at = x + best
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y}" y2="{y + height}" stroke="#111" stroke-dasharray="3 2"/>'
        )
    return "\n".join(parts)
