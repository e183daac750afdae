//! Built-in recorded series, so that the embedded default works from any directory.

/// The prefix of paths that name a built-in series.
const PREFIX: &str = "example:";
/// `examples/README.md` describes their origin.
const EXAMPLES: [(&str, &[u8]); 1] = [(
    "rds_cpu_utilization",
    include_bytes!("../../examples/nab/rds_cpu_utilization_e47b3b.csv"),
)];

/// Returns the name behind `example:`, if the path has that prefix.
pub fn name(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)
}

/// Returns the series with this name, as CSV.
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    EXAMPLES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

/// Returns all names, for messages.
pub fn names() -> String {
    EXAMPLES.map(|(name, _)| name).join(", ")
}
