"""Schemas as programs send them: documents, events, tools, settings, what pydantic and zod write. All of these have to be answered."""


def _object(properties, optional=(), **more):
    return {"type": "object", "properties": properties, "required": [name for name in properties if name not in optional], "additionalProperties": False} | more


_TEXT = {"type": "string", "maxLength": 24}
_MONEY = {"type": "number", "minimum": 0, "multipleOf": 0.01, "maximum": 100000}
_DATE = {"type": "string", "format": "date"}
_MOMENT = {"type": "string", "format": "date-time"}
_POSITION = {"type": "array", "prefixItems": [{"type": "number", "minimum": -180, "maximum": 180}, {"type": "number", "minimum": -90, "maximum": 90}], "items": False, "minItems": 2}

_ADDRESS = _object({"street": _TEXT, "city": _TEXT, "postal_code": {"type": "string", "pattern": "^[0-9]{5}$"}, "country": {"type": "string", "pattern": "^[A-Z]{2}$"}})
_LINE = _object({"description": _TEXT, "quantity": {"type": "integer", "minimum": 1, "maximum": 999}, "unit_price": _MONEY})
_INVOICE = _object(
    {"number": {"type": "string", "pattern": "^INV-[0-9]{4}$"}, "issued": _DATE, "due": _DATE, "currency": {"enum": ["EUR", "USD", "CHF"]}, "seller": {"$ref": "#/$defs/address"},
     "buyer": {"$ref": "#/$defs/address"}, "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1, "maxItems": 2}, "total": _MONEY, "paid": {"type": "boolean"}},
    **{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/invoice.json", "title": "Invoice", "$defs": {"address": _ADDRESS, "line": _LINE}})
_EVENT = _object(
    {"title": _TEXT, "start": _MOMENT, "end": _MOMENT, "attendees": {"type": "array", "items": {"type": "string", "format": "email"}, "maxItems": 2}, "location": {"anyOf": [_TEXT, {"type": "null"}]},
     "repeat": {"anyOf": [{"type": "null"}, _object({"every": {"enum": ["day", "week", "month"]}, "count": {"type": "integer", "minimum": 1, "maximum": 52}})]}},
    description="A calendar event")
_RECIPE = _object(
    {"name": _TEXT, "servings": {"type": "integer", "minimum": 1, "maximum": 12}, "minutes": {"type": "integer", "exclusiveMinimum": 0, "maximum": 600},
     "ingredients": {"type": "array", "minItems": 1, "maxItems": 3, "items": _object({"name": _TEXT, "amount": {"type": "number", "minimum": 0, "maximum": 1000}, "unit": {"enum": ["g", "ml", "piece", "tbsp", "tsp"]}})},
     "steps": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 2}, "difficulty": {"type": "string", "enum": ["easy", "medium", "hard"]}})
_GEOMETRY = {"oneOf": [
    _object({"type": {"const": "Point"}, "coordinates": {"$ref": "#/$defs/position"}}),
    _object({"type": {"const": "LineString"}, "coordinates": {"type": "array", "items": {"$ref": "#/$defs/position"}, "minItems": 2, "maxItems": 3}}),
    _object({"type": {"const": "Polygon"}, "coordinates": {"type": "array", "maxItems": 1, "items": {"type": "array", "items": {"$ref": "#/$defs/position"}, "minItems": 4, "maxItems": 4}}})]}
_FEATURE = _object({"type": {"const": "Feature"}, "geometry": {"$ref": "#/$defs/geometry"}, "properties": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "maxProperties": 2}},
                   **{"$defs": {"geometry": _GEOMETRY, "position": _POSITION}})
_PARAMETER = _object({"name": _TEXT, "in": {"enum": ["query", "header", "path", "cookie"]}, "required": {"type": "boolean"}, "schema": {"$ref": "#/$defs/schema"}}, optional=["required"])
_OPENAPI = _object(
    {"operationId": {"type": "string", "pattern": "^[a-z][A-Za-z]{0,15}$"}, "summary": _TEXT, "parameters": {"type": "array", "items": _PARAMETER, "maxItems": 2},
     "responses": {"type": "object", "patternProperties": {"^[1-5][0-9]{2}$": _object({"description": _TEXT})}, "additionalProperties": False, "minProperties": 1, "maxProperties": 1}},
    **{"$defs": {"schema": {"anyOf": [_object({"type": {"enum": ["string", "integer", "boolean"]}}), _object({"type": {"const": "array"}, "items": {"$ref": "#/$defs/schema"}})]}}})
_SETTINGS = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": "Settings", "definitions": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}},
             "properties": {"listen": {"type": "object", "properties": {"host": {"type": "string", "format": "hostname"}, "port": {"$ref": "#/definitions/port", "description": "TCP"}}, "required": ["host", "port"], "additionalProperties": False},
                            "log": {"type": "string", "enum": ["error", "warn", "info", "debug"], "default": "info"}, "tls": {"type": "boolean", "default": False}, "workers": {"type": "integer", "minimum": 1, "maximum": 64, "default": 4}},
             "required": ["listen"], "additionalProperties": False}
_WEATHER = {"type": "object", "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, "required": ["location"]}
_PYDANTIC = {"$defs": {"Item": {"properties": {"sku": {"title": "Sku", "type": "string"}, "tags": {"items": {"type": "string"}, "title": "Tags", "type": "array"}, "discount": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None, "title": "Discount"}},
                                "required": ["sku"], "title": "Item", "type": "object"}, "Status": {"enum": ["open", "closed"], "title": "Status", "type": "string"}},
             "properties": {"id": {"format": "uuid", "title": "Id", "type": "string"}, "status": {"$ref": "#/$defs/Status"}, "items": {"items": {"$ref": "#/$defs/Item"}, "title": "Items", "type": "array"},
                            "meta": {"additionalProperties": {"type": "string"}, "title": "Meta", "type": "object"}, "pair": {"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}], "title": "Pair", "type": "array"}},
             "required": ["id", "status", "pair"], "title": "Order", "type": "object"}
_ZOD = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {"id": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}, "email": {"type": "string", "format": "email"},
        "role": {"default": "user", "type": "string", "enum": ["user", "admin"]}, "created": {"type": "string", "format": "date-time"}, "score": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
        "required": ["id", "email", "role"], "additionalProperties": False}
_STEPS = {"type": "object", "properties": {"steps": {"type": "array", "items": {"type": "object", "properties": {"explanation": {"type": "string"}, "output": {"type": "string"}}, "required": ["explanation", "output"], "additionalProperties": False}},
          "final_answer": {"type": "string"}}, "required": ["steps", "final_answer"], "additionalProperties": False}
_UI = {"type": "object", "properties": {"type": {"type": "string", "enum": ["div", "button", "header", "section", "field", "form"]}, "label": {"type": "string", "maxLength": 8}, "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
       "attributes": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"name": _TEXT, "value": _TEXT}, "additionalProperties": False, "required": ["name", "value"]}}},
       "required": ["type", "label", "children", "attributes"], "additionalProperties": False}

EVERYDAY = {
    "invoice": _INVOICE, "calendar event": _EVENT, "recipe": _RECIPE, "GeoJSON feature": _FEATURE, "OpenAPI operation": _OPENAPI, "settings": _SETTINGS, "tool: weather": _WEATHER, "pydantic order": _PYDANTIC, "zod user": _ZOD,
    "steps of a proof": _STEPS, "recursive interface": _UI,
    "tool: search": _object({"query": _TEXT, "limit": {"type": "integer", "minimum": 1, "maximum": 50}, "site": {"type": ["string", "null"], "format": "hostname"}}),
    "tool: calculator": _object({"operation": {"enum": ["add", "subtract", "multiply", "divide"]}, "a": {"type": "number"}, "b": {"type": "number"}}),
    "tool: send mail": _object({"to": {"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 1, "maxItems": 2}, "subject": _TEXT, "body": {"type": "string", "maxLength": 60}, "urgent": {"type": "boolean"}}, optional=["urgent"]),
    "tool: query": _object({"table": {"enum": ["users", "orders"]}, "where": {"type": "array", "maxItems": 2, "items": _object({"column": {"enum": ["id", "name", "at"]}, "operator": {"enum": ["=", "<", ">", "<=", ">=", "!="]},
                            "value": {"anyOf": [{"type": "string", "maxLength": 8}, {"type": "number"}, _object({"column": {"const": "id"}})]}})}, "order": {"enum": ["asc", "desc"]}}),
    "tool: open pull request": _object({"title": _TEXT, "base": {"const": "main"}, "draft": {"type": "boolean"}, "labels": {"type": "array", "items": {"enum": ["bug", "feature"]}, "maxItems": 2}}),
    "tool: run": _object({"command": _TEXT, "timeout_s": {"type": "integer", "minimum": 1, "maximum": 600, "default": 60}, "environment": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1}}, optional=["environment"]),
    "sentiment": _object({"label": {"enum": ["positive", "neutral", "negative"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}),
    "yes or no": _object({"answer": {"type": "boolean"}}), "moderation": _object({name: {"type": "boolean"} for name in ["hate", "violence", "self-harm", "harassment/threatening"]}),
    "entities": _object({"entities": {"type": "array", "maxItems": 3, "items": _object({"text": _TEXT, "kind": {"enum": ["PERSON", "PLACE", "DATE"]}, "start": {"type": "integer", "minimum": 0}, "end": {"type": "integer", "minimum": 0}})}}),
    "person": {"type": "object", "properties": {"firstName": _TEXT, "lastName": _TEXT, "age": {"type": "integer", "minimum": 0, "maximum": 120}}},
    "product": _object({"name": _TEXT, "price": {"type": "number", "exclusiveMinimum": 0}, "dimensions": _object({"length": {"type": "number"}, "width": {"type": "number"}}), "tags": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 2}}),
    "resume": _object({"name": _TEXT, "email": {"type": "string", "format": "email"}, "homepage": {"type": "string", "format": "uri"}, "jobs": {"type": "array", "maxItems": 1, "items": _object({"company": _TEXT, "from": _DATE, "to": {"anyOf": [_DATE, {"type": "null"}]}})}}),
    "quiz": _object({"question": _TEXT, "choices": {"type": "array", "items": _TEXT, "minItems": 4, "maxItems": 4}, "correct": {"type": "integer", "minimum": 0, "maximum": 3}}),
    "chess move": {"type": "string", "pattern": "^([KQRBN]?[a-h]?[1-8]?x?[a-h][1-8](=[QRBN])?|O-O(-O)?)[+#]?$"}, "colour": {"type": "string", "pattern": "^#([0-9a-f]{3}|[0-9a-f]{6})$"},
    "semver": {"type": "string", "pattern": "^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)(-[0-9A-Za-z.-]+)?$"}, "matrix": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}},
    "server log": _object({"at": _MOMENT, "level": {"enum": ["INFO", "WARN"]}, "ip": {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}, "took": {"type": "string", "format": "duration"}, "status": {"type": "integer", "minimum": 100, "maximum": 599}}),
    "package": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z][a-z-]{0,12}$"}, "version": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$"}, "private": {"type": "boolean"},
                "dependencies": {"type": "object", "additionalProperties": {"type": "string", "pattern": "^\\^[0-9]+$"}, "maxProperties": 2}}, "required": ["name", "version"], "additionalProperties": False},
    "workflow": _object({"on": {"anyOf": [{"enum": ["push", "pull_request"]}, {"type": "array", "items": {"enum": ["push", "pull_request"]}, "minItems": 1, "maxItems": 2}]},
                         "jobs": {"type": "object", "patternProperties": {"^[a-z]{1,8}$": _object({"runs-on": {"const": "linux"}, "needs": {"type": "array", "items": _TEXT, "maxItems": 1}})}, "additionalProperties": False, "maxProperties": 1}}),
    "JSON patch": {"type": "array", "maxItems": 2, "items": {"oneOf": [
        _object({"op": {"enum": ["add", "replace", "test"]}, "path": {"type": "string", "pattern": "^(/[a-z]{1,4}){0,2}$"}, "value": {"type": ["null", "boolean", "integer"]}}),
        _object({"op": {"const": "remove"}, "path": {"type": "string", "pattern": "^(/[a-z]{1,4}){1,2}$"}}), _object({"op": {"enum": ["move", "copy"]}, "path": _TEXT, "from": _TEXT})]}},
    "filesystem entry": {"$ref": "#/$defs/entry", "$defs": {"entry": {"anyOf": [{"$ref": "#/$defs/file"}, {"$ref": "#/$defs/folder"}]}, "file": _object({"file": _TEXT, "bytes": {"type": "integer", "minimum": 0}}),
                         "folder": _object({"folder": _TEXT, "entries": {"type": "array", "items": {"$ref": "#/$defs/entry"}, "maxItems": 2}})}},
    "survey": _object({"q1": {"type": "integer", "enum": [1, 2, 3, 4, 5]}, "q2": {"type": ["integer", "null"], "minimum": 1, "maximum": 5}, "comment": {"type": "string", "maxLength": 20}}, optional=["comment"]),
    "OpenAI optional as null": _object({"unit": {"type": ["string", "null"], "enum": ["C", "F", None], "description": "The unit, null for the default"}, "city": {"type": ["string", "null"], "maxLength": 10}}),
    "address or user": _object({"item": {"anyOf": [_object({"name": _TEXT, "age": {"type": "number"}}), _object({"number": {"type": "string", "maxLength": 4}, "street": _TEXT})]}}),
    "pydantic union": {"discriminator": {"mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}, "propertyName": "kind"}, "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "title": "Pet", "$defs": {
        "Cat": {"properties": {"kind": {"const": "cat", "title": "Kind", "type": "string"}, "lives": {"title": "Lives", "type": "integer"}}, "required": ["kind", "lives"], "title": "Cat", "type": "object"},
        "Dog": {"properties": {"kind": {"const": "dog", "title": "Kind", "type": "string"}}, "required": ["kind"], "title": "Dog", "type": "object"}}},
    "zod record": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "boolean"}},
    "linked list": _object({"linked_list": {"$ref": "#/$defs/linked_list_node"}}, **{"$defs": {"linked_list_node": _object({"value": {"type": "number"}, "next": {"anyOf": [{"$ref": "#/$defs/linked_list_node"}, {"type": "null"}]}})}}),
}


def cases():
    yield from EVERYDAY.items()
