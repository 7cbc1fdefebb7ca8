//! `host:`: this machine's cpu, load, memory, disk, network and processes, into the table `host`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::tables::HOST;
use sysinfo::{Disks, Networks, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking, MoreColumns};
use crate::checks::kind::Kind;
use crate::checks::memory::Memory;
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::found::measurement::OwnRow;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["host"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[],
    make: |url, _| match url.path().is_empty() {
        true => Ok(Arc::new(HostCheck::default())),
        false => Err("only this machine can be measured, which is host: without a name".into()),
    },
};

/// The first row comes this soon: use of the cpu is a difference between two looks.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// This machine. The sampler goes from slot to slot: rates are means since the slot before.
#[derive(Debug, Default)]
pub(crate) struct HostCheck(Memory<Option<Sampler>>);

impl Check for HostCheck {
    fn kind(&self) -> &'static str {
        "host"
    }

    fn columns(&self) -> &'static [MoreColumns] {
        &[MoreColumns { table: HOST.name, tags: HOST.tags, fields: HOST.fields }]
    }

    fn run<'a>(&'a self, _: &'a Terms, _: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let mut sampler = match self.0.with(Option::take) {
                Some(sampler) => sampler,
                None => {
                    let sampler = off_the_runtime(Sampler::new).await?;
                    let sampler = sampler.map_err(|error| Class::Host.because(format!("host: {error}")))?;
                    tokio::time::sleep(FIRST_LOOK).await;
                    sampler
                }
            };
            let looked = off_the_runtime(move || {
                let fields = sampler.sample();
                (sampler, fields)
            });
            let (sampler, fields) = looked.await?;
            findings.rows.push(OwnRow { table: HOST.name, tags: vec![("host", sampler.name.clone())], fields });
            self.0.with(|kept| *kept = Some(sampler));
            Ok(())
        })
    }
}

/// The name of this machine.
pub(crate) fn name() -> String {
    System::host_name().unwrap_or_else(|_| "localhost".into())
}

/// Does what reads files without holding up others.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Class::Host.because(format!("host: {error}")))
}

/// What looks, and what it saw last.
struct Sampler {
    name: String,
    system: System,
    disks: Disks,
    networks: Networks,
    looked_at: Instant,
}

impl Sampler {
    fn new() -> Result<Sampler, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        Ok(Sampler {
            name: name(),
            system,
            disks: Disks::new_with_refreshed_list()?,
            networks: Networks::new_with_refreshed_list()?,
            looked_at: Instant::now(),
        })
    }

    fn sample(&mut self) -> Vec<(&'static str, Field)> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let kind = ProcessRefreshKind::nothing();
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        self.disks.refresh(true);
        self.networks.refresh(true);
        let seconds = self.looked_at.elapsed().as_secs_f64();
        self.looked_at = Instant::now();

        let mut fields = vec![("cpu_percent", Field::F64(f64::from(self.system.global_cpu_usage())))];
        if let Ok(load) = System::load_average() {
            fields.extend([("load1", load.one), ("load5", load.five), ("load15", load.fifteen)].map(float));
        }
        let (used, total) = (self.system.used_memory(), self.system.total_memory());
        fields.extend([count(("memory_used_bytes", used)), count(("memory_total_bytes", total))]);
        fields.push(float(("memory_percent", percent(used, total))));
        self.add_disks(&mut fields);
        let outside = self.networks.iter().filter(|(name, _)| *name != "lo");
        let (received, sent) =
            outside.fold((0, 0), |(received, sent), (_, data)| (received + data.received(), sent + data.transmitted()));
        fields.push(float(("network_received_bytes_per_s", received as f64 / seconds)));
        fields.push(float(("network_sent_bytes_per_s", sent as f64 / seconds)));
        fields.push(count(("processes", self.system.processes().len() as u64)));
        fields
    }

    /// All file systems together, and the fullest.
    fn add_disks(&self, fields: &mut Vec<(&'static str, Field)>) {
        // One device can be mounted in several places.
        let mut disks: Vec<_> =
            self.disks.iter().map(|disk| (disk.name(), disk.total_space(), disk.available_space())).collect();
        disks.sort_unstable();
        disks.dedup_by_key(|disk| disk.0);
        disks.retain(|(_, total, _)| *total > 0);
        let Some(fullest) =
            disks.iter().map(|(_, total, free)| percent(total.saturating_sub(*free), *total)).max_by(f64::total_cmp)
        else {
            return;
        };
        let total: u64 = disks.iter().map(|(_, total, _)| total).sum();
        let used: u64 = disks.iter().map(|(_, total, free)| total.saturating_sub(*free)).sum();
        fields.extend([count(("disk_used_bytes", used)), count(("disk_total_bytes", total))]);
        fields.push(float(("disk_fullest_percent", fullest)));
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn float((name, value): (&'static str, f64)) -> (&'static str, Field) {
    (name, Field::F64(value))
}

fn count((name, value): (&'static str, u64)) -> (&'static str, Field) {
    (name, Field::I64(i64::try_from(value).unwrap_or(i64::MAX)))
}
