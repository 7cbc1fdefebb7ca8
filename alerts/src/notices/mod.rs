//! Telling: what happened to alerts, to channels, until each has it.
//!
//! A notice is all that an evaluation of a group has to tell a channel. It is queued in the same write as what happened,
//! so that neither is there without the other, and is told at least once: a receiver tells doubles by its id.

mod body;
mod channel;
mod exec;
mod http;
mod mail;
mod outbox;
mod outcome;
mod queue;
mod route;
mod rows;
mod sender;
mod told;
mod words;

pub use channel::{Channel, Kind, Mail, Program};
pub use http::{Each, HttpAsk, READY, ReadyMade};
pub use outbox::{Firing, Outbox};
pub use outcome::Outcome;
pub use queue::ChannelStats;
pub use route::{Going, Grouping, Held, Route};
pub use sender::Sender;
pub use told::{Notice, Status, Told, notices};

/// Tells a channel of an alert that fires now and is over in a minute, to see whether it takes that.
pub async fn test(channel: &Channel, external_url: &str) -> Outcome {
    Sender::default().send(channel, &sample(channel), external_url).await
}

/// A notice that is nobody's.
fn sample(channel: &Channel) -> Notice {
    let now_ms = crate::base::clock::now_ms();
    let labels = [("alertname", "Test"), ("severity", "warning")];
    let annotations = [("summary", "A test: somebody wanted to know whether this arrives.")];
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect()
    };
    let told = Told {
        alert: format!("{:016x}", now_ms.unsigned_abs()),
        status: Status::Firing,
        labels: owned(&labels),
        annotations: owned(&annotations),
        starts_ms: now_ms,
        ends_ms: Some(now_ms + 60_000),
        value: None,
        severity: "warning".into(),
    };
    let (group, id) = ("test".into(), told.alert.clone());
    Notice {
        id,
        channel: channel.name.clone(),
        group,
        queued_ms: now_ms,
        alerts: vec![told],
        held: None,
        may_be_heard: false,
    }
}
