// Places orders and shows the way of each: sent → accepted → confirmed, with the time that each step took.

const LOOK_EVERY = 200;
const GIVE_UP_AFTER = 60_000;
const GOODS = 'phone';
const MOST_SHOWN = 8;
const FINAL = ['confirmed', 'rejected', 'cancelled'];

// Makes `form` buy of the sale that `chosen()` says; the orders are shown in `list`.
export function start(form, list, chosen) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const sale = chosen();
    if (!sale) return;
    const way = new Way(list);
    const answer = await place(sale, form.elements.user.value, Number(form.elements.quantity.value));
    if (answer.order) follow(answer.order, way, way.reached(answer.order.status, answer.order));
    else way.refused(answer.problem);
  });
}

async function place(sale, user, quantity) {
  const request = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key() },
    body: JSON.stringify({ user, goods: GOODS, quantity, remark: 'from the dashboard' }),
  };
  try {
    const response = await fetch(`/v1/sales/${encodeURIComponent(sale.id)}/orders`, request);
    const body = await response.json();
    return response.ok ? { order: body } : { problem: body.title };
  } catch {
    return { problem: 'no answer: it may have been taken' };
  }
}

// A new name for an attempt. Where the page did not come over TLS or from this machine there is no randomUUID.
function key() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// Follows an order until it is final: by its stream of events, or else by looking.
function follow(order, way, done) {
  if (done) return;
  const path = `/v1/sales/${encodeURIComponent(order.sale)}/orders/${order.id}`;
  const events = new EventSource(`${path}/events`);
  events.addEventListener('order', ({ data }) => {
    const seen = JSON.parse(data);
    if (way.reached(seen.status, seen)) events.close();
  });
  // A stream that ends is opened again by itself; one that is refused is not.
  events.addEventListener('error', () => {
    if (events.readyState === EventSource.CLOSED) look(path, way, Date.now());
  });
}

async function look(path, way, since) {
  while (Date.now() - since < GIVE_UP_AFTER) {
    await new Promise((wake) => setTimeout(wake, LOOK_EVERY));
    try {
      const response = await fetch(path);
      const order = response.ok ? await response.json() : null;
      if (order && way.reached(order.status, order)) return;
    } catch {
      // The server is away: it is looked again.
    }
  }
}

// The line of one order.
class Way {
  #steps = document.createElement('p');
  #from = performance.now();
  #last = 'sent';
  #note = Object.assign(document.createElement('p'), { className: 'soft' });

  constructor(list) {
    const item = document.createElement('li');
    this.#steps.className = 'way';
    for (const line of [this.#steps, this.#note]) line.style.margin = '0';
    this.#add('sent', '');
    item.append(this.#steps, this.#note);
    list.prepend(item);
    while (list.children.length > MOST_SHOWN) list.lastElementChild.remove();
  }

  // Notes that the order has come to `status`. Whether it goes no further.
  reached(status, order) {
    const final = FINAL.includes(status);
    if (status === this.#last) return final;
    this.#last = status;
    this.#add(status, status === 'confirmed' ? 'good' : final ? 'bad' : '');
    const left = order.remainCount === null ? '' : `, ${order.remainCount} left after it`;
    this.#note.textContent = `${order.quantity} × ${order.goods} for ${order.user}${left} · ${order.id}`;
    return final;
  }

  refused(title) {
    this.#add(title, 'bad');
  }

  #add(word, className) {
    const after = word === 'sent' ? '' : ` ${Math.round(performance.now() - this.#from)} ms`;
    this.#steps.append(Object.assign(document.createElement('span'), { className, textContent: word + after }));
  }
}
