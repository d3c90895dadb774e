// Lines over the last two minutes, or as long as the page is open, drawn by hand.

const SPAN = 120_000;
const SHORTEST = 20_000;
const LEFT = 48;
const ROOM = 6;
const BELOW = 18;

export class Plot {
  #canvas;
  #lines;
  #points = [];

  // `lines`: name of the value → name of the colour among the page's properties.
  constructor(canvas, lines) {
    this.#canvas = canvas;
    this.#lines = lines;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  clear() {
    this.#points = [];
    this.draw();
  }

  // Adds the values of one moment; a value that is null leaves a gap.
  add(at, values) {
    this.#points.push({ at, ...values });
    while (this.#points.length > 0 && this.#points[0].at < at - SPAN) this.#points.shift();
    this.draw();
  }

  draw() {
    const { canvas, context, width, height } = this.#fresh();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const names = Object.keys(this.#lines);
    const most = nice(Math.max(1, ...this.#points.flatMap((point) => names.map((name) => point[name] ?? 0))));
    const end = this.#points.at(-1)?.at ?? 0;
    const span = Math.max(SHORTEST, end - (this.#points[0]?.at ?? end));
    const x = (at) => LEFT + ((at - end + span) / span) * (width - LEFT - ROOM);
    const y = (value) => ROOM + (1 - value / most) * (height - ROOM - BELOW);

    context.font = '12px system-ui, sans-serif';
    context.fillStyle = colour('--soft');
    context.strokeStyle = colour('--line');
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const share of [0, 0.5, 1]) {
      context.beginPath();
      context.moveTo(LEFT, y(share * most));
      context.lineTo(width - ROOM, y(share * most));
      context.stroke();
      context.fillText(short(share * most), LEFT - 6, y(share * most));
    }
    context.textBaseline = 'bottom';
    context.fillText('now', width - ROOM, height);
    context.textAlign = 'left';
    context.fillText(`${Math.round(span / 1000)} s ago`, LEFT, height);

    context.lineWidth = 2;
    context.lineJoin = 'round';
    for (const name of names) {
      context.strokeStyle = colour(this.#lines[name]);
      context.beginPath();
      let pen = false;
      for (const point of this.#points) {
        const known = point[name] !== null;
        if (known) context[pen ? 'lineTo' : 'moveTo'](x(point.at), y(point[name]));
        pen = known;
      }
      context.stroke();
    }
    const last = this.#points.at(-1);
    const told = names.map((name) => `${name} ${last?.[name] == null ? 'unknown' : Math.round(last[name])}`);
    canvas.setAttribute('aria-label', `The last two minutes; now: ${told.join(', ')}`);
  }

  // The canvas, empty, at the screen's own resolution.
  #fresh() {
    const canvas = this.#canvas;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext('2d');
    context.scale(scale, scale);
    return { canvas, context, width, height };
  }
}

// The least of 1, 2, 5, 10, 20, … that is not less.
function nice(value) {
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= value);
}

function short(value) {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1e4 ? `${value / 1e3}k` : `${value}`;
}
