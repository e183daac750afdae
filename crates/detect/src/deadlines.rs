//! What is due without a reading of the sensor itself: silence, the end of an incident, forgetting.
//!
//! The heap is lazy: a deadline that moves later, as it does with every reading, is checked only once its old place
//! comes up. Due sensors come in the order of (deadline, sensor), whatever the history of the heap, so that a partition
//! decoded from its bytes causes the same events in the same order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Never due.
pub(crate) const NEVER: i64 = i64::MAX;

/// One deadline per sensor, by the partition's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<(i64, u32)>>,
    /// The valid heap entry of each sensor: at its deadline or earlier.
    places: Vec<i64>,
}

impl Deadlines {
    /// Sets the deadline of a sensor.
    pub fn set(&mut self, index: u32, deadline: i64) {
        let at = index as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, NEVER);
        }
        if deadline < self.places[at] {
            self.places[at] = deadline;
            self.heap.push(Reverse((deadline, index)));
        }
    }

    /// The next sensor that is due; `deadline` gives the actual deadline. It must be [`set`](Self::set) again
    /// afterwards.
    pub fn next(&mut self, now: i64, deadline: impl Fn(u32) -> i64) -> Option<u32> {
        while let Some(&Reverse((place, index))) = self.heap.peek()
            && place <= now
        {
            self.heap.pop();
            if self.places[index as usize] != place {
                continue;
            }
            self.places[index as usize] = NEVER;
            let deadline = deadline(index);
            if deadline == place {
                return Some(index);
            }
            self.set(index, deadline);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_however_often_it_moved() {
        let mut deadlines = Deadlines::default();
        for (index, deadline) in [(0, 10), (1, 5), (2, 7), (1, 3)] {
            deadlines.set(index, deadline);
        }
        let mut truth = [20, 18, 7, 0];
        let mut due = Vec::new();
        while let Some(index) = deadlines.next(30, |index| truth[index as usize]) {
            due.push(index);
            truth[index as usize] = NEVER;
        }
        assert_eq!(due, [2, 1, 0]);
    }

    #[test]
    fn a_deadline_that_moves_sooner_is_not_missed() {
        let mut deadlines = Deadlines::default();
        deadlines.set(0, 100);
        deadlines.set(0, 10);
        assert_eq!(deadlines.next(9, |_| 10), None);
        assert_eq!(deadlines.next(10, |_| 10), Some(0));
        deadlines.set(0, NEVER);
        assert_eq!(deadlines.next(1000, |_| NEVER), None);
    }
}
