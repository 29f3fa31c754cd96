"""Whether a text is the beginning of JSON."""

import re

# What may stand where a text was cut, of a value that is not whole.
_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*'
_STRING_END = r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?"
_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
_NUMBER_CUT = re.compile(r"-|-?(?:0|[1-9][0-9]*)(?:\.|(?:\.[0-9]+)?[eE][-+]?)")
_WHOLE = re.compile(_STRING + '"')
_CUT = re.compile(_STRING + _STRING_END)
_WORDS = ["true", "false", "null"]


def check(text):
    """Raises ValueError where no JSON begins with this text."""
    stack, at, wants = [], 0, "value"
    while at < len(text):
        character, rest = text[at], text[at:]
        if character in " \t\r\n":
            at += 1
        elif wants in ("value", "value or ]") and character in "[{":
            stack.append(character)
            wants = "value or ]" if character == "[" else "name or }"
            at += 1
        elif character in "]}" and stack and stack[-1] == {"]": "[", "}": "{"}[character] and wants in ("comma", f"value or {character}", f"name or {character}"):
            stack.pop()
            wants = "comma" if stack else "end"
            at += 1
        elif character == "," and wants == "comma":
            wants = "value" if stack[-1] == "[" else "name"
            at += 1
        elif character == ":" and wants == "colon":
            wants = "value"
            at += 1
        elif character == '"' and (wants.startswith("value") or wants.startswith("name")):
            whole = _WHOLE.match(rest)
            if whole is None:
                if _CUT.fullmatch(rest):
                    return
                raise ValueError(f"no string at {at}")
            at += whole.end()
            wants = "colon" if wants.startswith("name") else "comma" if stack else "end"
        elif wants.startswith("value"):
            if any(word.startswith(rest) for word in _WORDS) or _NUMBER_CUT.fullmatch(rest):
                return
            found = next((word for word in _WORDS if rest.startswith(word)), None) or (_NUMBER.match(rest) or [None])[0]
            if not found:
                raise ValueError(f"no value at {at}")
            at += len(found)
            wants = "comma" if stack else "end"
        else:
            raise ValueError(f"{character!r} at {at}, where {wants} should be")


for _good in ["", "{", '{"a', '{"a": [1, -', '[1.5e', '[tr', '"\\u00', '{"a": {"b": null}, "c', "12", " [ ] "]:
    check(_good)
for _bad in ["}", "{1", '{"a" 1', "[1,,", "tru3", "01", '"\n', "[] []", '{"a": 1,}', "[1}", '"\\x']:
    try:
        check(_bad)
    except ValueError:
        continue
    raise AssertionError(f"{_bad!r} passed as the beginning of JSON")
