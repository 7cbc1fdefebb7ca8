//! Files of rows on their way to another server, the oldest first, each until the server has it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, StatusCode, header};

use crate::asking::{self, HttpClient};

/// Where what the other server refuses for good is kept.
const REFUSED: &str = "refused";
/// From one look at the folder to the next.
const INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait before it is tried again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The other server has to answer within this.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Lists the files of a folder that are to be sent, the oldest first.
pub type List = fn(&Path) -> io::Result<Vec<PathBuf>>;

/// Sends the files of a folder, for ever. Of trouble that goes on the log speaks once.
///
/// # Errors
///
/// There is no client: the system trusts no certificate.
pub async fn run(url: String, dir: PathBuf, list: List) -> Result<()> {
    let client = asking::new()?;
    let (mut wait, mut is_in_trouble) = (INTERVAL, false);
    loop {
        tokio::time::sleep(wait).await;
        match send_all(&client, &url, &dir, list).await {
            Ok(()) => {
                if std::mem::take(&mut is_in_trouble) {
                    tracing::info!("{url} takes rows again");
                }
                wait = INTERVAL;
            }
            Err(error) => {
                if !std::mem::replace(&mut is_in_trouble, true) {
                    tracing::warn!("rows for {url} wait in {}: {error:#}", dir.display());
                }
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }
}

async fn send_all(client: &HttpClient, url: &str, dir: &Path, list: List) -> Result<()> {
    for file in list(dir).with_context(|| format!("read {}", dir.display()))? {
        let body = tokio::fs::read(&file).await.with_context(|| format!("read {}", file.display()))?;
        let sending = tokio::time::timeout(TIMEOUT, send(client, url, body.into())).await;
        match sending.context("no answer in time")?? {
            Sent::Taken => tokio::fs::remove_file(&file).await?,
            Sent::Refused(reason) => refuse(&file, dir, &reason).await?,
        }
    }
    Ok(())
}

/// What became of rows.
enum Sent {
    Taken,
    /// They will never be taken, or some of them will not.
    Refused(String),
}

async fn send(client: &HttpClient, url: &str, body: Bytes) -> Result<Sent> {
    let request = asking::request(Method::POST, url, "/write?precision=ns")?
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Full::new(body))?;
    let answer = client.request(request).await.context("it does not answer")?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    match status {
        status if status.is_success() => Ok(Sent::Taken),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(Sent::Refused(asking::reason(&body).unwrap_or_else(|| status.to_string())))
        }
        status => bail!("it answers {status}: {}", asking::reason(&body).unwrap_or_default()),
    }
}

/// Puts a file aside, for somebody to look at.
async fn refuse(file: &Path, dir: &Path, reason: &str) -> Result<()> {
    let aside = dir.join(REFUSED);
    tokio::fs::create_dir_all(&aside).await?;
    let to = aside.join(file.file_name().context("a file has a name")?);
    tokio::fs::rename(file, &to).await?;
    tracing::error!("rows are refused by the other server, and are kept in {}: {reason}", to.display());
    Ok(())
}
