//! What widespread devices publish: defaults for the other keys, and nothing else.

use serde::{Deserialize, Serialize};

use super::rules::Format;

/// Whose topics and payloads are the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Devices {
    /// <https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html>
    Zigbee2Mqtt,
    /// <https://tasmota.github.io/docs/MQTT/>
    Tasmota,
    /// What `mqtt_statestream` publishes: <https://www.home-assistant.io/integrations/mqtt_statestream/>
    HomeAssistant,
}

/// Defaults of keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub topics: &'static [&'static str],
    pub ignore_topics: &'static [&'static str],
    pub format: Format,
    pub ignore_fields: &'static [&'static str],
    pub units: &'static [(&'static str, &'static str)],
}

/// Of no devices in particular.
pub(super) const NONE: Defaults = Defaults {
    topics: &[],
    ignore_topics: &[],
    format: Format::Auto,
    ignore_fields: &[],
    units: &[],
};

/// A friendly name may have a slash: `kitchen/fridge`. The bridge's own topics and what is sent to devices are no readings.
const ZIGBEE2MQTT: Defaults = Defaults {
    topics: &["zigbee2mqtt/{device}", "zigbee2mqtt/{room}/{device}"],
    ignore_topics: &[
        "zigbee2mqtt/bridge/#",
        "zigbee2mqtt/+/availability",
        "zigbee2mqtt/+/set",
        "zigbee2mqtt/+/get",
    ],
    format: Format::Object,
    ignore_fields: &[
        "linkquality",
        "battery",
        "update.*",
        "update_available",
        "device.*",
        "color*",
        "brightness",
        "*_calibration",
        "*_precision",
    ],
    units: &[
        ("temperature", "°C"),
        ("*_temperature", "°C"),
        ("humidity", "%"),
        ("soil_moisture", "%"),
        ("pressure", "hPa"),
        ("illuminance", "lx"),
        ("illuminance_lux", "lx"),
        ("power", "W"),
        ("energy", "kWh"),
        ("current", "A"),
        ("co2", "ppm"),
        ("pm25", "µg/m³"),
    ],
};

/// The full topic in both orders that its documentation has.
const TASMOTA: Defaults = Defaults {
    topics: &["tele/{device}/SENSOR", "{device}/tele/SENSOR"],
    ignore_topics: &[],
    format: Format::Object,
    ignore_fields: &[],
    units: &[
        ("Humidity", "%"),
        ("Illuminance", "lx"),
        ("CarbonDioxide", "ppm"),
        ("ENERGY.Power*", "W"),
        ("ENERGY.Voltage*", "V"),
        ("ENERGY.Current*", "A"),
        ("ENERGY.Total*", "kWh"),
        ("ENERGY.Today*", "kWh"),
        ("ENERGY.Yesterday*", "kWh"),
    ],
};

const HOME_ASSISTANT: Defaults = Defaults {
    topics: &["homeassistant/sensor/{device}/state"],
    ignore_topics: &[],
    format: Format::State,
    ignore_fields: &[],
    units: &[],
};

impl Devices {
    const ALL: [Self; 3] = [Self::Zigbee2Mqtt, Self::Tasmota, Self::HomeAssistant];

    fn as_str(self) -> &'static str {
        match self {
            Self::Zigbee2Mqtt => "zigbee2mqtt",
            Self::Tasmota => "tasmota",
            Self::HomeAssistant => "home_assistant",
        }
    }

    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::Zigbee2Mqtt => ZIGBEE2MQTT,
            Self::Tasmota => TASMOTA,
            Self::HomeAssistant => HOME_ASSISTANT,
        }
    }
}

impl TryFrom<String> for Devices {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|devices| devices.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                format!("devices {text:?} are not known: use {known}, or leave it out and set topics")
            })
    }
}

impl From<Devices> for String {
    fn from(devices: Devices) -> Self {
        devices.as_str().into()
    }
}
