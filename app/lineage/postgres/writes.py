"""The statements that write the graph; `applying` says when, and that there is one writer at a time."""

from __future__ import annotations

from app.lineage.postgres.keys import KIND_BITS

LOCK = "SELECT pg_advisory_xact_lock($1)"

# What is there is read, the rest made; nobody else makes any meanwhile.
MAKE_OWNERS = """
    WITH made AS (
        INSERT INTO lineage_owners (digest, owner)
        SELECT g.digest, g.owner FROM unnest($1::bytea[], $2::text[]) AS g (digest, owner)
        WHERE NOT EXISTS (SELECT FROM lineage_owners o WHERE o.digest = g.digest)
        RETURNING digest, owner_id
    )
    SELECT digest, owner_id AS id FROM lineage_owners WHERE digest = ANY ($1)
    UNION ALL SELECT digest, owner_id FROM made
"""
MAKE_ENTITIES = f"""
    WITH given AS (
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[])
            AS g (digest, entity, name, code, named_at)
    ), made AS (
        INSERT INTO lineage_entities (entity_id, digest, entity, name, named_at)
        SELECT nextval('lineage_ids') << {KIND_BITS} | g.code, g.digest, g.entity, g.name, g.named_at FROM given g
        WHERE NOT EXISTS (SELECT FROM lineage_entities e WHERE e.digest = g.digest)
        RETURNING digest, entity_id
    ), named AS (
        UPDATE lineage_entities e SET name = g.name, named_at = g.named_at FROM given g
        WHERE e.digest = g.digest AND (e.named_at, e.name) < (g.named_at, g.name)
    )
    SELECT digest, entity_id AS id FROM lineage_entities WHERE digest = ANY ($1)
    UNION ALL SELECT digest, entity_id FROM made
"""
MAKE_VERTICES = f"""
    WITH made AS (
        INSERT INTO lineage_vertices (vertex_id, entity_id, digest, key, version)
        SELECT nextval('lineage_ids') << {KIND_BITS} | g.code, g.entity_id, g.digest, g.key, g.version
        FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::integer[])
            AS g (digest, entity_id, key, version, code)
        WHERE NOT EXISTS (SELECT FROM lineage_vertices v WHERE v.digest = g.digest)
        RETURNING digest, vertex_id
    )
    SELECT digest, vertex_id AS id FROM lineage_vertices WHERE digest = ANY ($1)
    UNION ALL SELECT digest, vertex_id FROM made
"""
FIND_SAID = """
    SELECT e.edge_id, e.owner_id, e.from_id, e.to_id, e.kind, e.fingerprint
    FROM lineage_owners o JOIN lineage_edges e USING (owner_id) WHERE o.digest = ANY ($1)
"""
DELETE_EDGES = "DELETE FROM lineage_edges WHERE edge_id = ANY ($1)"
UPDATE_EDGES = """
    WITH gone AS (DELETE FROM lineage_columns WHERE edge_id = ANY ($1))
    UPDATE lineage_edges e
    SET source = g.source, recorded_at = g.recorded_at, run_id = g.run_id, is_inferred = g.is_inferred,
        fingerprint = g.fingerprint
    FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::uuid[], $5::boolean[], $6::bytea[])
        AS g (edge_id, source, recorded_at, run_id, is_inferred, fingerprint)
    WHERE e.edge_id = g.edge_id
"""
INSERT_EDGES = """
    INSERT INTO lineage_edges (owner_id, from_id, to_id, kind, source, recorded_at, run_id, is_inferred, fingerprint)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[], $6::timestamptz[],
                         $7::uuid[], $8::boolean[], $9::bytea[])
    RETURNING edge_id, owner_id, from_id, to_id, kind
"""
INSERT_COLUMNS = """
    INSERT INTO lineage_columns
        (edge_id, from_id, to_id, ordinal, kind, from_column, to_column, transformation, description)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::text[],
                         $7::text[], $8::text[], $9::text[])
"""
FORGET_VERTICES = """
    WITH gone AS (
        DELETE FROM lineage_vertices v WHERE v.vertex_id = ANY ($1)
          AND NOT EXISTS (SELECT FROM lineage_edges e WHERE e.from_id = v.vertex_id)
          AND NOT EXISTS (SELECT FROM lineage_edges e WHERE e.to_id = v.vertex_id)
        RETURNING v.entity_id
    )
    SELECT DISTINCT entity_id FROM gone
"""
FORGET_ENTITIES = """
    DELETE FROM lineage_entities n WHERE n.entity_id = ANY ($1)
      AND NOT EXISTS (SELECT FROM lineage_vertices v WHERE v.entity_id = n.entity_id)
"""
FORGET_OWNERS = """
    DELETE FROM lineage_owners o WHERE o.owner_id = ANY ($1)
      AND NOT EXISTS (SELECT FROM lineage_edges e WHERE e.owner_id = o.owner_id)
"""
