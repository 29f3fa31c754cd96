"""Schemathesis against a server's own document: `openapi_fuzz.py SERVER [EXAMPLES [SEED [PHASES]]]`.

Good and bad requests of each operation, made from `/openapi.json`. No answer may be a 500, break the document or take for ever, and what the document forbids may not be
taken. The server's context should be small: an answer without a limit fills it.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

server = sys.argv[1]
examples = sys.argv[2] if len(sys.argv) > 2 else "20"
seed = sys.argv[3] if len(sys.argv) > 3 else "1"
phases = sys.argv[4] if len(sys.argv) > 4 else "examples,coverage,fuzzing"
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance",
          "negative_data_rejection", "unsupported_method", "allow_header_conformance"]

with tempfile.TemporaryDirectory() as folder:
    events = pathlib.Path(folder) / "events.ndjson"
    run = subprocess.run(
        [pathlib.Path(sys.executable).with_name("st"), "run", f"{server}/openapi.json", "--phases", phases, "--mode", "all", "--checks", ",".join(CHECKS),
         "--seed", seed, "--max-examples", examples, "--workers", "1", "--request-timeout", "60", "--continue-on-failure", "--no-shrink", "--warnings", "off",
         "--report", "ndjson", "--report-ndjson-path", events],
        cwd=folder, capture_output=True, text=True,
    )
    statuses, operations = {}, set()
    for line in events.read_text().splitlines():
        event = json.loads(line)
        for name, content in event.items():
            if name == "ScenarioFinished":
                operations.add(content["recorder"]["label"])
                for interaction in content["recorder"].get("interactions", {}).values():
                    status = (interaction["response"] or {"status_code": "no answer"})["status_code"]
                    statuses[status] = statuses.get(status, 0) + 1
if run.returncode != 0:
    sys.exit(run.stdout + run.stderr)
cases = sum(statuses.values())
print(f"{cases} cases of {len(operations)} operations: {dict(sorted(statuses.items(), key=str))}")
# Both kinds of requests were there, or nothing was tested.
assert statuses.get(200, 0) > 50 and statuses.get(400, 0) > 100, statuses
