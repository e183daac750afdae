//! Recorded series that are built in, so that the embedded default works from any directory.

/// What a path begins with that names one of them.
const PREFIX: &str = "example:";
/// `examples/README.md` says where they come from.
const EXAMPLES: [(&str, &[u8]); 1] = [(
    "rds_cpu_utilization",
    include_bytes!("../../examples/nab/rds_cpu_utilization_e47b3b.csv"),
)];

/// The name behind `example:`, where the path is one of an example.
pub fn name(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)
}

/// The series with this name, as CSV.
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    EXAMPLES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

/// The names of all, for messages.
pub fn names() -> String {
    EXAMPLES.map(|(name, _)| name).join(", ")
}
