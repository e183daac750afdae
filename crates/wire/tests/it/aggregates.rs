//! The aggregated format from outside: exact to the byte, and unmoved by what is not its own.

use md5::{Digest, Md5};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::aggregate::{Aggregate, AggregateError, Deaggregated, deaggregate};
use wire::{Identity, ProducerId};

const MAGIC: &[u8] = b"\xf3\x89\x9a\xc2";

const IDENTITY: Identity = Identity {
    producer: ProducerId(0x0123_4567_89ab_cdef),
    number: 42,
};

/// What a producer would seal around that message.
fn sealed(message: &[u8]) -> Vec<u8> {
    [MAGIC, message, &Md5::digest(message)].concat()
}

fn data(deaggregated: &Deaggregated<'_>) -> Vec<Vec<u8>> {
    deaggregated
        .records()
        .map(|record| record.unwrap().data.to_vec())
        .collect()
}

#[test]
fn the_layout_is_as_published_with_tags_on_the_first_record_only() {
    let mut aggregate = Aggregate::new("16/03", 7, 1_000, IDENTITY);
    aggregate.push(b"abc").unwrap();
    aggregate.push(b"").unwrap();
    let message = [
        b"\x0a\x0516/03".as_slice(),            // partition_key_table
        b"\x12\x017",                           // explicit_hash_key_table
        b"\x1a\x35\x08\x00\x10\x00\x1a\x03abc", // records: both indices, data, then tags
        b"\x22\x1c\x0a\x08producer\x12\x100123456789abcdef",
        b"\x22\x0c\x0a\x06number\x12\x0242",
        b"\x1a\x06\x08\x00\x10\x00\x1a\x00",
    ]
    .concat();
    assert_eq!(aggregate.count(), 2);
    assert_eq!(aggregate.seal(), sealed(&message));
}

#[test]
fn tags_are_read() {
    let mut aggregate = Aggregate::new("16/03", 7, 1_000, IDENTITY);
    aggregate.push(b"abc").unwrap();
    aggregate.push(b"def").unwrap();
    let bytes = aggregate.seal();
    let deaggregated = deaggregate(&bytes).unwrap();
    let tags: Vec<Vec<_>> = deaggregated
        .records()
        .map(|record| record.unwrap().tags.collect())
        .collect();
    assert_eq!(
        tags,
        [
            vec![("producer", Some("0123456789abcdef")), ("number", Some("42"))],
            vec![]
        ]
    );
    assert_eq!(deaggregated.identity(), Some(IDENTITY));
}

#[test]
fn tags_of_others_are_no_identity() {
    let message = b"\x0a\x01k\x1a\x11\x08\x00\x1a\x01d\x22\x0a\x0a\x08producer";
    let bytes = sealed(message);
    let deaggregated = deaggregate(&bytes).unwrap();
    assert_eq!(deaggregated.identity(), None);
    let record = deaggregated.records().next().unwrap().unwrap();
    assert_eq!(record.tags.collect::<Vec<_>>(), [("producer", None)]);
}

#[test]
fn what_is_not_aggregated_is_said_to_be_plain() {
    let mut broken = sealed(b"\x0a\x01k");
    broken[4] ^= 1;
    for bytes in [
        b"".as_slice(),
        MAGIC,
        b"{\"sensor\":\"s\"}",
        &sealed(b""),
        &broken,
        &sealed(b"\x0a\x01k")[1..],
    ] {
        assert_eq!(
            deaggregate(bytes).unwrap_err(),
            AggregateError::NotAggregated,
            "{bytes:?}"
        );
    }
}

#[test]
fn a_message_packed_wrongly_is_said_to_be_malformed() {
    for message in [
        b"\x0a\x05k".as_slice(),                             // longer than the message
        b"\x0a",                                             // ends within a field
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     // a length of 64 bits
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",     // a varint of 65 bits
        b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", // a varint of eleven bytes
        b"\x02\x00",                                         // field 0
        b"\x0b\x0c",                                         // a group
    ] {
        assert!(
            matches!(deaggregate(&sealed(message)), Err(AggregateError::Malformed(_))),
            "{message:?}"
        );
    }
}

#[test]
fn a_poisoned_user_record_spoils_no_other() {
    let message = [
        b"\x1a\x05\x08\x00\x1a\x01a".as_slice(), // before the table it needs
        b"\x0a\x01k\x0a\x01\xff",
        b"\x1a\x05\x08\x02\x1a\x01b",         // partition key out of the table
        b"\x1a\x07\x08\x00\x10\x00\x1a\x01c", // explicit hash key out of the table
        b"\x1a\x05\x08\x01\x1a\x01d",         // partition key not UTF-8
        b"\x1a\x03\x1a\x01e",                 // no partition key
        b"\x1a\x02\x08\x00",                  // no data
        b"\x1a\x04\x08\x00\x1a\x09",          // data longer than the record
        b"\x1a\x07\x08\x00\x1a\x01f\x22\x00", // a tag without a key
        b"\x1a\x05\x08\x00\x1a\x01g",
    ]
    .concat();
    let bytes = sealed(&message);
    let deaggregated = deaggregate(&bytes).unwrap();
    let records: Vec<_> = deaggregated.records().collect();
    assert_eq!(records[0].as_ref().unwrap().data, b"a");
    assert_eq!(records[8].as_ref().unwrap().data, b"g");
    let problems: Vec<_> = records[1..8]
        .iter()
        .map(|record| record.as_ref().unwrap_err())
        .collect();
    assert_eq!(
        problems
            .iter()
            .map(|problem| (problem.index, problem.problem))
            .collect::<Vec<_>>(),
        [
            (1, "a key's index is out of its table"),
            (2, "a key's index is out of its table"),
            (3, "a text is not UTF-8"),
            (4, "it names no partition key"),
            (5, "it has no data"),
            (6, "a field is longer than what holds it"),
            (7, "a tag has no key"),
        ]
    );
}

#[test]
fn fields_of_later_versions_are_skipped() {
    // Of each wire type, in the message, in a user record and in a tag; and a number of two bytes.
    let extra = b"\x78\x07\x79\x00\x00\x00\x00\x00\x00\x00\x00\x7a\x02hi\x7d\x00\x00\x00\x00\x82\x01\x01x";
    let tag = [extra.as_slice(), b"\x0a\x01t"].concat();
    let record = [extra.as_slice(), b"\x08\x00\x1a\x01d\x22", &[tag.len() as u8], &tag].concat();
    let message = [
        extra.as_slice(),
        b"\x0a\x01k\x1a",
        &[record.len() as u8],
        &record,
        extra,
    ]
    .concat();
    let bytes = sealed(&message);
    let record = deaggregate(&bytes).unwrap().records().next().unwrap().unwrap();
    assert_eq!(
        (record.partition_key, record.explicit_hash_key, record.data),
        ("k", None, b"d".as_slice())
    );
    assert_eq!(record.tags.collect::<Vec<_>>(), [("t", None)]);
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(
        key in "\\PC{1,40}", hash_key: u128, producer: u64, number in 1_u64.., records in vec(vec(any::<u8>(), 0..300), 1..20)
    ) {
        let identity = Identity { producer: ProducerId(producer), number };
        let mut aggregate = Aggregate::new(&key, hash_key, usize::MAX, identity);
        for data in &records {
            aggregate.push(data).unwrap();
        }
        let bytes = aggregate.seal();
        let deaggregated = deaggregate(&bytes).unwrap();
        prop_assert_eq!(data(&deaggregated), records);
        prop_assert_eq!(deaggregated.identity(), Some(identity));
        for record in deaggregated.records() {
            let record = record.unwrap();
            prop_assert_eq!(record.partition_key, &key);
            prop_assert_eq!(record.explicit_hash_key.unwrap(), hash_key.to_string());
        }
    }

    /// A record is taken exactly where a sealed aggregate with it would be within the limit.
    #[test]
    fn the_limit_is_met_to_the_byte(
        limit in 0_usize..40_000, hash_key: u128, number: u64,
        sizes in vec(prop_oneof![8 => 0_usize..300, 1 => 100_usize..140, 1 => 16_000_usize..17_000], 0..60)
    ) {
        let identity = Identity { producer: ProducerId(1), number };
        let mut aggregate = Aggregate::new("16/03", hash_key, limit, identity);
        let mut taken: Vec<usize> = Vec::new();
        for size in sizes {
            let mut with = Aggregate::new("16/03", hash_key, usize::MAX, identity);
            for &size in taken.iter().chain([&size]) {
                with.push(&vec![b'x'; size]).unwrap();
            }
            let len = with.len();
            prop_assert_eq!(len, with.seal().len());
            prop_assert_eq!(aggregate.fits(size), len <= limit);
            let before = aggregate.len();
            match aggregate.push(&vec![b'x'; size]) {
                Ok(()) => {
                    prop_assert!(len <= limit);
                    prop_assert_eq!(aggregate.len(), len);
                    taken.push(size);
                }
                Err(_) => {
                    prop_assert!(len > limit);
                    prop_assert_eq!(aggregate.len(), before);
                }
            }
        }
        prop_assert_eq!(aggregate.count() as usize, taken.len());
        prop_assert!(!aggregate.fits(usize::MAX));
        prop_assert_eq!(aggregate.len(), aggregate.seal().len());
    }

    #[test]
    fn garbage_never_panics(message in vec(any::<u8>(), 0..200)) {
        drop(deaggregate(&message));
        read_all(&sealed(&message));
    }

    /// Damage under a digest that is right again, so that it reaches the reading of the message.
    #[test]
    fn flipped_bits_never_panic(
        records in vec(vec(any::<u8>(), 0..60), 1..5), flips in vec((any::<prop::sample::Index>(), 0..8), 1..5)
    ) {
        let mut aggregate = Aggregate::new("16/03", 7, usize::MAX, IDENTITY);
        for data in &records {
            aggregate.push(data).unwrap();
        }
        let mut bytes = aggregate.seal();
        let message = bytes.len() - 16;
        for (at, bit) in flips {
            let at = at.index(message - 4);
            bytes[4 + at] ^= 1_u8 << bit;
        }
        read_all(&sealed(&bytes[4..message]));
    }
}

fn read_all(bytes: &[u8]) {
    let Ok(deaggregated) = deaggregate(bytes) else { return };
    let _ = deaggregated.identity();
    for record in deaggregated.records().flatten() {
        let _ = record.tags.count();
    }
}
