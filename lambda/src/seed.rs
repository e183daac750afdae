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

/// A page with what is known of the sensors of `lane`: of the nearest lane around it, and of those within it. Where
/// both know a sensor, the newer state counts.
pub(crate) async fn seed(pages: &mut impl Pages, lane: LaneName) -> Result<Page, StoreError> {
    let mut known = Vec::new();
    for enclosing in lane.enclosing() {
        if let Some(mut page) = load(pages, &[enclosing]).await?.pop().flatten() {
            page.restrict(&lane.slice());
            known.push(page);
            break;
        }
    }
    let mut unknown = vec![lane];
    for level in 1..=LEVELS {
        let finer: Vec<LaneName> = unknown
            .iter()
            .flat_map(|unknown| unknown.enclosed(lane.lanes() << level))
            .collect();
        let found = load(pages, &finer).await?;
        unknown.clear();
        for (finer, page) in finer.into_iter().zip(found) {
            match page {
                Some(page) => known.push(page),
                None => unknown.push(finer),
            }
        }
    }
    Ok(Page::merge(known))
}

async fn load(pages: &mut impl Pages, lanes: &[LaneName]) -> Result<Vec<Option<Page>>, StoreError> {
    let names: Vec<PageName> = lanes.iter().copied().map(PageName::of_lane).collect();
    let loaded = pages.load(&names).await;
    names
        .iter()
        .zip(loaded)
        .map(|(name, stored)| match stored? {
            Some(stored) => WarmPage::restore(name, &stored).map(|warm| Some(warm.page)),
            None => Ok(None),
        })
        .collect()
}
