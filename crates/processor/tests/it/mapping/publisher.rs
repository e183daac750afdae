//! A notifier into what the sandboxes share, with faults.

use processor::message::{Attribute, Message};
use processor::outbox::{Notifier, NotifyError};

use super::store::Sandbox;

/// Publishes into what is shared: fails or dies before or after.
pub struct Publisher(pub Sandbox);

impl Notifier for Publisher {
    async fn notify(&mut self, message: &Message) -> Result<(), NotifyError> {
        let published = self.0.write(|shared| {
            shared.told.push(message.clone());
            let group = message.attributes.iter().find_map(|(name, value)| match value {
                Attribute::Text(text) if *name == "group" => Some(text.clone()),
                _ => None,
            });
            if let Some(group) = group {
                shared.groups.entry(group).or_default().unmarked += 1;
                return;
            }
            if shared.unmarked.contains(message) {
                shared.interrupted.push(message.clone());
            } else {
                shared.unmarked.push(message.clone());
            }
        });
        published.await.map_err(|error| NotifyError::Failed {
            subject: message.subject.clone(),
            source: error.into(),
        })
    }
}
