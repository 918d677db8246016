// A chart of one kind of reading, with the times shaded in which nothing came.

import uPlot from "uplot";

const HEIGHT = 150;
const SHADE = "rgba(198, 40, 40, 0.15)";

export class Chart {
  constructor(parent, kind, shown) {
    this.element = parent.appendChild(document.createElement("div"));
    this.element.dataset.kind = kind;
    this.shades = [];
    const style = getComputedStyle(document.documentElement);
    const stroke = style.getPropertyValue("color") || "#888";
    this.plot = new uPlot(
      {
        title: kind,
        width: this.width(),
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        axes: [
          { stroke, grid: { show: false } },
          { stroke, size: 68, values: (_, ticks) => ticks.map((value) => shown(kind, value)) },
        ],
        series: [{}, { stroke: "#2f81f7", width: 1.5, points: { show: false } }],
        hooks: { drawClear: [(plot) => this.shade(plot)] },
      },
      [[], []],
      this.element,
    );
  }

  width() {
    return Math.max(this.element.clientWidth, 200);
  }

  /** points: a Map with [seconds, value]; the shades: [from, to] in seconds. */
  draw(points, ...shades) {
    this.shades = shades.flat();
    const sorted = [...points.values()].sort((a, b) => a[0] - b[0]);
    this.plot.setData([sorted.map((point) => point[0]), sorted.map((point) => point[1])]);
    if (this.plot.width !== this.width()) this.plot.setSize({ width: this.width(), height: HEIGHT });
  }

  shade(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = SHADE;
    for (const [from, to] of this.shades) {
      const left = Math.max(plot.valToPos(from, "x", true), bbox.left);
      const right = Math.min(plot.valToPos(to ?? Date.now() / 1000, "x", true), bbox.left + bbox.width);
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
    this.element.dataset.shades = this.shades.length;
  }

  destroy() {
    this.plot.destroy();
    this.element.remove();
  }
}
