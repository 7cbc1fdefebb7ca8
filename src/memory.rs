//! What is free goes back to the system, and so does what is mapped.
//!
//! The allocator keeps what was freed in the arena of the thread that made it, below whatever is still in use there. A
//! moment of many requests then makes the process larger for good: by 110 MB within a minute, measured with eleven
//! arenas. Pages of mapped files count as the process's memory once a query looked at them, until the file is merged into
//! another: 100 MB more within seven minutes of load.
#![allow(unsafe_code)]

use std::time::Duration;

/// What is at least this large has pages of its own, which go back when it is freed.
///
/// glibc raises that bound by itself, up to 32 MiB, whenever something larger is freed, and never lowers it: from then on
/// bodies of requests, columns and pages that are merged come from the arenas, and leave holes there. A bound that is set
/// stays.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES_BYTES: libc::c_int = 256 << 10;

/// To be called once, before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn set_up() {
    // SAFETY: it takes no pointer and changes a number of the allocator, which locks its main arena for it.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES) };
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn set_up() {}

/// From one look at what is mapped to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is free is given back at every such look. One takes a few milliseconds of one thread.
const TRIM_EVERY: u64 = 5;

/// Gives it back again and again, for ever. So many bytes of mapped files may be in memory.
pub async fn give_back(mapped_bytes_max: u64) {
    // What is of files and no data: the program itself.
    let mut base = of_files();
    for look in 1.. {
        tokio::time::sleep(INTERVAL).await;
        if look % TRIM_EVERY == 0 {
            let _ = tokio::task::spawn_blocking(trim).await; // what did not work now is tried again
        }
        if of_files() > base.saturating_add(mapped_bytes_max) {
            let _ = tokio::task::spawn_blocking(tsdb::let_go_of_maps).await;
            base = of_files();
        }
    }
}

/// How much of this process's memory is pages of files, in bytes; 0 where the system does not say.
fn of_files() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status.lines().find_map(|line| line.strip_prefix("RssFile:")?.trim().strip_suffix(" kB")?.parse().ok());
    kb.map_or(0, |kb: u64| kb * 1024)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: it takes no pointer, holds each arena's lock while it looks at that, and gives back only pages on which
    // nothing is allocated. glibc has it safe for several threads (MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
