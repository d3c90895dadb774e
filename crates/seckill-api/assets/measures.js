// Reads /metrics (the text format of Prometheus) and makes rates and percentiles of two readings.

const SHUT_OUT = ['sold_out', 'sold_out_from_memory', 'limit_reached', 'shut', 'conflict', 'absent', 'untrusted',
  'unavailable'];
const ORDER_PATHS = ['/v1/sales/{sale}/orders', '/seckill/add'];

// The samples of a page of metrics: name → list of { labels, value }.
export function parse(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    if (!samples.has(match[1])) samples.set(match[1], []);
    samples.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return samples;
}

// What the page shows of one reading.
export function reading(text, at) {
  const samples = parse(text);
  const all = (name) => samples.get(name) ?? [];
  const gauge = (name) => all(name)[0]?.value;
  const outcomes = all('seckill_reservations_total');
  const count = (names) =>
    outcomes.filter(({ labels }) => names.includes(labels.outcome)).reduce((sum, { value }) => sum + value, 0);
  const buckets = new Map();
  for (const { labels, value } of all('seckill_http_request_seconds_bucket')) {
    if (!ORDER_PATHS.includes(labels.path)) continue;
    const limit = labels.le === '+Inf' ? Infinity : Number(labels.le);
    buckets.set(limit, (buckets.get(limit) ?? 0) + value);
  }
  return {
    at,
    accepted: count(['reserved']),
    refused: count(SHUT_OUT),
    buckets,
    waiting: gauge('seckill_reservation_queue_depth'),
    inFlight: gauge('seckill_order_log_in_flight'),
    stalled: gauge('seckill_order_log_stalled') === 1,
  };
}

// What happened between two readings, a second; null where the process was started again in between.
export function between(before, after) {
  const seconds = (after.at - before.at) / 1000;
  if (seconds <= 0 || after.accepted < before.accepted || after.refused < before.refused) return null;
  return {
    accepted: (after.accepted - before.accepted) / seconds,
    refused: (after.refused - before.refused) / seconds,
    p99: percentile(before.buckets, after.buckets, 0.99),
  };
}

// The percentile of what came between two readings of a histogram, in seconds: as Prometheus estimates it, on a
// straight line within the bucket. Null: nothing came.
export function percentile(before, after, share) {
  const limits = [...after.keys()].sort((a, b) => a - b);
  const counts = limits.map((limit) => after.get(limit) - (before.get(limit) ?? 0));
  const total = counts.at(-1);
  if (!total) return null;
  const place = counts.findIndex((count) => count >= share * total);
  const lower = place === 0 ? 0 : limits[place - 1];
  if (limits[place] === Infinity) return lower;
  const below = place === 0 ? 0 : counts[place - 1];
  return lower + ((limits[place] - lower) * (share * total - below)) / (counts[place] - below);
}
