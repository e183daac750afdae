//! Many readings in one text are what they are one by one, all of them or none.

use proptest::prelude::*;
use wire::Reading;
use wire::json::{BatchError, BatchLimits, Decoder, Layout, Place, TOLD, decode_batch};

const LIMITS: BatchLimits = BatchLimits {
    readings: 20,
    reading_bytes: 200,
};

fn decode(text: &[u8], layout: Layout) -> Result<Vec<Reading>, BatchError> {
    decode_batch(&mut Decoder::new(), text, layout, LIMITS)
}

fn reading(number: i32) -> String {
    format!("{{\"sensor\":\"s\",\"time\":\"2024-05-01T10:00:00Z\",\"kind\":\"k\",\"value\":{number}}}")
}

#[test]
fn the_layout_is_seen_from_the_text() {
    let one = reading(1);
    let spread = one.replace(',', ",\n  ");
    for (text, count) in [
        (one.clone(), 1),
        (format!("\n {spread}\n"), 1),
        (format!("[{one},\n{spread}]"), 2),
        (format!("{one}\n\n{one}\r\n{one}"), 3),
    ] {
        assert_eq!(decode(text.as_bytes(), Layout::Any).unwrap().len(), count, "{text}");
    }
    let lines = format!("{one}\n{one}");
    assert!(decode(lines.as_bytes(), Layout::Document).is_err());
    assert!(decode(format!("[{one}]").as_bytes(), Layout::Lines).is_err());
    assert!(decode(spread.as_bytes(), Layout::Lines).is_err());
}

#[test]
fn limits_are_the_last_that_is_taken() {
    let text = |count: usize| vec![reading(1); count].join("\n");
    assert_eq!(decode(text(20).as_bytes(), Layout::Any).unwrap().len(), 20);
    let many = decode(text(21).as_bytes(), Layout::Any).unwrap_err();
    assert!(matches!(many, BatchError::TooMany { limit: 20 }), "{many}");
    let array = format!("[{}", text(21).replace('\n', ","));
    let many = decode(array.as_bytes(), Layout::Any).unwrap_err();
    assert!(
        matches!(many, BatchError::TooMany { limit: 20 }),
        "an array is not read to its end: {many}"
    );
    let padded = |bytes: usize| format!("{{{}{}", " ".repeat(bytes - reading(1).len()), &reading(1)[1..]);
    assert_eq!(decode(padded(200).as_bytes(), Layout::Any).unwrap().len(), 1);
    let large = decode(format!("[{}, {}]", reading(1), padded(201)).as_bytes(), Layout::Any).unwrap_err();
    assert_eq!(
        large.to_string(),
        "reading [1] takes 201 bytes, and a reading may take 200: send less of it"
    );
    assert!(matches!(decode(b" [ ] ", Layout::Any), Err(BatchError::Empty)));
}

/// A text that may be a reading, and never holds a line end.
fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<i32>().prop_map(reading),
        1 => Just("{\"deviceid\":\"d\",\"timestamp\":\"2024-05-01 10:00:00\",\"datatype\":\"T\",\"value\":[1,2]}".to_owned()),
        1 => prop_oneof![Just("{}"), Just("7"), Just("null"), Just("[]"), Just("\"}\"")].prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        for layout in [Layout::Any, Layout::Document, Layout::Lines] {
            let _ = decode(&text, layout);
        }
    }

    #[test]
    fn nearly_readings_never_panic(text in "[\\[\\]{},:\"\\n 0-9a-z]{0,80}") {
        for layout in [Layout::Any, Layout::Document, Layout::Lines] {
            let _ = decode(text.as_bytes(), layout);
        }
    }

    #[test]
    fn all_are_taken_as_they_are_one_by_one_or_none(elements in proptest::collection::vec(element(), 1..=20)) {
        let mut decoder = Decoder::new();
        let one_by_one: Vec<_> = elements.iter().map(|element| decoder.decode(element.as_bytes())).collect();
        let wrong: Vec<_> = (0..elements.len()).filter(|index| one_by_one[*index].is_err()).collect();
        let readings: Vec<_> = one_by_one.into_iter().flatten().map(|decoded| decoded.reading).collect();
        let array = format!("[{}]", elements.join(" ,\n"));
        let lines = elements.join("\n");
        for (text, layout) in [(&array, Layout::Any), (&array, Layout::Document), (&lines, Layout::Lines)] {
            match decode(text.as_bytes(), layout) {
                Ok(taken) => {
                    prop_assert!(wrong.is_empty());
                    prop_assert_eq!(&taken, &readings);
                }
                Err(error @ BatchError::Wrong { .. }) => {
                    let told = error.to_string();
                    let BatchError::Wrong { first, more } = error else { unreachable!() };
                    prop_assert_eq!(told.contains(&format!("and {more} more")), more > 0, "{}", told);
                    prop_assert_eq!(first.len() + more, wrong.len());
                    for (misread, index) in first.iter().zip(&wrong) {
                        let place = match layout {
                            Layout::Lines => Place::Line(index + 1),
                            _ => Place::Index(*index),
                        };
                        prop_assert_eq!(misread.place, place);
                    }
                    prop_assert!(first.len() == TOLD || more == 0);
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}
