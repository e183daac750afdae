//! A history as a drawing: each value with what was expected, its score, and incidents shaded behind both.

mod chart;
mod reduced;
#[cfg(test)]
mod tests;
mod ticks;

use std::io;
use std::sync::Arc;

use chart::{Area, Chart, Drawn, EXPECTED, INCIDENT, SCALE, TEXT, THRESHOLD, TIMES, Times, VALUE, around, font};
use detect::Folded;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use processor::message::text::printable;
use reduced::Reduced;
use ticks::Tick;
use wire::{Reading, Sensor};

use super::summary::{Incident, Summary, counted};

/// In pixels.
const WIDTH: i32 = 1_200;
const HEAD: i32 = 70;
/// Between sensors, and below the last.
const GAP: i32 = 12;
const HEADING: i32 = 22;
/// The height of a panel of values and of one of scores, where there are one or two of values, and where there are more.
const FEW: (i32, i32) = (260, 110);
const MANY: (i32, i32) = (130, 60);
/// So many panels of values are drawn at most.
const PANELS: usize = 6;
/// Columns of time of all sensors together: some 50 MB.
const COLUMNS: usize = 1 << 18;
/// Columns of time of one sensor: about two a pixel at most, and few where there are very many sensors.
const MOST: usize = 2_048;
const LEAST: usize = 16;
/// Numbers of incidents stand so far apart, in pixels.
const APART: i32 = 26;

/// What is drawn of a history, in bounded memory.
#[derive(Debug)]
pub struct Plot {
    threshold: f64,
    capacity: usize,
    series: Vec<Series>,
    /// Of the series, and what the numbers of their values are called.
    sensors: Vec<Arc<Sensor>>,
    names: Vec<String>,
}

/// Of one sensor.
#[derive(Debug)]
struct Series {
    values: Vec<Reduced>,
    lowest: Reduced,
    highest: Reduced,
    score: Reduced,
}

impl Plot {
    /// Of scores that are an alert from `threshold` on.
    pub fn new(threshold: f64) -> Self {
        Self {
            threshold,
            capacity: MOST,
            series: Vec::new(),
            sensors: Vec::new(),
            names: Vec::new(),
        }
    }

    /// A reading of the sensor at this place, newer than all before it.
    pub(super) fn add(&mut self, place: usize, reading: &Reading, folded: &Folded) {
        while self.series.len() <= place {
            let new = || Reduced::new(self.capacity);
            self.series.push(Series {
                values: Vec::new(),
                lowest: new(),
                highest: new(),
                score: new(),
            });
            if self.series.len() * self.capacity > COLUMNS && self.capacity > LEAST {
                self.capacity /= 2;
                self.series.iter_mut().for_each(|series| series.limit(self.capacity));
            }
        }
        let (series, time) = (&mut self.series[place], reading.time().as_micros());
        let numbers = reading.value().numbers();
        for (at, number) in numbers.iter().take(PANELS).enumerate() {
            if series.values.len() <= at {
                series.values.push(Reduced::new(self.capacity));
            }
            series.values[at].push(time, *number);
        }
        // What is expected of a vector is not in the unit of any of its numbers.
        if let (Some((lowest, highest)), [_]) = (folded.expected, numbers) {
            series.lowest.push(time, lowest);
            series.highest.push(time, highest);
        }
        series.score.push(time, folded.score);
    }

    /// Says whose readings they were, and what the numbers of their values are called.
    pub(super) fn describe(&mut self, sensors: Vec<Arc<Sensor>>, names: Vec<String>) {
        self.sensors = sensors;
        self.names = names;
    }

    /// The drawing as SVG.
    pub fn svg(&self, summary: &Summary) -> io::Result<String> {
        let shown = self.worst(summary);
        let panels: usize = shown.iter().map(|place| self.series[*place].values.len()).sum();
        let (value, score) = if panels <= 2 { FEW } else { MANY };
        let heights = shown
            .iter()
            .map(|place| (HEADING + value) * self.series[*place].values.len() as i32 + HEADING + score + GAP);
        let height = HEAD + heights.sum::<i32>() + if shown.is_empty() { 40 } else { TIMES };
        let mut svg = String::new();
        let size = ((WIDTH * SCALE) as u32, (height * SCALE) as u32);
        let drawn = {
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            self.draw(&area, &shown, (value, score), summary)
                .and_then(|()| area.present())
        };
        drawn.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(finished(&svg, size, summary))
    }

    /// The places of the sensors that are drawn: those of the worst incidents, in the order they were met.
    fn worst(&self, summary: &Summary) -> Vec<usize> {
        let peaks = |place: usize| {
            let of = |incident: &&Incident| incident.sensor == self.sensors[place].id();
            let incidents = summary.incidents.iter().filter(of).map(|incident| incident.peak);
            let score = self.series[place].score.range().map_or(0.0, |(_, highest)| highest);
            (incidents.fold(0.0, f64::max), score)
        };
        let mut places: Vec<(usize, (f64, f64))> = (0..self.series.len()).map(|place| (place, peaks(place))).collect();
        places.sort_by(|(_, one), (_, other)| other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1)));
        let mut panels = 0;
        let mut shown: Vec<usize> = places.into_iter().map(|(place, _)| place).collect();
        shown.retain(|place| {
            let (first, more) = (panels == 0, self.series[*place].values.len());
            let fits = first || panels + more <= PANELS;
            panels += if fits { more } else { 0 };
            fits
        });
        shown.sort_unstable();
        shown
    }

    fn draw(&self, area: &Area<'_>, shown: &[usize], (value, score): (i32, i32), summary: &Summary) -> Drawn {
        area.fill(&WHITE)?;
        self.head(area, shown, summary)?;
        let Some((from, to)) = summary.span else {
            return text(area, (WIDTH / 2, HEAD + 10), "no reading", 14, HPos::Center);
        };
        let (from, to) = (from.as_micros(), to.as_micros());
        let times = Times {
            from,
            to: to.max(from + 1),
            ticks: ticks::of_time(from, to, &summary.zone, 9),
        };
        let mut top = HEAD;
        for place in shown {
            let (series, sensor) = (&self.series[*place], &self.sensors[*place]);
            let incidents: Vec<(usize, &Incident)> = (1..)
                .zip(&summary.incidents)
                .filter(|(_, incident)| incident.sensor == sensor.id())
                .collect();
            let shades = shades(&incidents, &times);
            for (at, numbers) in series.values.iter().enumerate() {
                let heading = heading(sensor, series, at, &self.names, summary);
                text(area, (12, top + 3), &heading, 12, HPos::Left)?;
                let strip = strip(area, top + HEADING, value);
                let band = (series.values.len() == 1).then_some((&series.lowest, &series.highest));
                let (range, marks) = around(fitting(numbers, band));
                let mut chart = Chart::new(&strip, &times, range, marks, false)?;
                if let Some((lowest, highest)) = band {
                    chart.band(lowest, highest)?;
                }
                chart.shade(&shades)?;
                chart.line(numbers)?;
                if at == 0 {
                    numbered(area, &chart, &incidents, top + HEADING + 2)?;
                }
                top += HEADING + value;
            }
            let last = shown.last() == Some(place);
            text(area, (12, top + 3), "score", 12, HPos::Left)?;
            let height = score + if last { TIMES } else { 0 };
            let strip = strip(area, top + HEADING, height);
            let (highest, marks) = self.heights(series);
            let mut chart = Chart::new(&strip, &times, 0.0..drawn(highest), marks, last)?;
            chart.shade(&shades)?;
            chart.level(drawn(self.threshold))?;
            chart.peaks(&series.score, drawn)?;
            top += HEADING + height + GAP;
        }
        Ok(())
    }

    fn head(&self, area: &Area<'_>, shown: &[usize], summary: &Summary) -> Drawn {
        text(area, (12, 12), &title(summary), 17, HPos::Left)?;
        let mut about = span(summary);
        if shown.len() < self.series.len() {
            about += &format!(
                " · the {} of {} with the worst incidents",
                shown.len(),
                counted(self.series.len() as u64, "sensor")
            );
        }
        text(area, (12, 38), &about, 12, HPos::Left)?;
        let legend = [
            ("value", VALUE.to_rgba(), 2),
            ("expected", EXPECTED.to_rgba(), 10),
            ("incident", INCIDENT, 10),
            (&format!("alert at {}", self.threshold), THRESHOLD.to_rgba(), 2),
        ];
        let mut left = WIDTH - 392;
        let banded = shown.iter().any(|place| self.series[*place].lowest.range().is_some());
        for (name, color, thickness) in legend.into_iter().filter(|(name, ..)| banded || *name != "expected") {
            let (top, right) = (46 - thickness / 2, left + 18);
            let corners = [(left * SCALE, top * SCALE), (right * SCALE, (top + thickness) * SCALE)];
            area.draw(&Rectangle::new(corners, color.filled()))?;
            text(area, (right + 6, 38), name, 12, HPos::Left)?;
            left += 44 + 7 * name.len() as i32;
        }
        Ok(())
    }

    /// The highest score of a panel and the marks of its axis, which is a logarithmic one.
    fn heights(&self, series: &Series) -> (f64, Vec<Tick<f64>>) {
        let peak = series.score.range().map_or(0.0, |(_, highest)| highest);
        let highest = peak.max(self.threshold * 2.0) * 1.1;
        let mut marks = vec![0.0, self.threshold];
        marks.extend(
            [1.0, 10.0, 100.0, 1_000.0]
                .into_iter()
                .filter(|mark| *mark >= self.threshold * 3.0 && *mark <= highest),
        );
        let tick = |mark: f64| Tick {
            at: drawn(mark),
            label: mark.to_string(),
        };
        (highest, marks.into_iter().map(tick).collect())
    }
}

impl Series {
    fn limit(&mut self, capacity: usize) {
        self.values.iter_mut().for_each(|values| values.limit(capacity));
        for numbers in [&mut self.lowest, &mut self.highest, &mut self.score] {
            numbers.limit(capacity);
        }
    }
}

/// Where a score is drawn: small ones stay apart though others are a hundred times as high.
fn drawn(score: f64) -> f64 {
    score.ln_1p()
}

/// The range of values, and of what was expected as far as that is near.
fn fitting(numbers: &Reduced, band: Option<(&Reduced, &Reduced)>) -> Option<(f64, f64)> {
    let (lowest, highest) = numbers.range()?;
    let near = (highest - lowest) * 0.25;
    let low = band
        .and_then(|(low, _)| low.range())
        .map_or(lowest, |(low, _)| low.clamp(lowest - near, lowest));
    let high = band
        .and_then(|(_, high)| high.range())
        .map_or(highest, |(_, high)| high.clamp(highest, highest + near));
    Some((low, high))
}

/// Incidents as times from and to, those that would touch as one, so that thousands stay a small drawing.
fn shades(incidents: &[(usize, &Incident)], times: &Times) -> Vec<(i64, i64)> {
    let pixel = (times.to - times.from) / i64::from(WIDTH);
    let mut shades: Vec<(i64, i64)> = Vec::new();
    for (_, incident) in incidents {
        let (from, to) = (
            incident.start.as_micros(),
            incident.end.map_or(times.to, |end| end.as_micros()),
        );
        match shades.last_mut() {
            Some(last) if from - last.1 <= pixel => last.1 = last.1.max(to),
            _ => shades.push((from, to)),
        }
    }
    shades
}

/// The numbers of incidents where they open; the worst where there is no room for all.
fn numbered(area: &Area<'_>, chart: &Chart<'_, '_>, incidents: &[(usize, &Incident)], top: i32) -> Drawn {
    let mut worst: Vec<_> = incidents.iter().collect();
    worst.sort_by(|(_, one), (_, other)| other.peak.total_cmp(&one.peak));
    let mut taken: Vec<i32> = Vec::new();
    for (number, incident) in worst {
        let at = chart.pixel(incident.start.as_micros()) / SCALE;
        if taken.iter().all(|other| (at - other).abs() >= APART) {
            text(area, (at + 3, top), &number.to_string(), 11, HPos::Left)?;
            taken.push(at);
        }
    }
    Ok(())
}

fn heading(sensor: &Sensor, series: &Series, at: usize, names: &[String], summary: &Summary) -> String {
    let several = series.values.len() > 1;
    let what = match names.get(at).filter(|_| several) {
        Some(name) => name.clone(),
        None if several => format!("{} {}", sensor.kind(), at + 1),
        None => sensor.kind().to_owned(),
    };
    let unit = sensor.unit().map_or(String::new(), |unit| format!(", {unit}"));
    let of = if summary.named {
        format!("{}: ", sensor.id())
    } else {
        String::new()
    };
    let heading = printable(&format!("{of}{what}{unit}"));
    match heading.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &heading[..end]),
        None => heading,
    }
}

fn title(summary: &Summary) -> String {
    let name = summary.path.rsplit(['/', '\\']).next().unwrap_or_default();
    let rows = counted(summary.rows, "row");
    format!(
        "{}: {rows}, {}",
        printable(name),
        counted(summary.incidents.len() as u64, "incident")
    )
}

fn span(summary: &Summary) -> String {
    summary.span.map_or(String::new(), |(from, to)| {
        format!(
            "{} to {} {}",
            summary.zone.show(from),
            summary.zone.show(to),
            summary.zone
        )
    })
}

/// A part of the drawing over its whole width; pixels.
fn strip<'a>(area: &Area<'a>, top: i32, height: i32) -> Area<'a> {
    area.clone().shrink((0, top * SCALE), (WIDTH * SCALE, height * SCALE))
}

fn text(area: &Area<'_>, (left, top): (i32, i32), text: &str, size: i32, side: HPos) -> Drawn {
    let style = font(size, &TEXT).pos(Pos::new(side, VPos::Top));
    area.draw(&Text::new(text.to_owned(), (left * SCALE, top * SCALE), style))
}

/// With a size that fits a page, and words for those who cannot see it.
fn finished(svg: &str, (width, height): (u32, u32), summary: &Summary) -> String {
    let scale = SCALE as u32;
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let mut about = format!(
        "Values, what was expected of them, and their scores from {}. {}.",
        span(summary),
        counted(summary.incidents.len() as u64, "incident")
    );
    let mut worst: Vec<_> = (1..).zip(&summary.incidents).collect();
    worst.sort_by(|(_, one): &(i32, &Incident), (_, other)| other.peak.total_cmp(&one.peak));
    for (number, incident) in worst.iter().take(3) {
        let (start, kinds) = (summary.zone.show(incident.start), incident.kinds.join(" and "));
        about += &format!(
            " Number {number} of {} opened {start}, {kinds}, score {:.1}.",
            incident.sensor, incident.peak
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
        aria-labelledby=\"title about\">\n<title id=\"title\">{}</title>\n<desc id=\"about\">{}</desc>{body}",
        width / scale,
        height / scale,
        escaped(&title(summary)),
        escaped(&printable(&about))
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
