#!/usr/bin/env python3
"""A RUSTC_WORKSPACE_WRAPPER for `make test`: clippy compiles our crates, and rustdoc reads what it compiled.

So neither takes a second check of all the crates we build on, as `cargo clippy` and `cargo doc` would after `cargo test`.
What they say goes where the compiler's own warnings go. Cargo calls this with rustc's name and arguments.
"""

from __future__ import annotations

import os
import subprocess
import sys

# Of the compiler's options, those that rustdoc does not have; each takes a value.
COMPILER_ONLY = ("--emit", "--out-dir", "-C")


def documentation(arguments: list[str], output: str) -> list[str]:
    """Rustdoc's arguments for a crate that is compiled with these."""
    kept = []
    rest = iter(arguments)
    for argument in rest:
        if argument in COMPILER_ONLY:
            next(rest)
        elif not argument.startswith(COMPILER_ONLY):
            kept.append(argument)
    return [*kept, "--out-dir", output]


def main() -> int:
    rustc, *arguments = sys.argv[1:]
    compiled = subprocess.run(["clippy-driver", rustc, *arguments], check=False, close_fds=False).returncode
    is_library = "lib" in arguments[arguments.index("--crate-type") + 1:] if "--crate-type" in arguments else False
    if compiled != 0 or not is_library:
        return compiled
    target = arguments[arguments.index("--out-dir") + 1]
    return subprocess.run(["rustdoc", *documentation(arguments, os.path.join(target, "../../doc"))], check=False, close_fds=False).returncode


if __name__ == "__main__":
    sys.exit(main())
