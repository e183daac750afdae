"""Checks templates against our own rules. Prints each violation; exits with 1 if there is any, with 2 if a file is no
template."""

import argparse
import sys

from . import Unreadable, load, violations


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cfn.rules", description=__doc__)
    parser.add_argument("template", nargs="+", help="a CloudFormation template in YAML")
    try:
        templates = [load(file) for file in parser.parse_args(arguments).template]
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    found = [violation for template in templates for violation in violations(template)]
    for violation in found:
        print(violation)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
