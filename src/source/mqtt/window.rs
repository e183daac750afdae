//! Messages that wait for their acknowledgement, in the order they came in, which is the order MQTT wants them acknowledged.

use std::collections::VecDeque;

/// Messages by batch, oldest first.
#[derive(Debug)]
pub(super) struct Window {
    batches: VecDeque<Waiting>,
    messages: usize,
    most: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    ids: Vec<u16>,
    settled: bool,
}

impl Window {
    /// Empty, with room for so many messages.
    pub fn new(most: u16) -> Self {
        Self {
            batches: VecDeque::new(),
            messages: 0,
            most: most.into(),
        }
    }

    /// How many more messages may come.
    pub fn room(&self) -> usize {
        self.most.saturating_sub(self.messages)
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// These messages came next. Those that gave no reading are settled already.
    pub fn push(&mut self, number: u64, ids: Vec<u16>, settled: bool) {
        if !ids.is_empty() {
            self.messages += ids.len();
            self.batches.push_back(Waiting { number, ids, settled });
        }
    }

    /// The batch with this number is safe. One of an earlier connection is not known here: its messages come again.
    pub fn settle(&mut self, number: u64) {
        let found = self.batches.binary_search_by_key(&number, |batch| batch.number);
        if let Ok(index) = found {
            self.batches[index].settled = true;
        }
    }

    /// What can be acknowledged now, in order.
    pub fn acknowledge(&mut self, mut write: impl FnMut(u16)) {
        while self.batches.front().is_some_and(|batch| batch.settled)
            && let Some(batch) = self.batches.pop_front()
        {
            self.messages -= batch.ids.len();
            batch.ids.into_iter().for_each(&mut write);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acknowledged(window: &mut Window) -> Vec<u16> {
        let mut ids = Vec::new();
        window.acknowledge(|id| ids.push(id));
        ids
    }

    #[test]
    fn nothing_is_acknowledged_before_what_came_first() {
        let mut window = Window::new(5);
        window.push(3, vec![10, 11], false);
        window.push(4, vec![12], false);
        window.push(6, vec![13], true);
        window.push(7, vec![], false);
        assert_eq!(window.room(), 1);
        window.settle(4);
        window.settle(99);
        assert!(acknowledged(&mut window).is_empty());
        window.settle(3);
        assert_eq!(acknowledged(&mut window), [10, 11, 12, 13]);
        assert!(window.is_empty());
        assert_eq!(window.room(), 5);
    }

    proptest! {
        #[test]
        fn all_are_acknowledged_once_and_in_order(order in Just((0_u64..20).collect::<Vec<_>>()).prop_shuffle()) {
            let mut window = Window::new(100);
            (0..20).for_each(|number| window.push(number, vec![number as u16 * 2, number as u16 * 2 + 1], false));
            let mut all = Vec::new();
            for number in order {
                window.settle(number);
                all.extend(acknowledged(&mut window));
            }
            prop_assert_eq!(all, (0..40).collect::<Vec<u16>>());
            prop_assert_eq!(window.room(), 100);
        }
    }
}
