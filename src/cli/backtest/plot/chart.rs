//! One panel of a drawing: numbers over time between two axes. It knows no history.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::reduced::{Column, Reduced};
use super::ticks::{Tick, of_numbers};

/// A drawing has whole numbers for coordinates, so it is made larger and shown smaller, by this factor.
pub(super) const SCALE: i32 = 4;
/// Of the labels left of a panel, in pixels.
const LABELS: i32 = 84;
/// Right of a panel, for half a label of its time axis.
const MARGIN: i32 = 36;
/// Below a panel, where its time axis has labels.
pub(super) const TIMES: i32 = 26;

pub(super) const TEXT: RGBColor = RGBColor(51, 51, 51);
pub(super) const VALUE: RGBColor = RGBColor(20, 82, 148);
pub(super) const EXPECTED: RGBColor = RGBColor(176, 208, 238);
pub(super) const INCIDENT: RGBAColor = RGBAColor(240, 140, 20, 0.4);
pub(super) const THRESHOLD: RGBColor = RGBColor(196, 32, 32);
const AXIS: RGBColor = RGBColor(140, 140, 140);
const GRID: RGBColor = RGBColor(228, 228, 228);

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The time axis that all panels share; times are µs.
pub(super) struct Times {
    pub from: i64,
    pub to: i64,
    pub ticks: Vec<Tick<i64>>,
}

/// One panel.
pub(super) struct Chart<'a, 't> {
    context: ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>,
    times: &'t Times,
    range: Range<f64>,
}

/// An axis with marks of our choice.
pub(super) struct Axis {
    range: RangedCoordf64,
    marks: Vec<Tick<f64>>,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let marks = if hint.weight().allow_light_points() {
            &[][..]
        } else {
            &self.marks
        };
        marks.iter().map(|mark| mark.at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let mark = self.marks.iter().find(|mark| mark.at == *value);
        mark.map_or(String::new(), |mark| mark.label.clone())
    }
}

impl Times {
    /// Seconds from the beginning: exact enough for a drawing, where µs since the epoch are not.
    fn at(&self, time: i64) -> f64 {
        (time.clamp(self.from, self.to) - self.from) as f64 / 1e6
    }

    fn marks(&self, labelled: bool) -> Vec<Tick<f64>> {
        let mark = |tick: &Tick<i64>| Tick {
            at: self.at(tick.at),
            label: if labelled { tick.label.clone() } else { String::new() },
        };
        self.ticks.iter().map(mark).collect()
    }
}

/// Text of so many pixels.
pub(super) fn font(size: i32, color: &RGBColor) -> TextStyle<'_> {
    ("sans-serif", f64::from(size * SCALE) * 1.24).into_font().color(color)
}

impl<'a, 't> Chart<'a, 't> {
    /// With its axes; its times are `labelled` or not.
    pub fn new(
        area: &Area<'a>,
        times: &'t Times,
        range: Range<f64>,
        marks: Vec<Tick<f64>>,
        labelled: bool,
    ) -> Result<Self, DrawingAreaErrorKind<std::io::Error>> {
        let end = times.at(times.to);
        let across = Axis {
            range: (0.0..end).into(),
            marks: times.marks(labelled),
        };
        let up = Axis {
            range: range.clone().into(),
            marks,
        };
        let mut context = ChartBuilder::on(area)
            .set_label_area_size(LabelAreaPosition::Left, LABELS * SCALE)
            .set_label_area_size(
                LabelAreaPosition::Bottom,
                if labelled { TIMES * SCALE } else { 4 * SCALE },
            )
            .margin_right(MARGIN * SCALE)
            .build_cartesian_2d(across, up)?;
        context
            .configure_mesh()
            .bold_line_style(GRID.stroke_width(SCALE as u32))
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS.stroke_width(SCALE as u32))
            .set_all_tick_mark_size(4 * SCALE)
            .label_style(font(11, &TEXT))
            .draw()?;
        Ok(Self { context, times, range })
    }

    /// All that was between two lines, stretch by stretch.
    pub fn band(&mut self, lowest: &Reduced, highest: &Reduced) -> Drawn {
        let clamp = |number: f64| number.clamp(self.range.start, self.range.end);
        for (low, high) in lowest.stretches().zip(highest.stretches()) {
            let mut edge: Vec<(f64, f64)> = high
                .map(|(time, column)| (self.times.at(time), clamp(column.highest)))
                .collect();
            let mut back: Vec<(f64, f64)> = low
                .map(|(time, column)| (self.times.at(time), clamp(column.lowest)))
                .collect();
            back.reverse();
            edge.append(&mut back);
            self.context
                .plotting_area()
                .draw(&Polygon::new(edge, EXPECTED.filled()))?;
        }
        Ok(())
    }

    /// Shades from one time to another.
    pub fn shade(&mut self, shades: &[(i64, i64)]) -> Drawn {
        let end = self.times.at(self.times.to);
        for (from, to) in shades {
            // A moment is shown too.
            let (from, to) = (self.times.at(*from), self.times.at(*to));
            let wider = (end / 400.0 - (to - from)).max(0.0) / 2.0;
            let corners = [
                ((from - wider).max(0.0), self.range.start),
                ((to + wider).min(end), self.range.end),
            ];
            self.context
                .plotting_area()
                .draw(&Rectangle::new(corners, INCIDENT.filled()))?;
        }
        Ok(())
    }

    /// A line through numbers, from the lowest to the highest of each column.
    pub fn line(&mut self, numbers: &Reduced) -> Drawn {
        self.through(numbers, VALUE, |column| {
            vec![column.first, column.lowest, column.highest, column.last]
        })
    }

    /// A line through the highest number of each column, moved to where it is `drawn`.
    pub fn peaks(&mut self, numbers: &Reduced, drawn: fn(f64) -> f64) -> Drawn {
        self.through(numbers, TEXT, |column| vec![drawn(column.highest)])
    }

    /// A line through what a column becomes; a point where one stands alone.
    fn through(&mut self, numbers: &Reduced, color: RGBColor, heights: impl Fn(&Column) -> Vec<f64>) -> Drawn {
        let clamp = |number: f64| number.clamp(self.range.start, self.range.end);
        for stretch in numbers.stretches() {
            let mut points: Vec<(f64, f64)> = Vec::new();
            for (time, column) in stretch {
                let at = self.times.at(time);
                points.extend(heights(column).into_iter().map(|number| (at, clamp(number))));
            }
            points.dedup();
            let area = self.context.plotting_area();
            match points.as_slice() {
                [point] => area.draw(&Circle::new(*point, 2 * SCALE, color.filled()))?,
                _ => area.draw(&PathElement::new(points, color.stroke_width(SCALE as u32)))?,
            }
        }
        Ok(())
    }

    /// A line at one height.
    pub fn level(&mut self, height: f64) -> Drawn {
        let end = self.times.at(self.times.to);
        let line = PathElement::new([(0.0, height), (end, height)], THRESHOLD.stroke_width(SCALE as u32));
        self.context.plotting_area().draw(&line)
    }

    /// Where this time is, in pixels of the drawing.
    pub fn pixel(&self, time: i64) -> i32 {
        self.context.backend_coord(&(self.times.at(time), self.range.end)).0
    }
}

/// A little more than all of these numbers, and its marks.
pub(super) fn around(range: Option<(f64, f64)>) -> (Range<f64>, Vec<Tick<f64>>) {
    // Far from the limits, so that differences are numbers too.
    let (lowest, highest) = range.unwrap_or((0.0, 1.0));
    let (lowest, highest) = (lowest.max(-1e300), highest.min(1e300));
    let span = highest - lowest;
    // Of a constant, a tenth of it; but more than the last of its digits.
    let room = if span > highest.abs().max(lowest.abs()) * 1e-12 {
        span * 0.08
    } else {
        (highest.abs() * 0.1).max(1.0)
    };
    let range = lowest - room..highest + room;
    let marks = of_numbers(range.start, range.end, 5);
    (range, marks)
}
