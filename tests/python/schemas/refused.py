"""Schemas that must be refused, each with what the refusal has to name: of keywords that a grammar cannot hold the keyword, of wrong and impossible ones the part."""

# What jsonschema's draft 2020-12 knows and a grammar does not: the keyword, and a schema with it.
BEYOND = [
    ("not", {"not": {"type": "string"}}), ("if", {"if": {"type": "string"}, "then": {"minLength": 2}}), ("contains", {"type": "array", "contains": {"const": 1}}),
    ("uniqueItems", {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}), ("propertyNames", {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}),
    ("dependentRequired", {"type": "object", "dependentRequired": {"a": ["b"]}}), ("dependentSchemas", {"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}}),
    ("dependencies", {"type": "object", "dependencies": {"a": ["b"]}}), ("unevaluatedProperties", {"type": "object", "properties": {"a": {}}, "unevaluatedProperties": False}),
    ("unevaluatedItems", {"type": "array", "prefixItems": [{}], "unevaluatedItems": False}), ("$dynamicRef", {"$dynamicRef": "#a"}), ("minContains", {"type": "array", "minContains": 2, "contains": {}}),
    ("tpye", {"tpye": "string"}), ("nullable", {"type": "string", "nullable": True}), ("x-guidance", {"x-guidance": {"lenient": True}, "type": "string"}),
    ("not", {"type": "object", "properties": {"deep": {"type": "array", "items": {"not": {}}}}}), ("uniqueItems", {"$defs": {"a": {"type": "array", "uniqueItems": True}}, "$ref": "#/$defs/a"}),
    ("rounded", {"type": "integer", "maximum": 18446744073709551615}),
    ("rounded", {"const": 12345678901234567890}), ("rounded", {"enum": [1, [9007199254740993]]}), ("`$id` of its own", {"$ref": "#/$defs/a", "$defs": {"a": {"$id": "https://example.com/a", "$ref": "#/$defs/b", "$defs": {"b": {"type": "null"}}}, "b": {"type": "boolean"}}}),
    ("a~1b", {"$defs": {"a/b": {"type": "null"}}, "$ref": "#/$defs/a~1b"}), ("oneOf", {"oneOf": [{"type": "integer", "minimum": 0, "maximum": 4}, {"type": "integer", "minimum": 5, "maximum": 9}]}),
    ("look-ahead", {"type": "string", "format": "email", "pattern": "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+.-]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9-]*\\.)+[A-Za-z]{2,}$"}),
    ("unheard-of", {"type": "string", "format": "unheard-of"}),
]

# Nothing is valid.
IMPOSSIBLE = [
    {"type": "integer", "minimum": 5, "maximum": 4}, {"type": "string", "minLength": 5, "maxLength": 4}, {"type": "array", "items": {}, "minItems": 3, "maxItems": 2}, {"enum": []}, {"anyOf": []},
    {"type": "string", "enum": [1, 2]}, {"allOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
    {"type": "object", "properties": {"a": False}, "required": ["a"]}, {"type": "object", "required": ["a"], "additionalProperties": False}, {"allOf": [{"const": 1}, {"const": 2}]},
    {"type": "array", "items": False, "minItems": 1}, {"type": "string", "pattern": "^a$", "minLength": 3}, {"type": "array", "prefixItems": [False], "minItems": 1},
    {"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9},
    {"type": "string", "format": "date", "maxLength": 3}, {"anyOf": [{"type": "string", "maxLength": -1}, False]}, {"$ref": "#/$defs/n", "$defs": {"n": False}}, {"type": "object", "minProperties": 2, "maxProperties": 1},
    {"$ref": "#"}, {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {"allOf": [{"$ref": "#"}]},
]

# Every value holds another without end: the grammar's engine does not see that, and an answer is cut.
ENDLESS = [
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"], "additionalProperties": False}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
]

# No schemas.
WRONG = [
    {"type": "strng"}, {"type": 1}, {"type": ["string", "nothing"]}, {"type": []}, {"properties": []}, {"properties": {"a": 1}}, {"required": "a"}, {"required": [1]}, {"items": 1}, {"items": "string"},
    {"anyOf": {}}, {"anyOf": [1]}, {"allOf": "x"}, {"enum": "a"}, {"minimum": "1", "type": "number"}, {"type": "number", "maximum": None}, {"type": "string", "minLength": -1}, {"type": "string", "minLength": 1.5},
    {"type": "string", "maxLength": "3"}, {"type": "string", "pattern": "("}, {"type": "string", "pattern": 3}, {"type": "string", "pattern": "^(?=a)b$"}, {"type": "string", "pattern": "(a)\\1"},
    {"$ref": "#/$defs/absent"}, {"$ref": "http://example.com/other.json"}, {"$ref": 1}, {"$ref": ""}, {"$ref": "#anchor"}, {"$defs": []}, {"$defs": {"a": 3}, "$ref": "#/$defs/a"}, {"type": "number", "multipleOf": 0},
    {"type": "number", "multipleOf": -2}, {"type": "array", "minItems": "1"}, {"type": "object", "additionalProperties": 1}, {"type": "object", "patternProperties": {"(": {}}}, {"type": "string", "format": 1},
    {"prefixItems": {}}, {"type": "object", "minProperties": -1}, {"type": "integer", "minimum": True}, {"oneOf": 1},
    {"patternProperties": 1}, {"additionalItems": 1},
]


def _chain(length):
    return {"$defs": {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(length)} | {f"d{length}": {"type": "null"}}, "$ref": "#/$defs/d0"}


def _doubled(depth):
    """Whose text grows with its depth and whose meaning doubles with each level."""
    return {"$defs": {f"d{at}": {"allOf": [{"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}, {"$ref": f"#/$defs/d{at + 1}", "title": "again"}]}] * 2} for at in range(depth)}
            | {f"d{depth}": {"type": "null"}}, "$ref": "#/$defs/d0"}


def _nested(depth, leaf):
    schema = leaf
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


# Either is right, in bounded time and memory: they are refused for their size or answered.
HUGE = [
    {"enum": [f"word {number}" for number in range(5000)]}, {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(600)}},
    {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(5000)}}, {"anyOf": [{"const": f"c{number}"} for number in range(2000)]},
    {"type": "string", "minLength": 100000}, {"type": "string", "maxLength": 10**12}, {"type": "array", "items": {"type": "null"}, "minItems": 10**6}, {"type": "array", "items": {"type": "null"}, "maxItems": 10**9},
    {"type": "string", "pattern": "^(a{1,1000}){1,1000}$"}, {"type": "string", "pattern": "^(a|b)*a(a|b){18}$"}, {"type": "integer", "minimum": 10**300}, {"type": "number", "multipleOf": 1e-300},
    {"type": "string", "enum": ["x" * 100000]}, _chain(900), _chain(2000), _doubled(12), _nested(25, {"type": "null"}), {"allOf": [{"minimum": number, "type": "integer"} for number in range(1000)]},
    {"allOf": [{"anyOf": [{"properties": {f"a{at}": {"const": choice}}} for choice in range(4)]} for at in range(12)], "type": "object"}, {"type": "integer", "minimum": -(10**18), "maximum": 10**18},
    {"type": "integer", "multipleOf": 999983}, {"type": "string", "pattern": "^[\\s\\S]{0,5000}$"}, {"type": "object", "minProperties": 5000}, {"type": "array", "prefixItems": [{"type": "null"}] * 3000},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": number}, "v": {"type": "null"}}, "required": ["k", "v"]} for number in range(300)]},
]


def cases():
    """Name, schema, and what a refusal has to name; `None` where an answer is right, too, `"endless"` where one that is cut is."""
    for number, (keyword, schema) in enumerate(BEYOND):
        yield f"beyond {number} {keyword}", schema, keyword
    for number, schema in enumerate(IMPOSSIBLE):
        yield f"impossible {number}", schema, ""
    for number, schema in enumerate(ENDLESS):
        yield f"endless {number}", schema, "endless"
    for number, schema in enumerate(WRONG):
        yield f"wrong {number}", schema, ""
    for number, schema in enumerate(HUGE):
        yield f"huge {number}", schema, None
