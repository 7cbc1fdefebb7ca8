//! `redis://user:password@host/0` and `rediss://` (TLS): connect, log in, one command.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::found::failure::{Class, Failure, chain, of_exchange};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::kinds::database::Database;
use crate::net::network::{Network, shake_hands};

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["redis"],
    aliases: &["rediss"],
    is_asked: |_| true,
    takes: &[Setting::Body, Setting::Send, Setting::Value],
    make: |url, ask| {
        let mut database = Database::new(&url, 6379, "PING", ask)?;
        database.tls |= url.scheme() == "rediss";
        Ok(Arc::new(RedisCheck::new(database)?))
    },
};

/// Redis, and what speaks as it does.
#[derive(Debug)]
pub(crate) struct RedisCheck {
    database: Database,
    /// The number of the database.
    number: i64,
}

impl RedisCheck {
    pub(crate) fn new(database: Database) -> Result<RedisCheck, String> {
        let number = match &database.name {
            None => 0,
            Some(name) => name.parse().map_err(|_| format!("'{name}' is not the number of a database"))?,
        };
        if database.statement.split_whitespace().next().is_none() {
            return Err("send: expected a command like PING".into());
        }
        Ok(RedisCheck { database, number })
    }
}

impl Check for RedisCheck {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let Database { host, port, tls, .. } = &self.database;
            let stream = network.connect(terms, host, *port, findings).await?;
            if !tls {
                return self.ask(stream, findings).await;
            }
            let stream = shake_hands(network.tls(terms)?, host, stream, findings).await?;
            self.ask(stream, findings).await
        })
    }
}

impl RedisCheck {
    async fn ask<S>(&self, stream: S, findings: &mut Findings) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut info = RedisConnectionInfo::default().set_db(self.number).set_skip_set_lib_name();
        if let Some(user) = &self.database.user {
            info = info.set_username(user);
        }
        if let Some(password) = &self.database.password {
            info = info.set_password(password);
        }
        let start = Instant::now();
        findings.phase = Phase::Wait;
        // The target's timeout is what counts.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let login = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (mut client, connection) = login.map_err(|error| of_error(&error))?;
        let logged_in = Instant::now();
        findings.fields.push(("login_ms", Field::ms(logged_in - start)));
        let mut command = Cmd::new();
        for word in self.database.statement.split_whitespace() {
            command.arg(word);
        }
        let answer = {
            let (mut asking, mut connection) = (pin!(client.send_packed_command(&command)), pin!(connection));
            tokio::select! {
                answer = &mut asking => answer,
                () = &mut connection => asking.await,
            }
        };
        findings.phases.wait = Some(start.elapsed());
        findings.fields.push(("statement_ms", Field::ms(logged_in.elapsed())));
        let answer = answer.and_then(Value::extract_error).map_err(|error| of_error(&error))?;
        self.database.answered(text(&answer).as_deref(), findings)
    }
}

/// An answer as people read it.
fn text(answer: &Value) -> Option<String> {
    Some(match answer {
        Value::Nil => return None,
        Value::Okay => "OK".into(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(values) => return values.first().and_then(text),
        other => format!("{other:?}"),
    })
}

fn of_error(error: &RedisError) -> Failure {
    let class = match error.kind() {
        ErrorKind::AuthenticationFailed => Class::Login,
        ErrorKind::Io => of_exchange(error).unwrap_or(Class::ConnectionClosed),
        ErrorKind::Parse => Class::Protocol,
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => Class::Login,
        _ => Class::ServerError,
    };
    class.because(format!("redis: {}", chain(error)))
}
