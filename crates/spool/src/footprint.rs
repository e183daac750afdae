//! The disk space that a record takes in the database.

/// A record of 25 KB takes a little of a leaf and three whole overflow pages, which wastes the least of all page sizes.
pub(super) const PAGE_BYTES: u32 = 8192;

/// Bytes of a row besides its data and its lane's name: its other columns and its cell.
const ROW_BYTES: u64 = 80;
/// Bytes in both indexes besides the lane's name, with a share of partly filled pages.
const INDEX_BYTES: u64 = 42;
/// Bytes of a page that hold rows.
const LEAF_BYTES: u64 = PAGE_BYTES as u64 - 8;
/// Bytes of a row that an overflow page holds.
const OVERFLOW_BYTES: u64 = PAGE_BYTES as u64 - 4;
/// The least that a leaf holds of a row too large for it.
const LEAST_LOCAL: u64 = (PAGE_BYTES as u64 - 12) * 32 / 255 - 23;

/// The disk space of a row, which counts against the spool's limit. A leaf holds whole rows only; the rest of a row too
/// large for one is stored in overflow pages of its own. <https://www.sqlite.org/fileformat2.html>
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

    /// Computed by hand from the file format: a leaf has 8,184 bytes for rows, and holds at least 1,003 of a row that
    /// overflows.
    #[test]
    fn a_row_costs_its_share_of_the_pages_it_is_on() {
        for (data, bytes) in [
            // 44 of 185 bytes fit a leaf.
            (100, 186),
            // Alone on its leaf, at the largest size that fits.
            (8_000, 8_184),
            (8_099, 8_184),
            // One byte is on a page of its own: eight such rows share a leaf.
            (8_100, 8_192 + 1_023),
            // 3,709 bytes of it stay in the leaf, and the rest fills two pages.
            (20_000, 2 * 8_192 + 4_092),
            // 8,709 bytes would stay, which no leaf holds: the minimum stays, and the rest takes three pages.
            (25_000, 3 * 8_192 + 1_023),
        ] {
            // Plus 47 bytes in the indexes, five of them its lane's name.
            assert_eq!(cost(data, 5), bytes + 47, "{data}");
        }
    }
}
