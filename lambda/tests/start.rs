//! The program of the functions, as Lambda starts it.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::process::Command;

#[test]
fn a_handler_that_is_missing_or_unknown_is_named() {
    for (handler, said) in [
        (None, "the environment variable _HANDLER is not set"),
        (
            Some("detekt"),
            "unknown handler \\\"detekt\\\": set the function's property Handler to detect, alert or score",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
        command
            .env_clear()
            .env("AWS_REGION", "us-east-1")
            .envs(handler.map(|name| ("_HANDLER", name)));
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{printed}");
        assert!(printed.contains("cannot start") && printed.contains(said), "{printed}");
    }
}
