# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges nodes, topics, quality of service, rates, stamps and frames. No rclpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dppo_ros import qos, topics
from dppo_ros.core.topic_monitor import TopicLimits, TopicMonitor
from dppo_ros.preflight.expectation import Expectation, Expected
from dppo_ros.preflight.snapshot import Endpoint, Sample, Snapshot, TopicFacts
from dppo_ros.preflight.step import Step, judged

NODES, TOPICS, QUALITY, TIMING = "nodes", "topics", "quality of service", "rates and stamps"
SOLE = ("policy/chunk", "policy/observation")
"""Topics besides the command topics on which a second publisher can move the arm."""

MAX_AGE_S = 0.5
MAX_AHEAD_S = 0.02
_NS = 1e9
_SETTLED = 5


def node_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield whether the nodes of this package run, and are active."""
    if not seen.nodes & set(expected.nodes):
        yield Step(
            NODES, "nodes of this package", "ok",
            "none is running yet; what they publish is judged when they do",
        )  # fmt: skip
        return
    for name in expected.nodes:
        state = seen.states.get(name, "not running" if name not in seen.nodes else "no answer")
        yield judged(
            NODES, name, state == "active", state, "active",
            "start it with the others (dppo-ros up, ros2 launch); its log says why it refused",
        )  # fmt: skip


def running(seen: Snapshot, wanted: Expected) -> bool:
    """Return whether a topic can be judged: its node runs, or it is the robot's."""
    return not wanted.own or wanted.own in seen.nodes


def topic_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield whether every topic is there, with the right type, from one publisher."""
    for name, wanted in expected.topics.items():
        absent = not wanted.required and not seen.facts(name).publishers
        if running(seen, wanted) and not absent:
            yield _presence_step(name, wanted, seen.facts(name))
    owners = {
        entry.name: entry.publisher
        for entry in topics.TOPICS
        if entry.quality == "command" or entry.name in SOLE
    }
    if expected.controller:
        owners[expected.controller] = "command"
    for name, owner in owners.items():
        yield _sole_step(name, owner, seen)
    if expected.controller:
        yield _listener_step(expected, seen)


def _presence_step(name: str, wanted: Expected, facts: TopicFacts) -> Step:
    types = sorted({end.type for end in (*facts.publishers, *facts.subscribers)})
    count = len(facts.publishers)
    who = f"node {wanted.own}" if wanted.own else "the robot's or camera's own driver"
    if not count:
        return Step(
            TOPICS, name, "fail", "nobody publishes it", wanted.entry.type,
            f"{who} must publish it ({wanted.entry.description}); remap it if it has another name",
        )  # fmt: skip
    if types != [wanted.entry.type]:
        return Step(
            TOPICS, name, "fail", f"type {' and '.join(types)}", wanted.entry.type,
            "another program uses this name for something else: remap one of them",
        )  # fmt: skip
    nodes = ", ".join(sorted(end.node for end in facts.publishers))
    shared = wanted.entry.name in ("joint_states", "clock") or wanted.entry.quality == "status"
    return judged(
        TOPICS, name, count == 1 or shared, f"from {nodes}", "one publisher",
        "two sources of one measurement contradict each other: stop one",
    )  # fmt: skip


def _sole_step(name: str, owner: str, seen: Snapshot) -> Step:
    """Return whether only our own node speaks on a topic that moves the arm."""
    nodes = [end.node for end in seen.facts(name).publishers]
    foreign = [node for node in nodes if node.rsplit("/", 1)[-1] != owner]
    return judged(
        TOPICS, f"sole publisher of {name}", not foreign and len(nodes) <= 1,
        ", ".join(sorted(nodes)) or "none", f"node {owner}, once",
        "somebody else commands the arm: stop that process before anything moves",
    )  # fmt: skip


def _listener_step(expected: Expectation, seen: Snapshot) -> Step:
    """Return whether a robot or the twin listens to the setpoints."""
    name = expected.controller
    nodes = sorted(end.node for end in seen.facts(name).subscribers)
    lookers = ("recorder", "display")
    obeying = [node for node in nodes if node.rsplit("/", 1)[-1] not in lookers]
    return judged(
        TOPICS, f"somebody obeys {name}", bool(obeying), ", ".join(obeying) or "nobody listens",
        "the robot's controller, or the twin",
        "start the controller, remap its topic, or choose another backend (docs/deploy.md)",
    )  # fmt: skip


def quality_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield whether every publisher reaches every subscriber, by their declared qualities."""
    good = 0
    for name in (entry.name for entry in topics.TOPICS):
        facts = seen.facts(name)
        listeners = list(facts.subscribers)
        wanted = expected.topics.get(name)
        if wanted is not None and not wanted.own and facts.publishers:
            listeners += _planned_listeners(expected, seen, wanted)
        for problem in mismatches(facts.publishers, listeners):
            yield Step(
                QUALITY, name, "fail", problem, "a publisher that promises what readers demand",
                "set qos_overrides for the reader: config/ros/hardware has best-effort readers",
            )  # fmt: skip
            break
        else:
            good += bool(facts.publishers)
    yield Step(QUALITY, "publishers and readers that fit", "ok", f"{good} topics")


def _planned_listeners(expected: Expectation, seen: Snapshot, wanted: Expected) -> list[Endpoint]:
    """Return the readers that our nodes will be, as far as they do not run yet."""
    quality = qos.quality(wanted.entry.quality)
    key = f"qos_overrides./{wanted.entry.name}.subscription.reliability"
    usual = "reliable" if quality.reliable else "best_effort"
    return [
        Endpoint(
            f"/{node} (not started)", wanted.entry.type,
            expected.parameter(node, key, usual) == "reliable", quality.latched,
        )
        for node in expected.nodes
        if node not in seen.nodes and _will_listen(expected, node, wanted.entry)
    ]  # fmt: skip


def _will_listen(expected: Expectation, node: str, entry: topics.Topic) -> bool:
    """Return whether a node will listen; ``node.choice`` listens where a parameter says so."""
    choices = {str(value) for value in expected.parameters[node].values()}
    return any(
        name == node and (not choice or choice in choices)
        for name, _, choice in (reader.partition(".") for reader in entry.subscribers)
    )


def mismatches(publishers: Sequence[Endpoint], readers: Sequence[Endpoint]) -> Iterator[str]:
    """Yield a sentence for every pair between which no message will ever pass."""
    for sender in publishers:
        for reader in readers:
            reasons = []
            if reader.reliable and not sender.reliable:
                reasons.append("best effort, but reliable is demanded")
            if reader.latched and not sender.latched:
                reasons.append("volatile, but transient local is demanded")
            if reader.deadline_ns is not None and (
                sender.deadline_ns is None or sender.deadline_ns > reader.deadline_ns
            ):
                reasons.append("no deadline as short as the one demanded")
            if reasons:
                yield f"{sender.node} -> {reader.node}: {'; '.join(reasons)}"


def timing_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield rate, jitter, stamps and frame of every topic that should be flowing."""
    for name, wanted in expected.topics.items():
        facts = seen.facts(name)
        types = {end.type for end in facts.publishers}
        if types != {wanted.entry.type} or not running(seen, wanted):
            continue
        if wanted.rate_hz:
            yield _rate_step(name, wanted, facts, seen)
        if facts.samples:
            yield from _stamp_steps(name, wanted, facts.samples, seen)


def _rate_step(name: str, wanted: Expected, facts: TopicFacts, seen: Snapshot) -> Step:
    floor = f"at least {wanted.rate_hz:.3g} Hz"
    if len(facts.samples) < 2:
        return Step(
            TIMING, name, "fail", f"{len(facts.samples)} messages in {seen.seconds:.1f} s", floor,
            "it is announced but nothing comes: quality of service above, and for pictures the "
            "shared-memory profile on the publisher",
        )  # fmt: skip
    monitor = TopicMonitor(name, TopicLimits(max_age_s=0.0), capacity=max(len(facts.samples), 10))
    for sample in facts.samples:
        monitor.tick(sample.received_ns, sample.stamp_ns)
    report = monitor.report(facts.samples[-1].received_ns)
    rate_hz = _stamp_rate_hz(facts.samples) if seen.simulated else report.rate_hz
    faults = report.counts["duplicates"] + report.counts["backwards"]
    text = f"{rate_hz:.1f} Hz, jitter {report.jitter_s * 1e3:.1f} ms (99 %)"
    text += f", {faults} stamps repeated or going back" if faults else ""
    if rate_hz < wanted.rate_hz:
        return Step(
            TIMING, name, "fail", text, floor,
            "raise the rate of the publisher, or find out what slows it down",
        )  # fmt: skip
    return judged(
        TIMING, name, not faults, text,
        "every stamp later than the one before", "two publishers, or a driver that repeats itself",
        "warn",
    )  # fmt: skip


def _stamp_rate_hz(samples: Sequence[Sample]) -> float:
    stamps = [sample.stamp_ns for sample in samples if sample.stamp_ns is not None]
    span_ns = stamps[-1] - stamps[0] if len(stamps) > 1 else 0
    return (len(stamps) - 1) * _NS / span_ns if span_ns > 0 else 0.0


def _stamp_steps(
    name: str, wanted: Expected, samples: Sequence[Sample], seen: Snapshot
) -> Iterator[Step]:
    """Yield what is wrong with stamps and frames, one line for a topic that is fine."""
    stamped = [sample for sample in samples if sample.stamp_ns is not None]
    frames = sorted({sample.frame for sample in samples})
    if wanted.frame and frames != [wanted.frame]:
        yield Step(
            TIMING, f"frame of {name}", "fail", " and ".join(repr(f) for f in frames),
            repr(wanted.frame), "set base_frame and tag_frame of the nodes, or the driver's frame",
        )  # fmt: skip
    if not wanted.rate_hz or not stamped:
        return
    ages = sorted((s.received_ns - (s.stamp_ns or 0)) / _NS for s in stamped)
    middle = ages[len(ages) // 2]
    advice = (
        "synchronise the clocks of the two machines (chrony, PTP); a driver may also stamp with "
        "the device's own clock"
    )
    yield judged(
        TIMING, f"stamps of {name}", -MAX_AHEAD_S <= middle <= MAX_AGE_S,
        f"{middle * 1e3:.1f} ms from stamp to receipt (median)",
        f"{-MAX_AHEAD_S * 1e3:g} to {MAX_AGE_S * 1e3:g} ms", advice,
    )  # fmt: skip
