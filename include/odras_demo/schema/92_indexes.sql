-- Indexes that cursors, foreign keys and the usual look-ups need. (ODRAS itself has about 255; reads by the workbench
-- gain nothing from the rest, and every one slows a load.)

-- Cursors: what an incremental read orders by.
CREATE INDEX IF NOT EXISTS projects_updated ON projects (updated_at);
CREATE INDEX IF NOT EXISTS files_updated ON files (updated_at);
CREATE INDEX IF NOT EXISTS knowledge_assets_updated ON knowledge_assets (updated_at);
CREATE INDEX IF NOT EXISTS knowledge_chunks_created ON knowledge_chunks (created_at);
CREATE INDEX IF NOT EXISTS doc_chunk_created ON doc_chunk (created_at);
CREATE INDEX IF NOT EXISTS requirements_updated ON requirements_enhanced (updated_at);
CREATE INDEX IF NOT EXISTS requirements_constraints_updated ON requirements_constraints (updated_at);
CREATE INDEX IF NOT EXISTS requirements_notes_updated ON requirements_notes (updated_at);
CREATE INDEX IF NOT EXISTS requirements_history_changed ON requirements_history (changed_at);
CREATE INDEX IF NOT EXISTS individual_instances_updated ON individual_instances (updated_at);
CREATE INDEX IF NOT EXISTS das_knowledge_chunks_updated ON das_knowledge_chunks (updated_at);
CREATE INDEX IF NOT EXISTS project_event_created ON project_event (created_at);
CREATE INDEX IF NOT EXISTS thread_conversation_created ON thread_conversation (created_at);
CREATE INDEX IF NOT EXISTS chat_message_created ON chat_message (created_at);

-- Foreign keys whose parent may be deleted, and project ids that filters use.
CREATE INDEX IF NOT EXISTS users_tenant ON users (tenant_id);
CREATE INDEX IF NOT EXISTS auth_tokens_user ON auth_tokens (user_id);
CREATE INDEX IF NOT EXISTS projects_tenant ON projects (tenant_id);
CREATE INDEX IF NOT EXISTS projects_parent ON projects (parent_project_id);
CREATE INDEX IF NOT EXISTS project_members_project ON project_members (project_id);
CREATE INDEX IF NOT EXISTS project_relationships_target ON project_relationships (target_project_id);
CREATE INDEX IF NOT EXISTS project_event_subscriptions_project ON project_event_subscriptions (project_id);
CREATE INDEX IF NOT EXISTS project_event_subscriptions_source ON project_event_subscriptions (source_project_id);
CREATE INDEX IF NOT EXISTS ontologies_registry_project ON ontologies_registry (project_id);
CREATE INDEX IF NOT EXISTS individual_instances_table ON individual_instances (table_id);
CREATE INDEX IF NOT EXISTS microtheories_project ON microtheories (project_id);
CREATE INDEX IF NOT EXISTS cq_runs_cq ON cq_runs (cq_id);
CREATE INDEX IF NOT EXISTS files_project ON files (project_id);
CREATE INDEX IF NOT EXISTS knowledge_assets_project ON knowledge_assets (project_id);
CREATE INDEX IF NOT EXISTS knowledge_assets_file ON knowledge_assets (source_file_id);
CREATE INDEX IF NOT EXISTS knowledge_relationships_target ON knowledge_relationships (target_asset_id);
CREATE INDEX IF NOT EXISTS knowledge_relationships_source_chunk ON knowledge_relationships (source_chunk_id);
CREATE INDEX IF NOT EXISTS knowledge_relationships_target_chunk ON knowledge_relationships (target_chunk_id);
CREATE INDEX IF NOT EXISTS knowledge_processing_jobs_asset ON knowledge_processing_jobs (asset_id);
CREATE INDEX IF NOT EXISTS doc_project ON doc (project_id);
CREATE INDEX IF NOT EXISTS doc_chunk_doc ON doc_chunk (doc_id, chunk_index);
CREATE INDEX IF NOT EXISTS requirements_parent ON requirements_enhanced (parent_requirement_id);
CREATE INDEX IF NOT EXISTS requirements_derived_from ON requirements_enhanced (derived_from_requirement_id);
CREATE INDEX IF NOT EXISTS requirements_source ON requirements_enhanced (source_requirement_id);
CREATE INDEX IF NOT EXISTS requirements_document ON requirements_enhanced (source_document_id);
CREATE INDEX IF NOT EXISTS requirements_state ON requirements_enhanced (project_id, state);
CREATE INDEX IF NOT EXISTS requirements_constraints_requirement ON requirements_constraints (requirement_id);
CREATE INDEX IF NOT EXISTS requirements_notes_requirement ON requirements_notes (requirement_id);
CREATE INDEX IF NOT EXISTS requirements_notes_references ON requirements_notes (references_note_id);
CREATE INDEX IF NOT EXISTS requirements_history_requirement ON requirements_history (requirement_id);
CREATE INDEX IF NOT EXISTS requirements_das_reviews_requirement ON requirements_das_reviews (requirement_id);
CREATE INDEX IF NOT EXISTS configurations_project ON configurations (project_id);
CREATE INDEX IF NOT EXISTS configuration_nodes_config ON configuration_nodes (config_id);
CREATE INDEX IF NOT EXISTS configuration_edges_config ON configuration_edges (config_id);
CREATE INDEX IF NOT EXISTS configuration_clusters_config ON configuration_clusters (config_id);
CREATE INDEX IF NOT EXISTS project_event_thread ON project_event (project_thread_id);
CREATE INDEX IF NOT EXISTS project_event_project ON project_event (project_id, created_at);
CREATE INDEX IF NOT EXISTS thread_conversation_thread ON thread_conversation (project_thread_id);
CREATE INDEX IF NOT EXISTS das_knowledge_chunks_project ON das_knowledge_chunks (project_id);
CREATE INDEX IF NOT EXISTS das_training_chunks_collection ON das_training_chunks (collection_id);

-- Look-ups into JSON: the chunk a copy was made from.
CREATE INDEX IF NOT EXISTS das_knowledge_chunks_original
    ON das_knowledge_chunks ((metadata ->> 'original_chunk_id')) WHERE metadata ? 'original_chunk_id';
CREATE INDEX IF NOT EXISTS requirements_tags ON requirements_enhanced USING gin (tags);
CREATE INDEX IF NOT EXISTS knowledge_assets_metadata ON knowledge_assets USING gin (metadata);
