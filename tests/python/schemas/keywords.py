"""Each keyword alone, and the ways in which drafts differ: all of these can be held."""

FORMATS = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"]

PATTERNS = [
    "^[a-z]+$", "^[A-Z]{2}[0-9]{4}$", r"^\d{3}-\d{4}$", "^(red|green|blue)$", "^#[0-9a-fA-F]{6}$", r"^\+?[1-9]\d{1,14}$", "^$", "^.{2,4}$",
    r"^\w+\.\w+$", "^[^\\s@]+@[^\\s@]+$", "^[\\u4e00-\\u9fff]{1,3}$", "^é+$", "^\"\\\\$", "^[\\n\\t]{1,2}$", "^/[a-z/]*$", "^(?:ab)*c?$", "ab", "^a", "z$",
    "^[🙂🙃]{1,2}$", "^v(0|[1-9]\\d*)\\.(0|[1-9]\\d*)$", "^[-+]?[0-9]*\\.?[0-9]+$", "", "^\\$[0-9]+(\\.[0-9]{2})?$", "^[\\w-]{1,8}$", "^\\S+$",
]

CONSTANTS = [
    None, True, False, 0, -1, 1.5, 1e30, 9007199254740992, "", "text", "with \"quotes\" and \\", "\u0000\u001f", "\u2028", "日本語", "🙂", "é", "e\u0301", "</script>", "<|im_end|>",
    [], {}, [1, "a", None], {"a": {"b": [True]}}, {"": 1}, {"$ref": "#"}, {"é": "ü"}, [[[]]], "{\"a\": 1}", " ", "\n",
]

NUMBERS = [
    {"minimum": 0}, {"maximum": 0}, {"minimum": -5, "maximum": 5}, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}, {"minimum": 3, "maximum": 3},
    {"minimum": 0.5, "maximum": 0.75}, {"minimum": -1.25, "exclusiveMaximum": -1}, {"multipleOf": 0.01, "minimum": 0, "maximum": 100}, {"multipleOf": 5}, {"multipleOf": 0.5},
    {"minimum": 1e6, "maximum": 2e6}, {"minimum": 99, "exclusiveMinimum": 100, "maximum": 102}, {"multipleOf": 7, "minimum": 20, "maximum": 30},
    {"minimum": -9007199254740991, "maximum": 9007199254740991}, {"minimum": 0.1, "maximum": 0.1}, {"exclusiveMinimum": -0.5, "exclusiveMaximum": 0.5},
    {"minimum": 1e-7, "maximum": 1e-5}, {"multipleOf": 1e-3, "minimum": 2, "maximum": 3}, {"minimum": -180, "maximum": 180}, {"maximum": -1000000},
]

INTEGERS = [
    {"minimum": 0}, {"maximum": -1}, {"minimum": 1, "maximum": 12}, {"exclusiveMinimum": 0, "exclusiveMaximum": 2}, {"minimum": 1.5, "maximum": 2.5}, {"multipleOf": 3},
    {"multipleOf": 10, "minimum": 95, "maximum": 105}, {"minimum": 9007199254740992}, {"minimum": -128, "maximum": 127}, {"minimum": 0, "maximum": 65535},
    {"minimum": 0, "maximum": 0}, {"exclusiveMaximum": 0, "minimum": -3}, {"multipleOf": 1}, {"multipleOf": 0.5, "minimum": 1, "maximum": 4}, {"maximum": 9007199254740992},
    {"minimum": 100000000000, "maximum": 999999999999},
]

STRINGS = [
    {"minLength": 3, "maxLength": 5}, {"maxLength": 0}, {"minLength": 1}, {"maxLength": 1}, {"minLength": 4, "maxLength": 4}, {"pattern": "^[ab]+$", "minLength": 2, "maxLength": 6},
    {"enum": ["a", "b", "ab"]}, {"const": "only"}, {"format": "date", "minLength": 10}, {"format": "uuid", "pattern": "^[0-9a-f-]+$"}, {"maxLength": 200, "minLength": 10},
    {"pattern": "^[a-z]", "maxLength": 8}, {"format": "uri", "maxLength": 40},
]

ARRAYS = [
    {"items": {"type": "integer"}}, {"items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}, {"maxItems": 0}, {"minItems": 1, "maxItems": 1}, {"prefixItems": [{"type": "string"}, {"type": "integer"}]},
    {"prefixItems": [{"const": 1}, {"const": 2}], "items": False}, {"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3, "maxItems": 4},
    {"prefixItems": [{"type": "null"}, {"type": "null"}], "minItems": 2}, {"items": {"type": "array", "items": {"type": "null"}}, "minItems": 1, "maxItems": 2}, {"items": False}, {"items": True, "maxItems": 2},
    {"items": {"enum": ["x", 1, None]}, "minItems": 5, "maxItems": 5}, {"items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "maxItems": 4}, {"prefixItems": [], "items": {"type": "boolean"}},
    {"items": {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}, "maxItems": 3},
]

_A = {"a": {"type": "integer"}, "b": {"type": "boolean"}}
OBJECTS = [
    {"properties": _A}, {"properties": _A, "required": ["a"]}, {"properties": _A, "required": ["a", "b"]}, {"properties": _A, "additionalProperties": False},
    {"properties": _A, "required": ["b"], "additionalProperties": False}, {"properties": _A, "additionalProperties": {"type": "null"}}, {"additionalProperties": {"type": "integer"}},
    {"additionalProperties": False}, {"patternProperties": {"^x_": {"type": "integer"}}, "additionalProperties": False}, {"properties": _A, "patternProperties": {"^n": {"type": "null"}}, "additionalProperties": False},
    {"required": ["c"]}, {"required": ["c"], "additionalProperties": {"type": "boolean"}}, {"properties": {"": {"type": "null"}}, "required": [""], "additionalProperties": False},
    {"properties": {"quote\"d": {"type": "null"}, "back\\slash": {"type": "null"}, "日本": {"type": "null"}, "🙂": {"type": "null"}}, "required": ["quote\"d", "back\\slash", "日本", "🙂"], "additionalProperties": False},
    {"properties": {"$ref": {"type": "string"}, "type": {"enum": ["object"]}, "properties": {"type": "null"}}, "required": ["$ref", "type"], "additionalProperties": False},
    {"properties": {"a": True, "b": False}, "required": ["a"], "additionalProperties": False}, {"properties": {"a": False}, "additionalProperties": {"type": "integer"}},
    {"maxProperties": 0}, {"additionalProperties": {"type": "null"}, "minProperties": 1, "maxProperties": 2}, {"properties": {"a\nb": {"type": "null"}}, "required": ["a\nb"]},
    {"properties": {"z": {"type": "null"}, "y": {"type": "null"}, "x": {"type": "null"}}, "required": ["x", "y", "z"], "additionalProperties": False},
]

_NODE = {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"], "additionalProperties": False}
_TREE = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 4}, "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}}, "required": ["name"], "additionalProperties": False}
_EXPRESSION = {"anyOf": [{"type": "integer"}, {"type": "array", "prefixItems": [{"enum": ["+", "*"]}, {"$ref": "#/$defs/e"}, {"$ref": "#/$defs/e"}], "minItems": 3, "items": False}]}
REFERENCES = [
    {"$defs": {"node": _NODE}, "$ref": "#/$defs/node"}, _TREE, {"$ref": "#/$defs/e", "$defs": {"e": _EXPRESSION}}, {"definitions": {"a": {"type": "null"}}, "$ref": "#/definitions/a"},
    {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/c"}, "c": {"type": "boolean"}}, "$ref": "#/$defs/a"}, 
    {"$defs": {"a~b": {"type": "null"}}, "$ref": "#/$defs/a~0b"}, {"$defs": {"a b": {"type": "null"}}, "$ref": "#/$defs/a%20b"}, {"$defs": {"é": {"type": "null"}}, "$ref": "#/$defs/é"},
    {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"$ref": "#/properties/a"}}, "required": ["a", "b"], "additionalProperties": False},
    {"$defs": {"p": {"type": "integer", "minimum": 0}}, "$ref": "#/$defs/p", "maximum": 9}, {"$defs": {"even": {"type": "array", "items": {"$ref": "#/$defs/odd"}, "maxItems": 1}, "odd": {"type": "array", "items": {"$ref": "#/$defs/even"}, "maxItems": 1}}, "$ref": "#/$defs/even"},
    {"$id": "https://example.com/s.json", "$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a"}, {"$defs": {"a": {"$id": "https://example.com/a", "type": "null"}}, "$ref": "#/$defs/a"},
    {"$defs": {"a": True}, "type": "array", "items": {"$ref": "#/$defs/a"}, "maxItems": 1}, {"anyOf": [{"type": "null"}, {"$ref": "#/anyOf/0"}]},
]

COMBINED = [
    {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, {"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 3}]}, {"allOf": [{"type": "integer"}, {"minimum": 1}, {"maximum": 9}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}, {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]}]},
    {"type": "object", "properties": {"kind": {"const": "x"}}, "required": ["kind"], "anyOf": [{"properties": {"kind": {"enum": ["x", "y"]}}}, {"properties": {"kind": {"const": "z"}}}]},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": "cat"}, "lives": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["k", "lives"], "additionalProperties": False},
               {"type": "object", "properties": {"k": {"const": "dog"}, "barks": {"type": "boolean"}}, "required": ["k", "barks"], "additionalProperties": False}]},
    {"anyOf": [{"const": 1}, {"const": "1"}, {"const": None}, {"const": [1]}]}, {"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]}, {"allOf": [{"type": ["integer", "null"]}, {"type": ["null", "string"]}]},
    {"type": ["string", "null"], "maxLength": 3}, {"type": ["integer", "boolean", "null"], "minimum": 0}, {"enum": ["a", 1, None, True, [], {}]}, {"type": "string", "enum": ["a", 1, "b"]},
    {"type": "integer", "enum": [1, 2.0, 2.5, "3"]}, {"const": 5, "type": "integer"}, {"allOf": [{"minLength": 2}, {"maxLength": 4}], "type": "string"}, {"allOf": [True, {"type": "null"}]},
    {"anyOf": [False, {"type": "null"}]}, {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "ipv4"}]}, {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": -10}]},
    {"allOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"anyOf": [{"type": "null"}, {"type": "boolean"}]}]}, {"allOf": [{"pattern": "^a"}, {"pattern": "b$"}], "type": "string", "maxLength": 6},
    {"type": "number", "allOf": [{"minimum": 1}, {"minimum": 2, "maximum": 2.5}]},
    {"oneOf": [{"const": "a"}, {"const": "b"}]}, {"oneOf": [{"type": "null"}, {"type": "array", "maxItems": 1, "items": {"type": "null"}}]},
    {"type": "array", "allOf": [{"items": {"type": "integer"}}, {"minItems": 1}, {"maxItems": 2}]}, {"type": "object", "allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "null"}}, "additionalProperties": False}]},
    {"type": "array", "allOf": [{"prefixItems": [{"type": "integer"}]}, {"items": {"minimum": 3, "type": "integer"}}], "maxItems": 2},
]

DRAFTS = [
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"type": "null"}, {"type": "boolean"}], "additionalItems": False},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"type": "integer"}], "additionalItems": {"type": "null"}, "maxItems": 3},
    {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "integer"}}, "$ref": "#/definitions/a", "maximum": 3},
    {"$schema": "http://json-schema.org/draft-06/schema#", "type": "integer", "exclusiveMinimum": 3, "maximum": 7},
    {"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 7, "exclusiveMaximum": True},
    {"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://example.com/x", "type": "number", "minimum": 0, "maximum": 1},
    {"$schema": "https://json-schema.org/draft/2019-09/schema", "type": "array", "items": [{"type": "null"}], "additionalItems": False},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array", "prefixItems": [{"type": "null"}], "items": False},
    {"$schema": "https://json-schema.org/draft/2020-12/schema#", "type": "boolean"}, {"$schema": "http://json-schema.org/schema#", "type": "boolean"},
]

NOTED = [
    {}, {"title": "T", "description": "d", "type": "boolean"}, {"type": "integer", "default": "not one", "examples": [1]}, {"$comment": "c", "type": "null", "deprecated": True, "readOnly": True, "writeOnly": False},
    {"type": "string", "contentMediaType": "application/json", "contentEncoding": "base64", "maxLength": 4}, {"type": "boolean", "$anchor": "here", "$id": "https://example.com/a"},
    {"type": "array", "items": {"type": "null"}, "maxItems": 1, "uniqueItems": False}, {"type": "null", "x-own": [1], "example": 2, "externalDocs": {}}, {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4},
]


def cases():
    for kind in ["null", "boolean", "integer", "number", "string", "array", "object"]:
        yield f"type {kind}", {"type": kind}
    yield "several types", {"type": ["null", "boolean", "integer"]}
    for number, constant in enumerate(CONSTANTS):
        yield f"const {number}", {"const": constant}
    yield "enum of all", {"enum": CONSTANTS}
    for name in FORMATS:
        yield f"format {name}", {"type": "string", "format": name}
    for pattern in PATTERNS:
        yield f"pattern {pattern}", {"type": "string", "pattern": pattern}
    for kind, group in [("number", NUMBERS), ("integer", INTEGERS), ("string", STRINGS), ("array", ARRAYS), ("object", OBJECTS)]:
        for number, schema in enumerate(group):
            yield f"{kind} {number}", {"type": kind} | schema
    for name, group in [("reference", REFERENCES), ("combined", COMBINED), ("draft", DRAFTS), ("note", NOTED)]:
        for number, schema in enumerate(group):
            yield f"{name} {number}", schema
