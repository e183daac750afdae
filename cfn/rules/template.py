"""CloudFormation templates, and nodes in them that know their path and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from cfnlint.decode import cfn_yaml
from cfnlint.decode.cfn_yaml import CfnParseError

ABSENT = object()


class Unreadable(Exception):
    """A file that is no template."""


class Finding(NamedTuple):
    """A node that breaks a rule, and how to mend it."""

    node: Node
    remedy: str


class Node:
    """A value in a template. What the template lacks is a node too: its value is ABSENT, and so are its children."""

    def __init__(self, value: object, path: tuple[str, ...] = (), line: int = 1):
        self.value = value
        self.path = path
        self.line = line

    def at(self, path: str) -> Node:
        """The node at a path of keys and list indices, such as `Properties/Tags/0/Value`."""
        node = self
        for step in path.split("/"):
            node = node._child(step)
        return node

    def _child(self, step: str) -> Node:
        value, mark = ABSENT, None
        if self.is_map:
            for key, inner in self.value.items():
                if key == step:
                    value, mark = inner, getattr(key, "start_mark", None)
        elif isinstance(self.value, list) and step.isdigit() and int(step) < len(self.value):
            value = self.value[int(step)]
            mark = getattr(value, "start_mark", None)
        return Node(value, (*self.path, step), mark.line + 1 if mark else self.line)

    def items(self) -> list[Node]:
        """The items of a list; of anything else, the node itself, as CloudFormation takes one value for a list of one.

        An empty list has one absent item, so that a rule for all items is not met by the lack of any.
        """
        if not isinstance(self.value, list):
            return [self]
        return [self.at(str(index)) for index in range(max(1, len(self.value)))]

    def texts(self) -> Iterator[Node]:
        """Every text in this node, at any depth."""
        if isinstance(self.value, str):
            yield self
        elif self.is_map:
            for key in self.value:
                yield from self._child(key).texts()
        elif isinstance(self.value, list):
            for index in range(len(self.value)):
                yield from self._child(str(index)).texts()

    @property
    def name(self) -> str:
        """The last step of the path: the logical name of a resource."""
        return self.path[-1]

    @property
    def exists(self) -> bool:
        return self.value is not ABSENT

    @property
    def is_map(self) -> bool:
        return isinstance(self.value, dict)

    def equals(self, expected: str | int | bool) -> bool:
        """Whether the value is this one. The text "true" is not true, and true is not 1."""
        if isinstance(expected, bool) or isinstance(self.value, bool):
            return self.value is expected
        return self.value == expected

    def must_be(self, *allowed: str | int | bool, why: str) -> Iterator[Finding]:
        if not any(self.equals(one) for one in allowed):
            yield Finding(self, f"set it to {' or '.join(json.dumps(one) for one in allowed)}: {why}")

    def must_exist(self, why: str) -> Iterator[Finding]:
        if not self.exists:
            yield Finding(self, f"set it: {why}")

    def must_hold_something(self, why: str) -> Iterator[Finding]:
        if self.value in (ABSENT, None, "", [], {}):
            yield Finding(self, f"add an item: {why}")

    def must_not_exist(self, why: str) -> Iterator[Finding]:
        if self.exists:
            yield Finding(self, f"remove it: {why}")


class Template(Node):
    """The root of a template."""

    def __init__(self, file: str, document: dict):
        super().__init__(document)
        self.file = file

    def resources(self, *types: str) -> list[Node]:
        """The resources of these types."""
        resources = self.at("Resources")
        found = [resources.at(name) for name in (resources.value if resources.is_map else ())]
        return [one for one in found if any(one.at("Type").equals(kind) for kind in types)]


def load(file: str | Path) -> Template:
    """The template as cfn-lint decodes it: with its short forms written out, and with line numbers."""
    try:
        document = cfn_yaml.load(str(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, CfnParseError) as error:
        raise Unreadable(f"cannot read {file} as a template: {error}") from error
    template = Template(str(file), document)
    if not template.at("Resources").is_map:
        raise Unreadable(f"{file} is not a template: it has no Resources")
    return template
