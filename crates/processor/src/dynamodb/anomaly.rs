//! The item of an anomaly.

use detect::Anomaly;

use super::attribute::{Item, number, text, value};
use crate::incident_id::IncidentId;

/// An anomaly as people and other programs read it.
pub(super) fn item(anomaly: &Anomaly) -> Item {
    let sensor = &anomaly.sensor;
    let timestamp = anomaly.time.zoneless();
    let mut item = Item::from([
        ("deviceid".to_owned(), text(sensor.id())),
        ("anomalyDate".to_owned(), text(&timestamp[..10])),
        ("timestamp".to_owned(), text(&*timestamp)),
        ("value".to_owned(), value(&anomaly.value)),
        ("anomalyType".to_owned(), text(anomaly.kinds.joined(sensor.kind(), ","))),
        ("anomaly_score".to_owned(), number(anomaly.score)),
        ("kind".to_owned(), text(sensor.kind())),
        (
            "incident".to_owned(),
            text(IncidentId::of(sensor, anomaly.incident).to_string()),
        ),
    ]);
    item.extend(sensor.unit().map(|unit| ("unit".to_owned(), text(unit))));
    item.extend(sensor.group().map(|group| ("group".to_owned(), text(group))));
    if let Some((lowest, highest)) = anomaly.expected {
        item.insert("expected_lowest".to_owned(), number(lowest));
        item.insert("expected_highest".to_owned(), number(highest));
    }
    item
}
