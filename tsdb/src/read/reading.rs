//! How stored rows are read: for an answer, or by work in the background.

use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::warnings::Warnings;
use crate::catalog::filter::Filter;
use crate::files::data_dir::DataDir;
use crate::rolled::file::OnDamagedGroup;
use crate::rows::keyed::Rows;
use crate::segment::file::Segment;
use crate::segment::index::Page;
use crate::state::health::LostPlace;
use crate::state::shared::Shared;

/// What happens when a place cannot be read: `Ok` leaves its rows out.
type OnDamage = Arc<dyn Fn(LostPlace<'_>, Error) -> Result<()> + Send + Sync>;

/// How stored rows are read.
#[derive(Clone)]
pub(crate) struct Reading {
    on_damage: OnDamage,
    /// Pages are copied from the files in here, and not looked at where they are mapped.
    copied_from: Option<DataDir>,
}

impl Reading {
    /// For work that must not lose what cannot be read: the damage is noted, and the work given up.
    ///
    /// Pages are copied. Such work reads whole files, each page once, and what is read of a map counts as this
    /// process's memory until the file is let go.
    pub(crate) fn in_background(shared: &Arc<Shared>) -> Reading {
        let (shared, dir) = (shared.clone(), shared.dir.clone());
        let on_damage = move |place: LostPlace<'_>, error: Error| {
            shared.health.lost_rows(place, &error);
            Err(error)
        };
        Reading { on_damage: Arc::new(on_damage), copied_from: Some(dir) }
    }

    /// For answers: the damage is noted, its rows are left out, and the answer's warnings say so.
    pub(crate) fn of_answer(shared: &Arc<Shared>, warnings: &Warnings) -> Reading {
        let (shared, warnings) = (shared.clone(), warnings.clone());
        let on_damage = move |place: LostPlace<'_>, error: Error| {
            shared.health.lost_rows(place, &error);
            let warning = match &error {
                Error::Corrupt { path, offset, .. } => {
                    format!("damaged rows were left out: {} at byte {offset}", path.display())
                }
                other => other.to_string(),
            };
            warnings.add(warning);
            Ok(())
        };
        Reading { on_damage: Arc::new(on_damage), copied_from: None }
    }

    /// The same for row groups of rolled days.
    pub(crate) fn on_damaged_group(&self) -> OnDamagedGroup {
        let on_damage = self.on_damage.clone();
        Arc::new(move |day, group, error| on_damage(LostPlace::RowGroup(day, group), error))
    }

    /// The rows of a page that a filter wants; nothing if it is damaged and left out.
    pub(crate) fn page(
        &self,
        segment: &Segment,
        page: &Page,
        fields: &[u32],
        times: bool,
        filter: &Filter,
    ) -> Option<Result<Rows>> {
        let rows = match &self.copied_from {
            None => segment.read(page, segment.page_bytes(page), fields, times, filter),
            Some(dir) => dir
                .read_range(segment.path(), page.extent())
                .and_then(|bytes| segment.read(page, &bytes, fields, times, filter)),
        };
        match rows {
            Err(error @ Error::Corrupt { .. }) => {
                (self.on_damage)(LostPlace::Page(segment, page), error).err().map(Err)
            }
            rows => Some(rows),
        }
    }
}
