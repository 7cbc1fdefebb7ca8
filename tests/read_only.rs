//! SQL from outside can only read: one test a forbidden kind of statement.

use crate::server::Server;

/// The statement is refused as not allowed or wrong, and nothing has changed.
fn is_refused(statement: &str) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    assert_eq!(server.write("", b"cpu,host=a usage=1 1").status, 204);
    let secret = dir.path().join("secret.csv");
    std::fs::write(&secret, "word\nxyzzy\n").unwrap();
    let written = dir.path().join("written.csv");
    let state = || {
        let tables = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2";
        let settings = "SELECT name, value FROM information_schema.df_settings ORDER BY name";
        [tables, settings, "SELECT * FROM cpu"].map(|sql| server.sql(sql, "csv").body)
    };
    let before = state();
    let statement = statement.replace("SECRET", secret.to_str().unwrap()).replace("WRITTEN", written.to_str().unwrap());
    for format in ["json", "pretty"] {
        let reply = server.sql(&statement, format);
        assert!(matches!(reply.status, 400 | 403), "{statement}: {} {}", reply.status, reply.body);
        assert!(reply.body.contains("\"error\""), "{statement}: {}", reply.body);
        assert!(!reply.body.contains("xyzzy"), "{statement}: {}", reply.body);
    }
    assert!(!written.exists(), "{statement} wrote a file");
    assert_eq!(state(), before, "{statement} changed something");
}

macro_rules! refused {
    ($($name:ident: $statement:expr;)*) => {
        $(
            #[test]
            fn $name() {
                is_refused($statement);
            }
        )*
    };
}

refused! {
    create_table: "CREATE TABLE t (a INT)";
    create_table_as: "CREATE TABLE t AS SELECT * FROM cpu";
    create_external_table: "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'SECRET'";
    create_view: "CREATE VIEW v AS SELECT * FROM cpu";
    create_schema: "CREATE SCHEMA s";
    create_database: "CREATE DATABASE d";
    create_function: "CREATE FUNCTION f(DOUBLE) RETURNS DOUBLE RETURN $1 + 1";
    create_index: "CREATE INDEX i ON cpu (host)";
    drop_table: "DROP TABLE cpu";
    drop_view: "DROP VIEW cpu";
    drop_schema: "DROP SCHEMA public CASCADE";
    drop_function: "DROP FUNCTION abs";
    alter_table: "ALTER TABLE cpu ADD COLUMN x INT";
    insert: "INSERT INTO cpu VALUES (now(), 'b', 2)";
    insert_select: "INSERT INTO cpu SELECT * FROM cpu";
    update: "UPDATE cpu SET usage = 2";
    delete: "DELETE FROM cpu";
    truncate: "TRUNCATE TABLE cpu";
    merge: "MERGE INTO cpu USING cpu AS c ON cpu.host = c.host WHEN MATCHED THEN DELETE";
    copy_to_file: "COPY cpu TO 'WRITTEN'";
    copy_query_to_file: "COPY (SELECT * FROM cpu) TO 'WRITTEN' STORED AS CSV";
    copy_from_file: "COPY cpu FROM 'SECRET'";
    select_into: "SELECT * INTO t FROM cpu";
    set: "SET datafusion.execution.batch_size = 1";
    reset: "RESET datafusion.execution.batch_size";
    begin: "BEGIN TRANSACTION";
    commit: "COMMIT";
    rollback: "ROLLBACK";
    prepare: "PREPARE p AS SELECT 1";
    execute: "EXECUTE p";
    deallocate: "DEALLOCATE p";
    use_database: "USE public";
    explain_insert: "EXPLAIN INSERT INTO cpu SELECT * FROM cpu";
    explain_analyze_insert: "EXPLAIN ANALYZE INSERT INTO cpu SELECT * FROM cpu";
    explain_analyze_copy: "EXPLAIN ANALYZE COPY cpu TO 'WRITTEN'";
    explain_explain_drop: "EXPLAIN VERBOSE DROP TABLE cpu";
    insert_in_a_common_table_expression: "WITH x AS (INSERT INTO cpu SELECT * FROM cpu) SELECT * FROM x";
    second_statement: "SELECT 1; DROP TABLE cpu";
    from_a_file: "SELECT * FROM 'SECRET'";
    from_a_quoted_file: "SELECT * FROM \"SECRET\"";
    from_a_file_address: "SELECT * FROM 'file://SECRET'";
    from_a_web_address: "SELECT * FROM 'http://127.0.0.1:1/x.csv'";
    from_a_file_in_a_subquery: "SELECT (SELECT max(word) FROM 'SECRET') FROM cpu";
    from_a_reading_function: "SELECT * FROM read_csv('SECRET')";
    from_a_parquet_function: "SELECT * FROM read_parquet('SECRET')";
    from_a_metadata_function: "SELECT * FROM parquet_metadata('SECRET')";
}

#[test]
fn what_reads_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    server.write("", b"cpu,host=a usage=1 1");
    for statement in [
        "SHOW TABLES",
        "DESCRIBE cpu",
        "SHOW COLUMNS FROM cpu",
        "EXPLAIN SELECT * FROM cpu",
        "EXPLAIN ANALYZE SELECT * FROM cpu",
        "WITH x AS (SELECT * FROM cpu) SELECT * FROM x UNION ALL SELECT * FROM cpu",
        "VALUES (1), (2)",
        "SELECT table_name FROM information_schema.tables",
        "SHOW datafusion.execution.batch_size",
    ] {
        let reply = server.sql(statement, "json");
        assert_eq!(reply.status, 200, "{statement}: {}", reply.body);
    }
}
