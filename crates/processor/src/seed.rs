//! The first state of a lane's page after the number of lanes has changed: what the pages of the lanes that shared its
//! slice before knew about its sensors.

use detect::Page;
use wire::LaneName;

use crate::page_name::PageName;
use crate::pages::Pages;
use crate::store_error::StoreError;
use crate::warm::WarmPage;

/// Finer lanes are looked for down to an eighth of a slice: lanes are rarely cut to less at once.
const LEVELS: u32 = 3;

/// A page with what is known of the sensors of `lane`: by every lane around it, and by those within it. All of them are
/// asked, because the nearest need not be the last one in use; of a sensor known to several, the newest state counts.
pub(crate) async fn seed(pages: &mut impl Pages, lane: LaneName, most_weight: u64) -> Result<Page, StoreError> {
    let within = (1..=LEVELS).flat_map(|level| lane.enclosed(lane.lanes() << level));
    let names: Vec<PageName> = lane.enclosing().chain(within).map(PageName::of_lane).collect();
    let mut known = Vec::new();
    // One after the other: together they may be more than memory holds.
    for name in &names {
        for stored in pages.load(std::slice::from_ref(name)).await {
            if let Some(stored) = stored? {
                let mut page = WarmPage::restore(name, &stored, most_weight)?.page;
                page.restrict(&lane.slice());
                known.push(page);
            }
        }
    }
    Ok(Page::merge(known))
}
