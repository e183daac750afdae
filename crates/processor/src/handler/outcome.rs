//! The result of one invocation as it builds up: the first record to retry, the counts, what could not be decoded.

use tracing::{error, warn};

use super::Handled;
use super::batch::{DecodeFailures, Group};
use super::fold::Folded;

/// The result so far.
#[derive(Default)]
pub(super) struct Outcome {
    pub handled: Handled,
    pub decode_failures: Vec<DecodeFailures>,
}

impl Outcome {
    /// Counts what was folded and appended.
    pub fn count(&mut self, folded: Folded) {
        self.handled.counts.add(&folded.counts);
        self.decode_failures.extend(folded.decode_failures);
    }

    /// The records of this group must be delivered again.
    pub fn fail(&mut self, group: &Group<'_>, error: &dyn std::error::Error) {
        self.handled.counts.failed_partitions += 1;
        let cause = error.source().map(ToString::to_string);
        warn!(partition = %group.partition, error = %error, cause, "partition failed; its records will be delivered again");
        let first = group.first().cloned();
        self.handled.failed = [self.handled.failed.take(), first].into_iter().flatten().min();
    }

    /// Counts and logs decode failures, except those of records that will be delivered again.
    pub fn finish(self) -> Handled {
        let Self {
            mut handled,
            decode_failures,
        } = self;
        for failures in decode_failures {
            if handled
                .failed
                .as_ref()
                .is_some_and(|failed| failures.sequence >= *failed)
            {
                continue;
            }
            let mut readings = 0;
            for (reason, count) in &failures.reasons {
                *handled.counts.decode_failures.entry(reason).or_default() += count;
                readings += count;
            }
            error!(
                shard = %failures.shard,
                sequence = %failures.sequence,
                partition_key = %failures.partition_key,
                readings,
                first = %failures.first,
                "skipped readings that cannot be decoded"
            );
        }
        handled
    }
}
