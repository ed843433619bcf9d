/** Renders /api/openapi.json: sections, operations, schemas, and a form that tries an operation with a token. One file, no foreign byte. */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>REST API</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a7ea4; }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
  h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
  details { border: 1px solid var(--line); border-radius: 6px; margin: .35rem 0; }
  summary { cursor: pointer; padding: .4rem .7rem; display: flex; gap: .7rem; align-items: baseline; flex-wrap: wrap; }
  summary code { font-weight: 600; overflow-wrap: anywhere; } summary span { opacity: .75; }
  .method { font: 600 .75rem/1 ui-monospace, monospace; text-transform: uppercase; min-width: 3.6rem; color: var(--accent); }
  .method.delete { color: #c0392b; } .method.post { color: #2e8b57; } .method.put { color: #b8860b; }
  .body { padding: .2rem .9rem .9rem; border-top: 1px solid var(--line); }
  pre { background: var(--soft); padding: .6rem; border-radius: 6px; overflow: auto; max-height: 24rem; margin: .4rem 0; }
  label { display: block; margin: .4rem 0; } label b { font: 600 .85rem ui-monospace, monospace; }
  input, textarea { width: 100%; box-sizing: border-box; font: .85rem ui-monospace, monospace; padding: .35rem; border: 1px solid var(--line); border-radius: 4px; background: transparent; color: inherit; }
  textarea { min-height: 6rem; } button { font: inherit; padding: .35rem .9rem; border-radius: 4px; border: 1px solid var(--line); cursor: pointer; }
  form.bar { display: flex; gap: .5rem; flex-wrap: wrap; align-items: end; } form.bar label { flex: 1 1 12rem; margin: 0; }
  small { opacity: .75; }
</style>
</head>
<body>
<h1 id="title">REST API</h1>
<p id="about"></p>
<form class="bar" id="login">
  <label><b>User</b><input name="username" autocomplete="username"></label>
  <label><b>Password</b><input name="password" type="password" autocomplete="current-password"></label>
  <button>Sign in</button>
</form>
<label><b>Token</b><input id="token" placeholder="from signing in, or paste one" autocomplete="off"></label>
<label><b>Search</b><input id="search" type="search" placeholder="path or summary"></label>
<main id="operations"><p>Loading…</p></main>
<h2>Schemas</h2>
<section id="schemas"></section>
<script>
"use strict";
const byId = (id) => document.getElementById(id);
function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "class") node.className = value; else if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
function typeText(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type;
  if (schema.type === "array") return typeText(schema.items) + "[]";
  if (schema.enum) return schema.enum.join(" | ");
  const union = schema.oneOf ?? schema.anyOf;
  if (union) return union.map(typeText).join(" | ");
  return type ?? "any";
}
function example(document_, schema, depth) {
  if (!schema || depth > 5) return null;
  if (schema.$ref) return example(document_, document_.components.schemas[schema.$ref.split("/").pop()], depth + 1);
  if (schema.enum) return schema.enum[0];
  const union = schema.oneOf ?? schema.anyOf;
  if (union) return example(document_, union[0], depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "array") return [example(document_, schema.items, depth + 1)];
  if (type === "string") return schema.format === "uuid" ? "00000000-0000-0000-0000-000000000000" : "";
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return false;
  const result = {};
  for (const name of schema.required ?? Object.keys(schema.properties ?? {})) result[name] = example(document_, (schema.properties ?? {})[name], depth + 1);
  return result;
}
function operationNode(document_, path, method, operation) {
  const fields = [];
  const parameters = (operation.parameters ?? []).map((parameter) => {
    const input = make("input", { placeholder: typeText(parameter.schema) });
    fields.push({ parameter, input });
    return make("label", {}, make("b", { textContent: parameter.name }), " ", make("small", { textContent: parameter.in + (parameter.required ? ", required" : "") }), input);
  });
  const json = operation.requestBody?.content?.["application/json"];
  const body = json ? make("textarea", { value: JSON.stringify(json.example ?? example(document_, json.schema, 0), null, 2) }) : null;
  const answers = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const schema = Object.values(response.content ?? {})[0]?.schema;
    return make("li", {}, make("code", { textContent: status }), " " + (response.description ?? "") + " ", make("small", { textContent: typeText(schema) }));
  });
  const output = make("pre", { hidden: true });
  const run = make("button", { type: "button", textContent: "Try it" });
  run.onclick = async () => {
    let url = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") url = url.replace("{" + parameter.name + "}", encodeURIComponent(input.value));
      else if (input.value !== "") query.set(parameter.name, input.value);
    }
    const headers = { "content-type": "application/json" };
    if (byId("token").value) headers["x-authorization"] = "Bearer " + byId("token").value;
    output.hidden = false;
    try {
      const response = await fetch(url + (query.size ? "?" + query : ""), { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch {}
      output.textContent = response.status + " " + response.statusText + "\\n" + shown;
    } catch (error) { output.textContent = String(error); }
  };
  const node = make("details", {},
    make("summary", {}, make("b", { class: "method " + method, textContent: method }), make("code", { textContent: path }), make("span", { textContent: operation.summary ?? "" })),
    make("div", { class: "body" }, make("p", {}, make("small", { textContent: operation.description ?? "Open to anyone" })), ...parameters,
      json ? make("label", {}, make("b", { textContent: "Body " }), make("small", { textContent: typeText(json.schema) }), body) : null,
      make("ul", {}, ...answers), run, output));
  node.dataset.text = (path + " " + method + " " + (operation.summary ?? "")).toLowerCase();
  return node;
}
function show(document_) {
  byId("title").textContent = document_.info.title + " " + document_.info.version;
  byId("about").textContent = document_.info.description ?? "";
  document.title = document_.info.title;
  const sections = new Map((document_.tags ?? []).map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = operation.tags?.[0] ?? "Other";
      if (!sections.has(tag)) sections.set(tag, []);
      sections.get(tag).push(operationNode(document_, path, method, operation));
    }
  }
  byId("operations").replaceChildren(...[...sections].map(([tag, nodes]) => make("section", {}, make("h2", { textContent: tag }), ...nodes)));
  byId("schemas").replaceChildren(...Object.entries(document_.components?.schemas ?? {}).map(([name, schema]) =>
    make("details", {}, make("summary", {}, make("code", { textContent: name })), make("div", { class: "body" }, make("pre", { textContent: JSON.stringify(schema, null, 2) })))));
}
byId("search").oninput = (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const node of byId("operations").querySelectorAll("details")) node.hidden = !node.dataset.text.includes(wanted);
};
byId("login").onsubmit = async (event) => {
  event.preventDefault();
  const { username, password } = Object.fromEntries(new FormData(event.target));
  const response = await fetch("/api/auth/login", { method: "POST", body: JSON.stringify({ username, password }) });
  const answer = await response.json();
  byId("token").value = answer.token ?? "";
  if (!response.ok) alert(answer.message);
};
fetch("/api/openapi.json").then((response) => response.json()).then(show, (error) => { byId("operations").textContent = String(error); });
</script>
</body>
</html>
`;
