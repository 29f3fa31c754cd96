//! `GET /openapi.json`: the API as OpenAPI 3.1, from the endpoints and from the tables that requests are checked by.

use http::Response;
use serde_json::{Map, Value, json};

use crate::{
    Body, respond,
    routes::{ENDPOINTS, Endpoint},
    wire::schema::{self, Schemas},
};

/// Answers with the document.
pub(crate) fn get() -> Response<Body> {
    respond::document(&document())
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for endpoint in &ENDPOINTS {
        for path in endpoint.paths {
            paths.insert((*path).to_owned(), methods(endpoint, path, &mut schemas));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": env!("CARGO_PKG_VERSION"), "description": "Open models on your own machines."},
        "paths": paths,
        "components": {"schemas": schemas}
    })
}

fn methods(endpoint: &Endpoint, path: &str, schemas: &mut Schemas) -> Value {
    let mut operation =
        json!({"summary": endpoint.about, "responses": {"200": {"description": "The answer"}, "default": {"description": "An error"}}});
    if let Some(name) = path.split_once('{').map(|(_, name)| name.trim_end_matches('}')) {
        operation["parameters"] = json!([{"name": name, "in": "path", "required": true, "schema": {"type": "string"}}]);
    }
    let Some(table) = endpoint.request else { return json!({"get": operation}) };
    operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema::reference(table, schemas)}}});
    json!({"post": operation})
}
