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

/// So much that is free at the end of an arena stays there until [`give_back`] comes by, and so much more is taken when an
/// arena grows.
///
/// With the 128 KiB of glibc pages went back to the system while a question was still being answered, and came again with a
/// fault each: 15 times as many faults, and a fifth of the time of questions that decode much, measured with PromQL.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 4 << 20;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GROWTH_BYTES: libc::c_int = 1 << 20;

/// To be called once, before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn set_up() {
    // SAFETY: these take no pointer and change numbers of the allocator, which locks its main arena for it.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_TOP_PAD, GROWTH_BYTES);
    }
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn set_up() {}

/// From one look at what is mapped to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is free is given back so often at least. One takes a few milliseconds of one thread.
const TRIM_EVERY: u64 = 5;
/// And when the process's own memory grew by so much since then: a merge leaves 60 MB, and the next one is not far. Of an
/// arena of 64 MB that was all in memory 58 were free, looked at in the 49th minute of load.
const TRIM_GROWN_BYTES: u64 = 32 << 20;

/// Gives it back again and again, for ever. So many bytes of mapped files may be in memory.
pub async fn give_back(mapped_bytes_max: u64) {
    let (mut base, mut own) = (of_program(), u64::MAX);
    for look in 1.. {
        tokio::time::sleep(INTERVAL).await;
        if look % TRIM_EVERY == 0 || status("RssAnon:") > own.saturating_add(TRIM_GROWN_BYTES) {
            let _ = tokio::task::spawn_blocking(trim).await; // what did not work now is tried again
            own = status("RssAnon:");
        }
        if status("RssFile:") > base.saturating_add(mapped_bytes_max) {
            let _ = tokio::task::spawn_blocking(tsdb::let_go_of_maps).await;
            // More of the program comes into memory as it is used, and pages that somebody is looking at come back at once:
            // those are no part of it.
            base = of_program();
        }
    }
}

/// How much of the program itself and of its libraries is in memory, in bytes; 0 where the system does not say.
fn of_program() -> u64 {
    let own = std::env::current_exe().unwrap_or_default();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    program_kb(&maps, &own.to_string_lossy()) * 1024
}

/// The same, in a text as `/proc/self/smaps` has it.
fn program_kb(maps: &str, own: &str) -> u64 {
    let (mut is_program, mut kb) = (false, 0);
    for line in maps.lines() {
        let number = |name: &str| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
        if let Some(rss) = number("Rss:") {
            kb += if is_program { rss } else { 0 };
        } else if let Some(written) = number("Anonymous:") {
            // What was written to is no page of a file any more.
            kb -= if is_program { written.min(kb) } else { 0 };
        } else if line.starts_with(|first: char| first.is_ascii_digit() || first.is_ascii_lowercase()) {
            // Addresses, rights, offset, device, inode, and the file if there is one.
            let path = line.splitn(6, ' ').nth(5).unwrap_or_default().trim_start();
            is_program = path == own || path.rsplit('/').next().is_some_and(|name| name.contains(".so"));
        }
    }
    kb
}

/// How much of this process's memory is of a kind, in bytes; 0 where the system does not say.
fn status(kind: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status.lines().find_map(|line| line.strip_prefix(kind)?.trim().strip_suffix(" kB")?.parse().ok());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound grew with whatever somebody was looking at when it was drawn: from 94 to 185 MB in twenty minutes.
    #[test]
    fn the_program_is_told_from_its_data() {
        let maps = "55e0-55f0 r-xp 00000000 fe:00 12 /usr/bin/fournines\nSize: 64 kB\nRss:                  48 kB\nAnonymous: 8 kB\n\
                    7f00-7f10 r--s 00000000 fe:00 13                     /data/segments/0000000001.0.seg\nRss: 1000 kB\n\
                    7f20-7f30 r-xp 00000000 fe:00 14  /lib/x86_64-linux-gnu/libc.so.6\nRss: 8 kB\n\
                    7f40-7f50 rw-p 00000000 00:00 0\nRss: 500 kB\n7f60-7f70 rw-p 00000000 00:00 0 [heap]\nRss: 700 kB\n";
        assert_eq!(program_kb(maps, "/usr/bin/fournines"), 48);
        // In this order: more of the program comes into memory meanwhile.
        let (program, files) = (of_program(), status("RssFile:"));
        assert!(program > 0 && program <= files, "{program} of {files}");
    }
}
