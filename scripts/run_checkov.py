#!/usr/bin/env python3
"""Runs checkov, which by itself spends most of its time on building one parser again and again.

It asks its library of JSON paths, bc_jsonpath_ng, for a parser for every path, and that has PLY work out the tables of
the same grammar each time. Here each grammar's parser is built once; the report is the same.
"""
import sys

import ply.yacc
from checkov.main import Checkov

build = ply.yacc.yacc
parsers = {}


def built_once(*arguments, **options):
    if "module" not in options:
        return build(*arguments, **options)
    grammar = type(options["module"]), options.get("start")
    if grammar not in parsers:
        parsers[grammar] = build(*arguments, **options)
    return parsers[grammar]


ply.yacc.yacc = built_once
sys.exit(Checkov().run())
