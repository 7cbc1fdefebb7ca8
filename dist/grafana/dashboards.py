#!/usr/bin/env python3
"""Makes the dashboards beside it: `dist/grafana/dashboards.py` writes them, `--check` says whether they are as it writes them.

Panels ask PromQL of Grafana's own data source for Prometheus. Availability, budgets and outages are SQL, which the
Infinity data source asks: what PromQL makes of `probe_up` is no availability, as it knows nothing of maintenance and
of time that nobody saw. Every statement of every panel is asked in `tests/grafana.rs`.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "dashboards"
METRICS = {"type": "prometheus", "uid": "${metrics}"}
SQL = {"type": "yesoreyeram-infinity-datasource", "uid": "${sql}"}
RED_BELOW = lambda bad, good: [("red", None), ("orange", bad), ("green", good)]
RED_ABOVE = lambda warning, bad: [("green", None), ("orange", warning), ("red", bad)]
LETTERS = "ABCDEFGH"


def asked(letter, expr, legend, is_instant):
    """A question in PromQL."""
    target = {"refId": letter, "datasource": METRICS, "editorMode": "code", "expr": expr, "legendFormat": legend}
    return {**target, "instant": is_instant, "range": not is_instant}


def selected(statement, columns):
    """A statement in SQL; columns with their kinds make lines over time, none a table."""
    statement = " ".join(statement.split())
    options = {
        "method": "POST",
        "body_type": "raw",
        "body_content_type": "application/json",
        "data": json.dumps({"q": statement, "format": "json"}),
    }
    columns = [{"selector": name, "text": name, "type": kind} for name, kind in columns.items()]
    shape = {"type": "json", "parser": "backend", "format": "timeseries" if columns else "table", "columns": columns, "root_selector": ""}
    return {"refId": "A", "datasource": SQL, "source": "url", "url": "/api/v3/query_sql", "url_options": options, **shape}


def panel(kind, title, width, height, targets, unit="short", steps=None, about="", low=None, high=None, **options):
    """A panel, which is given its place later. Units are Grafana's."""
    colours = [{"color": colour, "value": value} for colour, value in steps or [("green", None)]]
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": colours}, "custom": options.pop("custom", {})}
    defaults.update({key: value for key, value in (("min", low), ("max", high)) if value is not None})
    if steps:
        defaults["color"] = {"mode": "thresholds"}
    return {
        "type": kind,
        "title": title,
        "description": about,
        "gridPos": {"w": width, "h": height},
        "datasource": targets[0]["datasource"],
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": options.pop("overrides", [])},
        "options": options,
    }


def number(title, expr, **more):
    """One number, as it is now."""
    return panel("stat", title, more.pop("width", 4), 4, [asked("A", expr, title, True)], reduceOptions={"calcs": ["lastNotNull"]}, **more)


def lines(title, *exprs, width=12, height=8, stacked=False, **more):
    """Lines over time, with gaps where nothing is known. Each of the expressions comes with its legend."""
    targets = [asked(letter, expr, legend, False) for letter, (expr, legend) in zip(LETTERS, exprs)]
    custom = {"lineWidth": 1, "fillOpacity": 40 if stacked else 5, "spanNulls": False, "showPoints": "auto"}
    custom["stacking"] = {"mode": "normal" if stacked else "none"}
    look = {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, width, height, targets, custom=custom, **look, **more)


def states(title, expr, legend, **more):
    """A row for each series, coloured by what it was."""
    mapping = {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}
    made = panel("state-timeline", title, 24, 8, [asked("A", expr, legend, False)], showValue="never", mergeValues=True, **more)
    made["fieldConfig"]["defaults"].update(mappings=[{"type": "value", "options": mapping}], color={"mode": "thresholds"})
    made["fieldConfig"]["defaults"]["thresholds"]["steps"] = [{"color": colour, "value": value} for colour, value in RED_BELOW(0.001, 1)]
    return made


def bars(title, expr, legend, **more):
    """A bar for each series, as it is now."""
    reduce = {"calcs": ["lastNotNull"]}
    return panel("bargauge", title, more.pop("width", 12), 8, [asked("A", expr, legend, True)], reduceOptions=reduce, orientation="horizontal", displayMode="basic", **more)


def table(title, statement, width=24, height=8, **more):
    """Rows of a statement."""
    return panel("table", title, width, height, [selected(statement, {})], **more)


def series(title, statement, columns, width=24, height=8, **more):
    """Lines of a statement whose columns are a time, texts that tell the lines apart, and numbers."""
    return panel("timeseries", title, width, height, [selected(statement, columns)], custom={"spanNulls": False, "lineWidth": 1}, **more)


def placed(rows):
    """Panels row by row, each with a number and a place."""
    panels, top = [], 0
    for row in rows:
        left = 0
        for own in row:
            own["id"] = len(panels) + 1
            own["gridPos"].update(x=left, y=top)
            left += own["gridPos"]["w"]
            panels.append(own)
        top += max(own["gridPos"]["h"] for own in row)
    return panels


def source(name, label, kind):
    return {"name": name, "label": label, "type": "datasource", "query": kind, "current": {}, "hide": 0}


def choice(name, label, metric, tag):
    """Values of a label, of which one chooses some or all."""
    query = f"label_values({metric}, {tag})"
    more = {"includeAll": True, "multi": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "refresh": 2, "sort": 1}
    return {"name": name, "label": label, "type": "query", "datasource": METRICS, "definition": query, "query": {"query": query, "refId": "V"}, **more}


def dashboard(name, title, variables, rows, since="now-6h"):
    return {
        "uid": f"fournines-{name}",
        "title": title,
        "tags": ["fournines"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": variables},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "fournines", "tags": ["fournines"], "asDropdown": True, "includeVars": True, "keepTime": True}],
        "panels": placed(rows),
    }


PROMETHEUS = source("metrics", "Metrics", "prometheus")
INFINITY = source("sql", "SQL", "yesoreyeram-infinity-datasource")
SPAN = "'${__from:date:iso}', '${__to:date:iso}'"


def sites():
    own = '{target=~"$target", group=~"$group", edge=""}'
    phases = [(f"avg(avg_over_time(probe_{phase}_ms{own}[$__rate_interval]))", phase) for phase in ("dns", "connect", "tls", "wait", "transfer")]
    return dashboard("sites", "Sites", [PROMETHEUS, INFINITY, choice("group", "Group", "probe_up", "group"), choice("target", "Target", "probe_up", "target")], [
        [
            number("Targets", f"count(max by (target) (probe_up{own}))"),
            number("Up", f"count(max by (target) (probe_up{own}) == 1) or vector(0)"),
            number("Down", f"count(max by (target) (probe_up{own}) == 0) or vector(0)", steps=RED_ABOVE(1, 1)),
            number("Slowest, 95 %", f"max(quantile_over_time(0.95, probe_total_ms{own}[15m]))", unit="ms", about="The 95th percentile of the last 15 minutes of the slowest target."),
            number("First certificate to end", f"min(probe_cert_expires_s{own})", unit="s", steps=RED_BELOW(7 * 86400, 30 * 86400)),
            number("Slots of the last hour", f"sum(count_over_time(probe_lag_ms{own}[1h]))", about="Rows that the prober wrote."),
        ],
        [states("Up and down", f"min by (target) (probe_up{own})", "{{target}}", about="The worst of all locations.")],
        [
            lines("Response time, 95 %", (f"max by (target) (quantile_over_time(0.95, probe_total_ms{own}[$__rate_interval]))", "{{target}}"), unit="ms", low=0),
            lines("Where the time goes, on average", *phases, unit="ms", low=0, stacked=True),
        ],
        [
            lines("Response time by location, median", (f"quantile by (location) (0.5, avg_over_time(probe_total_ms{own}[$__rate_interval]))", "{{location}}"), unit="ms", low=0),
            bars("Certificates", f"sort(min by (target) (probe_cert_expires_s{own}))", "{{target}}", unit="s", steps=RED_BELOW(7 * 86400, 30 * 86400), low=0),
        ],
        [
            table("Why targets were down", """SELECT target, error, count(*) AS slots, max(time) AS newest, last_value(message ORDER BY time) AS message FROM probe
                WHERE time >= '${__from:date:iso}' AND time < '${__to:date:iso}' AND up = false GROUP BY target, error ORDER BY slots DESC LIMIT 100""", width=16),
            lines("Start of probes behind their time, 99 %", (f"quantile(0.99, max_over_time(probe_lag_ms{own}[$__rate_interval]))", "lag"), unit="ms", low=0, width=8),
        ],
    ])


def budgets():
    return dashboard("budgets", "Availability and budgets", [PROMETHEUS, INFINITY], [
        [table("Error budgets of 30 days", """SELECT target, round(100 * availability, 4) AS availability_percent, round(100 * coverage, 2) AS coverage_percent,
            round(100 * "left", 1) AS left_percent, round(burn_1h, 2) AS burn_1h, round(burn_6h, 2) AS burn_6h, alert FROM budget('probe') ORDER BY left_percent""",
            about="Of the objective of 99.99 %. What is left is negative where it is used up.")],
        [table("Availability of the span that is shown", f"""SELECT target, round(100 * availability, 4) AS percent, round(100 * availability_low, 4) AS low_percent,
            round(100 * availability_high, 4) AS high_percent, round(100 * coverage, 2) AS coverage_percent, down_s, unknown_s, maintenance_s, outages, mttr_s
            FROM availability('probe', {SPAN}) ORDER BY availability""", about="Time that nobody saw lowers the coverage, not the availability.")],
        [series("Availability by day, in percent", f"SELECT start AS time, target, 100 * availability AS percent FROM availability('probe', {SPAN}, bucket => '1d') ORDER BY start",
            {"time": "timestamp", "target": "string", "percent": "number"}, unit="percent", high=100)],
        [table("Outages", f"""SELECT target, start, "end", ongoing, duration_s, counted_s, unknown_s FROM outages_of('probe', {SPAN}) ORDER BY start DESC LIMIT 200""")],
    ], since="now-30d")


def edges():
    own = '{target=~"$target"}'
    of_edge = '{target=~"$target", edge!=""}'
    return dashboard("edges", "Edges of a CDN", [PROMETHEUS, INFINITY, choice("target", "Target", "cdn_edge_count", "target")], [
        [
            number("Edges", f"sum(cdn_edge_count{own})"),
            number("Edges that are down", f"sum(cdn_edge_count{own} - cdn_up_count{own})", steps=RED_ABOVE(1, 2)),
            number("Answered from caches", f"sum(cdn_hit_count{own}) / sum(cdn_edge_count{own})", unit="percentunit", low=0, high=1),
            number("Contents", f"max(cdn_content_count{own})", steps=RED_ABOVE(2, 3), about="So many different pages the edges of one target have; one is right."),
            number("Certificates", f"max(cdn_certificate_count{own})", steps=RED_ABOVE(2, 3)),
            number("Names not resolved, last hour", f"sum(sum_over_time(cdn_dns_failures{own}[1h]))", steps=RED_ABOVE(1, 10)),
        ],
        [
            lines("Edges", (f"sum by (target) (cdn_edge_count{own})", "{{target}}, all"), (f"sum by (target) (cdn_up_count{own})", "{{target}}, up"), low=0),
            lines("Answered from caches", (f"sum by (target) (cdn_hit_count{own}) / sum by (target) (cdn_edge_count{own})", "{{target}}"), unit="percentunit", low=0, high=1),
        ],
        [
            lines("Slowest edges", (f"topk(10, max by (target, edge) (avg_over_time(probe_total_ms{of_edge}[$__rate_interval])))", "{{target}} {{edge}}"), unit="ms", low=0),
            lines("The origin", (f"avg by (target) (avg_over_time(cdn_origin_wait_ms{own}[$__rate_interval]))", "{{target}}, first byte"), (f"avg by (target) (avg_over_time(cdn_origin_total_ms{own}[$__rate_interval]))", "{{target}}, all of it"), unit="ms", low=0),
        ],
        [states("Edges, up and down", f"min by (target, edge) (probe_up{of_edge})", "{{target}} {{edge}}")],
        [table("Edges as they are now", """SELECT target, edge, location, vendor, pop, outcome, cache, age_s, content_agrees, cert_agrees, round(total_ms, 1) AS total_ms, error FROM
            (SELECT DISTINCT ON (target, edge, location) * FROM probe WHERE edge IS NOT NULL AND time >= now() - INTERVAL '1 day' ORDER BY target, edge, location, time DESC) AS newest
            ORDER BY target, edge LIMIT 500""")],
    ])


def machines():
    own = '{host=~"$host"}'
    percent = {"unit": "percent", "low": 0, "high": 100}
    return dashboard("machines", "Machines", [PROMETHEUS, choice("host", "Host", "host_load1", "host")], [
        [
            bars("Processors", f"sort_desc(avg by (host) (avg_over_time(host_cpu_percent{own}[5m])))", "{{host}}", steps=RED_ABOVE(75, 90), width=8, **percent),
            bars("Memory", f"sort_desc(max by (host) (host_memory_percent{own}))", "{{host}}", steps=RED_ABOVE(80, 95), width=8, **percent),
            bars("Fullest disk", f"sort_desc(max by (host) (host_disk_fullest_percent{own}))", "{{host}}", steps=RED_ABOVE(80, 90), width=8, **percent),
        ],
        [
            lines("Processors", (f"avg by (host) (avg_over_time(host_cpu_percent{own}[$__rate_interval]))", "{{host}}"), **percent),
            lines("Load of one and of fifteen minutes", (f"max by (host) (host_load1{own})", "{{host}}, 1"), (f"max by (host) (host_load15{own})", "{{host}}, 15"), low=0),
        ],
        [
            lines("Memory in use", (f"max by (host) (host_memory_used_bytes{own})", "{{host}}"), unit="bytes", low=0),
            lines("Disks in use", (f"max by (host) (host_disk_used_bytes{own})", "{{host}}"), unit="bytes", low=0),
        ],
        [
            lines("Received", (f"avg by (host) (avg_over_time(host_network_received_bytes_per_s{own}[$__rate_interval]))", "{{host}}"), unit="Bps", low=0),
            lines("Sent", (f"avg by (host) (avg_over_time(host_network_sent_bytes_per_s{own}[$__rate_interval]))", "{{host}}"), unit="Bps", low=0),
        ],
        [
            lines("Processes", (f"max by (host) (host_processes{own})", "{{host}}"), low=0),
            lines("Fullest disk, in four weeks if it goes on", (f"predict_linear(host_disk_fullest_percent{own}[6h], 28 * 86400)", "{{host}}"), unit="percent"),
        ],
    ])


def server():
    per_s = lambda metric, by: f"sum by ({by}) (rate(fournines_{metric}_total[$__rate_interval]))"
    gauge = lambda metric: f"max by (instance) (fournines_{metric})"
    return dashboard("server", "fournines itself", [PROMETHEUS], [
        [
            number("Writes are taken", "1 - max(fournines_store_read_only)", steps=RED_BELOW(1, 1), about="0 where a write failed and none is taken any more."),
            number("Series", "sum(fournines_store_series)"),
            number("On disk", "sum(fournines_store_segment_bytes) + sum(fournines_store_rolled_bytes) + sum(fournines_store_rollup_bytes)", unit="bytes"),
            number("Damaged places", "sum(fournines_store_damaged_total)", steps=RED_ABOVE(1, 1)),
            number("Rows a second", "sum(rate(fournines_ingest_rows_total[5m]))"),
            number("Refused in the last hour", "sum(increase(fournines_ingest_refused_total[1h])) or vector(0)", steps=RED_ABOVE(1, 1000)),
        ],
        [
            lines("Rows a second, by protocol", (per_s("ingest_rows", "protocol"), "{{protocol}}"), low=0, stacked=True),
            lines("Answers a second, by status", (per_s("http_requests", "status"), "{{status}}"), low=0, stacked=True),
        ],
        [
            lines("Time of requests that bring rows", *[(f'max(fournines_ingest_request_seconds{{quantile="{share}"}})', f"{share} of them") for share in ("0.5", "0.99", "1")], unit="s", low=0),
            lines("Time of a sync", *[(f'max(fournines_store_sync_seconds{{quantile="{share}"}})', f"{share} of them") for share in ("0.5", "0.99", "1")], unit="s", low=0),
        ],
        [
            lines("Memory of the store", *[(gauge(f"store_{what}_bytes"), what.replace("_", " ")) for what in ("head", "last_rows", "catalog", "footers", "ring")], unit="bytes", low=0, stacked=True),
            lines("Segments, and requests that wait for the writer", (gauge("store_segments"), "segments"), (gauge("store_ring_depth"), "waiting"), low=0),
        ],
        [
            lines("Seals, merges and rolls", *[(f"sum(increase(fournines_store_{what}_total[$__rate_interval]))", what) for what in ("seals", "compactions", "rolls")], low=0),
            lines("Files", (gauge("store_segment_bytes"), "segments"), (gauge("store_rolled_bytes"), "rolled days"), (gauge("store_rollup_bytes"), "rollups"), unit="bytes", low=0, stacked=True),
        ],
    ])


def main():
    is_check, stale = "--check" in sys.argv[1:], []
    for make in (sites, budgets, edges, machines, server):
        file, text = FOLDER / f"{make.__name__}.json", json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        if is_check:
            stale += [file.name] if not file.exists() or file.read_text() != text else []
        else:
            file.write_text(text)
    if stale:
        sys.exit(f"not as {pathlib.Path(__file__).name} writes them: {', '.join(stale)}")


if __name__ == "__main__":
    main()
