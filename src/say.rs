//! What commands print. Standard output may be full or closed, and then `println!` panics: what is printed here is
//! lost, remembered, and told at the end by the exit code.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Why standard output took no more, if so.
static REFUSED: OnceLock<std::io::Error> = OnceLock::new();

/// Prints to standard output.
pub fn out(text: Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        let _ = REFUSED.set(error); // the first is what counts
    }
}

/// Prints to standard error; there is nowhere to tell that it could not.
pub fn err(text: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// How the process ends, with what became of its output.
pub fn end(code: ExitCode) -> ExitCode {
    match REFUSED.get() {
        None => code,
        // Whoever reads has seen enough (`| head`).
        Some(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Some(error) => {
            errln!("fournines: standard output could not be written: {error}");
            ExitCode::from(2)
        }
    }
}
