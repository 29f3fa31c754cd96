//! `GET /openapi.json`: the API as OpenAPI 3.1, from the endpoints and from the tables that requests are checked by.

use http::Response;
use serde_json::{Map, Value, json};

use crate::{
    Body,
    endpoints::{Action, ENDPOINTS, Endpoint, Group},
    keys::Need,
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
    let mut paths = Map::new();
    for endpoint in &ENDPOINTS {
        let [path, ..] = endpoint.paths else { continue };
        let method = endpoint.methods.split(", ").next().unwrap_or_default().to_ascii_lowercase();
        let methods = paths.entry(*path).or_insert_with(|| json!({}));
        methods[method] = operation(endpoint, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT},
        "tags": Group::ALL.map(|group| json!({"name": group.name()})),
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "A key: `hearth-ID-SECRET`."},
            "basic": {"type": "http", "scheme": "basic", "description": "A key's client id as the user, and its secret as the password."},
            "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key, as for Bearer."}
        }},
        // Where the service asks for none, none is needed.
        "security": [{"bearer": []}, {"basic": []}, {"apiKey": []}, {}]
    })
}

fn operation(endpoint: &'static Endpoint, schemas: &mut Schemas) -> Value {
    let [path, others @ ..] = endpoint.paths else { return Value::Null };
    let whole = if endpoint.action == Action::Export { respond::LINES } else { "application/json" };
    let mut content = json!({whole: {"schema": schema::reference(endpoint.answer, schemas)}});
    if let Some(table) = endpoint.stream {
        // OpenAPI 3.1 has no words for a stream: this is each line of it, or an event as its readers have it, and what its data holds.
        let piece = schema::reference(table, schemas);
        let schema = match endpoint.group.stream() {
            respond::EVENTS => {
                let data = json!({"contentMediaType": "application/json", "contentSchema": piece});
                let data = json!({"type": "string", "anyOf": [{"const": "[DONE]"}, data]});
                json!({"type": "object", "properties": {"data": data}, "required": ["data"]})
            }
            _ => piece,
        };
        content[endpoint.group.stream()] = json!({"schema": schema});
    }
    let error = json!({"application/json": {"schema": schema::reference(endpoint.group.error(), schemas)}});
    let mut operation = json!({
        "operationId": format!("{:?}", endpoint.action),
        "tags": [endpoint.group.name()],
        "summary": endpoint.about,
        "responses": {"200": {"description": "The answer", "content": content}, "default": {"description": "A refusal", "content": error}}
    });
    if matches!(endpoint.action.need(), Need::Nothing) {
        operation["security"] = json!([]);
    }
    if !others.is_empty() {
        operation["description"] = json!(format!("Taken at {} too.", others.join(", ")));
    }
    let parameters = parameters(path, endpoint.query, schemas);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some((table, example)) = endpoint.request {
        let example: Value = serde_json::from_str(example).unwrap_or_default();
        operation["requestBody"] =
            // A body in which nothing is needed may be left out.
            json!({"required": endpoint.action != Action::CreateConversation, "content": {"application/json": {"schema": schema::reference(table, schemas), "example": example}}});
    }
    operation
}

/// A path's segments in braces and a query's fields.
fn parameters(path: &str, query: Option<&'static Table>, schemas: &mut Schemas) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let mut parameters: Vec<_> =
        names.map(|(name, _)| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    for field in query.into_iter().flat_map(|table| table.fields) {
        let mut schema = schema::property(field, schemas);
        let about = schema["description"].take();
        if let Value::Object(schema) = &mut schema {
            schema.remove("description");
        }
        parameters.push(json!({"name": field.name, "in": "query", "description": about, "schema": schema}));
    }
    parameters
}
