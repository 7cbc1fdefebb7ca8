//! Notices as mails.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::channel::{Channel, Mail};
use super::outcome::Outcome;
use super::told::{Notice, Told};
use super::words::{ALERTS_MAX, labels, level, plain, span, subject, summary};
use crate::base::text::escaped_html;

/// So many threads a mail is said to belong to.
const THREADS_MAX: usize = 10;

/// Sends a notice as one mail to all recipients.
pub(super) async fn send(channel: &Channel, mail: &Mail, notice: &Notice, external_url: &str) -> Outcome {
    let message = match message(mail, notice, external_url) {
        Ok(message) => message,
        Err(error) => return Outcome::Refused(error),
    };
    let transport = match transport(&channel.url, mail, channel.timeout) {
        Ok(transport) => transport,
        Err(error) => return Outcome::Refused(error),
    };
    match tokio::time::timeout(channel.timeout, transport.send(message)).await {
        Ok(Ok(_)) => Outcome::Sent,
        Ok(Err(error)) => outcome(error),
        Err(_) => Outcome::failed(format!("no answer within {:?}", channel.timeout)),
    }
}

/// Where to, checked as far as that can be done without a connection.
///
/// # Errors
///
/// The address is none, or its password would go over the network in the clear.
fn transport(url: &str, mail: &Mail, timeout: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|error| error.to_string())?;
    let builder = match &mail.login {
        Some((user, password)) => builder.credentials(Credentials::new(user.clone(), password.clone())),
        None => builder,
    };
    Ok(builder.timeout(Some(timeout)).build())
}

/// Is all of it right, as far as that can be said without a connection?
pub(super) fn check(url: &str, mail: &Mail, timeout: Duration) -> Result<(), String> {
    transport(url, mail, timeout)?;
    for address in mail.to.iter().chain([&mail.from]) {
        address.parse::<Mailbox>().map_err(|error| format!("'{address}' is no address of mail: {error}"))?;
    }
    Ok(())
}

fn outcome(error: Error) -> Outcome {
    // What a server refuses with 5xx it will refuse again; all else may pass.
    let is_final = error.is_permanent();
    let text = format!("{:#}", anyhow::Error::from(error));
    if is_final { Outcome::Refused(text) } else { Outcome::failed(text) }
}

fn message(mail: &Mail, notice: &Notice, external_url: &str) -> Result<Message, String> {
    let mailbox = |address: &String| address.parse::<Mailbox>().map_err(|error| format!("'{address}': {error}"));
    let threads = notice.alerts.iter().take(THREADS_MAX).map(thread).collect::<Vec<_>>().join(" ");
    let mut message = Message::builder()
        .from(mailbox(&mail.from)?)
        .subject(subject(notice))
        // A mail that is sent again is the same one.
        .message_id(Some(format!("<{}@fournines>", notice.id)))
        .in_reply_to(threads.split(' ').next().unwrap_or_default().to_owned())
        .references(threads);
    for to in &mail.to {
        message = message.to(mailbox(to)?);
    }
    let parts = MultiPart::alternative_plain_html(plain(notice, external_url), html(notice, external_url));
    message.multipart(parts).map_err(|error| error.to_string())
}

/// What mails of one fault have in common.
fn thread(own: &Told) -> String {
    format!("<{}.{}@fournines>", own.alert, own.starts_ms)
}

fn html(notice: &Notice, external_url: &str) -> String {
    let mut text =
        String::from("<!DOCTYPE html><html><body style=\"font-family:sans-serif\"><table cellpadding=\"6\">");
    for own in notice.alerts.iter().take(ALERTS_MAX) {
        let colour = match level(own) {
            "critical" => "#c62828",
            "resolved" => "#2e7d32",
            _ => "#1565c0",
        };
        let cells = [level(own), summary(own), &span(own), &labels(own)].map(escaped_html);
        let [level, summary, span, labels] = cells;
        text.push_str(&format!(
            "<tr><td style=\"color:{colour};font-weight:bold;vertical-align:top\">{level}</td>\
             <td>{summary}<br><small>{span}<br>{labels}</small></td></tr>"
        ));
    }
    text.push_str("</table>");
    if notice.alerts.len() > ALERTS_MAX {
        text.push_str(&format!("<p>and {} more</p>", notice.alerts.len() - ALERTS_MAX));
    }
    let url = escaped_html(external_url);
    text.push_str(&format!("<p><a href=\"{url}\">{url}</a></p></body></html>"));
    text
}
