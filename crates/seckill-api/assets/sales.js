// The list of sales, and which of them is looked at.

const STATES = { scheduled: 'scheduled', open: 'open', paused: 'paused', soldOut: 'sold out', ended: 'ended' };
const GOOD = ['open'];
const BAD = ['soldOut', 'paused'];

export class Sales {
  #list;
  #rows = new Map();
  #chosen = null;
  #known = new Map();
  #onChoice;

  // Shows sales in `list`; `onChoice` hears which sale is looked at.
  constructor(list, onChoice) {
    this.#list = list;
    this.#onChoice = onChoice;
  }

  // The sale that is looked at, as it was seen last.
  get chosen() {
    return this.#known.get(this.#chosen) ?? null;
  }

  // Shows exactly these sales. The first that is open is looked at until the reader chooses.
  showAll(sales) {
    for (const id of [...this.#rows.keys()]) {
      if (sales.some((sale) => sale.id === id)) continue;
      this.#rows.get(id).item.remove();
      this.#rows.delete(id);
      this.#known.delete(id);
    }
    for (const sale of sales) this.show(sale);
    if (!this.#known.has(this.#chosen)) {
      const asked = decodeURIComponent(location.hash.slice(1));
      const first = sales.find(({ id }) => id === asked) ?? sales.find(({ state }) => state === 'open') ?? sales[0];
      if (first) {
        this.choose(first.id);
        // Only within the list, and only if it is not seen there: the page itself stays where it is.
        const { offsetTop, offsetHeight } = this.#rows.get(first.id).item;
        const below = offsetTop - this.#list.offsetTop + offsetHeight - this.#list.clientHeight;
        if (below > 0) this.#list.scrollTop = below + offsetHeight;
      }
    }
  }

  // Shows one sale, unless a later view of it is shown already.
  show(sale) {
    const known = this.#known.get(sale.id);
    if (known && Date.parse(known.serverTime) > Date.parse(sale.serverTime)) return;
    this.#known.set(sale.id, sale);
    const row = this.#rows.get(sale.id) ?? this.#addRow(sale.id);
    row.title.textContent = sale.title === '' ? sale.id : sale.title;
    row.state.textContent = STATES[sale.state] ?? sale.state;
    row.state.className = `badge ${GOOD.includes(sale.state) ? 'good' : BAD.includes(sale.state) ? 'bad' : ''}`;
    row.count.textContent = `${sale.remaining.toLocaleString('en')} of ${sale.stock.toLocaleString('en')} left`;
    row.terms.textContent = terms(sale);
    row.fill.style.width = `${sale.stock === 0 ? 0 : (100 * sale.remaining) / sale.stock}%`;
  }

  choose(id) {
    this.#rows.get(this.#chosen)?.button.setAttribute('aria-pressed', 'false');
    this.#chosen = id;
    this.#rows.get(id).button.setAttribute('aria-pressed', 'true');
    this.#onChoice(this.#known.get(id));
  }

  #addRow(id) {
    const part = (name, className) => Object.assign(document.createElement(name), { className });
    const row = {
      item: document.createElement('li'),
      button: part('button', 'sale'),
      title: part('span', 'name'),
      state: part('span', 'badge'),
      count: part('span', 'count'),
      terms: part('span', 'soft'),
      fill: document.createElement('span'),
    };
    const [above, below, bar] = [part('span', 'line'), part('span', 'line'), part('span', 'bar')];
    row.button.type = 'button';
    row.button.dataset.sale = id;
    row.button.setAttribute('aria-pressed', 'false');
    bar.setAttribute('aria-hidden', 'true');
    bar.append(row.fill);
    above.append(row.title, row.state);
    below.append(row.count, row.terms);
    row.button.append(above, bar, below);
    row.button.addEventListener('click', () => this.choose(id));
    row.item.append(row.button);
    this.#list.append(row.item);
    this.#rows.set(id, row);
    return row;
  }
}

function terms(sale) {
  const time = (text) => new Date(text).toLocaleString();
  const parts = [sale.id];
  if (sale.perBuyerLimit !== null) parts.push(`${sale.perBuyerLimit} a buyer`);
  if (sale.state === 'scheduled' && sale.opensAt) parts.push(`opens ${time(sale.opensAt)}`);
  else if (sale.closesAt) parts.push(`until ${time(sale.closesAt)}`);
  return parts.join(' · ');
}
