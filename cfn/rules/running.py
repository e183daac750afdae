"""What runs logs what it does, gives up late and where people look, and is watched."""

from __future__ import annotations

from collections.abc import Iterator

from .rule import rule
from .template import Finding, Node, Template


@rule
def functions_are_bounded(template: Template) -> Iterator[Finding]:
    for function in template.resources("AWS::Lambda::Function"):
        properties = function.at("Properties")
        yield from properties.at("Timeout").must_exist("the default of three seconds is too short to load partitions")
        yield from properties.at("MemorySize").must_exist("the default of 128 MB is too little to load partitions")
        yield from properties.at("Architectures").must_exist("the zip was built for one architecture")


@rule
def functions_have_logs_of_their_own(template: Template) -> Iterator[Finding]:
    for function in template.resources("AWS::Lambda::Function"):
        logging = function.at("Properties/LoggingConfig")
        yield from logging.at("LogGroup/Ref").must_exist(
            "a log group that Lambda creates outlives the stack and keeps everything for ever")
        yield from logging.at("LogFormat").must_be("JSON", why="metrics and log lines are JSON")
        yield from logging.at("ApplicationLogLevel").must_be(
            "TRACE", why="Lambda drops metrics below its own level; LogLevel is the function's")


@rule
def logs_end(template: Template) -> Iterator[Finding]:
    for log in template.resources("AWS::Logs::LogGroup"):
        yield from log.at("Properties/RetentionInDays").must_exist("otherwise logs are kept, and paid for, for ever")


@rule
def mappings_lose_nothing(template: Template) -> Iterator[Finding]:
    for mapping in template.resources("AWS::Lambda::EventSourceMapping"):
        properties = mapping.at("Properties")
        responses = properties.at("FunctionResponseTypes")
        if not any(one.equals("ReportBatchItemFailures") for one in responses.items()):
            yield Finding(responses, "add ReportBatchItemFailures: without it a batch counts as done, whatever "
                                     "the function answers")
        yield from properties.at("DestinationConfig/OnFailure/Destination").must_exist(
            "without it, records that are given up are gone")
        yield from properties.at("BisectBatchOnFunctionError").must_be(
            True, why="otherwise one bad record takes its whole batch along")


@rule
def mappings_end_trying(template: Template) -> Iterator[Finding]:
    for mapping in template.resources("AWS::Lambda::EventSourceMapping"):
        properties = mapping.at("Properties")
        yield from properties.at("MaximumRecordAgeInSeconds/Ref").must_be(
            "MaxRecordAgeSeconds", why="without an age, records are tried until the stream forgets them")
        yield from properties.at("MaximumRetryAttempts/Ref").must_be(
            "MaxRetryAttempts", why="without a limit, a record that never succeeds holds up its shard for as long")
        for parameter, least in (("MaxRecordAgeSeconds", 60), ("MaxRetryAttempts", 0)):
            minimum = template.at(f"Parameters/{parameter}/MinValue")
            if type(minimum.value) is not int or minimum.value < least:
                yield Finding(minimum, f"set it to {least} or more: -1 would mean for ever")


@rule
def mappings_are_counted(template: Template) -> Iterator[Finding]:
    for mapping in template.resources("AWS::Lambda::EventSourceMapping"):
        metrics = mapping.at("Properties/MetricsConfig/Metrics")
        if not any(one.equals("EventCount") for one in metrics.items()):
            yield Finding(metrics, "add EventCount: the alarms on records that are given up need it")


def alarms(template: Template) -> Iterator[Node]:
    """The properties of each alarm."""
    for alarm in template.resources("AWS::CloudWatch::Alarm"):
        yield alarm.at("Properties")


@rule
def alarms_say_what_to_do(template: Template) -> Iterator[Finding]:
    for alarm in alarms(template):
        description = alarm.at("AlarmDescription")
        if not isinstance(description.value, str) or "docs/operations.md" not in description.value:
            yield Finding(description, "say what the alarm means, what to do, and where in docs/operations.md there is "
                                       "more")


@rule
def alarms_tell_somebody(template: Template) -> Iterator[Finding]:
    for alarm in alarms(template):
        actions = alarm.at("AlarmActions")
        yield from actions.must_hold_something("an alarm without an action reaches nobody")
        if not all(action.at("Ref").equals("FewerInstances") for action in actions.items()):
            yield from alarm.at("OKActions").must_hold_something("tell people when it is over, if they have to act")


@rule
def alarms_know_silence(template: Template) -> Iterator[Finding]:
    for alarm in alarms(template):
        yield from alarm.at("TreatMissingData").must_be(
            "breaching", "notBreaching", why="say whether missing data is bad news")
