-- The lineage graph, where no JanusGraph keeps it: a projection of the event log that can be rebuilt at any time.
--
-- Texts have no bound here (names of other systems, in any script), and an index entry has one of 2,704 bytes: keys are
-- found by a digest of 16 bytes that app/lineage/postgres/keys.py makes, and walks go by integers alone. What compares
-- as Python does is collated "C".
--
-- The ids of entities and vertices end in three bits for their kind (keys.py), so that a walk knows what it passes
-- without reading it.
CREATE SEQUENCE lineage_ids AS bigint MAXVALUE 1000000000000000000;

CREATE TABLE lineage_entities (
    entity_id bigint      PRIMARY KEY,
    -- When the name was last told: the latest counts, in whatever order the events come.
    named_at  timestamptz NOT NULL,
    digest    bytea       NOT NULL UNIQUE,
    entity    text        COLLATE "C" NOT NULL,
    name      text        COLLATE "C" NOT NULL
);

CREATE TABLE lineage_vertices (
    vertex_id bigint PRIMARY KEY,
    entity_id bigint NOT NULL REFERENCES lineage_entities,
    digest    bytea  NOT NULL UNIQUE,
    -- `<entity>@<version>`, by which nodes are ordered.
    key       text   COLLATE "C" NOT NULL,
    version   text   COLLATE "C" NOT NULL
);
CREATE INDEX lineage_vertices_of_entity ON lineage_vertices (entity_id);

CREATE TABLE lineage_owners (
    owner_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest   bytea  NOT NULL UNIQUE,
    owner    text   COLLATE "C" NOT NULL
);

-- For paging through them in order: the beginning is as long as an index entry may be.
CREATE INDEX lineage_owners_in_order ON lineage_owners (left(owner, 100));

CREATE TABLE lineage_edges (
    edge_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id    bigint      NOT NULL REFERENCES lineage_owners,
    from_id     bigint      NOT NULL REFERENCES lineage_vertices,
    to_id       bigint      NOT NULL REFERENCES lineage_vertices,
    recorded_at timestamptz NOT NULL,
    run_id      uuid,
    -- In the order of the kinds' names.
    kind        smallint    NOT NULL,
    is_inferred boolean     NOT NULL,
    -- Of all that the edge says, its columns included: what is said again is found unchanged without being read.
    fingerprint bytea       NOT NULL,
    source      text        NOT NULL,
    UNIQUE (owner_id, from_id, to_id, kind)
);
-- A hop reads an index alone, and its range once, whatever the kinds.
CREATE INDEX lineage_edges_out ON lineage_edges (from_id) INCLUDE (to_id, kind);
CREATE INDEX lineage_edges_in ON lineage_edges (to_id) INCLUDE (from_id, kind);

-- What edges between versions amount to between entities, kept so that a walk from entity to entity does not cost the
-- number of their versions. `first_edge_id` is the one that lends its facts: no foreign key, because it changes hands
-- in the transaction that deletes the edge.
CREATE TABLE lineage_entity_edges (
    from_id       bigint   NOT NULL REFERENCES lineage_entities,
    to_id         bigint   NOT NULL REFERENCES lineage_entities,
    first_edge_id bigint   NOT NULL,
    kind          smallint NOT NULL,
    PRIMARY KEY (from_id, to_id, kind)
);
CREATE INDEX lineage_entity_edges_in ON lineage_entity_edges (to_id) INCLUDE (from_id, kind);

-- Which column of an edge's `from` depends on which of its `to`; the ends are repeated for walks from column to column.
CREATE TABLE lineage_columns (
    edge_id        bigint   NOT NULL REFERENCES lineage_edges ON DELETE CASCADE,
    from_id        bigint   NOT NULL,
    to_id          bigint   NOT NULL,
    ordinal        integer  NOT NULL,
    kind           smallint NOT NULL,
    from_column    text     COLLATE "C" NOT NULL,
    to_column      text     COLLATE "C" NOT NULL,
    transformation text     COLLATE "C",
    description    text     COLLATE "C",
    PRIMARY KEY (edge_id, ordinal)
);
CREATE INDEX lineage_columns_out ON lineage_columns (from_id, left(from_column, 100));
CREATE INDEX lineage_columns_in ON lineage_columns (to_id, left(to_column, 100));
