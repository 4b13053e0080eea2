//! The tables as they stand in Postgres.

use wayside_test_postgres::Server;

use super::order::origin;

const CITUS: &str = include_str!("../../../../../deploy/postgres/citus.sql");
/// What stays the coordinator's own.
const NOT_DISTRIBUTED: [&str; 4] = ["record", "changes", "loads", "_sqlx_migrations"];

#[tokio::test]
async fn what_is_looked_up_is_compared_by_its_bytes_and_every_table_has_its_place_when_sharded() {
    let server = Server::start();
    drop(origin(&server).await);
    let by_language = "SELECT DISTINCT indrelid::regclass || '.' || attname FROM pg_index
        JOIN pg_class ON pg_class.oid = indrelid
        JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE relnamespace = 'public'::regnamespace AND attcollation NOT IN (0, '\"C\"'::regcollation)";
    assert_eq!(server.psql("record", by_language), "");
    let tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let tables = server.psql("record", tables);
    assert!(tables.lines().count() > 10, "{tables}");
    for table in tables.lines() {
        let is_shared_out = CITUS.contains(&format!("create_distributed_table('{table}', 'tenant'"))
            || CITUS.contains(&format!("create_reference_table('{table}')"));
        assert_eq!(is_shared_out, !NOT_DISTRIBUTED.contains(&table), "{table}");
    }
}
