// Shows /openapi.json to people. What the document says only ever becomes text nodes and attributes.
"use strict";

const at = (id) => document.getElementById(id);

// An element with a class, and texts and elements in it.
function make(tag, style, ...inside) {
  const element = document.createElement(tag);
  if (style) element.className = style;
  element.append(...inside);
  return element;
}

const code = (text) => make("code", "", text);

function listed(texts) {
  return texts.flatMap((text, index) => (index ? [", ", code(text)] : [code(text)]));
}

// The schema behind a reference, with what the reference itself says.
function resolve(api, schema) {
  if (!schema.$ref) return { name: null, schema };
  const name = schema.$ref.split("/").at(-1);
  return { name, schema: api.components.schemas[name] };
}

// A bound that is only that of a computer's numbers is none to speak of.
function bounds(low, high, unit) {
  if (high >= 2 ** 31 - 1) high = undefined;
  if (low === undefined && high === undefined) return "";
  if (high === undefined) return `, at least ${low}${unit}`;
  if (low === undefined) return `, at most ${high}${unit}`;
  return `, ${low} to ${high}${unit}`;
}

// What a value is, in words.
function type(api, schema) {
  if (schema.$ref) return "object";
  if (schema.enum) return schema.enum.filter((word) => word !== null).map((word) => `"${word}"`).join(" | ");
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return [...new Set(choices.filter((one) => one.type !== "null").map((one) => type(api, one)))].join(" | ");
  // Every field that may be left out may be null: to say so of each would hide the rest.
  const named = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (named) {
    case "array": return `array (${type(api, schema.items)})${bounds(schema.minItems, schema.maxItems, "")}`;
    case "object": return "object";
    case "string": return `string${bounds(schema.minLength, schema.maxLength, " bytes")}`;
    case undefined: return "any";
    default: return named + bounds(schema.minimum, schema.maximum, "");
  }
}

// The objects that a value may be or hold.
function objects(schema) {
  if (schema.$ref) return [schema];
  return [...(schema.anyOf || []), ...(schema.oneOf || []), ...(schema.items ? [schema.items] : [])].flatMap(objects);
}

// The fields of an object; `above` are the names of those that it is within.
function fields(api, schema, above) {
  const list = make("dl", "");
  const entries = Object.entries(schema.properties || {});
  for (const [name, field] of entries.filter(([, field]) => !field["x-effect"])) {
    const term = make("dt", "", code(name), make("span", "type", type(api, field)));
    if (field.default !== undefined) term.append(make("span", "default", `default ${JSON.stringify(field.default)}`));
    if (schema.required?.includes(name)) term.append(make("span", "required", "required"));
    const meaning = make("dd", "", field.description || "");
    for (const reference of objects(field)) {
      const { name: within, schema: inner } = resolve(api, reference);
      if (!above.includes(within)) meaning.append(object(api, within, inner, above));
    }
    list.append(term, meaning);
  }
  const named = (effect) => entries.filter(([, field]) => field["x-effect"] === effect).map(([name]) => name);
  const parts = [list];
  if (named("none").length) parts.push(make("p", "note", "Taken, and without effect: ", ...listed(named("none")), "."));
  if (named("refused").length) parts.push(make("p", "note", "Refused, unless they ask for nothing: ", ...listed(named("refused")), "."));
  return parts;
}

function object(api, name, schema, above) {
  return make("details", "", make("summary", "", schema.description || name), ...fields(api, schema, [...above, name]));
}

function body(api, title, content) {
  const { name, schema } = resolve(api, content.schema);
  return [make("h3", "", title), make("p", "note", schema.description), ...fields(api, schema, [name])];
}

function folded(api, title, content) {
  const { name, schema } = resolve(api, content.schema);
  return make("details", "", make("summary", "", title), make("p", "note", schema.description), ...fields(api, schema, [name]));
}

function command(method, path, example) {
  const address = location.origin + path.replace(/\{[^}]*\}/g, "NAME");
  const verb = method === "get" ? "" : `-X ${method.toUpperCase()} `;
  return make("pre", "", example === undefined ? `curl ${verb}${address}` : `curl ${address} \\\n  -d '${JSON.stringify(example).replaceAll("'", "'\\''")}'`);
}

function operation(api, path, method, operation) {
  const heading = make("h2", "path", make("span", "method", method.toUpperCase()), ` ${path}`);
  const section = make("section", "", heading, make("p", "", `${operation.summary}.`));
  section.id = operation.operationId;
  if (operation.description) section.append(make("p", "note", operation.description));
  const request = operation.requestBody?.content["application/json"];
  section.append(command(method, path, request?.example));
  const query = (operation.parameters || []).filter((parameter) => parameter.in === "query");
  if (query.length) {
    const properties = Object.fromEntries(query.map(({ name, description, schema }) => [name, { description, ...schema }]));
    section.append(make("h3", "", "Query"), ...fields(api, { properties }, []));
  }
  if (request) section.append(...body(api, "Request", request));
  const { "application/json": whole, "text/event-stream": events, "application/x-ndjson": lines } = operation.responses["200"].content;
  section.append(make("h3", "", "Answer"), folded(api, "A document", whole));
  if (events) section.append(folded(api, "Streamed: each event's data", { schema: events.schema.properties.data.anyOf[1].contentSchema }));
  if (lines) section.append(folded(api, "Streamed: each line", lines));
  return section;
}

function show(api) {
  at("about").removeAttribute("aria-busy");
  at("about").replaceChildren(`${api.info.description.replaceAll("`", "")} `, "This page is made from ", at("about").querySelector("a"), `, version ${api.info.version}.`);
  for (const { name } of api.tags) {
    at("nav").append(make("h2", "", name));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, details] of Object.entries(methods)) {
        if (!details.tags.includes(name)) continue;
        const link = make("a", "", Object.keys(methods).length > 1 ? `${path} (${method.toUpperCase()})` : path);
        link.href = `#${details.operationId}`;
        at("nav").append(link);
        at("main").append(operation(api, path, method, details));
      }
    }
  }
  const section = make("section", "", make("h2", "path", "Errors"));
  section.id = "errors";
  const operations = Object.values(api.paths).flatMap((methods) => Object.values(methods));
  const refusal = (operation) => operation.responses.default.content["application/json"];
  for (const reference of new Set(operations.map((operation) => refusal(operation).schema.$ref))) {
    const alike = operations.filter((operation) => refusal(operation).schema.$ref === reference);
    const names = [...new Set(alike.flatMap((operation) => operation.tags))];
    section.append(...body(api, `Every refusal's document: ${names.join(", ")}`, refusal(alike[0])));
  }
  const link = make("a", "", "Errors");
  link.href = "#errors";
  at("nav").append(make("h2", "", "Refusals"), link);
  at("main").append(section);
  // What is within was not there when the browser looked for it.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

async function start() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    show(await response.json());
  } catch (error) {
    at("main").append(make("p", "error", `The description could not be shown: ${error.message}.`));
  }
}

start();
