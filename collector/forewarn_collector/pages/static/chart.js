// The big chart: asks the API for readings and lets Plotly draw them; zooming in asks for more.
"use strict";

(function () {
  const plot = document.getElementById("plot");
  const drawing = document.getElementById("drawing");
  const trouble = document.getElementById("plot-trouble");
  const legend = document.getElementById("legend");
  const wanted = JSON.parse(plot.dataset.wanted);
  const STEPS = 600;
  const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let shown = 0;

  // Plotly reads a little HTML in names; what hosts say is shown, never read.
  function inert(text) {
    return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
      .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function see(hex, share) {
    const n = parseInt(hex.slice(1), 16);
    return `rgba(${n >> 16}, ${(n >> 8) & 255}, ${n & 255}, ${share})`;
  }

  // What tells a series from the others: its component, then what else differs.
  function nameOf(labels, all) {
    const own = wanted.component.map((label) => labels[label] || "");
    const same = all.filter((one) => wanted.component.every((label, n) => (one.labels[label] || "") === own[n]));
    const more = same.length > 1
      ? Object.keys(labels).sort().filter((label) => !wanted.component.includes(label)).map((label) => labels[label])
      : [];
    return inert([...own, ...more].filter(Boolean).join(" ")) || inert(wanted.title);
  }

  // Plotly knows no time zones: it is given local times as if they were UTC.
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: wanted.zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  function local(at) {
    const p = Object.fromEntries(parts.formatToParts(at).map((part) => [part.type, part.value]));
    return `${p.year}-${p.month}-${p.day}T${p.hour}:${p.minute}:${p.second}`;
  }
  function unlocal(text) {
    const guess = new Date(`${text.replace(" ", "T").slice(0, 19)}Z`);
    const off = new Date(`${local(guess)}Z`) - guess;
    return new Date(guess.getTime() - off);
  }

  function scale(series) {
    if (wanted.unit !== "bytes") return { by: wanted.unit === "ratio" ? 100 : 1, unit: { ratio: "%", celsius: "°C", seconds: "s", count: "" }[wanted.unit] };
    const highest = Math.max(1, ...series.flatMap((one) => one.high));
    const power = Math.min(Math.floor(Math.log2(highest) / 10), BINARY.length - 1);
    return { by: 1 / 1024 ** power, unit: BINARY[power] };
  }
  function scaled(series) {
    if (wanted.unit !== "seconds") return scale(series);
    const highest = Math.max(0, ...series.flatMap((one) => one.high));
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (highest >= 2 * size) return { by: 1 / size, unit };
    }
    return { by: 1, unit: "s" };
  }

  // A hole in the readings is a hole in the line.
  function columns(one, by, gap) {
    const found = { x: [], y: [], low: [], high: [] };
    let before = null;
    one.at.forEach((text, n) => {
      const at = new Date(text);
      if (before !== null && at - before > gap) {
        found.x.push(local(new Date(+before + 1000)));
        found.y.push(null); found.low.push(null); found.high.push(null);
      }
      found.x.push(local(at));
      found.y.push(one.value[n] === null ? null : one.value[n] * by);
      found.low.push(one.low[n] === null ? null : one.low[n] * by);
      found.high.push(one.high[n] === null ? null : one.high[n] * by);
      before = at;
    });
    return found;
  }

  // One closed outline for each stretch without a hole.
  function band(held) {
    const outline = { x: [], y: [] };
    let begin = 0;
    for (let n = 0; n <= held.x.length; n++) {
      if (n < held.x.length && held.y[n] !== null) continue;
      if (n > begin) {
        const back = held.x.slice(begin, n).reverse();
        outline.x.push(...held.x.slice(begin, n), ...back, null);
        outline.y.push(...held.high.slice(begin, n), ...held.low.slice(begin, n).reverse(), null);
      }
      begin = n + 1;
    }
    return outline;
  }

  function traces(series, by, unit, gap) {
    const found = [];
    series.forEach((one, index) => {
      const hue = colour(`s${index % 8}`);
      const name = nameOf(one.labels, series);
      const held = columns(one, by, gap);
      const shape = wanted.kind === "state" ? "hv" : "linear";
      const spread = one.high.some((high, n) => high - one.low[n] > Math.abs(high) * 1e-6);
      if (spread && wanted.kind !== "state") {
        found.push({ ...band(held), mode: "lines", line: { width: 0, color: hue }, fill: "toself", fillcolor: see(hue, 0.18), legendgroup: `${index}`, showlegend: false, hoverinfo: "skip" });
      }
      found.push({
        x: held.x, y: held.y, name, mode: held.x.length < 3 ? "lines+markers" : "lines",
        line: { color: hue, width: 2, shape }, legendgroup: `${index}`, connectgaps: false,
        hovertemplate: `%{y:.4~g} ${unit}<extra>${name}</extra>`,
      });
    });
    return found;
  }

  function marks(by) {
    return wanted.marks.map((mark) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: mark.value * by, y1: mark.value * by,
      line: { color: colour(mark.severity), width: 1.5, dash: "dash" },
    }));
  }

  function layout(answer, by, unit, lines) {
    const axis = { gridcolor: colour("line"), linecolor: colour("strong-line"), zeroline: false, tickfont: { color: colour("soft") } };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 13 },
      margin: { l: 64, r: 16, t: 16, b: 44 }, hovermode: "x unified", dragmode: "zoom",
      hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("strong-line"), font: { color: colour("ink") } },
      xaxis: { ...axis, type: "date", tickangle: 0, nticks: Math.max(3, Math.floor(plot.clientWidth / 130)), range: [local(new Date(answer.since)), local(new Date(answer.until))] },
      yaxis: { ...axis, title: { text: unit, font: { color: colour("soft") } }, rangemode: wanted.unit === "celsius" ? "normal" : "tozero", ...(wanted.kind === "state" ? { range: [-0.1, 1.1], tickvals: [0, 1], ticktext: ["no", "yes"] } : wanted.kind === "bar" ? { range: [0, 102] } : {}) },
      showlegend: lines > 1, legend: { orientation: "h", y: -0.16, font: { color: colour("soft") } },
      shapes: marks(by),
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("accent") },
    };
  }

  async function fetched(since, until) {
    const query = new URLSearchParams({ metric: wanted.metric, since: since.toISOString(), until: until.toISOString(), steps: STEPS });
    const answer = await fetch(`/api/v1/hosts/${wanted.host}/history?${query}`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error((await answer.json()).error || `the collector answered ${answer.status}`);
    return answer.json();
  }

  async function show(since, until) {
    const mine = ++shown;
    const answer = await fetched(since, until);
    if (mine !== shown) return;
    const { by, unit } = scaled(answer.series);
    const gap = 2500 * Math.max(wanted.every_seconds, (until - since) / 1000 / STEPS);
    const drawn = traces(answer.series, by, unit, gap);
    plot.hidden = false;
    drawing.hidden = true;
    if (legend) legend.hidden = true;
    await Plotly.react(plot, drawn, layout(answer, by, unit, answer.series.length), {
      displaylogo: false, responsive: true, displayModeBar: true,
      // What is watched stays here: without this there is a button that uploads the chart.
      showSendToCloud: false, plotlyServerURL: "",
      modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
    plot.dataset.ready = "yes";
  }

  function told(problem) {
    trouble.textContent = `The readings could not be had: ${problem.message}. The drawing above shows what the page came with.`;
    trouble.hidden = false;
  }

  let span = [new Date(wanted.since), new Date(wanted.until)];
  function again() { show(...span).catch(told); }

  function zoomed(change) {
    if (change["xaxis.autorange"]) span = [new Date(wanted.since), new Date(wanted.until)];
    else if (change["xaxis.range[0]"]) span = [unlocal(change["xaxis.range[0]"]), unlocal(change["xaxis.range[1]"])];
    else return;
    again();
  }

  show(...span).then(() => plot.on("plotly_relayout", zoomed)).catch(told);
  document.addEventListener("theme", again);
})();
