//! `mysql://user:password@host/database`: connect, log in, one statement.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, IoError, OptsBuilder, Row, SslOpts, Value};
use url::Host;

use crate::base::terms::Terms;
use crate::base::trust::Trust;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::found::failure::{Class, Failure, chain, is_tls, of_connect, of_exchange, of_handshake};
use crate::found::findings::{Findings, Phase};
use crate::kinds::database::Database;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["mysql"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[Setting::Body, Setting::Send, Setting::Value],
    make: |url, ask| Ok(Arc::new(MysqlCheck(Database::new(&url, 3306, "SELECT 1", ask)?))),
};

/// MySQL and MariaDB. The client makes the connection itself, so that `connect` is all until it is logged in.
#[derive(Debug)]
pub(crate) struct MysqlCheck(pub Database);

impl Check for MysqlCheck {
    fn kind(&self) -> &'static str {
        "mysql"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let database = &self.0;
            let address = network.resolve(terms, &database.host, findings).await?;
            let name = match &database.host {
                Host::Domain(name) => name.clone(),
                host => host.to_string(),
            };
            let verifier = network.verifier(terms)?;
            let roots = || verifier.trusted().iter().map(|der| der.to_vec().into()).collect();
            let tls = database.tls.then(|| {
                let own = SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots());
                let is_open = terms.trust == Trust::Anybody;
                own.with_danger_tls_hostname_override(Some(name)).with_danger_accept_invalid_certs(is_open)
            });
            let options = OptsBuilder::default()
                .ip_or_hostname(address.to_string())
                .tcp_port(database.port)
                .user(database.user.clone())
                .pass(database.password.clone())
                .db_name(database.name.clone())
                .ssl_opts(tls)
                .prefer_socket(false)
                .stmt_cache_size(0);
            let connection = findings.time(Phase::Connect, Conn::new(options)).await;
            let mut connection = connection.map_err(|error| of_error(&error))?;
            let answer = findings.time(Phase::Wait, connection.query_first::<Row, _>(&database.statement)).await;
            // It says goodbye, for which nobody waits.
            tokio::spawn(connection.disconnect());
            let answer = answer.map_err(|error| of_error(&error))?;
            let first = answer.as_ref().and_then(|row| row.as_ref(0)).and_then(text);
            database.answered(first.as_deref(), findings)
        })
    }
}

/// A value as people read it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

fn of_error(error: &Error) -> Failure {
    /// Errors of a server that are about who logs in, and into what: ER_DBACCESS_DENIED_ERROR, ER_ACCESS_DENIED_ERROR,
    /// ER_BAD_DB_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_HOST_NOT_PRIVILEGED.
    const LOGIN: [u16; 5] = [1044, 1045, 1049, 1698, 1130];
    let class = match error {
        Error::Server(said) if LOGIN.contains(&said.code) => Class::Login,
        Error::Server(_) => Class::ServerError,
        Error::Io(IoError::Io(cause)) if is_tls(cause) => of_handshake(cause),
        Error::Io(IoError::Io(cause)) => of_exchange(error).unwrap_or_else(|| of_connect(cause)),
        Error::Io(IoError::Tls(_)) => Class::TlsOther,
        _ => of_exchange(error).unwrap_or(Class::Protocol),
    };
    let message = match error {
        Error::Server(said) => format!("{} ({})", said.message, said.code),
        // What is told here is told by its cause, too.
        Error::Io(IoError::Io(cause)) => cause.to_string(),
        _ => chain(error),
    };
    class.because(format!("mysql: {message}"))
}
