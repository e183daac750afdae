//! Lanes under load, simulated event by event: sensors with a steady rate, and a sink that answers each request after a
//! fixed latency.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use rand::{RngExt, SeedableRng};
use wire::{ProducerId, Reading, Timestamp, Value};

use super::*;
use crate::sink::Answer;

const LINGER: Duration = Duration::from_millis(500);
/// The default.
const MAX_REQUESTS: usize = 8;

/// Sensors with a steady rate, each with its own phase, and the sink's latency.
#[derive(Clone, Copy, Debug)]
struct Load {
    aggregated: bool,
    sensors: usize,
    interval: Duration,
    /// Readings that arrive at the same time.
    burst: usize,
    latency: Duration,
    lasts: Duration,
}

/// The result of a load.
#[derive(Clone, Copy, Debug, Default)]
struct Delivery {
    offered: u64,
    /// Delivered by the end of the load plus one linger time and two round trips.
    in_time: u64,
    delivered: u64,
    requests: u64,
    records: u64,
    /// The longest time from the arrival of a record's first reading to its answer.
    slowest: Duration,
    most_under_way: usize,
}

impl Load {
    fn plain(sensors: usize, interval: Duration, latency: Duration) -> Self {
        let lasts = (5 * interval).clamp(ms(800), Duration::from_secs(90));
        Self {
            aggregated: false,
            sensors,
            interval,
            burst: 1,
            latency,
            lasts,
        }
    }

    /// The longest a reading may take while lanes keep up: what its lane has in flight is answered, the reading
    /// lingers, and its own request is answered.
    fn bound(&self) -> Duration {
        LINGER + 2 * self.latency
    }

    fn run(&self) -> Delivery {
        let limits = Limits {
            packing: Packing {
                producer: ProducerId(1),
                aggregated: self.aggregated,
                target_bytes: 25_600,
                max_record_bytes: 1 << 20,
            },
            lanes: 16,
            linger: LINGER,
            budget: 32 << 20,
            backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(10)),
        };
        let mut lanes = Lanes::new(limits, Arc::default(), ChaCha8Rng::seed_from_u64(1));
        let sensors: Vec<_> = (0..self.sensors)
            .map(|number| Arc::new(Sensor::new(&format!("sensor-{number}"), "t")))
            .collect();
        let start = Instant::now();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let arrivals = (0..self.sensors).map(|sensor| {
            let phase = self.interval.mul_f64(random.random());
            Reverse((start + phase, sensor))
        });
        let mut arrivals: BinaryHeap<_> = arrivals.collect();
        let mut under_way: VecDeque<(Instant, Request)> = VecDeque::new();
        let mut delivery = Delivery::default();
        loop {
            let arrival = arrivals.peek().map(|Reverse((at, _))| *at);
            let answer = under_way.front().map(|(at, _)| *at);
            let deadline = lanes.deadline().filter(|_| under_way.len() < MAX_REQUESTS);
            let Some(now) = [arrival, answer, deadline].into_iter().flatten().min() else {
                break;
            };
            let wall = Timestamp::default().saturating_add_micros((now - start).as_micros() as i64);
            if answer == Some(now)
                && let Some((_, request)) = under_way.pop_front()
            {
                for record in &request.records {
                    let took = (wall.as_micros() - record.since.as_micros()) as u64;
                    delivery.slowest = delivery.slowest.max(Duration::from_micros(took));
                }
                let answers = vec![Answer::Accepted(None); request.records.len()];
                let outcome = lanes.answer(request, Ok(answers), now);
                delivery.delivered += outcome.readings;
                if now <= start + self.lasts + self.bound() {
                    delivery.in_time = delivery.delivered;
                }
            } else if arrival == Some(now)
                && let Some(Reverse((at, sensor))) = arrivals.pop()
            {
                let reading = Reading::new(sensors[sensor].clone(), wall, Value::Scalar(1.0)).unwrap();
                let batch = Batch {
                    readings: vec![reading; self.burst],
                    receipt: None,
                };
                lanes.ledger.record(|counts| counts.in_flight += self.burst as u64);
                lanes.accept(&batch, Arrival { at, wall });
                delivery.offered += self.burst as u64;
                if at + self.interval < start + self.lasts {
                    arrivals.push(Reverse((at + self.interval, sensor)));
                }
            }
            while under_way.len() < MAX_REQUESTS
                && let Some(request) = lanes.request(now)
            {
                delivery.requests += 1;
                delivery.records += request.records.len() as u64;
                under_way.push_back((now + self.latency, request));
            }
            delivery.most_under_way = delivery.most_under_way.max(under_way.len());
        }
        assert_eq!((lanes.bytes(), lanes.requests()), (0, 0), "{self:?}");
        delivery
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Below one reading per round trip and sensor, everything is delivered at the offered rate, aggregated or not.
#[test]
fn what_is_offered_is_delivered_in_time() {
    for latency in [ms(5), ms(20)] {
        for interval in [ms(20), ms(1_000), ms(60_000)] {
            for sensors in [1, 10, 100, 450, 950, 2_000] {
                for aggregated in [false, true] {
                    let load = Load {
                        aggregated,
                        ..Load::plain(sensors, interval, latency)
                    };
                    let delivery = load.run();
                    assert_eq!(delivery.in_time, delivery.offered, "{load:?}: {delivery:?}");
                    assert!(delivery.slowest <= load.bound(), "{load:?}: {delivery:?}");
                }
            }
        }
    }
}

/// A plain lane has one reading in flight: above one reading per round trip it still delivers that many.
#[test]
fn a_plain_sensor_delivers_a_reading_a_round_trip_where_it_has_more() {
    for sensors in [1, 100, 450, 1_200] {
        let load = Load::plain(sensors, ms(20), ms(50));
        let delivery = load.run();
        let round_trips = (load.lasts + load.bound()).as_millis() / load.latency.as_millis();
        let most = round_trips as u64 * sensors as u64;
        assert!(delivery.in_time <= most, "{load:?}: {delivery:?}");
        assert!(delivery.in_time * 10 >= most * 9, "{load:?}: {delivery:?}");
        assert_eq!(delivery.delivered, delivery.offered);
    }
}

/// Requests cost more than the records in them, so no more are sent than needed.
#[test]
fn plain_requests_are_as_large_as_the_load_allows() {
    let round_trips = |load: &Load| (load.lasts + load.bound()).as_millis() as u64 / load.latency.as_millis() as u64;
    // Each sensor has one reading per round trip, which takes one request per round trip.
    for sensors in [10, 100, 450] {
        let load = Load::plain(sensors, ms(20), ms(20));
        let delivery = load.run();
        assert!(
            delivery.requests <= round_trips(&load) * 3 / 2,
            "{load:?}: {delivery:?}"
        );
        assert!(delivery.most_under_way <= 4, "{load:?}: {delivery:?}");
    }
    // Sensors that queue up one after another end up in one request.
    let load = Load {
        burst: 20,
        ..Load::plain(100, ms(1_000), ms(20))
    };
    let delivery = load.run();
    assert!(
        delivery.requests <= round_trips(&load) * 3 / 2,
        "{load:?}: {delivery:?}"
    );
    // Five readings a second from each sensor: one request per reading of the busiest sensor, not one per round trip.
    let load = Load::plain(100, ms(200), ms(20));
    let delivery = load.run();
    assert!(delivery.requests <= 2 * 20 + 20, "{load:?}: {delivery:?}");
    // With nothing queued, readings linger.
    let load = Load::plain(100, ms(1_000), ms(20));
    let delivery = load.run();
    assert!(delivery.records / delivery.requests >= 45, "{load:?}: {delivery:?}");
    let load = Load::plain(2_000, ms(1_000), ms(20));
    let delivery = load.run();
    assert!(delivery.records / delivery.requests >= 490, "{load:?}: {delivery:?}");
}
