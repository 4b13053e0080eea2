-- Distributes the record by tenant. For Citus 12 or newer, on its coordinator, after `wayside origin` has made the tables
-- and before there is much in them: existing rows move. Read README.md first.

BEGIN;

-- References come back when both of their ends are distributed.
ALTER TABLE site_hosts DROP CONSTRAINT site_hosts_tenant_site_id_fkey;
ALTER TABLE links DROP CONSTRAINT links_tenant_site_id_fkey;
ALTER TABLE rules DROP CONSTRAINT rules_tenant_site_id_fkey;
ALTER TABLE policy_versions DROP CONSTRAINT policy_versions_tenant_digest_fkey;
ALTER TABLE bindings DROP CONSTRAINT bindings_tenant_site_id_fkey;
ALTER TABLE binding_history DROP CONSTRAINT binding_history_tenant_site_id_fkey;
ALTER TABLE assets DROP CONSTRAINT assets_tenant_site_id_fkey;

-- Read with every request and written seldom: a copy on each node.
SELECT create_reference_table('tokens');
SELECT create_reference_table('nodes');

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
SELECT create_distributed_table('stream_clocks', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('targets', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('assets', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('zones', 'tenant', colocate_with => 'sites');
SELECT create_distributed_table('outbox', 'tenant', colocate_with => 'sites');

ALTER TABLE site_hosts ADD CONSTRAINT site_hosts_tenant_site_id_fkey
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE;
ALTER TABLE links ADD CONSTRAINT links_tenant_site_id_fkey
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE;
ALTER TABLE rules ADD CONSTRAINT rules_tenant_site_id_fkey
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE;
ALTER TABLE bindings ADD CONSTRAINT bindings_tenant_site_id_fkey
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE;
ALTER TABLE binding_history ADD CONSTRAINT binding_history_tenant_site_id_fkey
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE;
ALTER TABLE assets ADD CONSTRAINT assets_tenant_site_id_fkey
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE;
ALTER TABLE policy_versions ADD CONSTRAINT policy_versions_tenant_digest_fkey
    FOREIGN KEY (tenant, digest) REFERENCES components (tenant, digest);

-- `record` and `changes` stay the coordinator's own: there is one order of changes. So does `loads`, which is not kept.

COMMIT;
