"use strict";
// Draws openapi.json. Text reaches the page as text only, never as markup.

const $ = (id) => document.getElementById(id);
let api;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

function resolve(node) {
  if (!node || !node.$ref) return node || {};
  return node.$ref.slice(2).split("/").reduce((found, step) => found[step], api);
}

function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const options = schema.anyOf || schema.oneOf;
  if (options) return options.map(typeOf).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items || {})}`;
  return [schema.format || schema.type || "anything"].flat().join(" | ");
}

function children(schema, depth) {
  if (depth > 6) return null;
  const whole = resolve(schema);
  if (whole.properties) return fields(whole, depth + 1);
  if (whole.type === "array") return children(whole.items || {}, depth + 1);
  const parts = (whole.anyOf || whole.oneOf || []).map((each) => children(each, depth + 1)).filter(Boolean);
  return parts.length ? make("div", {}, ...parts) : null;
}

function fields(schema, depth) {
  const needed = new Set(schema.required || []);
  const list = make("ul", { class: "fields" });
  for (const [name, field] of Object.entries(schema.properties)) {
    const title = [
      make("code", { class: needed.has(name) ? "needed" : undefined }, name), " ",
      make("span", { class: "type" }, typeOf(field)), " ",
      ...withCode(field.description || ""),
    ];
    const inner = children(field, depth);
    list.append(make("li", {}, inner
      ? make("details", {}, make("summary", {}, ...title), inner)
      : make("div", {}, ...title)));
  }
  return list;
}

function drawSchema(schema) {
  const told = resolve(schema).description;
  return make("div", {}, make("p", {}, make("code", {}, typeOf(schema)), ...withCode(told ? ` – ${told}` : "")), children(schema, 0));
}

function example(schema, depth = 0) {
  const whole = resolve(schema);
  if (whole.default !== undefined) return whole.default;
  if (whole.const !== undefined) return whole.const;
  if (whole.enum) return whole.enum[0];
  const options = whole.anyOf || whole.oneOf;
  if (options) return example(options[0], depth);
  if (whole.properties) {
    if (depth > 3) return {};
    const needed = whole.required || Object.keys(whole.properties);
    return Object.fromEntries(needed.map((name) => [name, example(whole.properties[name], depth + 1)]));
  }
  return { array: [], object: {}, integer: 0, number: 0, boolean: false, null: null }[whole.type] ?? "";
}

function drawParameters(parameters, inputs) {
  const table = make("table", {});
  for (const given of parameters) {
    const parameter = resolve(given);
    const input = make("input", { "aria-label": parameter.name, placeholder: parameter.schema.default ?? "" });
    inputs.push([parameter, input]);
    table.append(make("tr", {},
      make("th", {}, make("code", { class: parameter.required ? "needed" : undefined }, parameter.name)),
      make("td", {}, make("span", { class: "type" }, `${parameter.in}, ${typeOf(parameter.schema)}`), make("div", {}, ...withCode(parameter.description || ""))),
      make("td", {}, input)));
  }
  return table;
}

function paragraphs(text) {
  return text.split("\n\n").filter(Boolean).map((each) => make("p", {}, ...withCode(each)));
}

function who() {
  const headers = {};
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  if ($("org").value) headers["X-Org-Id"] = $("org").value;
  if ($("application").value) headers["X-Application-Id"] = $("application").value;
  if ($("user").value) headers["Appstrate-User"] = $("user").value;
  return headers;
}

function requestOf(path, method, inputs, body, form) {
  const headers = who();
  const query = new URLSearchParams();
  let url = path;
  for (const [parameter, input] of inputs) {
    if (!input.value) continue;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query") query.append(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const options = { method: method.toUpperCase(), headers, credentials: "same-origin" };
  if (body instanceof HTMLTextAreaElement) {
    options.body = body.value;
    headers["Content-Type"] = "application/json";
  } else if (body && body.files.length && form) {
    options.body = new FormData();
    options.body.append("file", body.files[0]);
  } else if (body && body.files.length) {
    options.body = body.files[0];
    headers["Content-Type"] = body.files[0].type || "application/octet-stream";
  }
  return [query.size ? `${url}?${query}` : url, options];
}

async function show(response, shown) {
  const head = [`${response.status} ${response.statusText}`];
  response.headers.forEach((value, name) => head.push(`${name}: ${value}`));
  const start = `${head.join("\n")}\n\n`;
  const type = response.headers.get("Content-Type") || "";
  if (type.includes("json")) {
    shown.textContent = start + JSON.stringify(await response.json(), null, 2);
  } else if (type.startsWith("text/")) {
    shown.textContent = start;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) shown.append(part.value);
  } else {
    shown.textContent = `${start}(${(await response.blob()).size} bytes)`;
  }
}

function drawTrial(path, method, operation, inputs) {
  const content = operation.requestBody ? operation.requestBody.content : {};
  const form = Boolean(content["multipart/form-data"]);
  let body;
  if (form || content["application/octet-stream"]) body = make("input", { type: "file", "aria-label": "file" });
  else if (content["application/json"]) {
    body = make("textarea", { "aria-label": "body", spellcheck: "false" });
    body.value = JSON.stringify(example(content["application/json"].schema), null, 2);
  }
  const shown = make("pre", { hidden: true });
  let stop = new AbortController();
  const send = async () => {
    stop.abort();
    stop = new AbortController();
    shown.hidden = false;
    shown.textContent = "…";
    try {
      const [url, options] = requestOf(path, method, inputs, body, form);
      await show(await fetch(url, { ...options, signal: stop.signal }), shown);
    } catch (error) {
      if (error.name !== "AbortError") shown.append(String(error));
    }
  };
  const streams = Object.values(operation.responses).some((each) => (each.content || {})["text/event-stream"]);
  return make("section", {}, make("h3", {}, "Try it"), body,
    make("div", {}, make("button", { onclick: send }, "Send"),
      streams ? make("button", { onclick: () => stop.abort() }, "Stop") : null),
    shown);
}

function draw() {
  const found = [...operations()].find(([, , operation]) => `#${operation.operationId}` === location.hash);
  if (!found) return;
  const [path, method, operation] = found;
  const inputs = [];
  const parts = [
    make("h2", {}, make("span", { class: "method" }, method.toUpperCase()), " ", path),
    make("p", {}, operation.summary),
    ...paragraphs(operation.description || ""),
  ];
  if (operation.parameters.length) parts.push(make("h3", {}, "Parameters"), drawParameters(operation.parameters, inputs));
  parts.push(drawTrial(path, method, operation, inputs));
  for (const [type, { schema }] of Object.entries(operation.requestBody ? operation.requestBody.content : {}))
    parts.push(make("h3", {}, `Body: ${type}`), drawSchema(schema));
  const refusals = make("table", {});
  for (const [status, given] of Object.entries(operation.responses)) {
    const response = resolve(given);
    if (response.content && response.content["application/problem+json"]) {
      refusals.append(make("tr", {}, make("th", {}, status), make("td", {}, ...withCode(response.description))));
      continue;
    }
    parts.push(make("h3", {}, `${status} ${response.description}`));
    for (const [type, { schema }] of Object.entries(response.content || {}))
      parts.push(make("p", { class: "type" }, type), drawSchema(schema));
    const headers = Object.keys(response.headers || {});
    if (headers.length) parts.push(make("p", { class: "type" }, `Headers: ${headers.join(", ")}`));
  }
  parts.push(make("h3", {}, "Refusals"), refusals, make("details", {}, make("summary", {}, "The problem document"),
    drawSchema({ $ref: "#/components/schemas/Problem" })));
  $("operation").replaceChildren(...parts);
  for (const link of $("index").querySelectorAll("a"))
    link.toggleAttribute("aria-current", link.hash === location.hash);
}

function* operations() {
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(methods)) yield [path, method, operation];
}

function list() {
  const wanted = $("filter").value.toLowerCase();
  const index = $("index");
  index.replaceChildren();
  for (const { name } of api.tags) {
    const links = [...operations()]
      .filter(([path, method, operation]) => operation.tags.includes(name)
        && `${method} ${path} ${operation.summary}`.toLowerCase().includes(wanted))
      .map(([path, method, operation]) => make("li", {}, make("a", { href: `#${operation.operationId}`, title: operation.summary },
        make("span", { class: "method" }, method.toUpperCase()), " ", path)));
    if (links.length) index.append(make("li", { class: "tag" }, name.replaceAll("_", " ")), ...links);
  }
}

async function start() {
  api = await (await fetch("openapi.json")).json();
  $("about").textContent = `${api.info.version}, API ${api.info["x-api-version"]}`;
  $("intro").replaceChildren(...paragraphs(api.info.description));
  $("identity").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["org", "application", "user"]) {
    $(id).value = sessionStorage.getItem(id) || "";
    $(id).addEventListener("change", () => sessionStorage.setItem(id, $(id).value));
  }
  $("filter").addEventListener("input", list);
  addEventListener("hashchange", draw);
  list();
  draw();
}

start();
