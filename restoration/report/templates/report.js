const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("data"), tables = read("tables"), columns = read("columns"), specifications = read("specifications");
columns.points = [["name", "Iniciativa", "Initiative"], ["status", "Estado", "Status"], ["lead", "A cargo de", "Led by"], ["net_ha", "Neto, ha", "Net, ha"],
  ["declared_ha", "Declarado, ha", "Declared, ha"], ["lon", "Longitud", "Longitude"], ["lat", "Latitud", "Latitude"]];
const language = () => document.documentElement.lang;
const home = { scale: 1950, centre: [-75, -9.4] };
const place = { scale: home.scale, x: 0, y: 0 };
let map = null;

function specification(name, width) {
  const spec = JSON.parse(JSON.stringify(specifications[language()][name]));
  const used = [];
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (node && typeof node === "object") { if (node.data && node.data.name) used.push(node.data.name); Object.values(node).forEach(visit); }
  };
  visit(spec);
  fit(spec, width);
  spec.datasets = Object.fromEntries(used.map((set) => [set, data[set]]));
  spec.width = width;
  spec.autosize = { type: "fit-x", contains: "padding" };
  if (width < 380 && spec.height === undefined && named(spec)) spec.height = { step: 30 };  // names in two lines
  if (name === "map") { spec.height = Math.min(700, Math.max(420, Math.round(width * 1.2))); spec.autosize = "none"; }
  return spec;
}

// whether any part of a chart has a bar a name, without bars beside each other
const named = (node) => Boolean(node) && typeof node === "object" &&
  ((node.y && node.y.type === "nominal" && !node.yOffset) || Object.values(node).some(named));

// what fits on a phone does not fill a screen
function fit(node, width) {
  if (!node || typeof node !== "object") return;
  if (Array.isArray(node)) return node.forEach((child) => fit(child, width));
  if (node.labelLimit && !node.columns) {
    node.labelLimit = width < 380 ? 125 : width < 520 ? 190 : 280;
    if (width < 380) node.labelExpr = "split(replace(datum.label, regexp('(.{9,18}) ', 'g'), '$1|'), '|')";
  }
  if (node.columns) Object.assign(node, { columns: width < 520 ? 1 : 3, labelLimit: width - 40 });
  Object.values(node).forEach((child) => fit(child, width));
}

async function draw(element) {
  const name = element.dataset.chart, width = Math.max(260, element.clientWidth);
  const drawn = await vegaEmbed(element, specification(name, width), { actions: false, logLevel: 1, renderer: name === "map" ? "canvas" : "svg" });
  if (name !== "map") return;
  const canvas = element.querySelector("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", specifications[language()].map.description);
  map = drawn.view;
  place.base = [map.width() / 2, map.height() / 2];
  place.fit = Math.min(1, map.height() / 700, map.width() / 560);
  move();
  map.addEventListener("click", (event, item) => { if (item && item.datum) popup(item.datum); });
}

function move() {
  if (!map) return;
  map.signal("mapScale", place.scale * place.fit).signal("mapMiddle", [place.base[0] + place.x, place.base[1] + place.y]).runAsync();
}

function zoom(factor, x = place.base[0], y = place.base[1]) {
  const next = Math.min(home.scale * 60, Math.max(home.scale * 0.6, place.scale * factor)), real = next / place.scale;
  place.x = x - place.base[0] - (x - place.base[0] - place.x) * real;
  place.y = y - place.base[1] - (y - place.base[1] - place.y) * real;
  place.scale = next;
  move();
}

function popup(datum) {
  const box = document.getElementById("popup"), es = language() === "es", found = datum.properties || datum;
  const totals = datum.properties ? data.departments.find((d) => d.department_ubigeo === found.ubigeo) : null;
  const number = (value) => (value == null ? "–" : Number(value).toLocaleString("en-US", { maximumFractionDigits: 1 }));
  box.replaceChildren();
  const title = document.createElement("b");
  title.textContent = datum.properties ? found.name : found.name || "";
  const text = document.createElement("div");
  text.textContent = datum.properties
    ? `${number(totals && totals.net_ha)} ha ${es ? "netas" : "net"} · ${number(totals && totals.initiative_count)} ${es ? "iniciativas" : "initiatives"}`
    : `${found.lead || ""} · ${number(found.net_ha)} ha ${es ? "netas" : "net"} · ${number(found.declared_ha)} ha ${es ? "declaradas" : "declared"}`;
  box.append(title, text);
}

function csv(name) {
  const rows = data[name] || tables[name], heads = columns[name], place = language() === "es" ? 1 : 2;
  const cell = (value) => {
    let text = value == null ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text; // a spreadsheet would run it
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [heads.map((head) => cell(head[place])), ...rows.map((row) => heads.map((head) => cell(row[head[0]])))];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff" + lines.map((line) => line.join(",")).join("\r\n")], { type: "text/csv" }));
  link.download = `restauracion_${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const charts = [...document.querySelectorAll("[data-chart]")];
async function drawAll() {
  for (const element of charts) await draw(element);
  document.documentElement.dataset.drawn = language();
}

document.getElementById("language").addEventListener("click", () => {
  document.documentElement.lang = language() === "es" ? "en" : "es";
  document.title = language() === "es" ? document.title.replace("Ecosystem restoration in Peru", "Restauración de ecosistemas del Perú")
    : document.title.replace("Restauración de ecosistemas del Perú", "Ecosystem restoration in Peru");
  drawAll();
});
document.getElementById("print").addEventListener("click", () => window.print());
for (const button of document.querySelectorAll("[data-csv]")) button.addEventListener("click", () => csv(button.dataset.csv));
const steps = { in: () => zoom(1.6), out: () => zoom(1 / 1.6), left: () => { place.x += 90; move(); }, right: () => { place.x -= 90; move(); },
  up: () => { place.y += 90; move(); }, down: () => { place.y -= 90; move(); }, reset: () => { Object.assign(place, { scale: home.scale, x: 0, y: 0 }); move(); } };
for (const button of document.querySelectorAll("[data-map]")) button.addEventListener("click", steps[button.dataset.map]);
const canvas = document.getElementById("chart-map");
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !canvas.matches(":focus-within") && !canvas.dataset.active) return; // the page scrolls until the map is taken
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
let held = null;
canvas.addEventListener("pointerdown", (event) => { canvas.dataset.active = "yes"; held = { x: event.clientX - place.x, y: event.clientY - place.y }; });
window.addEventListener("pointermove", (event) => { if (held && event.buttons) { place.x = event.clientX - held.x; place.y = event.clientY - held.y; move(); } });
window.addEventListener("pointerup", () => { held = null; });
canvas.addEventListener("mouseleave", () => { delete canvas.dataset.active; });
let wide = window.innerWidth, later = 0;
window.addEventListener("resize", () => { if (window.innerWidth === wide) return; wide = window.innerWidth; clearTimeout(later); later = setTimeout(drawAll, 200); });
drawAll();
