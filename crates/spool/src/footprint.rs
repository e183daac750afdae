//! The bytes of disk that a record takes in the database.

/// A record of 25 KB takes a little of a leaf and three whole overflow pages, which wastes least of all page sizes.
pub(super) const PAGE_BYTES: u32 = 8192;

/// What a row holds beside its data and its lane's name: its other columns and its cell.
const ROW_BYTES: u64 = 80;
/// What it takes in both indexes beside its lane's name, with a share of partly filled pages.
const INDEX_BYTES: u64 = 42;
/// What of a page holds rows.
const LEAF_BYTES: u64 = PAGE_BYTES as u64 - 8;
/// What an overflow page holds of a row.
const OVERFLOW_BYTES: u64 = PAGE_BYTES as u64 - 4;
/// What a leaf holds at least of a row that is too large for it.
const LEAST_LOCAL: u64 = (PAGE_BYTES as u64 - 12) * 32 / 255 - 23;

/// The bytes of disk a row takes, which count against the spool's limit: a leaf holds whole rows only, and what is too
/// large for one goes on in pages of its own. <https://www.sqlite.org/fileformat2.html>
pub(super) fn cost(data_bytes: u64, lane_name_bytes: u64) -> u64 {
    let leaf = |bytes: u64| LEAF_BYTES / (LEAF_BYTES / bytes);
    let row = data_bytes + lane_name_bytes + ROW_BYTES;
    let indexed = lane_name_bytes + INDEX_BYTES;
    if row <= LEAF_BYTES {
        return leaf(row) + indexed;
    }
    let rest = row - LEAST_LOCAL;
    let (pages, local) = (rest / OVERFLOW_BYTES, LEAST_LOCAL + rest % OVERFLOW_BYTES);
    if local <= LEAF_BYTES {
        pages * u64::from(PAGE_BYTES) + leaf(local) + indexed
    } else {
        (pages + 1) * u64::from(PAGE_BYTES) + leaf(LEAST_LOCAL) + indexed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from the file format: 8,184 bytes of a leaf hold rows, of a row that goes on elsewhere at least 1,003.
    #[test]
    fn a_row_costs_its_share_of_the_pages_it_is_on() {
        for (data, bytes) in [
            // 44 of 185 bytes fit a leaf.
            (100, 186),
            // Alone on its leaf, and at most as large as that.
            (8_000, 8_184),
            (8_099, 8_184),
            // One byte stands on a page of its own: eight such rows share a leaf.
            (8_100, 8_192 + 1_023),
            // 3,709 bytes of it stay, and then fill two pages.
            (20_000, 2 * 8_192 + 4_092),
            // 8,709 bytes would stay, which no leaf holds: as few as may be, and three pages.
            (25_000, 3 * 8_192 + 1_023),
        ] {
            // And 47 bytes in the indexes, five of them its lane's name.
            assert_eq!(cost(data, 5), bytes + 47, "{data}");
        }
    }
}
