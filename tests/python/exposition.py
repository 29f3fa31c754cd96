"""Reads Prometheus' text format from standard input with Prometheus' own parser, and says how many samples it has. Fails where it is malformed."""

import sys

from prometheus_client.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
for family in families:
    assert family.documentation, f"{family.name} has no help"
    assert family.type != "unknown", f"{family.name} has no type"
print(sum(len(family.samples) for family in families))
