//! `postgres://user:password@host/database`: connect, log in, one statement.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, NoTls, TlsConnect};
use tokio_postgres::{Client, Config, Connection, Error, SimpleQueryMessage, config::SslMode};
use tokio_rustls::client::TlsStream;

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::found::failure::{Class, Failure, chain, is_tls, of_exchange, of_handshake};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::kinds::database::Database;
use crate::net::network::{Network, server_name};

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["postgres"],
    aliases: &["postgresql"],
    is_asked: |_| true,
    takes: &[Setting::Body, Setting::Send, Setting::Value],
    make: |url, ask| Ok(Arc::new(PostgresCheck(Database::new(&url, 5432, "SELECT 1", ask)?))),
};

/// PostgreSQL, and what speaks as it does.
#[derive(Debug)]
pub(crate) struct PostgresCheck(pub Database);

impl Check for PostgresCheck {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let database = &self.0;
            let stream = network.connect(terms, &database.host, database.port, findings).await?;
            let mut config = Config::new();
            config.application_name("fournines");
            database.user.as_ref().map(|user| config.user(user));
            database.password.as_ref().map(|password| config.password(password));
            database.name.as_ref().map(|name| config.dbname(name));
            let start = Instant::now();
            if !database.tls {
                config.ssl_mode(SslMode::Disable);
                findings.phase = Phase::Wait;
                let login = config.connect_raw(stream, NoTls).await.map_err(|error| of_error(error, Class::Login))?;
                return self.ask(start, login, findings).await;
            }
            config.ssl_mode(SslMode::Require);
            let taken = Arc::new(OnceLock::new());
            let tls =
                Tls { connector: network.tls(terms)?.into(), name: server_name(&database.host)?, taken: taken.clone() };
            findings.phase = Phase::Tls;
            let login = config.connect_raw(stream, tls).await;
            findings.phases.tls = taken.get().copied();
            let login = login.map_err(|error| of_error(error, Class::Login))?;
            let start = start + taken.get().copied().unwrap_or_default();
            self.ask(start, login, findings).await
        })
    }
}

impl PostgresCheck {
    /// Makes the statement, behind a login that began at `start`, and leaves.
    async fn ask<S, T>(
        &self,
        start: Instant,
        login: (Client, Connection<S, T>),
        findings: &mut Findings,
    ) -> Result<(), Failure>
    where
        Connection<S, T>: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (client, connection) = login;
        let logged_in = Instant::now();
        findings.fields.push(("login_ms", Field::ms(logged_in - start)));
        findings.phase = Phase::Wait;
        let mut connection = Box::pin(connection);
        let (answer, goes_on) = {
            let mut asking = pin!(client.simple_query(&self.0.statement));
            tokio::select! {
                answer = &mut asking => (answer, true),
                ended = &mut connection => match ended {
                    Err(error) => (Err(error), false),
                    Ok(()) => (asking.await, false),
                },
            }
        };
        findings.phases.wait = Some(start.elapsed());
        findings.fields.push(("statement_ms", Field::ms(logged_in.elapsed())));
        // It says goodbye, for which nobody waits.
        drop(client);
        if goes_on {
            tokio::spawn(connection);
        }
        let answer = answer.map_err(|error| of_error(error, Class::ServerError))?;
        let first = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.try_get(0).ok().flatten()),
            _ => None,
        });
        self.0.answered(first.flatten(), findings)
    }
}

/// Why it did not come to an answer; what only the database itself can mean is of this class.
fn of_error(error: Error, otherwise: Class) -> Failure {
    if let Some(said) = error.as_db_error() {
        // Classes 28 and 3D of SQLSTATE: who logs in, and into what.
        let is_login = ["28", "3D"].iter().any(|class| said.code().code().starts_with(class));
        let class = if is_login { Class::Login } else { Class::ServerError };
        return class.because(format!("postgres: {} ({})", said.message(), said.code().code()));
    }
    let message = format!("postgres: {}", chain(&error));
    let is_closed = error.is_closed();
    let closed = of_exchange(&error);
    let Some(cause) = error.into_source() else {
        return if is_closed { Class::ConnectionClosed } else { Class::Protocol }.because(message);
    };
    match cause.downcast_ref::<io::Error>() {
        Some(cause) if is_tls(cause) => of_handshake(cause).because(message),
        Some(_) => closed.unwrap_or(Class::Protocol).because(message),
        None => otherwise.because(message),
    }
}

/// Shakes hands when the server is ready to, and notes how long that took.
struct Tls {
    connector: tokio_rustls::TlsConnector,
    name: rustls::pki_types::ServerName<'static>,
    taken: Arc<OnceLock<Duration>>,
}

/// A stream under TLS.
struct Encrypted(TlsStream<TcpStream>);

impl TlsConnect<TcpStream> for Tls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let start = Instant::now();
            let stream = self.connector.connect(self.name, stream).await;
            let _ = self.taken.set(start.elapsed()); // there is one handshake
            stream.map(Encrypted)
        })
    }
}

impl tokio_postgres::tls::TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
