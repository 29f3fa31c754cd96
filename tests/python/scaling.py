"""Replays load traces through the autoscaler's policy as the manifests have it: scaling.py ROOT FOLDER writes plots and a table (docs/scaling).

An instance computes as was measured (docs/bench: SmolLM2-135M Q4_1, two threads): so many tokens a second by sequences together, prompts at their own rate; while there are both, each has
half of the time. Its queue and places are those of the manifest, and so is the policy: which pods count, tolerance, stabilization and the policies' bounds as the horizontal pod
autoscaler has them. Seeds are fixed: the same manifests give the same bytes."""

import bisect
import collections
import dataclasses
import heapq
import math
import pathlib
import random
import sys

import yaml

# Measured: sequences together and tokens a second of all; tokens of prompts a second.
DECODE = [(1, 226), (2, 400), (4, 617), (8, 858), (16, 973), (32, 1040)]
PREFILL = 1437
# What clients ask: tokens of a prompt, the share that a prefix cache has (with consistent hashing: docs/cluster.md), tokens of an answer on the average.
PROMPT, CACHED, ANSWER = 600, 0.6, 150
# Tokens that the KV cache of an instance has room for: 1 GiB at 23 KB a token.
KV_TOKENS = 46_600
# Seconds from the wish for a pod to its first request: the image and the model are on the node.
START = 30
# Seconds between two looks of the autoscaler, and between two scrapes.
LOOK = 15
STEP = 0.5


@dataclasses.dataclass
class Policy:
    """The numbers of the manifests."""

    least: int
    most: int
    targets: dict
    up: dict
    down: dict
    places: int
    queue: int

    @classmethod
    def read(cls, text):
        documents = {document["kind"]: document for document in yaml.safe_load_all(text) if document["metadata"]["name"] == "hearth"}
        spec = documents["HorizontalPodAutoscaler"]["spec"]
        number = lambda quantity: float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
        targets = {metric["pods"]["metric"]["name"]: number(metric["pods"]["target"]["averageValue"]) for metric in spec["metrics"]}
        arguments = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"]
        flags = dict(flag.lstrip("-").split("=", 1) for flag in arguments if "=" in flag)
        return cls(spec["minReplicas"], spec["maxReplicas"], targets, spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"], int(flags["sequences"]), int(flags["queue"]))


class Autoscaler:
    """What the horizontal pod autoscaler wants, look after look."""

    def __init__(self, policy):
        self.policy = policy
        self.wanted = collections.deque()
        self.changes = []

    def look(self, now, count, ready):
        """The number of pods from now on; `ready` are the measures of those that are, each by its name."""
        recommended = max(self.by_measure(count, [pod[name] for pod in ready], target) for name, target in self.policy.targets.items())
        self.wanted.append((now, recommended))
        while self.wanted[0][0] < now - self.policy.down["stabilizationWindowSeconds"]:
            self.wanted.popleft()
        if recommended < count:
            recommended = min(count, max(wanted for _, wanted in self.wanted))
        recommended = max(self.policy.least, min(self.policy.most, recommended))
        if recommended > count:
            recommended = min(recommended, max(self.bound(now, count, rule, 1) for rule in self.policy.up["policies"]))
        elif recommended < count:
            recommended = max(recommended, max(self.bound(now, count, rule, -1) for rule in self.policy.down["policies"]))
        if recommended != count:
            self.changes.append((now, recommended - count))
        return recommended

    def by_measure(self, count, values, target):
        if not values:
            return count
        ratio = sum(values) / len(values) / target
        if self.tolerated(ratio):
            return count
        starting = count - len(values)
        if starting == 0 or ratio < 1:
            return math.ceil(ratio * len(values))
        # Pods that are not ready yet count as idle before more are added.
        anew = sum(values) / count / target
        return count if self.tolerated(anew) or anew < 1 else max(count, math.ceil(anew * count))

    def tolerated(self, ratio):
        return 1 - float(self.policy.down["tolerance"]) <= ratio <= 1 + float(self.policy.up["tolerance"])

    def bound(self, now, count, rule, sign):
        """How far a rule lets the number go, from where it was at the beginning of the rule's period."""
        changed = sum(change for at, change in self.changes if at > now - rule["periodSeconds"] and change * sign > 0)
        before = count - changed
        return math.ceil(before * (1 + sign * rule["value"] / 100)) if rule["type"] == "Percent" else before + sign * rule["value"]


class Instance:
    def __init__(self, policy, ready):
        self.policy, self.ready = policy, ready
        self.waiting = collections.deque()
        self.prompts = collections.deque()
        # Sequences that are decoded, by the progress (tokens that each has got since the start) at which they end.
        self.decoding = []
        self.progress = 0.0

    def busy(self):
        return len(self.waiting) + len(self.prompts) + len(self.decoding)

    def measures(self):
        held = (len(self.prompts) + len(self.decoding)) * (PROMPT + ANSWER / 2)
        return {"hearth_places_ratio": self.busy() / self.policy.places, "hearth_kv_cache_ratio": min(1, held / KV_TOKENS)}

    def step(self, now, first_tokens):
        while self.waiting and len(self.prompts) + len(self.decoding) < self.policy.places:
            arrived, computed, answer = self.waiting.popleft()
            self.prompts.append([arrived, computed, answer])
        share = 0.5 if self.prompts and self.decoding else 1.0
        if self.decoding:
            together = len(self.decoding)
            self.progress += rate(together) / together * STEP * (share if self.prompts else 1.0)
            while self.decoding and self.decoding[0] <= self.progress:
                heapq.heappop(self.decoding)
        left = PREFILL * STEP * share
        while self.prompts and left > 0:
            prompt = self.prompts[0]
            done = min(left, prompt[1])
            prompt[1] -= done
            left -= done
            if prompt[1] <= 0:
                self.prompts.popleft()
                # Within the step, the moment at which its share of the time was used up.
                first_tokens.append((now, max(now + STEP * (1 - left / (PREFILL * STEP * share)) - prompt[0], 1 / 226)))
                heapq.heappush(self.decoding, self.progress + prompt[2])


def rate(together):
    """Tokens a second of so many sequences, on straight lines between what was measured."""
    at = bisect.bisect_left(DECODE, (together, 0))
    if at == len(DECODE):
        return DECODE[-1][1]
    (right, above) = DECODE[at]
    if right == together or at == 0:
        return above
    (left, below) = DECODE[at - 1]
    return below + (above - below) * (together - left) / (right - left)


def hump(hour, centre, width):
    return math.exp(-(((hour - centre) / width) ** 2))


# Requests a second at a time in seconds, and how long it goes on.
TRACES = {
    "day": ("a day of an office: little at night, most at half past ten and at three", 86_400, lambda t: 0.5 + 17 * hump(t / 3600, 10.5, 2) + 14 * hump(t / 3600, 15, 2.2)),
    "burst": ("ten minutes of ten times as much, out of nothing", 3_600, lambda t: 20 if 900 <= t < 1500 else 2),
    "ramp": ("from one a second to twenty-four in an hour, held for twenty minutes, gone in ten", 9_000, lambda t: 1 + 23 * (min(t / 3600, 1) if t < 4800 else max(0, 1 - (t - 4800) / 600))),
}


@dataclasses.dataclass
class Replay:
    length: int
    asked: int = 0
    refused: int = 0
    pods: list = dataclasses.field(default_factory=list)
    waiting: list = dataclasses.field(default_factory=list)
    first_tokens: list = dataclasses.field(default_factory=list)
    changes: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def quantile(self, share):
        times = sorted(time for _, time in self.first_tokens)
        return times[int(share * (len(times) - 1))]


def replay(policy, length, rate_at):
    dice = random.Random(6)
    scaler, result = Autoscaler(policy), Replay(length)
    fleet = [Instance(policy, 0) for _ in range(policy.least)]
    leaving = []
    next_arrival = 0.0
    peak = max(rate_at(t) for t in range(0, length, 10))
    for tick in range(int(length / STEP)):
        now = tick * STEP
        ready = [instance for instance in fleet if instance.ready <= now]
        # Arrivals of a Poisson process with a rate that changes, by thinning one at the highest rate.
        while next_arrival < now + STEP:
            if dice.random() * peak < rate_at(next_arrival):
                result.asked += 1
                request = (next_arrival, max(1, dice.expovariate(1 / (PROMPT * (1 - CACHED)))), max(1, dice.expovariate(1 / ANSWER)))
                # Where its conversation's hash says; if that refuses, where least is under way.
                place = dice.choice(ready)
                if len(place.waiting) >= policy.queue:
                    place = min(ready, key=Instance.busy)
                if len(place.waiting) >= policy.queue:
                    result.refused += 1
                else:
                    place.waiting.append(request)
            next_arrival += dice.expovariate(peak)
        for instance in fleet + leaving:
            instance.step(now, result.first_tokens)
        leaving = [instance for instance in leaving if instance.busy()]
        result.seconds += (len(fleet) + len(leaving)) * STEP
        if now % LOOK == 0:
            wanted = scaler.look(now, len(fleet), [instance.measures() for instance in ready])
            while len(fleet) < wanted:
                fleet.append(Instance(policy, now + START))
            while len(fleet) > wanted:
                # It takes nothing more and ends what it has.
                leaving.append(fleet.pop())
            result.pods.append((now, len(fleet)))
            result.waiting.append((now, sum(len(instance.waiting) for instance in fleet + leaving)))
    result.changes = scaler.changes
    return result


WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 720, 170, 60, 20, 30, 26


def svg(title, result, rate_at, most):
    """Three plots over the same time: instances and what is asked, what waits, and the time to the first token."""
    window = max(60, result.length // 240)
    times = collections.defaultdict(list)
    for at, time in result.first_tokens:
        times[int(at // window) * window].append(time)
    middle = [(at, sorted(values)[len(values) // 2]) for at, values in sorted(times.items())]
    late = [(at, sorted(values)[int(0.95 * (len(values) - 1))]) for at, values in sorted(times.items())]
    asked = [(at, rate_at(at)) for at in range(0, result.length, window)]
    highest = max(max(value for _, value in asked), most)
    thinned = lambda points: [points[0]] + [point for before, point in zip(points, points[1:]) if point[1] != before[1]] + [points[-1]]
    stairs = [point for (at, value), (after, _) in zip(thinned(result.pods), thinned(result.pods)[1:] + [(result.length, 0)]) for point in ((at, value), (after, value))]
    coarse = [(at, max(value for when, value in result.waiting if at <= when < at + window)) for at in range(0, result.length, window)] if result.length > 20_000 else result.waiting
    plots = [
        ("instances, and requests a second (dashed)", highest, [("#1d4ed8", "", stairs), ("#c2410c", "5 3", asked)]),
        ("requests that wait, of all instances", max(10, max(value for _, value in coarse)), [("#1d4ed8", "", coarse)]),
        ("seconds to the first token: the middle, and one in twenty (dashed)", max(1, max(value for _, value in late)), [("#1d4ed8", "", middle), ("#c2410c", "5 3", late)]),
    ]
    total = TOP + len(plots) * (HEIGHT + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="#ffffff"/>', f'<text x="{LEFT}" y="20" font-size="15">{title}</text>']
    hours = result.length > 20_000
    marks = [hour * 3600 for hour in range(0, 25, 3)] if hours else range(0, result.length + 1, 600 if result.length < 5000 else 1500)
    for index, (name, top, lines) in enumerate(plots):
        above = TOP + index * (HEIGHT + GAP) + 18
        x = lambda at: LEFT + at / result.length * (WIDTH - LEFT - RIGHT)
        y = lambda value: above + (HEIGHT - 38) * (1 - value / top)
        out.append(f'<text x="{LEFT}" y="{above - 5}">{name}</text>')
        for value in (0, top / 2, top):
            out.append(f'<line x1="{LEFT}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}" stroke="#d4d4d4"/><text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        for mark in marks:
            text = f"{mark // 3600} h" if hours else f"{mark // 60} min"
            out.append(f'<text x="{x(mark):.1f}" y="{above + HEIGHT - 22}" text-anchor="middle">{text}</text>')
        for colour, dash, points in lines:
            path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"/>')
    return "\n".join(out + ["</svg>", ""])


def main(root, folder):
    root, folder = pathlib.Path(root), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    policy = Policy.read((root / "tests/golden/kubernetes/full.yaml").read_text())
    others = {
        "as the manifests have it": policy,
        "without `tolerance` (down below 72 %)": dataclasses.replace(policy, down={**policy.down, "tolerance": "0.1"}, up={**policy.up, "tolerance": "0.1"}),
        "always ten": dataclasses.replace(policy, least=policy.most),
    }
    rows = ["| trace | policy | instances, mean and most | ups and downs | requests | refused | first token: middle, one in twenty, one in a hundred |", "|---|---|---|---|---|---|---|"]
    for name, (described, length, rate_at) in TRACES.items():
        for label, these in others.items():
            result = replay(these, length, rate_at)
            if these is policy:
                (folder / f"{name}.svg").write_text(svg(f"{name}: {described}", result, rate_at, policy.most))
            ups, downs = sum(change > 0 for _, change in result.changes), sum(change < 0 for _, change in result.changes)
            quantiles = ", ".join(f"{result.quantile(share):.2f} s" for share in (0.5, 0.95, 0.99))
            rows.append(f"| {name} | {label} | {result.seconds / length:.1f}, {max(count for _, count in result.pods)} | {ups}, {downs} | {result.asked} | {result.refused} | {quantiles} |")
    (folder / "table.md").write_text("\n".join(rows) + "\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
