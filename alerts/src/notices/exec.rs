//! Notices to programs: modems, gateways of short messages, what else a site has.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::channel::Program;
use super::outcome::Outcome;

/// Of what a program writes to its standard error so much is read.
const OUTPUT_BYTES_MAX: u64 = 4 << 10;
/// The exit code of a program that wants to be asked another time: `EX_TEMPFAIL` of sysexits.h.
const AGAIN: i32 = 75;

/// Runs a program, with a notice as JSON on its standard input. It is killed when its time is over.
pub(super) async fn send(program: &Program, id: &str, body: String, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, run(program, id, body)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::failed(format!("{}: {error}", program.path.display())),
        Err(_) => Outcome::failed(format!("it did not end within {timeout:?} and was killed")),
    }
}

async fn run(program: &Program, id: &str, body: String) -> std::io::Result<Outcome> {
    let mut child = Command::new(&program.path)
        .args(&program.arguments)
        .env("FOURNINES_NOTICE", id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stderr.take());
    let write = async move {
        if let Some(mut input) = input {
            // One that does not want to know more says by its exit code what became of it.
            let _ = input.write_all(body.as_bytes()).await;
        }
    };
    let read = async move {
        let mut said = Vec::new();
        if let Some(output) = output {
            let mut output = output.take(OUTPUT_BYTES_MAX);
            let _ = output.read_to_end(&mut said).await;
            // What is more is read and dropped: nobody waits at a full pipe.
            let _ = tokio::io::copy(&mut output.into_inner(), &mut tokio::io::sink()).await;
        }
        said
    };
    let ((), said) = tokio::join!(write, read);
    let status = child.wait().await?;
    if status.success() {
        return Ok(Outcome::Sent);
    }
    let said = String::from_utf8_lossy(&said);
    let error = format!("{status}: {}", said.trim());
    Ok(match status.code() {
        // One that was killed may do better another time.
        Some(AGAIN) | None => Outcome::failed(error),
        Some(_) => Outcome::refused(error),
    })
}
