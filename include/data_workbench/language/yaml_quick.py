"""A pipeline file read by libyaml: a tenth of the time of the parser that knows where a mistake is.

Airflow parses every file again and again, and nearly all of them are sound. What libyaml refuses, or reads otherwise
than YAML 1.2 does, is left to `yaml_tree`, which answers with places and words. Limits are the same, by the same code.
"""

from __future__ import annotations

import re

from data_workbench.language.yaml_tree import Node, TreeBuilder, Unreadable

_UNUSUAL = re.compile(
    r"[\t\r\0\x85\u2028\u2029\ufeff]"  # tabs; what YAML 1.1 takes for the end of a line
    r"|^(%|---|\.\.\.)"  # directives, and marks of documents, which libyaml sees within a text block too
    r"|(^|[\s\[{,])\?(\s|$)"  # keys of several lines
    r"|[|>][-+0-9]*#|[^\s,(][\"']:[^\s:]",  # what ruamel refuses and libyaml does not
    re.MULTILINE,
)


def read_quickly(text: str, *, file: str = "") -> Node | None:
    """The tree of a file whose top is a mapping; None if it takes a closer look, be it sound or not.

    Values are those of `read_tree`; the places of empty ones are not.
    """
    import yaml

    if _UNUSUAL.search(text) or not yaml.__with_libyaml__:
        return None
    builder = TreeBuilder(text, file)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except (yaml.YAMLError, Unreadable):
        return None
    except ValueError:  # half a surrogate pair cannot be handed to libyaml
        return None
    if builder.root is None or builder.root.kind != "mapping" or builder.problems:
        return None
    return builder.root
