//! How it goes: rates, what waits and where, and what the sink says.

use delivery::lane::LaneActivity;
use delivery::ledger::Counts;

use super::Handles;
use super::html::{age, bytes, count, rate, section, table};
use super::incident_stores::Kept;
use super::markup::{Html, each, tag};
use super::rate_sampler::Rates;
use crate::control::status::Status;
use crate::sink;

pub(super) fn part(shown: &Handles, status: &Status, rates: &Rates, kept: &Kept) -> Html {
    let counts = shown.metrics.counts();
    let sink_health = shown.health.borrow().sink_health.clone();
    let open = kept.open().map(|open| tile("open", "Open incidents", &count(open), ""));
    let tiles = (
        tile("produced", "Produced", &rate(rates.produced), "readings/s"),
        tile("delivered", "Delivered", &rate(rates.delivered), "readings/s"),
        tile("in-flight", "In memory", &count(counts.in_flight), "readings"),
        tile("spooled", "In the spool", &count(counts.spooled), "readings"),
        tile("oldest", "Oldest waiting", &age(shown.metrics.oldest_unsent_age()), ""),
        open,
    );
    let lanes = lanes(shown.metrics.lanes_doing());
    let budgets = (
        budget("memory", "Memory", shown.metrics.memory_bytes()),
        budget("spool", "Spool on disk", shown.metrics.spool_bytes()),
        tag("div").of((tag("dt").of("Lanes"), tag("dd").live("lanes").of(lanes))),
    );
    let content = (
        tag("p").class("to").live("sink").of(destination(status)),
        troubled(sink_health),
        tag("dl").class("tiles").of(tiles),
        tag("dl").class("budgets").of(budgets),
        tag("details")
            .id("where")
            .of((tag("summary").of("Where every reading is"), law(&counts))),
    );
    section("now", "Now", content)
}

fn destination(status: &Status) -> Html {
    match status.sink {
        sink::Kind::Embedded => tag("span").of("Readings are judged in this process."),
        sink::Kind::Stdout => tag("span").of("Readings go to standard output."),
        sink::Kind::Kinesis => {
            let stream = tag("strong").of(status.stream.as_deref().unwrap_or_default());
            tag("span").of(("Readings go to the stream ", stream, "."))
        }
    }
}

fn troubled(sink_health: Option<String>) -> Html {
    let notice = tag("p")
        .class("notice failed")
        .with("role", "status")
        .live("sink_health");
    match sink_health {
        Some(sink_health) => notice.of(("The sink takes nothing, and readings are kept: ", sink_health)),
        None => notice.flag("hidden", true).of(()),
    }
}

fn tile(id: &str, name: &str, value: &str, unit: &str) -> Html {
    let figure = tag("span").class("figure").of(value);
    let unit = (!unit.is_empty()).then(|| (" ", tag("span").class("unit").of(unit)));
    let value = tag("dd").live(format!("now-{id}")).of((figure, unit));
    tag("div").class("tile").of((tag("dt").of(name), value))
}

fn budget(id: &str, name: &str, (used, limit): (u64, u64)) -> Html {
    let share = if limit == 0 { 0.0 } else { used as f64 / limit as f64 };
    let name_id = format!("{id}-name");
    let meter = tag("meter").with("min", "0").with("max", "1").with("high", "0.8");
    let meter = meter
        .with("value", format!("{share:.4}"))
        .with("aria-labelledby", &name_id);
    let used = format!(" {} of {}", bytes(used), bytes(limit));
    tag("div").of((
        tag("dt").id(&name_id).of(name),
        tag("dd")
            .live(format!("{id}-used"))
            .of((meter.of(format!("{:.0} %", share * 100.0)), used)),
    ))
}

fn lanes(doing: [u64; LaneActivity::ALL.len()]) -> String {
    let all: u64 = doing.iter().sum();
    let named = LaneActivity::ALL.iter().zip(doing).filter(|(_, lanes)| *lanes > 0);
    let named: Vec<_> = named
        .map(|(doing, lanes)| format!("{} {}", count(lanes), doing.as_str().replace('_', " ")))
        .collect();
    match all {
        0 => "none yet".to_owned(),
        _ => format!("{} ({})", count(all), named.join(", ")),
    }
}

/// What came in beside where it is: both sides come to the same.
fn law(counts: &Counts) -> Html {
    let dropped = counts.dropped.iter().sum::<u64>();
    let dead_lettered = counts.dead_lettered.iter().sum::<u64>();
    let came = counts.produced + counts.recovered;
    let is = counts.delivered + counts.in_flight + counts.spooled + dead_lettered + dropped;
    let rows = [
        (Some(("produced", counts.produced)), "delivered", counts.delivered),
        (
            Some(("recovered from the spool", counts.recovered)),
            "in memory",
            counts.in_flight,
        ),
        (None, "in the spool", counts.spooled),
        (None, "dead-lettered", dead_lettered),
        (None, "dropped", dropped),
        (Some(("together", came)), "together", is),
    ];
    let number = |readings: u64| tag("td").class("number").of(count(readings));
    let row = |(came, is, now): (Option<(&'static str, u64)>, &'static str, u64)| {
        let came = match came {
            Some((came, readings)) => (tag("td").of(came), number(readings)),
            None => (tag("td").of(()), tag("td").of(())),
        };
        tag("tr").of((came, tag("td").of(is), number(now)))
    };
    let columns = [
        ("Came in", false),
        ("Readings", true),
        ("Is now", false),
        ("Readings", true),
    ];
    table(
        "Where every reading is",
        &columns,
        tag("tbody").live("law").of(each(rows, row)),
    )
}
