-- What the database does by itself: times, identifiers, versions, orphans, defaults, IRI look-up.

CREATE OR REPLACE FUNCTION refresh_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

-- The 21 tables that keep updated_at fresh. Nine more have the column and do not: microtheories, individual_instances,
-- individual_tables_config, data_mapping_configs, das_generation_jobs, installation_config, prefix_registry,
-- namespace_registry, namespace_classes. (configurations calls its column modified_at; nothing refreshes it either.)
-- A pull by watermark must know the difference.
DO $$
DECLARE
    refreshed text;
BEGIN
    FOREACH refreshed IN ARRAY ARRAY[
        'tenants', 'users', 'projects', 'domain_registry', 'ontologies_registry', 'cqs', 'files', 'knowledge_assets',
        'requirements_enhanced', 'requirements_constraints', 'requirements_notes', 'requirements_extraction_config',
        'requirements_das_reviews', 'das_knowledge_chunks', 'system_index', 'das_training_collections', 'das_personas',
        'das_teams', 'das_mcp_servers', 'das_learning_insights', 'das_runtime_tools'
    ] LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION refresh_updated_at()',
            refreshed || '_refresh_updated_at', refreshed
        );
    END LOOP;
END
$$;

-- A requirement without identifier gets the next REQ-nnn of its project.
CREATE OR REPLACE FUNCTION fill_requirement_identifier() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    highest bigint;
BEGIN
    IF btrim(coalesce(NEW.requirement_identifier, '')) = '' THEN
        SELECT max(substring(requirement_identifier FROM '^REQ-(\d{1,9})$')::bigint) INTO highest
        FROM requirements_enhanced WHERE project_id = NEW.project_id;
        NEW.requirement_identifier := 'REQ-' || lpad(
            (coalesce(highest, 0) + 1)::text, greatest(3, length((coalesce(highest, 0) + 1)::text)), '0');
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER requirements_fill_identifier BEFORE INSERT ON requirements_enhanced
    FOR EACH ROW EXECUTE FUNCTION fill_requirement_identifier();

-- A changed text is a new version, whatever version the caller sent; other changes leave the version alone.
CREATE OR REPLACE FUNCTION raise_requirement_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := coalesce(OLD.version, 0) + 1;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER requirements_raise_version BEFORE UPDATE ON requirements_enhanced
    FOR EACH ROW WHEN (OLD.requirement_text IS DISTINCT FROM NEW.requirement_text)
    EXECUTE FUNCTION raise_requirement_version();

CREATE OR REPLACE FUNCTION record_requirement_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO requirements_history (
        requirement_id, change_type, change_description, field_name, old_value, new_value,
        changed_by, version_before, version_after)
    VALUES (
        NEW.requirement_id, 'text_updated', 'Requirement text changed', 'requirement_text', OLD.requirement_text,
        NEW.requirement_text, NEW.updated_by, OLD.version, NEW.version);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER requirements_record_text AFTER UPDATE ON requirements_enhanced
    FOR EACH ROW WHEN (OLD.requirement_text IS DISTINCT FROM NEW.requirement_text)
    EXECUTE FUNCTION record_requirement_text();

-- Deleting a file empties its assets' source_file_id (foreign key); this tells the asset that it lost its origin.
CREATE OR REPLACE FUNCTION mark_asset_orphaned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.traceability_status := 'orphaned';
    NEW.orphaned_at := now();
    NEW.orphaned_reason := 'source file deleted';
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER knowledge_assets_mark_orphaned BEFORE UPDATE ON knowledge_assets
    FOR EACH ROW WHEN (OLD.source_file_id IS NOT NULL AND NEW.source_file_id IS NULL)
    EXECUTE FUNCTION mark_asset_orphaned();

-- One default microtheory a project.
CREATE OR REPLACE FUNCTION clear_other_default_microtheories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE microtheories SET is_default = false
    WHERE project_id = NEW.project_id AND id <> NEW.id AND is_default;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER microtheories_clear_defaults AFTER INSERT OR UPDATE OF is_default ON microtheories
    FOR EACH ROW WHEN (NEW.is_default) EXECUTE FUNCTION clear_other_default_microtheories();

-- Looks a text IRI up where IRIs are kept. Requirements have the column, yet are not looked up: so it is in ODRAS.
CREATE OR REPLACE FUNCTION resolve_iri(wanted text)
RETURNS TABLE (resource_type text, resource_id uuid, label text) LANGUAGE sql STABLE AS $$
    SELECT 'file', id, filename::text FROM files WHERE iri = wanted
    UNION ALL SELECT 'knowledge_asset', id, title::text FROM knowledge_assets WHERE iri = wanted
    UNION ALL SELECT 'project', project_id, name::text FROM projects WHERE iri = wanted
    UNION ALL SELECT 'user', user_id, display_name::text FROM users WHERE iri = wanted
$$;

CREATE OR REPLACE VIEW configuration_statistics AS
SELECT
    project_id,
    count(*) AS total_configurations,
    count(*) FILTER (WHERE coalesce(das_metadata, '{}') <> '{}') AS das_configurations,
    count(*) FILTER (WHERE coalesce(das_metadata, '{}') = '{}') AS manual_configurations,
    avg((das_metadata ->> 'confidence')::double precision) AS mean_das_confidence,
    min(created_at) AS oldest_configuration,
    max(created_at) AS newest_configuration
FROM configurations
GROUP BY project_id;
