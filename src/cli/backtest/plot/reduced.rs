//! Numbers over time in bounded memory: by columns of time, each with its lowest and highest number, so that no spike is
//! lost. The columns widen as time goes on.

/// Numbers of ascending times.
#[derive(Clone, Debug)]
pub(super) struct Reduced {
    capacity: usize,
    /// The time of the first number, µs.
    start: i64,
    /// The time of the last number, µs.
    end: i64,
    /// Of a column, µs.
    width: i64,
    numbers: u64,
    columns: Vec<Column>,
}

/// The numbers of one column of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    place: i64,
    pub first: f64,
    pub last: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Reduced {
    /// In at most so many columns.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            start: 0,
            end: 0,
            width: 1,
            numbers: 0,
            columns: Vec::new(),
        }
    }

    /// The next number, not older than the last.
    pub fn push(&mut self, time: i64, number: f64) {
        if self.columns.is_empty() {
            self.start = time;
        }
        self.end = time;
        self.numbers += 1;
        while self.place(time) >= self.capacity as i64 {
            self.widen();
        }
        let place = self.place(time);
        let column = Column {
            place,
            first: number,
            last: number,
            lowest: number,
            highest: number,
        };
        match self.columns.last_mut() {
            Some(last) if last.place >= place => last.join(&column),
            _ => self.columns.push(column),
        }
    }

    /// In no more columns than this from here on.
    pub fn limit(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.columns.last().is_some_and(|last| last.place >= capacity as i64) {
            self.widen();
        }
    }

    /// The columns with the time of their middle, µs, cut where nothing was heard for much longer than usual.
    pub fn stretches(&self) -> impl Iterator<Item = impl Iterator<Item = (i64, &Column)>> {
        let usual = (self.end - self.start) / (self.numbers.max(2) - 1) as i64;
        let longest = (usual.saturating_mul(10) / self.width).max(2) + 1;
        let near = move |one: &Column, other: &Column| other.place - one.place <= longest;
        self.columns
            .chunk_by(near)
            .map(|stretch| stretch.iter().map(|column| (self.middle(column), column)))
    }

    /// The lowest and the highest number of all; `None` where there is none.
    pub fn range(&self) -> Option<(f64, f64)> {
        let all = self.columns.iter().map(|column| (column.lowest, column.highest));
        all.reduce(|(lowest, highest), (low, high)| (lowest.min(low), highest.max(high)))
    }

    fn place(&self, time: i64) -> i64 {
        (time - self.start).max(0) / self.width
    }

    /// The middle of the column; of the first and the last no further than the first and the last number.
    fn middle(&self, column: &Column) -> i64 {
        let middle = self.start + column.place * self.width + self.width / 2;
        if column.place == 0 {
            self.start
        } else {
            middle.min(self.end)
        }
    }

    fn widen(&mut self) {
        self.width *= 2;
        for column in &mut self.columns {
            column.place /= 2;
        }
        self.columns.dedup_by(|next, column| {
            let same = next.place == column.place;
            if same {
                column.join(next);
            }
            same
        });
    }
}

impl Column {
    fn join(&mut self, next: &Self) {
        self.last = next.last;
        self.lowest = self.lowest.min(next.lowest);
        self.highest = self.highest.max(next.highest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_far_apart_is_cut() {
        let mut reduced = Reduced::new(1_000);
        for second in (0..100).chain(5_000..5_100) {
            reduced.push(second * 1_000_000, second as f64);
        }
        let stretches: Vec<Vec<i64>> = reduced
            .stretches()
            .map(|stretch| stretch.map(|(time, _)| time / 1_000_000).collect())
            .collect();
        assert_eq!(stretches.len(), 2, "{stretches:?}");
        assert_eq!(stretches[0][0], 0);
        assert!(
            stretches[1].iter().all(|second| (4_990..=5_099).contains(second)),
            "{stretches:?}"
        );
    }

    proptest! {
        #[test]
        fn no_spike_is_lost_and_memory_is_bounded(
            steps in proptest::collection::vec((1_i64..100_000_000_000, -1e9..1e9), 1..400),
            capacity in 2_usize..40,
            later in 1_usize..40,
        ) {
            let mut reduced = Reduced::new(capacity);
            let (mut time, mut times) = (0, Vec::new());
            for (step, number) in &steps {
                time += step;
                times.push(time);
                reduced.push(time, *number);
            }
            reduced.limit(later);
            prop_assert!(reduced.columns.len() <= capacity.min(later));
            let numbers = steps.iter().map(|(_, number)| *number);
            let lowest = numbers.clone().fold(f64::INFINITY, f64::min);
            let highest = numbers.fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(reduced.range(), Some((lowest, highest)));
            let shown: Vec<i64> = reduced.stretches().flatten().map(|(time, _)| time).collect();
            prop_assert!(shown.is_sorted());
            prop_assert!(shown.iter().all(|time| (times[0]..=times[times.len() - 1]).contains(time)));
        }
    }
}
