// Draw a short history of the pool as stacked areas.
'use strict';

const chart = {
  LAYERS: ['claimed', 'stopping', 'starting', 'available'],
  WIDTH: 600,
  HEIGHT: 160,

  // Fill `svg` with one area for each layer; `samples` are oldest first.
  draw(svg, samples) {
    const shown = samples.length > 1 ? samples : [{ ...samples[0], time: samples[0].time - 1 }, ...samples];
    const start = shown[0].time;
    const span = shown.at(-1).time - start;
    const top = Math.max(1, ...shown.map((s) => Math.max(s.capacity, this.total(s, this.LAYERS.length))));
    const x = (time) => ((time - start) / span) * this.WIDTH;
    const y = (count) => this.HEIGHT * (1 - count / top);
    const edge = (layers) => shown.map((s) => [x(s.time), y(this.total(s, layers))]);
    svg.replaceChildren(
      ...this.LAYERS.map((name, i) => this.area(name, edge(i + 1), edge(i).reverse())),
    );
    const used = samples.map((sample) => sample.claimed);
    const range = `between ${Math.min(...used)} and ${Math.max(...used)}`;
    svg.setAttribute('aria-label', `Notebooks in use: ${range}, now ${used.at(-1)}.`);
  },

  // The sum of the first `layers` layers.
  total(sample, layers) {
    return this.LAYERS.slice(0, layers).reduce((sum, name) => sum + sample[name], 0);
  },

  area(name, upper, lower) {
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    const points = [...upper, ...lower].map((point) => point.map((n) => n.toFixed(1)).join(' '));
    path.setAttribute('d', `M${points.join('L')}z`);
    path.setAttribute('class', name);
    return path;
  },
};
