"""Checks manifests for Kubernetes without a cluster: manifests.py ROOT FILE... prints what is wrong and ends with 1 where something is.

Kubernetes' own kinds by their published schemas, unknown fields refused (kubernetes-validate). KEDA's, Knative's and the Prometheus operator's by models made from their published
definitions (cloudcoil); a field that is lost on the way through the model is unknown. The Gateway API's, Envoy Gateway's and SpinKube's by schemas written by hand
(schemas/manifests.json): of the fields that are used here, no more. Then what no schema says: rights, probes, references, and that the policy is one."""

import json
import pathlib
import re
import sys

import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.knative_serving.serving import v1 as knative
from cloudcoil.models.prometheus_operator import v1 as prometheus

VERSION = "1.37"
MODELS = {
    ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
    ("serving.knative.dev/v1", "Service"): knative.Service,
    ("monitoring.coreos.com/v1", "PodMonitor"): prometheus.PodMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): prometheus.PrometheusRule,
}
BY_HAND = json.loads((pathlib.Path(__file__).parent / "schemas/manifests.json").read_text())
# What runs as somebody else's image, and the secret files that a person makes (docs/cluster.md).
SECRETS = {"hearth": {"redis-url", "redis-password", "redis.conf", "master-key"}, "hearth-backup": {"backup.key"}, "hearth-tls": set()}

problems = []


def problem(where, what):
    problems.append(f"{where}: {what}")


def schema(document, where):
    kind = (document["apiVersion"], document["kind"])
    if kind in MODELS:
        try:
            model = MODELS[kind].model_validate(document)
        except ValueError as error:
            return problem(where, error)
        kept = json.loads(model.model_dump_json(by_alias=True, exclude_unset=True))
        for path in lost(document, kept):
            problem(where, f"{path} is no field of it")
    elif "/".join(kind) in BY_HAND:
        schema = {"definitions": BY_HAND["definitions"], **BY_HAND["/".join(kind)]}
        for error in jsonschema.Draft7Validator(schema).iter_errors(document):
            problem(where, f"{error.json_path}: {error.message}")
    else:
        try:
            kubernetes_validate.validate(document, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            problem(where, f"{list(error.path)}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            problem(where, "no schema of this kind")


def lost(before, after, path=""):
    """The fields of `before` that `after` has not."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}.{key}"
            else:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{index}]")


def pod_of(document):
    """The specification of the pods that a document makes, and their labels."""
    kind, spec = document["kind"], document.get("spec", {})
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template") if isinstance(spec, dict) else None
    return (template["spec"], template.get("metadata", {}).get("labels", {})) if template else (None, {})


def pod(document, where):
    spec, _ = pod_of(document)
    if spec is None:
        return
    around = spec.get("securityContext", {})
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"]: claim for claim in document["spec"].get("volumeClaimTemplates", [])}
    if spec.get("automountServiceAccountToken") is not False:
        problem(where, "the pods have a token of the cluster's")
    for name, volume in volumes.items():
        secret = volume.get("secret")
        if secret and secret["secretName"] not in SECRETS:
            problem(where, f"nobody makes the Secret {secret['secretName']}")
        for item in (secret or {}).get("items", []):
            if item["key"] not in SECRETS[secret["secretName"]]:
                problem(where, f"the Secret {secret['secretName']} has no {item['key']}")
    for container in spec.get("initContainers", []) + spec["containers"]:
        name = f"{where}, {container['name']}"
        own = container.get("securityContext", {})
        held = {**around, **own}
        wanted = {"runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
        for key, value in wanted.items():
            if held.get(key) != value:
                problem(name, f"{key} is {held.get(key)}, not {value}")
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                problem(name, f"no volume {mount['name']}")
        if "memory" not in container.get("resources", {}).get("limits", {}) and document["kind"] != "Service":
            problem(name, "no limit of memory")
        if re.search(r"(:latest|^[^:]+)$", container["image"]):
            problem(name, f"{container['image']} has no version")
        for variable in container.get("env", []):
            if "valueFrom" in variable or re.search("PASSWORD|SECRET", variable["name"]):
                problem(name, f"the secret {variable['name']} is a variable and not a file")


def server(documents, where):
    """The service itself: probes, the way to end, and what it is told."""
    for document in documents:
        spec, labels = pod_of(document)
        if document["kind"] != "Deployment" or labels.get("app.kubernetes.io/component") != "server":
            continue
        container = spec["containers"][0]
        paths = [container.get(probe, {}).get("httpGet", {}).get("path") for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
        if paths != ["/health/ready", "/health/ready", "/health/live"]:
            problem(where, f"probes ask {paths}")
        flags = dict(flag.lstrip("-").split("=", 1) for flag in container["args"] if "=" in flag)
        if int(flags["drain-notice"]) + int(flags["drain"]) >= spec["terminationGracePeriodSeconds"]:
            problem(where, "the grace is over before the drain")
        if "pull verify".split() != [init["args"][0] for init in spec["initContainers"]]:
            problem(where, "no init containers that fetch the model and compute its hash")
        if not {init["args"][1] for init in spec["initContainers"]} == {flags["model"]}:
            problem(where, "the model that is fetched is another than that which is served")


def policy(documents, where, root):
    """One policy, wherever it is written: 2 to 10 instances, up at 80 %, down at 30 %."""
    text = (root / "docs/observability.md").read_text()
    scalers = [document for document in documents if document["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
    if len(scalers) != 1 and any(document["kind"] == "Deployment" for document in documents):
        problem(where, f"{len(scalers)} autoscalers")
    for scaler in scalers:
        spec = scaler["spec"]
        if scaler["kind"] == "ScaledObject":
            bounds = spec["minReplicaCount"], spec["maxReplicaCount"]
            targets = [trigger["metadata"]["threshold"] for trigger in spec["triggers"]]
            behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            names = [name for trigger in spec["triggers"] for name in re.findall(r"hearth_\w+", trigger["metadata"]["query"])]
        else:
            bounds = spec["minReplicas"], spec["maxReplicas"]
            targets = [str(metric["resource"]["target"].get("averageUtilization", 0) / 100) if metric["type"] == "Resource" else metric["pods"]["target"]["averageValue"] for metric in spec["metrics"]]
            behavior = spec["behavior"]
            if round(0.8 * (1 - float(behavior["scaleDown"]["tolerance"])), 3) != 0.3:
                problem(where, "the way down does not begin at 30 %")
            adapter = yaml.safe_load((root / "deploy/kubernetes/components/custom-metrics/adapter.yaml").read_text())["rules"]["custom"]
            told = {rule["name"]["as"]: rule["metricsQuery"] for rule in adapter}
            asked = [metric["pods"]["metric"]["name"] for metric in spec["metrics"] if metric["type"] == "Pods"]
            for name in set(asked) - set(told):
                problem(where, f"the adapter does not tell {name}")
            names = [name for metric in asked for name in re.findall(r"hearth_\w+", told.get(metric, ""))]
        if bounds != (2, 10):
            problem(where, f"from {bounds[0]} to {bounds[1]} instances")
        if any({"800m": "0.8"}.get(target, target) != "0.8" for target in targets):
            problem(where, f"up at {targets}")
        if behavior["scaleDown"]["stabilizationWindowSeconds"] != 300:
            problem(where, "the way down is not steadied")
        for name in names:
            if f"`{name}" not in text:
                problem(where, f"{name} is no measure of docs/observability.md")


def references(documents, where):
    """What names something in the same folder finds it."""
    there = {(document["kind"], document["metadata"]["name"]) for document in documents}
    labels = [labels for _, labels in map(pod_of, documents) if labels]
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        selector = {"Service": spec.get("selector"), "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"), "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels"), "PodMonitor": spec.get("selector", {}).get("matchLabels")}.get(kind)
        if selector and document["apiVersion"] != "serving.knative.dev/v1" and not any(selector.items() <= of.items() for of in labels):
            problem(where, f"{kind} {document['metadata']['name']} selects no pods: {selector}")
        for rule in spec.get("rules", []) if kind == "HTTPRoute" else []:
            for backend in rule.get("backendRefs", []):
                if ("Service", backend["name"]) not in there:
                    problem(where, f"{kind} leads to {backend['name']}, which is not there")
        for rule in spec.get("rules", []) if kind == "Ingress" else []:
            for path in rule["http"]["paths"]:
                if ("Service", path["backend"]["service"]["name"]) not in there:
                    problem(where, f"{kind} leads nowhere: {path['backend']}")
        spec, _ = pod_of(document)
        for volume in (spec or {}).get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and ("PersistentVolumeClaim", claim) not in there:
                problem(where, f"no claim {claim}")


def main(root, files):
    root = pathlib.Path(root)
    rules = yaml.safe_load((root / "deploy/prometheus/hearth.rules.yml").read_text())
    count = 0
    for file in files:
        documents = [document for document in yaml.safe_load_all(pathlib.Path(file).read_text()) if document]
        short, before = pathlib.Path(file).name, len(problems)
        for document in documents:
            where = f"{short}: {document['kind']} {document['metadata']['name']}"
            known = len(problems)
            schema(document, where)
            if len(problems) == known:
                pod(document, where)
            if document["kind"] == "PrometheusRule" and document["spec"]["groups"] != rules["groups"]:
                problem(where, "its groups are not those of deploy/prometheus/hearth.rules.yml")
            count += 1
        # What is no valid document at all may lack what is looked at next.
        if len(problems) > before:
            continue
        server(documents, short)
        policy(documents, short, root)
        references(documents, short)
    print(f"{count} documents in {len(files)} files, {len(problems)} problems")
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
