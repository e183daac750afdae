"""Rules for the templates beside this folder, for what neither CloudFormation's schema nor checkov knows.

    python -m cfn.rules cfn/*.yaml

A rule is a function with `@rule` in the module of its subject. Its name is what a violation is reported as. Each check
in a rule needs a change in tests/test_template_rules.py that breaks it.
"""

from . import access, data, instances, names, network, running
from .rule import RULES, Violation, violations
from .template import Template, Unreadable, load

__all__ = ["RULES", "Template", "Unreadable", "Violation", "load", "violations"]
