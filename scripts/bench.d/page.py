"""target/bench/index.html: the figures and their pictures in one file that loads nothing."""

import html
import math

from world import OUT

COLOURS = ["#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d"]
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1f2937;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #e5e7eb;text-align:right}
td:first-child,th:first-child{text-align:left}.yes{color:#047857}.no{color:#b91c1c;font-weight:600}
figure{margin:2rem 0}figcaption{font-weight:600}svg text{font:11px system-ui,sans-serif;fill:#4b5563}
"""


def ticks(low, high, logarithmic):
    """Round numbers between the two, and the two ends of the scale that holds them."""
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**power for power in range(first, max(last, first + 1) + 1)]
    span = (high - low) or 1
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * n for n in range(first, max(last, first + 1) + 1)]


def short(number):
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{suffix}"
    return f"{number:g}"


def chart(series, x, y, log_x=False, log_y=False, bars=False, width=760, height=260):
    """Lines (or filled steps) in SVG. `series`: name → points (x, y)."""
    series = {name: [p for p in points if not (log_x and p[0] <= 0 or log_y and p[1] <= 0)] for name, points in series.items()}
    points = [point for each in series.values() for point in each]
    if not points:
        return "<p>nothing was measured</p>"
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x_ticks, y_ticks = ticks(min(xs), max(xs), log_x), ticks(min(ys) if log_y else min(0, *ys), max(ys), log_y)
    left, right, top, bottom = 60, 150, 14, 40

    def scale(value, marks, logarithmic, start, end):
        low, high = marks[0], marks[-1]
        part = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return start + part * (end - start)

    def at(px, py):
        return scale(px, x_ticks, log_x, left, width - right), scale(py, y_ticks, log_y, height - bottom, top)

    out = [f'<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">']
    for mark in y_ticks:
        _, py = at(x_ticks[0], mark)
        out.append(f'<path d="M{left} {py:.1f}H{width - right}" stroke="#e5e7eb"/>')
        out.append(f'<text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{short(mark)}</text>')
    for mark in x_ticks:
        px, _ = at(mark, y_ticks[0])
        out.append(f'<text x="{px:.1f}" y="{height - bottom + 16}" text-anchor="middle">{short(mark)}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">{html.escape(x)}</text>')
    out.append(f'<text x="4" y="10">{html.escape(y)}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in (at(*point) for point in line)) if line else ""
        out.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>')
        if not bars:
            for point in line if len(line) <= 12 else []:
                px, py = at(*point)
                out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.6" fill="{colour}"/>')
        out.append(f'<path d="M{width - right + 12} {top + 16 * number + 4}h18" stroke="{colour}" stroke-width="3"/>')
        out.append(f'<text x="{width - right + 36}" y="{top + 16 * number + 8}">{html.escape(name)}</text>')
    return "".join([*out, "</svg>"])


def timeline(found):
    slice_s = found["sliceMs"] / 1000
    # The last slice is not a whole one.
    return [(number * slice_s, count / slice_s) for number, count in enumerate(found["counts"][:-1])]


def shares(histogram):
    total = sum(count for _, count in histogram) or 1
    return [(bound, 100 * count / total) for bound, count in histogram]


def by_process(samples):
    names = dict.fromkeys(name for _, look in samples for name in look)
    return {name: [(at, look.get(name, 0)) for at, look in samples] for name in names}


def figure(title, picture):
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{picture}</figure>"


def table(results):
    rows = ["<tr><th>name<th>value<th>unit<th>ratio<th>target<th>met<th>runs</tr>"]
    for result in results:
        ratio = "" if result["ratio"] is None else f"{result['ratio']:.3f}"
        met = {True: '<td class="yes">yes', False: '<td class="no">no', None: "<td>–"}[result["met"]]
        values = [run.get("ratio", run.get("p99Ms")) for run in result["runs"]]
        runs = " ".join(f"{value:.3g}" for value in values if value is not None)
        cells = [html.escape(result["name"]), f"{result['value']:,.1f}", html.escape(result["unit"]), ratio, result["target"]]
        rows.append("<tr>" + "".join(f"<td>{cell}" for cell in cells) + f"{met}<td>{runs}</tr>")
    return f"<table>{''.join(rows)}</table>"


def write(whole):
    """Writes the page of a report."""
    machine = ", ".join(f"{name}: {value}" for name, value in whole["machine"].items())
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>Seckill benchmark</title>"]
    parts += [f"<style>{STYLE}</style><h1>Seckill benchmark</h1><p>{html.escape(machine)}</p>", table(whole["results"])]
    parts.append("<h2>Promises</h2><table>")
    for check in whole["checks"]:
        word = '<td class="yes">holds' if check["ok"] else '<td class="no">BROKEN'
        parts.append(f"<tr><td>{html.escape(check['promise'])}<td>{html.escape(check['what'])}{word}</tr>")
    parts.append("</table><h2>Pictures</h2>")
    lines = {name: timeline(found) for name, found in whole["timelines"].items()}
    parts.append(figure("Throughput over time, 256 connections", chart(lines, "seconds", "answers a second")))
    spread = {name: shares(found) for name, found in whole["histograms"].items()}
    parts.append(figure("Latency", chart(spread, "milliseconds", "% of the answers", log_x=True, bars=True)))
    for name, samples in whole["cpu"].items():
        parts.append(figure(f"CPU by process: {name}", chart(by_process(samples), "seconds", "cores")))
    for name, curve in whole["curves"].items():
        parts.append(figure(curve["title"], chart(curve["series"], curve["x"], curve["y"], log_x=curve.get("logX", True))))
    (OUT / "index.html").write_text("\n".join(parts) + "\n")
