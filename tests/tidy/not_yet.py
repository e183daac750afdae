"""What breaks a rule today. Every list may only shrink: an entry that nothing needs any longer fails the test."""

# Folders of each crate whose modules still form cycles.
CYCLES: dict[str, set[str]] = {
    ".": {
        "crate::cli::backtest",
        "crate::cli::cost",
        "crate::dashboard",
        "crate::source",
        "crate::source::mqtt",
    },
    "crates/delivery": {
        "crate::lanes",
    },
    "crates/processor": {
        "crate::score",
    },
    "crates/spool": {
        "crate",
    },
}

# Names that several modules of a crate have.
MODULE_NAMES: dict[str, set[str]] = {
    ".": {
        "body",
        "connection",
        "control",
        "incidents",
        "lines",
        "plan",
        "progress",
        "readings",
        "replay",
        "server",
        "session",
        "table",
        "template",
        "tls",
    },
    "crates/detect": {
        "sketch",
    },
    "crates/processor": {
        "batch",
        "incidents",
        "outbox",
        "partitions",
    },
}

# Files of more than 400 lines, with their length.
LONG_FILES: dict[str, int] = {
    "crates/delivery/src/lane.rs": 441,
    "crates/detect/tests/it/partition/mod.rs": 553,
    "crates/processor/src/dynamodb/outbox.rs": 401,
    "crates/processor/src/dynamodb/partitions.rs": 476,
    "crates/processor/src/handler/mod.rs": 422,
    "crates/processor/tests/it/mapping/store.rs": 408,
    "crates/spool/src/store.rs": 479,
    "crates/spool/src/tests.rs": 509,
    "crates/spool/src/worker.rs": 500,
    "crates/wire/tests/it/readings.rs": 513,
    "src/cli/arguments.rs": 467,
    "src/cli/backtest/columns.rs": 441,
    "src/cli/backtest/tests.rs": 455,
    "src/cli/backtest/time_format.rs": 495,
    "src/cli/cost/tests.rs": 421,
    "src/cli/mod.rs": 432,
    "src/config/mod.rs": 489,
    "src/daemon/mod.rs": 482,
    "src/pipeline/mod.rs": 482,
    "src/pipeline/tests.rs": 437,
    "src/source/plan.rs": 424,
    "src/telemetry/metrics.rs": 451,
    "tests/cloud/test_pipeline.py": 453,
}

# Old words that are still used.
OLD_WORDS: set[str] = {
    "Asked under src/",
    "Changes under src/",
    "Guesses",
    "Held",
    "Means",
    "Order under src/",
    "Plan under src/source/",
    "Pulse",
    "Room",
    "Terms",
    "Told",
    "Wiring",
    "bar under crates/detect/",
    "board",
    "desk",
    "fn bury",
    "fn calm under src/",
    "fn convey",
    "fn rest under crates/delivery/",
    "fn spare",
    "habit",
    "is it spelt so",
    "keepers",
    "nothing heard for",
    "page-tokens",
    "poison",
    "relapse",
    "screen",
    "seed A",
    "seeds' scale",
    "the settings hold",
    "this token is not known",
    "traces under src/",
    "trouble",
    "type Drop under crates/delivery/",
    "type Front under src/",
    "waiting for the broker",
}

# Invariants of ARCHITECTURE.md: "no test", or the name of a test that does not exist.
INVARIANTS: set[str] = set()

# Keys that config/config.toml leaves out, though it is said to have all.
EXAMPLE_KEYS: set[str] = {
    "correlation",
    "daily",
    "decimals",
    "faults",
    "form",
    "gusts",
    "highest",
    "jump",
    "lowest",
    "mean",
    "prefix",
    "scale",
    "shape",
    "spread",
    "start",
    "times",
    "yearly",
}
