// The page: asks once a second how things are, follows the sale that is looked at, and shows both.

import * as buy from '/dashboard/buy.js';
import { between, reading } from '/dashboard/measures.js';
import { Plot } from '/dashboard/plot.js';
import { Sales } from '/dashboard/sales.js';

const ASK_EVERY = 1000;
const LOOK_EVERY = 250;
// Percentiles of one second of few orders jump about: they are made of so many readings.
const READINGS = 10;

const element = (id) => document.getElementById(id);
const rates = new Plot(element('rates'), { accepted: '--accepted', refused: '--refused' });
const remaining = new Plot(element('remaining'), { remaining: '--remaining' });
const sales = new Sales(element('sales'), look);
const readings = [];
let events = null;
let looking = null;

// Looks at `sale`: by its stream of events, or else by asking again and again.
function look(sale) {
  remaining.clear();
  element('plotted-sale').textContent = sale.id;
  element('order-sale').value = sale.id;
  events?.close();
  clearInterval(looking);
  const path = `/v1/sales/${encodeURIComponent(sale.id)}`;
  const stream = new EventSource(`${path}/events`);
  events = stream;
  stream.addEventListener('sale', ({ data }) => sales.show(JSON.parse(data)));
  // A stream that ends is opened again by itself; one that is refused is not.
  stream.addEventListener('error', () => {
    if (stream !== events || stream.readyState !== EventSource.CLOSED) return;
    looking = setInterval(() => ask(path, 'json').then((seen) => seen && sales.show(seen)), LOOK_EVERY);
  });
}

// The answer of `path`, or null where there is none.
async function ask(path, kind) {
  try {
    const response = await fetch(path, { cache: 'no-store' });
    return response.ok || path === '/readyz' ? await response[kind]() : null;
  } catch {
    return null;
  }
}

function showSales(answer) {
  if (answer) sales.showAll(answer.sales);
  const notice = element('sales-notice');
  notice.hidden = answer !== null && answer.sales.length > 0;
  notice.textContent = answer === null ? 'The sales cannot be read at the moment.' : 'There is no sale.';
}

function showMeasures(text, at) {
  if (text === null) return;
  const now = reading(text, at);
  const last = readings.at(-1);
  readings.push(now);
  while (readings.length > READINGS) readings.shift();
  show('waiting', now.waiting);
  show('in-flight', now.inFlight);
  show('order-log', now.stalled ? 'stalled' : 'takes orders', now.stalled);
  const happened = last ? between(last, now) : null;
  if (last && !happened) readings.splice(0, readings.length, now);
  rates.add(at, { accepted: happened?.accepted ?? null, refused: happened?.refused ?? null });
  if (!happened) return;
  show('accepted', Math.round(happened.accepted));
  show('refused', Math.round(happened.refused));
  const p99 = between(readings[0], now)?.p99 ?? null;
  show('p99', p99 === null ? '–' : `${(p99 * 1000).toFixed(p99 < 0.01 ? 1 : 0)} ms`);
}

function showReady(answer) {
  const missing = answer?.missing ?? [];
  const word = answer === null ? 'unknown' : answer.ready ? 'yes' : 'no';
  show('ready', missing.length > 0 ? `${word}, without ${missing.join(', ')}` : word, word !== 'yes');
}

function showFlow(answer) {
  show('unwritten', answer?.unwritten);
  show('outbox', answer?.outbox);
  show('drift', answer?.drift, answer?.drift > 0);
}

function show(id, value, bad = false) {
  const place = element(id);
  place.textContent = typeof value === 'number' ? value.toLocaleString('en') : value ?? '–';
  place.classList.toggle('bad', bad);
}

function showConnection(connected) {
  const badge = element('connection');
  const word = connected ? 'live' : 'no answer';
  if (badge.textContent !== word) badge.textContent = word;
  badge.className = `badge ${connected ? 'good' : 'bad'}`;
}

async function askAll() {
  const at = Date.now();
  const [list, metrics, ready, flow] = await Promise.all([
    ask('/v1/sales', 'json'),
    ask('/metrics', 'text'),
    ask('/readyz', 'json'),
    ask('/dashboard/flow', 'json'),
  ]);
  showConnection(metrics !== null);
  showSales(list);
  showMeasures(metrics, at);
  showReady(ready);
  showFlow(flow);
  if (sales.chosen) remaining.add(at, { remaining: sales.chosen.remaining });
  setTimeout(askAll, Math.max(0, ASK_EVERY - (Date.now() - at)));
}

if (document.documentElement.dataset.profile === 'dev') {
  element('buy').hidden = false;
  buy.start(element('order'), element('orders'), () => sales.chosen);
}
askAll();
