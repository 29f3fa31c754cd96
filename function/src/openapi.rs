//! `GET /openapi.json`: the API as OpenAPI 3.1, from the endpoints and from the tables that requests are checked by.

use http::Response;
use serde_json::{Map, Value, json};

use crate::{
    Body,
    endpoints::{ENDPOINTS, Endpoint, Group},
    openai::schemas::ERROR,
    respond,
    wire::{
        schema::{self, Schemas},
        table::{Field, Kind, Table},
    },
};

/// What the document itself is.
pub(crate) static DOCUMENT: Table = Table {
    name: "OpenApi",
    plural: "documents",
    about: "A document of OpenAPI 3.1.",
    fields: &[Field::new("openapi", Kind::Text, "Its version.").required()],
    open: true,
};

const ABOUT: &str =
    "Open models on your own machines. Bodies are JSON whatever their content type says. `null` is the same as a field that is not there.";

/// Answers with the document.
pub(crate) fn get() -> Response<Body> {
    respond::document(&document())
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let paths: Map<_, _> = ENDPOINTS.iter().map(|endpoint| (endpoint.paths[0].to_owned(), operations(endpoint, &mut schemas))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT},
        "tags": Group::ALL.map(|group| json!({"name": group.name()})),
        "paths": paths,
        "components": {"schemas": schemas}
    })
}

fn operations(endpoint: &'static Endpoint, schemas: &mut Schemas) -> Value {
    let [path, others @ ..] = endpoint.paths else { return Value::Null };
    let mut content = json!({"application/json": {"schema": schema::reference(endpoint.answer, schemas)}});
    if let Some(table) = endpoint.stream {
        // OpenAPI 3.1 has no words for a stream: this is an event of it, as its readers have it, and what its data holds.
        let data = json!({"contentMediaType": "application/json", "contentSchema": schema::reference(table, schemas)});
        let data = json!({"type": "string", "anyOf": [{"const": "[DONE]"}, data]});
        let event = json!({"type": "object", "properties": {"data": data}, "required": ["data"]});
        content["text/event-stream"] = json!({"schema": event});
    }
    let error = json!({"application/json": {"schema": schema::reference(&ERROR, schemas)}});
    let mut operation = json!({
        "operationId": format!("{:?}", endpoint.action),
        "tags": [endpoint.group.name()],
        "summary": endpoint.about,
        "responses": {"200": {"description": "The answer", "content": content}, "default": {"description": "A refusal", "content": error}}
    });
    if !others.is_empty() {
        operation["description"] = json!(format!("Taken at {} too.", others.join(", ")));
    }
    if let Some((_, name)) = path.split_once('{') {
        operation["parameters"] =
            json!([{"name": name.trim_end_matches('}'), "in": "path", "required": true, "schema": {"type": "string"}}]);
    }
    let Some((table, example)) = endpoint.request else { return json!({"get": operation}) };
    let example: Value = serde_json::from_str(example).unwrap_or_default();
    operation["requestBody"] =
        json!({"required": true, "content": {"application/json": {"schema": schema::reference(table, schemas), "example": example}}});
    json!({"post": operation})
}
