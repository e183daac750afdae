//! What a field says, drawn.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, Poisson, StandardNormal};
use wire::fields::FieldsWriter;
use wire::{Sensor, Timestamp};

use super::field::{Decimals, Field, Fixed};

/// What an event is drawn for.
pub(super) struct Occasion<'a> {
    pub sensor: &'a Sensor,
    pub time: Timestamp,
    /// How many events its sensor sent before.
    pub number: i64,
}

impl Field {
    /// Adds the field, with what it says on this occasion.
    pub fn draw(&self, name: &str, occasion: &Occasion<'_>, random: &mut ChaCha8Rng, out: &mut FieldsWriter) {
        match self {
            Self::Fixed(fixed) => fixed.write(name, out),
            Self::Sensor => {
                out.text(name, occasion.sensor.id());
            }
            Self::Choice(choices) => choices[random.random_range(0..choices.len())].write(name, out),
            Self::Weighted(choices) => {
                let sum: f64 = choices.iter().map(|(_, weight)| weight).sum();
                let mut left = random.random::<f64>() * sum;
                let drawn = choices.iter().find(|(_, weight)| {
                    left -= weight;
                    left < 0.0
                });
                // By rounding nothing may be left over.
                let (text, _) = drawn.unwrap_or(&choices[0]);
                out.text(name, text);
            }
            Self::Integer(from, to) => {
                out.whole(name, random.random_range(*from..=*to));
            }
            Self::Float(from, to, decimals) => {
                out.number(name, rounded(random.random_range(*from..*to), *decimals));
            }
            Self::Sequence(first, step) => {
                out.whole(name, first.wrapping_add(step.wrapping_mul(occasion.number)));
            }
            Self::Normal(mean, deviation, decimals) => {
                let standard: f64 = random.sample(StandardNormal);
                out.number(name, rounded(mean + deviation * standard, *decimals));
            }
            Self::LogNormal(mean, deviation, decimals) => {
                let standard: f64 = random.sample(StandardNormal);
                out.number(name, rounded(libm::exp(mean + deviation * standard), *decimals));
            }
            Self::Exponential(mean, decimals) => {
                let standard: f64 = random.sample(Exp1);
                out.number(name, rounded(mean * standard, *decimals));
            }
            Self::Poisson(mean) => {
                let drawn = Poisson::new(*mean).map_or(0.0, |poisson| random.sample(poisson));
                out.number(name, drawn);
            }
            Self::Uuid => {
                let bytes = random.random::<u128>() & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
                let digits = format!("{bytes:032x}");
                let (a, b, c, d, e) = (
                    &digits[..8],
                    &digits[8..12],
                    &digits[12..16],
                    &digits[16..20],
                    &digits[20..],
                );
                out.text(name, &format!("{a}-{b}-{c}-{d}-{e}"));
            }
            Self::Fake(fake) => {
                out.text(name, &fake.draw(random));
            }
            Self::Time(format) => {
                let instant = jiff::Timestamp::from_microsecond(occasion.time.as_micros()).unwrap_or_default();
                let text = strtime::format(&**format, &instant.to_zoned(TimeZone::UTC));
                out.text(name, &text.unwrap_or_default());
            }
        }
    }
}

impl Fixed {
    fn write(&self, name: &str, out: &mut FieldsWriter) {
        match self {
            Self::Text(text) => out.text(name, text),
            Self::Whole(number) => out.whole(name, *number),
            Self::Number(number) => out.number(name, *number),
            Self::Boolean(boolean) => out.boolean(name, *boolean),
        };
    }
}

/// Zero has one sign, or it would be written with two.
fn rounded(number: f64, decimals: Decimals) -> f64 {
    let units = 10_f64.powi(i32::from(decimals));
    (number * units).round() / units + 0.0
}
