//! The command `cost`: what a load takes of AWS and what that costs a month, by the design as it is built. Pure: from a
//! load to figures. The assumptions it makes are all in the answer.

mod bill;
mod load;
mod plan;
mod prices;
mod table;
mod traffic;
mod work;

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::bill::{Dollars, Quantities};
pub use self::load::{Load, Refused};
use self::plan::Plan;
pub use self::table::{Format, write};
use self::traffic::Traffic;
use self::work::Work;

/// How readings get into the stream, and what is done with them behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Many readings of a lane in a record, a page a lane.
    Aggregated,
    /// A reading a record, a page a sensor.
    Plain,
    /// A reading a record, judged by fixed bounds without state, a message for each anomaly: a script with `put_record`.
    Stateless,
}

/// How the stream is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By the shard.
    Provisioned,
    /// By the GB.
    OnDemand,
}

/// What one way takes and costs, in one mode.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// How readings get into the stream.
    pub way: Way,
    /// How the stream is paid for.
    pub mode: Mode,
    /// What it takes.
    pub quantities: Quantities,
    /// What that costs a month.
    pub dollars: Dollars,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Where the prices hold.
    pub region: &'static str,
    /// The day of the newest price.
    pub prices: &'static str,
    /// What was asked, with the defaults filled in.
    pub load: Plan,
    /// Three ways, each in two modes.
    pub columns: Vec<Column>,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
    /// What would not work well.
    pub warnings: Vec<String>,
}

impl Way {
    /// Every way, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Aggregated, Self::Plain, Self::Stateless];

    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aggregated => "aggregated",
            Self::Plain => "plain",
            Self::Stateless => "put_record",
        }
    }
}

impl Mode {
    /// Every mode, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Provisioned, Self::OnDemand];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned stream",
            Self::OnDemand => "stream on demand",
        }
    }
}

/// What a load takes and costs.
pub fn estimate(load: &Load) -> Result<Estimate, Refused> {
    let plan = load.plan()?;
    let mut columns = Vec::new();
    let mut warnings = Vec::new();
    for mode in Mode::ALL {
        for way in Way::ALL {
            let traffic = Traffic::of(way, &plan);
            let shards = traffic.shards(mode);
            let work = Work::of(way, &plan, &traffic, shards);
            warnings.extend(work.warnings(way, mode, &plan));
            let quantities = Quantities::of(mode, &traffic, shards, &work, &plan);
            let dollars = quantities.cost(mode, &prices::PRICES);
            columns.push(Column {
                way,
                mode,
                quantities,
                dollars,
            });
        }
    }
    Ok(Estimate {
        region: prices::REGION,
        prices: prices::DATE,
        assumptions: assumptions(&plan),
        load: plan,
        columns,
        warnings,
    })
}

fn assumptions(plan: &Plan) -> Vec<String> {
    let mut all = traffic::assumptions(plan);
    all.extend(work::assumptions(plan));
    all.push(
        "not counted: free tiers, discounts, tax, the machine of the daemon, data leaving AWS, KMS (a dollar for the topic's \
         key), S3 of the failure destination, the output stream"
            .to_owned(),
    );
    all
}
