"use strict";
// Text of files enters the page by textContent only, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const count = data.x.length;
  const plot = at("plot");
  const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1",
    "#b2a100", "#7f7f7f", "#1b7837"];
  const UNKNOWN = "#9aa3ab";
  const words = (name) => name.replaceAll("_", " ");
  const grouped = (number) => number.toLocaleString("en-US");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const valueOf = (field, i) => field.values[field.by_run ? data.run[i] : i];
  const show = (value) => value === null || value === undefined ? "unknown"
    : typeof value === "number" ? String(+value.toPrecision(4)) : value;
  const isShare = (name) => name.endsWith("_accuracy") || name === "generalization_gap";
  const said = (field, value) => isShare(field.name) && typeof value === "number"
    ? `${(100 * value).toFixed(2)} %` : show(value);

  function canDraw() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }
  const kind = canDraw() ? "scattergl" : "scatter";
  let selected = null;

  // What is drawn, in the order of drawing.

  function lineTrace() {
    const x = [], y = [];
    for (let i = 0; i < count; i++) {
      if (i && data.run[i] !== data.run[i - 1]) { x.push(null); y.push(null); }
      x.push(data.x[i]); y.push(data.y[i]);
    }
    return {type: kind, mode: "lines", x, y, hoverinfo: "skip", connectgaps: false,
      visible: at("lines").checked, opacity: count > 20000 ? 0.12 : count > 5000 ? 0.25 : 0.45,
      line: {width: 1, color: css("--soft")}};
  }

  function pointTrace(indices, marker) {
    const size = indices.length > 20000 ? 3 : indices.length > 3000 ? 4 : 7;
    return {type: kind, mode: "markers", hoverinfo: "none", customdata: indices,
      x: indices.map((i) => data.x[i]), y: indices.map((i) => data.y[i]),
      marker: {size, opacity: 0.85, line: {width: 0}, ...marker}};
  }

  function pointTraces(field, indices) {
    const known = indices.filter((i) => valueOf(field, i) !== null);
    const unknown = indices.filter((i) => valueOf(field, i) === null);
    const grey = pointTrace(unknown, {color: UNKNOWN});
    if (field.numbers) return [grey, numberTrace(field, known)];
    const groups = groupsOf(field);
    const place = new Map(groups.map((group, g) => [group.value, g]));
    const last = groups.length - 1;
    return [grey, pointTrace(known, {
      color: known.map((i) => place.get(valueOf(field, i)) ?? last),
      cmin: -0.5, cmax: last + 0.5, showscale: false,
      colorscale: groups.flatMap((group, g) =>
        [[g / groups.length, group.colour], [(g + 1) / groups.length, group.colour]]),
    })];
  }

  function numberTrace(field, known) {
    const values = known.map((i) => valueOf(field, i));
    const [cmin, cmax] = rangeOf(field);
    return pointTrace(known, {
      color: values, cmin, cmax, colorscale: "Viridis", showscale: true,
      colorbar: {title: {text: words(escaped(field.name)), side: "right"}, thickness: 14,
        outlinewidth: 0, tickformat: isShare(field.name) ? ".0%" : ""},
    });
  }

  // Of all epochs, so that colours stay when one is chosen; a few diverged losses must not take all.
  function rangeOf(field) {
    const sorted = field.values.filter((value) => value !== null).sort((a, b) => a - b);
    const cut = field.name.endsWith("_loss") ? Math.floor(0.02 * sorted.length) : 0;
    return [sorted[cut], sorted[sorted.length - 1 - cut]];
  }

  // Plotly reads a little markup in texts of its own.
  const escaped = (text) => String(text).replace(/[<>&]/g,
    (c) => ({"<": "&lt;", ">": "&gt;", "&": "&amp;"})[c]);

  function groupsOf(field) {
    const counts = new Map();
    for (const value of field.values) if (value !== null) counts.set(value, (counts.get(value) || 0) + 1);
    const order = [...counts.keys()];
    if (field.name === "split") {
      const usual = ["train", "validation", "test"];
      order.sort((a, b) => usual.indexOf(a) - usual.indexOf(b));
    } else {
      order.sort((a, b) => counts.get(b) - counts.get(a) || String(a).localeCompare(String(b)));
    }
    const named = order.slice(0, PALETTE.length).map((value, g) => ({value, label: show(value), colour: PALETTE[g]}));
    const rest = order.length - named.length;
    return rest ? [...named, {value: undefined, label: `${rest} others`, colour: UNKNOWN}] : named;
  }

  function markTraces() {
    if (selected === null) return [];
    const run = [...Array(count).keys()].filter((i) => data.run[i] === data.run[selected]);
    const near = neighboursOf(selected).map(([i]) => i);
    const xs = (indices) => ({x: indices.map((i) => data.x[i]), y: indices.map((i) => data.y[i])});
    const mark = css("--mark");
    const ring = (color, size, width) => ({symbol: "circle-open", size, color, line: {width}});
    return [
      {type: kind, mode: "lines", ...xs(run), hoverinfo: "skip", line: {width: 3, color: mark}},
      {type: kind, mode: "markers+text", ...xs(near), hoverinfo: "none", customdata: near,
        text: near.map((_, n) => String(n + 1)), textposition: "top right",
        textfont: {color: css("--ink"), size: 14}, marker: ring(css("--ink"), 14, 3)},
      {type: kind, mode: "markers", ...xs([selected]), hoverinfo: "none", customdata: [selected],
        marker: ring(mark, 17, 4)},
    ];
  }

  function axis(n) {
    const share = (100 * data.explained[n]).toFixed(1);
    return {title: {text: `Component ${n + 1} (${share} % of the variance)`}, zeroline: false,
      gridcolor: css("--rule"), linecolor: css("--rule")};
  }

  function draw() {
    at("tip").style.display = "none";
    const field = data.fields[at("colour").value];
    const epoch = at("epoch").value;
    const indices = [...Array(count).keys()].filter((i) => epoch === "" || String(data.epoch[i]) === epoch);
    const layout = {
      xaxis: axis(0), yaxis: axis(1), showlegend: false, hovermode: "closest", dragmode: "pan",
      margin: {l: 60, r: 20, t: 36, b: 50}, uirevision: "same", font: {color: css("--ink"), size: 13},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      modebar: {bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--accent")},
    };
    // plotly.js offers to upload charts unless told otherwise.
    const config = {displaylogo: false, scrollZoom: true, showSendToCloud: false, displayModeBar: true,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"]};
    const shown = Plotly.react(plot, [lineTrace(), ...pointTraces(field, indices), ...markTraces()], layout, config);
    drawLegend(field);
    return shown;
  }

  function drawLegend(field) {
    at("legend").replaceChildren(...(field.numbers ? [] : groupsOf(field)).map((group) => {
      const entry = element("span", group.label), dot = document.createElement("i");
      dot.style.background = group.colour;
      entry.prepend(dot);
      return entry;
    }));
  }

  // What is said of a point.

  function element(tag, text) {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  }

  function neighboursOf(i) {
    return Array.from({length: data.k}, (_, n) =>
      [data.neighbours[i * data.k + n], data.distances[i * data.k + n]]);
  }

  function titleOf(i) { return `Run ${data.runs[data.run[i]]}, epoch ${data.epoch[i]}`; }

  function details(i) {
    return data.fields.filter((field) => field.name !== "epoch").flatMap((field) =>
      [element("dt", words(field.name)), element("dd", said(field, valueOf(field, i)))]);
  }

  function select(i) {
    selected = i;
    at("hint").hidden = i !== null;
    at("which").textContent = i === null ? "No point selected" : titleOf(i);
    at("details").replaceChildren(...(i === null ? [] : details(i)));
    at("neighbours").replaceChildren(...(i === null ? [] : nearestOf(i)));
    draw();
  }

  function nearestOf(i) {
    if (!data.k) return [element("p", "No other run to compare with.")];
    const table = document.createElement("table"), head = table.createTHead().insertRow();
    const accuracy = data.fields.find((field) => field.name === "test_accuracy");
    for (const title of ["", "epoch", ...(accuracy ? ["accuracy"] : []), "distance"]) head.append(element("th", title));
    const body = table.createTBody();
    neighboursOf(i).forEach(([j, distance], n) => {
      const row = body.insertRow(), name = data.runs[data.run[j]];
      const button = element("button", `${n + 1}. run ${name.split(":", 1)[0]}`);
      button.title = name;
      button.addEventListener("click", () => select(j));
      row.insertCell().append(button);
      for (const text of [data.epoch[j], ...(accuracy ? [said(accuracy, valueOf(accuracy, j))] : []), distance.toFixed(3)])
        row.append(element("td", text));
    });
    return [element("h2", "Nearest networks, one of each other run"), table];
  }

  function tip(event) {
    const point = event.points[0], box = at("tip");
    const list = document.createElement("dl");
    list.append(...details(point.customdata));
    box.replaceChildren(element("strong", titleOf(point.customdata)), list);
    box.style.display = "block";
    const {clientX, clientY} = event.event, {offsetWidth, offsetHeight} = box;
    box.style.left = `${Math.max(4, clientX + 16 + offsetWidth > innerWidth ? clientX - offsetWidth - 16 : clientX + 16)}px`;
    box.style.top = `${Math.max(4, Math.min(clientY + 16, innerHeight - offsetHeight - 4))}px`;
  }

  // The page around the plot.

  function texts() {
    const all = data.checkpoints, share = (100 * (data.explained[0] + data.explained[1])).toFixed(1);
    const some = count < all
      ? ` Shown are ${grouped(count)} of ${grouped(all)} checkpoints, those of ${grouped(data.runs.length)} of ${grouped(data.all_runs)} runs, evenly spaced; neighbours are sought among them.`
      : ` ${grouped(count)} checkpoints of ${grouped(data.runs.length)} runs.`;
    at("said").textContent = `The two axes hold ${share} % of the variance of the embedding ` +
      `(${data.pooling}, ${data.dimensions} dimensions, each brought to deviation 1), so that what looks close may ` +
      "not be. Distances and nearest networks are of the whole embedding; 1 is one deviation in a typical dimension." + some;
    const same = Object.entries(data.constants).map(([name, value]) => `${words(name)} ${show(value)}`);
    if (same.length) at("same").textContent = `The same for all: ${same.join(", ")}.`;
  }

  function option(value, text) {
    const made = element("option", text);
    made.value = value;
    return made;
  }

  texts();
  at("colour").append(...data.fields.map((field, f) => option(String(f), words(field.name))));
  const epochs = [...new Set(data.epoch)].sort((a, b) => a - b);
  at("epoch").append(option("", "all"), ...epochs.map((epoch) => option(String(epoch), String(epoch))));
  at("lines").checked = epochs.length > 1 && data.runs.length <= 200;
  for (const id of ["colour", "epoch", "lines"]) at(id).addEventListener("change", draw);
  draw().then(() => {
    plot.on("plotly_hover", tip);
    plot.on("plotly_unhover", () => { at("tip").style.display = "none"; });
    plot.on("plotly_click", (event) => select(event.points[0].customdata));
  });
  new ResizeObserver(() => { if (plot.data) Plotly.Plots.resize(plot); }).observe(plot);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && selected !== null) select(null); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
