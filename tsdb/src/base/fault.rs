//! Panics on demand, for tests: `FOURNINES_FAULT=writer:3` lets the third pass of that place panic. In release builds
//! there is nothing of it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ASKED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
    let asked = std::env::var("FOURNINES_FAULT").ok().filter(|_| cfg!(debug_assertions))?;
    let (place, pass) = asked.split_once(':')?;
    Some((place.to_owned(), pass.parse().ok()?))
});
static PASSES: AtomicU64 = AtomicU64::new(0);

/// A place at which a test may ask for a panic.
///
/// # Panics
///
/// If one was asked for here.
#[inline]
pub fn fault(place: &str) {
    if cfg!(debug_assertions)
        && let Some((_, pass)) = ASKED.as_ref().filter(|(asked, _)| asked == place)
    {
        assert!(PASSES.fetch_add(1, Ordering::Relaxed) + 1 != *pass, "a fault was asked for at {place}");
    }
}
