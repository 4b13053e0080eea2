-- Distributes the record by tenant. For Citus 12 or newer, on its coordinator, after `wayside origin` has made the tables
-- and before there is much in them: existing rows move. Read README.md first.

BEGIN;

-- Read with every request and written seldom: a copy on each node.
SELECT create_reference_table('tokens');

-- What is one tenant's stands together, so that a change and its row in the outbox are one shard's transaction, and
-- references stay within a shard.
SELECT create_distributed_table('sites', 'tenant');
SELECT create_distributed_table('site_hosts', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('links', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('rules', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('components', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('policy_versions', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('bindings', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('binding_history', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('outbox', 'tenant', colocate_with => 'sites');

-- `record` and `changes` stay the coordinator's own: there is one order of changes.

COMMIT;
