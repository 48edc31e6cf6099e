-- Rows that every installation starts with.

INSERT INTO tenants (tenant_id, tenant_code, tenant_name, tenant_type, base_iri)
VALUES ('00000000-0000-0000-0000-000000000000', 'system', 'System', 'system', 'https://xma-adt.usn.mil')
ON CONFLICT DO NOTHING;

INSERT INTO installation_config (
    installation_name, installation_type, top_level_domain, base_uri, organization, program_office, authority_contact)
VALUES (
    'XMA-ADT', 'usn', 'mil', 'https://xma-adt.usn.mil', 'United States Navy', 'Advanced Technology Division',
    'ontology-authority@example.mil')
ON CONFLICT DO NOTHING;

INSERT INTO prefix_registry (prefix, description, owner, created_by) VALUES
    ('dod', 'Department of Defense', 'installation', 'system'),
    ('usn', 'United States Navy', 'installation', 'system'),
    ('usaf', 'United States Air Force', 'installation', 'system'),
    ('army', 'United States Army', 'installation', 'system'),
    ('gov', 'Civil government bodies', 'installation', 'system'),
    ('nasa', 'National Aeronautics and Space Administration', 'installation', 'system'),
    ('boeing', 'Boeing as a supplier', 'installation', 'system'),
    ('lockheed', 'Lockheed Martin as a supplier', 'installation', 'system')
ON CONFLICT DO NOTHING;

INSERT INTO domain_registry (domain, description, owner, created_by) VALUES
    ('avionics', 'Electronics aboard aircraft', 'installation', 'system'),
    ('mission-planning', 'Scenarios, routes and tasking', 'installation', 'system'),
    ('systems-engineering', 'Requirements, architecture and verification', 'installation', 'system'),
    ('logistics', 'Supply, spares and transport', 'installation', 'system'),
    ('cybersecurity', 'Weaknesses, threats and controls', 'installation', 'system'),
    ('communications', 'Links, networks and waveforms', 'installation', 'system'),
    ('radar-systems', 'Radar sensors and their processing', 'installation', 'system'),
    ('weapons-systems', 'Stores, release and safety', 'installation', 'system'),
    ('cost', 'Estimates, budgets and trade-offs', 'installation', 'system'),
    ('foundation', 'Terms that every other domain builds on', 'installation', 'system'),
    ('structures', 'Loads, materials and margins', 'installation', 'system'),
    ('analysis', 'Simulation and evaluation of designs', 'installation', 'system')
ON CONFLICT DO NOTHING;

INSERT INTO namespace_registry (name, type, path, prefix, status, owners, description) VALUES
    ('odras-core', 'core', 'core', 'core', 'released', ARRAY['system'], 'Terms shared by all projects'),
    ('odras-requirements', 'core', 'core/requirements', 'corereq', 'released', ARRAY['system'],
     'Terms for requirements, constraints and their evidence')
ON CONFLICT DO NOTHING;

INSERT INTO namespace_versions (namespace_id, version, version_iri, status, released_at)
SELECT id, '1.0.0', 'https://xma-adt.usn.mil/' || path || '/1.0.0', 'released', now()
FROM namespace_registry WHERE type = 'core'
ON CONFLICT DO NOTHING;
