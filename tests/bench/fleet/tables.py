"""The figures as Markdown, and what became of the promises."""

from fleet import ideal

PROMISED_OF_IDEAL = ("uniform", "bimodal")


def page(result):
    parts = [_head(result), verdict(result), "## p99 at a glance\n", _key(result)]
    parts += [_glance(result, server) for server in result["servers"]]
    parts.append("## Everything\n")
    parts.append(
        "Milliseconds, the median of the rounds; in brackets p99's least and most. *Idle* is the share of the "
        "time in which a request was on its way to a worker while some worker had a free slot, by the workers' "
        "journals; *fairness* is Jain's index of the workers' busy time."
    )
    for workload in result["workloads"]:
        parts.append(f"### {workload}\n\n{result['workloads'][workload]}\n")
        parts += [_table(result, server, workload) for server in result["servers"]]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _head(result):
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    cells = result["cells"]
    return f"""# The worker benchmark, figures of one run

Made by `tests/bench/workers` on {result["made"]} in {result["minutes"]:.0f} minutes: {result["rounds"]} round(s) of
{min(cell["seconds"] for cell in cells):.0f}–{max(cell["seconds"] for cell in cells):.0f} s a workload, {sum(cell["requests"] for cell in cells):,} requests to each front; {result["cores"]} cores,
of which all that ran here together used {100 * min(min(c["cpu"]) for c in cells):.0f}–{100 * max(max(c["cpu"]) for c in cells):.0f} %. The generator
was late by at most {max(c["late_p99_ms"] for c in cells):.1f} ms (p99 of the worst run); {sum(c["heats_run_again"] for c in cells)} runs
in which it was late by over 5 ms were made again. Do not edit: what it means is said in
[benchmarks.md](../benchmarks.md).

Versions: {versions}.
"""


def _key(result):
    fronts = "\n".join(f"- **{name}**: {about}" for name, about in result["fronts"].items())
    return f"p99 in ms; in brackets how many of 1,000 requests failed, where any did.\n\n{fronts}\n"


def _glance(result, server):
    fronts = list(result["fronts"])
    rows = [f"### {server}\n\n{result['servers'][server]}\n", _row(["", "ideal", *fronts]), _rule(len(fronts) + 2)]
    for workload in result["workloads"]:
        cells = cells_of(result, server, workload)
        if not cells:
            continue
        best = p99_of(cells, "ideal")
        rows.append(_row([workload, number(best), *(_glanced(cells, front) for front in fronts)]))
    return "\n".join(rows) if len(rows) > 3 else ""


def _glanced(cells, front):
    failed = failed_per_thousand(cells, front)
    return number(p99_of(cells, front)) + (f" ({failed:.1f})" if failed else "")


def failed_per_thousand(cells, front):
    failed = sum(sum(cell["fronts"][front]["errors"].values()) for cell in cells)
    return 1000 * failed / sum(cell["fronts"][front]["requests"] for cell in cells)


def _table(result, server, workload):
    cells = cells_of(result, server, workload)
    if not cells:
        return ""
    titles = [server, "p50", "p99", "p99.9", "mean", "p99 / ideal", "failed", "idle", "fairness"]
    rows = [_row(titles), _rule(len(titles))]
    best = p99_of(cells, "ideal")
    middle = lambda key, of: ideal.median([value for cell in cells if (value := of(cell)[key]) is not None])
    rows.append(
        _row(["ideal", *(number(middle(key, lambda cell: cell["ideal"])) for key in ("p50", "p99", "p999", "mean"))] + [""] * 4)
    )
    for front in result["fronts"]:
        own = lambda cell, front=front: cell["fronts"][front]
        p99s = [own(cell)["p99"] for cell in cells if own(cell)["p99"] is not None]
        spread = f" ({min(p99s):.0f}–{max(p99s):.0f})" if len(p99s) > 1 else ""
        idle = [
            own(cell)["idle_while_waiting_seconds"] / own(cell)["queued_seconds"]
            for cell in cells
            if own(cell)["queued_seconds"]
        ]
        p99 = middle("p99", own)
        rows.append(
            _row(
                [
                    front,
                    number(middle("p50", own)),
                    number(p99) + spread,
                    number(middle("p999", own)),
                    number(middle("mean", own)),
                    f"{p99 / best:.2f}" if p99 else "",
                    _errors([own(cell) for cell in cells]),
                    f"{100 * ideal.median(idle):.1f} %" if idle else "",
                    f"{middle('fairness', own) or 0:.2f}",
                ]
            )
        )
    return "\n".join(rows)


def _errors(figures):
    kinds = {}
    for one in figures:
        for kind, count in one["errors"].items():
            kinds[kind] = kinds.get(kind, 0) + count
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())) or "0"


def verdict(result):
    """Each promise for each server and workload: held, or missed by how much."""
    rows = []
    for server in result["servers"]:
        for workload in result["workloads"]:
            cells = cells_of(result, server, workload)
            if cells and "isobar" in cells[0]["fronts"]:
                rows += _promises(server, workload, cells)
    if not rows:
        return ""
    held = sum(holds for *_, holds in rows)
    text = [f"## The promises\n\n{held} of {len(rows)} hold: Isobar's p99 in ms, beside the most it may be.\n"]
    text += [_row(["server", "workload", "promise", "p99", "at most", ""]), _rule(6)]
    for server, workload, promise, p99, limit, holds in rows:
        verdict = "holds" if holds else f"**missed** by {100 * (p99 / limit - 1):.0f} %"
        text.append(_row([server, workload, promise, f"{p99:.1f}", f"{limit:.1f}", verdict]))
    return "\n".join(text) + "\n"


def _promises(server, workload, cells):
    p99 = p99_of(cells, "isobar")
    if p99 is None:
        return
    limits = []
    if workload in PROMISED_OF_IDEAL:
        limits.append(("1.10 × ideal + 2 ms", "ideal", 1.10, 2.0))
    limits.append(("0.5 × nginx least_conn", "nginx", 0.5, 0.0))
    limits.append(("1.0 × HAProxy maxconn + 1 ms", "haproxy maxconn", 1.0, 1.0))
    for promise, other, factor, more in limits:
        theirs = p99_of(cells, other) if other == "ideal" or other in cells[0]["fronts"] else None
        if theirs is not None:
            limit = factor * theirs + more
            yield server, workload, promise, p99, limit, p99 <= limit


def cells_of(result, server, workload):
    return [cell for cell in result["cells"] if (cell["server"], cell["workload"]) == (server, workload)]


def p99_of(cells, who):
    found = [cell["ideal"]["p99"] if who == "ideal" else cell["fronts"][who]["p99"] for cell in cells]
    return ideal.median([value for value in found if value is not None])


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _rule(columns):
    return "|---" + "|---:" * (columns - 1) + "|"
