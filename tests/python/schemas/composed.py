"""Schemas put together at random, from a seed: nested, with references, alternatives and bounds, each of which has valid values."""

import random

WORDS = ["name", "id", "größe", "値", "a b", "x-y", "type", "$id", "emoji 🙂", "list", "next", "\"q\"", "n/a", "tilde~", "ok"]
FORMATS = ["date-time", "date", "time", "email", "ipv4", "ipv6", "uuid", "uri", "hostname", "duration"]
PATTERNS = ["^[a-z]{1,6}$", "^[0-9]{2,4}$", "^(yes|no)$", "^[A-Z][a-z]{0,5}$", "^é[à-ü]{0,3}$", "^[a-c]*$"]


class Composer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.definitions = {}

    def schema(self):
        if self.random.random() < 0.5:
            for at in range(self.random.randint(1, 3)):
                self.definitions[f"def {at}" if self.random.random() < 0.2 else f"def{at}"] = self.value(2)
        root = self.value(3) if self.random.random() < 0.3 else self.object(3)
        if self.definitions:
            root = root | {"$defs": self.definitions}
        return root

    def value(self, depth):
        leaves = [self.integer, self.number, self.string, self.string, self.word, self.constant, self.flag]
        branches = [self.object, self.object, self.array, self.tuple, self.any_of, self.tagged, self.nullable, self.all_of, self.reference]
        if depth > 0 and self.random.random() < 0.6:
            return self.random.choice(branches)(depth)
        schema = self.random.choice(leaves)()
        if self.random.random() < 0.2:
            schema = schema | {"title": "A title", "description": "What it is: \"quoted\", and more."}
        return schema

    def integer(self):
        low = self.random.choice([-(2**31), -100, -7, 0, 1, 18])
        schema = {"type": "integer"}
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.random.random() < 0.6:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = low + self.random.choice([12, 120, 10**6])
        if self.random.random() < 0.2:
            schema["multipleOf"] = self.random.choice([2, 5, 10])
        return schema

    def number(self):
        low = self.random.choice([-90, -0.5, 0, 0.001, 1.5])
        schema = {"type": "number"}
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.random.random() < 0.6:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = low + self.random.choice([0.25, 1, 180, 1e9])
        if self.random.random() < 0.2 and len(schema) == 1:
            schema["multipleOf"] = self.random.choice([0.01, 0.5, 0.25])
        return schema

    def string(self):
        kind = self.random.randrange(4)
        if kind == 0:
            return {"type": "string", "format": self.random.choice(FORMATS)}
        if kind == 1:
            return {"type": "string", "pattern": self.random.choice(PATTERNS)}
        low = self.random.randint(0, 3)
        return {"type": "string", "minLength": low, "maxLength": low + self.random.randint(0, 9)}

    def word(self):
        return {"enum": self.random.sample(WORDS + [None, 3, True], self.random.randint(1, 5))}

    def constant(self):
        return {"const": self.random.choice(["v1", 7, None, False, 1.25, [], {"a": 1}, "ö"])}

    def flag(self):
        return {"type": self.random.choice(["boolean", "null"])}

    def object(self, depth):
        names = self.random.sample(WORDS, self.random.randint(0, 4))
        schema = {"type": "object", "properties": {name: self.value(depth - 1) for name in names}}
        if self.random.random() < 0.8:
            schema["required"] = self.random.sample(names, self.random.randint(0, len(names)))
        if self.random.random() < 0.7:
            schema["additionalProperties"] = False
        elif self.random.random() < 0.5:
            schema["additionalProperties"] = self.value(0)
        if self.random.random() < 0.1:
            schema["patternProperties"] = {"^z_": self.value(0)}
        return schema

    def array(self, depth):
        low = self.random.randint(0, 2)
        return {"type": "array", "items": self.value(depth - 1), "minItems": low, "maxItems": low + self.random.randint(0, 2)}

    def tuple(self, depth):
        items = [self.value(depth - 1) for _ in range(self.random.randint(1, 3))]
        return {"type": "array", "prefixItems": items, "items": self.random.choice([False, {"type": "null"}]), "minItems": self.random.randint(0, len(items)), "maxItems": len(items) + 1}

    def any_of(self, depth):
        return {"anyOf": [self.value(depth - 1) for _ in range(self.random.randint(1, 3))]}

    def tagged(self, depth):
        """Alternatives that a constant tells apart, as `oneOf` can be held."""
        kinds = [
            {"type": "object", "properties": {"kind": {"const": f"k{at}"}, "value": self.value(depth - 1)}, "required": ["kind", "value"], "additionalProperties": False}
            for at in range(self.random.randint(2, 3))
        ]
        return {"oneOf": kinds}

    def nullable(self, depth):
        return {"anyOf": [self.value(depth - 1), {"type": "null"}]}

    def all_of(self, depth):
        first, second = self.random.sample(["left", "right", "both"], 2)
        part = lambda name: {"type": "object", "properties": {name: self.value(depth - 1)}, "required": [name]}
        return {"allOf": [part(first), part(second)]}

    def reference(self, _depth):
        if not self.definitions:
            return {"type": "boolean"}
        return {"$ref": "#/$defs/" + self.random.choice(list(self.definitions)).replace(" ", "%20" if self.random.random() < 0.5 else " ")}


def cases(count, seed):
    for number in range(count):
        yield f"composed {number}", Composer(seed * 100_000 + number).schema()
